//! From text to messages: one struct per type with the keys as they are written, then the limits.

use std::borrow::Cow;
use std::str::FromStr;

use horizon_model::{Channel, ChannelSpec, Epoch, FieldSpec, ObjectSchema, Pose, Position, Tick};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::unhex;
use crate::client::{
    ClientMessage, Closing, ClosingReason, DecodeError, Event, EventName, Hello, Input, MAX_EVENT_NAME_BYTES,
    MAX_EVENT_NAMES, MAX_FIELDS, MAX_MOVE_SAMPLES, MAX_NAME_BYTES, MAX_SCHEMAS, MAX_SENTENCE_BYTES,
    MAX_TOKEN_BYTES, MoveSample, Problem, Progress, Refused, RefusedReason, Resume, ServerMessage, State,
    VERSION, Welcome,
};

type Text<'a> = Cow<'a, str>;

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    t: Text<'a>,
    version: Option<u16>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NameText<'a> {
    Known(u16),
    Named(#[serde(borrow)] [Text<'a>; 2]),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HelloText<'a> {
    #[serde(rename = "t")]
    _t: Text<'a>,
    version: u16,
    name: Text<'a>,
    token: Text<'a>,
    nonce: Text<'a>,
    #[serde(borrow)]
    resume: Option<ResumeText<'a>>,
    spawn: Option<[f64; 3]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeText<'a> {
    #[serde(borrow)]
    ticket: Text<'a>,
    events: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputText<'a> {
    #[serde(rename = "t")]
    _t: Text<'a>,
    seq: u32,
    #[serde(borrow)]
    name: NameText<'a>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveText<'a> {
    #[serde(rename = "t")]
    _t: Text<'a>,
    samples: Vec<SampleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleText {
    tick: u64,
    position: [f64; 3],
    velocity: [f32; 3],
    yaw: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AckText<'a> {
    #[serde(rename = "t")]
    _t: Text<'a>,
    events: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PingText<'a> {
    #[serde(rename = "t")]
    _t: Text<'a>,
    token: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByeText<'a> {
    #[serde(rename = "t")]
    _t: Text<'a>,
}

#[derive(Deserialize)]
struct WelcomeText<'a> {
    version: u16,
    resumed: bool,
    session: Text<'a>,
    player: Text<'a>,
    entity: Text<'a>,
    epoch: Text<'a>,
    tick: u64,
    rate_hz: u32,
    applied: u32,
    durable: u32,
    ticket: Text<'a>,
    tables_hash: Text<'a>,
    names: Vec<[Text<'a>; 2]>,
    #[serde(borrow)]
    schemas: Vec<SchemaText<'a>>,
}

#[derive(Deserialize)]
struct SchemaText<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    channels: [ChannelText; 4],
    fields: Vec<FieldText<'a>>,
}

#[derive(Deserialize)]
struct ChannelText {
    radius_metres: f64,
    hysteresis_metres: f64,
    rate_hz: u32,
    precision_cm: u32,
}

#[derive(Deserialize)]
struct FieldText<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    channel: u8,
}

#[derive(Deserialize)]
struct StateText<'a> {
    tick: u64,
    #[serde(borrow)]
    epoch: Option<Text<'a>>,
    applied: Option<u32>,
    durable: Option<u32>,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct EventText<'a> {
    number: u32,
    #[serde(borrow)]
    name: NameText<'a>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct ProgressText {
    applied: u32,
    durable: u32,
}

#[derive(Deserialize)]
struct PongText<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    grid_us: u64,
}

#[derive(Deserialize)]
struct NackText {
    from: u32,
}

#[derive(Deserialize)]
struct ResyncText<'a> {
    #[serde(borrow)]
    epoch: Text<'a>,
    tick: u64,
}

#[derive(Deserialize)]
struct TicketText<'a> {
    #[serde(borrow)]
    ticket: Text<'a>,
}

#[derive(Deserialize)]
struct EndText<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
}

pub(super) fn client(text: &str) -> Result<ClientMessage, DecodeError> {
    let head: Head<'_> = parse(text, "message")?;
    Ok(match &*head.t {
        "hello" => {
            check_version(head.version, "hello")?;
            ClientMessage::Hello(hello(parse(text, "hello")?)?)
        }
        "input" => {
            let InputText { seq, name, payload, .. } = parse(text, "input")?;
            let name = event_name(name, "input")?;
            ClientMessage::Input(Input { seq, name, payload: payload.get().as_bytes().to_vec() })
        }
        "move" => {
            let MoveText { samples, .. } = parse(text, "move")?;
            limit(samples.len(), MAX_MOVE_SAMPLES, "move", "samples")?;
            ClientMessage::Move(samples.iter().map(sample).collect::<Result<_, _>>()?)
        }
        "ack" => ClientMessage::Ack { events: parse::<AckText<'_>>(text, "ack")?.events },
        "ping" => {
            let PingText { token, .. } = parse(text, "ping")?;
            ClientMessage::Ping { token: hex64(&token, "ping", "token")? }
        }
        "bye" => {
            parse::<ByeText<'_>>(text, "bye")?;
            ClientMessage::Bye
        }
        other => return Err(unknown_type(other)),
    })
}

pub(super) fn server(text: &str) -> Result<ServerMessage, DecodeError> {
    let head: Head<'_> = parse(text, "message")?;
    Ok(match &*head.t {
        "welcome" => {
            check_version(head.version, "welcome")?;
            ServerMessage::Welcome(Box::new(welcome(parse(text, "welcome")?)?))
        }
        "state" => {
            let StateText { tick, epoch: text, applied, durable, body } = parse(text, "state")?;
            let epoch = text.map(|text| epoch(&text, "state")).transpose()?;
            let progress = match (applied, durable) {
                (Some(applied), Some(durable)) => Some(Progress { applied, durable }),
                (None, None) => None,
                _ => {
                    return Err(at(
                        "state",
                        "applied",
                        words("comes without durable, or durable without it"),
                    ));
                }
            };
            ServerMessage::State(State {
                epoch,
                tick: Tick(tick),
                progress,
                body: body.get().as_bytes().to_vec(),
            })
        }
        "event" => {
            let EventText { number, name, payload } = parse(text, "event")?;
            let name = event_name(name, "event")?;
            ServerMessage::Event(Event { number, name, payload: payload.get().as_bytes().to_vec() })
        }
        "progress" => {
            let ProgressText { applied, durable } = parse(text, "progress")?;
            ServerMessage::Progress(Progress { applied, durable })
        }
        "pong" => {
            let PongText { token, grid_us } = parse(text, "pong")?;
            ServerMessage::Pong { token: hex64(&token, "pong", "token")?, grid_us }
        }
        "nack" => ServerMessage::Nack { from: parse::<NackText>(text, "nack")?.from },
        "resync" => {
            let ResyncText { epoch: text, tick } = parse(text, "resync")?;
            ServerMessage::Resync { epoch: epoch(&text, "resync")?, tick: Tick(tick) }
        }
        "ticket" => {
            let TicketText { ticket: text } = parse(text, "ticket")?;
            ServerMessage::Ticket(ticket(&text, "ticket")?)
        }
        "refused" => {
            let EndText { reason, message } = parse(text, "refused")?;
            let known = RefusedReason::ALL.into_iter().find(|known| known.word() == reason);
            let reason = known.ok_or_else(|| at("refused", "reason", words("is not a known reason")))?;
            ServerMessage::Refused(Refused { reason, message: sentence(&message, "refused")? })
        }
        "closing" => {
            let EndText { reason, message } = parse(text, "closing")?;
            let known = ClosingReason::ALL.into_iter().find(|known| known.word() == reason);
            let reason = known.ok_or_else(|| at("closing", "reason", words("is not a known reason")))?;
            ServerMessage::Closing(Closing { reason, message: sentence(&message, "closing")? })
        }
        other => return Err(unknown_type(other)),
    })
}

fn hello(text: HelloText<'_>) -> Result<Hello, DecodeError> {
    limit(text.name.len(), MAX_NAME_BYTES, "hello", "name")?;
    limit(text.token.len(), MAX_TOKEN_BYTES, "hello", "token")?;
    let nonce = hex64(&text.nonce, "hello", "nonce")?;
    let resume = match text.resume {
        Some(resume) => Some(Resume { ticket: ticket(&resume.ticket, "hello")?, events: resume.events }),
        None => None,
    };
    Ok(Hello {
        version: text.version,
        name: text.name.into_owned(),
        token: text.token.into_owned(),
        nonce,
        resume,
        spawn: text.spawn,
    })
}

fn sample(text: &SampleText) -> Result<MoveSample, DecodeError> {
    let position =
        Position::from_metres(text.position).ok_or_else(|| at("move", "position", Problem::NotFinite))?;
    let pose = Pose { position, velocity: text.velocity, yaw: text.yaw };
    if !pose.is_finite() {
        return Err(at("move", "velocity", Problem::NotFinite));
    }
    Ok(MoveSample { tick: Tick(text.tick), pose })
}

fn welcome(text: WelcomeText<'_>) -> Result<Welcome, DecodeError> {
    limit(text.names.len(), MAX_EVENT_NAMES, "welcome", "names")?;
    limit(text.schemas.len(), MAX_SCHEMAS, "welcome", "schemas")?;
    let short = |text: Text<'_>| -> Result<String, DecodeError> {
        limit(text.len(), MAX_EVENT_NAME_BYTES, "welcome", "names")?;
        Ok(text.into_owned())
    };
    let names = text.names.into_iter().map(|[namespace, event]| Ok((short(namespace)?, short(event)?)));
    Ok(Welcome {
        version: text.version,
        resumed: text.resumed,
        session: id(&text.session, "welcome", "session")?,
        player: id(&text.player, "welcome", "player")?,
        entity: id(&text.entity, "welcome", "entity")?,
        epoch: epoch(&text.epoch, "welcome")?,
        tick: Tick(text.tick),
        rate_hz: text.rate_hz,
        applied: text.applied,
        durable: text.durable,
        ticket: ticket(&text.ticket, "welcome")?,
        names: names.collect::<Result<_, DecodeError>>()?,
        tables_hash: hex64(&text.tables_hash, "welcome", "tables_hash")?,
        schemas: text.schemas.into_iter().map(schema).collect::<Result<_, _>>()?,
    })
}

fn schema(text: SchemaText<'_>) -> Result<ObjectSchema, DecodeError> {
    limit(text.name.len(), MAX_EVENT_NAME_BYTES, "welcome", "schema.name")?;
    limit(text.fields.len(), MAX_FIELDS, "welcome", "schema.fields")?;
    let mut channels = ChannelSpec::DEFAULT;
    for (spec, channel) in channels.iter_mut().zip(text.channels) {
        *spec = ChannelSpec {
            radius_metres: channel.radius_metres,
            hysteresis_metres: channel.hysteresis_metres,
            rate_hz: channel.rate_hz,
            precision_cm: channel.precision_cm,
            ..*spec
        };
    }
    let field = |field: FieldText<'_>| {
        limit(field.name.len(), MAX_EVENT_NAME_BYTES, "welcome", "schema.fields")?;
        let channel = Channel::from_index(usize::from(field.channel))
            .ok_or_else(|| at("welcome", "schema.fields", Problem::Value(u64::from(field.channel))))?;
        Ok(FieldSpec { name: field.name.into_owned(), channel })
    };
    let fields = text.fields.into_iter().map(field).collect::<Result<_, DecodeError>>()?;
    Ok(ObjectSchema { name: text.name.into_owned(), channels, fields })
}

fn event_name(text: NameText<'_>, message: &'static str) -> Result<EventName, DecodeError> {
    match text {
        NameText::Known(index) if usize::from(index) < MAX_EVENT_NAMES => Ok(EventName::Known(index)),
        NameText::Known(index) => Err(at(message, "name", Problem::Value(u64::from(index)))),
        NameText::Named([namespace, event]) => {
            limit(namespace.len(), MAX_EVENT_NAME_BYTES, message, "namespace")?;
            limit(event.len(), MAX_EVENT_NAME_BYTES, message, "event")?;
            Ok(EventName::Named { namespace: namespace.into_owned(), event: event.into_owned() })
        }
    }
}

fn ticket(text: &str, message: &'static str) -> Result<Vec<u8>, DecodeError> {
    limit(text.len() / 2, MAX_TOKEN_BYTES, message, "ticket")?;
    unhex(text).ok_or_else(|| at(message, "ticket", words("is not pairs of hexadecimal digits")))
}

fn sentence(text: &str, message: &'static str) -> Result<String, DecodeError> {
    limit(text.len(), MAX_SENTENCE_BYTES, message, "message")?;
    Ok(text.to_owned())
}

/// Reads `"generation.count"`.
fn epoch(text: &str, message: &'static str) -> Result<Epoch, DecodeError> {
    let parts = text.split_once('.').and_then(|(generation, count)| {
        let (generation, count) = (generation.parse::<u16>().ok()?, count.parse::<u64>().ok()?);
        (count < 1 << 48).then(|| Epoch::new(generation, count))
    });
    parts.ok_or_else(|| at(message, "epoch", words("is not \"generation.count\"")))
}

fn hex64(text: &str, message: &'static str, field: &'static str) -> Result<u64, DecodeError> {
    match u64::from_str_radix(text, 16) {
        Ok(value) if !text.starts_with('+') => Ok(value),
        _ => Err(at(message, field, words("is not up to 16 hexadecimal digits"))),
    }
}

fn id<T: FromStr>(text: &str, message: &'static str, field: &'static str) -> Result<T, DecodeError>
where
    T::Err: ToString,
{
    text.parse().map_err(|error: T::Err| at(message, field, Problem::Json(error.to_string())))
}

fn check_version(version: Option<u16>, message: &'static str) -> Result<(), DecodeError> {
    match version {
        Some(theirs) if theirs != VERSION => Err(at(message, "version", Problem::Version { theirs })),
        _ => Ok(()),
    }
}

fn limit(found: usize, max: usize, message: &'static str, field: &'static str) -> Result<(), DecodeError> {
    if found > max { Err(at(message, field, Problem::TooLong { found, max })) } else { Ok(()) }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str, message: &'static str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| {
        let before: usize =
            text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let at = before + error.column().saturating_sub(1);
        DecodeError { message, field: "text", at, problem: Problem::Json(error.to_string()) }
    })
}

fn unknown_type(found: &str) -> DecodeError {
    let shown: String = found.chars().take(32).collect();
    at("message", "t", Problem::Json(format!("{shown:?} is not a known message type")))
}

fn words(problem: &str) -> Problem {
    Problem::Json(problem.to_owned())
}

const fn at(message: &'static str, field: &'static str, problem: Problem) -> DecodeError {
    DecodeError { message, field, at: 0, problem }
}
