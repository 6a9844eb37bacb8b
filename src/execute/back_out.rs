//! Backing out: between the point of no return and the reboot, a failure or an abort brings the services back.
//!
//! It runs the phases that the runbook names for it, from the snapshot, and goes on past a step that fails: when services
//! are down, half of them is better than none. It never reboots, and it ends the run.

use super::step::StepEnd;
use super::{Ending, ExecuteError, Executor};
use crate::journal::checkpoint::{Checkpoint, End};

impl Executor<'_> {
    /// Restores service and ends the run.
    pub(super) async fn back_out(&mut self, reason: &str) -> Result<Ending, ExecuteError> {
        if !self.book.state().backing_out() {
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
            match self.step(phase, step, &id).await? {
                StepEnd::Done => {}
                StepEnd::Failed(error) | StepEnd::Unknown(error) => trouble.push(format!("{id}: {error}")),
                StepEnd::Leaving(note) => trouble.push(format!("{id}: {note}")),
                StepEnd::Stopped => trouble.push(format!("{id}: stopped by the operator")),
                StepEnd::Refused(ending) => trouble.push(format!("{id}: {ending:?}")),
            }
        }
        self.close_running("the run backed out")?;
        self.book.finish(End::BackedOut, reason)?;
        Ok(Ending::BackedOut { reason: reason.to_owned(), trouble })
    }

    /// Ends an attempt that was cut short, so that another step may begin.
    fn close_running(&mut self, why: &str) -> Result<(), ExecuteError> {
        let Some((id, state)) = self.book.state().running() else {
            return Ok(());
        };
        let (id, doubt) = (id.clone(), state.in_doubt().next().is_some());
        let why = format!("cut short: {why}");
        self.book.write(&[if doubt {
            Checkpoint::StepUnknown { step: id, why }
        } else {
            Checkpoint::StepFailed { step: id, error: why, causes: Vec::new() }
        }])
    }
}
