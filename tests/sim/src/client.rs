//! Players' programs: the real session of the client library, a socket that can be cut, and a will.

use std::collections::BTreeSet;
use std::time::Duration;

use horizon_client::{Delivery, Profile as Who, Session, Spelling};
use horizon_history::{Account, Event, Who as Subject};
use horizon_load::trace::Match;
use horizon_model::{EdgeId, PlayerId, SessionId};
use horizon_protocol::client::{ClientMessage, ServerMessage};
use serde_json::Value;

use crate::payload::{TOKENS, account, spell, token_of};
use crate::riding::Rider;
use crate::walk::{Walk, stretches};
use crate::world::{Happening, World};

const TURN: Duration = Duration::from_millis(50);
/// A client that is not let in, or hears nothing of its hello, tries again after this.
const GREETING_PATIENCE: Duration = Duration::from_secs(4);
/// After the last fault players walk on for this long, and then stand.
const STROLL: Duration = Duration::from_secs(8);
struct Socket {
    edge: u8,
    life: EdgeId,
    conn: u64,
    since: Duration,
    up: Duration,
}

pub(crate) struct Client {
    pub(crate) spawn: [f64; 3],
    pub(crate) spelling: Spelling,
    pub(crate) slow_until: Duration,
    number: u64,
    session: Session,
    socket: Option<Socket>,
    connect_at: Duration,
    /// A connection of which nothing arrives any more, in either direction.
    dead: Option<u64>,
    walk: Walk,
    /// In the world, as it believes.
    pub(crate) present: bool,
    welcomed_once: bool,
    /// It says no more than it has to.
    calm: bool,
    durable: u32,
    /// When it stops walking.
    stands_at: Option<Duration>,
    said: u64,
    heard: BTreeSet<String>,
    pub(crate) tokens: BTreeSet<u64>,
    /// The newest report of its ledger, and of its tokens.
    pub(crate) report: Option<Account>,
    pub(crate) inventory: Option<(u32, Vec<u64>)>,
    asked: Option<(u32, u32)>,
    pub(crate) sent: u32,
    /// What it does beside that, if it rides.
    pub(crate) rider: Option<Rider>,
}

impl Client {
    fn stay(&self) -> Option<SessionId> {
        self.session.welcome().map(|welcome| welcome.session)
    }

    fn profile(number: u64, spawn: [f64; 3]) -> Who {
        Who { name: format!("player {number}"), token: "guest".to_owned(), spawn: Some(spawn) }
    }

    pub(crate) fn forget_reports(&mut self) {
        self.asked = None;
    }

    pub(crate) const fn is_calm(&self) -> bool {
        self.calm
    }

    pub(crate) fn pending(&self) -> usize {
        self.session.pending_inputs()
    }
}

impl World {
    pub(crate) fn found_client(&mut self, number: u64, spelling: Spelling) {
        let player = PlayerId(u128::from(number) + 1);
        let stretches = if number < self.profile.recorded { stretches(&Match::sample()) } else { Vec::new() };
        let walk = Walk::recorded(&mut self.dice, &stretches)
            .unwrap_or_else(|| Walk::draw(&mut self.dice, self.profile.columns));
        let walk = if self.is_rider(number) { Self::rider_walk(number) } else { walk };
        let begins = self.dice.millis(0, 1500);
        let spawn = walk.pose(Duration::ZERO).position.metres();
        let client = Client {
            spawn,
            spelling,
            slow_until: Duration::ZERO,
            number,
            session: Session::new(Client::profile(number, spawn)),
            socket: None,
            connect_at: self.now + begins,
            dead: None,
            walk,
            present: false,
            welcomed_once: false,
            calm: false,
            durable: 0,
            stands_at: None,
            said: 0,
            heard: BTreeSet::new(),
            tokens: BTreeSet::new(),
            report: None,
            inventory: None,
            asked: None,
            sent: 0,
            rider: self.is_rider(number).then(Rider::default),
        };
        self.clients.insert(player, client);
        self.plan(begins, Happening::ClientTurn(player));
    }

    /// Nothing of this connection arrives any more.
    pub(crate) fn is_dead(&self, player: PlayerId, conn: u64) -> bool {
        self.clients.get(&player).is_some_and(|client| client.dead == Some(conn))
    }

    /// A player's program has a moment.
    pub(crate) fn client_turn(&mut self, player: PlayerId) {
        self.plan(TURN, Happening::ClientTurn(player));
        let now = self.now;
        let Some(client) = self.clients.get_mut(&player) else { return };
        match &client.socket {
            None if client.connect_at <= now => self.connect(player),
            None => {}
            Some(socket) if !client.present && now >= socket.since + GREETING_PATIENCE => {
                let conn = socket.conn;
                self.socket_gone(player, conn);
            }
            Some(_) => {}
        }
        let Some(client) = self.clients.get_mut(&player) else { return };
        if client.present {
            client.session.handle_timeout(now);
            let walk = client.walk.pose(client.stands_at.map_or(now, |at| at.min(now)));
            client.session.movement(now, walk);
        }
        self.will(player);
        self.transmit(player);
    }

    fn connect(&mut self, player: PlayerId) {
        let alive: Vec<u8> =
            (0..self.edges.len() as u8).filter(|edge| self.edges[usize::from(*edge)].is_alive()).collect();
        let now = self.now;
        let retry = now + self.dice.millis(100, 400);
        let nonce = self.dice.next();
        let Some(client) = self.clients.get_mut(&player) else { return };
        client.connect_at = retry;
        if alive.is_empty() {
            return;
        }
        let edge = self.dice.pick(&alive);
        let Some(life) = self.edges[usize::from(edge)].life else { return };
        self.conns += 1;
        let conn = self.conns;
        let Some(client) = self.clients.get_mut(&player) else { return };
        client.socket = Some(Socket { edge, life, conn, since: now, up: now });
        let hello = client.session.hello(nonce);
        self.client_sends(player, hello);
    }

    fn client_sends(&mut self, player: PlayerId, message: ClientMessage) {
        let delay = self.dice.micros(self.profile.socket);
        let now = self.now;
        let Some(socket) = self.clients.get_mut(&player).and_then(|client| client.socket.as_mut()) else {
            return;
        };
        socket.up = socket.up.max(now + delay);
        let (at, edge, life, conn) = (socket.up, socket.edge, socket.life, socket.conn);
        self.plan_at(at, Happening::FromClient(edge, life, player, conn, Box::new(message)));
    }

    pub(crate) fn transmit(&mut self, player: PlayerId) {
        while let Some(client) = self.clients.get_mut(&player)
            && client.socket.is_some()
            && let Some(message) = client.session.poll_transmit()
        {
            self.client_sends(player, message);
        }
    }

    /// What a player does of its own accord.
    fn will(&mut self, player: PlayerId) {
        self.ride(player);
        let dice = self.dice.below(1000);
        let count = self.clients.len() as u64;
        let other = PlayerId(u128::from(self.dice.below(count)) + 1);
        let Some(client) = self.clients.get_mut(&player).filter(|client| client.welcomed_once) else {
            return;
        };
        if client.calm {
            return;
        }
        let said = client.said;
        match dice {
            0..200 => {
                self.act(player, "ledger", "note", &serde_json::json!({ "n": said }));
            }
            200..215 => {
                self.act(player, "chat", "say", &serde_json::json!({ "text": format!("line {said}") }));
            }
            215..230 => {
                let to = other.to_string();
                let text = format!("psst {said}");
                self.act(player, "chat", "whisper", &serde_json::json!({ "to": to, "text": text }));
            }
            230..290 => {
                let token = client.tokens.iter().nth(dice as usize % client.tokens.len().max(1)).copied();
                if let Some(token) = token
                    && other != player
                {
                    let to = other.to_string();
                    self.act(player, "tokens", "give", &serde_json::json!({ "to": to, "token": token }));
                }
            }
            290..295 => {
                self.act(player, "ledger", "report", &serde_json::json!({}));
            }
            _ => {}
        }
    }

    /// Sends a reliable input, if the window has room. Returns its number.
    pub(crate) fn act(
        &mut self,
        player: PlayerId,
        namespace: &str,
        event: &str,
        value: &Value,
    ) -> Option<u32> {
        let client = self.clients.get_mut(&player)?;
        let session = client.stay()?;
        let payload = spell(client.spelling, value);
        let seq = client.session.send(namespace, event, payload.clone()).ok()?;
        client.said += 1;
        client.sent = seq;
        let (namespace, name) = (namespace.to_owned(), event.to_owned());
        if namespace == "tokens"
            && name == "give"
            && let Some(token) = value["token"].as_u64()
        {
            client.tokens.remove(&token);
            self.say(|| format!("{player} gives {value} with {seq}"));
        }
        self.log_input(player, session, seq, &namespace, &name, &payload);
        self.observe(&Event::Sent { player, session, seq, namespace, event: name, payload });
        Some(seq)
    }

    /// A message of the edge.
    pub(crate) fn client_reads(&mut self, player: PlayerId, conn: u64, message: ServerMessage) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&player) else { return };
        if client.socket.as_ref().map(|socket| socket.conn) != Some(conn) || client.dead == Some(conn) {
            return;
        }
        let applied = match &message {
            ServerMessage::State(state) => state.progress.map(|progress| progress.applied),
            _ => None,
        };
        client.session.handle_message(now, message);
        while let Some(client) = self.clients.get_mut(&player)
            && let Some(delivery) = client.session.poll_delivery()
        {
            self.delivered(player, delivery, applied);
        }
        self.told_durable(player);
        self.transmit(player);
    }

    fn told_durable(&mut self, player: PlayerId) {
        let Some(client) = self.clients.get_mut(&player) else { return };
        let (seq, stay) = (client.session.progress().durable, client.stay());
        if let Some(session) = stay
            && seq != client.durable
        {
            client.durable = seq;
            self.observe(&Event::Durable { player, session, seq });
        }
    }

    fn delivered(&mut self, player: PlayerId, delivery: Delivery, applied: Option<u32>) {
        match delivery {
            Delivery::Welcome { resumed, .. } => self.client_welcome(player, resumed),
            Delivery::State { epoch, tick, .. } => {
                let applied = applied.unwrap_or(0);
                let excused = self.is_excused();
                self.observe(&Event::Shown { player, epoch, tick, applied, excused });
            }
            Delivery::Event(event) => self.client_event(player, &event),
            Delivery::Resync { .. } => {
                let crashed = self.has_crashed_lately();
                self.observe(&Event::Resynced { player, crashed });
            }
            Delivery::Refused(refused) => {
                let resumes = self.clients.get(&player).is_some_and(|client| client.welcomed_once);
                if refused.reason == horizon_client::RefusedReason::Ticket && resumes {
                    self.broke("P5", format!("{player}: the ticket of a living stay was refused"));
                }
            }
            Delivery::Progress(_) | Delivery::Closing(_) => {}
        }
    }

    fn client_welcome(&mut self, player: PlayerId, resumed: bool) {
        let crashed = self.has_crashed_lately();
        if crashed {
            self.observe(&Event::Resynced { player, crashed });
        }
        self.observe(&Event::Connected { player, resumed });
        let Some(client) = self.clients.get_mut(&player) else { return };
        client.present = true;
        if !std::mem::replace(&mut client.welcomed_once, true) {
            client.durable = 0;
            client.sent = 0;
            self.observe(&Event::Joined { who: Subject::Player(player) });
        } else if !resumed {
            self.broke("P5", format!("{player}: a stay was not resumed"));
        }
        if self.minted.insert(player) {
            let minted: Vec<u64> = (0..TOKENS).map(|number| token_of(player, number)).collect();
            for token in &minted {
                self.observe(&Event::Minted { token: *token });
            }
            if let Some(client) = self.clients.get_mut(&player) {
                client.tokens.extend(minted);
            }
        }
    }

    fn client_event(&mut self, player: PlayerId, event: &horizon_client::Event) {
        let Some(client) = self.clients.get_mut(&player) else { return };
        if event.skipped > 0 {
            let number = event.number;
            self.broke("P2", format!("{player}: {} events before {number} never came", event.skipped));
            return;
        }
        let Ok(value) = event.read::<Value>(client.spelling) else { return };
        match (event.namespace.as_str(), event.event.as_str()) {
            ("ledger", "report") => {
                let Some(session) = client.stay() else { return };
                let account = account(&value);
                client.report = Some(account);
                self.observe(&Event::Reported { player, session, account });
            }
            ("chat", "said" | "whispered") => {
                let id = value["id"].as_str().unwrap_or_default().to_owned();
                let name = event.event.clone();
                if !client.heard.insert(format!("{name} {id}")) {
                    self.broke("P2", format!("{player} heard {id} twice"));
                }
            }
            ("tokens", "received" | "refused") => {
                let line = format!("{player} {} {value}", event.event);
                self.say(|| line);
                let Some(client) = self.clients.get_mut(&player) else { return };
                if let Some(token) = value["token"].as_u64() {
                    client.tokens.insert(token);
                }
            }
            ("tokens", "report") => {
                let list = value["tokens"].as_array().cloned().unwrap_or_default();
                let tokens: Vec<u64> = list.iter().filter_map(Value::as_u64).collect();
                client.tokens = tokens.iter().copied().collect();
                let asked = client.asked.map_or(0, |(_, tokens)| tokens);
                client.inventory = Some((asked, tokens));
            }
            ("vehicles", name) => self.ride_event(player, name, &value),
            _ => {}
        }
    }

    /// The socket is gone, for the client.
    pub(crate) fn socket_gone(&mut self, player: PlayerId, conn: u64) {
        let wait = self.dice.millis(5, 250);
        let now = self.now;
        let Some(client) = self.clients.get_mut(&player) else { return };
        if client.socket.as_ref().is_some_and(|socket| socket.conn == conn) {
            client.socket = None;
            client.present = false;
            client.session.handle_disconnect();
            client.connect_at = client.connect_at.max(now + wait);
            self.trouble_until(now);
        }
    }

    /// A socket is cut; half open, nobody is told.
    pub(crate) fn cut_some_socket(&mut self, half_open: bool) -> bool {
        let connected: Vec<PlayerId> = self
            .clients
            .iter()
            .filter(|(_, client)| client.socket.is_some())
            .map(|(player, _)| *player)
            .collect();
        if connected.is_empty() {
            return false;
        }
        let player = self.dice.pick(&connected);
        let Some(client) = self.clients.get_mut(&player) else { return false };
        let Some(socket) = &client.socket else { return false };
        let (edge, life, conn) = (socket.edge, socket.life, socket.conn);
        let (client_learns, edge_learns) = if half_open {
            client.dead = Some(conn);
            (self.dice.millis(500, 4000), self.dice.millis(4000, 6000))
        } else {
            (self.dice.millis(0, 200), self.dice.millis(0, 200))
        };
        self.plan(client_learns, Happening::SocketGone(player, conn));
        self.plan(edge_learns, Happening::SocketLost(edge, life, player, conn));
        true
    }

    /// Somebody says goodbye, and comes back later as a new stay.
    pub(crate) fn some_player_leaves(&mut self) -> bool {
        let present: Vec<PlayerId> = self
            .clients
            .iter()
            .filter(|(_, client)| client.present && client.pending() == 0)
            .map(|(player, _)| *player)
            .collect();
        if present.is_empty() {
            return false;
        }
        let player = self.dice.pick(&present);
        let wait = self.dice.millis(500, 5000);
        let now = self.now;
        let Some(client) = self.clients.get_mut(&player) else { return false };
        client.session.bye();
        self.transmit(player);
        let Some(client) = self.clients.get_mut(&player) else { return false };
        client.socket = None;
        client.present = false;
        client.welcomed_once = false;
        client.report = None;
        // What is said while nobody listens is heard again at the return, up to ten seconds of it.
        client.heard.clear();
        client.session = Session::new(Client::profile(client.number, client.spawn));
        client.connect_at = now + wait;
        self.gets_off(player);
        self.observe(&Event::Left { who: Subject::Player(player) });
        true
    }

    pub(crate) fn some_client_is_slow(&mut self, until: Duration) -> bool {
        let count = self.clients.len() as u64;
        let player = PlayerId(u128::from(self.dice.below(count)) + 1);
        if let Some(client) = self.clients.get_mut(&player) {
            client.slow_until = until;
        }
        true
    }

    pub(crate) fn heal_clients(&mut self) {
        let stands_at = self.now + STROLL;
        for client in self.clients.values_mut() {
            client.slow_until = Duration::ZERO;
            client.calm = true;
            client.stands_at = Some(stands_at);
        }
    }

    /// Once everything a player has sent is durable, it asks for its ledger and its tokens. Whether both came.
    pub(crate) fn ask_for_reports(&mut self, player: PlayerId) -> bool {
        let Some(client) = self.clients.get(&player) else { return true };
        if let Some((ledger, tokens)) = client.asked {
            let report = client.report.is_some_and(|report| report.last_seq >= ledger);
            let inventory =
                !self.has_tokens || client.inventory.as_ref().is_some_and(|(asked, _)| *asked == tokens);
            return report && inventory && client.pending() == 0;
        }
        if !client.present || client.pending() > 0 {
            return false;
        }
        let empty = serde_json::json!({});
        let tokens = if self.has_tokens { self.act(player, "tokens", "report", &empty) } else { Some(0) };
        let ledger = self.act(player, "ledger", "report", &empty);
        if let Some(client) = self.clients.get_mut(&player) {
            client.asked = ledger.zip(tokens);
        }
        self.transmit(player);
        false
    }
}
