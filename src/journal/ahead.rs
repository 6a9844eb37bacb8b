//! Decoding a long journal on every processor.
//!
//! What a record says and what it hashes to depends on nothing before it; only what it *means* (its place in the chain, its
//! number, whether it is legal) does. So pieces of the file are decoded side by side, while the walk of
//! [`recover`](super::recover) judges one record after the other. A piece begins where a line seems to: the walk takes only
//! what begins where it stands, and decodes by itself whatever was not decoded here, so nothing is believed on a guess.
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::record::{self, Entry, LineHash};

/// Shorter journals are decoded by the thread that asks.
const LONG: usize = 1 << 20;
/// Bytes of a piece, about.
const PIECE: usize = 256 << 10;
/// Threads that decode, the asking one among them: more would wait for it.
const MOST_THREADS: usize = 4;

/// Records that follow one another, each whole by itself.
#[derive(Default)]
pub(super) struct Decoded {
    /// Where the first begins.
    pub(super) start: usize,
    /// What they say.
    pub(super) entries: Vec<Entry>,
    /// Where the line of each ends, and its hash.
    pub(super) lines: Vec<(usize, LineHash)>,
}

impl Decoded {
    /// The records from an offset on, up to the first that is none.
    fn of(file: &[u8], start: usize, end: usize) -> Self {
        let mut found = Self { start, ..Self::default() };
        let mut offset = start;
        while offset < end
            && let Ok((entry, len)) = record::decode(&file[offset..])
        {
            found.lines.push((offset + len, LineHash::of(&file[offset..offset + len])));
            found.entries.push(entry);
            offset += len;
        }
        found
    }
}

/// Hands every piece of `file` from `from` on to `judge`, in order: what was decoded of it, and where it ends. Ends when
/// `judge` has an answer, with that.
pub(super) fn in_order<T>(file: &[u8], from: usize, mut judge: impl FnMut(Decoded, usize) -> Option<T>) -> Option<T> {
    if file.len().saturating_sub(from) < LONG {
        return judge(Decoded::default(), file.len());
    }
    let pieces = Pieces::of(file, from);
    let more = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS) - 1;
    std::thread::scope(|scope| {
        for _ in 0..more {
            scope.spawn(|| while pieces.decode_next() {});
        }
        let found = (0..pieces.count()).find_map(|at| judge(pieces.wait_for(at), pieces.ends[at]));
        pieces.nothing_more();
        found
    })
}

/// The pieces of a file and what has come of them.
struct Pieces<'f> {
    file: &'f [u8],
    starts: Vec<usize>,
    ends: Vec<usize>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// The next piece that nobody decodes yet.
    next: usize,
    done: Vec<Option<Decoded>>,
}

impl<'f> Pieces<'f> {
    fn of(file: &'f [u8], from: usize) -> Self {
        let mut starts = vec![from];
        let mut at = from;
        while let Some(start) = line_after(file, at + PIECE) {
            starts.push(start);
            at = start;
        }
        let ends: Vec<usize> = starts[1..].iter().copied().chain([file.len()]).collect();
        let done = starts.iter().map(|_| None).collect();
        Self { file, starts, ends, state: Mutex::new(State { next: 0, done }), changed: Condvar::new() }
    }

    fn count(&self) -> usize {
        self.starts.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes the next piece; `false` when there is none left.
    fn decode_next(&self) -> bool {
        let mut state = self.lock();
        let at = state.next;
        if at >= self.count() {
            return false;
        }
        state.next += 1;
        drop(state);
        let records = Decoded::of(self.file, self.starts[at], self.ends[at]);
        self.lock().done[at] = Some(records);
        self.changed.notify_all();
        true
    }

    /// What has come of a piece; until then, helps with those that follow.
    fn wait_for(&self, at: usize) -> Decoded {
        loop {
            let mut state = self.lock();
            if let Some(done) = state.done[at].take() {
                return done;
            }
            if state.next >= self.count() {
                drop(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            drop(state);
            self.decode_next();
        }
    }

    /// Whoever decodes ends after the piece it has in hand.
    fn nothing_more(&self) {
        self.lock().next = self.count();
    }
}

/// The first place from an offset on where a line with a record seems to begin.
fn line_after(file: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += file.get(at..)?.iter().position(|byte| *byte == b'\n')? + 1;
        if file.get(at..)?.starts_with(b"RB") {
            return Some(at);
        }
    }
}
