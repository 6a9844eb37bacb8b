//! A journal read back, with every record or with none of them.
use super::bytes::OnDisk;
use super::files::Directory;
use super::keep::{All, Keep, Landmarks};
use super::record::LineHash;
use super::recover::{Tail, Walk};
use super::state::RunState;
use super::{Journal, JournalError};

/// A journal read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<K = All> {
    /// Its records, or what was kept of them.
    pub entries: K,
    /// Their fold.
    pub state: RunState,
    /// What follows them.
    pub tail: Tail,
    /// Length of the valid part in bytes.
    pub good: u64,
    /// Number of the last record.
    pub(super) seq: u64,
    /// Hash of the last line.
    pub(super) hash: LineHash,
    /// Slot that the next acknowledgement may overwrite.
    pub(super) free_slot: usize,
    /// Last acknowledged record, as far as the head can be read.
    pub(super) acknowledged: u64,
}

impl<K> Reading<K> {
    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.seq
    }
}

impl Journal {
    /// Reads a run without writing or repairing anything; another process may be appending meanwhile.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] or [`JournalError::File`].
    pub fn read(dir: &Directory, run: &str) -> Result<Reading, JournalError> {
        Self::examine(dir, run, |_| All::new())
    }

    /// Like [`read`](Self::read), for who wants to know what a run amounts to and not how it came to that.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn fold(dir: &Directory, run: &str) -> Result<Reading<Landmarks>, JournalError> {
        Self::examine(dir, run, Landmarks::of)
    }

    fn examine<K: Keep>(dir: &Directory, run: &str, keep: impl FnOnce(&[u8]) -> K) -> Result<Reading<K>, JournalError> {
        // The head first: records acknowledged after this moment are in the journal read after it.
        let head = dir.read("head")?;
        let journal = OnDisk::open(dir, "journal")?;
        let verdict = Walk::new(run, keep(&head)).finish(&journal, &head);
        journal.close()?;
        verdict.map_err(|damage| JournalError::Damaged { path: dir.path().join("journal"), damage })
    }
}
