//! Does it fit? A plan held against the window, with the latest safe start.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::runbook::Window;

/// How a plan fits its window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The runbook names no window.
    NoWindow,
    /// The window is not open at the start; it opens then.
    Closed {
        /// The next opening.
        opens: Timestamp,
    },
    /// The slow end is within the window.
    Fits {
        /// When it opened.
        opens: Timestamp,
        /// When it closes.
        closes: Timestamp,
        /// The latest start whose slow end is still within it.
        latest_start: Timestamp,
    },
    /// The slow end is after the window closes.
    TooLong {
        /// When it opened.
        opens: Timestamp,
        /// When it closes.
        closes: Timestamp,
        /// By how much, in seconds.
        late: f64,
        /// The phase that takes longest and its slow length in seconds.
        longest: (String, f64),
    },
}

impl Verdict {
    /// Whether the run may start as far as the window is concerned.
    #[must_use]
    pub fn allows(&self) -> bool {
        matches!(self, Self::NoWindow | Self::Fits { .. })
    }
}

/// Holds a plan against the window of its runbook.
#[must_use]
pub fn judge(plan: &Plan, window: Option<&Window>) -> Verdict {
    let Some(opening) = window.and_then(|window| window.current_or_next(plan.starts_at)) else {
        return Verdict::NoWindow;
    };
    if !opening.contains(plan.starts_at) {
        return Verdict::Closed { opens: opening.opens };
    }
    let slow = plan.takes().at_worst();
    let end = plan.starts_at.checked_add(slow).unwrap_or(Timestamp::MAX);
    if end <= opening.closes {
        let latest_start = opening.closes.checked_sub(slow).unwrap_or(opening.opens);
        return Verdict::Fits { opens: opening.opens, closes: opening.closes, latest_start };
    }
    let late = Duration::try_from(end - opening.closes).unwrap_or_default().as_secs_f64();
    Verdict::TooLong { opens: opening.opens, closes: opening.closes, late, longest: longest_phase(plan) }
}

fn longest_phase(plan: &Plan) -> (String, f64) {
    let mut phases: Vec<(String, f64)> = Vec::new();
    for step in &plan.steps {
        match phases.iter_mut().find(|(name, _)| *name == step.phase) {
            Some((_, secs)) => *secs += step.takes.span.slow,
            None => phases.push((step.phase.clone(), step.takes.span.slow)),
        }
    }
    phases.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}
