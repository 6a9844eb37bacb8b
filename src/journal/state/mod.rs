//! `RunState`: what a journal amounts to. A pure fold over entries, the same for appending and for replay, so that a
//! run that goes on and a run that is read back can never disagree. What is allowed is in [`legal`](crate::journal::legal).
mod undo;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;

use crate::host::json_text::JsonText;
use crate::journal::checkpoint::{Checkpoint, End, How, Opened, Outcome, PauseReason, Resolution, Ruling, StepId};
use crate::journal::legal::Illegal;
use crate::journal::record::Entry;
use crate::journal::step::{Reboot, StepState, StepStatus};

/// The fold of a run's checkpoints. What a record costs does not grow with the steps of the run: the two questions that every
/// record asks of all steps (are the earlier ones done, does another one run) are answered by marks that move with them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunState {
    pub(in crate::journal) opened: Option<Arc<Opened>>,
    pub(in crate::journal) steps: IndexMap<StepId, StepState>,
    /// Every step before this one is done. It only grows: what is done is never undone.
    first_open: usize,
    /// The step with an open attempt; the table allows no second one.
    at_work: Option<usize>,
    captured: BTreeMap<String, JsonText>,
    /// Keys that are not of one step alone.
    shared_keys: Vec<String>,
    /// 1 for the process that opened the run, one more for each resume.
    pub(in crate::journal) sitting: u32,
    pub(in crate::journal) at_rest: bool,
    pub(in crate::journal) backing_out: bool,
    pub(in crate::journal) rebooted: bool,
    pub(in crate::journal) ended: Option<End>,
    paused: Option<PauseReason>,
    /// The step that failed last and how often since anybody drew a conclusion from it.
    failures: Option<(usize, u32)>,
    decisions: Vec<Ruling>,
    latest_wall: Option<Timestamp>,
    /// The boot that the last record was written in, and how many there were.
    boot: Option<Arc<str>>,
    boots: usize,
    /// How many boots there were when work was last done, and when the present sitting began.
    worked_in: usize,
    came_to: usize,
}

/// How the keys begin that only one step reads and writes.
fn private(step: &StepId) -> String {
    format!("{step}.")
}

/// Whether a key begins so.
fn is_private(key: &str, step: &StepId) -> bool {
    key.strip_prefix(step.as_str()).is_some_and(|rest| rest.starts_with('.'))
}

impl RunState {
    /// Judges an entry and, if it is legal, takes it in; otherwise nothing changes.
    ///
    /// # Errors
    /// [`Illegal`] with the rule that forbids it.
    pub fn after(&mut self, entry: &Entry) -> Result<(), Illegal> {
        self.judge(entry)?;
        self.latest_wall = self.latest_wall.max(Some(entry.wall));
        if self.boot.as_ref() != Some(&entry.boot_id) {
            self.boot = Some(Arc::clone(&entry.boot_id));
            self.boots += 1;
        }
        match &entry.checkpoint {
            Checkpoint::Resumed { .. } => self.came_to = self.worked_in,
            // Words of people and of whoever repairs a journal: nothing was looked at for them.
            Checkpoint::Decision { .. } | Checkpoint::Recovered { .. } | Checkpoint::Abandoned { .. } => {}
            _ => self.worked_in = self.boots,
        }
        self.take_in(&entry.checkpoint);
        if let Checkpoint::StepDone { step, .. } = &entry.checkpoint
            && let Some(state) = self.steps.get_mut(step)
        {
            state.done_in = self.boots;
        }
        if let Checkpoint::RebootIntent { step, .. } = &entry.checkpoint
            && let Some(reboot) = self.steps.get_mut(step).and_then(|step| step.reboot.as_mut())
        {
            reboot.asked = Some(entry.wall);
        }
        Ok(())
    }

    fn take_in(&mut self, checkpoint: &Checkpoint) {
        match checkpoint {
            Checkpoint::Opened(opened) => self.open(opened),
            Checkpoint::Resumed { .. } => {
                self.sitting += 1;
                (self.at_rest, self.paused) = (false, None);
            }
            Checkpoint::Captured { step, key, value } => self.capture(step, key, value),
            Checkpoint::BackOut { .. } => self.backing_out = true,
            Checkpoint::Paused { why, .. } => {
                (self.at_rest, self.paused, self.failures) = (true, Some(*why), None);
            }
            Checkpoint::Decision { who, what, reason } => self.rule(what, &format!("set aside by {who}: {reason}")),
            Checkpoint::Recovered { .. } => {}
            Checkpoint::Finished { outcome, .. } => self.ended = Some(*outcome),
            Checkpoint::Abandoned { .. } => self.ended = Some(End::Abandoned),
            Checkpoint::Rebooted { step, new, .. } => {
                self.rebooted = true;
                if let Some(reboot) = self.steps.get_mut(step).and_then(|step| step.reboot.as_mut()) {
                    reboot.new = Some(new.clone());
                }
            }
            of_a_step => {
                let Some(at) = of_a_step.step().and_then(|step| self.place(step)) else { return };
                if let Some((_, state)) = self.steps.get_index_mut(at) {
                    state.take_in(of_a_step, self.sitting);
                }
                match of_a_step {
                    Checkpoint::StepFailed { .. } => {
                        let before = self.failures.filter(|(place, _)| *place == at).map_or(0, |(_, times)| times);
                        self.failures = Some((at, before + 1));
                    }
                    Checkpoint::StepDone { .. } => self.failures = None,
                    _ => {}
                }
                self.mark(at);
            }
        }
    }

    /// The place of a step in the plan. Nearly every record speaks of the step at work or else of the one that is due.
    pub(in crate::journal) fn place(&self, step: &StepId) -> Option<usize> {
        let likely = self.at_work.unwrap_or(self.first_open);
        let there = self.steps.get_index(likely).is_some_and(|(id, _)| id == step);
        if there { Some(likely) } else { self.steps.get_index_of(step) }
    }

    /// Moves the marks after a change of the step at a place.
    fn mark(&mut self, at: usize) {
        let Some((_, state)) = self.steps.get_index(at) else { return };
        if state.is_running() {
            self.at_work = Some(at);
        } else if self.at_work == Some(at) {
            self.at_work = None;
        }
        while self.steps.get_index(self.first_open).is_some_and(|(_, state)| state.is_done()) {
            self.first_open += 1;
        }
    }

    fn capture(&mut self, step: &StepId, key: &str, value: &JsonText) {
        let fresh = self.captured.insert(key.to_owned(), value.clone()).is_none();
        if fresh && !is_private(key, step) {
            self.shared_keys.push(key.to_owned());
        }
    }

    fn open(&mut self, opened: &Arc<Opened>) {
        self.steps = opened.steps.iter().map(|step| (step.clone(), StepState::default())).collect();
        (self.first_open, self.at_work) = (0, None);
        self.opened = Some(Arc::clone(opened));
        self.sitting = 1;
    }

    fn rule(&mut self, ruling: &Ruling, words: &str) {
        self.decisions.push(ruling.clone());
        let Ruling::Resolve { step, how } = ruling else { return };
        self.failures = None;
        let Some(at) = self.place(step) else { return };
        let Some((_, state)) = self.steps.get_index_mut(at) else { return };
        // Whoever opens a journal knows that the process before is gone; whoever reads one learns it here.
        self.at_rest |= state.is_running() && state.sitting == self.sitting;
        match how {
            Resolution::Rerun => state.rerun_granted = true,
            Resolution::Done => state.status = StepStatus::Done { how: How::Ruled, took_ms: 0 },
            Resolution::Skip => {
                let how = How::Skipped { why: words.to_owned() };
                state.status = StepStatus::Done { how, took_ms: 0 };
            }
        }
        self.mark(at);
    }

    /// Says that the process which wrote the last record is gone: after opening, only a resume, a decision or the end may follow.
    pub(in crate::journal) fn rest(&mut self) {
        self.at_rest = true;
    }

    /// The first record.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_deref()
    }

    /// All steps in the order of the plan.
    #[must_use]
    pub fn steps(&self) -> &IndexMap<StepId, StepState> {
        &self.steps
    }

    /// Where a step stands; `None` if the plan has no such step.
    #[must_use]
    pub fn status(&self, step: &StepId) -> Option<&StepStatus> {
        self.steps.get(step).map(|state| &state.status)
    }

    /// The latest outcome of an item.
    #[must_use]
    pub fn outcome(&self, step: &StepId, item: &str) -> Option<&Outcome> {
        self.steps.get(step)?.items.get(item)?.outcome.as_ref()
    }

    /// A captured value.
    #[must_use]
    pub fn captured(&self, key: &str) -> Option<&JsonText> {
        self.captured.get(key)
    }

    /// Everything captured, by key.
    pub fn all_captured(&self) -> impl Iterator<Item = (&str, &JsonText)> {
        self.captured.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// What the actions of one step may want to know: its own keys, and those that no step has for itself.
    pub fn captured_for(&self, step: &StepId) -> impl Iterator<Item = (&str, &JsonText)> {
        let prefix = private(step);
        let own = self.captured.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix));
        let shared = self.shared_keys.iter().filter_map(|key| self.captured.get_key_value(key));
        own.chain(shared).map(|(key, value)| (key.as_str(), value))
    }

    /// Items of which nobody knows whether they happened. Steps that are done, by proof or by ruling, are not listed.
    #[must_use]
    pub fn in_doubt(&self) -> Vec<(&StepId, &str)> {
        let open = self.steps.iter().filter(|(_, state)| !state.is_done());
        open.flat_map(|(step, state)| state.in_doubt().map(move |item| (step, item))).collect()
    }

    /// The step whose reboot was intended and not yet proven, with the boot id that must go.
    #[must_use]
    pub fn waiting_for_reboot(&self) -> Option<(&StepId, &str)> {
        let (step, state) = self.steps.iter().find(|(_, state)| state.waits_for_reboot())?;
        state.reboot.as_ref().map(|reboot| (step, reboot.old.as_str()))
    }

    /// The step with an open attempt, of this sitting or of one that died.
    #[must_use]
    pub fn running(&self) -> Option<(&StepId, &StepState)> {
        self.at_work.and_then(|index| self.steps.get_index(index))
    }

    /// Whether every step before this one is done.
    pub(in crate::journal) fn earlier_done(&self, step: &StepId) -> bool {
        self.place(step).is_some_and(|at| at <= self.first_open)
    }

    /// Whether the machine has been rebooted, and the first step that is not done was tried since and came to nothing.
    pub(in crate::journal) fn held_up(&self) -> bool {
        let first = self.steps.get_index(self.first_open).map(|(_, state)| &state.status);
        self.boots > 1 && matches!(first, Some(StepStatus::Failed { .. } | StepStatus::Unknown { .. }))
    }

    /// Whether every step is done.
    pub(in crate::journal) fn all_done(&self) -> bool {
        self.first_open == self.steps.len()
    }

    /// How the run ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        self.ended
    }

    /// How often a step has failed since the run was last paused: attempts that no person has looked at.
    #[must_use]
    pub fn failures_in_a_row(&self, step: &StepId) -> u32 {
        let place = self.place(step);
        self.failures.filter(|(at, _)| Some(*at) == place).map_or(0, |(_, times)| times)
    }

    /// Why it stands still: only between a `paused` and the next resume.
    #[must_use]
    pub fn paused(&self) -> Option<PauseReason> {
        self.paused
    }

    /// Whether it restores service instead of going on.
    #[must_use]
    pub fn backing_out(&self) -> bool {
        self.backing_out
    }

    /// Whether a reboot of this run was proven.
    #[must_use]
    pub fn rebooted(&self) -> bool {
        self.rebooted
    }

    /// How many boots the records of the run were written in; 1 until the machine was down.
    #[must_use]
    pub fn boots(&self) -> usize {
        self.boots
    }

    /// Whether this sitting found another boot than the one in which the run was last at work.
    #[must_use]
    pub fn in_a_new_boot(&self) -> bool {
        self.sitting > 1 && self.came_to < self.boots
    }

    /// Whether a step was done in a boot that is over: what it has waited for may be gone.
    #[must_use]
    pub fn done_in_an_earlier_boot(&self, step: &StepId) -> bool {
        self.steps.get(step).is_some_and(|state| state.is_done() && state.done_in > 0 && state.done_in < self.boots)
    }

    /// Whether the first step that takes service away was ever started.
    #[must_use]
    pub fn past_no_return(&self) -> bool {
        let step = self.opened().and_then(|opened| opened.no_return.as_ref());
        step.and_then(|step| self.steps.get(step)).is_some_and(|state| state.attempts > 0)
    }

    /// Rulings in order.
    #[must_use]
    pub fn decisions(&self) -> &[Ruling] {
        &self.decisions
    }

    /// The greatest wall-clock time on record. A clock that now shows less has been set back, and windows mean nothing.
    #[must_use]
    pub fn latest_wall(&self) -> Option<Timestamp> {
        self.latest_wall
    }
}

impl StepState {
    fn take_in(&mut self, checkpoint: &Checkpoint, sitting: u32) {
        match checkpoint {
            Checkpoint::StepStarted { attempt, items, repeatable, .. } => {
                // Legal only without doubts, for a repeatable step, or by decision: either way the doubts end here.
                self.dissolve_doubts();
                self.status = StepStatus::Running { attempt: *attempt };
                (self.attempts, self.repeatable, self.sitting) = (*attempt, Some(*repeatable), sitting);
                (self.listed, self.rerun_granted) = (items.clone(), false);
                // As much as the attempt may need: a map that grows by itself takes three times that for a single item.
                self.items.reserve_exact(items.len());
            }
            Checkpoint::ItemIntent { item, .. } => {
                let item = self.items.entry(item.clone()).or_default();
                item.intents += 1;
                (item.attempt, item.open, item.outcome) = (self.attempts, true, None);
            }
            Checkpoint::ItemDone { item, outcome, took_ms, .. } => {
                let item = self.items.entry(item.clone()).or_default();
                (item.open, item.outcome, item.took_ms) = (false, Some(outcome.clone()), *took_ms);
            }
            Checkpoint::StepDone { how, took_ms, .. } => {
                self.status = StepStatus::Done { how: how.clone(), took_ms: *took_ms };
            }
            Checkpoint::StepFailed { error, .. } => self.status = StepStatus::Failed { error: error.clone() },
            Checkpoint::StepUnknown { why, .. } => self.status = StepStatus::Unknown { why: why.clone() },
            Checkpoint::RebootIntent { boot_id, .. } => {
                self.reboot = Some(Box::new(Reboot { old: boot_id.clone(), new: None, asked: None }));
            }
            _ => {}
        }
    }
}
