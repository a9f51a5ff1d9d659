//! What is wrong with a struct, each at its place.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

/// Mistakes found so far. All of them are reported, not the first alone.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    found: Vec<(Span, String)>,
}

impl Errors {
    pub(crate) fn add(&mut self, at: Span, what: impl Into<String>) {
        self.found.push((at, what.into()));
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// One `compile_error!` for each.
    pub(crate) fn into_tokens(self) -> TokenStream {
        let error = |(at, what): (Span, String)| quote_spanned!(at=> ::core::compile_error!{#what});
        self.found.into_iter().map(error).collect()
    }

    #[cfg(test)]
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.found.iter().map(|(_, what)| what.as_str()).collect()
    }
}
