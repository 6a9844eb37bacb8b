//! One step: settle what an earlier sitting left in doubt, look, ask for permission, act, look again, conclude.

use std::time::Duration;

use super::doubt::found;
use super::items::{Fan, Tally};
use super::stop::Urge;
use super::{Ending, ExecuteError, Executor, kept};
use crate::action::act::start_key;
use crate::action::{Change, Ground, Preview, Sign};
use crate::host::HostError;
use crate::journal::checkpoint::{Checkpoint, How, Loss, Outcome, StepId};
use crate::runbook::{Phase, Step};

/// How a step ended, for the run to draw its conclusions.
pub(super) enum StepEnd {
    /// Done, by whatever means.
    Done,
    /// Failed; every outcome is known.
    Failed(String),
    /// Nobody knows.
    Unknown(String),
    /// The machine goes down, or must be taken down.
    Leaving(String),
    /// Cut short by a wish to stop.
    Stopped,
    /// Not begun, for want of a permission.
    Refused(Ending),
}

impl Executor<'_> {
    /// Makes one step so.
    pub(super) async fn step(&mut self, phase: &Phase, step: &Step, id: &StepId) -> Result<StepEnd, ExecuteError> {
        // How an attempt ended that an earlier sitting has made: as if it had been made in this one.
        let mut known = match self.settle(step, id).await? {
            Some(end @ StepEnd::Failed(_)) => Some(end),
            Some(end) => return Ok(end),
            None => self.failed_unheeded(step, id),
        };
        let began = self.host.as_probe().uptime();
        loop {
            let spent = self.host.as_probe().uptime().saturating_sub(began);
            let within = self.within(step, id).map(|within| within.saturating_sub(spent));
            let end = match known.take() {
                Some(end) => end,
                None => self.attempt(phase, step, id, within).await?,
            };
            if within.is_some_and(|left| left.is_zero()) {
                return Ok(end);
            }
            let tried = self.book.state().failures_in_a_row(id);
            let Some(retry) = step.retry.as_ref().filter(|retry| tried <= retry.times) else {
                return Ok(end);
            };
            let StepEnd::Failed(error) = &end else { return Ok(end) };
            let pause = retry.wait_before(tried);
            self.book.talk(&format!(
                "{id}: {error}; trying again in {}s ({tried} of {})",
                pause.as_secs(),
                retry.times
            ));
            tokio::select! {
                () = self.host.sleep(pause) => {}
                _ = self.stop.more_than(Urge::None) => return Ok(StepEnd::Stopped),
            }
        }
    }

    /// How long a step may take: as the runbook says, or for a wait as the plan says.
    pub(super) fn within(&self, step: &Step, id: &StepId) -> Option<Duration> {
        let planned = || self.plan.steps.iter().find(|planned| planned.id == *id)?.gives_up_after;
        step.within.or_else(|| planned().map(Duration::from_secs))
    }

    /// Looks, asks for permission, acts and concludes, once.
    async fn attempt(
        &mut self,
        phase: &Phase,
        step: &Step,
        id: &StepId,
        within: Option<Duration>,
    ) -> Result<StepEnd, ExecuteError> {
        let mut preview = match self.look(step, id).await {
            Ok(preview) => preview,
            Err(error) => return self.open_and_fail(step, id, &error.to_string()),
        };
        self.settle_by_sight(id, &preview.change)?;
        self.leave_out_proven(id, &mut preview.change);
        // Before "already so": a unit that was masked or a Redis that changed its role has nothing left to be done, either.
        if preview.change.refused() {
            return self.open_and_fail(step, id, &refusal(&preview.change));
        }
        if preview.change.is_empty() {
            self.book.write(&[done(id, How::AlreadySo, Duration::ZERO)])?;
            return Ok(StepEnd::Done);
        }
        if let Some(ending) = self.permit(phase, step, id)? {
            return Ok(StepEnd::Refused(ending));
        }
        let began = self.host.as_probe().uptime();
        self.open(step, id, &preview)?;
        let tally = self.fan_out(step, id, &preview.change, within).await?;
        let took = self.host.as_probe().uptime().saturating_sub(began);
        self.conclude(step, id, tally, took).await
    }

    /// An item in doubt that the look shows as so needs no other evidence.
    fn settle_by_sight(&mut self, id: &StepId, change: &Change) -> Result<(), ExecuteError> {
        let Some(state) = self.book.state().steps().get(id) else {
            return Ok(());
        };
        let is_left = |key: &str| change.items.iter().any(|item| item.key == key);
        let seen: Vec<_> = state.in_doubt().filter(|key| !is_left(key)).map(|key| found(id, key, "found so")).collect();
        self.book.write(&seen)
    }

    /// What no look can see (a command that has run) and evidence has settled is so.
    fn leave_out_proven(&self, id: &StepId, change: &mut Change) {
        let Some(state) = self.book.state().steps().get(id) else {
            return;
        };
        let proven = |key: &str| state.items.get(key).is_some_and(|item| item.outcome == Some(Outcome::Applied));
        let before = change.items.len();
        change.items.retain(|item| item.sign != Sign::Unknown || !proven(&item.key));
        change.already += before - change.items.len();
    }

    pub(super) async fn look(&self, step: &Step, id: &StepId) -> Result<Preview, HostError> {
        let kept = kept(&self.book, id);
        let mut preview = step.action.preview(self.host.as_probe(), &self.ground(&kept, step, id)).await?;
        if !step.action.repeatable() {
            // What happened once, or was proven to have happened after a crash, is never planned again (P2); its action may
            // not be able to see it.
            let state = self.book.state().steps().get(id);
            let applied = |key: &str| {
                let item = state.and_then(|state| state.items.get(key));
                item.is_some_and(|item| !item.open && item.outcome == Some(Outcome::Applied))
            };
            preview.change.items.retain(|item| !applied(&item.key));
        }
        Ok(preview)
    }

    /// Journals the beginning of an attempt and what it must remember from this moment.
    fn open(&mut self, step: &Step, id: &StepId, preview: &Preview) -> Result<(), ExecuteError> {
        let mut batch =
            vec![self.started(step, id, preview.change.items.iter().map(|item| item.key.clone()).collect())];
        let key = start_key(id.as_str());
        if let Some(value) = preview.remember.clone().filter(|_| self.book.state().captured(&key).is_none()) {
            batch.push(Checkpoint::Captured { step: id.clone(), key, value });
        }
        self.book.write(&batch)
    }

    fn started(&self, step: &Step, id: &StepId, items: Vec<String>) -> Checkpoint {
        let attempts = self.book.state().steps().get(id).map_or(0, |state| state.attempts);
        Checkpoint::StepStarted {
            step: id.clone(),
            attempt: attempts + 1,
            title: step.title(),
            items,
            repeatable: step.action.repeatable(),
        }
    }

    async fn fan_out(
        &mut self,
        step: &Step,
        id: &StepId,
        change: &Change,
        within: Option<Duration>,
    ) -> Result<Tally, ExecuteError> {
        let boot_id = match step.action.goes_down() {
            true => self.host.as_probe().machine().await.ok().and_then(|seen| seen.boot_id.clone()),
            false => None,
        };
        let kept = kept(&self.book, id);
        let attempt = self.book.state().steps().get(id).map_or(0, |state| state.attempts);
        let Self { runbook, baseline, run_dir, host, book, stop, .. } = self;
        let fan = Fan {
            action: &step.action,
            ground: Ground { attempt, ..super::ground(runbook, baseline, run_dir, &kept, (step, id)) },
            host: *host,
            step: id,
            change,
            within,
            stop,
            boot_id,
        };
        fan.out(book).await
    }

    /// Draws the conclusion and writes it down.
    async fn conclude(
        &mut self,
        step: &Step,
        id: &StepId,
        tally: Tally,
        took: Duration,
    ) -> Result<StepEnd, ExecuteError> {
        if tally.leaving {
            return Ok(StepEnd::Leaving("the machine was asked to go down".into()));
        }
        if !tally.unknown.is_empty() {
            let why = tally.unknown.iter().map(|(key, why)| format!("{key}: {why}")).collect::<Vec<_>>().join("; ");
            self.book.write(&[Checkpoint::StepUnknown { step: id.clone(), why: why.clone() }])?;
            return Ok(StepEnd::Unknown(why));
        }
        // A wish to stop that came while the last item was at work has cut nothing short. What may not be repeated has failed,
        // whoever wants to stop: otherwise the next sitting would begin it once more.
        let again = tally.lost.is_empty() || step.action.repeatable();
        if tally.stopped != Urge::None && self.left_undone(id) && again {
            return Ok(StepEnd::Stopped);
        }
        let kept = kept(&self.book, id);
        let tolerated = step.action.tolerates_losses(&self.ground(&kept, step, id));
        let required = |chore: bool| tally.lost.iter().filter(move |loss| !loss.optional && loss.chore == chore);
        // A daemon, a list or a connection that is lost fails the step; only apps can be missed.
        let few = required(false).count() <= tolerated;
        let hard: Vec<_> = required(true).chain(required(false).filter(|_| !few)).collect();
        if let Some(first) = hard.first() {
            let more = hard.iter().skip(1).filter(|loss| !loss.cut).count();
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            return self.fail(id, format!("{}: {}{more}", first.key, first.why));
        }
        let left = match self.look(step, id).await {
            Ok(preview) => preview.change,
            Err(error) => return self.fail(id, format!("looked again and could not tell: {error}")),
        };
        let lost = |key: &str| tally.lost.iter().any(|loss| loss.key == key);
        // While apps are missing, what goes around all of them (their saved list) is left to do as well, and says nothing.
        let missing = left.items.iter().any(|item| !item.is_chore());
        let still = |item: &&crate::action::Item| !item.is_chore() || !missing;
        if let Some(item) = left
            .items
            .iter()
            .filter(still)
            .find(|item| !lost(&item.key) && !item.optional && item.sign != Sign::Unknown)
        {
            return self.fail(
                id,
                format!("{}: was applied, and is still {} instead of {}", item.key, item.before, item.after),
            );
        }
        let named = |loss: &super::items::Loss| Loss { item: loss.key.clone(), why: loss.why.clone() };
        let mut losses: Vec<Loss> = tally.lost.iter().map(named).collect();
        // A tolerable loss that only the second look shows is a loss all the same, and is named.
        let late = left.items.iter().filter(|item| item.optional && !lost(&item.key) && item.sign != Sign::Unknown);
        losses.extend(
            late.map(|item| Loss { item: item.key.clone(), why: format!("{}, wanted {}", item.before, item.after) }),
        );
        let how = if losses.is_empty() { How::Applied } else { How::WithLosses { losses } };
        self.book.write(&[done(id, how, took)])?;
        Ok(StepEnd::Done)
    }

    pub(super) fn fail(&mut self, id: &StepId, error: String) -> Result<StepEnd, ExecuteError> {
        self.book.write(&[Checkpoint::StepFailed { step: id.clone(), error: error.clone() }])?;
        Ok(StepEnd::Failed(error))
    }

    /// A step that fails before its first effect still has its place in the journal.
    pub(super) fn open_and_fail(&mut self, step: &Step, id: &StepId, error: &str) -> Result<StepEnd, ExecuteError> {
        let started = self.started(step, id, Vec::new());
        self.book.write(&[started])?;
        self.fail(id, error.to_owned())
    }
}

fn done(step: &StepId, how: How, took: Duration) -> Checkpoint {
    Checkpoint::StepDone { step: step.clone(), how, took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) }
}

/// Everything that forbids a change, in one line.
fn refusal(change: &Change) -> String {
    let stops = change.concerns.iter().filter(|concern| concern.weight == crate::action::change::Weight::Stop);
    stops.map(|c| format!("{}: {} ({})", c.about, c.seen, c.cure)).collect::<Vec<_>>().join("; ")
}
