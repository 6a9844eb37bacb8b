//! Floor 3: what the operator wrote, as data, after every name in it has been checked.
//!
//! [`load()`] is the only way from text to a [`Runbook`]; it finds all mistakes at once, each with its place. Everything
//! here is plain data: nothing asks the machine, the clock or the file system.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::action::inventory::Inventory;
use crate::action::measure;

mod brace;
pub mod codes;
pub mod diagnostic;
mod load;
mod read;
pub mod render;
mod source;
mod step_id;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod validate;
pub mod window;

pub use diagnostic::{Code, Diagnostic, Severity};
pub use load::{Loaded, MAX_BYTES, load, load_bytes};
pub use render::render;
pub use source::Span;
pub use step_id::StepId;
pub use window::{Opening, Window};

/// The JSON Schema of the language for editors, as committed beside the shipped runbooks. It knows keys, types and words;
/// what only the whole file shows is [`load()`]'s alone.
pub const SCHEMA: &str = include_str!("../../runbooks/runbook.schema.json");

/// A maintenance runbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// The version of the language; 1.
    pub version: u32,
    /// Its name, as typed to run it.
    pub name: String,
    /// One line that says what it is for; may be empty.
    pub doc: String,
    /// The hosts (by `hostname`) on which it may run; never empty.
    pub hosts: Vec<String>,
    /// When it may run; `None`: at any time.
    pub window: Option<Window>,
    /// Names of the phases that bring service back when a run gives up before the reboot.
    pub back_out: Vec<String>,
    /// What may differ after a run, as patterns of paths such as `redis/bds/maxmemory` or `pm2/services/org-*`.
    #[serde(default)]
    pub may_differ: Vec<String>,
    /// What steps refer to.
    pub inventory: Inventory,
    /// What is done, in this order; never empty.
    pub phases: Vec<Phase>,
}

/// A part of a runbook that is planned, shown and timed as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Unique in the runbook.
    pub name: String,
    /// Never empty.
    pub steps: Vec<Step>,
}

/// One wish with the limits the operator put on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in its phase, if there is one.
    pub name: Option<String>,
    /// What should be so.
    pub action: Action,
    /// After this time the step has failed, counted over all tries.
    #[serde(with = "measure::text_or_none")]
    pub within: Option<Duration>,
    /// Whether and how to try again.
    pub retry: Option<Retry>,
    /// What a failure does to the run.
    pub on_failure: OnFailure,
    /// What to do when nobody can tell whether it happened; `None`: ask.
    pub on_unknown: Option<OnUnknown>,
    /// Ask before the step.
    pub confirm: Option<Confirm>,
    /// How long it usually takes, where there is no history yet.
    #[serde(with = "measure::text_or_none")]
    pub takes: Option<Duration>,
    /// The line of the file where the step begins, from 1.
    pub line: u32,
}

/// Trying again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Tries after the first; at least one.
    pub times: u32,
    /// Wait before the first of them.
    #[serde(with = "measure::text")]
    pub wait: Duration,
    /// Each further wait is longer by this factor; at least 1.
    pub factor: f64,
    /// No wait is longer than this.
    #[serde(with = "measure::text")]
    pub max: Duration,
}

/// What a failed step does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run stops; it can be resumed.
    #[default]
    Stop,
    /// The run goes on and reports the loss.
    Continue,
    /// A person decides; without a terminal, as `stop`.
    Ask,
}

/// How an unknown outcome is settled once evidence and the step's own check could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Do it (again).
    Rerun,
    /// Take it as done.
    Skip,
    /// Stop the run.
    Stop,
}

/// A question before a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// What has to be answered.
    pub kind: ConfirmKind,
    /// Why it is asked; may be empty.
    pub because: String,
}

/// What has to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmKind {
    /// `yes`.
    Yes,
    /// The name of the runbook: for what cannot be taken back.
    Name,
}

impl Runbook {
    /// Every step with its identity and phase, in order.
    pub fn steps(&self) -> impl Iterator<Item = (StepId, &Phase, &Step)> {
        self.phases.iter().flat_map(|phase| {
            phase.steps.iter().enumerate().map(move |(index, step)| (StepId::of(phase, index, step), phase, step))
        })
    }

    /// The step with this identity.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps().find(|(one, ..)| one == id).map(|(.., step)| step)
    }

    /// Whether the step only waits or checks.
    #[must_use]
    pub fn only_waits(&self, id: &StepId) -> bool {
        self.step(id).is_some_and(|step| step.action.waits())
    }

    /// Whether the runbook takes the machine down.
    #[must_use]
    pub fn reboots(&self) -> bool {
        self.steps().any(|(.., step)| step.action.goes_down())
    }

    /// How many apps may be lost by a restore, as the comparison with the snapshot says that follows it for the same place; `None`
    /// where none follows. More than that fails the restore itself: a resume then goes on restoring what is not back.
    #[must_use]
    pub fn judges_restore_after(&self, id: &StepId) -> Option<u32> {
        let place = self.step(id)?.action.restores()?;
        let after = self.steps().skip_while(|(one, ..)| one != id);
        let mut judges = after.filter_map(|(.., step)| step.action.compares());
        judges.find(|judge| judge.pm2 == place).map(|judge| judge.tolerate)
    }

    /// The phase with this name.
    #[must_use]
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }
}

impl Step {
    /// What people call it: its name, or the action's key.
    #[must_use]
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.action.key().to_owned())
    }
}

impl Retry {
    /// The wait before retry number `n`, counted from 1.
    #[must_use]
    pub fn wait_before(&self, n: u32) -> Duration {
        let grown = self.wait.as_secs_f64() * self.factor.powf(f64::from(n.saturating_sub(1)));
        Duration::try_from_secs_f64(grown).map_or(self.max, |wait| wait.min(self.max))
    }
}
