//! Decoding a long journal on every processor.
//!
//! What a record says and what it hashes to depends on nothing before it; only what it *means* (its place in the chain, its
//! number, whether it is legal) does. So pieces of the file are decoded side by side, while the walk of
//! [`recover`](super::recover) judges one record after the other. A piece begins where a line seems to: the walk takes only
//! what begins where it stands, and decodes by itself whatever was not decoded here, so nothing is believed on a guess.
use std::ops::{ControlFlow, Range};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::bytes::Bytes;
use super::record::{self, Entry, LineHash, Refusal};

/// Shorter journals are decoded by the thread that asks.
const LONG: usize = 1 << 20;
/// Bytes of a piece: it stays in a processor's own cache while it is decoded.
const PIECE: usize = 256 << 10;
/// Bytes that are read beyond a piece, for the last line that begins in it.
const SLACK: usize = 4 << 10;
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
    /// For the bytes of a piece.
    buffer: Vec<u8>,
}

impl Decoded {
    /// Takes what begins in a piece of the file, from its first line on to what is no record.
    fn piece(&mut self, file: &(impl Bytes + ?Sized), piece: &Range<usize>, begins: bool) {
        self.entries.clear();
        self.lines.clear();
        let first = if begins { Some(piece.start) } else { line_in(file, piece, &mut self.buffer) };
        let Some(first) = first else { return };
        self.start = first;
        let (mut at, mut wanted) = (first, piece.end + SLACK - first);
        while at < piece.end
            && let Some(cut_off) = self.lines(file, at..at + wanted, piece.end)
        {
            (at, wanted) = cut_off;
        }
    }

    /// Decodes lines that begin before `end`. When the bytes asked for end first: where the line begins that was cut off, and how
    /// many bytes it wants.
    fn lines(&mut self, file: &(impl Bytes + ?Sized), asked: Range<usize>, end: usize) -> Option<(usize, usize)> {
        let bytes = file.get(asked.clone(), &mut self.buffer);
        let mut at = 0;
        while asked.start + at < end {
            match record::decode(&bytes[at..]) {
                Ok((entry, len)) => {
                    self.lines.push((asked.start + at + len, LineHash::of(&bytes[at..at + len])));
                    self.entries.push(entry);
                    at += len;
                }
                Err(Refusal::Short { want, .. }) if bytes.len() == asked.len() => {
                    return Some((asked.start + at, want));
                }
                Err(_) => break,
            }
        }
        None
    }
}

/// Where the first line begins in a piece.
fn line_in(file: &(impl Bytes + ?Sized), piece: &Range<usize>, buffer: &mut Vec<u8>) -> Option<usize> {
    // From the byte before on: a line may begin just where the piece does. Most lines are short.
    let from = piece.start - 1;
    [SLACK, piece.len()].into_iter().find_map(|look| {
        let bytes = file.get(from..from + look, buffer);
        bytes.windows(3).position(|at| at == b"\nRB").map(|newline| from + newline + 1)
    })
}

/// Hands every piece of `file` from `from` on to `judge`, in order: what was decoded of it, and where it ends. Ends when
/// `judge` has an answer, with that. Of a short file there are no pieces.
///
/// Whoever has decoded a piece judges it, when its turn comes: what was decoded lies in the cache of that processor.
pub(super) fn in_order<T: Send>(
    file: &(impl Bytes + ?Sized),
    from: usize,
    judge: impl FnMut(&mut Decoded, usize) -> ControlFlow<T> + Send,
) -> Option<T> {
    if file.len().saturating_sub(from) < LONG {
        return None;
    }
    let pieces = (from..file.len()).step_by(PIECE).map(|start| start..(start + PIECE).min(file.len()));
    let pieces = Mutex::new(pieces.enumerate());
    let next = || lock(&pieces).next();
    let turns = Turns { turn: Mutex::new(Turn { at: 0, judge, answer: None, over: false }), passed: Condvar::new() };
    let work = || {
        let _so_that_nobody_waits = OnPanic(|| turns.end());
        let mut decoded = Decoded::default();
        while let Some((at, piece)) = next() {
            decoded.piece(file, &piece, at == 0);
            if !turns.take(at, &mut decoded, piece.end) {
                break;
            }
        }
    };
    let helpers = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS) - 1;
    std::thread::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(work);
        }
        work();
    });
    turns.turn.into_inner().unwrap_or_else(PoisonError::into_inner).answer
}

/// Whose turn it is to be judged.
struct Turns<J, T> {
    turn: Mutex<Turn<J, T>>,
    passed: Condvar,
}

struct Turn<J, T> {
    /// Number of the piece that is due.
    at: usize,
    judge: J,
    answer: Option<T>,
    /// Nothing is judged any more.
    over: bool,
}

impl<T, J: FnMut(&mut Decoded, usize) -> ControlFlow<T>> Turns<J, T> {
    /// Waits for the turn of a piece and has it judged; `false` when nothing more is wanted.
    fn take(&self, at: usize, decoded: &mut Decoded, end: usize) -> bool {
        let turn = lock(&self.turn);
        let mut turn =
            self.passed.wait_while(turn, |turn| turn.at != at && !turn.over).unwrap_or_else(PoisonError::into_inner);
        if !turn.over {
            turn.answer = (turn.judge)(decoded, end).break_value();
            turn.over = turn.answer.is_some();
        }
        turn.at += 1;
        self.passed.notify_all();
        !turn.over
    }

    fn end(&self) {
        lock(&self.turn).over = true;
        self.passed.notify_all();
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something when the thread panics.
struct OnPanic<F: Fn()>(F);

impl<F: Fn()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn pieces_are_judged_in_order_and_all_of_them() {
        let file = vec![b'x'; LONG + 2 * PIECE + 7];
        let mut ends = Vec::new();
        let none = in_order::<()>(&file[..], 5, |_, end| {
            ends.push(end);
            ControlFlow::Continue(())
        });
        assert_eq!(none, None);
        let due: Vec<usize> = (5..file.len()).step_by(PIECE).skip(1).chain([file.len()]).collect();
        assert_eq!(ends, due);
    }

    #[test]
    fn whoever_judges_and_panics_leaves_nobody_waiting() {
        let file = vec![b'x'; LONG + 2 * PIECE];
        let mut left = 3;
        let judged = catch_unwind(AssertUnwindSafe(|| {
            in_order::<()>(&file[..], 0, |_, _| {
                left -= 1;
                assert!(left > 0, "on purpose");
                ControlFlow::Continue(())
            })
        }));
        assert!(judged.is_err());
    }
}
