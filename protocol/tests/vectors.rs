//! The golden vectors: both spellings of every message, held to the codecs in both directions and to
//! `docs/protocol.md`.

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;

use horizon_protocol::client::{ClientMessage, ServerMessage, binary, json};
use serde_json::{Value, json};

/// `{"text":"hi"}` in MessagePack.
const MESSAGE_PACK: &[u8] = b"\x81\xa4text\xa2hi";
const JSON: &[u8] = br#"{"text": "hi"}"#;
const BINARY_BODY: &[u8] = &[0x01, 0x02, 0x03];

fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// The meaning of a message: its text spelling, where a binary payload or body is `{"hex": …}`.
fn meaning(text: &str, opaque: Option<(&str, &[u8])>) -> Value {
    let mut meaning: Value = serde_json::from_str(text).expect("the text spelling is JSON");
    if let Some((key, bytes)) = opaque {
        meaning[key] = json!({ "hex": hex(bytes) });
    }
    meaning
}

fn client_meaning(message: &ClientMessage, opaque: bool) -> Value {
    let mut text = String::new();
    match message {
        ClientMessage::Input(input) if opaque => {
            let bare = ClientMessage::Input(horizon_protocol::client::Input {
                payload: Vec::new(),
                ..input.clone()
            });
            json::encode_client(&bare, &mut text);
            meaning(&text, Some(("payload", &input.payload)))
        }
        other => {
            json::encode_client(other, &mut text);
            meaning(&text, None)
        }
    }
}

fn server_meaning(message: &ServerMessage, opaque: bool) -> Value {
    let (mut text, mut bare) = (String::new(), message.clone());
    let hidden = match &mut bare {
        ServerMessage::Event(event) if opaque => Some(("payload", std::mem::take(&mut event.payload))),
        ServerMessage::State(state) if opaque => Some(("body", std::mem::take(&mut state.body))),
        _ => None,
    };
    json::encode_server(&bare, &mut text);
    meaning(&text, hidden.as_ref().map(|(key, bytes)| (*key, bytes.as_slice())))
}

fn built() -> Vec<Value> {
    let mut vectors = Vec::new();
    for (name, message) in common::client(MESSAGE_PACK) {
        let mut bytes = Vec::new();
        binary::encode_client(&message, &mut bytes);
        vectors.push(json!({ "name": name, "direction": "client", "spelling": "binary", "hex": hex(&bytes),
            "meaning": client_meaning(&message, true) }));
    }
    for (name, message) in common::client(JSON) {
        let mut text = String::new();
        json::encode_client(&message, &mut text);
        vectors.push(json!({ "name": name, "direction": "client", "spelling": "json", "text": text,
            "meaning": client_meaning(&message, false) }));
    }
    for (name, message) in common::server(MESSAGE_PACK, BINARY_BODY) {
        let mut bytes = Vec::new();
        binary::encode_server(&message, &mut bytes);
        vectors.push(json!({ "name": name, "direction": "server", "spelling": "binary", "hex": hex(&bytes),
            "reference_tick": common::REFERENCE.0, "meaning": server_meaning(&message, true) }));
    }
    for (name, message) in common::server(JSON, common::JSON_BODY) {
        let mut text = String::new();
        json::encode_server(&message, &mut text);
        vectors.push(json!({ "name": name, "direction": "server", "spelling": "json", "text": text,
            "meaning": server_meaning(&message, false) }));
    }
    vectors
}

fn stored() -> Vec<Value> {
    let text =
        std::fs::read_to_string(path("vectors/client.json")).expect("the vectors are part of the repository");
    serde_json::from_str(&text).expect("a JSON array")
}

#[test]
fn encoding_gives_the_vectors() {
    let (built, stored) = (built(), stored());
    assert_eq!(built.len(), stored.len(), "a vector is missing; see write_vectors");
    for (built, stored) in built.iter().zip(&stored) {
        assert_eq!(built, stored);
    }
}

#[test]
fn decoding_the_vectors_gives_their_meaning() {
    for vector in stored() {
        let text = |key: &str| vector[key].as_str().unwrap_or_default().to_owned();
        let found = match (text("direction").as_str(), text("spelling").as_str()) {
            ("client", "binary") => {
                client_meaning(&binary::decode_client(&unhex(&text("hex"))).expect("valid"), true)
            }
            ("client", "json") => client_meaning(&json::decode_client(&text("text")).expect("valid"), false),
            ("server", "binary") => server_meaning(
                &binary::decode_server(&unhex(&text("hex")), common::REFERENCE).expect("valid"),
                true,
            ),
            ("server", "json") => server_meaning(&json::decode_server(&text("text")).expect("valid"), false),
            other => panic!("unknown direction or spelling {other:?}"),
        };
        assert_eq!(found, vector["meaning"], "{}", vector["name"]);
    }
}

#[test]
fn the_page_names_every_message_and_every_vector() {
    let page = std::fs::read_to_string(path("../docs/protocol.md")).expect("the page exists");
    let mut words = BTreeSet::new();
    for vector in stored() {
        words.insert(format!("`{}`", vector["name"].as_str().expect("a name")));
        words.insert(format!("`{}`", vector["meaning"]["t"].as_str().expect("a type")));
        if let Some(hex) = vector["hex"].as_str() {
            words.insert(format!("`0x{}`", &hex[..2]));
        }
    }
    let missing: Vec<_> = words.iter().filter(|word| !page.contains(word.as_str())).collect();
    assert!(missing.is_empty(), "docs/protocol.md does not mention {missing:?}");
}

#[test]
fn the_page_contains_the_whole_body_format() {
    let page = std::fs::read_to_string(path("../docs/protocol.md")).expect("the page exists");
    let body = std::fs::read_to_string(path("../gorc/WIRE.md")).expect("the body format exists");
    let lines = body.lines().skip_while(|line| *line != "## Meaning").filter(|line| !line.starts_with('#'));
    let missing: Vec<_> = lines.filter(|line| !page.contains(line)).collect();
    assert!(
        missing.is_empty(),
        "section 7 of docs/protocol.md lacks these lines of gorc/WIRE.md: {missing:#?}"
    );
}

/// Run with `--ignored` after a deliberate change of the protocol, and read the difference.
#[test]
#[ignore = "rewrites the golden vectors"]
fn write_vectors() {
    let lines: Vec<_> = built().iter().map(|vector| format!("  {vector}")).collect();
    std::fs::write(path("vectors/client.json"), format!("[\n{}\n]\n", lines.join(",\n"))).expect("writable");
}
