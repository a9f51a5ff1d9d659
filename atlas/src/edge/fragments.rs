//! Counts the fragments of WebSocket messages before anything reassembles them.
//!
//! The library above bounds the size of a message, not the number of its pieces, and answers nothing
//! while pieces come: a flood of empty ones would keep it busy for free. Only frame headers are looked
//! at here; payloads are skipped.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Pieces of one message at most.
pub const MAX_FRAGMENTS: u32 = 16;
/// Longest header of a frame: two bytes, a length of eight, a mask of four.
const MAX_HEADER: usize = 14;

/// A message in too many or in empty pieces. The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// More than [`MAX_FRAGMENTS`].
    #[error("a message has at most {MAX_FRAGMENTS} fragments")]
    TooMany,
    /// A continuation without a payload.
    #[error("a fragment is never empty")]
    Empty,
}

/// Follows the frames in a stream of bytes.
#[derive(Debug, Default)]
pub struct FragmentCounter {
    header: [u8; MAX_HEADER],
    filled: usize,
    skip: u64,
    fragments: u32,
}

impl FragmentCounter {
    /// Looks at bytes of the client, in order and in whatever portions.
    ///
    /// # Errors
    ///
    /// [`FragmentError`] at the first header that breaks the rule.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), FragmentError> {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= skipped as u64;
            bytes = &bytes[skipped..];
            let Some((&byte, rest)) = bytes.split_first() else { break };
            if self.skip > 0 {
                break;
            }
            bytes = rest;
            self.header[self.filled] = byte;
            self.filled += 1;
            if self.filled >= 2 && self.filled == self.header_length() {
                self.filled = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    fn length_bytes(&self) -> usize {
        match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn header_length(&self) -> usize {
        2 + self.length_bytes() + if self.header[1] & 0x80 != 0 { 4 } else { 0 }
    }

    /// A header is complete.
    fn frame(&mut self) -> Result<(), FragmentError> {
        let (last, kind) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
        let payload = match self.length_bytes() {
            0 => u64::from(self.header[1] & 0x7f),
            n => self.header[2..2 + n].iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        };
        self.skip = payload;
        if kind >= 8 {
            return Ok(());
        }
        if kind == 0 && payload == 0 {
            return Err(FragmentError::Empty);
        }
        self.fragments = if kind == 0 { self.fragments + 1 } else { 1 };
        if self.fragments > MAX_FRAGMENTS {
            return Err(FragmentError::TooMany);
        }
        if last {
            self.fragments = 0;
        }
        Ok(())
    }
}

/// A stream whose received bytes are counted. A broken rule is an error of reading.
#[derive(Debug)]
pub struct Guarded<S> {
    stream: S,
    counter: FragmentCounter,
}

impl<S> Guarded<S> {
    /// Guards `stream`, of which `read` was received already.
    ///
    /// # Errors
    ///
    /// [`FragmentError`] where that breaks the rule.
    pub fn new(stream: S, read: &[u8]) -> Result<Self, FragmentError> {
        let mut counter = FragmentCounter::default();
        counter.feed(read)?;
        Ok(Self { stream, counter })
    }

    /// What is below.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = polled
            && let Err(error) = self.counter.feed(&buffer.filled()[before..])
        {
            return Poll::Ready(Err(io::Error::other(error)));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: u8 = 1;
    const CONTINUE: u8 = 0;
    const PING: u8 = 9;

    fn frame(last: bool, kind: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![kind | if last { 0x80 } else { 0 }];
        match payload {
            0..126 => bytes.push(0x80 | payload as u8),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.extend([7; 4]);
        bytes.resize(bytes.len() + payload, 0x80);
        bytes
    }

    fn check(frames: &[Vec<u8>]) -> Result<(), FragmentError> {
        FragmentCounter::default().feed(&frames.concat())
    }

    #[test]
    fn answers() {
        let pieces = |n: usize| {
            let mut frames = vec![frame(false, TEXT, 3)];
            frames.extend((2..n).map(|_| frame(false, CONTINUE, 1)));
            frames.push(frame(true, CONTINUE, 70_000));
            frames
        };
        assert_eq!(
            check(&[frame(true, TEXT, 0), frame(true, PING, 0)]),
            Ok(()),
            "empty messages are allowed"
        );
        assert_eq!(check(&[pieces(16), pieces(16)].concat()), Ok(()));
        assert_eq!(check(&pieces(17)), Err(FragmentError::TooMany));
        assert_eq!(check(&[frame(false, TEXT, 1), frame(false, CONTINUE, 0)]), Err(FragmentError::Empty));
        let pinged = [frame(false, TEXT, 1), frame(true, PING, 0), frame(true, CONTINUE, 1)];
        assert_eq!(check(&pinged), Ok(()), "a ping may come between fragments");
    }

    proptest! {
        /// The answer does not depend on how the network cuts the stream.
        #[test]
        fn portions_do_not_matter(
            frames in prop::collection::vec((any::<bool>(), 0_u8..3, 0_usize..300), 0..30),
            cuts in prop::collection::vec(1_usize..50, 1..40),
        ) {
            let bytes = frames.iter().map(|&(last, kind, size)| frame(last, kind, size)).collect::<Vec<_>>().concat();
            let whole = FragmentCounter::default().feed(&bytes);
            let (mut counter, mut rest, mut answer) = (FragmentCounter::default(), &bytes[..], Ok(()));
            for cut in cuts.iter().cycle() {
                if rest.is_empty() || answer.is_err() {
                    break;
                }
                let (portion, after) = rest.split_at((*cut).min(rest.len()));
                answer = counter.feed(portion);
                rest = after;
            }
            prop_assert_eq!(answer, whole);
        }
    }
}
