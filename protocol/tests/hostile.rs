//! Bytes from anybody: every one gives a message or a typed error, and errors say where.

mod common;

use horizon_model::{Cell, Epoch, Pose, Position, Tick};
use horizon_protocol::client::{
    ClientMessage, Event, EventName, Input, MAX_CLIENT_MESSAGE_BYTES, MoveSample, Problem, Progress,
    ServerMessage, State, binary, json,
};
use proptest::prelude::*;

/// Every message in both spellings.
struct Encoded {
    client: Vec<Vec<u8>>,
    server: Vec<Vec<u8>>,
    client_text: Vec<String>,
    server_text: Vec<String>,
}

fn encoded() -> Encoded {
    let client = common::client(b"1").into_iter().map(|(_, m)| {
        let (mut bytes, mut text) = (Vec::new(), String::new());
        binary::encode_client(&m, &mut bytes);
        json::encode_client(&m, &mut text);
        (bytes, text)
    });
    let server = common::server(b"1", common::JSON_BODY).into_iter().map(|(_, m)| {
        let (mut bytes, mut text) = (Vec::new(), String::new());
        binary::encode_server(&m, &mut bytes);
        json::encode_server(&m, &mut text);
        (bytes, text)
    });
    let (client, client_text) = client.unzip();
    let (server, server_text) = server.unzip();
    Encoded { client, server, client_text, server_text }
}

#[test]
fn a_cut_message_is_truncated_and_a_longer_one_has_trailing_bytes() {
    let Encoded { client, server, .. } = encoded();
    let of_client = |bytes: &[u8]| binary::decode_client(bytes).err().map(|error| error.problem);
    let of_server = |bytes: &[u8]| binary::decode_server(bytes, Tick(0)).err().map(|error| error.problem);
    for (from_client, messages) in [(true, client), (false, server)] {
        let decode = |bytes: &[u8]| if from_client { of_client(bytes) } else { of_server(bytes) };
        for message in messages {
            let open_ended = matches!(message[0], 0x02 | 0x82 | 0x83);
            for end in 0..message.len() {
                match decode(&message[..end]) {
                    Some(problem) => {
                        assert_eq!(problem, Problem::Truncated, "{:#x} cut at {end}", message[0])
                    }
                    None => assert!(open_ended, "{:#x} cut at {end}", message[0]),
                }
            }
            let longer = [message.as_slice(), &[0]].concat();
            assert_eq!(decode(&longer), (!open_ended).then_some(Problem::Trailing(1)), "{:#x}", message[0]);
        }
    }
}

#[test]
fn errors_name_message_field_and_byte() {
    let huge = vec![0x06; MAX_CLIENT_MESSAGE_BYTES + 1];
    for (bytes, sentence) in [
        (&[][..], "message.type, byte 0: ends here"),
        (&[0x77], "message.type, byte 1: 119 is not allowed here"),
        (&[0x01, 9, 0], "hello.version, byte 3: speaks version 9, this build 1"),
        (&[0x01, 1, 0, 4], "hello.flags, byte 4: 4 is not allowed here"),
        (&[0x01, 1, 0, 0, 33], "hello.name, byte 5: 33 exceeds the limit of 32"),
        (&[0x01, 1, 0, 0, 2, 0xff, 0xff], "hello.name, byte 4: is not UTF-8"),
        (&[0x03, 9], "move.samples, byte 2: 9 exceeds the limit of 8"),
        (&[0x04, 0x80, 0x00], "ack.events, byte 2: 0 is not allowed here"),
        (&[0x04, 0xff, 0xff, 0xff, 0xff, 0x7f], "ack.events, byte 6: 34359738367 is not allowed here"),
        (&[0x06, 0x06], "bye.end, byte 1: 1 bytes follow the end of the message"),
        (&huge, "message.length, byte 0: 16385 exceeds the limit of 16384"),
    ] {
        assert_eq!(binary::decode_client(bytes).expect_err(sentence).to_string(), sentence);
    }
    let nan = [&[0x03, 1, 0, 0, 0, 0][..], &f32::NAN.to_le_bytes()].concat();
    assert_eq!(binary::decode_client(&nan).expect_err("not a number").problem, Problem::NotFinite);
}

#[test]
fn the_text_spelling_refuses_unknown_keys_of_clients_and_ignores_them_from_servers() {
    let error = json::decode_client(r#"{"t":"ack","events":1,"evnets":2}"#).expect_err("a typing error");
    assert!(error.to_string().contains("evnets"), "{error}");
    let newer = json::decode_server(r#"{"t":"nack","from":1,"why":"lost"}"#);
    assert_eq!(newer, Ok(ServerMessage::Nack { from: 1 }));
    let other =
        json::decode_client(r#"{"t":"hello","version":2,"shape":"unknown"}"#).expect_err("another version");
    assert_eq!(other.problem, Problem::Version { theirs: 2 });
    assert!(json::decode_client(r#"{"t":"jump"}"#).expect_err("unknown").to_string().contains("jump"));
}

#[test]
fn raw_json_is_kept_byte_for_byte() {
    let payload = r#"{ "b" : 1.50e0,
        "a":"\u00e9" }"#;
    let text = format!(r#"{{"t":"input","seq":7,"name":["chat","say"],"payload":{payload}}}"#);
    let Ok(ClientMessage::Input(input)) = json::decode_client(&text) else { panic!("an input") };
    assert_eq!(input.payload, payload.as_bytes());
    let mut again = String::new();
    json::encode_client(&ClientMessage::Input(input), &mut again);
    assert_eq!(again, text);
}

#[test]
fn a_deeply_nested_payload_does_not_exhaust_the_stack() {
    let nested = format!(r#"{{"t":"input","seq":1,"name":0,"payload":{}"#, "[".repeat(15_000));
    assert!(json::decode_client(&nested).is_err());
}

fn any_name() -> impl Strategy<Value = EventName> {
    prop_oneof![
        (0_u16..4096).prop_map(EventName::Known),
        ("[a-z]{0,16}", "[a-zé]{0,16}").prop_map(|(namespace, event)| EventName::Named { namespace, event }),
    ]
}

fn any_sample() -> impl Strategy<Value = MoveSample> {
    let axis = -100_000_i32..100_000;
    let local = (0_u16..3200).prop_map(|step| f32::from(step) / 64.0);
    let speed = (-3200_i16..3200).prop_map(|step| f32::from(step) / 64.0);
    (
        (axis.clone(), axis.clone(), axis),
        [local.clone(), local.clone(), local],
        [speed.clone(), speed.clone(), speed.clone()],
        speed,
    )
        .prop_map(|((x, y, z), local, velocity, yaw)| MoveSample {
            tick: Tick(0),
            pose: Pose {
                position: Position::in_cell(Cell { x, y, z }, local).expect("in range"),
                velocity,
                yaw,
            },
        })
}

fn any_client() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        (any::<u32>(), any_name(), 0_u32..9999).prop_map(|(seq, name, n)| ClientMessage::Input(Input {
            seq,
            name,
            payload: n.to_string().into_bytes()
        })),
        prop::collection::vec((any_sample(), 0_u64..99), 0..8).prop_map(|samples| {
            let mut tick = 1 << 40;
            let later = samples.into_iter().map(|(sample, step)| {
                tick += step;
                MoveSample { tick: Tick(tick), ..sample }
            });
            ClientMessage::Move(later.collect())
        }),
        any::<u32>().prop_map(|events| ClientMessage::Ack { events }),
        any::<u64>().prop_map(|token| ClientMessage::Ping { token }),
    ]
}

fn any_server() -> impl Strategy<Value = ServerMessage> {
    let progress = (any::<u32>(), any::<u32>()).prop_map(|(applied, durable)| Progress { applied, durable });
    let state =
        (prop::option::of(any::<u64>()), 0_u64..1 << 52, prop::option::of(progress.clone()), 0_u32..99);
    prop_oneof![
        state.prop_map(|(epoch, tick, progress, n)| ServerMessage::State(State {
            epoch: epoch.map(Epoch),
            tick: Tick(tick),
            progress,
            body: format!("[{n}]").into_bytes(),
        })),
        (any::<u32>(), any_name(), 0_u32..9999).prop_map(|(number, name, n)| ServerMessage::Event(Event {
            number,
            name,
            payload: n.to_string().into_bytes()
        })),
        progress.prop_map(ServerMessage::Progress),
        (any::<u64>(), any::<u64>())
            .prop_map(|(epoch, tick)| ServerMessage::Resync { epoch: Epoch(epoch), tick: Tick(tick) }),
    ]
}

proptest! {
    /// What one side writes the other reads as the same message, in both spellings.
    #[test]
    fn client_messages_read_back(message in any_client()) {
        let (mut bytes, mut text) = (Vec::new(), String::new());
        binary::encode_client(&message, &mut bytes);
        prop_assert_eq!(binary::decode_client(&bytes), Ok(message.clone()));
        json::encode_client(&message, &mut text);
        prop_assert_eq!(json::decode_client(&text), Ok(message));
    }

    #[test]
    fn server_messages_read_back(message in any_server(), drift in -30_000_i64..30_000) {
        let reference = match &message {
            ServerMessage::State(state) => Tick(state.tick.0.saturating_add_signed(drift)),
            _ => Tick(0),
        };
        let (mut bytes, mut text) = (Vec::new(), String::new());
        binary::encode_server(&message, &mut bytes);
        prop_assert_eq!(binary::decode_server(&bytes, reference), Ok(message.clone()));
        json::encode_server(&message, &mut text);
        prop_assert_eq!(json::decode_server(&text), Ok(message));
    }

    /// Nobody's bytes make a decoder panic, and what it accepts it can write again.
    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..16) {
        if let Some(first) = bytes.first_mut() {
            *first = if kind < 7 { kind } else { kind - 7 + 0x81 };
        }
        if let Ok(message) = binary::decode_client(&bytes) {
            let mut again = Vec::new();
            binary::encode_client(&message, &mut again);
            prop_assert_eq!(binary::decode_client(&again), Ok(message));
        }
        let _ = binary::decode_server(&bytes, Tick(70_000));
        let text = String::from_utf8_lossy(&bytes);
        let _ = json::decode_client(&text);
        let _ = json::decode_server(&text);
    }

    /// Valid messages with a few bytes changed, removed or repeated.
    #[test]
    fn mutated_messages_never_panic(pick in any::<prop::sample::Index>(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..6)) {
        let Encoded { client, server, client_text, server_text } = encoded();
        let mutate = |original: &[u8]| {
            let mut bytes = original.to_vec();
            for (place, value, how) in &edits {
                if bytes.is_empty() {
                    break;
                }
                let at = place.index(bytes.len());
                match how {
                    0 => bytes[at] = *value,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, *value),
                }
            }
            bytes
        };
        let _ = binary::decode_client(&mutate(&client[pick.index(client.len())]));
        let _ = binary::decode_server(&mutate(&server[pick.index(server.len())]), common::REFERENCE);
        let _ = json::decode_client(&String::from_utf8_lossy(&mutate(client_text[pick.index(client_text.len())].as_bytes())));
        let _ = json::decode_server(&String::from_utf8_lossy(&mutate(server_text[pick.index(server_text.len())].as_bytes())));
    }
}
