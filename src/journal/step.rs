//! What the fold knows of one step and its items.
use indexmap::IndexMap;
use jiff::Timestamp;

use super::checkpoint::{How, Outcome};

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepStatus {
    /// Nothing of it was begun.
    NotStarted,
    /// Begun and not ended; see [`StepState::in_doubt`] for intents without outcome.
    Running {
        /// Number of the attempt.
        attempt: u32,
    },
    /// Never to be applied again in this run.
    Done {
        /// How.
        how: How,
        /// Milliseconds.
        took_ms: u64,
    },
    /// Failed with every outcome known.
    Failed {
        /// In one line.
        error: String,
    },
    /// Nobody knows.
    Unknown {
        /// What was seen last.
        why: String,
    },
}

/// One item of a step, over all attempts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemState {
    /// Intents so far.
    pub intents: u32,
    /// The attempt of the latest intent.
    pub attempt: u32,
    /// An intent waits for its outcome.
    pub open: bool,
    /// The latest outcome.
    pub outcome: Option<Outcome>,
    /// How long the latest took, in milliseconds.
    pub took_ms: u64,
}

impl ItemState {
    /// Whether nobody knows if the effect happened.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.open || matches!(self.outcome, Some(Outcome::Unknown { .. }))
    }

    /// Whether it is on record as so.
    #[must_use]
    pub fn is_so(&self) -> bool {
        !self.open && matches!(self.outcome, Some(Outcome::Applied))
    }

    /// Whether the effect happened, or may have.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        self.in_doubt() || self.outcome == Some(Outcome::Applied)
    }
}

/// The reboot of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reboot {
    /// Boot id of the intent.
    pub old: String,
    /// Boot id that proved it.
    pub new: Option<String>,
    /// When it was asked for, by the wall clock.
    pub asked: Option<Timestamp>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    /// Where it stands.
    pub status: StepStatus,
    /// Attempts so far.
    pub attempts: u32,
    /// As declared by the first attempt.
    pub repeatable: Option<bool>,
    /// Items of the current attempt.
    pub listed: Vec<String>,
    /// Every item ever intended, in order of first intent.
    pub items: IndexMap<String, ItemState>,
    /// Its reboot, once intended.
    pub reboot: Option<Box<Reboot>>,
    /// The sitting (process) in which the latest attempt began.
    pub(super) sitting: u32,
    /// A decision allows one more attempt in spite of doubt.
    pub(super) rerun_granted: bool,
    /// The boot of the run, from 1, in which it was done by a process; 0 when it was not.
    pub(super) done_in: usize,
}

impl Default for StepState {
    fn default() -> Self {
        Self {
            status: StepStatus::NotStarted,
            attempts: 0,
            repeatable: None,
            listed: Vec::new(),
            items: IndexMap::new(),
            reboot: None,
            sitting: 0,
            rerun_granted: false,
            done_in: 0,
        }
    }
}

impl StepState {
    /// Items of which nobody knows whether they happened, in order of their first intent.
    pub fn in_doubt(&self) -> impl Iterator<Item = &str> {
        self.items.iter().filter(|(_, item)| item.in_doubt()).map(|(name, _)| name.as_str())
    }

    /// Whether an attempt is open, of this sitting or of one that died.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.status, StepStatus::Running { .. })
    }

    /// What failed in an attempt that has not ended and has nothing in doubt any more: its process died, or was stopped, before it drew
    /// the conclusion.
    #[must_use]
    pub fn failed_in_this_attempt(&self) -> Option<(&str, &str)> {
        let open = self.in_doubt().next().is_none() && (self.is_running() || self.is_settled());
        let failed = self.items.iter().filter(|(_, item)| open && item.attempt == self.attempts);
        failed.into_iter().find_map(|(name, item)| match &item.outcome {
            Some(Outcome::Failed { why, .. }) => Some((name.as_str(), why.as_str())),
            _ => None,
        })
    }

    /// Whether its outcome is unknown although every item has been settled since: nothing about it is in doubt any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.status, StepStatus::Unknown { .. }) && !self.items.is_empty() && self.in_doubt().next().is_none()
    }

    /// Whether it counts as done for the steps after it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.status, StepStatus::Done { .. })
    }

    /// Whether a reboot was intended and neither proven nor known to have failed.
    #[must_use]
    pub fn waits_for_reboot(&self) -> bool {
        let live = matches!(self.status, StepStatus::Running { .. } | StepStatus::Unknown { .. });
        live && self.reboot.as_ref().is_some_and(|reboot| reboot.new.is_none())
    }

    /// Whether a decision allows one more attempt in spite of doubt, and none has begun since.
    #[must_use]
    pub fn may_run_again(&self) -> bool {
        self.rerun_granted
    }

    /// Whether a reboot of this step was proven.
    #[must_use]
    pub fn has_rebooted(&self) -> bool {
        self.reboot.as_ref().is_some_and(|reboot| reboot.new.is_some())
    }

    /// Everything but the list of items and what became of each.
    pub(super) fn without_items(&self) -> Self {
        let (status, reboot) = (self.status.clone(), self.reboot.clone());
        Self { status, reboot, listed: Vec::new(), items: IndexMap::new(), ..*self }
    }

    /// Takes doubts off the items: what comes next looks at the world anew.
    pub(super) fn dissolve_doubts(&mut self) {
        for item in self.items.values_mut().filter(|item| item.in_doubt()) {
            item.open = false;
            item.outcome = None;
        }
    }
}
