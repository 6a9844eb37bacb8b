//! How long things took in past runs: steps, and the items of each.
use std::collections::BTreeMap;

use super::checkpoint::StepId;
use super::store::{Store, StoreError};

/// Milliseconds, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Durations {
    /// By step.
    pub steps: BTreeMap<StepId, Vec<u64>>,
    /// By step and item; only of items that were applied.
    pub items: BTreeMap<StepId, BTreeMap<String, Vec<u64>>>,
}

impl Store {
    /// How long each step of a runbook took, and each of its items, in the latest of its runs that came to a good end, whether
    /// their journals are still there or not. Steps that had nothing to do are left out: they say nothing about the next time.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn durations(&self, runbook: &str) -> Result<Durations, StoreError> {
        Ok(self.learned_now()?.durations(runbook))
    }
}
