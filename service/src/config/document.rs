//! Reading checked values out of a TOML document, keeping the line of every mistake.
//!
//! A [`Reader`] serves one section. It takes defaults from the section's table in
//! [`schema`](super::schema), so a default is written once, and it goes on after a mistake, so that
//! one start shows all of them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Problem, Problems};
use super::schema::{self, Section};

/// One file with what is wrong in it so far.
pub(super) struct Document<'t> {
    file: String,
    text: &'t str,
    root: DeTable<'t>,
    problems: RefCell<Vec<Problem>>,
}

/// The keys of one section.
pub(super) struct Reader<'d> {
    document: &'d Document<'d>,
    section: &'static Section,
    table: Option<&'d DeTable<'d>>,
}

impl<'t> Document<'t> {
    /// Parses `text`; syntax errors are recorded, and what could be read is kept.
    pub(super) fn parse(file: &str, text: &'t str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document =
            Self { file: file.to_owned(), text, root: root.into_inner(), problems: RefCell::default() };
        for error in errors {
            document.problem(error.span().unwrap_or(0..0), error.message().to_owned());
        }
        document
    }

    /// The top of the document.
    pub(super) fn root(&self) -> &DeTable<'t> {
        &self.root
    }

    /// The table at a dotted path, where the file has one. A value in its place is a mistake.
    pub(super) fn table(&self, path: &[&str]) -> Option<&DeTable<'t>> {
        let mut table = &self.root;
        for (depth, step) in path.iter().enumerate() {
            let found = table.get(*step)?;
            let Some(next) = found.get_ref().as_table() else {
                let section = path[..=depth].join(".");
                self.problem(
                    found.span(),
                    format!("{section:?} is a section; write [{section}] and its keys below"),
                );
                return None;
            };
            table = next;
        }
        Some(table)
    }

    /// A reader of `section` as it stands in the schema.
    pub(super) fn section(&self, name: &'static str) -> Reader<'_> {
        let path: Vec<&str> = name.split('.').collect();
        Reader { document: self, section: schema::section(name), table: self.table(&path) }
    }

    /// A reader of `table`, with the keys and defaults of the section `like`.
    pub(super) fn reader<'d>(&'d self, like: &'static str, table: Option<&'d DeTable<'d>>) -> Reader<'d> {
        Reader { document: self, section: schema::section(like), table }
    }

    /// Records a mistake.
    pub(super) fn problem(&self, at: Range<usize>, message: String) {
        let before = self.text.as_bytes().get(..at.start).unwrap_or(self.text.as_bytes());
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        self.problems.borrow_mut().push(Problem { file: self.file.clone(), line, message });
    }

    /// Records every key of `table` that is not among `known`.
    pub(super) fn only(&self, table: &DeTable<'_>, place: &str, known: &[&str]) {
        for name in table.keys() {
            if !known.contains(&name.get_ref().as_ref()) {
                let message = format!(
                    "unknown key {:?} in {place}{}",
                    name.get_ref(),
                    suggestion(name.get_ref(), known)
                );
                self.problem(name.span(), message);
            }
        }
    }

    /// The source text of a value, cut to a readable length.
    fn spelled(&self, value: &Spanned<DeValue<'_>>) -> String {
        let text = self.text.get(value.span()).unwrap_or("a value");
        let line = text.lines().next().unwrap_or_default();
        match line.char_indices().nth(40) {
            Some((cut, _)) => format!("{}…", &line[..cut]),
            None => line.to_owned(),
        }
    }

    /// All mistakes, if there are any.
    pub(super) fn finish(self) -> Result<(), Problems> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }
}

/// `; did you mean "…"?` for the nearest of `known`, or the list of them where none is near.
pub(super) fn suggestion(wrong: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.7);
    match nearest {
        Some((_, name)) => format!("; did you mean {name:?}?"),
        None if known.is_empty() => String::new(),
        None => format!("; the keys are {}", known.join(", ")),
    }
}

impl Reader<'_> {
    /// Records unknown keys of this section.
    pub(super) fn check_keys(&self) {
        let known: Vec<&str> = self.section.keys.iter().map(|key| key.name).collect();
        if let Some(table) = self.table {
            self.document.only(table, &format!("[{}]", self.section.name), &known);
        }
    }

    /// Whether the file itself sets `key`.
    pub(super) fn sets(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Records that the value of `key` cannot be, for a reason that `message` tells.
    pub(super) fn reject(&self, key: &str, message: &str) {
        let span = self.table.and_then(|table| table.get(key)).map_or(0..0, Spanned::span);
        self.document.problem(span, format!("{key} in [{}]: {message}", self.section.name));
    }

    /// The value of `key` as `read` understands it; its error says what is allowed.
    pub(super) fn value<T>(&self, key: &str, read: impl Fn(&DeValue<'_>) -> Result<T, String>) -> T {
        if let Some(found) = self.table.and_then(|table| table.get(key)) {
            match read(found.get_ref()) {
                Ok(value) => return value,
                Err(allowed) => {
                    let spelled = self.document.spelled(found);
                    let message = format!("{key} in [{}] is {spelled}; {allowed}", self.section.name);
                    self.document.problem(found.span(), message);
                }
            }
        }
        let default = DeValue::parse(self.section.key(key).default).expect("defaults are TOML");
        read(default.get_ref()).expect("defaults are allowed")
    }

    /// A whole number in `range`.
    pub(super) fn integer(&self, key: &str, range: RangeInclusive<u64>) -> u64 {
        self.value(key, |value| {
            let number =
                value.as_integer().and_then(|raw| u64::from_str_radix(raw.as_str(), raw.radix()).ok());
            number
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("it takes a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// A whole number of at most 32 bits in `range`.
    pub(super) fn count(&self, key: &str, range: RangeInclusive<u32>) -> u32 {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        u32::try_from(self.integer(key, wide)).expect("the range ends within 32 bits")
    }

    /// A span of time spelled as a whole number of milliseconds in `range`.
    pub(super) fn millis(&self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.integer(key, range))
    }

    /// A span of time spelled as a whole number of seconds in `range`.
    pub(super) fn seconds(&self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.integer(key, range))
    }

    /// Any finite number.
    pub(super) fn number(&self, key: &str) -> f64 {
        self.value(key, |value| number(value).ok_or_else(|| "it takes a number".to_owned()))
    }

    /// A share of a whole: a number in `range`, which lies within 0 to 1.
    pub(super) fn share(&self, key: &str, range: RangeInclusive<f64>) -> f64 {
        self.value(key, |value| {
            number(value)
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("it takes a number from {} to {}", range.start(), range.end()))
        })
    }

    /// `N` finite numbers.
    pub(super) fn numbers<const N: usize>(&self, key: &str) -> [f64; N] {
        self.value(key, |value| numbers(value).ok_or_else(|| format!("it takes {N} numbers in brackets")))
    }

    /// True or false.
    pub(super) fn switch(&self, key: &str) -> bool {
        self.value(key, |value| value.as_bool().ok_or_else(|| "it takes true or false".to_owned()))
    }

    /// Any text.
    pub(super) fn text(&self, key: &str) -> String {
        self.value(key, |value| {
            value.as_str().map(str::to_owned).ok_or_else(|| "it takes a text in quotes".to_owned())
        })
    }

    /// A text that `check` accepts; its error says what is allowed.
    pub(super) fn checked<T>(&self, key: &str, check: impl Fn(&str) -> Result<T, String>) -> T {
        self.value(key, |value| {
            value.as_str().ok_or_else(|| "it takes a text in quotes".to_owned()).and_then(&check)
        })
    }

    /// An address to listen on.
    pub(super) fn address(&self, key: &str) -> SocketAddr {
        self.checked(key, |text| {
            text.parse().map_err(|_| {
                "it takes an address and a port such as \"127.0.0.1:7777\" or \"[::]:7777\"".to_owned()
            })
        })
    }

    /// Texts that `check` accepts.
    pub(super) fn texts(&self, key: &str, check: impl Fn(&str) -> Result<String, String>) -> Vec<String> {
        self.value(key, |value| {
            let items = value.as_array().ok_or_else(|| "it takes a list of texts".to_owned())?;
            items
                .iter()
                .map(|item| {
                    item.get_ref()
                        .as_str()
                        .ok_or_else(|| "it takes a list of texts".to_owned())
                        .and_then(&check)
                })
                .collect()
        })
    }
}

/// `N` finite numbers in brackets.
pub(super) fn numbers<const N: usize>(value: &DeValue<'_>) -> Option<[f64; N]> {
    let items = value.as_array()?.iter();
    items.map(|item| number(item.get_ref())).collect::<Option<Vec<f64>>>()?.try_into().ok()
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    let text = match value {
        DeValue::Integer(raw) if raw.radix() == 10 => raw.as_str(),
        DeValue::Float(raw) => raw.as_str(),
        _ => return None,
    };
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
