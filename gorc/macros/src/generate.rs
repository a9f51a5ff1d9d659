//! The implementation that a struct gets.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use crate::channel::{Numbers, RULES};
use crate::item::Field;
use crate::object::{Object, PoseFields, plain};

/// The trait that refuses what has no bound, and the largest field in bytes: eight numbers at 30 Hz, a matrix
/// of sixteen at 15 Hz. More belongs into several fields, of which only those that changed are sent.
const BOUNDS: [(&str, usize); 2] = [("CriticalField", 32), ("DetailedField", 64)];

/// `impl GorcObject for …`, with the checks that only types can answer.
pub(crate) fn implementation(object: &Object, root: &TokenStream) -> TokenStream {
    let Object { ident, name, .. } = object;
    let root = object.root.as_ref().unwrap_or(root);
    let model = quote!(#root::model);
    let channels = object.channels.iter().enumerate().map(|(index, numbers)| spec(index, numbers, &model));
    let fields = object.fields.iter().map(|(field, channel)| {
        let (name, variant) = (plain(&field.name), format_ident!("{}", RULES[*channel].variant));
        quote!((#name, #model::Channel::#variant))
    });
    let bounds = object.fields.iter().map(|(field, channel)| bound(field, *channel, &model));
    let numbered = || object.fields.iter().enumerate().map(|(index, (field, _))| (index as u8, field));
    let encode = numbered().map(|(index, field)| {
        let (name, text, value) = (&field.name, plain(&field.name), value(field, "FieldValue", &model));
        quote!(#index => #value::encode_value(&self.#name, #text, codec, out)?,)
    });
    let apply = numbered().map(|(index, field)| {
        let (name, text, value) = (&field.name, plain(&field.name), value(field, "FieldValue", &model));
        quote!(#index => self.#name = #value::decode_value(#text, codec, bytes)?,)
    });
    let (read, write) = (read_pose(&object.pose, &model), write_pose(&object.pose, &model));
    quote! {
        const _: () = {
            #(#bounds)*

            #[automatically_derived]
            #[allow(clippy::needless_update)]
            impl #model::GorcObject for #ident {
                const TYPE_NAME: &'static str = #name;
                const CHANNELS: [#model::ChannelSpec; 4] = [#(#channels),*];
                const FIELDS: &'static [(&'static str, #model::Channel)] = &[#(#fields),*];

                fn pose(&self) -> ::core::option::Option<#model::Pose> {
                    #read
                }

                fn set_pose(&mut self, pose: &#model::Pose) {
                    let _ = pose;
                    #write
                }

                fn encode_field<C: #model::FieldCodec>(
                    &self,
                    index: u8,
                    codec: &C,
                    out: &mut ::std::vec::Vec<u8>,
                ) -> ::core::result::Result<bool, #model::FieldError<C::Error>> {
                    let _ = (codec, &out);
                    match index {
                        #(#encode)*
                        _ => return ::core::result::Result::Ok(false),
                    }
                    #[allow(unreachable_code)]
                    ::core::result::Result::Ok(true)
                }

                fn apply<C: #model::FieldCodec>(
                    &mut self,
                    index: u8,
                    bytes: &[u8],
                    codec: &C,
                ) -> ::core::result::Result<bool, #model::FieldError<C::Error>> {
                    let _ = (codec, bytes);
                    match index {
                        #(#apply)*
                        _ => return ::core::result::Result::Ok(false),
                    }
                    #[allow(unreachable_code)]
                    ::core::result::Result::Ok(true)
                }
            }
        };
    }
}

/// What is given of a channel, the rest from the defaults.
fn spec(index: usize, numbers: &Numbers, model: &TokenStream) -> TokenStream {
    let default = quote!(#model::ChannelSpec::DEFAULT[#index]);
    let given: Vec<TokenStream> = numbers
        .given()
        .map(|(key, number)| {
            let name = format_ident!("{key}");
            // `rate_hz` and the like are whole numbers, which were checked to be; the others are floats.
            let number = match key {
                "rate_hz" | "precision_cm" | "nearest" => Literal::u32_unsuffixed(number as u32),
                _ => Literal::f64_unsuffixed(number),
            };
            quote!(#name: #number)
        })
        .collect();
    if given.is_empty() { default } else { quote!(#model::ChannelSpec { #(#given,)* ..#default }) }
}

/// Where the messages about a field's type point, resolving names as generated code does.
fn at(field: &Field) -> Span {
    field.ty_span().resolved_at(Span::call_site())
}

/// `<Type as Trait>`, blamed on the type.
fn value(field: &Field, name: &str, model: &TokenStream) -> TokenStream {
    let (ty, name) = (&field.ty, Ident::new(name, at(field)));
    quote_spanned!(at(field)=> <#ty as #model::#name>)
}

/// Refuses types that may grow, and large ones, on the channels that are sent most often.
fn bound(field: &Field, channel: usize, model: &TokenStream) -> Option<TokenStream> {
    let (name, max) = BOUNDS.get(channel)?;
    let (ty, value) = (&field.ty, value(field, name, model));
    let what = format!(
        "`{}` takes more than {max} bytes, too much for the {} channel, which is sent {} times a second or more; \
         move it to #[gorc(cosmetic)] or #[gorc(metadata)]",
        plain(&field.name),
        RULES[channel].word,
        RULES[channel].lowest_hz(),
    );
    Some(quote_spanned! {at(field)=>
        const _: () = #value::BOUNDED;
        const _: () = ::core::assert!(::core::mem::size_of::<#ty>() <= #max, #what);
    })
}

fn read_pose(pose: &PoseFields, model: &TokenStream) -> TokenStream {
    if let Some(whole) = &pose.whole {
        let (name, value) = (&whole.name, value(whole, "PoseValue", model));
        return quote!(::core::option::Option::Some(#value::read(&self.#name)));
    }
    let Some(position) = &pose.position else { return quote!(::core::option::Option::None) };
    let (name, part) = (&position.name, value(position, "PositionValue", model));
    let optional = |field: &Option<Field>, key: &str, kind: &str| {
        let key = format_ident!("{key}");
        field.as_ref().map(|field| {
            let (name, part) = (&field.name, value(field, kind, model));
            quote!(#key: #part::read(&self.#name),)
        })
    };
    let velocity = optional(&pose.velocity, "velocity", "VelocityValue");
    let heading = optional(&pose.heading, "yaw", "HeadingValue");
    quote! {
        ::core::option::Option::Some(#model::Pose {
            #velocity
            #heading
            ..#model::Pose::at(#part::read(&self.#name)?)
        })
    }
}

fn write_pose(pose: &PoseFields, model: &TokenStream) -> TokenStream {
    let write = |field: &Option<Field>, kind: &str, from: TokenStream| {
        field.as_ref().map(|field| {
            let (name, part) = (&field.name, value(field, kind, model));
            quote!(#part::write(&mut self.#name, #from);)
        })
    };
    let whole = write(&pose.whole, "PoseValue", quote!(*pose));
    let position = write(&pose.position, "PositionValue", quote!(pose.position));
    let velocity = write(&pose.velocity, "VelocityValue", quote!(pose.velocity));
    let heading = write(&pose.heading, "HeadingValue", quote!(pose.yaw));
    quote!(#whole #position #velocity #heading)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// So that a crate needs no dependency but the one that exports the derive.
    #[test]
    fn generated_code_names_nothing_but_its_root_and_the_standard_library() {
        let struct_of_everything = quote! {
            #[gorc(critical(rate_hz = 60))]
            struct CrateBox {
                #[gorc(critical)] position: Position,
                #[gorc(detailed)] velocity: [f32; 3],
                #[gorc(detailed)] yaw: f32,
                #[gorc(critical)] health: u16,
                #[gorc(detailed)] stance: Stance,
                #[gorc(metadata)] title: String,
            }
        };
        for root in [quote!(::gorc), quote!(::horizon_plugin_api)] {
            let code = crate::derive(struct_of_everything.clone(), &root).to_string();
            assert!(!code.contains("compile_error"), "{code}");
            let words: Vec<&str> = code.split_whitespace().collect();
            let is_name = |word: &str| word.chars().all(|c| c.is_alphanumeric() || c == '_');
            let continues = |word: &str| word == ">" || (is_name(word) && !["as", "mut"].contains(&word));
            let begins = words.windows(3).filter(|three| {
                // A lint's name is no path.
                three[1] == "::" && !continues(three[0]) && !three[0].ends_with("clippy")
            });
            let roots: BTreeSet<&str> = begins.map(|three| three[2]).collect();
            let own = root.to_string();
            assert_eq!(roots, [own.trim_start_matches(":: "), "core", "std"].into());
        }
    }
}
