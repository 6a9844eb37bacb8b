//! `learned`: what the runs that are over have taught, kept when their journals go, so that nobody reads all journals to begin.
//!
//! It names the runs that are known to be over, how long their steps took and which loads they measured. It is a summary and
//! never the truth: a run that it does not name is read from its journal, and without the file all of them are. So a damaged
//! one is no trouble: it is made anew from the journals that are still there.
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::checkpoint::{End, How, Outcome, StepId};
use super::durations::Durations;
use super::run_id::RunId;
use super::state::RunState;
use super::step::StepStatus;
use super::store::{Store, StoreError};
use crate::action::loads::record_of;
use crate::host::redis::eta::{History, LATEST, LoadRecord, MOST};

/// Its name in the state directory.
pub(super) const LEARNED: &str = "learned";
/// What its first line begins with; another number is another format, and then the file counts as none.
const MAGIC: &str = "RBL1";
/// Lessons that are kept of one runbook: the middle and the slow end of twenty runs say as much as those of two hundred.
const PER_RUNBOOK: usize = 20;
/// Loads that are kept over all instances.
const MOST_LOADS: usize = 512;
/// Bytes of lessons and loads; the oldest lessons go first.
const MOST_BYTES: usize = 1 << 20;
/// Longest file that is taken for ours.
const LONGEST: usize = 16 << 20;

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Over {
    /// When it ended or was set aside.
    pub(super) at: Timestamp,
    /// What its directory takes on the disk.
    pub(super) bytes: u64,
    /// It was abandoned or set aside: somebody may still need what it left.
    pub(super) evidence: bool,
}

/// How long the steps of one run took, and their items.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Lesson {
    runbook: String,
    steps: BTreeMap<StepId, u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    items: BTreeMap<StepId, BTreeMap<String, u64>>,
}

/// What is known without reading a journal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Learned {
    /// Runs that are over and whose lessons are in here.
    pub(super) over: BTreeMap<String, Over>,
    /// Runs that were known and have gone since.
    pub(super) pruned: u64,
    /// Oldest first.
    lessons: Vec<Lesson>,
    /// Oldest first.
    loads: Vec<LoadRecord>,
}

impl Learned {
    /// Reads the file's bytes; `None` if they are not what was written.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let line = bytes.iter().position(|byte| *byte == b'\n').filter(|_| bytes.len() <= LONGEST)?;
        let (head, body) = (bytes.get(..line)?, bytes.get(line + 1..)?);
        if head != first_line(body).as_bytes() {
            return None;
        }
        serde_json::from_slice(body).ok()
    }

    /// The file's bytes.
    fn written(&self) -> Vec<u8> {
        // Of names and numbers; what could not be written would be read back as damaged, and made anew.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = first_line(&body).into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Takes in what a run teaches: its loads however it ended, its times when it ended well.
    pub(super) fn take_in(&mut self, state: &RunState) {
        self.loads.extend(state.all_captured().filter_map(|(key, value)| record_of(key, value)));
        let good = matches!(state.ended(), Some(End::Done | End::DoneWithLosses));
        if let Some(opened) = state.opened().filter(|_| good) {
            let mut lesson = Lesson { runbook: opened.runbook_name.clone(), ..Lesson::default() };
            state.steps().iter().for_each(|(id, step)| {
                // Steps that had nothing to do say nothing about the next time.
                let StepStatus::Done { how: How::Applied | How::WithLosses { .. }, took_ms } = &step.status else {
                    return;
                };
                lesson.steps.insert(id.clone(), *took_ms);
                let applied = step.items.iter().filter(|(_, item)| item.outcome == Some(Outcome::Applied));
                let items: BTreeMap<_, _> = applied.map(|(name, item)| (name.clone(), item.took_ms)).collect();
                if !items.is_empty() {
                    lesson.items.insert(id.clone(), items);
                }
            });
            self.lessons.push(lesson);
        }
    }

    /// Lets go of what is too much, the oldest first.
    fn trim(&mut self) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        keep_newest(&mut self.lessons, |lesson| {
            let count = seen.entry(lesson.runbook.clone()).or_default();
            *count += 1;
            *count <= PER_RUNBOOK
        });
        let (mut all, mut servers) = (0, BTreeMap::<String, Vec<String>>::new());
        keep_newest(&mut self.loads, |load| {
            let seen = servers.entry(load.instance.clone()).or_default();
            let same = seen.iter().filter(|server| **server == load.server).count();
            let fits = same < LATEST && seen.len() < MOST && all < MOST_LOADS;
            if fits {
                seen.push(load.server.clone());
                all += 1;
            }
            fits
        });
        let bytes = |what: &Self| serde_json::to_vec(&(&what.lessons, &what.loads)).map_or(0, |bytes| bytes.len());
        while !self.lessons.is_empty() && bytes(self) > MOST_BYTES {
            self.lessons.drain(..self.lessons.len().div_ceil(4));
        }
    }

    /// Forgets the runs that are not there any more, and counts them.
    fn forget_all_but(&mut self, there: &BTreeSet<&str>) {
        let before = self.over.len();
        self.over.retain(|run, _| there.contains(run.as_str()));
        self.pruned += (before - self.over.len()) as u64;
    }

    /// The loads by instance.
    pub(super) fn loads(&self) -> History {
        let mut history = History::default();
        self.loads.iter().for_each(|load| history.add(load.clone()));
        history.forget_old();
        history
    }

    /// The times of one runbook's steps.
    pub(super) fn durations(&self, runbook: &str) -> Durations {
        let mut durations = Durations::default();
        for lesson in self.lessons.iter().filter(|lesson| lesson.runbook == runbook) {
            for (step, took) in &lesson.steps {
                durations.steps.entry(step.clone()).or_default().push(*took);
            }
            for (step, items) in &lesson.items {
                let of_the_step = durations.items.entry(step.clone()).or_default();
                items.iter().for_each(|(item, took)| of_the_step.entry(item.clone()).or_default().push(*took));
            }
        }
        durations
    }
}

/// Keeps what `wanted` says yes to, asked from the newest to the oldest.
fn keep_newest<T>(all: &mut Vec<T>, mut wanted: impl FnMut(&T) -> bool) {
    let mut kept: Vec<T> = std::mem::take(all).into_iter().rev().filter(|one| wanted(one)).collect();
    kept.reverse();
    *all = kept;
}

fn first_line(body: &[u8]) -> String {
    format!("{MAGIC} {:08x}", crc32c::crc32c(body))
}

impl Store {
    /// What is known without reading a journal; nothing, where the file is missing, damaged or not ours.
    pub(super) fn learned(&self) -> Learned {
        self.root.read(LEARNED).ok().and_then(|bytes| Learned::read(&bytes)).unwrap_or_default()
    }

    /// What is known, with the lessons of the runs that are over and were not yet learned from; nothing is written.
    pub(super) fn learned_now(&self) -> Result<Learned, StoreError> {
        let mut learned = self.learned();
        self.catch_up(&mut learned, |_| ())?;
        Ok(learned)
    }

    /// Writes down what the runs that are over have taught, if anything is new. The caller holds the host lock. Every run may
    /// go afterwards and its lessons stay.
    ///
    /// # Errors
    /// [`StoreError::File`]; the file is then as before.
    pub fn learn(&self) -> Result<(), StoreError> {
        self.learn_all().map(drop)
    }

    pub(super) fn learn_all(&self) -> Result<Learned, StoreError> {
        let before = self.learned();
        let mut learned = before.clone();
        let ids = self.catch_up(&mut learned, |id| self.give_back(id))?;
        learned.forget_all_but(&ids.iter().map(RunId::as_str).collect());
        if learned != before {
            self.write_learned(&learned)?;
        }
        Ok(learned)
    }

    pub(super) fn write_learned(&self, learned: &Learned) -> Result<(), StoreError> {
        Ok(self.root.replace(LEARNED, &learned.written())?)
    }

    /// How many runs were known once and are not there any more.
    #[must_use]
    pub fn pruned(&self) -> u64 {
        self.learned().pruned
    }

    /// Takes in each run that is over and not yet known, oldest first, and does with it what belongs to its end; gives the names
    /// of all runs.
    fn catch_up(&self, learned: &mut Learned, settle: impl Fn(&RunId)) -> Result<Vec<RunId>, StoreError> {
        let ids = self.ids()?;
        let unknown: Vec<&RunId> = ids.iter().filter(|id| !learned.over.contains_key(id.as_str())).collect();
        for id in &unknown {
            let state = self.fold(id).ok().map(|reading| reading.state);
            if state.as_ref().is_some_and(|state| state.ended().is_some()) {
                settle(id);
            }
            let Some(over) = self.over(id, state.as_ref()) else { continue };
            if let Some(state) = &state {
                learned.take_in(state);
            }
            learned.over.insert(id.to_string(), over);
        }
        if !unknown.is_empty() {
            learned.trim();
        }
        Ok(ids)
    }

    /// Gives the room back that a journal had reserved for more records: most of what a run takes. Its bytes stay as they are.
    fn give_back(&self, id: &RunId) {
        // Without it a run takes more room, and nothing else is wrong.
        let _given = self.dir(id).and_then(|dir| Ok(dir.file("journal", true)?)).map(|file| {
            let len = file.metadata().map(|meta| meta.len());
            len.and_then(|len| file.set_len(len))
        });
    }

    /// Whether a run is over: its journal says so, or the note of whoever set it aside.
    pub(super) fn over(&self, id: &RunId, state: Option<&RunState>) -> Option<Over> {
        let ended = state.and_then(|state| Some((state.ended()?, state.latest_wall()?)));
        let (at, evidence) = match ended {
            Some((end, at)) => (at, end == End::Abandoned),
            None => (self.aside(id)?.at, true),
        };
        Some(Over { at, bytes: self.bytes_of(id), evidence })
    }
}

#[cfg(test)]
#[path = "learned_tests.rs"]
mod tests;
