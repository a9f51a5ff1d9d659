//! The text spelling, `horizon.v1.json`: the same messages as JSON objects, `t` names the type.
//!
//! Ids, nonces and hashes are strings of hexadecimal digits, epochs `"generation.count"`, ticks and input
//! numbers are numbers. Payloads and bodies are JSON themselves and are kept byte for byte in both
//! directions. A client's message with an unknown key is refused, so that a typing error is seen; keys
//! that a newer server adds are ignored.

mod read;
mod text;

use std::fmt::Write;

use horizon_model::{Epoch, ObjectSchema, Tick};

use super::{
    ClientMessage, DecodeError, EventName, Hello, MAX_CLIENT_MESSAGE_BYTES, MoveSample, Problem, Progress,
    ServerMessage, Welcome,
};
use text::{hex, list, number, numbers, quote};

// === client to server ===

/// Appends one message. A payload must be JSON; anything that is not UTF-8 is written as `null`.
pub fn encode_client(message: &ClientMessage, out: &mut String) {
    match message {
        ClientMessage::Hello(hello) => put_hello(hello, out),
        ClientMessage::Input(input) => {
            put(out, format_args!(r#"{{"t":"input","seq":{},"name":"#, input.seq));
            put_event_name(&input.name, out);
            put_raw(",\"payload\":", &input.payload, out);
            out.push('}');
        }
        ClientMessage::Move(samples) => {
            out.push_str(r#"{"t":"move","samples":"#);
            list(samples, out, put_sample);
            out.push('}');
        }
        ClientMessage::Ack { events } => put(out, format_args!(r#"{{"t":"ack","events":{events}}}"#)),
        ClientMessage::Ping { token } => put(out, format_args!(r#"{{"t":"ping","token":"{token:016x}"}}"#)),
        ClientMessage::Bye => out.push_str(r#"{"t":"bye"}"#),
    }
}

/// Reads one message of a client.
///
/// # Errors
///
/// [`DecodeError`]; with [`Problem::Version`] for a hello of another version, whose remaining keys are not
/// looked at.
pub fn decode_client(text: &str) -> Result<ClientMessage, DecodeError> {
    if text.len() > MAX_CLIENT_MESSAGE_BYTES {
        let problem = Problem::TooLong { found: text.len(), max: MAX_CLIENT_MESSAGE_BYTES };
        return Err(DecodeError { message: "message", field: "length", at: 0, problem });
    }
    read::client(text)
}

fn put_hello(hello: &Hello, out: &mut String) {
    put(out, format_args!(r#"{{"t":"hello","version":{},"name":"#, hello.version));
    quote(&hello.name, out);
    out.push_str(",\"token\":");
    quote(&hello.token, out);
    put(out, format_args!(r#","nonce":"{:016x}""#, hello.nonce));
    if let Some(resume) = &hello.resume {
        out.push_str(r#","resume":{"ticket":""#);
        hex(&resume.ticket, out);
        put(out, format_args!(r#"","events":{}}}"#, resume.events));
    }
    if let Some(spawn) = &hello.spawn {
        out.push_str(",\"spawn\":");
        numbers(spawn, out);
    }
    out.push('}');
}

fn put_sample(sample: &MoveSample, out: &mut String) {
    put(out, format_args!(r#"{{"tick":{},"position":"#, sample.tick));
    numbers(&sample.pose.position.metres(), out);
    out.push_str(",\"velocity\":");
    numbers(&sample.pose.velocity, out);
    out.push_str(",\"yaw\":");
    number(sample.pose.yaw, out);
    out.push('}');
}

// === server to client ===

/// Appends one message. Payloads and bodies must be JSON; anything that is not UTF-8 is written as `null`.
pub fn encode_server(message: &ServerMessage, out: &mut String) {
    match message {
        ServerMessage::Welcome(welcome) => put_welcome(welcome, out),
        ServerMessage::State(state) => wrap_state(state.epoch, state.tick, state.progress, &state.body, out),
        ServerMessage::Event(event) => {
            put(out, format_args!(r#"{{"t":"event","number":{},"name":"#, event.number));
            put_event_name(&event.name, out);
            put_raw(",\"payload\":", &event.payload, out);
            out.push('}');
        }
        ServerMessage::Progress(Progress { applied, durable }) => {
            put(out, format_args!(r#"{{"t":"progress","applied":{applied},"durable":{durable}}}"#));
        }
        ServerMessage::Pong { token, grid_us } => {
            put(out, format_args!(r#"{{"t":"pong","token":"{token:016x}","grid_us":{grid_us}}}"#));
        }
        ServerMessage::Nack { from } => put(out, format_args!(r#"{{"t":"nack","from":{from}}}"#)),
        ServerMessage::Resync { epoch, tick } => {
            put(out, format_args!(r#"{{"t":"resync","epoch":"{epoch}","tick":{tick}}}"#));
        }
        ServerMessage::Ticket(ticket) => {
            out.push_str(r#"{"t":"ticket","ticket":""#);
            hex(ticket, out);
            out.push_str("\"}");
        }
        ServerMessage::Refused(refused) => {
            put(out, format_args!(r#"{{"t":"refused","reason":"{}","message":"#, refused.reason.word()));
            quote(&refused.message, out);
            out.push('}');
        }
        ServerMessage::Closing(closing) => {
            put(out, format_args!(r#"{{"t":"closing","reason":"{}","message":"#, closing.reason.word()));
            quote(&closing.message, out);
            out.push('}');
        }
    }
}

/// Appends a state frame around a body that the caller does not understand, without copying it into a
/// message first.
pub fn wrap_state(
    epoch: Option<Epoch>,
    tick: Tick,
    progress: Option<Progress>,
    body: &[u8],
    out: &mut String,
) {
    put(out, format_args!(r#"{{"t":"state","tick":{tick}"#));
    if let Some(epoch) = epoch {
        put(out, format_args!(r#","epoch":"{epoch}""#));
    }
    if let Some(Progress { applied, durable }) = progress {
        put(out, format_args!(r#","applied":{applied},"durable":{durable}"#));
    }
    put_raw(",\"body\":", body, out);
    out.push('}');
}

/// Reads one message of a server.
///
/// # Errors
///
/// [`DecodeError`].
pub fn decode_server(text: &str) -> Result<ServerMessage, DecodeError> {
    read::server(text)
}

fn put_welcome(welcome: &Welcome, out: &mut String) {
    let Welcome { version, resumed, session, player, entity, epoch, tick, rate_hz, applied, durable, .. } =
        welcome;
    put(
        out,
        format_args!(r#"{{"t":"welcome","version":{version},"resumed":{resumed},"session":"{session}""#),
    );
    put(out, format_args!(r#","player":"{player}","entity":"{entity}","epoch":"{epoch}","tick":{tick}"#));
    put(out, format_args!(r#","rate_hz":{rate_hz},"applied":{applied},"durable":{durable},"ticket":""#));
    hex(&welcome.ticket, out);
    put(out, format_args!(r#"","tables_hash":"{:016x}","names":"#, welcome.tables_hash));
    list(&welcome.names, out, |(namespace, event), out| {
        out.push('[');
        quote(namespace, out);
        out.push(',');
        quote(event, out);
        out.push(']');
    });
    out.push_str(",\"schemas\":");
    list(&welcome.schemas, out, put_schema);
    out.push('}');
}

fn put_schema(schema: &ObjectSchema, out: &mut String) {
    out.push_str("{\"name\":");
    quote(&schema.name, out);
    out.push_str(",\"channels\":");
    list(&schema.channels, out, |channel, out| {
        out.push_str("{\"radius_metres\":");
        number(channel.radius_metres, out);
        out.push_str(",\"hysteresis_metres\":");
        number(channel.hysteresis_metres, out);
        put(out, format_args!(r#","rate_hz":{},"precision_cm":{}}}"#, channel.rate_hz, channel.precision_cm));
    });
    out.push_str(",\"fields\":");
    list(&schema.fields, out, |field, out| {
        out.push_str("{\"name\":");
        quote(&field.name, out);
        put(out, format_args!(r#","channel":{}}}"#, field.channel.index()));
    });
    out.push('}');
}

// === shared ===

fn put_event_name(name: &EventName, out: &mut String) {
    match name {
        EventName::Known(index) => put(out, format_args!("{index}")),
        EventName::Named { namespace, event } => {
            out.push('[');
            quote(namespace, out);
            out.push(',');
            quote(event, out);
            out.push(']');
        }
    }
}

/// JSON that somebody else wrote, as it is.
fn put_raw(key: &str, json: &[u8], out: &mut String) {
    out.push_str(key);
    match std::str::from_utf8(json) {
        Ok(text) if !text.is_empty() => out.push_str(text),
        _ => out.push_str("null"),
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a string cannot fail");
}
