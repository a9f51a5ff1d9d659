//! Typed objects: what the derive makes of a struct, and what the compiler says of a wrong one.
#![allow(clippy::unwrap_used)]

use gorc::model::{Channel, ChannelSpec, Pose, Position};
use gorc::{FieldCodec, GorcObject, Json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
enum Stance {
    #[default]
    Standing,
    Tilted {
        degrees: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Default, GorcObject)]
#[gorc(critical(
    radius_metres = 60,
    rate_hz = 60,
    hysteresis_metres = 4,
    precision_cm = 7,
    priority = 9.5,
    nearest = 20
))]
struct CrateBox {
    #[gorc(critical)]
    position: Position,
    #[gorc(critical)]
    health: u16,
    #[gorc(detailed)]
    velocity: [f32; 3],
    #[gorc(detailed)]
    stance: Stance,
    #[gorc(cosmetic)]
    glow: f32,
    #[gorc(metadata)]
    title: String,
    #[gorc(skip)]
    private: Vec<u8>,
    #[gorc(detailed)]
    heading: f32,
}

fn place(x: f64, y: f64, z: f64) -> Position {
    Position::from_metres([x, y, z]).unwrap()
}

fn crate_box() -> CrateBox {
    CrateBox {
        position: place(12.5, -3.0, 1.0),
        health: 70,
        velocity: [1.0, 0.0, -2.0],
        stance: Stance::Tilted { degrees: 30 },
        glow: 0.25,
        title: "Mind the \"gap\"".to_owned(),
        private: vec![1, 2, 3],
        heading: 1.5,
    }
}

#[test]
fn a_struct_has_the_schema_that_it_says() {
    let schema = CrateBox::schema();
    assert_eq!(schema.name, "crate_box");
    let fields: Vec<_> = schema.fields.iter().map(|field| (field.name.as_str(), field.channel)).collect();
    let expected = [
        ("health", Channel::Critical),
        ("stance", Channel::Detailed),
        ("glow", Channel::Cosmetic),
        ("title", Channel::Metadata),
    ];
    assert_eq!(fields, expected, "the pose and what is skipped have no numbers");
    let critical = ChannelSpec {
        radius_metres: 60.0,
        hysteresis_metres: 4.0,
        rate_hz: 60,
        precision_cm: 7,
        priority: 9.5,
        nearest: 20,
    };
    assert_eq!(schema.channels[0], critical);
    assert_eq!(schema.channels[1..], ChannelSpec::DEFAULT[1..]);
    assert_eq!(ChannelSpec::check_all(&schema.channels), Ok(()));
}

#[test]
fn poses_go_in_and_out_by_the_parts_a_struct_has() {
    let pose = Pose { position: place(12.5, -3.0, 1.0), velocity: [1.0, 0.0, -2.0], yaw: 1.5 };
    assert_eq!(crate_box().pose(), Some(pose));
    let mut other = CrateBox::default();
    other.set_pose(&pose);
    assert_eq!(other.pose(), Some(pose));

    #[derive(GorcObject)]
    struct Stone {
        #[gorc(critical)]
        position: [f64; 3],
    }
    let mut stone = Stone { position: [1.0, 2.0, 3.0] };
    assert_eq!(stone.pose(), Some(Pose::at(place(1.0, 2.0, 3.0))));
    stone.set_pose(&pose);
    assert_eq!(stone.position, [12.5, -3.0, 1.0]);
    stone.position[0] = f64::NAN;
    assert_eq!(stone.pose(), None, "it is nowhere");

    #[derive(GorcObject)]
    struct Weather {
        #[gorc(metadata)]
        rain: bool,
    }
    assert_eq!((Weather { rain: true }).pose(), None);
}

#[test]
fn fields_go_out_by_number_and_come_back() {
    let sent = crate_box();
    let mut held = CrateBox { private: sent.private.clone(), ..CrateBox::default() };
    held.set_pose(&sent.pose().unwrap());
    let mut seen = Vec::new();
    sent.for_each_field(&Json, &mut |index, bytes| {
        seen.push(String::from_utf8(bytes.to_vec()).unwrap());
        assert!(held.apply(index, bytes, &Json).unwrap());
    })
    .unwrap();
    assert_eq!(seen, ["70", r#"{"Tilted":{"degrees":30}}"#, "0.25", r#""Mind the \"gap\"""#]);
    assert_eq!(held, sent);
    let fields: Vec<Vec<u8>> = sent.fields(&Json).unwrap().into_iter().flatten().collect();
    assert_eq!(fields, seen.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>());
    assert_eq!(sent.field(0, &Json).unwrap().as_deref(), Some(&b"70"[..]));
    assert_eq!(sent.field(4, &Json).unwrap(), None);
}

#[test]
fn a_value_that_does_not_fit_is_named_and_changes_nothing() {
    let mut held = crate_box();
    for bytes in [&b"70000"[..], b"", b"7 7", b"\"seven\""] {
        let error = held.apply(0, bytes, &Json).unwrap_err();
        assert_eq!(error.field, "health");
        assert!(error.to_string().starts_with("field health: "), "{error}");
    }
    assert_eq!(held, crate_box());
}

#[test]
fn an_older_mirror_reads_a_newer_build() {
    #[derive(Debug, PartialEq, Default, GorcObject)]
    #[gorc(name = "crate_box")]
    struct Older {
        #[gorc(critical)]
        health: u16,
        #[gorc(detailed)]
        stance: Stance,
    }
    let mut held = Older::default();
    let mut known = 0;
    crate_box()
        .for_each_field(&Json, &mut |index, bytes| {
            known += u8::from(held.apply(index, bytes, &Json).unwrap())
        })
        .unwrap();
    assert_eq!(known, 2);
    assert_eq!(held, Older { health: 70, stance: Stance::Tilted { degrees: 30 } });
    let (older, newer) = (Older::schema(), CrateBox::schema());
    assert_eq!(newer.prefix_hash(older.fields.len()), Some(older.hash()));
}

/// Any spelling will do, as long as both ends use it.
#[test]
fn the_caller_chooses_the_spelling() {
    struct Reversed;

    impl FieldCodec for Reversed {
        type Error = serde_json::Error;

        fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), Self::Error> {
            let mut bytes = serde_json::to_vec(value)?;
            bytes.reverse();
            out.append(&mut bytes);
            Ok(())
        }

        fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Self::Error> {
            let mut bytes = bytes.to_vec();
            bytes.reverse();
            serde_json::from_slice(&bytes)
        }
    }

    let bytes = crate_box().field(0, &Reversed).unwrap().unwrap();
    assert_eq!(bytes, b"07");
    let mut held = CrateBox::default();
    held.apply(0, &bytes, &Reversed).unwrap();
    assert_eq!(held.health, 70);
}

/// Writes what the compiler says anew with `TRYBUILD=overwrite`; the difference belongs in the same commit
/// as the change that explains it.
#[test]
fn the_compiler_says_what_to_do() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/*_pass.rs");
    for case in ["items", "words", "numbers", "types", "sizes"] {
        cases.compile_fail(format!("tests/ui/{case}.rs"));
    }
}
