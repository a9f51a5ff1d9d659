//! Who may connect: limits per address and for all addresses together.
//!
//! An IPv4 address counts by itself, an IPv6 address as its /64: that is what one household or one
//! attacker gets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use horizon_service::config::Limits;

use super::bucket::Bucket;

/// Addresses without connections are forgotten when this many are known.
const REMEMBERED_ADDRESSES: usize = 4_096;

/// Why a connection is not accepted. It is closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many connections without a hello, all addresses together.
    #[error("too many pending connections")]
    Pending,
    /// Too many connections without a hello from this address.
    #[error("too many pending connections of this address")]
    PendingOfAddress,
    /// Too many open connections from this address.
    #[error("too many connections of this address")]
    Connections,
    /// New connections from this address come too fast.
    #[error("new connections of this address come too fast")]
    Rate,
    /// The process has no file descriptors to spare.
    #[error("no file descriptors to spare")]
    Descriptors,
}

/// Counts connections. Clones share the counts.
#[derive(Debug, Clone)]
pub struct Gate {
    shared: Arc<Mutex<Counts>>,
    limits: Limits,
    max_connections: usize,
}

#[derive(Debug, Default)]
struct Counts {
    pending: usize,
    open: usize,
    addresses: HashMap<Address, Usage>,
}

#[derive(Debug)]
struct Usage {
    pending: usize,
    open: usize,
    rate: Bucket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Address {
    V4([u8; 4]),
    V6Prefix([u8; 8]),
}

/// One accepted connection; counts until it is dropped.
#[derive(Debug)]
pub struct Admission {
    gate: Gate,
    address: Address,
    pending: bool,
}

impl Gate {
    /// Limits for one listener; `max_connections` is what file descriptors allow.
    pub fn new(limits: Limits, max_connections: usize) -> Self {
        Self { shared: Arc::default(), limits, max_connections }
    }

    /// Lets a connection in, pending until [`Admission::greeted`]. `now` is any clock that only rises.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where a limit is reached.
    pub fn admit(&self, now: Duration, address: IpAddr) -> Result<Admission, Refusal> {
        let address = Address::of(address);
        let limits = &self.limits;
        let mut counts = self.counts();
        if counts.addresses.len() >= REMEMBERED_ADDRESSES {
            counts.addresses.retain(|_, usage| usage.open > 0 || !usage.rate.is_full(now));
        }
        let (all_pending, all_open) = (counts.pending, counts.open);
        let usage = counts.addresses.entry(address).or_insert_with(|| Usage {
            pending: 0,
            open: 0,
            rate: Bucket::new(now, limits.new_connections_per_second, limits.new_connections_burst),
        });
        if !usage.rate.take(now, 1) {
            return Err(Refusal::Rate);
        }
        if usage.open >= limits.connections_per_address {
            return Err(Refusal::Connections);
        }
        if usage.pending >= limits.pending_per_address {
            return Err(Refusal::PendingOfAddress);
        }
        if all_pending >= limits.pending_connections {
            return Err(Refusal::Pending);
        }
        if all_open >= self.max_connections {
            return Err(Refusal::Descriptors);
        }
        usage.pending += 1;
        usage.open += 1;
        counts.pending += 1;
        counts.open += 1;
        Ok(Admission { gate: self.clone(), address, pending: true })
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        self.counts().open
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    /// The connection has said who it is: it does not count as pending any more.
    pub fn greeted(&mut self) {
        if std::mem::take(&mut self.pending) {
            let mut counts = self.gate.counts();
            counts.pending -= 1;
            if let Some(usage) = counts.addresses.get_mut(&self.address) {
                usage.pending -= 1;
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.greeted();
        let mut counts = self.gate.counts();
        counts.open -= 1;
        if let Some(usage) = counts.addresses.get_mut(&self.address) {
            usage.open -= 1;
        }
    }
}

impl Address {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                Self::V6Prefix(octets[..8].try_into().expect("an address has sixteen bytes"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use horizon_service::config::Horizon;

    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn gate(change: impl FnOnce(&mut Limits)) -> Gate {
        let mut limits = Horizon::default_for_tests().limits;
        change(&mut limits);
        Gate::new(limits, 1_000)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn connections_of_one_address_are_bounded_and_counted_down() {
        let gate = gate(|limits| limits.connections_per_address = 2);
        let first = gate.admit(NOW, ip("10.0.0.1")).expect("first");
        let _second = gate.admit(NOW, ip("::ffff:10.0.0.1")).expect("second");
        assert_eq!(gate.admit(NOW, ip("10.0.0.1")).err(), Some(Refusal::Connections));
        gate.admit(NOW, ip("10.0.0.2")).expect("another address");
        drop(first);
        gate.admit(NOW, ip("10.0.0.1")).expect("room again");
        assert_eq!(gate.open(), 1);
    }

    #[test]
    fn pending_connections_are_bounded_until_they_greet() {
        let gate = gate(|limits| {
            limits.pending_per_address = 1;
            limits.pending_connections = 2;
        });
        let mut first = gate.admit(NOW, ip("2001:db8::1")).expect("first");
        assert_eq!(gate.admit(NOW, ip("2001:db8::2")).err(), Some(Refusal::PendingOfAddress), "same /64");
        first.greeted();
        let _second = gate.admit(NOW, ip("2001:db8::2")).expect("the first one has greeted");
        let _third = gate.admit(NOW, ip("10.0.0.1")).expect("another address");
        assert_eq!(gate.admit(NOW, ip("10.0.0.2")).err(), Some(Refusal::Pending));
    }

    #[test]
    fn a_flood_from_one_address_is_slowed_down() {
        let gate = gate(|limits| {
            limits.new_connections_burst = 3;
            limits.new_connections_per_second = 10;
        });
        let accepted = (0..10).filter(|_| gate.admit(NOW, ip("10.0.0.1")).is_ok()).count();
        assert_eq!(accepted, 3);
        assert!(gate.admit(NOW + Duration::from_millis(100), ip("10.0.0.1")).is_ok());
    }
}
