//! The words in `#[gorc(…)]`.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};

use crate::error::Errors;
use crate::item::flat;

/// One word with what it says: `critical`, `name = "crate_box"` or `critical(rate_hz = 30)`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: Ident,
    pub(crate) value: Value,
}

/// What follows a word.
#[derive(Debug)]
pub(crate) enum Value {
    /// Nothing.
    Nothing,
    /// `= …`
    Tokens(Vec<TokenTree>),
    /// `(…)`
    Entries(Vec<Entry>),
}

impl Entry {
    /// The word.
    pub(crate) fn word(&self) -> String {
        self.key.to_string()
    }

    pub(crate) fn span(&self) -> Span {
        self.key.span()
    }

    /// The number after `=`, with its place. Says what is wrong where there is none.
    pub(crate) fn number(&self, errors: &mut Errors) -> Option<(f64, Span)> {
        let number = match &self.value {
            Value::Tokens(tokens) => match tokens.as_slice() {
                [TokenTree::Literal(literal)] => {
                    let text: String = literal.to_string().chars().filter(|c| *c != '_').collect();
                    text.parse().ok().map(|number| (number, literal.span()))
                }
                _ => None,
            },
            _ => None,
        };
        if number.is_none() {
            let key = &self.key;
            errors.add(self.span(), format!("`{key}` needs a number that is written out and not below 0"));
        }
        number
    }

    /// The text after `=`, with its place. Says what is wrong where there is none.
    pub(crate) fn text(&self, errors: &mut Errors) -> Option<(String, Span)> {
        let text = match &self.value {
            Value::Tokens(tokens) => match tokens.as_slice() {
                [TokenTree::Literal(literal)] => {
                    let quoted = literal.to_string();
                    let plain = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                    plain.filter(|text| !text.contains('\\')).map(|text| (text.to_owned(), literal.span()))
                }
                _ => None,
            },
            _ => None,
        };
        if text.is_none() {
            let key = &self.key;
            errors.add(self.span(), format!("`{key}` needs a plain text: `{key} = \"crate_box\"`"));
        }
        text
    }
}

/// The entries of one attribute's body, or `None` where it is another attribute.
pub(crate) fn read(body: TokenStream, errors: &mut Errors) -> Option<Vec<Entry>> {
    let tokens = flat(body);
    let [TokenTree::Ident(name), rest @ ..] = tokens.as_slice() else { return None };
    if name != "gorc" {
        return None;
    }
    match rest {
        [TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => {
            Some(entries(group.stream(), errors))
        }
        _ => {
            errors.add(name.span(), "write it with parentheses: `#[gorc(…)]`");
            Some(vec![])
        }
    }
}

fn entries(body: TokenStream, errors: &mut Errors) -> Vec<Entry> {
    let tokens = flat(body);
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    let parts = tokens.split(is_comma).filter(|part| !part.is_empty());
    parts.filter_map(|part| entry(part, errors)).collect()
}

fn entry(tokens: &[TokenTree], errors: &mut Errors) -> Option<Entry> {
    let (key, value) = match tokens {
        [TokenTree::Ident(key)] => (key, Value::Nothing),
        [TokenTree::Ident(key), TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => {
            (key, Value::Entries(entries(group.stream(), errors)))
        }
        [TokenTree::Ident(key), TokenTree::Punct(equals), value @ ..]
            if equals.as_char() == '=' && !value.is_empty() =>
        {
            (key, Value::Tokens(value.to_vec()))
        }
        _ => {
            errors.add(tokens[0].span(), "expected `word`, `word = value` or `word(…)`");
            return None;
        }
    };
    Some(Entry { key: key.clone(), value })
}
