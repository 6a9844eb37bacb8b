//! Floor 7: making it so. One loop serves `run` and `resume`: a resume is a run whose journal is not empty.
//!
//! The order of things is always the same: look, decide, write it down durably, act, look again, write the outcome.
//! Nothing here assumes that the caller is a terminal: answers come from an [`Approve`], tellings go to a
//! [`Reporter`](crate::event::Reporter).

mod back_out;
mod book;
mod boots;
mod doubt;
pub mod dress;
mod items;
mod lanes;
mod others;
mod permit;
mod slots;
mod step;
pub mod stop;
#[cfg(test)]
pub(crate) mod tests;
mod window;

use std::path::{Path, PathBuf};

pub use book::Book;
pub use permit::{Approve, Ask as Question, Reply};
pub use stop::{Stop, Urge};
pub use window::Standing;

use crate::action::{Ground, Kept};
use crate::host::{Facts, Host};
use crate::journal::JournalError;
use crate::journal::checkpoint::{Checkpoint, End, Loss, PauseReason, StepId};
use crate::journal::step::{StepState, StepStatus};
use crate::plan::{CameBack, Plan, came_back, look_around};
use crate::runbook::{OnFailure, Phase, Runbook, Step};
use step::StepEnd;

/// Why the engine itself cannot be trusted to go on. A step that fails is an [`Ending`], not an error.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// A checkpoint could not be made durable, or was not legal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// How a sitting of a run ended. All but the first three leave the journal open for a resume.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Every step is done; the named losses are declared tolerable.
    Done {
        /// What did not come back, by name and with the reason.
        losses: Vec<Loss>,
    },
    /// Failed or aborted before the reboot; a look afterwards found what was stopped up again. The run is over.
    BackedOut {
        /// Why it backed out.
        reason: String,
        /// What did not come back in backing out, and what nobody knows of the steps before it.
        trouble: Vec<String>,
    },
    /// It turned back, and services are not back. The run is not over: `resume` goes on turning back.
    NotBack {
        /// Why it backed out.
        reason: String,
        /// What stands in the way, and what a look afterwards found down.
        trouble: Vec<String>,
    },
    /// Given up before anything was taken away. The run is over.
    GivenUp {
        /// Why.
        reason: String,
    },
    /// A step failed; `resume` tries it again.
    Failed {
        /// The step.
        step: StepId,
        /// The reason and the cure.
        error: String,
        /// Nothing on the host had been changed by then.
        untouched: bool,
    },
    /// Nobody knows what a step has done; evidence or a decision is needed.
    Unknown {
        /// The step.
        step: StepId,
        /// What was seen last.
        why: String,
    },
    /// Paused as asked.
    Paused(Urge),
    /// The machine is going down, or somebody must power it on.
    WaitingForReboot {
        /// What is being waited for.
        note: String,
    },
    /// A person must answer, and there is none.
    NeedsAnswer {
        /// The step.
        step: StepId,
        /// The flag or command that answers.
        how: String,
    },
    /// The window does not allow the next step.
    OutsideWindow {
        /// Why.
        why: String,
        /// Service had been taken away and was brought back, all but these; the run is over. `None`: nothing had been, and
        /// the run waits for another window.
        backed_out: Option<Vec<String>>,
    },
}

/// What the caller decides about a sitting.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// Why the window does not bind this run.
    pub ignore_window: Option<String>,
    /// Ask before each phase.
    pub step_by_step: bool,
    /// Who acts, for decisions in the journal.
    pub who: String,
}

/// One sitting of one run.
pub struct Executor<'a> {
    /// The frozen runbook.
    pub runbook: &'a Runbook,
    /// What was expected, for the window.
    pub plan: &'a Plan,
    /// What was true when the run began.
    pub baseline: &'a Facts,
    /// The run's directory.
    pub run_dir: PathBuf,
    /// The machine.
    pub host: &'a dyn Host,
    /// Journal and listeners.
    pub book: Book<'a>,
    /// Whoever answers questions.
    pub approve: &'a mut dyn Approve,
    /// The wish to stop.
    pub stop: Stop,
    /// See [`Orders`].
    pub orders: Orders,
}

impl Executor<'_> {
    /// Goes through the steps that are not done, until the end or something in the way.
    ///
    /// # Errors
    /// [`ExecuteError`] when the journal cannot be written; nothing more was done then.
    pub async fn run(&mut self) -> Result<Ending, ExecuteError> {
        let ended = self.go_through().await;
        if let Err(ExecuteError::Journal(full @ JournalError::Full { .. })) = &ended {
            // The journal keeps room for this record; without it the next reader sees a process that vanished.
            let _told_by_the_error = self.book.pause(PauseReason::Operator, Some(full.to_string()));
        }
        ended
    }

    async fn go_through(&mut self) -> Result<Ending, ExecuteError> {
        if self.book.state().in_a_new_boot() {
            self.tell_of_the_boot();
            self.wait_for_the_boot().await;
        }
        if self.book.state().backing_out() {
            return self.back_out("resumed while backing out").await;
        }
        let runbook = self.runbook;
        for (id, phase, step) in runbook.steps() {
            if self.book.state().steps().get(&id).is_some_and(|state| state.is_done()) {
                continue;
            }
            if let Some(ending) = self.stop_asked().await? {
                return Ok(ending);
            }
            let end = match self.gates_of_earlier_boots(step, &id).await? {
                Some(end) => end,
                None => self.step(phase, step, &id).await?,
            };
            if let Some(ending) = self.after(step, &id, end).await? {
                return Ok(ending);
            }
        }
        self.finish().await
    }

    /// What an end of a step means for the run; `None` to go on.
    async fn after(&mut self, step: &Step, id: &StepId, end: StepEnd) -> Result<Option<Ending>, ExecuteError> {
        match end {
            StepEnd::Done => Ok(None),
            StepEnd::Failed(error) if self.carries_on(step, id, &error) => {
                let why = format!("failed ({error}), and {}", Self::let_go_on(step));
                self.book.skip(id, why)?;
                Ok(None)
            }
            StepEnd::Failed(error) => {
                if self.must_back_out() {
                    return self.back_out(&format!("{id} failed: {error}")).await.map(Some);
                }
                let error = self.restore_others(step, id, error).await?;
                self.book.pause(PauseReason::Failed, Some(error.clone()))?;
                let untouched = self.book.untouched(self.runbook);
                Ok(Some(Ending::Failed { step: id.clone(), error, untouched }))
            }
            StepEnd::Unknown(why) => {
                // Whoever left at once has made it unknown; what evidence says of it, the next sitting finds.
                if self.must_back_out() && self.stop.urge() < Urge::Terminate {
                    return self.back_out(&format!("{id} is unknown: {why}")).await.map(Some);
                }
                let why = self.restore_others(step, id, why).await?;
                self.book.pause(PauseReason::Operator, Some(why.clone()))?;
                Ok(Some(Ending::Unknown { step: id.clone(), why }))
            }
            StepEnd::Leaving(note) => {
                self.book.pause(PauseReason::Reboot, Some(note.clone()))?;
                Ok(Some(Ending::WaitingForReboot { note }))
            }
            StepEnd::Stopped => self.stop_asked().await,
            // The night has become too short for the reboot, and nobody may be left without service until the next one.
            StepEnd::Refused(Ending::OutsideWindow { why, .. }) if self.must_back_out() => {
                let back = self.back_out(&format!("{id} may not begin: {why}")).await?;
                let Ending::BackedOut { trouble, .. } = back else { return Ok(Some(back)) };
                Ok(Some(Ending::OutsideWindow { why, backed_out: Some(trouble) }))
            }
            StepEnd::Refused(ending) => {
                let why = match &ending {
                    Ending::OutsideWindow { why, .. } => Some(why.clone()),
                    Ending::NeedsAnswer { step, how } => Some(format!("{step} needs an answer: {how}")),
                    _ => None,
                };
                self.book.pause(PauseReason::Operator, why)?;
                Ok(Some(ending))
            }
        }
    }

    /// `on_failure` of the step: the runbook, or a person, lets the run go on without it.
    fn carries_on(&mut self, step: &Step, id: &StepId, error: &str) -> bool {
        match step.on_failure {
            OnFailure::Stop => false,
            OnFailure::Continue => true,
            OnFailure::Ask => {
                let ask = Question::GoOnWithout { step: id.clone(), error: error.to_owned() };
                self.approve.ask(&ask) == Reply::Yes
            }
        }
    }

    /// Who let the run go on without a step: the ruling that its loss is told with.
    fn let_go_on(step: &Step) -> &'static str {
        match step.on_failure {
            OnFailure::Ask => "somebody let the run go on (on_failure: ask)",
            OnFailure::Continue | OnFailure::Stop => "the runbook goes on (on_failure: continue)",
        }
    }

    /// A pause, an abort or a termination that was asked for; `None` when nothing was.
    async fn stop_asked(&mut self) -> Result<Option<Ending>, ExecuteError> {
        self.stop.ask(stop::requested(&self.run_dir));
        let urge = self.stop.urge();
        if urge == Urge::Abort {
            self.close_finished()?;
            if self.standing().next_step().is_none() {
                return self.finish().await.map(Some);
            }
        }
        match urge {
            Urge::None => Ok(None),
            Urge::Abort if self.must_back_out() => self.back_out("aborted by the operator").await.map(Some),
            Urge::Abort if !self.book.state().past_no_return() => {
                self.settle_open().await?;
                self.close_running("aborted by the operator")?;
                if let Some(ending) = self.in_doubt()? {
                    return Ok(Some(ending));
                }
                let reason = "aborted by the operator before anything was taken away".to_owned();
                self.book.finish(End::Failed, &reason, None)?;
                Ok(Some(Ending::GivenUp { reason }))
            }
            _ => {
                let why = if urge == Urge::Terminate { PauseReason::Signal } else { PauseReason::Asked };
                self.book.pause(why, None)?;
                Ok(Some(Ending::Paused(urge)))
            }
        }
    }

    /// A step whose outcome nobody knows keeps a run from being given up: somebody has to look first.
    fn in_doubt(&mut self) -> Result<Option<Ending>, ExecuteError> {
        let unknown = |(id, state): (&StepId, &StepState)| match &state.status {
            StepStatus::Unknown { why } => Some((id.clone(), why.clone())),
            _ => None,
        };
        let Some((step, why)) = self.book.state().steps().iter().find_map(unknown) else { return Ok(None) };
        self.book.pause(PauseReason::Operator, Some(why.clone()))?;
        Ok(Some(Ending::Unknown { step, why }))
    }

    /// Ends the run after its last step.
    async fn finish(&mut self) -> Result<Ending, ExecuteError> {
        let losses = self.book.losses(self.runbook);
        let end = if losses.is_empty() { End::Done } else { End::DoneWithLosses };
        let came_back = self.look_back().await;
        let words: Vec<String> = losses.iter().map(ToString::to_string).collect();
        self.book.finish(end, &words.join("; "), Some(&came_back))?;
        Ok(Ending::Done { losses })
    }

    /// What is not as it was when the run began. It only reads, and it stops nothing: the run is over either way.
    async fn look_back(&self) -> CameBack {
        let now = look_around(self.runbook, self.host.as_probe()).await;
        came_back(self.runbook, self.plan, self.baseline, &now)
    }

    /// See [`Standing::backs_out`].
    fn must_back_out(&self) -> bool {
        self.standing().backs_out()
    }

    /// The run as it stands on record.
    fn standing(&self) -> Standing<'_> {
        Standing { runbook: self.runbook, plan: self.plan, state: self.book.state() }
    }

    /// What actions stand on, for one step.
    fn ground<'g>(&'g self, kept: &'g Kept, step: &Step, id: &'g StepId) -> Ground<'g> {
        let attempt = self.book.state().steps().get(id).map_or(0, |state| state.attempts);
        Ground { attempt, ..ground(self.runbook, self.baseline, &self.run_dir, kept, (step, id)) }
    }
}

/// What actions stand on, for one step.
fn ground<'g>(
    runbook: &'g Runbook,
    baseline: &'g Facts,
    run_dir: &'g Path,
    kept: &'g Kept,
    (step, id): (&Step, &'g StepId),
) -> Ground<'g> {
    Ground {
        inventory: &runbook.inventory,
        baseline,
        kept,
        step: id.as_str(),
        attempt: 0,
        run_dir,
        // Both look at the whole runbook, so they are asked only for the few steps that want to know.
        judged_later: runbook.judges_restore_after(id),
        within: step.within,
        reboots: step.action.takes_service_away() && runbook.reboots(),
    }
}

/// The steps that backing out runs, in order.
fn back_out_steps(runbook: &Runbook) -> Vec<(StepId, &Phase, &Step)> {
    runbook.steps().filter(|(_, phase, _)| runbook.back_out.contains(&phase.name)).collect()
}

/// What has been captured so far, as the action of a step reads it.
fn kept(book: &Book<'_>, id: &StepId) -> Kept {
    book.state().captured_for(id).map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

/// The checkpoint of a skipped step.
fn skipped(id: &StepId, why: String) -> Checkpoint {
    Checkpoint::StepDone { step: id.clone(), how: crate::journal::checkpoint::How::Skipped { why }, took_ms: 0 }
}
