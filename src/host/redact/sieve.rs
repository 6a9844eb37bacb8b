//! Replacing secrets in a stream, also those that two writes cut in the middle.

use std::io::{Result, Write};

use super::{KEY, Known, MARK, with};

/// A filter with a memory of what may be the beginning of a secret.
#[derive(Default)]
pub struct Sieve {
    /// The last bytes that came, as far as they may be the beginning of a secret.
    held: Vec<u8>,
    /// How many of those went out already, because somebody was waiting for them.
    gone: usize,
}

impl Sieve {
    /// Takes bytes and gives what may go out.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() && with(|_| ()).is_none() {
            return out.extend_from_slice(bytes);
        }
        self.held.extend_from_slice(bytes);
        if with(|known| self.sift(known, out)).is_none() {
            self.finish(out);
        }
    }

    fn sift(&mut self, known: &Known, out: &mut Vec<u8>) {
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            if let Some(len) = known.begins(rest) {
                out.extend_from_slice(MARK.as_bytes());
                at += len;
                continue;
            }
            if known.may_begin(rest) {
                break;
            }
            if at >= self.gone {
                out.push(rest[0]);
            }
            at += 1;
        }
        self.gone = self.gone.saturating_sub(at);
        self.held.drain(..at);
    }

    /// Lets a few bytes go before it is clear what they are, for whoever waits for a prompt: fewer than tell anything. If they
    /// turn out to be the beginning of a secret, the rest is still replaced.
    pub fn hurry(&mut self, out: &mut Vec<u8>) {
        if self.held.len() < KEY {
            out.extend_from_slice(&self.held[self.gone.min(self.held.len())..]);
            self.gone = self.held.len();
        }
    }

    /// Nothing more comes: what is held is not a whole secret. Half of one and more is replaced all the same.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        let gone = std::mem::take(&mut self.gone).min(held.len());
        let telling = with(|known| {
            let bucket = held.first_chunk::<KEY>().and_then(|start| known.by_start.get(start));
            bucket.is_some_and(|forms| forms.iter().any(|form| form.starts_with(&held) && held.len() * 2 >= form.len()))
        });
        if telling == Some(true) {
            out.extend_from_slice(MARK.as_bytes());
        } else {
            out.extend_from_slice(&held[gone..]);
        }
    }
}

/// A writer behind a [`Sieve`]. What is held back goes out when it is dropped.
pub struct Sieved<W: Write> {
    sieve: Sieve,
    to: W,
}

impl<W: Write> Sieved<W> {
    /// Filters everything for `to`.
    pub fn new(to: W) -> Self {
        Self { sieve: Sieve::default(), to }
    }
}

impl<W: Write> Write for Sieved<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut out = Vec::with_capacity(bytes.len());
        self.sieve.push(bytes, &mut out);
        self.to.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        let mut out = Vec::new();
        self.sieve.hurry(&mut out);
        self.to.write_all(&out)?;
        self.to.flush()
    }
}

impl<W: Write> Drop for Sieved<W> {
    fn drop(&mut self) {
        let mut out = Vec::new();
        self.sieve.finish(&mut out);
        // The reader may have gone; nobody is left to tell.
        let _ = self.to.write_all(&out).and_then(|()| self.to.flush());
    }
}
