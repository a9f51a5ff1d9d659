//! Chat: `say` to the world, `whisper` to one, `nearby` to who stands around.
//!
//! | input | payload | event, to whom |
//! |---|---|---|
//! | `say` | `{text}` | `said` to everyone |
//! | `whisper` | `{to, text}`, where `to` is a player id or a display name | `whispered` to that player |
//! | `nearby` | `{text}` | `heard` to the others within 50 m |
//!
//! Whoever speaks gets `sent` `{id}`, or `refused` `{why}`. Messages are `{from, name, text, id}`,
//! and no id is used twice. Display names are also the field `name` of players.

use std::sync::Arc;

use horizon_plugin_api::{
    Channel, Component, Ctx, EventSystem, PlayerConnectedEvent, PlayerId, PluginError, SimplePlugin,
    async_trait, create_simple_plugin,
};
use serde::{Deserialize, Serialize};

/// Longest text in bytes of UTF-8; a few lines on a screen.
pub const MAX_TEXT_BYTES: usize = 500;

/// How far a voice carries, in metres.
pub const NEARBY_METRES: f64 = 50.0;

/// Payload of `say` and `nearby`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Say {
    /// What is said.
    pub text: String,
}

/// Payload of `whisper`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Whisper {
    /// A player id of 32 digits, or the display name of somebody known in this region.
    pub to: String,
    /// What is whispered.
    pub text: String,
}

/// Payload of `said`, `whispered` and `heard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub from: PlayerId,
    /// The display name.
    pub name: String,
    /// What is said.
    pub text: String,
    /// Unique: speaker and number of the message.
    pub id: String,
}

/// Payload of `sent`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The message's id.
    pub id: String,
}

/// Payload of `refused`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For the speaker to read.
    pub why: String,
}

/// What goes with a player: the display name, and how many messages there were. The count makes ids
/// unique across borders and sessions.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Speaker {
    name: String,
    messages: u64,
}

impl Component for Speaker {
    const NAME: &'static str = "chat.speaker";
    const VERSION: u32 = 1;
}

/// The plugin.
#[derive(Default)]
pub struct Chat;

#[async_trait]
impl SimplePlugin for Chat {
    fn name(&self) -> &str {
        "chat"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        events.player_field("name", Channel::Metadata).await?;
        for event in ["said", "whispered", "heard", "sent", "refused"] {
            events.emits("chat", event).await?;
        }
        events.on_core("player_connected", remember_name).await?;
        events.on_client("chat", "say", say).await?;
        events.on_client("chat", "whisper", whisper).await?;
        events.on_client("chat", "nearby", nearby).await?;
        Ok(())
    }
}

fn remember_name(cx: &mut Ctx, event: PlayerConnectedEvent) -> Result<(), PluginError> {
    cx.set_field(event.entity, "name", &event.name)?;
    cx.component_mut::<Speaker>(event.entity)?.name = event.name;
    Ok(())
}

fn say(cx: &mut Ctx, from: PlayerId, say: Say) -> Result<(), PluginError> {
    let Some(message) = compose(cx, from, say.text)? else { return Ok(()) };
    cx.broadcast("chat", "said", &message)?;
    cx.send(from, "chat", "sent", &Sent { id: message.id })
}

fn whisper(cx: &mut Ctx, from: PlayerId, whisper: Whisper) -> Result<(), PluginError> {
    let Some(to) = find(cx, &whisper.to) else {
        return refuse(cx, from, format!("nobody here is called {:?}", whisper.to));
    };
    let Some(message) = compose(cx, from, whisper.text)? else { return Ok(()) };
    match cx.send(to, "chat", "whispered", &message) {
        Err(PluginError::Unknown) => refuse(cx, from, format!("{to} is not in this world now")),
        Err(other) => Err(other),
        Ok(()) => cx.send(from, "chat", "sent", &Sent { id: message.id }),
    }
}

fn nearby(cx: &mut Ctx, from: PlayerId, say: Say) -> Result<(), PluginError> {
    let pose = cx.pose(from).ok_or(PluginError::Unknown)?;
    let Some(message) = compose(cx, from, say.text)? else { return Ok(()) };
    for (listener, _) in cx.players_within(pose.position, NEARBY_METRES) {
        if listener != from {
            match cx.send(listener, "chat", "heard", &message) {
                // Gone between two ticks: nobody is left to hear it.
                Ok(()) | Err(PluginError::Unknown) => {}
                Err(other) => return Err(other),
            }
        }
    }
    cx.send(from, "chat", "sent", &Sent { id: message.id })
}

/// Makes the next message of a player, or tells the player why not.
fn compose(cx: &mut Ctx, from: PlayerId, text: String) -> Result<Option<Message>, PluginError> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        refuse(cx, from, format!("a message has 1 to {MAX_TEXT_BYTES} bytes, this one {}", text.len()))?;
        return Ok(None);
    }
    let mut speaker = cx.component_mut::<Speaker>(from)?;
    speaker.messages += 1;
    let (name, id) = (speaker.name.clone(), format!("{from}-{}", speaker.messages));
    Ok(Some(Message { from, name, text, id }))
}

fn refuse(cx: &mut Ctx, to: PlayerId, why: String) -> Result<(), PluginError> {
    cx.send(to, "chat", "refused", &Refused { why })
}

/// An id of 32 digits is taken at its word, wherever that player is; a name must be known here.
fn find(cx: &Ctx, to: &str) -> Option<PlayerId> {
    if to.len() == 32
        && let Ok(id) = to.parse()
    {
        return Some(id);
    }
    cx.players().into_iter().find(|(_, _, name)| name == to).map(|(id, ..)| id)
}

create_simple_plugin!(Chat);

#[cfg(test)]
mod tests {
    use horizon_plugin_api::testing::Bench;
    use horizon_plugin_api::{CoreEvent, SessionId};

    use super::*;

    const ADA: PlayerId = PlayerId(1);
    const BOB: PlayerId = PlayerId(2);
    const FAR: PlayerId = PlayerId(3);

    fn bench() -> Bench {
        let mut bench = Bench::new::<Chat>("").expect("chat registers");
        for (player_id, name, x) in [(ADA, "Ada", 0.0), (BOB, "Bob", 40.0), (FAR, "Far", 60.0)] {
            let entity = bench.world.join(player_id, name, [x, 0.0, 0.0]);
            let (name, session) = (name.to_owned(), SessionId(1));
            let event = PlayerConnectedEvent { player_id, entity, name, session, spawn: None, fresh: true };
            bench.core(&CoreEvent::PlayerConnected(event)).expect("connected");
        }
        bench
    }

    fn text(text: &str) -> Say {
        Say { text: text.to_owned() }
    }

    fn refusal(bench: &mut Bench) -> String {
        bench.world.take_sent("chat", "refused")[0].read::<Refused>().why
    }

    #[test]
    fn say_reaches_everyone_and_ids_differ() {
        let mut bench = bench();
        for _ in 0..2 {
            bench.input(ADA, "chat", "say", &text("hello")).unwrap();
        }
        let sent = bench.world.sent.clone();
        let said: Vec<Message> = sent.iter().filter(|s| s.event == "said").map(|s| s.read()).collect();
        assert!(sent.iter().filter(|s| s.event == "said").all(|s| s.to.is_none()));
        assert_eq!((said[0].from, said[0].name.as_str(), said[0].text.as_str()), (ADA, "Ada", "hello"));
        assert_ne!(said[0].id, said[1].id);
        let answers = bench.world.take_sent("chat", "sent");
        assert_eq!(answers[1].to, Some(ADA));
        assert_eq!(answers[1].read::<Sent>().id, said[1].id);
    }

    #[test]
    fn whisper_finds_ids_and_names() {
        let mut bench = bench();
        for to in ["Bob".to_owned(), BOB.to_string()] {
            bench.input(ADA, "chat", "whisper", &Whisper { to, text: "psst".to_owned() }).unwrap();
            let sent = bench.world.take_sent("chat", "whispered");
            assert_eq!((sent.len(), sent[0].to), (1, Some(BOB)));
        }
        for to in ["Eve".to_owned(), PlayerId(9).to_string()] {
            bench
                .input(ADA, "chat", "whisper", &Whisper { to: to.clone(), text: "psst".to_owned() })
                .unwrap();
            let why = refusal(&mut bench);
            assert!(why.contains(&to), "{why}");
        }
    }

    #[test]
    fn nearby_ends_at_fifty_metres() {
        let mut bench = bench();
        bench.input(ADA, "chat", "nearby", &text("hello")).unwrap();
        let heard = bench.world.take_sent("chat", "heard");
        assert_eq!(heard.iter().map(|s| s.to).collect::<Vec<_>>(), [Some(BOB)]);
    }

    #[test]
    fn texts_have_a_length() {
        let mut bench = bench();
        for wrong in [String::new(), "x".repeat(MAX_TEXT_BYTES + 1)] {
            bench.input(ADA, "chat", "say", &text(&wrong)).unwrap();
            assert!(refusal(&mut bench).contains("500 bytes"));
        }
        bench.input(ADA, "chat", "say", &text(&"x".repeat(MAX_TEXT_BYTES))).unwrap();
        assert_eq!(bench.world.take_sent("chat", "said").len(), 1);
    }

    #[test]
    fn names_are_shown() {
        let bench = bench();
        let entity = bench.world.players[&ADA].0;
        assert_eq!(bench.world.fields[&(entity, "name".to_owned())], "\"Ada\"");
    }
}
