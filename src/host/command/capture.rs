//! A stream read to its end but kept in bounds: the head and the tail, because the cause stands at one or the other.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

use crate::host::foreign::{Shown, tame_bytes};

/// Longest line that is shown.
const LINE_MAX: usize = 2000;

/// What is kept of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Tamed whole lines from the beginning; everything if `skipped` is 0.
    pub head: Vec<Shown>,
    /// Bytes between head and tail that were read and dropped.
    pub skipped: u64,
    /// Tamed whole lines from the end.
    pub tail: Vec<Shown>,
    /// All bytes that were read.
    pub total: u64,
}

impl Captured {
    /// Everything that was kept, as lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.head.iter().chain(&self.tail).map(Shown::as_str)
    }
}

/// Bytes in two halves of a bound.
#[derive(Default)]
pub(super) struct Bounded {
    half: usize,
    head: Vec<u8>,
    /// At least the last `half` bytes behind the head, at most three times as many.
    tail: Vec<u8>,
    /// The last byte that was dropped before the tail.
    before: u8,
    total: u64,
}

impl Bounded {
    pub(super) fn new(keep: usize) -> Self {
        Self { half: keep / 2, ..Self::default() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let room = (self.half - self.head.len()).min(bytes.len());
        let (to_head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(to_head);
        let passed = rest.len().saturating_sub(self.half);
        if passed > 0 {
            self.before = rest[passed - 1];
            self.tail.clear();
        }
        self.tail.extend_from_slice(&rest[passed..]);
        // Not at each push: moving the rest would cost more than reading it.
        if self.tail.len() > 2 * self.half {
            let over = self.tail.len() - self.half;
            self.before = self.tail[over - 1];
            self.tail.drain(..over);
        }
    }

    pub(super) fn captured(&self) -> Captured {
        let over = self.tail.len().saturating_sub(self.half);
        let before = if over > 0 { self.tail[over - 1] } else { self.before };
        let tail = &self.tail[over..];
        let kept = u64::try_from(self.head.len() + tail.len()).unwrap_or(u64::MAX);
        let skipped = self.total.saturating_sub(kept);
        if skipped == 0 {
            let whole = [self.head.as_slice(), tail].concat();
            return Captured { head: lines(&whole), skipped, tail: Vec::new(), total: self.total };
        }
        // A line that the cut went through may hold a part of a secret, which nothing recognises.
        let head = self.head.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &self.head[..end]);
        let tail = match tail.iter().position(|byte| *byte == b'\n') {
            _ if before == b'\n' => tail,
            Some(end) => &tail[end + 1..],
            None => &[],
        };
        Captured { head: lines(head), skipped, tail: lines(tail), total: self.total }
    }
}

fn lines(bytes: &[u8]) -> Vec<Shown> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|&byte| byte == b'\n').map(|line| tame_bytes(line, LINE_MAX)).collect()
}

/// A pipe that is being read in the background.
pub(super) struct Reading {
    kept: Arc<Mutex<Bounded>>,
    task: JoinHandle<()>,
}

impl Reading {
    pub(super) fn start(pipe: Option<OwnedFd>, keep: usize) -> Self {
        let kept = Arc::new(Mutex::new(Bounded::new(keep)));
        let into = Arc::clone(&kept);
        let task = tokio::spawn(async move {
            if let Some(Ok(pipe)) = pipe.map(Receiver::from_owned_fd) {
                drain(pipe, &into).await;
            }
        });
        Self { kept, task }
    }

    /// Waits for the end of the stream, at most for `grace`, then hangs up.
    pub(super) async fn finish(mut self, grace: Duration) -> Captured {
        if tokio::time::timeout(grace, &mut self.task).await.is_err() {
            self.task.abort();
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).captured()
    }
}

async fn drain(mut pipe: Receiver, into: &Mutex<Bounded>) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        into.lock().unwrap_or_else(PoisonError::into_inner).push(&chunk[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_streams_are_whole_and_long_ones_lose_their_middle() {
        let mut short = Bounded::new(20);
        short.push(b"one\ntw");
        short.push(b"o\nthree\n");
        let seen = short.captured();
        assert_eq!((seen.head, seen.skipped, seen.total), (vec!["one".into(), "two".into(), "three".into()], 0, 14));

        let mut long = Bounded::new(8);
        for n in 0..1000 {
            long.push(format!("{n:03}\n").as_bytes());
        }
        let seen = long.captured();
        assert_eq!((seen.head, seen.tail), (vec!["000".into()], vec!["999".into()]));
        assert_eq!((seen.skipped, seen.total), (3992, 4000));
    }

    #[test]
    fn nothing_kept_is_still_counted() {
        let mut none = Bounded::new(0);
        none.push(b"abc");
        let seen = none.captured();
        assert_eq!((seen.head.len(), seen.tail.len(), seen.skipped, seen.total), (0, 0, 3, 3));
    }
}
