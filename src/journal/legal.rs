//! The table of legal transitions: one function per kind of checkpoint, each a list of rules.
//!
//! The same table judges an append before it is written and a replay after it was read; an illegal record in a file with
//! intact checksums means that another program wrote it, and is refused like any damage.
use super::checkpoint::{Checkpoint, End, How, Opened, Outcome, Resolution, Ruling, StepId};
use super::record::{Entry, FORMAT};
use super::state::RunState;
use super::step::{StepState, StepStatus};
use crate::host::planted::{Bug, planted};

/// A checkpoint that must not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}{} is not allowed here: {why}", .step.as_ref().map(|step| format!(" of step `{step}`")).unwrap_or_default())]
pub struct Illegal {
    /// Kind of the checkpoint.
    pub what: &'static str,
    /// Its step, if it has one.
    pub step: Option<StepId>,
    /// The rule that forbids it.
    pub why: Rule,
}

/// The rules, each named by its violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant is its documentation")]
pub enum Rule {
    #[error("the run is not open yet")]
    NotOpen,
    #[error("the run is open already")]
    OpenAlready,
    #[error("the run has another format")]
    OtherFormat,
    #[error("a step or item is named twice, or the point of no return is no step of the plan")]
    NamedTwice,
    #[error("the run has ended")]
    Ended,
    #[error("the run is at rest and must be resumed first")]
    AtRest,
    #[error("the plan has no such step")]
    NoSuchStep,
    #[error("the step is done and is never applied again in this run")]
    StepIsDone,
    #[error("an earlier step of the plan is not done")]
    EarlierNotDone,
    #[error("another step, or another attempt, is running")]
    AnotherRunning,
    #[error("the attempt's number is not the next one")]
    WrongAttempt,
    #[error("the step was declared repeatable in one attempt and not in another")]
    RepeatableChanged,
    #[error("an outcome is in doubt")]
    InDoubt,
    #[error("the step is not running")]
    NotRunning,
    #[error("the step was started by a process that is gone")]
    OfAnEarlierSitting,
    #[error("the item is not on the list of this attempt")]
    NotListed,
    #[error("the item has an intent already")]
    IntentOpen,
    #[error("the item may have happened and its step is not repeatable")]
    MayHaveHappened,
    #[error("there is no intent for the item")]
    NoIntent,
    #[error("the key was captured already")]
    CapturedAlready,
    #[error("a reboot of this step is on record already")]
    RebootAlready,
    #[error("a reboot is intended and not proven")]
    RebootOpen,
    #[error("no reboot of this step is waiting for proof")]
    NoRebootIntent,
    #[error("the boot ids do not prove a reboot")]
    BootIds,
    #[error("the run is backing out")]
    BackingOut,
    #[error("the run is not backing out")]
    NotBackingOut,
    #[error("the host has been rebooted: from here the run goes forward")]
    Rebooted,
    #[error("the step's state needs no ruling")]
    NothingToRule,
    #[error("the outcome does not fit what the steps say")]
    OutcomeMismatch,
    #[error("a reason is required")]
    NoReason,
}

/// Errs with `rule` unless `holds`.
fn need(holds: bool, rule: Rule) -> Result<(), Rule> {
    if holds { Ok(()) } else { Err(rule) }
}

impl RunState {
    /// Whether `entry` may follow; changes nothing.
    ///
    /// # Errors
    /// [`Illegal`] with the first rule that it breaks.
    pub fn judge(&self, entry: &Entry) -> Result<(), Illegal> {
        let checkpoint = &entry.checkpoint;
        self.rules(checkpoint, &entry.boot_id).map_err(|why| Illegal {
            what: checkpoint.kind(),
            step: checkpoint.step().cloned(),
            why,
        })
    }

    fn rules(&self, checkpoint: &Checkpoint, boot_now: &str) -> Result<(), Rule> {
        need(!boot_now.is_empty(), Rule::BootIds)?;
        if let Checkpoint::Opened(opened) = checkpoint {
            need(self.opened.is_none(), Rule::OpenAlready)?;
            return may_open(opened);
        }
        need(self.opened.is_some(), Rule::NotOpen)?;
        need(self.ended.is_none(), Rule::Ended)?;
        match checkpoint {
            Checkpoint::Opened(_) => Err(Rule::OpenAlready),
            Checkpoint::Recovered { .. } => Ok(()),
            Checkpoint::Resumed { boot_id, .. } => need(boot_id == boot_now, Rule::BootIds),
            Checkpoint::Decision { what, reason, .. } => self.may_rule(what, reason),
            Checkpoint::Abandoned { reason, .. } => need(!reason.trim().is_empty(), Rule::NoReason),
            active => {
                need(!self.at_rest, Rule::AtRest)?;
                self.active_rules(active, boot_now)
            }
        }
    }

    /// Rules for what only a live process of this sitting may write.
    fn active_rules(&self, checkpoint: &Checkpoint, boot_now: &str) -> Result<(), Rule> {
        match checkpoint {
            Checkpoint::BackOut { .. } => {
                need(!self.backing_out, Rule::BackingOut)?;
                need(!self.rebooted, Rule::Rebooted)?;
                need(self.running().is_none(), Rule::AnotherRunning)
            }
            Checkpoint::Finished { outcome, .. } => self.may_finish(*outcome),
            of_a_step => {
                let Some(step) = of_a_step.step() else { return Ok(()) };
                let (_, state) = self.place(step).and_then(|at| self.steps.get_index(at)).ok_or(Rule::NoSuchStep)?;
                need(!state.is_done(), Rule::StepIsDone)?;
                self.step_rules(of_a_step, step, state, boot_now)
            }
        }
    }

    fn step_rules(&self, checkpoint: &Checkpoint, step: &StepId, state: &StepState, now: &str) -> Result<(), Rule> {
        match checkpoint {
            Checkpoint::StepStarted { attempt, items, repeatable, .. } => {
                need(*attempt == state.attempts + 1, Rule::WrongAttempt)?;
                need(state.repeatable.is_none_or(|before| before == *repeatable), Rule::RepeatableChanged)?;
                need(!has_twins(items), Rule::NamedTwice)?;
                self.may_start(step, state, *repeatable)
            }
            Checkpoint::ItemIntent { item, .. } => self.may_intend(state, item),
            Checkpoint::ItemDone { item, outcome, .. } => may_settle(state, item, outcome),
            Checkpoint::Captured { key, .. } => {
                self.runs_now(state)?;
                need(!state.waits_for_reboot(), Rule::RebootOpen)?;
                need(self.captured(key).is_none(), Rule::CapturedAlready)
            }
            Checkpoint::StepDone { how, .. } => self.may_be_done(step, state, how),
            Checkpoint::StepFailed { .. } => {
                need(state.is_running() || state.is_settled(), Rule::NotRunning)?;
                need(state.in_doubt().next().is_none(), Rule::InDoubt)?;
                // In another boot the reboot did not fail, whatever else did.
                let same_boot = state.reboot.as_ref().is_none_or(|reboot| reboot.old == now);
                need(!state.waits_for_reboot() || same_boot, Rule::RebootOpen)
            }
            Checkpoint::StepUnknown { .. } => need(state.is_running(), Rule::NotRunning),
            Checkpoint::RebootIntent { boot_id, .. } => {
                need(!self.backing_out, Rule::BackingOut)?;
                self.runs_now(state)?;
                need(state.reboot.is_none() || planted(Bug::SecondReboot), Rule::RebootAlready)?;
                need(boot_id == now, Rule::BootIds)
            }
            Checkpoint::Rebooted { old, new, .. } => {
                need(state.waits_for_reboot(), Rule::NoRebootIntent)?;
                let intended = state.reboot.as_ref().is_some_and(|reboot| reboot.old == *old);
                need(intended && new == now && old != new && !old.is_empty(), Rule::BootIds)
            }
            _ => Ok(()),
        }
    }

    /// Running, and started by the process that writes now.
    fn runs_now(&self, state: &StepState) -> Result<(), Rule> {
        need(state.is_running(), Rule::NotRunning)?;
        need(state.sitting == self.sitting, Rule::OfAnEarlierSitting)
    }

    fn may_start(&self, step: &StepId, state: &StepState, repeatable: bool) -> Result<(), Rule> {
        self.in_turn(step)?;
        // A process does not start its own running step again: it ends the attempt first. One that died may be followed.
        let abandoned = state.sitting < self.sitting;
        need(!state.is_running() || abandoned, Rule::AnotherRunning)?;
        need(!state.waits_for_reboot(), Rule::RebootOpen)?;
        let unknown = matches!(state.status, StepStatus::Unknown { .. }) && !state.is_settled();
        let doubt = unknown || state.in_doubt().next().is_some();
        need(!doubt || repeatable || state.rerun_granted || planted(Bug::DoubtRepeated), Rule::InDoubt)
    }

    /// The order of the plan: every earlier step done, unless backing out, and no other step running. After the reboot a step that
    /// was tried and failed holds up nothing but itself: services are down, and those of others must not wait for it.
    fn in_turn(&self, step: &StepId) -> Result<(), Rule> {
        need(self.running().is_none_or(|(running, _)| running == step), Rule::AnotherRunning)?;
        need(self.backing_out || self.earlier_done(step) || self.held_up(), Rule::EarlierNotDone)
    }

    fn may_intend(&self, state: &StepState, name: &str) -> Result<(), Rule> {
        self.runs_now(state)?;
        // The machine may go down at any moment: nothing new begins.
        need(!state.waits_for_reboot(), Rule::RebootOpen)?;
        need(state.listed.iter().any(|listed| listed == name), Rule::NotListed)?;
        let Some(item) = state.items.get(name) else {
            return Ok(());
        };
        need(!item.open, Rule::IntentOpen)?;
        let again = state.repeatable == Some(true) || planted(Bug::DoubtRepeated);
        need(again || !item.may_have_happened(), Rule::MayHaveHappened)
    }

    fn may_be_done(&self, step: &StepId, state: &StepState, how: &How) -> Result<(), Rule> {
        self.in_turn(step)?;
        need(state.in_doubt().next().is_none(), Rule::InDoubt)?;
        need(!state.waits_for_reboot(), Rule::RebootOpen)?;
        match (how, &state.status) {
            // What was applied is known only to the process that applied it; but a reboot is proven by its own successor.
            (How::Applied, StepStatus::Running { .. } | StepStatus::Unknown { .. }) if state.has_rebooted() => Ok(()),
            (How::Applied, _) => self.runs_now(state),
            (How::WithLosses { .. }, StepStatus::Failed { .. }) => Ok(()),
            (How::WithLosses { .. }, _) => self.runs_now(state),
            (How::AlreadySo, _) => Ok(()),
            (How::Skipped { .. }, StepStatus::NotStarted | StepStatus::Failed { .. }) => Ok(()),
            (How::Skipped { .. }, _) => Err(Rule::InDoubt),
            (How::Ruled, _) => Err(Rule::NothingToRule),
        }
    }

    fn may_rule(&self, what: &Ruling, reason: &str) -> Result<(), Rule> {
        need(!reason.trim().is_empty(), Rule::NoReason)?;
        let (Ruling::Confirmed { step } | Ruling::Resolve { step, .. }) = what else {
            return Ok(());
        };
        let state = self.steps.get(step).ok_or(Rule::NoSuchStep)?;
        need(!state.is_done(), Rule::StepIsDone)?;
        let Ruling::Resolve { how, .. } = what else {
            return Ok(());
        };
        // A running step, too, even of this sitting: its process died without a word, which nobody wrote down. One that lives
        // holds the journal, and the ruling would put it to rest.
        let ended_badly = matches!(state.status, StepStatus::Failed { .. } | StepStatus::Unknown { .. });
        need(state.is_running() || ended_badly, Rule::NothingToRule)?;
        // A reboot is proven by boot ids, never by word, and never asked for twice.
        need(!state.waits_for_reboot() || *how == Resolution::Skip, Rule::RebootOpen)
    }

    fn may_finish(&self, outcome: End) -> Result<(), Rule> {
        need(self.running().is_none(), Rule::AnotherRunning)?;
        let all_done = self.all_done();
        let lost = |state: &StepState| {
            matches!(state.status, StepStatus::Done { how: How::WithLosses { .. } | How::Skipped { .. }, .. })
        };
        let losses = self.steps.values().any(lost);
        match outcome {
            End::Done => need(all_done && !losses && !self.backing_out, Rule::OutcomeMismatch),
            End::DoneWithLosses => need(all_done && losses && !self.backing_out, Rule::OutcomeMismatch),
            End::BackedOut | End::BackedOutWithLosses => need(self.backing_out, Rule::NotBackingOut),
            End::Failed => {
                need(!all_done || self.backing_out, Rule::OutcomeMismatch)?;
                let unknown = |state: &StepState| matches!(state.status, StepStatus::Unknown { .. });
                need(!self.steps.values().any(unknown), Rule::InDoubt)
            }
            End::Abandoned => Err(Rule::OutcomeMismatch),
        }
    }
}

fn may_open(opened: &Opened) -> Result<(), Rule> {
    need(opened.format == FORMAT, Rule::OtherFormat)?;
    need(!has_twins(&opened.steps), Rule::NamedTwice)?;
    let known = opened.no_return.as_ref().is_none_or(|step| opened.steps.contains(step));
    need(known, Rule::NamedTwice)
}

/// An outcome needs its intent; an unknown one may be settled later, by evidence, but not by another unknown.
fn may_settle(state: &StepState, name: &str, outcome: &Outcome) -> Result<(), Rule> {
    let live = matches!(state.status, StepStatus::Running { .. } | StepStatus::Unknown { .. });
    need(live, Rule::NotRunning)?;
    let item = state.items.get(name).ok_or(Rule::NoIntent)?;
    let settles = item.in_doubt() && !matches!(outcome, Outcome::Unknown { .. });
    need(item.open || settles, Rule::NoIntent)
}

fn has_twins<T: Ord>(names: &[T]) -> bool {
    let mut sorted: Vec<&T> = names.iter().collect();
    sorted.sort();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}
