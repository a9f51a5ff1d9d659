//! Ledger: proves that every input was applied exactly once and in order.
//!
//! It chains a hash over every reliable input of a session: number, name and payload. A client that
//! keeps the same chain asks for `report` and compares. The account goes with the player, so the
//! proof holds across borders and crashes.
//!
//! | input | payload | event |
//! |---|---|---|
//! | `report` | anything | `report` with a [`Report`], in which this input is counted too |
//! | `note` | anything | none; there to be counted |

use std::sync::Arc;

use horizon_plugin_api::{
    ClientInputEvent, Component, Ctx, EventSystem, PlayerConnectedEvent, PlayerId, PluginError,
    RawClientMessageEvent, SessionId, SimplePlugin, async_trait, create_simple_plugin,
};
use serde::{Deserialize, Serialize};

/// Where every chain begins: the offset of FNV-1a with 64 bits.
pub const CHAIN_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The chain after one more input: FNV-1a over the chain so far (8 bytes, little-endian), the
/// number (4 bytes, little-endian), `namespace/event`, and the payload as the client spelled it.
pub fn chain_next(chain: u64, seq: u32, namespace: &str, event: &str, payload: &[u8]) -> u64 {
    let parts: [&[u8]; 6] =
        [&chain.to_le_bytes(), &seq.to_le_bytes(), namespace.as_bytes(), b"/", event.as_bytes(), payload];
    let bytes = parts.into_iter().flatten();
    bytes.fold(CHAIN_START, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The inputs of one session, as they were applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The session the numbers belong to.
    session: Option<SessionId>,
    /// Inputs applied.
    count: u64,
    /// Highest number applied.
    last_seq: u32,
    /// The chain over all of them.
    chain: u64,
    /// Inputs that came with the number of the one before.
    repeated: u64,
    /// Numbers that never came before a higher one did.
    skipped: u64,
    /// Inputs with a lower number than one before.
    backwards: u64,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            session: None,
            count: 0,
            last_seq: 0,
            chain: CHAIN_START,
            repeated: 0,
            skipped: 0,
            backwards: 0,
        }
    }
}

impl Component for Account {
    const NAME: &'static str = "ledger.account";
    const VERSION: u32 = 1;
}

impl Account {
    fn enter(&mut self, input: &ClientInputEvent) {
        self.count += 1;
        self.chain = chain_next(self.chain, input.seq, &input.namespace, &input.event, &input.data);
        if input.seq > self.last_seq {
            self.skipped += u64::from(input.seq - self.last_seq - 1);
            self.last_seq = input.seq;
        } else if input.seq == self.last_seq {
            self.repeated += 1;
        } else {
            self.backwards += 1;
        }
    }
}

/// Payload of the event `report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Inputs applied in this session.
    pub count: u64,
    /// Highest number applied.
    pub last_seq: u32,
    /// The chain, as 16 hexadecimal digits.
    pub chain: String,
    /// Inputs that came with the number of the one before.
    pub repeated: u64,
    /// Numbers that never came before a higher one did.
    pub skipped: u64,
    /// Inputs with a lower number than one before.
    pub backwards: u64,
}

/// The plugin.
#[derive(Default)]
pub struct Ledger;

#[async_trait]
impl SimplePlugin for Ledger {
    fn name(&self) -> &str {
        "ledger"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        events.emits("ledger", "report").await?;
        events
            .on_core("player_connected", |cx: &mut Ctx, event: PlayerConnectedEvent| begin(cx, &event))
            .await?;
        events
            .on_core("client_input", |cx: &mut Ctx, input: ClientInputEvent| {
                cx.component_mut::<Account>(input.player_id)?.enter(&input);
                Ok(())
            })
            .await?;
        events
            .on_client("ledger", "report", |cx: &mut Ctx, event: RawClientMessageEvent| {
                report(cx, event.player_id)
            })
            .await?;
        events.on_client("ledger", "note", |_: RawClientMessageEvent| Ok(())).await?;
        Ok(())
    }
}

/// A new session numbers its inputs from 1 again; the same session goes on.
fn begin(cx: &mut Ctx, event: &PlayerConnectedEvent) -> Result<(), PluginError> {
    let mut account = cx.component_mut::<Account>(event.entity)?;
    if account.session != Some(event.session) {
        *account = Account { session: Some(event.session), ..Account::default() };
    }
    Ok(())
}

fn report(cx: &mut Ctx, to: PlayerId) -> Result<(), PluginError> {
    let account = cx.component::<Account>(to)?.unwrap_or_default();
    let Account { count, last_seq, chain, repeated, skipped, backwards, .. } = account;
    let chain = format!("{chain:016x}");
    cx.send(to, "ledger", "report", &Report { count, last_seq, chain, repeated, skipped, backwards })
}

create_simple_plugin!(Ledger);

#[cfg(test)]
mod tests {
    use horizon_plugin_api::CoreEvent;
    use horizon_plugin_api::testing::Bench;

    use super::*;

    const ADA: PlayerId = PlayerId(1);

    fn bench() -> Bench {
        let mut bench = Bench::new::<Ledger>("").expect("the ledger registers");
        bench.world.join(ADA, "Ada", [0.0; 3]);
        connect(&mut bench, 1);
        bench
    }

    fn connect(bench: &mut Bench, session: u128) {
        let (name, session) = ("Ada".to_owned(), SessionId(session));
        let entity = bench.world.players[&ADA].0;
        let event = PlayerConnectedEvent { player_id: ADA, entity, name, session, spawn: None, fresh: false };
        bench.core(&CoreEvent::PlayerConnected(event)).unwrap();
    }

    fn input(bench: &mut Bench, seq: u32, event: &str, data: &[u8]) {
        let (namespace, event, data) = ("ledger".to_owned(), event.to_owned(), data.to_vec());
        bench
            .replay(&ClientInputEvent { player_id: ADA, seq, namespace, event, data, binary: false })
            .unwrap();
    }

    fn report_of(bench: &mut Bench, seq: u32) -> Report {
        input(bench, seq, "report", b"");
        bench.world.take_sent("ledger", "report")[0].read()
    }

    #[test]
    fn the_chain_is_the_one_a_client_computes() {
        let mut bench = bench();
        input(&mut bench, 1, "note", b"{\"a\":1}");
        input(&mut bench, 2, "note", b"x");
        let mut chain = chain_next(CHAIN_START, 1, "ledger", "note", b"{\"a\":1}");
        chain = chain_next(chain, 2, "ledger", "note", b"x");
        chain = chain_next(chain, 3, "ledger", "report", b"");
        let expected = Report {
            count: 3,
            last_seq: 3,
            chain: format!("{chain:016x}"),
            repeated: 0,
            skipped: 0,
            backwards: 0,
        };
        assert_eq!(report_of(&mut bench, 3), expected);
    }

    #[test]
    fn one_chain_for_every_language() {
        assert_eq!(chain_next(CHAIN_START, 1, "ledger", "note", b"x"), GOLDEN);
    }

    /// Computed by another program from the definition; other clients test against the same number.
    const GOLDEN: u64 = 0xa221_c667_2af9_a6f3;

    #[test]
    fn faults_are_counted_by_kind() {
        let mut bench = bench();
        for seq in [1, 1, 4, 2] {
            input(&mut bench, seq, "note", b"");
        }
        let report = report_of(&mut bench, 5);
        assert_eq!((report.count, report.last_seq), (5, 5));
        assert_eq!((report.repeated, report.skipped, report.backwards), (1, 2, 1));
    }

    #[test]
    fn a_new_session_starts_over_and_the_same_one_does_not() {
        let mut bench = bench();
        input(&mut bench, 1, "note", b"");
        connect(&mut bench, 1);
        assert_eq!(report_of(&mut bench, 2).count, 2);
        connect(&mut bench, 2);
        assert_eq!(report_of(&mut bench, 1).count, 1);
    }
}
