//! Floor 4: what would happen. A plan is a rehearsal: the steps are walked over a [`Model`](crate::host::model::Model) that starts as the live
//! machine and on which each step's effect is applied, because "start the apps" looks done until "stop the apps" has
//! happened. The planner is handed a [`Probe`](crate::host::Probe) and can therefore change nothing.

pub mod came_back;
pub mod chance;
pub mod drift;
pub mod eta;
mod rehearse;
#[cfg(test)]
mod tests;
pub mod verdict;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use came_back::{CameBack, came_back};
pub use chance::Chance;
pub use eta::{Estimate, History, Source};
pub use rehearse::{look_around, rehearse};
pub use verdict::Verdict;

use crate::action::{ActionKind, Change, Subject};
use crate::host::Facts;
use crate::host::redis::Unsaved;
use crate::host::span::Span;
use crate::runbook::StepId;

/// The version of a plan's serialised form.
pub const FORMAT: u32 = 1;

/// The rehearsed list of changes, waits and estimates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Name of the runbook.
    pub runbook: String,
    /// Hex SHA-256 of the runbook's bytes.
    pub sha256: String,
    /// The host it was made for.
    pub hostname: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it is meant to start.
    pub starts_at: Timestamp,
    /// The steps in order.
    pub steps: Vec<PlannedStep>,
    /// Names of the phases that backing out runs.
    pub back_out: Vec<String>,
    /// How long the probes took, in seconds.
    pub probed_in: f64,
    /// Redis settings that the restart would lose, instance by instance; only where there is something to tell.
    #[serde(default)]
    pub unsaved: Vec<UnsavedAt>,
}

/// What one Redis instance would lose at the restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsavedAt {
    /// Its inventory name.
    pub instance: String,
    /// What is set and not in its file, or why nobody can tell.
    pub unsaved: Unsaved,
}

/// One step as rehearsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its id.
    pub id: StepId,
    /// Its phase.
    pub phase: String,
    /// Its title.
    pub title: String,
    /// Its action.
    pub action: ActionKind,
    /// What its items are.
    #[serde(default)]
    pub subject: Subject,
    /// What it would change.
    pub change: Change,
    /// How long it takes.
    pub takes: Estimate,
    /// Why its change could not be foreseen, if so.
    pub unforeseen: Option<String>,
    /// It takes service away.
    pub takes_away: bool,
    /// It brings service back.
    pub brings_back: bool,
    /// It takes the machine down.
    pub reboots: bool,
    /// It only waits or checks.
    pub waits: bool,
    /// Seconds after which it gives up although the runbook names no `within`: a wait that could never end is a silent one.
    #[serde(default)]
    pub gives_up_after: Option<u64>,
}

/// The shortest wait that nobody has limited.
const SHORTEST_WAIT: u64 = 300;

/// How long a wait goes on where the runbook does not say: twice the slow estimate, and five minutes at least, in whole minutes.
#[must_use]
pub fn default_within(slow: f64) -> u64 {
    let twice = (slow.max(0.0) * 2.0 / 60.0).ceil().min(1e6) as u64 * 60;
    twice.max(SHORTEST_WAIT)
}

/// What giving up means while a phase is at work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WayBack {
    /// The run just stops: nothing has been taken away yet.
    Stops,
    /// What was taken away is brought back; it takes so long at the end of the phase, when most is to be brought back.
    BacksOut(Span),
    /// Service is down and the runbook names no way back.
    None,
    /// The machine has been down: only forward.
    Forward,
}

/// A rehearsal's result: the plan, and the facts that it was made from (the baseline of a run that follows it).
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// The plan.
    pub plan: Plan,
    /// What the live probes answered.
    pub facts: Facts,
}

impl Plan {
    /// How long everything takes.
    #[must_use]
    pub fn takes(&self) -> Span {
        sum(&self.steps)
    }

    /// How long it takes from the given step to the end, that step included.
    #[must_use]
    pub fn left_from(&self, id: &StepId) -> Span {
        let at = self.steps.iter().position(|step| step.id == *id).unwrap_or(0);
        sum(self.steps.get(at..).unwrap_or_default())
    }

    /// The first step that takes service away and has something to do.
    #[must_use]
    pub fn no_return(&self) -> Option<usize> {
        self.steps.iter().position(|step| step.takes_away && !step.change.is_empty())
    }

    /// How long users are cut off: from the point of no return to the last step that brings service back.
    #[must_use]
    pub fn cut_off(&self) -> Option<Span> {
        let from = self.no_return()?;
        let to = self.steps.iter().rposition(|step| step.brings_back).unwrap_or(self.steps.len() - 1);
        self.steps.get(from..=to.max(from)).map(sum)
    }

    /// How long backing out takes from before the reboot.
    #[must_use]
    pub fn back_out_takes(&self) -> Option<Span> {
        let steps: Vec<_> = self.steps.iter().filter(|step| self.back_out.contains(&step.phase)).cloned().collect();
        (!steps.is_empty()).then(|| sum(&steps))
    }

    /// What giving up means in each phase, in order. A phase counts as it is at its end; the one that reboots counts as before
    /// it: once the machine is asked to go down there is no way back.
    #[must_use]
    pub fn ways_back(&self) -> Vec<(&str, WayBack)> {
        let no_return = self.no_return();
        let reboots = self.steps.iter().position(|step| step.reboots && !step.change.is_empty());
        let mut ways: Vec<(&str, WayBack)> = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            let way = match (no_return, reboots) {
                (_, Some(reboot)) if at > reboot => WayBack::Forward,
                (Some(first), _) if at >= first => self.back_out_takes().map_or(WayBack::None, WayBack::BacksOut),
                _ => WayBack::Stops,
            };
            match ways.last_mut() {
                // What follows the reboot in its own phase does not make the phase one without a way back.
                Some((phase, known)) if *phase == step.phase && way != WayBack::Forward => *known = way,
                Some((phase, _)) if *phase == step.phase => {}
                _ => ways.push((&step.phase, way)),
            }
        }
        ways
    }

    /// How long it takes until a step begins.
    #[must_use]
    pub fn before(&self, index: usize) -> Span {
        sum(self.steps.get(..index).unwrap_or_default())
    }

    /// Whether anything would be changed.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        self.steps.iter().any(|step| !step.waits && !step.change.is_empty())
    }

    /// Steps that must not be run as things are, with the reasons.
    pub fn refused(&self) -> impl Iterator<Item = &PlannedStep> {
        self.steps.iter().filter(|step| step.change.refused())
    }

    /// Steps that could not be looked at.
    pub fn unforeseen(&self) -> impl Iterator<Item = &PlannedStep> {
        self.steps.iter().filter(|step| step.unforeseen.is_some())
    }
}

fn sum(steps: &[PlannedStep]) -> Span {
    steps.iter().fold(Span::ZERO, |sum, step| sum.then(step.takes.span))
}
