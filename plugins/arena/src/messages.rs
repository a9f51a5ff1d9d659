//! What clients send and get, and what travels from region to region.

use horizon_plugin_api::PlayerId;
use serde::{Deserialize, Serialize};

/// Payload of `hit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The sender's own number for it.
    pub id: u32,
    /// A player id of 32 digits.
    pub target: String,
}

/// Payload of `drop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutDown {
    /// The sender's own number for it.
    pub id: u32,
    /// A coin in the purse.
    pub coin: u64,
}

/// Payload of `pick`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// The sender's own number for it.
    pub id: u32,
    /// An object id of 16 digits.
    pub coin: String,
}

/// Payload of `offer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The sender's own number for it.
    pub id: u32,
    /// A coin in the purse.
    pub coin: u64,
    /// A player id of 32 digits.
    pub to: String,
}

/// Payload of `trade`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// The sender's own number for it.
    pub id: u32,
    /// A player id of 32 digits.
    pub with: String,
    /// A coin in the own purse.
    pub give: u64,
    /// A coin that they offer.
    pub want: u64,
}

/// Payload of `outcome`: what became of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The number that came with the input.
    pub id: u32,
    /// Whether it was done.
    pub done: bool,
    /// Why not, for the player to read.
    pub why: String,
    /// Health that the target has left, or the number of the coin; 0 where it was not done.
    pub value: u64,
    /// The coin on the ground, for `drop`.
    pub object: Option<String>,
}

impl Outcome {
    /// It was done.
    pub const fn done(id: u32, value: u64) -> Self {
        Self { id, done: true, why: String::new(), value, object: None }
    }

    /// It was not, and nothing has changed.
    pub fn refused(id: u32, why: &str) -> Self {
        Self { id, done: false, why: why.to_owned(), value: 0, object: None }
    }
}

/// Payload of `hurt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hurt {
    /// By whom: a player id of 32 digits.
    pub by: String,
    /// What is left; at 0 it begins anew.
    pub health: u32,
}

/// Payload of `report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Everything in the purse.
    pub coins: Vec<u64>,
    /// What is left.
    pub health: u32,
    /// How often it was nothing.
    pub defeats: u32,
}

/// A question to the region that decides about somebody or something.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// The asker's own number for it.
    pub id: u32,
    /// Who asks.
    pub by: PlayerId,
    /// Where the asker is, metres: the word of the region that owns the asker.
    pub place: [f64; 3],
}

/// A coin and the question whether another comes back for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The asker's own number for it.
    pub id: u32,
    /// Who asks.
    pub by: PlayerId,
    /// The coin, which is in no purse now.
    pub give: u64,
    /// The other.
    pub want: u64,
}

/// A coin on its way into a purse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// The receiver's own number for what it asked.
    pub id: u32,
    /// Which coin.
    pub coin: u64,
    /// What was asked for, or else the receiver's own coin comes back.
    pub done: bool,
}
