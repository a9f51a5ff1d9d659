//! What all plugins together declare: names of events, object types, and their hash.

use horizon_model::{Channel, ChannelSpec, FieldSpec, ObjectSchema};
use horizon_plugin_api::abi::INTERFACE_HASH;
use horizon_plugin_api::host::About;
use horizon_plugin_api::{ObjectType, Registration, Source};

use super::LoadError;

/// Most fields of one object type; they are numbered in one byte and masked in 32 bits.
const MAX_FIELDS: usize = 32;

/// Names and schemas, the same in every region server that loads the same plugins.
pub(super) struct Tables {
    /// Sorted, each once.
    pub(super) names: Vec<(String, String)>,
    /// By object type id; 0 is the player.
    pub(super) schemas: Vec<ObjectSchema>,
    /// Of plugins, interface, names and schemas.
    pub(super) hash: u64,
}

impl Tables {
    pub(super) fn build<'a>(
        plugins: impl Iterator<Item = (&'a About, &'a Registration)>,
    ) -> Result<Self, LoadError> {
        let mut names = Vec::new();
        let mut schemas = vec![ObjectSchema::named("player")];
        let mut hash = Fnv::new();
        hash.add(&INTERFACE_HASH.to_le_bytes());
        for (about, registration) in plugins {
            hash.text(&about.name);
            hash.text(&about.version);
            let clients = registration.handlers.iter().filter(|handler| handler.source == Source::Client);
            names.extend(clients.map(|handler| (handler.namespace.clone(), handler.event.clone())));
            names.extend(registration.emits.iter().cloned());
            let elsewhere = [Source::Player, Source::Object, Source::Undeliverable];
            for handler in registration.handlers.iter().filter(|handler| elsewhere.contains(&handler.source))
            {
                // Where one region server hears a message and another passes it on, it would get lost.
                hash.text(&format!("{:?}", handler.source));
                hash.text(&handler.namespace);
                hash.text(&handler.event);
            }
            for (name, channel) in &registration.player_fields {
                add_field(&about.name, &mut schemas[0], name, *channel, true)?;
            }
            for object in &registration.objects {
                let schema = schema_of(&about.name, object)?;
                if schemas.iter().any(|known| known.name == schema.name) {
                    let reason = format!(
                        "the object type {:?} is declared by another plugin too; rename one",
                        schema.name
                    );
                    return Err(LoadError::declaration(&about.name, reason));
                }
                schemas.push(schema);
            }
        }
        names.sort();
        names.dedup();
        for (namespace, event) in &names {
            hash.text(namespace);
            hash.text(event);
        }
        for schema in &schemas {
            hash.text(&format!("{schema:?}"));
        }
        Ok(Self { names, schemas, hash: hash.0 })
    }
}

fn schema_of(plugin: &str, object: &ObjectType) -> Result<ObjectSchema, LoadError> {
    let mut schema = ObjectSchema::named(&object.name);
    if let Some(channels) = object.channels {
        schema.channels =
            channels.map(|(radius_metres, hysteresis_metres, rate_hz, precision_cm, priority, nearest)| {
                ChannelSpec { radius_metres, hysteresis_metres, rate_hz, precision_cm, priority, nearest }
            });
        ChannelSpec::check_all(&schema.channels)
            .map_err(|error| LoadError::channels(plugin, &object.name, error))?;
    }
    for (name, channel) in &object.fields {
        add_field(plugin, &mut schema, name, *channel, false)?;
    }
    Ok(schema)
}

/// Adds a field; several plugins may declare the same field of players if they agree on its channel.
fn add_field(
    plugin: &str,
    schema: &mut ObjectSchema,
    name: &str,
    channel: u8,
    shared: bool,
) -> Result<(), LoadError> {
    let fail = |reason: String| Err(LoadError::declaration(plugin, reason));
    let Some(channel) = Channel::from_index(usize::from(channel)) else {
        return fail(format!("field {name:?} is on channel {channel}; there are 0 to 3"));
    };
    if let Some(known) = schema.fields.iter().find(|field| field.name == name) {
        if shared && known.channel == channel {
            return Ok(());
        }
        return fail(format!("field {name:?} of {:?} is declared twice; rename one", schema.name));
    }
    if schema.fields.len() == MAX_FIELDS {
        return fail(format!("{:?} has more than {MAX_FIELDS} fields; join some into one", schema.name));
    }
    schema.fields.push(FieldSpec { name: name.to_owned(), channel });
    Ok(())
}

/// FNV-1a, 64 bits: quick, fixed, and the same in every build.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// A text and its end, so that `ab` `c` differs from `a` `bc`.
    fn text(&mut self, text: &str) {
        self.add(text.as_bytes());
        self.add(&[0xff]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str) -> About {
        About { name: name.to_owned(), version: "1".to_owned() }
    }

    fn build(registrations: &[(&About, &Registration)]) -> Result<Tables, LoadError> {
        Tables::build(registrations.iter().copied())
    }

    #[test]
    fn names_are_sorted_and_players_are_type_zero() {
        let registration = Registration {
            emits: vec![("b".into(), "y".into()), ("a".into(), "z".into()), ("b".into(), "y".into())],
            player_fields: vec![("name".into(), 3)],
            objects: vec![ObjectType::new("ball").field("score", Channel::Metadata)],
            ..Registration::default()
        };
        let tables = build(&[(&about("one"), &registration)]).unwrap();
        assert_eq!(tables.names, [("a".to_owned(), "z".to_owned()), ("b".to_owned(), "y".to_owned())]);
        assert_eq!(tables.schemas[0].fields[0].name, "name");
        assert_eq!(tables.schemas[1].name, "ball");
        let other = build(&[(&about("two"), &registration)]).unwrap();
        assert_ne!(tables.hash, other.hash);
    }

    #[test]
    fn what_two_plugins_cannot_both_have_is_refused_with_the_name() {
        let ball = Registration { objects: vec![ObjectType::new("ball")], ..Registration::default() };
        let twice = build(&[(&about("one"), &ball), (&about("two"), &ball)]).err().unwrap();
        assert!(twice.to_string().contains("\"two\"") && twice.to_string().contains("\"ball\""), "{twice}");

        let field = |channel| Registration {
            player_fields: vec![("name".into(), channel)],
            ..Registration::default()
        };
        assert!(build(&[(&about("one"), &field(3)), (&about("two"), &field(3))]).is_ok());
        assert!(build(&[(&about("one"), &field(3)), (&about("two"), &field(1))]).is_err());
        assert!(build(&[(&about("one"), &field(9))]).is_err());

        let mut specs = ChannelSpec::DEFAULT;
        specs[0].rate_hz = 7;
        let odd = Registration {
            objects: vec![ObjectType::new("ball").channels(specs)],
            ..Registration::default()
        };
        assert!(build(&[(&about("one"), &odd)]).err().unwrap().to_string().contains("7 Hz"));
    }
}
