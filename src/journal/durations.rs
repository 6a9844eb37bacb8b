//! How long things took in past runs: steps, and the items of each.
use std::collections::BTreeMap;

use super::checkpoint::{End, How, Outcome, StepId};
use super::step::{StepState, StepStatus};
use super::store::{Store, StoreError};

/// Milliseconds, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Durations {
    /// By step.
    pub steps: BTreeMap<StepId, Vec<u64>>,
    /// By step and item; only of items that were applied.
    pub items: BTreeMap<StepId, BTreeMap<String, Vec<u64>>>,
}

impl Durations {
    fn take_in(&mut self, step: &StepId, state: &StepState) {
        let StepStatus::Done { how: How::Applied | How::WithLosses { .. }, took_ms } = &state.status else { return };
        self.steps.entry(step.clone()).or_default().push(*took_ms);
        let applied = state.items.iter().filter(|(_, item)| item.outcome == Some(Outcome::Applied));
        for (item, state) in applied {
            let of_the_step = self.items.entry(step.clone()).or_default();
            of_the_step.entry(item.clone()).or_default().push(state.took_ms);
        }
    }
}

impl Store {
    /// How long each step of a runbook took, and each of its items, in its runs that came to a good end. Steps that had
    /// nothing to do are left out: they say nothing about the next time.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn durations(&self, runbook: &str) -> Result<Durations, StoreError> {
        let mut durations = Durations::default();
        for reading in self.list()?.into_iter().filter_map(|listed| listed.reading.ok()) {
            let same = reading.state.opened().is_some_and(|opened| opened.runbook_name == runbook);
            if same && matches!(reading.state.ended(), Some(End::Done | End::DoneWithLosses)) {
                reading.state.steps().iter().for_each(|(step, state)| durations.take_in(step, state));
            }
        }
        Ok(durations)
    }
}
