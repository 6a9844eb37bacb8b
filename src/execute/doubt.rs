//! What an earlier sitting left in doubt: evidence first, then the declared policy, then a person.

use super::step::StepEnd;
use super::{ExecuteError, Executor, kept};
use crate::action::Settled;
use crate::host::machine;
use crate::host::planted::{Bug, planted};
use crate::journal::checkpoint::{Checkpoint, Outcome, Resolution, Ruling, StepId};
use crate::journal::step::{StepState, StepStatus};
use crate::runbook::{OnUnknown, Step};

impl Executor<'_> {
    /// Settles what can be settled; the end of the step where that leaves no other way.
    pub(super) async fn settle(&mut self, step: &Step, id: &StepId) -> Result<Option<StepEnd>, ExecuteError> {
        let Some(state) = self.book.state().steps().get(id) else {
            return Ok(None);
        };
        if state.waits_for_reboot() {
            let old = state.reboot.as_ref().map(|reboot| reboot.old.clone()).unwrap_or_default();
            let in_doubt: Vec<String> = state.in_doubt().map(str::to_owned).collect();
            return self.prove_reboot(id, old, &in_doubt).await;
        }
        let in_doubt: Vec<String> = state.in_doubt().map(str::to_owned).collect();
        // A ruling holds for one attempt: after another crash somebody has to look again.
        let ruled = state.may_run_again();
        for item in in_doubt {
            let kept = kept(&self.book, id);
            match step.action.settle(&item, self.host, &self.ground(&kept, step, id)).await {
                Settled::Done => self.book.write(&[found(id, &item, "settled by evidence")])?,
                Settled::Again => {}
                Settled::Failed(why) if self.book.state().steps().get(id).is_some_and(|state| state.is_running()) => {
                    self.book.write(&[settled_as_failed(id, &item, &why)])?;
                    return self.fail(id, format!("{item}: {why}, as its unit has kept")).map(Some);
                }
                Settled::Failed(_) if ruled => {}
                Settled::Failed(why) => {
                    return Ok(Some(StepEnd::Unknown(format!("{item} is known to have failed by now: {why}"))));
                }
                Settled::Unknown if ruled || planted(Bug::DoubtRepeated) => {}
                Settled::Unknown => return self.apply_policy(step, id, &item),
            }
        }
        Ok(None)
    }

    /// Both boot ids non-empty and different: the only proof of a reboot.
    async fn prove_reboot(
        &mut self,
        id: &StepId,
        old: String,
        in_doubt: &[String],
    ) -> Result<Option<StepEnd>, ExecuteError> {
        let now = match self.host.as_probe().machine().await {
            Ok(seen) => seen,
            Err(error) => return Ok(Some(StepEnd::Unknown(format!("whether it rebooted: {error}")))),
        };
        match machine::rebooted(&old, &now) {
            Ok(true) => {
                let asked = self.book.reboot_asked_at();
                let took = asked.map_or(0, |at| self.host.as_probe().now().duration_since(at).as_millis().max(0));
                let mut facts = vec![Checkpoint::Rebooted {
                    step: id.clone(),
                    old,
                    new: now.boot_id.clone().unwrap_or_default(),
                    took_ms: u64::try_from(took).unwrap_or(0),
                }];
                facts.extend(in_doubt.iter().map(|item| found(id, item, "another boot id")));
                self.book.write(&facts)?;
                Ok(None)
            }
            Ok(false) => Ok(Some(StepEnd::Leaving(format!(
                "the boot id is still {old}: the machine has not gone down since it was asked to. It is never asked twice; \
                 take it down yourself, or `runbook abort`"
            )))),
            Err(error) => Ok(Some(StepEnd::Unknown(error.to_string()))),
        }
    }

    /// `on_unknown` of the step.
    fn apply_policy(&mut self, step: &Step, id: &StepId, item: &str) -> Result<Option<StepEnd>, ExecuteError> {
        let how = match step.on_unknown {
            Some(OnUnknown::Rerun) => Resolution::Rerun,
            Some(OnUnknown::Skip) => Resolution::Skip,
            Some(OnUnknown::Stop) | None => {
                let why = format!("{item} was begun and its outcome was never written");
                // On record, so that every screen asks for the decision instead of offering to look again.
                let known = |state: &StepState| matches!(state.status, StepStatus::Unknown { .. });
                if !self.book.state().steps().get(id).is_some_and(known) {
                    self.book.write(&[Checkpoint::StepUnknown { step: id.clone(), why: why.clone() }])?;
                }
                return Ok(Some(StepEnd::Unknown(why)));
            }
        };
        self.book.write(&[Checkpoint::Decision {
            who: "on_unknown of the runbook".into(),
            what: Ruling::Resolve { step: id.clone(), how },
            reason: format!("{item} was in doubt after a crash"),
        }])?;
        Ok((how == Resolution::Skip).then_some(StepEnd::Done))
    }
}

/// An item that turned out to be so.
pub(super) fn found(step: &StepId, item: &str, note: &str) -> Checkpoint {
    Checkpoint::ItemDone {
        step: step.clone(),
        item: item.to_owned(),
        outcome: Outcome::Applied,
        took_ms: 0,
        note: Some(note.to_owned()),
        facts: None,
    }
}

/// An item that is known to have failed.
fn settled_as_failed(step: &StepId, item: &str, why: &str) -> Checkpoint {
    let outcome = Outcome::Failed { why: why.to_owned(), causes: Vec::new() };
    let note = Some("settled by evidence".to_owned());
    Checkpoint::ItemDone { step: step.clone(), item: item.to_owned(), outcome, took_ms: 0, note, facts: None }
}
