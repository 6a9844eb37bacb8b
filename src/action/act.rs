//! What every action can do: look, plan purely, apply one item. The executor does the walking, journaling and telling.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Action;
use super::change::{Change, Item, Wave};
use super::inventory::Inventory;
pub use super::kept::Kept;
use crate::host::json_text::JsonText;
use crate::host::span::Span;
use crate::host::{Facts, Host, HostError, Probe};

/// What an action stands on beside the machine itself.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The declared neighbours.
    pub inventory: &'a Inventory,
    /// What was true when the run began.
    pub baseline: &'a Facts,
    /// What the run has captured since.
    pub kept: &'a Kept,
    /// The step's id: the prefix of what it captures for itself.
    pub step: &'a str,
    /// The latest attempt at it, from 1; 0 before the first.
    pub attempt: u32,
    /// The run's own directory, for snapshots.
    pub run_dir: &'a Path,
    /// Of a restore that `pm2_as_saved` follows for the same place: how many lost apps that one tolerates.
    pub judged_later: Option<u32>,
    /// How long the step may take, where the runbook says so.
    pub within: Option<Duration>,
    /// The runbook takes the machine down, so a run must find its way back by itself.
    pub reboots: bool,
}

#[cfg(test)]
impl<'a> Ground<'a> {
    /// Of the first attempt at a step of a runbook that says nothing else about it.
    pub(super) fn of_a_test(inventory: &'a Inventory, kept: &'a Kept, baseline: &'a Facts, step: &'a str) -> Self {
        Self {
            inventory,
            baseline,
            kept,
            step,
            attempt: 1,
            run_dir: Path::new("/"),
            judged_later: None,
            within: None,
            reboots: false,
        }
    }
}

impl Ground<'_> {
    /// What this step captured when it began.
    #[must_use]
    pub fn at_start(&self) -> Option<Value> {
        self.kept.get(&start_key(self.step))?.read().ok()
    }
}

/// The key under which a step's beginning is captured.
#[must_use]
pub fn start_key(step: &str) -> String {
    format!("{step}.start")
}

/// A word on how an item is getting on; dropping one loses a moment's display, at most a slot for a while.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tick {
    /// The item's key, or the wave's name while its gate is closed.
    pub item: String,
    /// Part done, 0 to 1, where it can be measured.
    pub part: Option<f64>,
    /// Time left, where it can be told.
    pub left: Option<Span>,
    /// What it waits for and what was last seen.
    pub say: String,
    /// The item needs its slot no longer, only time to prove itself: another one may start. No news for people.
    pub frees_slot: bool,
}

impl Tick {
    /// A word without a measure.
    pub fn say(item: impl Into<String>, say: impl Into<String>) -> Self {
        Self { item: item.into(), say: say.into(), ..Self::default() }
    }

    /// The same word from an item that needs its slot no longer.
    #[must_use]
    pub fn freeing_slot(self) -> Self {
        Self { frees_slot: true, ..self }
    }
}

/// Where ticks go. Dropping them loses nothing but a moment's display.
pub type Tell<'a> = &'a dyn Fn(Tick);

/// How applying one item ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was made so, or found so just before.
    Applied {
        /// Worth telling: sizes before and after, a load time.
        note: Option<String>,
        /// To be captured in the journal, write-once.
        keep: Vec<(String, JsonText)>,
    },
    /// It did not come about, and is known not to have.
    Failed {
        /// The reason and the cure.
        why: String,
        /// Evidence: log lines, an exit code.
        causes: Vec<String>,
    },
    /// It may have happened.
    Unknown {
        /// What is missing to know it.
        why: String,
    },
    /// The machine is going down now.
    Leaving,
}

impl Outcome {
    /// Made so, nothing to add.
    #[must_use]
    pub fn applied() -> Self {
        Self::Applied { note: None, keep: Vec::new() }
    }

    /// Made so, with a note.
    pub fn noted(note: impl Into<String>) -> Self {
        Self::Applied { note: Some(note.into()), keep: Vec::new() }
    }

    /// Did not come about.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into(), causes: Vec::new() }
    }
}

impl From<HostError> for Outcome {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Unknown { about, why } => Self::Unknown { why: format!("{about}: {why}") },
            other => Self::failed(other.to_string()),
        }
    }
}

/// What an in-doubt item turns out to be; see [`Act::settle`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Evidence says that it happened.
    Done,
    /// Doing it again is harmless.
    Again,
    /// Evidence says that it never began, and it cannot begin any more.
    NotBegun,
    /// Evidence says that it happened and failed, and how.
    Failed(String),
    /// It is being done right now, by whom: what becomes of it is to be seen.
    AtWork(String),
    /// Evidence says that it was begun and ended in the middle, by whoever left the run at once: what it has done is not known.
    Cut,
    /// There is no evidence; the step's `on_unknown`, then a person, decides.
    Unknown,
}

/// One wish. `probe` reads, `plan` is pure, `apply` makes one item so; after it, `plan` of a new `probe` is empty.
#[allow(async_fn_in_trait, reason = "the trait is used within the crate only, on one task")]
pub trait Act {
    /// What `probe` found.
    type Seen;

    /// What is true now.
    ///
    /// # Errors
    /// When something needed for the decision cannot be asked.
    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Self::Seen, HostError>;

    /// What would have to change.
    fn plan(&self, seen: &Self::Seen, ground: &Ground<'_>) -> Change;

    /// Makes one item so, telling on the way. Cancel-safe only for actions that are [waits](Act::waits).
    async fn apply(&self, item: &Item, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome;

    /// Holds a wave back until what it needs is there. An error closes the wave for good and says why.
    async fn gate(&self, wave: &Wave, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Result<(), String> {
        let _ = (wave, on, ground, tell);
        Ok(())
    }

    /// What the step needs to remember from the moment it began.
    fn remember(&self, seen: &Self::Seen) -> Option<JsonText> {
        let _ = seen;
        None
    }

    /// Settles an item whose intent is journaled but whose outcome is not.
    async fn settle(&self, item: &str, on: &dyn Host, ground: &Ground<'_>) -> Settled {
        let _ = (item, on, ground);
        Settled::Again
    }

    /// Doing it twice does no harm; otherwise it is done at most once, whatever a crash leaves open (P2).
    fn repeatable(&self) -> bool {
        true
    }

    /// It only waits or checks: a time-out is a failure, not an unknown, and Ctrl-C may cut it short.
    fn waits(&self) -> bool {
        false
    }

    /// A wait that has failed as soon as one required item has: what the others still wait for is in vain, and whoever has to
    /// repair that one is told at once.
    fn all_or_nothing(&self) -> bool {
        false
    }

    /// From here on users notice.
    fn takes_service_away(&self) -> bool {
        false
    }

    /// So many items that failed do not fail the step; they are named losses. Our own chores are never among them.
    fn tolerates_losses(&self, ground: &Ground<'_>) -> usize {
        let _ = ground;
        0
    }
}

/// A look at the machine for one action: what would change, and what the step must remember if it begins now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preview {
    /// What is left to do.
    pub change: Change,
    /// See [`Act::remember`].
    pub remember: Option<JsonText>,
}

async fn preview_of<A: Act>(act: &A, on: &dyn Probe, ground: &Ground<'_>) -> Result<Preview, HostError> {
    let seen = act.probe(on, ground).await?;
    let mut change = act.plan(&seen, ground);
    // One key is one thing: a unit that is declared under two of its names is made so once.
    let mut keys = HashSet::new();
    change.items.retain(|item| keys.insert(item.key.clone()));
    Ok(Preview { change, remember: act.remember(&seen) })
}

/// Calls the same method on whichever action it is: a closed set, delegated by a plain match.
macro_rules! each {
    ($action:expr, $a:ident => $call:expr) => {
        match $action {
            Action::RedisCompacted($a) => $call,
            Action::Pm2Saved($a) => $call,
            Action::Pm2Stopped($a) => $call,
            Action::UnitsEnabled($a) => $call,
            Action::UnitsActive($a) => $call,
            Action::UnitsStopped($a) => $call,
            Action::Command($a) => $call,
            Action::Rebooted($a) => $call,
            Action::RedisLoaded($a) => $call,
            Action::Healthy($a) => $call,
            Action::Pm2Restored($a) => $call,
            Action::Pm2AsSaved($a) => $call,
        }
    };
}

impl Action {
    /// Looks and plans: the same call serves planning, skipping, verifying, resuming and drift checks.
    ///
    /// # Errors
    /// When something needed for the decision cannot be asked.
    pub async fn preview(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Preview, HostError> {
        each!(self, a => preview_of(a, on, ground).await)
    }

    /// See [`Act::apply`].
    pub async fn apply(&self, item: &Item, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        each!(self, a => a.apply(item, on, ground, tell).await)
    }

    /// See [`Act::gate`].
    ///
    /// # Errors
    /// Why the wave stays closed.
    pub async fn gate(&self, wave: &Wave, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Result<(), String> {
        each!(self, a => a.gate(wave, on, ground, tell).await)
    }

    /// See [`Act::settle`].
    pub async fn settle(&self, item: &str, on: &dyn Host, ground: &Ground<'_>) -> Settled {
        each!(self, a => a.settle(item, on, ground).await)
    }

    /// See [`Act::waits`].
    #[must_use]
    pub fn waits(&self) -> bool {
        each!(self, a => a.waits())
    }

    /// See [`Act::all_or_nothing`].
    #[must_use]
    pub fn all_or_nothing(&self) -> bool {
        each!(self, a => a.all_or_nothing())
    }

    /// See [`Act::repeatable`].
    #[must_use]
    pub fn repeatable(&self) -> bool {
        each!(self, a => a.repeatable())
    }

    /// See [`Act::takes_service_away`].
    #[must_use]
    pub fn takes_service_away(&self) -> bool {
        each!(self, a => a.takes_service_away())
    }

    /// See [`Act::tolerates_losses`].
    #[must_use]
    pub fn tolerates_losses(&self, ground: &Ground<'_>) -> usize {
        each!(self, a => a.tolerates_losses(ground))
    }
}
