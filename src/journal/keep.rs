//! What is kept of the records of a journal that is read: all of them for a screen or a report, next to nothing for going on.
use super::head;
use super::record::{Entry, LineHash};

/// What becomes of records that were judged good.
pub(super) trait Keep: Send {
    /// Takes of them what it wants, in order. What is left is let go.
    fn keep(&mut self, judged: &mut Vec<Entry>);

    /// The hash of a record's line, as the record behind it has it; `None` if it was not kept.
    fn hash_of(&self, seq: u64) -> Option<LineHash>;
}

/// Every record.
pub type All = Vec<Entry>;

impl Keep for All {
    fn keep(&mut self, judged: &mut Vec<Entry>) {
        self.append(judged);
    }

    fn hash_of(&self, seq: u64) -> Option<LineHash> {
        self.get(usize::try_from(seq).ok()?).map(|next| next.prev)
    }
}

/// The hashes of the few records that the head names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landmarks {
    wanted: Vec<u64>,
    hashes: Vec<(u64, LineHash)>,
}

impl Landmarks {
    /// Those that a head names.
    pub(super) fn of(head: &[u8]) -> Self {
        Self { wanted: head::marks(head).into_iter().map(|(_, mark)| mark.seq).collect(), hashes: Vec::new() }
    }
}

impl Keep for Landmarks {
    fn keep(&mut self, judged: &mut Vec<Entry>) {
        let Some(first) = judged.first().map(|entry| entry.seq) else { return };
        for seq in &self.wanted {
            let at = seq.checked_add(1).and_then(|next| next.checked_sub(first));
            let behind = at.and_then(|at| judged.get(usize::try_from(at).ok()?));
            self.hashes.extend(behind.map(|entry| (*seq, entry.prev)));
        }
    }

    fn hash_of(&self, seq: u64) -> Option<LineHash> {
        self.hashes.iter().find(|(of, _)| *of == seq).map(|(_, hash)| *hash)
    }
}
