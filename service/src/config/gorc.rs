//! `[gorc]`: reach and rate of the four channels, by default and per object type.

use std::collections::BTreeMap;

use horizon_model::{Channel, ChannelSpec};
use toml::de::DeTable;

use super::document::{Document, Reader, suggestion};

const NAMES: [&str; 4] = ["critical", "detailed", "cosmetic", "metadata"];
const SECTIONS: [&str; 4] =
    ["gorc.channels.critical", "gorc.channels.detailed", "gorc.channels.cosmetic", "gorc.channels.metadata"];

/// `[gorc]`. Every table in it is valid: rates divide 60 and channels reach outwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Gorc {
    /// For types without an entry of their own.
    pub channels: [ChannelSpec; 4],
    /// By type name.
    pub types: BTreeMap<String, [ChannelSpec; 4]>,
}

impl Gorc {
    /// Reach and rate of the four channels of objects of type `name`.
    pub fn channels_for(&self, name: &str) -> [ChannelSpec; 4] {
        self.types.get(name).copied().unwrap_or(self.channels)
    }

    pub(super) fn read(document: &Document<'_>) -> Self {
        if let Some(table) = document.table(&["gorc"]) {
            document.only(table, "[gorc]", &["channels", "types"]);
        }
        if let Some(table) = document.table(&["gorc", "channels"]) {
            document.only(table, "[gorc.channels]", &NAMES);
        }
        let mut channels = ChannelSpec::DEFAULT;
        for channel in Channel::ALL {
            let reader = document.section(SECTIONS[channel.index()]);
            reader.check_keys();
            channels[channel.index()] = read_spec(&reader, None);
        }
        if let Err(error) = ChannelSpec::check_all(&channels) {
            let span = section_span(document.root(), &["gorc"]);
            document.problem(span, format!("[gorc.channels]: {error}"));
            channels = ChannelSpec::DEFAULT;
        }
        let types = read_types(document, &channels);
        Self { channels, types }
    }
}

fn read_types(document: &Document<'_>, defaults: &[ChannelSpec; 4]) -> BTreeMap<String, [ChannelSpec; 4]> {
    let mut types = BTreeMap::new();
    let Some(table) = document.table(&["gorc", "types"]) else {
        return types;
    };
    for (name, value) in table {
        let name_text = name.get_ref().as_ref();
        let Some(entry) = value.get_ref().as_table() else {
            let message = format!(
                "{name_text:?} in [gorc.types] is a section; write [gorc.types.{name_text}.critical]"
            );
            document.problem(name.span(), message);
            continue;
        };
        let mut specs = *defaults;
        for (channel, keys) in entry {
            let channel_text = channel.get_ref().as_ref();
            let place = NAMES.iter().position(|known| *known == channel_text);
            let (Some(index), Some(keys)) = (place, keys.get_ref().as_table()) else {
                let hint = suggestion(channel_text, &NAMES);
                document.problem(
                    channel.span(),
                    format!("unknown channel {channel_text:?} in [gorc.types.{name_text}]{hint}"),
                );
                continue;
            };
            let reader = document.reader(SECTIONS[index], Some(keys));
            reader.check_keys();
            specs[index] = read_spec(&reader, Some(&defaults[index]));
        }
        match ChannelSpec::check_all(&specs) {
            Ok(()) => {
                types.insert(name_text.to_owned(), specs);
            }
            Err(error) => document.problem(name.span(), format!("[gorc.types.{name_text}]: {error}")),
        }
    }
    types
}

/// One channel's keys; `base` stands in for keys the file does not set.
fn read_spec(reader: &Reader<'_>, base: Option<&ChannelSpec>) -> ChannelSpec {
    let read = ChannelSpec {
        radius_metres: reader.number("radius_metres"),
        hysteresis_metres: reader.number("hysteresis_metres"),
        rate_hz: reader.count("rate_hz", 1..=60),
        precision_cm: reader.count("precision_cm", 6..=10_000),
        priority: reader.number("priority") as f32,
        nearest: reader.count("nearest", 0..=65_535),
    };
    let Some(base) = base else {
        return read;
    };
    ChannelSpec {
        radius_metres: if reader.sets("radius_metres") { read.radius_metres } else { base.radius_metres },
        hysteresis_metres: if reader.sets("hysteresis_metres") {
            read.hysteresis_metres
        } else {
            base.hysteresis_metres
        },
        rate_hz: if reader.sets("rate_hz") { read.rate_hz } else { base.rate_hz },
        precision_cm: if reader.sets("precision_cm") { read.precision_cm } else { base.precision_cm },
        priority: if reader.sets("priority") { read.priority } else { base.priority },
        nearest: if reader.sets("nearest") { read.nearest } else { base.nearest },
    }
}

fn section_span(root: &DeTable<'_>, path: &[&str]) -> std::ops::Range<usize> {
    path.first().and_then(|step| root.get_key_value(*step)).map_or(0..0, |(key, _)| key.span())
}
