//! The queue to the tick thread: bounded, and no larger than what waits in it.
//!
//! The bounded queue of the standard library writes to each of its places when it is made: with as many as here
//! that takes longer than everything else in taking a region.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::Duration;

/// The end that is written to.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    sender: mpsc::Sender<T>,
    waiting: Arc<AtomicUsize>,
    most: usize,
}

/// The end that is read.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    receiver: mpsc::Receiver<T>,
    waiting: Arc<AtomicUsize>,
}

/// Why something was not taken; here it is again.
#[derive(Debug)]
pub(crate) enum Refused<T> {
    /// As much waits as may.
    Full(T),
    /// Nobody reads any more.
    Over,
}

/// A queue in which `most` may wait.
pub(crate) fn queue<T>(most: usize) -> (Inbox<T>, Queue<T>) {
    let (sender, receiver) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Inbox { sender, waiting: Arc::clone(&waiting), most }, Queue { receiver, waiting })
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waiting: Arc::clone(&self.waiting), most: self.most }
    }
}

impl<T> Inbox<T> {
    /// Adds something where there is room.
    pub(crate) fn try_send(&self, value: T) -> Result<(), Refused<T>> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Full(value));
        }
        self.sender.send(value).map_err(|_| Refused::Over)
    }

    /// Adds something in any case: for what is few by itself, such as the reports of a journal whose own queue
    /// is bounded.
    pub(crate) fn send(&self, value: T) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Whoever has ended needs to know nothing.
        let _ = self.sender.send(value);
    }
}

impl<T> Queue<T> {
    /// The next one, if there is one.
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.receiver.try_recv().inspect(|_| self.taken())
    }

    /// The next one, if it comes within `wait`.
    pub(crate) fn recv_timeout(&self, wait: Duration) -> Result<T, RecvTimeoutError> {
        self.receiver.recv_timeout(wait).inspect(|_| self.taken())
    }

    fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_wait_as_may_and_what_is_few_by_itself_is_always_taken() {
        let (inbox, queue) = queue(2);
        let other = inbox.clone();
        assert!(inbox.try_send(1).is_ok() && other.try_send(2).is_ok());
        assert!(matches!(inbox.try_send(3), Err(Refused::Full(3))));
        other.send(4);
        assert_eq!(queue.try_recv(), Ok(1));
        assert!(matches!(inbox.try_send(5), Err(Refused::Full(5))), "two wait");
        assert_eq!(queue.recv_timeout(Duration::ZERO), Ok(2));
        assert!(inbox.try_send(6).is_ok());
        assert_eq!([queue.try_recv(), queue.try_recv()], [Ok(4), Ok(6)]);
        assert_eq!(queue.try_recv(), Err(TryRecvError::Empty));
        drop(queue);
        assert!(matches!(inbox.try_send(7), Err(Refused::Over)));
        drop((inbox, other));
    }

    #[test]
    fn a_reader_sees_that_nobody_writes_any_more() {
        let (inbox, queue) = queue(2);
        inbox.send(1);
        drop(inbox);
        assert_eq!(queue.recv_timeout(Duration::ZERO), Ok(1));
        assert_eq!(queue.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Disconnected));
    }
}
