//! The identity of a step. Every record of a journal but a few names one, so copies share its text.
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Phase, Step};
use crate::host::shared_text;

/// The identity of a step in journals and on command lines: `phase/name`, or `phase/number` (from 1) without a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(#[serde(with = "shared_text")] Arc<str>);

impl StepId {
    /// The identity of the step at `index` (from 0) of `phase`.
    #[must_use]
    pub fn of(phase: &Phase, index: usize, step: &Step) -> Self {
        match &step.name {
            Some(name) => Self::new(format!("{}/{name}", phase.name)),
            None => Self::new(format!("{}/{}", phase.name, index + 1)),
        }
    }

    /// Takes a text for an identity; [`Runbook::step`](super::Runbook::step) tells whether there is such a step.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the phase.
    #[must_use]
    pub fn phase(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl From<&str> for StepId {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
