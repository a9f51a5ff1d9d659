//! The struct as it is written: its name, its fields, their attributes and types.
//!
//! The compiler has parsed it before, so this only finds where the parts are.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::attribute::{self, Entry};
use crate::error::Errors;

/// A struct with named fields.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: Ident,
    /// What its attributes say, all of them together.
    pub(crate) entries: Vec<Entry>,
    pub(crate) fields: Vec<Field>,
}

/// A field as it is written.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: Ident,
    /// What each of its `#[gorc(…)]` says.
    pub(crate) attributes: Vec<Vec<Entry>>,
    /// Its type.
    pub(crate) ty: TokenStream,
}

impl Field {
    /// Where messages about its type point.
    pub(crate) fn ty_span(&self) -> Span {
        self.ty.clone().into_iter().next().map_or_else(|| self.name.span(), |token| token.span())
    }

    /// The last name of a type that is a path without arguments: `Pose` of `model::Pose`.
    pub(crate) fn ty_name(&self) -> Option<String> {
        let tokens = flat(self.ty.clone());
        let is_path = tokens.iter().all(|token| match token {
            TokenTree::Ident(_) => true,
            TokenTree::Punct(punct) => punct.as_char() == ':',
            _ => false,
        });
        match tokens.last() {
            Some(TokenTree::Ident(name)) if is_path => Some(name.to_string()),
            _ => None,
        }
    }
}

impl Item {
    /// Finds the parts of a struct, or says why there are none.
    pub(crate) fn parse(input: TokenStream, errors: &mut Errors) -> Option<Self> {
        let mut tokens = Cursor::new(input);
        let entries = tokens.attributes(errors).into_iter().flatten().collect();
        tokens.visibility();
        let keyword = tokens.ident()?;
        let name = tokens.ident()?;
        if keyword != "struct" {
            let what = format!(
                "an object type is a struct with named fields, not {} {keyword}; put the {keyword} into a field of one",
                if keyword == "enum" { "an" } else { "a" }
            );
            errors.add(keyword.span(), what);
            return None;
        }
        match tokens.next() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let fields = fields(&group, errors);
                Some(Self { name, entries, fields })
            }
            Some(TokenTree::Punct(punct)) if punct.as_char() == '<' => {
                let what = "an object type has one name and one schema, so it has no generic parameters; \
                            write a struct for each";
                errors.add(punct.span(), what);
                None
            }
            _ => {
                errors.add(
                    name.span(),
                    "an object type is a struct with named fields; name them, observers do",
                );
                None
            }
        }
    }
}

fn fields(body: &Group, errors: &mut Errors) -> Vec<Field> {
    let mut tokens = Cursor::new(body.stream());
    let mut fields = Vec::new();
    loop {
        let attributes = tokens.attributes(errors);
        tokens.visibility();
        let Some(name) = tokens.ident() else { return fields };
        tokens.next(); // The colon.
        fields.push(Field { name, attributes, ty: tokens.ty() });
    }
}

/// Walks over tokens, into groups that only macros see.
struct Cursor {
    /// In reverse.
    rest: Vec<TokenTree>,
}

impl Cursor {
    fn new(tokens: TokenStream) -> Self {
        let mut rest: Vec<TokenTree> = tokens.into_iter().collect();
        rest.reverse();
        Self { rest }
    }

    /// Opens groups without delimiters, which fragments of `macro_rules!` come in.
    fn open(&mut self) {
        while let Some(TokenTree::Group(group)) = self.rest.last()
            && group.delimiter() == Delimiter::None
        {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            self.rest.pop();
            self.rest.extend(inner.into_iter().rev());
        }
    }

    fn next(&mut self) -> Option<TokenTree> {
        self.open();
        self.rest.pop()
    }

    fn peek(&mut self) -> Option<&TokenTree> {
        self.open();
        self.rest.last()
    }

    fn ident(&mut self) -> Option<Ident> {
        match self.next()? {
            TokenTree::Ident(ident) => Some(ident),
            _ => None,
        }
    }

    /// What each `#[gorc(…)]` here says; other attributes are passed over.
    fn attributes(&mut self, errors: &mut Errors) -> Vec<Vec<Entry>> {
        let mut attributes = Vec::new();
        while matches!(self.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#') {
            self.next();
            if let Some(TokenTree::Group(body)) = self.next() {
                attributes.extend(attribute::read(body.stream(), errors));
            }
        }
        attributes
    }

    fn visibility(&mut self) {
        if matches!(self.peek(), Some(TokenTree::Ident(ident)) if ident == "pub") {
            self.next();
            if matches!(self.peek(), Some(TokenTree::Group(_))) {
                self.next();
            }
        }
    }

    /// The tokens up to the next comma outside angle brackets, which is taken too.
    fn ty(&mut self) -> TokenStream {
        let (mut ty, mut depth, mut arrow) = (TokenStream::new(), 0_usize, false);
        while let Some(token) = self.rest.pop() {
            if let TokenTree::Punct(punct) = &token {
                match punct.as_char() {
                    ',' if depth == 0 => break,
                    '<' => depth += 1,
                    '>' if !arrow => depth = depth.saturating_sub(1),
                    _ => {}
                }
                arrow = punct.as_char() == '-';
            } else {
                arrow = false;
            }
            ty.extend([token]);
        }
        ty
    }
}

/// The tokens, with those in groups that only macros see in their place.
pub(crate) fn flat(tokens: TokenStream) -> Vec<TokenTree> {
    let mut all = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                all.extend(flat(group.stream()))
            }
            token => all.push(token),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn parse(input: TokenStream) -> Item {
        let mut errors = Errors::default();
        let item = Item::parse(input, &mut errors).expect("it is a struct");
        assert!(errors.is_empty(), "{:?}", errors.texts());
        item
    }

    #[test]
    fn types_end_at_their_comma() {
        let item = parse(quote! {
            /// Text, with commas.
            #[derive(Debug, Clone)]
            pub(crate) struct Odd {
                pub map: BTreeMap<u8, Vec<(u8, u8)>>,
                pub(super) f: fn(u8, u8) -> Option<u8>,
                r#type: [u8; { 3 > 2 } as usize],
                last: model::Pose
            }
        });
        let types: Vec<String> =
            item.fields.iter().map(|field| field.ty.to_string().replace(' ', "")).collect();
        let expected =
            ["BTreeMap<u8,Vec<(u8,u8)>>", "fn(u8,u8)->Option<u8>", "[u8;{3>2}asusize]", "model::Pose"];
        assert_eq!(types, expected);
        assert_eq!(item.fields[3].ty_name().as_deref(), Some("Pose"));
        assert_eq!(item.fields[0].ty_name(), None);
    }

    #[test]
    fn fragments_of_other_macros_are_opened() {
        let hidden = |tokens| TokenTree::Group(Group::new(Delimiter::None, tokens));
        let (visibility, meta, ty) =
            (hidden(quote!(pub)), hidden(quote!(gorc(critical))), hidden(quote!(u8)));
        let nothing = hidden(quote!());
        let item = parse(quote!(#visibility struct A { #[#meta] #visibility a: #ty, #nothing b: #ty }));
        assert_eq!(item.fields.len(), 2);
        assert_eq!(item.fields[0].attributes[0][0].word(), "critical");
        assert_eq!(item.fields[1].ty_name().as_deref(), Some("u8"));
    }
}
