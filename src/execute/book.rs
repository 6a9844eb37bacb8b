//! Legal, then durable, then told: the only place that writes checkpoints and tells reporters of them.

use jiff::Timestamp;
use serde_json::json;

use super::ExecuteError;
use crate::action::{ActionKind, Subject, Tick};
use crate::event::{Event, Reporter};
use crate::journal::Journal;
use crate::journal::checkpoint::{Checkpoint, End, How, Loss, PauseReason, StepId};
use crate::journal::state::RunState;
use crate::journal::step::StepStatus;
use crate::plan::CameBack;
use crate::runbook::Runbook;

/// The journal of a run together with whoever listens to it.
pub struct Book<'a> {
    journal: &'a mut Journal,
    reporter: &'a mut dyn Reporter,
}

impl<'a> Book<'a> {
    /// Joins the two.
    pub fn new(journal: &'a mut Journal, reporter: &'a mut dyn Reporter) -> Self {
        Self { journal, reporter }
    }

    /// What the journal amounts to.
    #[must_use]
    pub fn state(&self) -> &RunState {
        self.journal.state()
    }

    /// Writes checkpoints in one sync, then tells them.
    ///
    /// # Errors
    /// When one is not legal or cannot be made durable; nothing is told then, and nothing may be done.
    pub fn write(&mut self, checkpoints: &[Checkpoint]) -> Result<(), ExecuteError> {
        if checkpoints.is_empty() {
            return Ok(());
        }
        let entries = self.journal.append(checkpoints)?;
        for entry in &entries {
            self.reporter.on(&Event::Durable(entry), self.journal.state());
        }
        Ok(())
    }

    /// Tells a droppable word.
    pub fn tick(&mut self, step: &StepId, tick: &Tick) {
        self.reporter.on(&Event::Tick { step, tick }, self.journal.state());
    }

    /// Tells something that is no fact of the run.
    pub fn talk(&mut self, text: &str) {
        self.reporter.on(&Event::Talk(text), self.journal.state());
    }

    pub(super) fn skip(&mut self, step: &StepId, why: String) -> Result<(), ExecuteError> {
        self.write(&[super::skipped(step, why)])
    }

    pub(super) fn pause(&mut self, why: PauseReason, note: Option<String>) -> Result<(), ExecuteError> {
        self.write(&[Checkpoint::Paused { why, note }])
    }

    pub(super) fn finish(&mut self, end: End, words: &str, came_back: Option<&CameBack>) -> Result<(), ExecuteError> {
        let summary = json!({ "words": words, "came_back": came_back });
        self.write(&[Checkpoint::Finished { outcome: end, summary }])
    }

    /// Whether no effect has happened or may have happened. Steps that only wait do not count; a command counts as soon as
    /// it was begun, because one that failed may have done half of its work.
    pub(super) fn untouched(&self, runbook: &Runbook) -> bool {
        let effects = self.state().steps().iter().filter(|(id, _)| !runbook.only_waits(id));
        !effects.into_iter().any(|(id, state)| {
            let command = runbook.step(id).is_some_and(|step| may_be_half_done(step.action.kind()));
            state.items.values().any(|item| item.may_have_happened() || (command && item.intents > 0))
        })
    }

    /// When the reboot that is being waited for was asked for, by the wall clock.
    pub(super) fn reboot_asked_at(&self) -> Option<Timestamp> {
        self.state().steps().values().find_map(|step| step.reboot.as_ref()?.asked)
    }

    /// What steps were done without. The restore of a place and the comparison after it name the same app: the first one knows
    /// the reason.
    pub(super) fn losses(&self, runbook: &Runbook) -> Vec<Loss> {
        let mut seen: Vec<(Subject, &str)> = Vec::new();
        let mut losses = Vec::new();
        for (id, state) in self.state().steps() {
            let StepStatus::Done { how, .. } = &state.status else { continue };
            match how {
                How::Skipped { why } => losses.push(Loss { item: id.to_string(), why: why.clone() }),
                How::WithLosses { losses: lost } => {
                    let subject = runbook.step(id).map_or(Subject::Step, |step| step.action.subject());
                    for loss in lost {
                        let known = subject != Subject::Step && seen.contains(&(subject.clone(), &loss.item));
                        if !known {
                            seen.push((subject.clone(), &loss.item));
                            losses.push(loss.clone());
                        }
                    }
                }
                How::Applied | How::AlreadySo | How::Ruled => {}
            }
        }
        losses
    }
}

/// Whether one that failed may have done a part of its work.
fn may_be_half_done(action: ActionKind) -> bool {
    match action {
        ActionKind::Command => true,
        ActionKind::RedisCompacted | ActionKind::RedisLoaded | ActionKind::UnitsEnabled => false,
        ActionKind::Pm2Saved | ActionKind::Pm2Stopped | ActionKind::Pm2Restored | ActionKind::Pm2AsSaved => false,
        ActionKind::UnitsActive | ActionKind::UnitsStopped | ActionKind::Rebooted | ActionKind::Healthy => false,
    }
}
