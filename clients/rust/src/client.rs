//! The async shell: one socket at a time, one session over all of them.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream};
use horizon_model::{Pose, Tick};
use horizon_protocol::client::{Closing, Refused, RefusedReason, ServerMessage, Spelling, Welcome};
use serde::Serialize;
use tokio::time::{Instant, Sleep};
use tracing::debug;

use crate::dial::{self, DialError, Socket, Trust, TrustError};
use crate::session::{Delivery, Profile, Session, SessionStats, WindowFull};
use crate::update::Update;
use crate::world::{Frame, Witness, World};

/// A connection on which nothing came for this long is dead: pongs come every second.
const SILENCE: Duration = Duration::from_secs(5);
/// First pause before a resume, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A connection that lived this long was a good one: the next pause is short again.
const SETTLED: Duration = Duration::from_secs(5);
/// How long [`Client::close`] waits for the server to agree.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where to play and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Edges of the world, `wss://host:port/`. Any will do: the first is joined, and whoever loses its edge
    /// resumes at the next.
    pub urls: Vec<String>,
    /// Whose certificates to believe.
    pub trust: Trust,
    /// Who joins.
    pub profile: Profile,
    /// How messages are written.
    pub spelling: Spelling,
    /// How long a lost session is tried again. The server keeps it for 30 s.
    pub resume_for: Duration,
}

impl Options {
    /// A development guest on one edge, in the binary spelling.
    pub fn new(url: &str, ca_file: impl AsRef<Path>, name: &str) -> Self {
        Self {
            urls: vec![url.to_owned()],
            trust: Trust::CaFile(ca_file.as_ref().to_owned()),
            profile: Profile { name: name.to_owned(), token: "guest".to_owned(), spawn: None },
            spelling: Spelling::Binary,
            resume_for: Duration::from_secs(30),
        }
    }
}

/// Why nobody joined.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Correct the authority file.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Try another edge, or later.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server says no, and what to do about it.
    #[error("refused ({}): {}", .0.reason.word(), .0.message)]
    Refused(Refused),
    /// The options name no edge.
    #[error("the options name no url")]
    NoUrl,
}

/// Why an input was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Wait for the next update.
    #[error(transparent)]
    WindowFull(#[from] WindowFull),
    /// The payload cannot be written in the session's spelling.
    #[error("the payload cannot be written: {0}")]
    Payload(String),
}

type Dialling = Pin<Box<dyn Future<Output = Result<(Socket, ServerMessage), DialError>> + Send>>;

enum Link {
    Open(Box<Socket>),
    Waiting(Instant),
    Dialling(Dialling),
    Ended,
}

/// A player in the world. See the crate's page.
pub struct Client {
    options: Options,
    tls: Arc<rustls::ClientConfig>,
    session: Session,
    world: World,
    link: Link,
    updates: VecDeque<Update>,
    timer: Pin<Box<Sleep>>,
    /// Own time zero: the session's clock counts from here.
    started: Instant,
    opened: Instant,
    heard: Instant,
    lost: Option<Instant>,
    attempts: u32,
    /// Place among the urls of the edge that is dialled next.
    next_edge: usize,
    closing: Option<Closing>,
}

impl Client {
    /// Joins the world; returns when the server has welcomed us.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; nothing is retried here.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let tls = options.trust.config()?;
        let url = options.urls.first().ok_or(ConnectError::NoUrl)?.clone();
        let mut session = Session::new(options.profile.clone());
        let hello = session.hello(random());
        let (socket, first) = dial::dial(url, Arc::clone(&tls), options.spelling, hello).await?;
        let now = Instant::now();
        if let ServerMessage::Refused(refused) = first {
            return Err(ConnectError::Refused(refused));
        }
        session.handle_message(Duration::ZERO, first);
        let mut client = Self {
            options,
            tls,
            session,
            world: World::default(),
            link: Link::Open(Box::new(socket)),
            updates: VecDeque::new(),
            timer: Box::pin(tokio::time::sleep_until(now)),
            started: now,
            opened: now,
            heard: now,
            lost: None,
            attempts: 0,
            next_edge: 1,
            closing: None,
        };
        client.take_deliveries(&mut ());
        Ok(client)
    }

    /// Numbers an input and keeps it until the server calls it durable; it leaves with the next
    /// [`Self::next`]. Returns its number.
    ///
    /// # Errors
    ///
    /// [`SendError`]; nothing was numbered.
    pub fn send<T: Serialize>(
        &mut self,
        namespace: &str,
        event: &str,
        payload: &T,
    ) -> Result<u32, SendError> {
        let bytes = self.spell(payload)?;
        Ok(self.send_raw(namespace, event, bytes)?)
    }

    /// As [`Self::send`], with the payload already written in the session's spelling.
    ///
    /// # Errors
    ///
    /// [`WindowFull`]; nothing was numbered.
    pub fn send_raw(&mut self, namespace: &str, event: &str, payload: Vec<u8>) -> Result<u32, WindowFull> {
        self.session.send(namespace, event, payload)
    }

    /// A payload in the session's spelling: MessagePack with named fields, or JSON.
    ///
    /// # Errors
    ///
    /// [`SendError::Payload`].
    pub fn spell<T: Serialize>(&self, payload: &T) -> Result<Vec<u8>, SendError> {
        match self.options.spelling {
            Spelling::Binary => {
                rmp_serde::to_vec_named(payload).map_err(|e| SendError::Payload(e.to_string()))
            }
            Spelling::Json => serde_json::to_vec(payload).map_err(|e| SendError::Payload(e.to_string())),
        }
    }

    /// Says where the body is now. Stamped with the estimated world tick, which is returned; `None` while
    /// there is no connection, where nothing is said.
    pub fn movement(&mut self, pose: Pose) -> Option<Tick> {
        self.session.movement(self.now(), pose)
    }

    /// As [`Self::movement`], for a tick of the program's own choice. What is said a little ahead of
    /// [`Self::tick`] waits in the region for the step of its tick, so that a late network costs nothing; at
    /// most a second ahead is believed.
    pub fn movement_at(&mut self, tick: Tick, pose: Pose) -> Option<Tick> {
        self.session.movement_at(tick, pose)
    }

    /// Forgets earlier movement samples; call it where the body jumps.
    pub fn forget_movement(&mut self) {
        self.session.forget_movement();
    }

    /// The next thing that happened, or `None` once the session is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Update> {
        self.next_with(&mut ()).await
    }

    /// As [`Self::next`]; every entry of a state frame is shown to `witness` as it is read.
    pub async fn next_with(&mut self, witness: &mut (dyn Witness + Send)) -> Option<Update> {
        poll_fn(|cx| self.poll_next(cx, witness)).await
    }

    /// Leaves for good: says goodbye and waits up to two seconds for it to arrive.
    pub async fn close(mut self) {
        self.session.bye();
        let Link::Open(mut socket) = std::mem::replace(&mut self.link, Link::Ended) else { return };
        let farewell = async {
            while let Some(message) = self.session.poll_transmit() {
                socket.feed(dial::encode(&message, self.options.spelling)).await?;
            }
            socket.flush().await?;
            dial::Socket::close(&mut socket, None).await?;
            while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut *socket).poll_next(cx)).await {}
            Ok::<_, tokio_tungstenite::tungstenite::Error>(())
        };
        if !matches!(tokio::time::timeout(CLOSE_TIMEOUT, farewell).await, Ok(Ok(()))) {
            debug!("the goodbye may not have arrived");
        }
    }

    /// Drops the socket without a word, as a broken network would; the session is resumed.
    pub fn break_connection(&mut self) {
        if matches!(self.link, Link::Open(_)) {
            self.handle_loss("the program dropped it".to_owned());
        }
    }

    /// The objects held.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// The newest welcome: who we are, what things are called.
    ///
    /// # Panics
    ///
    /// Never: [`Self::connect`] returns after the first one.
    pub fn welcome(&self) -> &Welcome {
        self.session.welcome().expect("connect waits for the welcome")
    }

    /// The lanes and their counters.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Counters so far.
    pub const fn stats(&self) -> SessionStats {
        self.session.stats()
    }

    /// How messages are written.
    pub const fn spelling(&self) -> Spelling {
        self.options.spelling
    }

    /// The estimated tick of the world grid.
    pub fn tick(&self) -> Option<Tick> {
        self.session.clock().tick_at(self.now())
    }

    /// Whether there is a connection at the moment.
    pub const fn is_connected(&self) -> bool {
        matches!(self.link, Link::Open(_))
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, witness: &mut dyn Witness) -> Poll<Option<Update>> {
        loop {
            if let Some(update) = self.updates.pop_front() {
                return Poll::Ready(Some(update));
            }
            match &mut self.link {
                Link::Ended => return Poll::Ready(None),
                Link::Waiting(until) => {
                    let until = *until;
                    ready!(self.poll_timer(cx, until));
                    self.redial();
                }
                Link::Dialling(dialling) => match ready!(dialling.as_mut().poll(cx)) {
                    Ok((socket, first)) => self.handle_answer(socket, first, witness),
                    Err(error) => self.wait_again(&error.to_string()),
                },
                Link::Open(_) => match ready!(self.poll_socket(cx)) {
                    Ok(message) => self.handle_message(message, witness),
                    Err(why) => self.handle_loss(why),
                },
            }
        }
    }

    /// Sends what is waiting, keeps the timers, and reads the next message.
    fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<Result<ServerMessage, String>> {
        loop {
            let due = self.session.next_timeout().map(|(due, _)| self.started + due);
            let silent = self.heard + SILENCE;
            if self.poll_timer(cx, due.map_or(silent, |due| due.min(silent))).is_ready() {
                if silent <= Instant::now() {
                    return Poll::Ready(Err("nothing was heard for 5 s".to_owned()));
                }
                self.session.handle_timeout(self.started.elapsed());
                continue;
            }
            let Link::Open(socket) = &mut self.link else { return Poll::Pending };
            if let Poll::Ready(Err(error)) = poll_write(&mut self.session, socket, self.options.spelling, cx)
            {
                return Poll::Ready(Err(error.to_string()));
            }
            return match ready!(Pin::new(&mut **socket).poll_next(cx)) {
                Some(Ok(message)) => {
                    self.heard = Instant::now();
                    match dial::decode(&message, self.options.spelling, self.session.newest_tick()) {
                        Some(decoded) => Poll::Ready(decoded),
                        None => continue,
                    }
                }
                Some(Err(error)) => Poll::Ready(Err(error.to_string())),
                None => Poll::Ready(Err("the server closed the connection".to_owned())),
            };
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        if self.timer.deadline() != due {
            self.timer.as_mut().reset(due);
        }
        self.timer.as_mut().poll(cx)
    }

    fn handle_message(&mut self, message: ServerMessage, witness: &mut dyn Witness) {
        self.session.handle_message(self.now(), message);
        self.take_deliveries(witness);
    }

    fn take_deliveries(&mut self, witness: &mut dyn Witness) {
        while let Some(delivery) = self.session.poll_delivery() {
            match delivery {
                Delivery::Welcome { resumed, abandoned } => {
                    let rate_hz = self.session.welcome().map_or(30, |welcome| welcome.rate_hz);
                    self.world.learn(self.session.schemas(), rate_hz);
                    if let Some(lost) = self.lost.take() {
                        self.updates.push_back(Update::Resumed {
                            after: lost.elapsed(),
                            anew: !resumed,
                            abandoned,
                        });
                    }
                }
                Delivery::State { epoch, tick, body } => {
                    let progress = self.session.progress();
                    let received_at = std::time::Instant::now();
                    let frame = Frame { epoch, tick, progress, received_at, body_bytes: body.len() };
                    if let Err(error) = self.world.apply(self.options.spelling, &frame, &body, witness) {
                        self.handle_loss(format!("the frame of tick {tick} cannot be read: {error}"));
                        return;
                    }
                    self.updates.push_back(Update::Frame(frame));
                }
                Delivery::Event(event) => self.updates.push_back(Update::Event(event)),
                Delivery::Progress(progress) => self.updates.push_back(Update::Progress(progress)),
                Delivery::Resync { epoch, tick } => self.updates.push_back(Update::Resync { epoch, tick }),
                Delivery::Closing(closing) => {
                    self.closing = Some(closing.clone());
                    self.updates.push_back(Update::Closing(closing));
                }
                Delivery::Refused(refused) => self.handle_refusal(&refused),
            }
        }
    }

    fn handle_answer(&mut self, socket: Socket, first: ServerMessage, witness: &mut dyn Witness) {
        (self.opened, self.heard) = (Instant::now(), Instant::now());
        self.link = Link::Open(Box::new(socket));
        self.handle_message(first, witness);
    }

    fn handle_refusal(&mut self, refused: &Refused) {
        if refused.reason == RefusedReason::Busy {
            self.wait_again(&refused.message);
        } else {
            self.end(format!("refused ({}): {}", refused.reason.word(), refused.message));
        }
    }

    fn handle_loss(&mut self, why: String) {
        self.session.handle_disconnect();
        let now = Instant::now();
        self.lost = Some(now);
        if now.duration_since(self.opened) > SETTLED {
            self.attempts = 0;
        }
        let resumable = self.closing.take().is_none_or(|closing| closing.reason.resumable());
        if resumable {
            self.updates.push_back(Update::Disconnected { why, resuming: true });
            self.link = Link::Waiting(now + self.pause());
        } else {
            self.end(why);
        }
    }

    /// After a resume that came to nothing.
    fn wait_again(&mut self, why: &str) {
        self.session.handle_disconnect();
        debug!(why, "the session could not be resumed yet");
        let lost = *self.lost.get_or_insert_with(Instant::now);
        if lost.elapsed() > self.options.resume_for {
            self.end(format!("given up: {why}"));
        } else {
            self.link = Link::Waiting(Instant::now() + self.pause());
        }
    }

    fn end(&mut self, why: String) {
        self.session.handle_disconnect();
        self.updates.push_back(Update::Disconnected { why, resuming: false });
        self.link = Link::Ended;
    }

    fn redial(&mut self) {
        let url = self.options.urls[self.next_edge % self.options.urls.len()].clone();
        self.next_edge = self.next_edge.wrapping_add(1);
        self.attempts += 1;
        let hello = self.session.hello(random());
        self.link =
            Link::Dialling(Box::pin(dial::dial(url, Arc::clone(&self.tls), self.options.spelling, hello)));
    }

    /// Doubles with every attempt; half of it is chance, so that a thousand clients do not come at once.
    fn pause(&self) -> Duration {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(8)).min(LONGEST_PAUSE);
        longest.mul_f64(0.5 + (random() % 1024) as f64 / 2048.0)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = &self.options.profile.name;
        f.debug_struct("Client")
            .field("name", name)
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

/// Gives the socket what the session has for it, as far as the socket takes it.
fn poll_write(
    session: &mut Session,
    socket: &mut Socket,
    spelling: Spelling,
    cx: &mut Context<'_>,
) -> Poll<Result<(), tokio_tungstenite::tungstenite::Error>> {
    let mut socket = Pin::new(socket);
    while session.has_transmit() {
        ready!(socket.as_mut().poll_ready(cx))?;
        if let Some(message) = session.poll_transmit() {
            socket.as_mut().start_send(dial::encode(&message, spelling))?;
        }
    }
    socket.poll_flush(cx)
}

fn random() -> u64 {
    getrandom::u64().expect("the system has randomness")
}
