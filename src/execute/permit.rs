//! Permissions before a step: the confirmation that the runbook demands, and a window that is wide enough.

use super::{Ending, ExecuteError, Executor};
use crate::journal::checkpoint::{Checkpoint, Ruling, StepId};
use crate::runbook::{ConfirmKind, Phase, Step};

/// A question to whoever is in charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// May this step begin?
    Confirm {
        /// The step.
        step: StepId,
        /// What must be typed; `None` when a plain yes is enough.
        type_name: Option<String>,
        /// What it means for users.
        because: String,
        /// Service was taken away already, so that not answering leaves it away.
        services_down: bool,
    },
    /// May the run go on without a step that failed?
    GoOnWithout {
        /// The step.
        step: StepId,
        /// Why it failed.
        error: String,
    },
    /// May the next phase begin? Only with `--step`.
    NextPhase {
        /// Its name.
        phase: String,
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Go on.
    Yes,
    /// Do not.
    No,
    /// Nobody is there to answer.
    NoOne {
        /// The flag that would have answered.
        how: String,
    },
}

/// Whoever answers: a prompt, or the flags of the command line.
pub trait Approve {
    /// Answers one question. Called between steps only, so it may block.
    fn ask(&mut self, ask: &Ask) -> Reply;
}

impl Executor<'_> {
    /// Whether the step may begin; `Some` is the ending when it may not.
    pub(super) fn permit(&mut self, phase: &Phase, step: &Step, id: &StepId) -> Result<Option<Ending>, ExecuteError> {
        // Backing out brings service back; no window and no question may keep it from that.
        if self.book.state().backing_out() {
            return Ok(None);
        }
        if let Some(why) = self.window_forbids(step, id) {
            return Ok(Some(Ending::OutsideWindow { why, backed_out: None }));
        }
        let first_of_phase = phase.steps.first().is_some_and(|first| first == step);
        if self.orders.step_by_step && first_of_phase {
            let ask = Ask::NextPhase { phase: phase.name.clone() };
            if let Some(ending) = refused(self.approve.ask(&ask), id) {
                return Ok(Some(ending));
            }
        }
        let confirmed = |ruling: &Ruling| matches!(ruling, Ruling::Confirmed { step } if step == id);
        let Some(confirm) = step.confirm.as_ref() else {
            return Ok(None);
        };
        if self.book.state().decisions().iter().any(confirmed) {
            return Ok(None);
        }
        let type_name = (confirm.kind == ConfirmKind::Name).then(|| self.runbook.name.clone());
        let services_down = self.book.state().past_no_return() && !self.book.state().rebooted();
        let ask = Ask::Confirm { step: id.clone(), type_name, because: confirm.because.clone(), services_down };
        if let Some(ending) = refused(self.approve.ask(&ask), id) {
            return Ok(Some(ending));
        }
        // Somebody may have thought about it for an hour.
        if let Some(why) = self.window_forbids(step, id) {
            return Ok(Some(Ending::OutsideWindow { why, backed_out: None }));
        }
        self.book.write(&[Checkpoint::Decision {
            who: self.orders.who.clone(),
            what: Ruling::Confirmed { step: id.clone() },
            reason: "confirmed before the step".into(),
        }])?;
        Ok(None)
    }

    /// Why the window does not allow this step now.
    fn window_forbids(&self, step: &Step, id: &StepId) -> Option<String> {
        if self.orders.ignore_window.is_some() {
            return None;
        }
        self.standing().forbids(step, id, self.host.as_probe().now())
    }
}

fn refused(reply: Reply, step: &StepId) -> Option<Ending> {
    match reply {
        Reply::Yes => None,
        Reply::No => {
            Some(Ending::NeedsAnswer { step: step.clone(), how: "it was answered with no; a resume asks again".into() })
        }
        Reply::NoOne { how } => Some(Ending::NeedsAnswer { step: step.clone(), how }),
    }
}
