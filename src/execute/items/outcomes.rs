//! What is written of an item: its intent, its outcome, and what becomes of those that never began or were given up.

use std::time::Duration;

use super::{Fan, Loss, Work};
use crate::action::{Item, Outcome, Sign};
use crate::execute::stop::Urge;
use crate::execute::{Book, ExecuteError};
use crate::host::json_text::JsonText;
use crate::host::planted::{Bug, planted};
use crate::journal::JournalError;
use crate::journal::checkpoint::{Checkpoint, Outcome as Verdict};

impl Fan<'_> {
    /// What must be durable before an item begins; a reboot also names the boot that it ends (P8).
    pub(super) fn intents(&self, item: &Item) -> Vec<Checkpoint> {
        let mut intents = vec![Checkpoint::ItemIntent { step: self.step.clone(), item: item.key.clone() }];
        if item.sign == Sign::Reboot {
            let boot_id = self.boot_id.clone().unwrap_or_default();
            intents.push(Checkpoint::RebootIntent { step: self.step.clone(), boot_id });
        }
        intents
    }

    /// One outcome and what it wants to keep, to be journaled.
    pub(super) fn ended(
        &self,
        item: Item,
        outcome: Outcome,
        took: Duration,
        work: &mut Work,
        book: &Book<'_>,
    ) -> Vec<Checkpoint> {
        work.said.remove(&item.key);
        let failed = matches!(outcome, Outcome::Failed { .. } | Outcome::Unknown { .. }) && !item.optional;
        work.lanes.land(&item, failed);
        let mut facts = Vec::new();
        let mut note = None;
        let told = match outcome {
            Outcome::Leaving => {
                // No outcome yet: only the boot id after the boot can tell it.
                work.tally.leaving = true;
                return Vec::new();
            }
            Outcome::Applied { note: said, keep } => {
                note = said;
                // Write-once: what an earlier attempt has captured stays as it was.
                facts.extend(keep.into_iter().filter(|(key, _)| book.state().captured(key).is_none()));
                Verdict::Applied
            }
            Outcome::Failed { why, causes } => {
                work.tally.lost.push(Loss {
                    key: item.key.clone(),
                    why: why.clone(),
                    optional: item.optional,
                    chore: item.is_chore(),
                    cut: false,
                });
                Verdict::Failed { why, causes }
            }
            Outcome::Unknown { .. } if planted(Bug::UnknownIsDone) => Verdict::Applied,
            Outcome::Unknown { why } => {
                work.tally.unknown.push((item.key.clone(), why.clone()));
                Verdict::Unknown { why }
            }
        };
        let mut batch = if planted(Bug::EffectFirst) { self.intents(&item) } else { Vec::new() };
        batch.extend(facts.into_iter().map(|(key, value)| self.captured(key, value)));
        batch.push(self.done(&item.key, told, took, note));
        batch
    }

    fn captured(&self, key: String, value: JsonText) -> Checkpoint {
        Checkpoint::Captured { step: self.step.clone(), key, value }
    }

    fn done(&self, item: &str, outcome: Verdict, took: Duration, note: Option<String>) -> Checkpoint {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Checkpoint::ItemDone { step: self.step.clone(), item: item.to_owned(), outcome, took_ms, note }
    }

    /// A wave that will never open: its items are lost by name, with the reason, and never silently left out.
    pub(super) fn closed(&self, index: usize, why: &str, work: &mut Work) -> Vec<Checkpoint> {
        let mut batch = Vec::new();
        for item in work.lanes.close(index) {
            batch.push(Checkpoint::ItemIntent { step: self.step.clone(), item: item.key.clone() });
            let outcome = Verdict::Failed { why: format!("not begun: {why}"), causes: Vec::new() };
            batch.push(self.done(&item.key, outcome, Duration::ZERO, None));
            work.tally.lost.push(Loss {
                chore: item.is_chore(),
                key: item.key,
                why: format!("not begun: {why}"),
                optional: item.optional,
                cut: false,
            });
        }
        batch
    }

    /// Journals what is still in flight: a wait has failed, an effect is unknown.
    pub(super) fn give_up(&self, why: &str, work: &mut Work, book: &mut Book<'_>) -> Result<(), ExecuteError> {
        let flying: Vec<Item> = work.lanes.flying().cloned().collect();
        let mut batch = work.release();
        for item in flying {
            let why = match work.said.get(&item.key) {
                Some(seen) if !seen.is_empty() => format!("{why}; last seen: {seen}"),
                _ => why.to_owned(),
            };
            if self.action.waits() {
                work.tally.lost.push(Loss {
                    key: item.key.clone(),
                    why: why.clone(),
                    optional: item.optional,
                    chore: item.is_chore(),
                    cut: work.gathering,
                });
                batch.push(self.done(&item.key, Verdict::Failed { why, causes: Vec::new() }, Duration::ZERO, None));
            } else {
                work.tally.unknown.push((item.key.clone(), why.clone()));
                batch.push(self.done(&item.key, Verdict::Unknown { why }, Duration::ZERO, None));
            }
        }
        let waiting: Vec<usize> = work.lanes.with_waiting();
        book.write(&batch)?;
        if work.tally.stopped == Urge::None {
            for index in waiting {
                let gate = self.change.wave(index).name;
                let seen = work.said.get(&gate).cloned().unwrap_or_default();
                let batch = self.closed(index, &format!("{why}; {seen}"), work);
                begin(&batch, work, book)?;
            }
        }
        Ok(())
    }
}

/// Writes what begins something, behind the outcomes that were held back and in one sync with them. Without room for it
/// nothing new begins; the outcomes are written alone, and what is in flight goes on to its own, for which the journal
/// keeps room.
pub(super) fn begin(new: &[Checkpoint], work: &mut Work, book: &mut Book<'_>) -> Result<(), ExecuteError> {
    if new.is_empty() {
        return Ok(());
    }
    let held = work.release();
    match book.write(&[&held, new].concat()) {
        Err(full @ ExecuteError::Journal(JournalError::Full { .. })) => {
            work.full = Some(full);
            book.write(&held)
        }
        written => written,
    }
}

/// What is captured is write-once, within one batch as well.
pub(super) fn once_each(batch: &mut Vec<Checkpoint>) {
    let mut keys = std::collections::BTreeSet::new();
    batch.retain(|one| match one {
        Checkpoint::Captured { key, .. } => keys.insert(key.clone()),
        _ => true,
    });
}
