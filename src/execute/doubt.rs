//! What an earlier sitting left in doubt: evidence first, then the declared policy, then a person.

use std::time::Duration;

use super::step::StepEnd;
use super::stop::requested;
use super::{ExecuteError, Executor, kept};
use crate::action::{Settled, Sign};
use crate::host::machine;
use crate::host::planted::{Bug, planted};
use crate::journal::checkpoint::{Checkpoint, How, Outcome, Resolution, Ruling, StepId};
use crate::journal::step::{StepState, StepStatus};
use crate::runbook::{OnFailure, OnUnknown, Step};

/// What is known of an item without evidence.
const UNWRITTEN: &str = "was begun and its outcome was never written";
/// What is known of one that whoever left the run at once has taken with it.
const CUT: &str = "was begun, and was ended in the middle when the run was left at once";
/// How long a command may take when its step sets no `within`.
const LONGEST: Duration = Duration::from_secs(3600);
/// What ending it may take beyond that.
const SLACK: Duration = Duration::from_secs(60);
/// How often something that is still at work is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// The note of an outcome that nobody saw when it came.
const BY_EVIDENCE: &str = "settled by evidence";

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
            let Some(settled) = self.evidence(step, id, &item).await? else {
                return Ok(Some(StepEnd::Stopped));
            };
            match settled {
                Settled::AtWork(who) => {
                    let why = format!("{item} was begun by an earlier sitting and is still at work: {who}");
                    return Ok(Some(StepEnd::Unknown(why)));
                }
                Settled::Failed(_) | Settled::Cut | Settled::Unknown if ruled => {}
                Settled::Cut | Settled::Unknown if planted(Bug::DoubtRepeated) => {}
                Settled::Cut => return self.apply_policy(step, id, &item, CUT),
                Settled::Unknown => return self.apply_policy(step, id, &item, UNWRITTEN),
                proof => self.on_record(id, &item, &proof)?,
            }
        }
        self.conclude_for_the_dead(step, id)
    }

    /// Draws the conclusion for an attempt that an earlier sitting has made and that failed. What may be repeated is looked
    /// at anew instead.
    fn conclude_for_the_dead(&mut self, step: &Step, id: &StepId) -> Result<Option<StepEnd>, ExecuteError> {
        let state = self.book.state().steps().get(id).filter(|_| !step.action.repeatable());
        let failed = state.and_then(|state| state.failed_in_this_attempt());
        let error = failed.map(|(item, why)| format!("{item}: {why}, as is on record from an earlier sitting"));
        match error {
            Some(error) => self.fail(id, error).map(Some),
            None => Ok(None),
        }
    }

    /// What evidence says of an item in doubt. What is still at work is waited for, as long as it may take at most; `None`
    /// when somebody wants the run to stop meanwhile.
    async fn evidence(&mut self, step: &Step, id: &StepId, item: &str) -> Result<Option<Settled>, ExecuteError> {
        let until = self.host.as_probe().uptime() + step.within.unwrap_or(LONGEST) + SLACK;
        let heeded = self.stop.urge();
        let mut told = false;
        loop {
            let kept = kept(&self.book, id);
            let settled = step.action.settle(item, self.host, &self.ground(&kept, step, id)).await;
            let Settled::AtWork(who) = &settled else { return Ok(Some(settled)) };
            if self.host.as_probe().uptime() >= until {
                return Ok(Some(settled));
            }
            if !std::mem::replace(&mut told, true) {
                self.book.talk(&format!(
                    "{id}: an earlier sitting has begun it and it is still at work ({who}); waiting for its end"
                ));
            }
            self.stop.ask(requested(&self.run_dir));
            tokio::select! {
                () = self.host.sleep(LOOK) => {}
                _ = self.stop.more_than(heeded) => return Ok(None),
            }
        }
    }

    /// Writes down what evidence has proven.
    fn on_record(&mut self, id: &StepId, item: &str, proof: &Settled) -> Result<(), ExecuteError> {
        let record = match proof {
            Settled::Done => found(id, item, BY_EVIDENCE),
            Settled::NotBegun => settled(id, item, Outcome::NotBegun),
            Settled::Failed(why) => settled(id, item, Outcome::Failed { why: why.clone(), causes: Vec::new() }),
            Settled::Again | Settled::Cut | Settled::Unknown | Settled::AtWork(_) => return Ok(()),
        };
        self.book.write(&[record])
    }

    /// Before a run turns back or is given up: what evidence says of whatever is open, so that as little as possible stays
    /// in doubt, and nothing is told as cut short that was done.
    pub(super) async fn settle_open(&mut self) -> Result<(), ExecuteError> {
        let runbook = self.runbook;
        for (id, _, step) in runbook.steps() {
            let Some(state) = self.book.state().steps().get(&id) else { continue };
            let in_doubt: Vec<String> = state.in_doubt().map(str::to_owned).collect();
            if state.is_done() || state.waits_for_reboot() || in_doubt.is_empty() {
                continue;
            }
            let mut seen_by_a_look = Vec::new();
            for item in in_doubt {
                match self.evidence(step, &id, &item).await? {
                    Some(Settled::Again) => seen_by_a_look.push(item),
                    Some(proof) => self.on_record(&id, &item, &proof)?,
                    None => {}
                }
            }
            self.settle_by_a_look(step, &id, seen_by_a_look).await?;
            self.close_settled(&id)?;
        }
        Ok(())
    }

    /// What may be done again can be looked at, so a run that turns back need not call it unknown: what the step would not do any
    /// more is so, and what it still would do was cut short and is as it is seen. Where the look itself cannot tell, the doubt stays.
    async fn settle_by_a_look(&mut self, step: &Step, id: &StepId, items: Vec<String>) -> Result<(), ExecuteError> {
        if items.is_empty() {
            return Ok(());
        }
        let Ok(preview) = self.look(step, id).await else { return Ok(()) };
        for item in items {
            let record = match preview.change.items.iter().find(|left| left.key == item) {
                None => found(id, &item, BY_EVIDENCE),
                Some(left) if left.sign == Sign::Unknown => continue,
                Some(left) => {
                    let why = format!("cut short: it is {}", left.before);
                    settled(id, &item, Outcome::Failed { why, causes: Vec::new() })
                }
            };
            self.book.write(&[record])?;
        }
        Ok(())
    }

    /// Ends a step all of whose doubts were settled just now.
    fn close_settled(&mut self, id: &StepId) -> Result<(), ExecuteError> {
        let Some(state) = self.book.state().steps().get(id) else { return Ok(()) };
        if state.in_doubt().next().is_some() {
            return Ok(());
        }
        let applied = |item: &String| state.items.get(item).is_some_and(|item| item.outcome == Some(Outcome::Applied));
        if state.listed.iter().all(applied) {
            return self.book.write(&[Checkpoint::StepDone { step: id.clone(), how: How::AlreadySo, took_ms: 0 }]);
        }
        self.fail(id, "cut short, as is on record from an earlier sitting".to_owned()).map(drop)
    }

    /// A failure that is on record and from which its process did not live to draw the conclusion: neither to go on without
    /// the step nor to turn back. A run that was to be paused is none of these; resuming it tries the step again.
    pub(super) fn failed_unheeded(&self, step: &Step, id: &StepId) -> Option<StepEnd> {
        let state = self.book.state();
        let StepStatus::Failed { error } = &state.steps().get(id)?.status else { return None };
        let turns_back = self.must_back_out() || state.backing_out();
        let heeded = state.failures_in_a_row(id) == 0;
        let concluded = step.on_failure == OnFailure::Continue || turns_back;
        (!heeded && concluded && !step.action.repeatable()).then(|| StepEnd::Failed(error.clone()))
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
                 take it down yourself, or give the run up"
            )))),
            Err(error) => Ok(Some(StepEnd::Unknown(error.to_string()))),
        }
    }

    /// `on_unknown` of the step.
    fn apply_policy(
        &mut self,
        step: &Step,
        id: &StepId,
        item: &str,
        seen: &str,
    ) -> Result<Option<StepEnd>, ExecuteError> {
        let how = match step.on_unknown {
            Some(OnUnknown::Rerun) => Resolution::Rerun,
            Some(OnUnknown::Skip) => Resolution::Skip,
            Some(OnUnknown::Stop) | None => {
                let why = format!("{item} {seen}");
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
            reason: format!("{item} {seen}"),
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
    }
}

/// An item of which evidence has shown what became of it.
fn settled(step: &StepId, item: &str, outcome: Outcome) -> Checkpoint {
    let note = Some(BY_EVIDENCE.to_owned());
    Checkpoint::ItemDone { step: step.clone(), item: item.to_owned(), outcome, took_ms: 0, note }
}
