//! From an open WebSocket to a session: the hello, who it is from, and the claim on the session.

use std::sync::Arc;

use futures_util::StreamExt;
use horizon_handoff::{SessionCas, SessionOutcome, SessionRecord};
use horizon_model::{Pose, SessionId};
use horizon_protocol::client::{
    ClientMessage, Hello, MAX_HELLO_BYTES, Refused, RefusedReason, ServerMessage, Spelling, VERSION,
};
use horizon_state_store::StoreError;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::farewell::farewell;
use super::gate::Admission;
use super::identity::{Identity, identify};
use super::session::{Session, Stay};
use super::socket::Socket;
use super::{Edge, spelling};

/// Takes a connection to its end: greeting, session, farewell.
pub(super) async fn greet(edge: Arc<Edge>, mut socket: Socket, spelling: Spelling, mut admission: Admission) {
    let hello = match timeout(edge.config.limits.hello_timeout, hello(&mut socket, spelling)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(Some(refused))) => return refuse(&edge, &mut socket, spelling, refused).await,
        Ok(Err(None)) => return,
        Err(_) => {
            return farewell(&mut socket, None, CloseCode::Policy, "no hello in time").await;
        }
    };
    let (stay, record) = match claim(&edge, &hello, spelling).await {
        Ok(claimed) => claimed,
        Err(refused) => return refuse(&edge, &mut socket, spelling, refused).await,
    };
    admission.greeted();
    let Some(inbox) = edge.sessions.enter(stay.player, record) else {
        let message = "another connection took the session meanwhile".to_owned();
        let refused = Refused { reason: RefusedReason::Ticket, message };
        return refuse(&edge, &mut socket, spelling, refused).await;
    };
    edge.figures.sessions.inc();
    let figures = edge.figures.clone();
    Session::new(edge, socket, inbox, stay).run().await;
    figures.sessions.dec();
    drop(admission);
}

/// Waits for the first message. `Err(None)` where the client left.
async fn hello(socket: &mut Socket, spelling: Spelling) -> Result<Hello, Option<Refused>> {
    let field = |message: String| Some(Refused { reason: RefusedReason::Field, message });
    loop {
        let message = socket.next().await.ok_or(None)?.map_err(|_| None)?;
        let size = message.len();
        match message {
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) | Message::Frame(_) => return Err(None),
            Message::Text(_) | Message::Binary(_) => {}
        }
        if size > MAX_HELLO_BYTES {
            return Err(field(spelling::ReadError::HelloSize.to_string()));
        }
        return match spelling::read(spelling, &message) {
            Ok(ClientMessage::Hello(hello)) if hello.version != VERSION => Err(Some(version(hello.version))),
            Ok(ClientMessage::Hello(hello)) => Ok(hello),
            Ok(_) => Err(field("the first message is a hello".to_owned())),
            Err(error) => Err(match error.version() {
                Some(theirs) => Some(version(theirs)),
                None => field(error.to_string()),
            }),
        };
    }
}

fn version(theirs: u16) -> Refused {
    let older = if theirs < VERSION { "the client" } else { "the server" };
    let message =
        format!("the client speaks protocol version {theirs}, this server {VERSION}; update {older}");
    Refused { reason: RefusedReason::Version, message }
}

/// Who it is, and the session that begins or goes on.
async fn claim(edge: &Edge, hello: &Hello, spelling: Spelling) -> Result<(Stay, SessionRecord), Refused> {
    let world = &edge.config.world;
    let identity = identify(world.id, &world.map, edge.config.atlas.development_guests, hello)
        .map_err(|error| Refused { reason: error.reason(), message: error.to_string() })?;
    let record = match &hello.resume {
        Some(resume) => go_on(edge, &identity, hello.nonce, &resume.ticket).await?,
        None => begin(edge, &identity, hello.nonce).await?,
    };
    let stay = Stay {
        player: identity.player,
        name: identity.name,
        session: record.session,
        session_epoch: record.epoch,
        spelling,
        resumed: hello.resume.is_some(),
        events: hello.resume.as_ref().map_or(0, |resume| resume.events),
        spawn: Pose::at(identity.spawn.unwrap_or(world.spawn)),
    };
    Ok((stay, record))
}

/// An earlier session goes on: whoever raises its epoch from what the ticket says has it.
async fn go_on(
    edge: &Edge,
    identity: &Identity,
    nonce: u64,
    ticket: &[u8],
) -> Result<SessionRecord, Refused> {
    let refused = |message: String| Refused { reason: RefusedReason::Ticket, message };
    let ticket = edge.tickets.open(ticket).map_err(|error| refused(format!("{error}; join anew")))?;
    if ticket.player != identity.player {
        return Err(refused("the ticket belongs to another player; join anew".to_owned()));
    }
    let cas = SessionCas {
        player: ticket.player,
        expect: Some(ticket.session_epoch),
        session: ticket.session,
        nonce,
        edge: edge.id,
    };
    match cas_session(edge, cas).await? {
        SessionOutcome::Won(record) => Ok(record),
        SessionOutcome::Lost(_) => Err(refused(
            "the ticket was used by another connection, or the session has ended; join anew".to_owned(),
        )),
    }
}

/// A new session begins, in place of whatever the player had.
async fn begin(edge: &Edge, identity: &Identity, nonce: u64) -> Result<SessionRecord, Refused> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| busy(&error.to_string()))?;
    let mut known = edge.store.session(identity.player).await.map_err(|error| busy(&error.to_string()))?;
    // A second attempt is enough: it loses only against a third connection of the same player.
    for _ in 0..2 {
        let same_attempt = known.filter(|record| record.nonce == nonce);
        let cas = SessionCas {
            player: identity.player,
            expect: known.map(|record| record.epoch),
            session: same_attempt.map_or(SessionId(u128::from_le_bytes(random)), |record| record.session),
            nonce,
            edge: edge.id,
        };
        match cas_session(edge, cas).await? {
            SessionOutcome::Won(record) => return Ok(record),
            SessionOutcome::Lost(record) => known = record,
        }
    }
    let message = "another connection of this player joined at the same moment".to_owned();
    Err(Refused { reason: RefusedReason::Ticket, message })
}

async fn cas_session(edge: &Edge, cas: SessionCas) -> Result<SessionOutcome, Refused> {
    let outcome = match edge.store.cas_session(cas).await {
        // The answer was lost; the nonce makes asking again harmless.
        Err(StoreError::Unknown) => edge.store.cas_session(cas).await,
        outcome => outcome,
    };
    outcome.map_err(|error| busy(&error.to_string()))
}

fn busy(why: &str) -> Refused {
    tracing::warn!(%why, "a player could not be let in");
    let message = "the world cannot take you now; try again in a moment".to_owned();
    Refused { reason: RefusedReason::Busy, message }
}

/// Says why and closes.
async fn refuse(edge: &Edge, socket: &mut Socket, spelling: Spelling, refused: Refused) {
    edge.figures.refused(refused.reason);
    let code = refused.reason.close_code().into();
    let message = spelling::write(spelling, &ServerMessage::Refused(refused));
    farewell(socket, Some(message), code, "refused").await;
}
