//! Doors to the reader of this room, for `fuzz/`: any bytes as files, and any checkpoints as a run.

use std::collections::BTreeMap;

use super::Reading;
use super::checkpoint::Checkpoint;
use super::head::{Mark, SLOT};
use super::record::{self, Entry, FORMAT, LineHash};
use super::recover::{Damage, examine};
use super::state::RunState;

const RUN: &str = "r-fuzz";

/// `bytes` as the two files: the head first, the journal behind it.
pub(crate) fn raw(bytes: &[u8]) -> Result<Reading, Damage> {
    let (head, journal) = bytes.split_at(bytes.len().min(2 * SLOT));
    examine(RUN, journal, head)
}

/// A run made of lines `BOOT JSON`, one checkpoint each. What is not legal is left out, as an append would.
pub(crate) struct Told {
    pub(crate) journal: Vec<u8>,
    pub(crate) head: Vec<u8>,
    pub(crate) state: RunState,
    pub(crate) entries: Vec<Entry>,
    /// Length of the journal after each record.
    pub(crate) ends: BTreeMap<usize, u64>,
}

impl Told {
    pub(crate) fn of(text: &str) -> Self {
        let mut told = Self {
            journal: Vec::new(),
            head: vec![0; SLOT],
            state: RunState::default(),
            entries: Vec::new(),
            ends: BTreeMap::new(),
        };
        let mut hash = LineHash::of(RUN.as_bytes());
        for line in text.lines().take(64) {
            let Some((boot, json)) = line.split_once(' ') else { continue };
            let Ok(checkpoint) = serde_json::from_str::<Checkpoint>(json) else { continue };
            let entry = Entry {
                v: FORMAT,
                run: RUN.into(),
                seq: told.entries.len() as u64 + 1,
                prev: hash,
                boot_id: boot.into(),
                mono_ms: 1,
                wall: jiff::Timestamp::UNIX_EPOCH,
                checkpoint,
            };
            let before = told.state.clone();
            let Ok(bytes) = record::encode(&entry) else { continue };
            if told.state.after(&entry).is_err() {
                assert!(told.state == before, "a refused checkpoint changed the state");
                continue;
            }
            hash = LineHash::of(&bytes);
            told.journal.extend(bytes);
            told.ends.insert(told.journal.len(), entry.seq);
            told.entries.push(entry);
        }
        told.head.extend(Mark { seq: told.entries.len() as u64, hash }.encode());
        told
    }

    pub(crate) fn read(&self, journal: &[u8]) -> Result<Reading, Damage> {
        examine(RUN, journal, &self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A corpus of records that no reader takes any more would try nothing.
    #[test]
    fn kept_runs_are_runs() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
        let text = String::from_utf8(read("checkpoints/whole")).unwrap();
        assert_eq!(Told::of(&text).entries.len(), text.lines().count());
        for name in ["whole", "torn", "nul-tail", "head-behind"] {
            assert!(raw(&read(&format!("journal/{name}"))).is_ok_and(|reading| reading.entries.len() == 12), "{name}");
        }
    }
}
