//! What a struct means: its name, its channels, its numbered fields and the parts of its pose.

use proc_macro2::{Ident, Span, TokenStream};

use crate::attribute::{Entry, Value};
use crate::channel::{self, FIELD_WORDS, Numbers, RULES};
use crate::error::Errors;
use crate::item::{Field, Item};
use crate::text;

/// Fields are masked in 32 bits.
const MAX_FIELDS: usize = 32;

/// What a struct may say.
const STRUCT_WORDS: [&str; 6] = ["name", "crate", "critical", "detailed", "cosmetic", "metadata"];

/// A struct that may be an object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) ident: Ident,
    /// Name of the type in configuration and JSON.
    pub(crate) name: String,
    /// The crate that generated code names, if the struct says so.
    pub(crate) root: Option<TokenStream>,
    /// The nearest first.
    pub(crate) channels: [Numbers; 4],
    /// In the order of their numbers.
    pub(crate) fields: Vec<(Field, usize)>,
    pub(crate) pose: PoseFields,
}

/// Where a struct keeps its pose.
#[derive(Debug, Default)]
pub(crate) struct PoseFields {
    pub(crate) whole: Option<Field>,
    pub(crate) position: Option<Field>,
    pub(crate) velocity: Option<Field>,
    pub(crate) heading: Option<Field>,
}

/// A part of the pose, with the channel on which it first goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Position,
    Velocity,
    Heading,
}

impl Part {
    /// By its type, else by its name.
    fn of(field: &Field) -> Option<Self> {
        match (field.ty_name().as_deref(), plain(&field.name).as_str()) {
            (Some("Pose"), _) => Some(Self::Whole),
            (Some("Position"), _) | (_, "position") => Some(Self::Position),
            (_, "velocity") => Some(Self::Velocity),
            (_, "heading" | "yaw") => Some(Self::Heading),
            _ => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Whole => "pose",
            Self::Position => "position",
            Self::Velocity => "velocity",
            Self::Heading => "heading",
        }
    }

    /// What is wrong with declaring it on this channel.
    fn objection(self, channel: usize) -> Option<String> {
        let word = self.word();
        match (self, RULES[channel].word) {
            (Self::Whole | Self::Position, "critical") | (Self::Velocity | Self::Heading, "detailed") => None,
            (Self::Whole | Self::Position, _) => Some(format!(
                "the {word} goes out on every channel, at the rate and precision of each; declare it \
                 `#[gorc(critical)]`"
            )),
            (Self::Velocity | Self::Heading, _) => Some(format!(
                "the {word} goes out from the detailed channel on; declare it `#[gorc(detailed)]`"
            )),
        }
    }
}

impl Object {
    /// Reads what a struct says. Where `errors` is not empty afterwards, the result is of no use.
    pub(crate) fn read(item: Item, errors: &mut Errors) -> Self {
        let mut object = Self {
            name: text::snake_case(&plain(&item.name)),
            ident: item.name,
            root: None,
            channels: Default::default(),
            fields: Vec::new(),
            pose: PoseFields::default(),
        };
        object.read_entries(&item.entries, errors);
        for field in item.fields {
            object.read_field(field, errors);
        }
        object.check_pose(errors);
        if let Some((field, _)) = object.fields.get(MAX_FIELDS) {
            let what = format!(
                "an object has at most {MAX_FIELDS} fields beside its pose, and this is one more; put some that \
                 change together into a struct of their own"
            );
            errors.add(field.name.span(), what);
        }
        object
    }

    fn read_entries(&mut self, entries: &[Entry], errors: &mut Errors) {
        for (at, entry) in entries.iter().enumerate() {
            let word = entry.word();
            if entries[..at].iter().any(|other| other.word() == word) {
                errors.add(entry.span(), format!("`{word}` is given twice for this type"));
                continue;
            }
            match word.as_str() {
                "name" => match entry.text(errors) {
                    Some((name, at)) if name.is_empty() => errors.add(at, "a type needs a name"),
                    Some((name, _)) => self.name = name,
                    None => {}
                },
                "crate" => self.root = path(entry, errors),
                _ => match channel::index_of(&word) {
                    Some(index) => self.channels[index] = Numbers::read(&RULES[index], entry, errors),
                    None => errors.add(entry.span(), text::unknown("word", &word, &STRUCT_WORDS)),
                },
            }
        }
        channel::check_order(&self.channels, errors);
    }

    fn read_field(&mut self, field: Field, errors: &mut Errors) {
        let (name, at) = (plain(&field.name), field.name.span());
        let words: Vec<&Entry> = field.attributes.iter().flatten().collect();
        let entry = match words.as_slice() {
            [] => {
                let what = format!(
                    "who sees `{name}`? Say `#[gorc(critical)]`, `#[gorc(detailed)]`, `#[gorc(cosmetic)]` or \
                     `#[gorc(metadata)]`, or `#[gorc(skip)]` to keep it here"
                );
                errors.add(at, what);
                return;
            }
            [entry] => *entry,
            [_, second, ..] => {
                let what = format!("`{name}` goes out on one channel; keep one of the words");
                errors.add(second.span(), what);
                return;
            }
        };
        let word = entry.word();
        if !FIELD_WORDS.contains(&word.as_str()) {
            errors.add(entry.span(), text::unknown("channel", &word, &FIELD_WORDS));
            return;
        }
        if !matches!(entry.value, Value::Nothing) {
            let what =
                format!("a field says `#[gorc({word})]` alone; numbers of a channel stand above the struct");
            errors.add(entry.span(), what);
            return;
        }
        let Some(channel) = channel::index_of(&word) else { return };
        match Part::of(&field) {
            None => self.fields.push((field, channel)),
            Some(part) => match part.objection(channel) {
                Some(what) => errors.add(entry.span(), what),
                None => self.pose.put(part, field, errors),
            },
        }
    }

    fn check_pose(&self, errors: &mut Errors) {
        let PoseFields { whole, position, velocity, heading } = &self.pose;
        for (part, field) in [(Part::Velocity, velocity), (Part::Heading, heading)] {
            if let (Some(field), None, None) = (field, whole, position) {
                let what = format!(
                    "a {} needs a place: add a `position: Position`, or call the field something else",
                    part.word()
                );
                errors.add(field.name.span(), what);
            }
        }
    }
}

impl PoseFields {
    fn put(&mut self, part: Part, field: Field, errors: &mut Errors) {
        let at = field.name.span();
        if self.whole.is_some() || (part == Part::Whole && self.is_any()) {
            twice("pose", at, errors);
            return;
        }
        let slot = match part {
            Part::Whole => &mut self.whole,
            Part::Position => &mut self.position,
            Part::Velocity => &mut self.velocity,
            Part::Heading => &mut self.heading,
        };
        if slot.is_some() {
            twice(part.word(), at, errors);
        } else {
            *slot = Some(field);
        }
    }

    const fn is_any(&self) -> bool {
        self.position.is_some() || self.velocity.is_some() || self.heading.is_some()
    }
}

fn twice(word: &str, at: Span, errors: &mut Errors) {
    let what = format!(
        "an object has one {word}, and this is a second; mark one of the two `#[gorc(skip)]`, or give it \
         another type"
    );
    errors.add(at, what);
}

/// The path after `crate =`, bare or as a text.
fn path(entry: &Entry, errors: &mut Errors) -> Option<TokenStream> {
    match &entry.value {
        Value::Tokens(tokens) if !matches!(tokens[0], proc_macro2::TokenTree::Literal(_)) => {
            Some(tokens.iter().cloned().collect())
        }
        _ => {
            errors.add(entry.span(), "`crate` needs a path: `crate = my::gorc`");
            None
        }
    }
}

/// The name without `r#`.
pub(crate) fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}
