//! The shapes of closures that an author may register.
//!
//! The type parameter `Shape` only tells the compiler which shape a closure has; authors never
//! write it.

use horizon_model::PlayerId;
use serde::de::DeserializeOwned;

use crate::events::{CoreEventValue, Delivery, RawClientMessageEvent};
use crate::{Ctx, PluginError};

/// What every handler answers.
pub type HandlerResult = Result<(), PluginError>;

/// A handler after its shape has been forgotten.
pub(crate) type BoxedHandler = Box<dyn FnMut(&mut Ctx, &Delivery<'_>) -> HandlerResult + Send>;

/// A closure for an event of the core: `|event|` or `|cx, event|`.
pub trait CoreHandler<Shape>: Send + 'static {
    /// Name of the event the closure takes.
    fn event_name(&self) -> &'static str;

    /// Runs the closure.
    ///
    /// # Errors
    ///
    /// Those of the closure, and [`PluginError::Payload`].
    fn handle(&mut self, cx: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult;
}

impl<F, E> CoreHandler<(E,)> for F
where
    F: FnMut(E) -> HandlerResult + Send + 'static,
    E: CoreEventValue,
{
    fn event_name(&self) -> &'static str {
        E::NAME
    }

    fn handle(&mut self, _: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult {
        self(E::from_delivery(delivery)?)
    }
}

impl<F, E> CoreHandler<(Ctx, E)> for F
where
    F: FnMut(&mut Ctx, E) -> HandlerResult + Send + 'static,
    E: CoreEventValue,
{
    fn event_name(&self) -> &'static str {
        E::NAME
    }

    fn handle(&mut self, cx: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult {
        self(cx, E::from_delivery(delivery)?)
    }
}

/// A closure for a message of a client: `|cx, from, message|`, `|raw|` or `|cx, raw|`.
pub trait ClientHandler<Shape>: Send + 'static {
    /// Runs the closure.
    ///
    /// # Errors
    ///
    /// Those of the closure, and [`PluginError::Payload`].
    fn handle(&mut self, cx: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult;
}

impl<F, T> ClientHandler<(Ctx, PlayerId, T)> for F
where
    F: FnMut(&mut Ctx, PlayerId, T) -> HandlerResult + Send + 'static,
    T: DeserializeOwned,
{
    fn handle(&mut self, cx: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult {
        self(cx, delivery.player, delivery.decode()?)
    }
}

impl<F> ClientHandler<(RawClientMessageEvent,)> for F
where
    F: FnMut(RawClientMessageEvent) -> HandlerResult + Send + 'static,
{
    fn handle(&mut self, _: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult {
        self(delivery.raw())
    }
}

impl<F> ClientHandler<(Ctx, RawClientMessageEvent)> for F
where
    F: FnMut(&mut Ctx, RawClientMessageEvent) -> HandlerResult + Send + 'static,
{
    fn handle(&mut self, cx: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult {
        self(cx, delivery.raw())
    }
}

/// A closure for an event of another plugin: `|message|` or `|cx, message|`.
pub trait PluginHandler<Shape>: Send + 'static {
    /// Runs the closure.
    ///
    /// # Errors
    ///
    /// Those of the closure, and [`PluginError::Payload`].
    fn handle(&mut self, cx: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult;
}

impl<F, T> PluginHandler<(T,)> for F
where
    F: FnMut(T) -> HandlerResult + Send + 'static,
    T: DeserializeOwned,
{
    fn handle(&mut self, _: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult {
        self(delivery.decode()?)
    }
}

impl<F, T> PluginHandler<(Ctx, T)> for F
where
    F: FnMut(&mut Ctx, T) -> HandlerResult + Send + 'static,
    T: DeserializeOwned,
{
    fn handle(&mut self, cx: &mut Ctx, delivery: &Delivery<'_>) -> HandlerResult {
        self(cx, delivery.decode()?)
    }
}
