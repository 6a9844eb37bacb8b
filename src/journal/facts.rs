//! The values of which checkpoints are made: who, which step, how it went.
use crate::host::json_text::JsonText;
pub use crate::runbook::StepId;
use serde::{Deserialize, Serialize};

/// Who drives a run. For people and for the journal; nothing is ever decided or signalled by a stored pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Process id at that time.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Name of that user.
    pub user: String,
    /// The person behind `sudo`, if any.
    pub sudo_user: Option<String>,
    /// Terminal, if any.
    pub tty: Option<String>,
    /// Start time of the process in clock ticks since boot (field 22 of `/proc/PID/stat`); with pid and boot id it is unique.
    pub started: u64,
}

/// What a run is: the first record of its journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// Journal format, [`FORMAT`](super::record::FORMAT) for what this tool writes.
    pub format: u32,
    /// Version of the tool that opened the run.
    pub tool_version: String,
    /// Name of the runbook.
    pub runbook_name: String,
    /// SHA-256 (lower-case hex) of the frozen runbook's bytes.
    pub runbook_sha256: String,
    /// `/etc/machine-id` of the host that this run belongs to.
    pub machine_id: String,
    /// Its name, for people.
    pub hostname: String,
    /// Who began it.
    pub owner: Owner,
    /// Every step in the order of the plan: the law of succession for this run.
    pub steps: Vec<StepId>,
    /// The first step that takes service away, if any does.
    pub no_return: Option<StepId>,
    /// The plan as rehearsed. A JSON text, because the plan's types live on a floor that must not know the journal.
    pub plan: JsonText,
    /// What was true when the run began; never rewritten. A JSON text for the same reason.
    pub baseline: JsonText,
}

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// The effect happened and was verified.
    Applied,
    /// It definitely did not happen.
    Failed {
        /// Reason, tamed.
        why: String,
        /// Underlying errors, outermost first.
        causes: Vec<String>,
    },
    /// Nobody knows whether it happened.
    Unknown {
        /// What was seen last.
        why: String,
    },
    /// Evidence says that it never began: it is as if it had not been intended.
    NotBegun,
}

/// An item that did not come. Which one it is and why stand apart: nothing is ever read back from words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Its key; of a step that was left out as a whole, empty.
    pub item: String,
    /// Reason, tamed.
    pub why: String,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.item.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.item, self.why) }
    }
}

/// How a step came to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum How {
    /// Its items were applied and verified.
    Applied,
    /// The preview showed an empty change.
    AlreadySo,
    /// Left out: it failed and the runbook goes on, or somebody has set it aside. A loss.
    Skipped {
        /// Reason.
        why: String,
    },
    /// Done, with named items that did not come and are tolerated.
    WithLosses {
        /// The items lost.
        losses: Vec<Loss>,
    },
    /// A person (or the declared `on_unknown`) ruled that it is done.
    Ruled,
}

/// Why a run stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// `runbook pause` or the first Ctrl-C.
    Asked,
    /// A reboot was asked for.
    Reboot,
    /// An operator must act or answer.
    Operator,
    /// A step failed; resume tries it again.
    Failed,
    /// SIGTERM or the end of the session.
    Signal,
}

/// What a step in doubt is ruled to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It has happened.
    Done,
    /// It may be applied once more.
    Rerun,
    /// Leave it out.
    Skip,
}

/// The subject of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ruling {
    /// The confirmation that a step demands was given.
    Confirmed {
        /// That step.
        step: StepId,
    },
    /// The maintenance window does not bind this run any more.
    IgnoreWindow,
    /// A step in doubt is settled.
    Resolve {
        /// That step.
        step: StepId,
        /// The verdict.
        how: Resolution,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every step done, nothing lost.
    Done,
    /// Every step done, with tolerated losses.
    DoneWithLosses,
    /// Backed out, and a look afterwards found every service back.
    BackedOut,
    /// Backed out; services are back but for named losses and doubts.
    BackedOutWithLosses,
    /// Given up with every outcome known.
    Failed,
    /// Given up by a person, whatever was known.
    Abandoned,
}
