//! After the reboot, the apps of one place do not wait for those of another.
//!
//! A PM2 daemon belongs to its user. One that hangs or lies fails the restore of its own place, and the run stops there; but the
//! apps of all other users are down as well, and nothing is wrong with them. So the restores that are left are done first, in
//! their order, each with its own gates; everything else (comparisons, checks, commands) waits for the resume, which tries the
//! failed one again.

use super::step::StepEnd;
use super::stop::Urge;
use super::{ExecuteError, Executor};
use crate::journal::checkpoint::StepId;
use crate::runbook::Step;

impl Executor<'_> {
    /// Restores the places behind a restore that failed, and tells what became of them behind its reason.
    pub(super) async fn restore_others(
        &mut self,
        failed: &Step,
        id: &StepId,
        why: String,
    ) -> Result<String, ExecuteError> {
        let Some(place) = failed.action.restores() else { return Ok(why) };
        if self.book.state().boots() < 2 {
            return Ok(why);
        }
        let runbook = self.runbook;
        let mut left = vec![place];
        let mut told = why;
        for (other, phase, step) in runbook.steps().skip_while(|(other, ..)| other != id).skip(1) {
            let Some(place) = step.action.restores() else { continue };
            let done = self.book.state().steps().get(&other).is_some_and(|state| state.is_done());
            if done || left.contains(&place) {
                continue;
            }
            if self.stop.urge() != Urge::None {
                break;
            }
            self.book.talk(&format!("{id} failed; {} is restored all the same", place));
            let trouble = match self.step(phase, step, &other).await? {
                StepEnd::Done => continue,
                StepEnd::Failed(error) | StepEnd::Unknown(error) => error,
                StepEnd::Refused(_) => "it needs an answer first".to_owned(),
                StepEnd::Leaving(_) | StepEnd::Stopped => break,
            };
            left.push(place);
            told.push_str(&format!("; {other}: {trouble}"));
        }
        Ok(told)
    }
}
