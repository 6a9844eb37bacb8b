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
use super::ahead::{self, Decoded};
use super::head;
use super::legal::Illegal;
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

/// A journal read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Its records.
    pub entries: Vec<Entry>,
    /// Their fold.
    pub state: RunState,
    /// What follows them.
    pub tail: Tail,
    /// Length of the valid part in bytes.
    pub good: u64,
    /// Hash of the last line.
    pub(super) hash: LineHash,
    /// Slot that the next acknowledgement may overwrite.
    pub(super) free_slot: usize,
    /// Last acknowledged record, as far as the head can be read.
    pub(super) acknowledged: u64,
}

/// A walk along the chain, record by record.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    run: String,
    pub(super) offset: usize,
    pub(super) entries: Vec<Entry>,
    pub(super) hashes: Vec<LineHash>,
    pub(super) state: RunState,
}

impl Walk {
    pub(super) fn new(run: &str) -> Self {
        let (entries, hashes, state) = (Vec::new(), Vec::new(), RunState::default());
        Self { run: run.to_owned(), offset: 0, entries, hashes, state }
    }

    fn seq(&self) -> u64 {
        self.entries.len() as u64
    }

    fn damage(&self, why: Reason) -> Damage {
        Damage { offset: self.offset as u64, seq: self.seq(), why }
    }

    fn prev(&self) -> LineHash {
        self.hashes.last().copied().unwrap_or_else(|| LineHash::of(self.run.as_bytes()))
    }

    /// Takes the next record in; `Ok(Some(refusal))` means that no whole record is there.
    pub(super) fn step(&mut self, file: &[u8]) -> Result<Option<Refusal>, Damage> {
        match ahead::decode(file, self.offset) {
            Ok(found) => self.admit(found).map(|()| None),
            // Whole and wrong: no crash writes these.
            Err(refusal @ (Refusal::Version { .. } | Refusal::Content(_))) => Err(self.damage(Reason::Record(refusal))),
            Err(refusal) => Ok(Some(refusal)),
        }
    }

    /// Judges the record that stands here by everything before it.
    fn admit(&mut self, found: Decoded) -> Result<(), Damage> {
        self.fits(&found.entry).map_err(|why| self.damage(why))?;
        self.state.after(&found.entry).map_err(|illegal| self.damage(Reason::Illegal(illegal)))?;
        self.hashes.push(found.hash);
        self.entries.push(found.entry);
        self.offset += found.len;
        Ok(())
    }

    /// Takes in a piece of the file, of which some was decoded already, up to `end`.
    pub(super) fn piece(&mut self, file: &[u8], decoded: Vec<Decoded>, end: usize) -> Result<Option<Refusal>, Damage> {
        for found in decoded {
            if found.offset == self.offset {
                self.admit(found)?;
            }
        }
        let mut refusal = None;
        while refusal.is_none() && self.offset < end {
            refusal = self.step(file)?;
        }
        Ok(refusal)
    }

    fn fits(&self, entry: &Entry) -> Result<(), Reason> {
        if *entry.run != *self.run {
            return Err(Reason::ForeignRun { expected: self.run.clone(), found: entry.run.to_string() });
        }
        let expected = self.seq() + 1;
        if entry.seq != expected {
            return Err(Reason::Sequence { expected, found: entry.seq });
        }
        let prev = self.prev();
        if entry.prev == prev || planted(Bug::PrevUnchecked) {
            Ok(())
        } else {
            Err(Reason::Chain { seq: entry.seq, expected: prev.to_string(), found: entry.prev.to_string() })
        }
    }

    /// Walks on to the end of what is valid; gives the reason why nothing valid follows, if anything follows.
    pub(super) fn walk_on(&mut self, file: &[u8]) -> Result<Option<Refusal>, Damage> {
        let walked = ahead::in_order(file, self.offset, |decoded, end| self.piece(file, decoded, end).transpose());
        let refusal = walked.transpose()?;
        let rest = &file[self.offset..];
        if let Some(refusal) = &refusal {
            self.nothing_valid_later(rest, refusal)?;
        }
        if self.entries.is_empty() {
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
    pub(super) fn finish(mut self, file: &[u8], head: &[u8]) -> Result<Reading, Damage> {
        let refusal = self.walk_on(file)?;
        let (free_slot, acknowledged) = self.agrees_with(head, refusal.as_ref())?;
        let bytes = (file.len() - self.offset) as u64;
        let tail = if bytes == 0 { Tail::Clean } else { Tail::Torn { bytes } };
        let (good, hash) = (self.offset as u64, self.prev());
        Ok(Reading { entries: self.entries, state: self.state, tail, good, hash, free_slot, acknowledged })
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
            return Ok((0, self.seq()));
        }
        for (_, mark) in &marks {
            if mark.seq == 0 || mark.seq > self.seq() {
                let tail = refusal.map_or("the file ends here".to_owned(), ToString::to_string);
                return Err(self.damage(Reason::AcknowledgedLost { acknowledged: mark.seq, tail }));
            }
            if self.hashes.get(mark.seq as usize - 1) != Some(&mark.hash) {
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
    Walk::new(run).finish(journal, head)
}
