//! Backing out: between the point of no return and the reboot, a failure or an abort brings the services back.
//!
//! It runs the phases that the runbook names for it, from the snapshot, and goes on past a step that fails: when services
//! are down, half of them is better than none. It never reboots, and it ends the run.

use super::step::StepEnd;
use super::{Ending, ExecuteError, Executor, Urge};
use crate::action::Sign;
use crate::journal::checkpoint::{Checkpoint, End, How, Loss, Outcome, PauseReason, StepId};
use crate::journal::step::{ItemState, StepStatus};
use crate::runbook::{OnFailure, Phase, Step};

impl Executor<'_> {
    /// Restores service and ends the run.
    pub(super) async fn back_out(&mut self, reason: &str) -> Result<Ending, ExecuteError> {
        if !self.book.state().backing_out() {
            self.settle_open().await?;
            self.close_running(reason)?;
            self.book.write(&[Checkpoint::BackOut { reason: reason.to_owned() }])?;
        }
        // An abort has been heeded by now; what follows must not be cut short by it.
        self.stop.forget();
        super::stop::withdraw(&self.run_dir);
        let mut trouble = Vec::new();
        let runbook = self.runbook;
        for (id, phase, step) in super::back_out_steps(runbook) {
            if self.book.state().steps().get(&id).is_some_and(|state| state.is_done()) {
                continue;
            }
            if let Some(ending) = self.left()? {
                return Ok(ending);
            }
            self.leave_for(&id).await?;
            let end = match self.loads_on_the_way_back(step, &id).await? {
                Some(end) => end,
                None => self.way_back_step(phase, step, &id).await?,
            };
            if matches!(end, StepEnd::Stopped | StepEnd::Unknown(_))
                && let Some(ending) = self.left()?
            {
                return Ok(ending);
            }
            match end {
                StepEnd::Done => {}
                // Declared to be no reason to stop: a loss, as on the way forward.
                StepEnd::Failed(error) if step.on_failure == OnFailure::Continue => {
                    self.book.skip(&id, format!("failed ({error}), and {}", Self::let_go_on(step)))?;
                }
                StepEnd::Failed(error) | StepEnd::Unknown(error) => trouble.push(format!("{id}: {error}")),
                StepEnd::Leaving(note) => trouble.push(format!("{id}: {note}")),
                StepEnd::Stopped => trouble.push(format!("{id}: stopped by the operator")),
                StepEnd::Refused(_) => trouble.push(format!("{id}: was not permitted")),
            }
        }
        self.close_running("the run backed out")?;
        if trouble.is_empty() {
            trouble = self.down_again().await;
        }
        if !trouble.is_empty() {
            self.book.pause(PauseReason::Failed, Some(trouble.join("; ")))?;
            return Ok(Ending::NotBack { reason: reason.to_owned(), trouble });
        }
        let lacks: Vec<String> = self.lost_in_back_out().into_iter().chain(self.doubts()).collect();
        let came_back = self.look_back().await;
        let end = if lacks.is_empty() { End::BackedOut } else { End::BackedOutWithLosses };
        self.book.finish(end, reason, Some(&came_back))?;
        Ok(Ending::BackedOut { reason: reason.to_owned(), trouble: lacks })
    }

    /// A sitting that died in a later step of the way back has left it running, and an earlier one that failed comes first again.
    async fn leave_for(&mut self, next: &StepId) -> Result<(), ExecuteError> {
        if self.book.state().running().is_some_and(|(id, _)| id != next) {
            self.settle_open().await?;
            self.close_running("an earlier sitting ended in the middle of it")?;
        }
        Ok(())
    }

    /// One step of the way back. An abort that comes in the middle of it asks for what is done already: the attempt that it
    /// has cut short is followed by another one, instead of leaving services down.
    async fn way_back_step(&mut self, phase: &Phase, step: &Step, id: &StepId) -> Result<StepEnd, ExecuteError> {
        loop {
            let end = self.step(phase, step, id).await?;
            if !matches!(end, StepEnd::Stopped) || self.stop.urge() != Urge::Abort {
                return Ok(end);
            }
            self.close_running("an abort came while the run was turning back")?;
            self.stop.forget();
            super::stop::withdraw(&self.run_dir);
            if self.book.state().steps().get(id).is_some_and(|state| state.is_done()) {
                return Ok(StepEnd::Done);
            }
        }
    }

    /// What the steps of the way back have brought about is looked at once more when all of them are done: the end is told from
    /// this look. Losses that were tolerated are named elsewhere.
    async fn down_again(&self) -> Vec<String> {
        let mut down = Vec::new();
        for (id, _, step) in super::back_out_steps(self.runbook) {
            let state = self.book.state().steps().get(&id);
            let Some(StepStatus::Done { how, .. }) = state.map(|state| &state.status) else { continue };
            let lost: &[Loss] = match how {
                How::WithLosses { losses } => losses,
                // Somebody has said that it is not to be looked at.
                How::Skipped { .. } | How::Ruled => continue,
                How::Applied | How::AlreadySo => &[],
            };
            if !step.action.kind().brings_back() {
                continue;
            }
            match self.look(step, &id).await {
                Ok(preview) => {
                    let left = preview.change.items.into_iter();
                    let left = left.filter(|item| !item.optional && !item.is_chore() && item.sign != Sign::Unknown);
                    let left = left.filter(|item| !lost.iter().any(|loss| loss.item == item.key));
                    down.extend(left.map(|item| format!("{id}: {} is {} again", item.key, item.before)));
                }
                Err(error) => down.push(format!("{id}: looked again and could not tell: {error}")),
            }
        }
        down
    }

    /// Somebody wants the program to stop while it turns back: the run is not over, because half of its services may be
    /// down. Whoever resumes it goes on turning back.
    fn left(&mut self) -> Result<Option<Ending>, ExecuteError> {
        self.stop.ask(super::stop::requested(&self.run_dir));
        let urge = self.stop.urge();
        if urge == Urge::Abort {
            // This is what it does already.
            self.stop.forget();
            super::stop::withdraw(&self.run_dir);
        }
        if matches!(urge, Urge::None | Urge::Abort) {
            return Ok(None);
        }
        let why = if urge == Urge::Terminate { PauseReason::Signal } else { PauseReason::Asked };
        self.book.pause(why, None)?;
        Ok(Some(Ending::Paused(urge)))
    }

    /// Steps of which nobody knows whether they happened. Backing out comes before asking about them, because services are
    /// down; it does not answer the question, so each is named at the end.
    fn doubts(&self) -> Vec<String> {
        let steps = self.book.state().steps().iter();
        let unknown = steps.filter_map(|(id, state)| match &state.status {
            StepStatus::Unknown { why } if !self.in_back_out(id) => {
                Some(format!("whether {id} happened is not known ({why})"))
            }
            _ => None,
        });
        unknown.collect()
    }

    /// What the steps of the way back were done without.
    fn lost_in_back_out(&self) -> Vec<String> {
        let steps = self.book.state().steps().iter().filter(|(id, _)| self.in_back_out(id));
        let lost = steps.flat_map(|(id, state)| match &state.status {
            StepStatus::Done { how: How::WithLosses { losses }, .. } => {
                losses.iter().map(ToString::to_string).collect()
            }
            StepStatus::Done { how: How::Skipped { why }, .. } => vec![format!("{id}: {why}")],
            _ => Vec::new(),
        });
        lost.collect()
    }

    fn in_back_out(&self, id: &StepId) -> bool {
        self.runbook.back_out.iter().any(|phase| phase == id.phase())
    }

    /// A step of which every item has succeeded is done, whatever was asked for before its end was written: what has happened
    /// is neither cut short nor backed out.
    pub(super) fn close_finished(&mut self) -> Result<(), ExecuteError> {
        let Some((id, state)) = self.book.state().running() else { return Ok(()) };
        let good = |item: &String| state.items.get(item).is_some_and(ItemState::is_so);
        if state.listed.is_empty() || !state.listed.iter().all(good) {
            return Ok(());
        }
        let done = Checkpoint::StepDone { step: id.clone(), how: How::AlreadySo, took_ms: 0 };
        self.book.write(&[done])
    }

    /// Whether something of the attempt has no outcome yet.
    pub(super) fn left_undone(&self, id: &StepId) -> bool {
        let Some(state) = self.book.state().steps().get(id) else { return true };
        let ended = |item: &String| state.items.get(item).is_some_and(|item| !item.open && item.outcome.is_some());
        !state.listed.iter().all(ended)
    }

    /// Ends an attempt that was cut short, so that another step may begin or the run may end. A wait had no effect: what was
    /// in flight there has failed. An effect in flight is unknown.
    pub(super) fn close_running(&mut self, why: &str) -> Result<(), ExecuteError> {
        self.close_finished()?;
        let Some((id, state)) = self.book.state().running() else { return Ok(()) };
        let (id, in_doubt): (StepId, Vec<String>) = (id.clone(), state.in_doubt().map(str::to_owned).collect());
        let why = format!("cut short: {why}");
        if !in_doubt.is_empty() && !self.runbook.only_waits(&id) {
            return self.book.write(&[Checkpoint::StepUnknown { step: id, why }]);
        }
        let failed = |item: String| Checkpoint::ItemDone {
            step: id.clone(),
            item,
            outcome: Outcome::Failed { why: why.clone(), causes: Vec::new() },
            took_ms: 0,
            note: None,
        };
        let mut batch: Vec<Checkpoint> = in_doubt.into_iter().map(failed).collect();
        batch.push(Checkpoint::StepFailed { step: id.clone(), error: why.clone() });
        self.book.write(&batch)
    }
}
