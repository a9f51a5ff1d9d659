//! The binary spelling, `horizon.v1`.
//!
//! ```text
//! message  = type byte, fields in the order of docs/protocol.md
//! number   = LEB128 in its shortest form where it is usually small, else little-endian
//! text     = length as LEB128, then UTF-8
//! payload, body = whatever is left of the message
//! ```
//!
//! Decoding is total: any bytes give a message or a [`DecodeError`] that names message, field and byte.
//! Limits are looked at before anything is allocated.

use horizon_model::{
    Cell, Channel, ChannelSpec, EntityId, Epoch, FieldSpec, ObjectSchema, PlayerId, Pose, Position,
    SessionId, Tick,
};

use super::bytes::{Reader, put_bytes, put_varint, put_zigzag};
use super::error::{DecodeError, Problem};
use super::{
    ClientMessage, Closing, ClosingReason, Event, EventName, Hello, Input, MAX_CLIENT_MESSAGE_BYTES,
    MAX_EVENT_NAME_BYTES, MAX_EVENT_NAMES, MAX_FIELDS, MAX_MOVE_SAMPLES, MAX_NAME_BYTES, MAX_SCHEMAS,
    MAX_SENTENCE_BYTES, MAX_TOKEN_BYTES, MoveSample, Progress, Refused, RefusedReason, Resume, ServerMessage,
    State, VERSION, Welcome,
};

mod kind {
    pub(super) const HELLO: u8 = 0x01;
    pub(super) const INPUT: u8 = 0x02;
    pub(super) const MOVE: u8 = 0x03;
    pub(super) const ACK: u8 = 0x04;
    pub(super) const PING: u8 = 0x05;
    pub(super) const BYE: u8 = 0x06;
    pub(super) const WELCOME: u8 = 0x81;
    pub(super) const STATE: u8 = 0x82;
    pub(super) const EVENT: u8 = 0x83;
    pub(super) const PROGRESS: u8 = 0x84;
    pub(super) const PONG: u8 = 0x85;
    pub(super) const NACK: u8 = 0x86;
    pub(super) const RESYNC: u8 = 0x87;
    pub(super) const TICKET: u8 = 0x88;
    pub(super) const REFUSED: u8 = 0x89;
    pub(super) const CLOSING: u8 = 0x8a;
}

/// Flags of a hello.
const HAS_RESUME: u8 = 1;
const HAS_SPAWN: u8 = 2;
/// Flag of a welcome.
const RESUMED: u8 = 1;
/// Flags of a state frame.
const HAS_EPOCH: u8 = 1;
const HAS_PROGRESS: u8 = 2;

// === client to server ===

/// Appends one message. What [`decode_client`] would refuse is not checked here.
pub fn encode_client(message: &ClientMessage, out: &mut Vec<u8>) {
    match message {
        ClientMessage::Hello(hello) => put_hello(hello, out),
        ClientMessage::Input(input) => {
            out.push(kind::INPUT);
            put_varint(u64::from(input.seq), out);
            put_event_name(&input.name, out);
            out.extend_from_slice(&input.payload);
        }
        ClientMessage::Move(samples) => put_move(samples, out),
        ClientMessage::Ack { events } => {
            out.push(kind::ACK);
            put_varint(u64::from(*events), out);
        }
        ClientMessage::Ping { token } => {
            out.push(kind::PING);
            out.extend_from_slice(&token.to_le_bytes());
        }
        ClientMessage::Bye => out.push(kind::BYE),
    }
}

/// Reads one message of a client.
///
/// # Errors
///
/// [`DecodeError`]; with [`Problem::Version`] for a hello of another version, whose remaining fields are
/// not looked at.
pub fn decode_client(bytes: &[u8]) -> Result<ClientMessage, DecodeError> {
    let mut r = Reader::new(bytes, "message");
    if bytes.len() > MAX_CLIENT_MESSAGE_BYTES {
        let problem = Problem::TooLong { found: bytes.len(), max: MAX_CLIENT_MESSAGE_BYTES };
        return Err(r.error("length", problem));
    }
    let message = match r.u8("type")? {
        kind::HELLO => {
            r.rename("hello");
            ClientMessage::Hello(take_hello(&mut r)?)
        }
        kind::INPUT => {
            r.rename("input");
            let seq = r.varint32("seq")?;
            let name = take_event_name(&mut r)?;
            ClientMessage::Input(Input { seq, name, payload: r.rest() })
        }
        kind::MOVE => {
            r.rename("move");
            ClientMessage::Move(take_move(&mut r)?)
        }
        kind::ACK => {
            r.rename("ack");
            ClientMessage::Ack { events: r.varint32("events")? }
        }
        kind::PING => {
            r.rename("ping");
            ClientMessage::Ping { token: r.u64("token")? }
        }
        kind::BYE => {
            r.rename("bye");
            ClientMessage::Bye
        }
        other => return Err(r.error("type", Problem::Value(u64::from(other)))),
    };
    r.finish()?;
    Ok(message)
}

fn put_hello(hello: &Hello, out: &mut Vec<u8>) {
    out.push(kind::HELLO);
    out.extend_from_slice(&hello.version.to_le_bytes());
    let resume = if hello.resume.is_some() { HAS_RESUME } else { 0 };
    let spawn = if hello.spawn.is_some() { HAS_SPAWN } else { 0 };
    out.push(resume | spawn);
    put_bytes(hello.name.as_bytes(), out);
    put_bytes(hello.token.as_bytes(), out);
    out.extend_from_slice(&hello.nonce.to_le_bytes());
    if let Some(resume) = &hello.resume {
        put_bytes(&resume.ticket, out);
        put_varint(u64::from(resume.events), out);
    }
    for axis in hello.spawn.iter().flatten() {
        out.extend_from_slice(&axis.to_le_bytes());
    }
}

fn take_hello(r: &mut Reader<'_>) -> Result<Hello, DecodeError> {
    let version = r.u16("version")?;
    if version != VERSION {
        return Err(r.error("version", Problem::Version { theirs: version }));
    }
    let flags = take_flags(r, HAS_RESUME | HAS_SPAWN)?;
    let name = r.text(MAX_NAME_BYTES, "name")?;
    let token = r.text(MAX_TOKEN_BYTES, "token")?;
    let nonce = r.u64("nonce")?;
    let resume = if flags & HAS_RESUME != 0 {
        Some(Resume { ticket: r.bytes(MAX_TOKEN_BYTES, "ticket")?.to_vec(), events: r.varint32("events")? })
    } else {
        None
    };
    let spawn =
        if flags & HAS_SPAWN != 0 { Some([r.f64("spawn")?, r.f64("spawn")?, r.f64("spawn")?]) } else { None };
    Ok(Hello { version, name, token, nonce, resume, spawn })
}

fn put_move(samples: &[MoveSample], out: &mut Vec<u8>) {
    out.push(kind::MOVE);
    put_varint(samples.len() as u64, out);
    let mut before = Tick(0);
    for MoveSample { tick, pose } in samples {
        put_varint(tick.saturating_since(before), out);
        before = *tick;
        let cell = pose.position.cell();
        for axis in [cell.x, cell.y, cell.z] {
            put_zigzag(axis, out);
        }
        for number in pose.position.local().iter().chain(&pose.velocity).chain([&pose.yaw]) {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn take_move(r: &mut Reader<'_>) -> Result<Vec<MoveSample>, DecodeError> {
    let count = r.count(MAX_MOVE_SAMPLES, "samples")?;
    let mut samples = Vec::with_capacity(count);
    let mut before = 0_u64;
    for _ in 0..count {
        let step = r.varint("tick")?;
        before = before.checked_add(step).ok_or_else(|| r.error("tick", Problem::Value(step)))?;
        let cell = Cell { x: r.zigzag32("cell")?, y: r.zigzag32("cell")?, z: r.zigzag32("cell")? };
        let local = [r.f32("local")?, r.f32("local")?, r.f32("local")?];
        let position = Position::in_cell(cell, local).ok_or_else(|| r.error("cell", Problem::NotFinite))?;
        let velocity = [r.f32("velocity")?, r.f32("velocity")?, r.f32("velocity")?];
        let yaw = r.f32("yaw")?;
        samples.push(MoveSample { tick: Tick(before), pose: Pose { position, velocity, yaw } });
    }
    Ok(samples)
}

// === server to client ===

/// Appends one message.
pub fn encode_server(message: &ServerMessage, out: &mut Vec<u8>) {
    match message {
        ServerMessage::Welcome(welcome) => put_welcome(welcome, out),
        ServerMessage::State(state) => {
            state_header(state.epoch, state.tick, state.progress, out);
            out.extend_from_slice(&state.body);
        }
        ServerMessage::Event(event) => {
            out.push(kind::EVENT);
            put_varint(u64::from(event.number), out);
            put_event_name(&event.name, out);
            out.extend_from_slice(&event.payload);
        }
        ServerMessage::Progress(progress) => {
            out.push(kind::PROGRESS);
            put_progress(*progress, out);
        }
        ServerMessage::Pong { token, grid_us } => {
            out.push(kind::PONG);
            out.extend_from_slice(&token.to_le_bytes());
            out.extend_from_slice(&grid_us.to_le_bytes());
        }
        ServerMessage::Nack { from } => {
            out.push(kind::NACK);
            put_varint(u64::from(*from), out);
        }
        ServerMessage::Resync { epoch, tick } => {
            out.push(kind::RESYNC);
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.extend_from_slice(&tick.0.to_le_bytes());
        }
        ServerMessage::Ticket(ticket) => {
            out.push(kind::TICKET);
            put_bytes(ticket, out);
        }
        ServerMessage::Refused(refused) => {
            out.extend_from_slice(&[kind::REFUSED, refused.reason as u8]);
            put_bytes(refused.message.as_bytes(), out);
        }
        ServerMessage::Closing(closing) => {
            out.extend_from_slice(&[kind::CLOSING, closing.reason as u8]);
            put_bytes(closing.message.as_bytes(), out);
        }
    }
}

/// Appends a state frame up to its body, for whoever has the body and does not want to copy it into a
/// [`State`] first: append the body and the message is complete.
pub fn state_header(epoch: Option<Epoch>, tick: Tick, progress: Option<Progress>, out: &mut Vec<u8>) {
    let has_epoch = if epoch.is_some() { HAS_EPOCH } else { 0 };
    let has_progress = if progress.is_some() { HAS_PROGRESS } else { 0 };
    out.extend_from_slice(&[kind::STATE, has_epoch | has_progress]);
    out.extend_from_slice(&(tick.0 as u16).to_le_bytes());
    if let Some(epoch) = epoch {
        out.extend_from_slice(&epoch.0.to_le_bytes());
    }
    if let Some(progress) = progress {
        put_progress(progress, out);
    }
}

/// Reads one message of a server. `reference` is the newest tick the client knows, from the welcome or
/// the frame before: the sixteen bits in a frame mean the tick nearest to it.
///
/// # Errors
///
/// [`DecodeError`].
pub fn decode_server(bytes: &[u8], reference: Tick) -> Result<ServerMessage, DecodeError> {
    let mut r = Reader::new(bytes, "message");
    let message = match r.u8("type")? {
        kind::WELCOME => {
            r.rename("welcome");
            ServerMessage::Welcome(Box::new(take_welcome(&mut r)?))
        }
        kind::STATE => {
            r.rename("state");
            let flags = take_flags(&mut r, HAS_EPOCH | HAS_PROGRESS)?;
            let tick = nearest(r.u16("tick")?, reference);
            let epoch = if flags & HAS_EPOCH != 0 { Some(Epoch(r.u64("epoch")?)) } else { None };
            let progress = if flags & HAS_PROGRESS != 0 { Some(take_progress(&mut r)?) } else { None };
            ServerMessage::State(State { epoch, tick, progress, body: r.rest() })
        }
        kind::EVENT => {
            r.rename("event");
            let number = r.varint32("number")?;
            let name = take_event_name(&mut r)?;
            ServerMessage::Event(Event { number, name, payload: r.rest() })
        }
        kind::PROGRESS => {
            r.rename("progress");
            ServerMessage::Progress(take_progress(&mut r)?)
        }
        kind::PONG => {
            r.rename("pong");
            ServerMessage::Pong { token: r.u64("token")?, grid_us: r.u64("grid_us")? }
        }
        kind::NACK => {
            r.rename("nack");
            ServerMessage::Nack { from: r.varint32("from")? }
        }
        kind::RESYNC => {
            r.rename("resync");
            ServerMessage::Resync { epoch: Epoch(r.u64("epoch")?), tick: Tick(r.u64("tick")?) }
        }
        kind::TICKET => {
            r.rename("ticket");
            ServerMessage::Ticket(r.bytes(MAX_TOKEN_BYTES, "ticket")?.to_vec())
        }
        kind::REFUSED => {
            r.rename("refused");
            let code = r.u8("reason")?;
            let reason = RefusedReason::from_code(code)
                .ok_or_else(|| r.error("reason", Problem::Value(u64::from(code))))?;
            ServerMessage::Refused(Refused { reason, message: r.text(MAX_SENTENCE_BYTES, "message")? })
        }
        kind::CLOSING => {
            r.rename("closing");
            let code = r.u8("reason")?;
            let reason = ClosingReason::from_code(code)
                .ok_or_else(|| r.error("reason", Problem::Value(u64::from(code))))?;
            ServerMessage::Closing(Closing { reason, message: r.text(MAX_SENTENCE_BYTES, "message")? })
        }
        other => return Err(r.error("type", Problem::Value(u64::from(other)))),
    };
    r.finish()?;
    Ok(message)
}

/// The tick with these low bits that is nearest to `reference`; of two equally near, the later.
fn nearest(low: u16, reference: Tick) -> Tick {
    let ahead = low.wrapping_sub(reference.0 as u16) as i16;
    let ahead = if ahead == i16::MIN { 1 << 15 } else { i64::from(ahead) };
    match reference.0.checked_add_signed(ahead) {
        Some(tick) => Tick(tick),
        None => Tick(u64::from(low)),
    }
}

fn put_welcome(welcome: &Welcome, out: &mut Vec<u8>) {
    out.push(kind::WELCOME);
    out.extend_from_slice(&welcome.version.to_le_bytes());
    out.push(if welcome.resumed { RESUMED } else { 0 });
    out.extend_from_slice(&welcome.session.0.to_le_bytes());
    out.extend_from_slice(&welcome.player.0.to_le_bytes());
    for fixed in [welcome.entity.bits(), welcome.epoch.0, welcome.tick.0] {
        out.extend_from_slice(&fixed.to_le_bytes());
    }
    for small in [welcome.rate_hz, welcome.applied, welcome.durable] {
        put_varint(u64::from(small), out);
    }
    put_bytes(&welcome.ticket, out);
    out.extend_from_slice(&welcome.tables_hash.to_le_bytes());
    put_varint(welcome.names.len() as u64, out);
    for (namespace, event) in &welcome.names {
        put_bytes(namespace.as_bytes(), out);
        put_bytes(event.as_bytes(), out);
    }
    put_varint(welcome.schemas.len() as u64, out);
    for schema in &welcome.schemas {
        put_schema(schema, out);
    }
}

fn take_welcome(r: &mut Reader<'_>) -> Result<Welcome, DecodeError> {
    let version = r.u16("version")?;
    if version != VERSION {
        return Err(r.error("version", Problem::Version { theirs: version }));
    }
    let resumed = take_flags(r, RESUMED)? & RESUMED != 0;
    let session = SessionId(r.u128("session")?);
    let player = PlayerId(r.u128("player")?);
    let entity = EntityId::from_bits(r.u64("entity")?).ok_or_else(|| r.error("entity", Problem::Value(0)))?;
    let epoch = Epoch(r.u64("epoch")?);
    let tick = Tick(r.u64("tick")?);
    let rate_hz = r.varint32("rate_hz")?;
    let applied = r.varint32("applied")?;
    let durable = r.varint32("durable")?;
    let ticket = r.bytes(MAX_TOKEN_BYTES, "ticket")?.to_vec();
    let tables_hash = r.u64("tables_hash")?;
    let count = r.count(MAX_EVENT_NAMES, "names")?;
    let mut names = Vec::new();
    for _ in 0..count {
        names.push((r.text(MAX_EVENT_NAME_BYTES, "names")?, r.text(MAX_EVENT_NAME_BYTES, "names")?));
    }
    let count = r.count(MAX_SCHEMAS, "schemas")?;
    let mut schemas = Vec::new();
    for _ in 0..count {
        schemas.push(take_schema(r)?);
    }
    Ok(Welcome {
        version,
        resumed,
        session,
        player,
        entity,
        epoch,
        tick,
        rate_hz,
        applied,
        durable,
        ticket,
        names,
        tables_hash,
        schemas,
    })
}

fn put_schema(schema: &ObjectSchema, out: &mut Vec<u8>) {
    put_bytes(schema.name.as_bytes(), out);
    for channel in &schema.channels {
        out.extend_from_slice(&channel.radius_metres.to_le_bytes());
        out.extend_from_slice(&channel.hysteresis_metres.to_le_bytes());
        put_varint(u64::from(channel.rate_hz), out);
        put_varint(u64::from(channel.precision_cm), out);
    }
    put_varint(schema.fields.len() as u64, out);
    for field in &schema.fields {
        put_bytes(field.name.as_bytes(), out);
        out.push(field.channel.index() as u8);
    }
}

fn take_schema(r: &mut Reader<'_>) -> Result<ObjectSchema, DecodeError> {
    let name = r.text(MAX_EVENT_NAME_BYTES, "schema.name")?;
    let mut channels = ChannelSpec::DEFAULT;
    for channel in &mut channels {
        *channel = ChannelSpec {
            radius_metres: r.f64("schema.radius_metres")?,
            hysteresis_metres: r.f64("schema.hysteresis_metres")?,
            rate_hz: r.varint32("schema.rate_hz")?,
            precision_cm: r.varint32("schema.precision_cm")?,
            ..*channel
        };
    }
    let count = r.count(MAX_FIELDS, "schema.fields")?;
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        let name = r.text(MAX_EVENT_NAME_BYTES, "schema.fields")?;
        let index = r.u8("schema.fields")?;
        let channel = Channel::from_index(usize::from(index))
            .ok_or_else(|| r.error("schema.fields", Problem::Value(u64::from(index))))?;
        fields.push(FieldSpec { name, channel });
    }
    Ok(ObjectSchema { name, channels, fields })
}

// === shared ===

fn put_event_name(name: &EventName, out: &mut Vec<u8>) {
    match name {
        EventName::Known(index) => put_varint(u64::from(*index) + 1, out),
        EventName::Named { namespace, event } => {
            out.push(0);
            put_bytes(namespace.as_bytes(), out);
            put_bytes(event.as_bytes(), out);
        }
    }
}

fn take_event_name(r: &mut Reader<'_>) -> Result<EventName, DecodeError> {
    let number = r.varint("name")?;
    if number == 0 {
        let namespace = r.text(MAX_EVENT_NAME_BYTES, "namespace")?;
        return Ok(EventName::Named { namespace, event: r.text(MAX_EVENT_NAME_BYTES, "event")? });
    }
    match u16::try_from(number - 1) {
        Ok(index) if usize::from(index) < MAX_EVENT_NAMES => Ok(EventName::Known(index)),
        _ => Err(r.error("name", Problem::Value(number))),
    }
}

fn put_progress(progress: Progress, out: &mut Vec<u8>) {
    put_varint(u64::from(progress.applied), out);
    put_varint(u64::from(progress.durable), out);
}

fn take_progress(r: &mut Reader<'_>) -> Result<Progress, DecodeError> {
    Ok(Progress { applied: r.varint32("applied")?, durable: r.varint32("durable")? })
}

fn take_flags(r: &mut Reader<'_>, known: u8) -> Result<u8, DecodeError> {
    let flags = r.u8("flags")?;
    if flags & !known == 0 { Ok(flags) } else { Err(r.error("flags", Problem::Value(u64::from(flags)))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_mean_the_nearest_tick() {
        for (low, reference, tick) in [
            (5, 0, 5),
            (0xffff, 0, 0xffff),
            (1, 0x1_ffff, 0x2_0001),
            (0xfffe, 0x2_0001, 0x1_fffe),
            (0x8000, 0x1_0000, 0x1_8000),
        ] {
            assert_eq!(nearest(low, Tick(reference)), Tick(tick), "{low:#x} near {reference:#x}");
        }
    }
}
