//! Checkpoints: the durable facts of a run, one variant per fact, each with its contract for crash recovery.
//!
//! A checkpoint says what is *known*; what follows from it is the business of [`RunState`](super::state::RunState).
//! Every text in here may come from a machine, so whoever builds a checkpoint tames foreign text first, and no secret ever enters one.
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::json_text::JsonText;

pub use super::facts::{End, How, Loss, Opened, Outcome, Owner, PauseReason, Resolution, Ruling, StepId};

/// One durable fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Checkpoint {
    /// First record, and only that. Before it is durable the run does not exist; from then on it owns the host.
    Opened(Arc<Opened>),
    /// A process took up the run again. Steps that ran before it are no longer running: they must be started anew or settled.
    Resumed {
        /// Who.
        owner: Owner,
        /// Boot in which it goes on.
        boot_id: String,
        /// By the resume unit, without a person.
        unattended: bool,
    },
    /// A step begins. Without an [`ItemIntent`](Self::ItemIntent) after it nothing has been touched, so it may be started anew.
    StepStarted {
        /// The step.
        step: StepId,
        /// 1, 2, 3 … over the whole run.
        attempt: u32,
        /// Title for people.
        title: String,
        /// What this attempt may touch, in order.
        items: Vec<String>,
        /// Whether the step's effects may be applied again when in doubt (P3) or not (P2); the same in every attempt.
        repeatable: bool,
    },
    /// Durable before the effect begins (P1). Alone at the end of a journal it means: *unknown whether it happened*.
    ItemIntent {
        /// The step.
        step: StepId,
        /// One of its items.
        item: String,
    },
    /// What became of an intent; durable before the next step (P4). Written too when later evidence settles an item in doubt.
    ItemDone {
        /// The step.
        step: StepId,
        /// Its item.
        item: String,
        /// The verdict.
        outcome: Outcome,
        /// How long it took, in milliseconds of CLOCK_BOOTTIME.
        took_ms: u64,
        /// A remark for people.
        note: Option<String>,
    },
    /// A value that later steps need. Write-once in a run: a second capture would look at a world that the run itself changed.
    Captured {
        /// The step.
        step: StepId,
        /// Name of the value.
        key: String,
        /// The value.
        value: JsonText,
    },
    /// The step is done and is never applied again in this run, whatever a later look shows.
    StepDone {
        /// The step.
        step: StepId,
        /// How.
        how: How,
        /// Milliseconds, all attempts of this sitting.
        took_ms: u64,
    },
    /// The step failed and every item's outcome is known; a new attempt may begin.
    StepFailed {
        /// The step.
        step: StepId,
        /// In one line.
        error: String,
    },
    /// Nobody knows what the step has done. Only evidence, a repeatable step or a decision leads out.
    StepUnknown {
        /// The step.
        step: StepId,
        /// What was seen last.
        why: String,
    },
    /// Durable before a reboot is asked for; at most one per step and run (P8).
    RebootIntent {
        /// The step.
        step: StepId,
        /// Boot that is to end.
        boot_id: String,
    },
    /// The proof: another boot id than the intent's.
    Rebooted {
        /// The step.
        step: StepId,
        /// Boot id of the intent.
        old: String,
        /// Boot id now.
        new: String,
        /// Milliseconds from intent to proof by the wall clock (CLOCK_BOOTTIME starts anew).
        took_ms: u64,
    },
    /// From here the run restores service instead of going on; once, and only before a proven reboot.
    BackOut {
        /// Why.
        reason: String,
    },
    /// The process leaves the run at rest. Next come [`Resumed`](Self::Resumed), a decision or the end.
    Paused {
        /// Why.
        why: PauseReason,
        /// For people.
        note: Option<String>,
    },
    /// A ruling by a person, or by a policy in the frozen runbook (then `who` names the policy).
    Decision {
        /// Who ruled.
        who: String,
        /// On what.
        what: Ruling,
        /// Why.
        reason: String,
    },
    /// A torn tail was dropped after a copy; no acknowledged record was in it.
    Recovered {
        /// Bytes dropped.
        dropped_bytes: u64,
        /// File name of the copy, beside the journal.
        copy: String,
    },
    /// The run is over and the host is free again.
    Finished {
        /// How.
        outcome: End,
        /// For the report.
        summary: Value,
    },
    /// A person took the matter out of the tool's hands; the host is free again, doubts stay on record.
    Abandoned {
        /// Who.
        who: String,
        /// Why; never empty.
        reason: String,
    },
}

impl Checkpoint {
    /// The tag under which the checkpoint is written.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Resumed { .. } => "resumed",
            Self::StepStarted { .. } => "step_started",
            Self::ItemIntent { .. } => "item_intent",
            Self::ItemDone { .. } => "item_done",
            Self::Captured { .. } => "captured",
            Self::StepDone { .. } => "step_done",
            Self::StepFailed { .. } => "step_failed",
            Self::StepUnknown { .. } => "step_unknown",
            Self::RebootIntent { .. } => "reboot_intent",
            Self::Rebooted { .. } => "rebooted",
            Self::BackOut { .. } => "back_out",
            Self::Paused { .. } => "paused",
            Self::Decision { .. } => "decision",
            Self::Recovered { .. } => "recovered",
            Self::Finished { .. } => "finished",
            Self::Abandoned { .. } => "abandoned",
        }
    }

    /// The step that it speaks of, if one.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::StepStarted { step, .. }
            | Self::ItemIntent { step, .. }
            | Self::ItemDone { step, .. }
            | Self::Captured { step, .. }
            | Self::StepDone { step, .. }
            | Self::StepFailed { step, .. }
            | Self::StepUnknown { step, .. }
            | Self::RebootIntent { step, .. }
            | Self::Rebooted { step, .. } => Some(step),
            Self::Decision { what: Ruling::Confirmed { step } | Ruling::Resolve { step, .. }, .. } => Some(step),
            _ => None,
        }
    }

    /// Whether something new may begin after it. Such records leave the journal's reserve alone, so that outcomes and
    /// the stop record still fit on a full disk. A value is kept together with the outcome that found it, or with the
    /// beginning of a step, which is refused by itself.
    #[must_use]
    pub fn begins_something(&self) -> bool {
        matches!(
            self,
            Self::Opened(_)
                | Self::Resumed { .. }
                | Self::StepStarted { .. }
                | Self::ItemIntent { .. }
                | Self::RebootIntent { .. }
        )
    }
}
