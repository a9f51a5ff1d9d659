//! The four channels: their words, and which numbers each allows.
//!
//! The same rules as `horizon_model::ChannelSpec` checks when a process starts, said where the author
//! writes. A test holds the two together.

use proc_macro2::Span;

use crate::attribute::{Entry, Value};
use crate::error::Errors;
use crate::text;

/// What one channel allows.
pub(crate) struct Rule {
    /// As in `#[gorc(critical)]`.
    pub(crate) word: &'static str,
    /// As in `Channel::Critical`.
    pub(crate) variant: &'static str,
    /// Rates in its band that divide the grid of 60, in hertz.
    rates_hz: &'static [u32],
    /// Where it ends if nothing is said, in metres.
    radius_metres: f64,
    /// What its position steps can tell, in centimetres.
    finest_cm: u32,
}

/// Coarsest precision that is told at all, in centimetres.
const COARSEST_CM: u32 = 10_000;

/// The nearest first.
pub(crate) static RULES: [Rule; 4] = [
    Rule { word: "critical", variant: "Critical", rates_hz: &[30, 60], radius_metres: 50.0, finest_cm: 6 },
    Rule {
        word: "detailed",
        variant: "Detailed",
        rates_hz: &[15, 20, 30],
        radius_metres: 150.0,
        finest_cm: 25,
    },
    Rule {
        word: "cosmetic",
        variant: "Cosmetic",
        rates_hz: &[5, 6, 10, 12, 15],
        radius_metres: 300.0,
        finest_cm: 50,
    },
    Rule {
        word: "metadata",
        variant: "Metadata",
        rates_hz: &[1, 2, 3, 4, 5],
        radius_metres: 1000.0,
        finest_cm: 50,
    },
];

/// What a field may say.
pub(crate) const FIELD_WORDS: [&str; 5] = ["critical", "detailed", "cosmetic", "metadata", "skip"];

/// The channel of this name.
pub(crate) fn index_of(word: &str) -> Option<usize> {
    RULES.iter().position(|rule| rule.word == word)
}

/// Numbers of one channel that a struct gives, each with its place; the others are the defaults.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    given: Vec<(&'static str, f64, Span)>,
}

/// Keys of [`Numbers`], as `ChannelSpec` calls them.
const KEYS: [&str; 6] =
    ["radius_metres", "hysteresis_metres", "rate_hz", "precision_cm", "priority", "nearest"];

impl Numbers {
    /// Reads `critical(rate_hz = 30, …)` of channel `rule`.
    pub(crate) fn read(rule: &Rule, entry: &Entry, errors: &mut Errors) -> Self {
        let mut numbers = Self::default();
        let Value::Entries(entries) = &entry.value else {
            let word = rule.word;
            let what = format!("a channel of a type has numbers: `{word}(rate_hz = {})`", rule.lowest_hz());
            errors.add(entry.span(), what);
            return numbers;
        };
        for entry in entries {
            let word = entry.word();
            let Some(key) = KEYS.into_iter().find(|key| *key == word) else {
                errors.add(entry.span(), text::unknown("number", &word, &KEYS));
                continue;
            };
            let Some((number, at)) = entry.number(errors) else { continue };
            if numbers.number(key).is_some() {
                errors.add(entry.span(), format!("`{key}` of the {} channel is given twice", rule.word));
            } else if let Some(what) = rule.objection(key, number) {
                errors.add(at, what);
            } else {
                numbers.given.push((key, number, at));
            }
        }
        numbers
    }

    fn number(&self, key: &str) -> Option<(f64, Span)> {
        self.given.iter().find(|(given, ..)| *given == key).map(|(_, number, at)| (*number, *at))
    }

    /// Name and value of what is given, for a literal of `ChannelSpec`.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.given.iter().map(|(key, number, _)| (*key, *number))
    }
}

impl Rule {
    /// How often it is sent at least, at full rate.
    pub(crate) const fn lowest_hz(&self) -> u32 {
        self.rates_hz[0]
    }

    /// What is wrong with a number of this channel.
    fn objection(&self, key: &str, number: f64) -> Option<String> {
        let Self { word, rates_hz, finest_cm, .. } = self;
        let is_whole = |number: f64| number.fract() == 0.0;
        match key {
            "rate_hz" if !rates_hz.iter().any(|rate| f64::from(*rate) == number) => Some(format!(
                "the {word} channel is not sent {number} times a second; choose {}",
                text::list(*rates_hz, "or")
            )),
            "precision_cm"
                if !(is_whole(number)
                    && (f64::from(*finest_cm)..=f64::from(COARSEST_CM)).contains(&number)) =>
            {
                Some(format!(
                    "the {word} channel cannot be told in {number} cm; choose {finest_cm} to {COARSEST_CM}"
                ))
            }
            "nearest" if !(is_whole(number) && (0.0..=f64::from(u32::MAX)).contains(&number)) => {
                Some("`nearest` counts objects: a whole number, 0 for no limit".to_owned())
            }
            "hysteresis_metres" if !number.is_finite() => {
                Some("`hysteresis_metres` is a number of metres, or 0".to_owned())
            }
            "radius_metres" | "priority" if !(number.is_finite() && number > 0.0) => {
                Some(format!("`{key}` is a positive number"))
            }
            _ => None,
        }
    }
}

/// Says where a channel does not reach further than the one before it.
pub(crate) fn check_order(numbers: &[Numbers; 4], errors: &mut Errors) {
    let reach = |(rule, numbers): (&'static Rule, &Numbers)| match numbers.number("radius_metres") {
        Some((metres, at)) => (rule.word, metres, Some(at)),
        None => (rule.word, rule.radius_metres, None),
    };
    let reaches: Vec<_> = RULES.iter().zip(numbers).map(reach).collect();
    for pair in reaches.windows(2) {
        let [(inner, less, inner_at), (outer, more, outer_at)] = *pair else { continue };
        // Defaults rise, so one of the two is given wherever this is wrong.
        if let (Some(at), true) = (outer_at.or(inner_at), less >= more) {
            let what = format!(
                "the {inner} channel reaches {less} m and the {outer} one {more} m; each must reach further than \
                 the one before, so choose `radius_metres` of both"
            );
            errors.add(at, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use horizon_model::{Channel, ChannelSpec, TICKS_PER_SECOND};

    use super::*;

    #[test]
    fn the_rules_are_those_of_the_model() {
        for (index, rule) in RULES.iter().enumerate() {
            let channel = Channel::from_index(index).unwrap();
            assert_eq!(format!("{channel:?}"), rule.variant);
            assert_eq!(rule.variant.to_lowercase(), rule.word);
            assert_eq!(FIELD_WORDS[index], rule.word);
            let divides = |rate: &u32| TICKS_PER_SECOND.is_multiple_of(u64::from(*rate));
            let rates: Vec<u32> = ChannelSpec::BANDS[index].clone().filter(divides).collect();
            assert_eq!(rates, rule.rates_hz, "{}", rule.word);
            assert_eq!(ChannelSpec::DEFAULT[index].radius_metres, rule.radius_metres);
            assert_eq!(ChannelSpec::FINEST_CM[index], rule.finest_cm);
        }
    }

    /// What the derive lets through, a process accepts, and the other way round.
    #[test]
    fn each_number_is_judged_as_the_model_judges_it() {
        for (index, rule) in RULES.iter().enumerate() {
            let judge = |key: &str, number: f64, change: &dyn Fn(&mut ChannelSpec)| {
                let mut specs = ChannelSpec::DEFAULT;
                change(&mut specs[index]);
                let accepted = ChannelSpec::check_all(&specs).is_ok();
                assert_eq!(rule.objection(key, number).is_none(), accepted, "{} {key} = {number}", rule.word);
            };
            for cm in [0, 1, 5, 6, 25, 49, 50, 200, COARSEST_CM, COARSEST_CM + 1] {
                judge("precision_cm", f64::from(cm), &|spec| spec.precision_cm = cm);
            }
            for priority in [0.0_f32, 0.5, 8.0, f32::INFINITY] {
                judge("priority", f64::from(priority), &|spec| spec.priority = priority);
            }
            for hysteresis in [0.0, 4.5, f64::INFINITY] {
                judge("hysteresis_metres", hysteresis, &|spec| spec.hysteresis_metres = hysteresis);
            }
        }
    }
}
