//! Reading a journal back: the chain, the head, and the verdict on whatever follows the last valid record.
//!
//! | seen after the last valid record | verdict |
//! |---|---|
//! | nothing | clean |
//! | remainder without a valid record, and the head not ahead | torn tail: may be dropped, after a copy |
//! | the same, or nothing, with the head ahead | acknowledged data is lost: refused |
//! | a later valid record, a gap, a broken chain, a foreign run, another version, an illegal transition | refused |
//!
//! Everything here is pure: bytes in, verdict out. That is what lets tests cut and flip every byte.
use std::ops::ControlFlow;

use super::ahead::{self, Decoded};
use super::bytes::Bytes;
use super::head;
use super::keep::{All, Keep};
use super::legal::Illegal;
use super::reading::Reading;
use super::record::{self, Entry, LineHash, Refusal};
use super::state::RunState;
use crate::host::planted::{Bug, planted};

/// Damage that is refused, never guessed away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}, after record {seq}: {why}")]
pub struct Damage {
    /// Where the trouble begins.
    pub offset: u64,
    /// Last record that is good.
    pub seq: u64,
    /// What is wrong.
    pub why: Reason,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The first record is not there or not whole.
    #[error("there is no first record ({0})")]
    NoBeginning(Refusal),
    /// Neither slot of the head can be read.
    #[error("the head is unreadable, so nobody can say how far the journal was acknowledged")]
    NoHead,
    /// The head knows a later record.
    #[error("record {acknowledged} was acknowledged and is missing: data is lost ({tail})")]
    AcknowledgedLost {
        /// Last acknowledged record.
        acknowledged: u64,
        /// What is there in its place.
        tail: String,
    },
    /// The record that the head names has another hash.
    #[error("record {acknowledged} is not the one that was acknowledged")]
    NotAcknowledged {
        /// Its number.
        acknowledged: u64,
    },
    /// Bad bytes with a valid record behind them.
    #[error("{refusal}, yet record {later} follows at byte {later_offset}")]
    Inside {
        /// Why the bytes are no record.
        refusal: Refusal,
        /// Number of the record that follows.
        later: u64,
        /// Its offset.
        later_offset: u64,
    },
    /// A whole record that must not be there.
    #[error("{0}")]
    Record(Refusal),
    /// Not the next number.
    #[error("record {found} where {expected} is due")]
    Sequence {
        /// Due.
        expected: u64,
        /// Found.
        found: u64,
    },
    /// Does not continue the chain.
    #[error("record {seq} does not continue the chain: it follows {found}, not {expected}")]
    Chain {
        /// Its number.
        seq: u64,
        /// Hash of the record before it.
        expected: String,
        /// Hash that it names.
        found: String,
    },
    /// A record of another run.
    #[error("a record of run `{found}` in the journal of `{expected}`")]
    ForeignRun {
        /// This run.
        expected: String,
        /// The other one.
        found: String,
    },
    /// Not a legal transition.
    #[error("{0}")]
    Illegal(#[from] Illegal),
    /// Bytes after the end of the run, which nothing of ours writes.
    #[error("{bytes} bytes follow the end of the run")]
    AfterTheEnd {
        /// How many.
        bytes: u64,
    },
}

/// What follows the last valid record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Clean,
    /// An append that never finished, or one that goes on right now.
    Torn {
        /// Its length.
        bytes: u64,
    },
}

/// A walk along the chain, record by record.
#[derive(Debug, Clone)]
pub(super) struct Walk<K = All> {
    run: String,
    pub(super) offset: usize,
    seq: u64,
    pub(super) entries: K,
    /// What the next record must follow: the hash of the last line, and in the beginning of the run's name.
    pub(super) prev: LineHash,
    pub(super) state: RunState,
}

impl<K: Keep> Walk<K> {
    pub(super) fn new(run: &str, entries: K) -> Self {
        let prev = LineHash::of(run.as_bytes());
        Self { run: run.to_owned(), offset: 0, seq: 0, entries, prev, state: RunState::default() }
    }

    fn damage(&self, why: Reason) -> Damage {
        Damage { offset: self.offset as u64, seq: self.seq, why }
    }

    /// Takes records in one by one, from bytes that begin where the walk stands; gives the reason why there are no more.
    pub(super) fn by_one(&mut self, bytes: &[u8]) -> Result<Option<Refusal>, Damage> {
        let base = self.offset;
        let mut judged = Vec::new();
        let refusal = loop {
            let rest = &bytes[self.offset - base..];
            if rest.is_empty() {
                break Ok(None);
            }
            match record::decode(rest) {
                Ok((entry, len)) => {
                    if let Err(damage) = self.admit(&entry, (self.offset + len, LineHash::of(&rest[..len]))) {
                        break Err(damage);
                    }
                    judged.push(entry);
                }
                // Whole and wrong: no crash writes these.
                Err(refusal @ (Refusal::Version { .. } | Refusal::Content(_))) => {
                    break Err(self.damage(Reason::Record(refusal)));
                }
                Err(refusal) => break Ok(Some(refusal)),
            }
        };
        self.entries.keep(&mut judged);
        refusal
    }

    /// Judges the record that stands here by everything before it. The caller keeps it.
    fn admit(&mut self, entry: &Entry, (end, hash): (usize, LineHash)) -> Result<(), Damage> {
        self.fits(entry).map_err(|why| self.damage(why))?;
        self.state.after(entry).map_err(|illegal| self.damage(Reason::Illegal(illegal)))?;
        (self.offset, self.seq, self.prev) = (end, self.seq + 1, hash);
        Ok(())
    }

    /// Takes in what was decoded of a piece, if it is what stands here; all of it or up to the damage. Breaks off where the
    /// rest of the piece must be looked at one by one.
    fn take(&mut self, decoded: &mut Decoded, end: usize) -> ControlFlow<Result<(), Damage>> {
        let mut verdict = Ok(());
        if decoded.start == self.offset {
            let (seq, mut records) = (self.seq, decoded.entries.iter().zip(&decoded.lines));
            verdict = records.try_for_each(|(entry, line)| self.admit(entry, *line));
            decoded.entries.truncate((self.seq - seq) as usize);
            self.entries.keep(&mut decoded.entries);
        }
        if verdict.is_ok() && self.offset >= end { ControlFlow::Continue(()) } else { ControlFlow::Break(verdict) }
    }

    fn fits(&self, entry: &Entry) -> Result<(), Reason> {
        if *entry.run != *self.run {
            return Err(Reason::ForeignRun { expected: self.run.clone(), found: entry.run.to_string() });
        }
        let due = self.seq + 1;
        if entry.seq != due {
            return Err(Reason::Sequence { expected: due, found: entry.seq });
        }
        if entry.prev == self.prev || planted(Bug::PrevUnchecked) {
            Ok(())
        } else {
            let (expected, found) = (self.prev.to_string(), entry.prev.to_string());
            Err(Reason::Chain { seq: entry.seq, expected, found })
        }
    }

    /// Walks on to the end of what is valid; gives the reason why nothing valid follows, if anything follows.
    pub(super) fn walk_on(&mut self, file: &(impl Bytes + ?Sized)) -> Result<Option<Refusal>, Damage> {
        ahead::in_order(file, self.offset, |decoded, end| self.take(decoded, end)).unwrap_or(Ok(()))?;
        let (base, rest) = (self.offset, file.rest(self.offset));
        let refusal = self.by_one(&rest)?;
        let rest = &rest[self.offset - base..];
        if let Some(refusal) = &refusal {
            self.nothing_valid_later(rest, refusal)?;
        }
        if self.seq == 0 {
            let refusal = refusal.unwrap_or(Refusal::Short { have: 0, want: 1 });
            return Err(self.damage(Reason::NoBeginning(refusal)));
        }
        let bytes = rest.len() as u64;
        if self.state.ended().is_some() && rest.iter().any(|byte| *byte != 0) {
            return Err(self.damage(Reason::AfterTheEnd { bytes }));
        }
        Ok(refusal)
    }

    /// Walks to the end and judges the remainder against the head.
    pub(super) fn finish(mut self, file: &(impl Bytes + ?Sized), head: &[u8]) -> Result<Reading<K>, Damage> {
        let refusal = self.walk_on(file)?;
        let (free_slot, acknowledged) = self.agrees_with(head, refusal.as_ref())?;
        let bytes = (file.len() - self.offset) as u64;
        let tail = if bytes == 0 { Tail::Clean } else { Tail::Torn { bytes } };
        let Self { offset, seq, entries, prev: hash, state, .. } = self;
        Ok(Reading { entries, state, tail, good: offset as u64, seq, hash, free_slot, acknowledged })
    }

    /// A valid record anywhere behind bad bytes proves damage in the middle. Every offset is tried, not only starts of lines.
    fn nothing_valid_later(&self, rest: &[u8], refusal: &Refusal) -> Result<(), Damage> {
        let begins = rest.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'R');
        for (at, _) in begins {
            if let Ok((entry, _)) = record::decode(&rest[at..]) {
                let later_offset = (self.offset + at) as u64;
                let refusal = refusal.clone();
                return Err(self.damage(Reason::Inside { refusal, later: entry.seq, later_offset }));
            }
        }
        Ok(())
    }

    /// Every readable mark must name a record that is here. Gives the slot to overwrite next and the acknowledged number.
    pub(super) fn agrees_with(&self, head: &[u8], refusal: Option<&Refusal>) -> Result<(usize, u64), Damage> {
        let marks = head::marks(head);
        if planted(Bug::HeadUnchecked) {
            return Ok((0, self.seq));
        }
        for (_, mark) in &marks {
            if mark.seq == 0 || mark.seq > self.seq {
                let tail = refusal.map_or("the file ends here".to_owned(), ToString::to_string);
                return Err(self.damage(Reason::AcknowledgedLost { acknowledged: mark.seq, tail }));
            }
            let hash = if mark.seq == self.seq { Some(self.prev) } else { self.entries.hash_of(mark.seq) };
            if hash != Some(mark.hash) {
                return Err(self.damage(Reason::NotAcknowledged { acknowledged: mark.seq }));
            }
        }
        let Some((slot, mark)) = marks.last() else {
            return Err(self.damage(Reason::NoHead));
        };
        Ok((1 - slot, mark.seq))
    }
}

/// Reads a journal back from the bytes of its two files.
///
/// # Errors
/// [`Damage`] with offset and reason for everything but a clean end or a provably torn tail.
pub fn examine(run: &str, journal: &[u8], head: &[u8]) -> Result<Reading, Damage> {
    Walk::new(run, All::new()).finish(journal, head)
}
