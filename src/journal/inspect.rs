//! A journal looked at for people: everything that can still be said of it, damaged or not. Nothing is written, nothing repaired.
//!
//! Unlike [`examine`](super::recover::examine), which gives a verdict and no more, this keeps what came before the damage
//! and whatever behind it can still be read. The first is proven by the chain; the second is evidence and no more.
use super::files::FileError;
use super::head;
use super::keep::All;
use super::record::{self, Entry};
use super::recover::{Damage, Walk};
use super::state::RunState;
use super::store::{RunId, Store, StoreError};

/// Records behind the damage that are worth reading; a spoilt journal can hold any number of anything.
const MOST_LATER: usize = 10_000;

/// What can be said of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The records that fit: checksum, number, chain and legal order. All of them when there is no damage.
    pub entries: Vec<Entry>,
    /// Their fold.
    pub state: RunState,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Length of the part that fits.
    pub good: u64,
    /// How far the head says that records were acknowledged; `None` when it cannot be read.
    pub acknowledged: Option<u64>,
    /// What is wrong; `None` for a sound journal, be its end torn or not.
    pub damage: Option<Damage>,
    /// Records behind the damage that are whole by themselves, with their offsets. Nothing proves their order or that none
    /// is missing between them.
    pub later: Vec<(u64, Entry)>,
}

impl Inspection {
    /// Bytes of an end that was never acknowledged: an append cut short, or one that goes on right now.
    #[must_use]
    pub fn torn(&self) -> u64 {
        if self.damage.is_some() { 0 } else { self.bytes - self.good }
    }

    /// How many records were acknowledged and cannot be proven any more; `None` when nobody can say.
    #[must_use]
    pub fn lost(&self) -> Option<u64> {
        self.acknowledged.map(|seq| seq.saturating_sub(self.entries.len() as u64))
    }
}

/// Looks at the bytes of a journal and its head.
#[must_use]
pub fn inspect(run: &str, journal: &[u8], head: &[u8]) -> Inspection {
    let mut walk = Walk::new(run, All::new());
    let damage = match walk.walk_on(journal) {
        Err(damage) => Some(damage),
        Ok(refusal) => walk.agrees_with(head, refusal.as_ref()).err(),
    };
    let good = walk.offset;
    let later = if damage.is_some() { readable(journal, good) } else { Vec::new() };
    Inspection {
        entries: walk.entries,
        state: walk.state,
        bytes: journal.len() as u64,
        good: good as u64,
        acknowledged: head::marks(head).last().map(|(_, mark)| mark.seq),
        damage,
        later,
    }
}

/// Every record that is whole by itself from an offset on.
fn readable(journal: &[u8], from: usize) -> Vec<(u64, Entry)> {
    let mut found = Vec::new();
    let mut at = from;
    while let Some(ahead) = journal.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'R')) {
        at += ahead;
        match record::decode(&journal[at..]) {
            Ok((entry, len)) => {
                found.push((at as u64, entry));
                at += len;
            }
            Err(_) => at += 1,
        }
        if found.len() == MOST_LATER {
            break;
        }
    }
    found
}

impl Store {
    /// Looks at the journal of a run. A missing file counts as an empty one: that is a finding, too.
    ///
    /// # Errors
    /// [`StoreError::File`] if a file cannot be read or is refused.
    pub fn inspect(&self, id: &RunId) -> Result<Inspection, StoreError> {
        let dir = self.dir(id)?;
        let read = |name| match dir.read(name) {
            Err(error) if error.is_missing() => Ok::<_, FileError>(Vec::new()),
            other => other,
        };
        // The head first: what is acknowledged after this moment is in the journal that is read after it.
        let head = read("head")?;
        Ok(inspect(id.as_str(), &read("journal")?, &head))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{RUN, done, intent, opened, outcome, started, still};
    use super::super::recover::Reason;
    use super::super::{Directory, Journal};
    use super::*;
    use crate::journal::checkpoint::{How, Outcome};

    /// The two files of a run of six records.
    fn files() -> (Vec<u8>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let place = Directory::open(dir.path(), 0o077).unwrap();
        let mut journal = Journal::create(&place, RUN, opened(&["a/1", "b/1"]), still()).unwrap();
        for one in [
            started("a/1", 1, &["x", "y"], true),
            intent("a/1", "x"),
            outcome("a/1", "x", Outcome::Applied),
            intent("a/1", "y"),
            outcome("a/1", "y", Outcome::Applied),
            done("a/1", How::Applied),
        ] {
            journal.append(&[one]).unwrap();
        }
        drop(journal);
        (std::fs::read(dir.path().join("journal")).unwrap(), std::fs::read(dir.path().join("head")).unwrap())
    }

    #[test]
    fn a_sound_journal_is_told_whole() {
        let (journal, head) = files();
        let seen = inspect(RUN, &journal, &head);
        assert_eq!((seen.entries.len(), seen.acknowledged, seen.lost(), seen.torn()), (7, Some(7), Some(0), 0));
        assert_eq!((seen.damage, seen.later), (None, Vec::new()));
        let mut torn = journal.clone();
        torn.extend(b"RB1 900 00000000 {\"v\":1");
        let seen = inspect(RUN, &torn, &head);
        assert_eq!((seen.damage.clone(), seen.torn()), (None, 23));
    }

    #[test]
    fn what_is_before_and_behind_a_flipped_bit_is_kept() {
        let (mut journal, head) = files();
        let third: usize = journal.split_inclusive(|byte| *byte == b'\n').take(2).map(<[u8]>::len).sum();
        journal[third + 60] ^= 1;
        let seen = inspect(RUN, &journal, &head);
        let damage = seen.damage.clone().unwrap();
        assert_eq!((damage.offset, damage.seq, seen.good), (third as u64, 2, third as u64));
        assert!(matches!(damage.why, Reason::Inside { later: 4, .. }), "{damage}");
        let behind: Vec<u64> = seen.later.iter().map(|(_, entry)| entry.seq).collect();
        assert_eq!((seen.entries.len(), behind, seen.lost()), (2, vec![4, 5, 6, 7], Some(5)));
    }

    #[test]
    fn a_cut_journal_and_a_missing_head_are_damage() {
        let (journal, head) = files();
        let six: usize = journal.split_inclusive(|byte| *byte == b'\n').take(6).map(<[u8]>::len).sum();
        let seen = inspect(RUN, &journal[..six], &head);
        assert!(matches!(seen.damage.unwrap().why, Reason::AcknowledgedLost { acknowledged: 7, .. }));
        let seen = inspect(RUN, &journal, &[]);
        assert_eq!((seen.damage.clone().unwrap().why, seen.lost()), (Reason::NoHead, None));
        let seen = inspect(RUN, &[], &head);
        assert!(matches!(seen.damage.unwrap().why, Reason::NoBeginning(_)));
    }
}
