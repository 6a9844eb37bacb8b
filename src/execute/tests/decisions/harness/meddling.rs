//! What others do between two sittings: a person rules, edits or begins a second run, a machine is cloned, a backup comes back.

use super::{HOST, Harness, MACHINE_ID, TEXT, witness_of};
use crate::execute::tests::decisions::Counts;
use crate::execute::tests::decisions::reference::STEPS;
use crate::journal::JournalError;
use crate::journal::checkpoint::{Checkpoint, Resolution, Ruling};
use crate::journal::ownership::NotOurs;
use crate::journal::store::{NewRun, StoreError};

impl Harness<'_> {
    pub(super) fn resolve(&mut self, step: usize, how: Resolution) -> Result<(), String> {
        let resumed = self.store.resume(&self.run, MACHINE_ID, self.shown.clock());
        let mut journal = resumed.map_err(|error| error.to_string())?;
        let before = journal.seq();
        let what = Ruling::Resolve { step: STEPS[step].into(), how };
        let latest = self.shown.0.lock().unwrap().1;
        let ruled = journal.append(&[Checkpoint::Decision { who: "ann".into(), what, reason: "looked".into() }]);
        let allowed = self.reference.may_rule(step, how);
        match ruled {
            Ok(entries) => *self.witness.borrow_mut() = entries.last().map(witness_of),
            // It was stamped and not written.
            Err(JournalError::Illegal(_)) => self.shown.0.lock().unwrap().1 = latest,
            Err(other) => return Err(other.to_string()),
        }
        same!(journal.seq() > before, allowed, "a ruling");
        if allowed {
            self.reference.rule(step, how);
        }
        Ok(())
    }

    pub(super) fn edit(&self, counts: &mut Counts) -> Result<(), String> {
        let path = self.file("runbook.yaml");
        std::fs::write(&path, format!("{TEXT}# edited\n")).unwrap();
        let opened = self.store.resume(&self.run, MACHINE_ID, self.shown.clock());
        let refused = matches!(opened, Err(StoreError::RunbookChanged { .. }));
        std::fs::write(&path, TEXT).unwrap();
        counts.refusals += 1;
        same!(refused, true, "an edited runbook is refused");
        Ok(())
    }

    pub(super) fn second_operator(&self, counts: &mut Counts) -> Result<(), String> {
        let opened = self.store.read(&self.run).unwrap().state.opened().unwrap().clone();
        let new = NewRun { runbook: TEXT.as_bytes(), plan: b"{}", opened, reboots: false };
        let begun = self.store.create(new, self.shown.clock());
        same!(matches!(begun, Err(StoreError::Unfinished { .. })), true, "a second run is refused");
        let held = self.store.resume(&self.run, MACHINE_ID, self.shown.clock()).map_err(|error| error.to_string())?;
        let second = self.store.resume(&self.run, MACHINE_ID, self.shown.clock());
        let in_use = matches!(second, Err(StoreError::Journal(JournalError::InUse { .. })));
        drop(held);
        counts.refusals += 2;
        same!(in_use, true, "a second writer is refused");
        Ok(())
    }

    pub(super) fn cloned(&self, id: bool, counts: &mut Counts) -> Result<(), String> {
        counts.refusals += 1;
        if id {
            let opened = self.store.resume(&self.run, "another", self.shown.clock());
            let refused = matches!(opened, Err(StoreError::Journal(JournalError::OtherMachine { .. })));
            same!(refused, true, "another machine is refused");
        } else {
            let judged = self.judge("stg-1-copy", true);
            same!(matches!(judged, Err(NotOurs::OtherName { .. })), true, "a clone is refused");
        }
        Ok(())
    }

    /// Puts an older state in place, asks, and puts the newer one back.
    pub(super) fn restored(&mut self, counts: &mut Counts) -> Result<(), String> {
        let Some((journal, head, seq)) = self.copy.clone() else { return Ok(()) };
        let told = self.witness.borrow().as_ref().map_or(0, |witness| witness.seq);
        let newer = (std::fs::read(self.file("journal")).unwrap(), std::fs::read(self.file("head")).unwrap());
        std::fs::write(self.file("journal"), &journal).unwrap();
        std::fs::write(self.file("head"), &head).unwrap();
        let judged = self.judge(HOST, false);
        std::fs::write(self.file("journal"), &newer.0).unwrap();
        std::fs::write(self.file("head"), &newer.1).unwrap();
        let refused = matches!(judged, Err(NotOurs::WentBack { .. }));
        counts.refusals += u32::from(refused);
        same!(refused, told > seq, "an older state is refused");
        Ok(())
    }
}
