//! Taking back a trial: an append takes the state forward while its lines are drafted, and puts it back if they come to
//! nothing. What is kept for that does not grow with the items of a step: a restore writes two records for each of its apps.
use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::RunState;
use crate::journal::checkpoint::{Checkpoint, Ruling, StepId};
use crate::journal::step::{ItemState, StepState};

/// What a trial append may change, as it was; see [`RunState::before`].
pub(in crate::journal) struct Before {
    /// Everything but the steps and what is captured.
    rest: RunState,
    steps: Vec<StepBefore>,
    fresh: Vec<String>,
    shared: usize,
}

/// One step as it was.
struct StepBefore {
    step: StepId,
    /// Whole where an attempt begins, which may change every item; otherwise without its list and its items.
    state: StepState,
    whole: bool,
    /// Items that are spoken of, in order; `None` for one that was not there.
    items: Vec<(String, Option<ItemState>)>,
}

impl StepBefore {
    fn of(step: &StepId, state: &StepState, checkpoints: &[Checkpoint]) -> Self {
        let own = || checkpoints.iter().filter(|one| touched(one) == Some(step));
        let whole = own().any(|one| matches!(one, Checkpoint::StepStarted { .. }));
        let items = own().filter_map(item).map(|name| (name.clone(), state.items.get(name).cloned())).collect();
        let state = if whole { state.clone() } else { state.without_items() };
        Self { step: step.clone(), state, whole, items }
    }

    fn put_back(self, steps: &mut IndexMap<StepId, StepState>) {
        let Some(now) = steps.get_mut(&self.step) else { return };
        if self.whole {
            *now = self.state;
            return;
        }
        let (mut items, listed) = (std::mem::take(&mut now.items), std::mem::take(&mut now.listed));
        // The newest first: each is then the last of them, and no other one moves.
        for (name, before) in self.items.into_iter().rev() {
            match before {
                Some(before) => drop(items.insert(name, before)),
                None => drop(items.shift_remove(&name)),
            }
        }
        *now = StepState { items, listed, ..self.state };
    }
}

/// The step that a checkpoint changes.
fn touched(checkpoint: &Checkpoint) -> Option<&StepId> {
    match checkpoint {
        Checkpoint::Decision { what: Ruling::Resolve { step, .. }, .. } => Some(step),
        other => other.step(),
    }
}

/// The item that a checkpoint changes.
fn item(checkpoint: &Checkpoint) -> Option<&String> {
    match checkpoint {
        Checkpoint::ItemIntent { item, .. } | Checkpoint::ItemDone { item, .. } => Some(item),
        _ => None,
    }
}

fn captured(checkpoint: &Checkpoint) -> Option<&String> {
    if let Checkpoint::Captured { key, .. } = checkpoint { Some(key) } else { None }
}

impl RunState {
    /// What would have to be put back if a record of these checkpoints came to nothing.
    pub(in crate::journal) fn before(&self, checkpoints: &[Checkpoint]) -> Before {
        let mut steps: Vec<&StepId> = checkpoints.iter().filter_map(touched).collect();
        steps.dedup();
        let as_it_was = |step: &StepId| Some(StepBefore::of(step, self.steps.get(step)?, checkpoints));
        let steps = steps.into_iter().filter_map(as_it_was).collect();
        let is_new = |key: &&String| !self.captured.contains_key(*key);
        let fresh = checkpoints.iter().filter_map(captured).filter(is_new).cloned().collect();
        let rest = Self {
            opened: self.opened.clone(),
            steps: IndexMap::new(),
            captured: BTreeMap::new(),
            shared_keys: Vec::new(),
            decisions: self.decisions.clone(),
            boot: self.boot.clone(),
            ..*self
        };
        Before { rest, steps, fresh, shared: self.shared_keys.len() }
    }

    /// Puts back what was [`before`](Self::before).
    pub(in crate::journal) fn put_back(&mut self, before: Before) {
        let Before { rest, steps, fresh, shared } = before;
        let mut all = std::mem::take(&mut self.steps);
        let mut captured = std::mem::take(&mut self.captured);
        let mut shared_keys = std::mem::take(&mut self.shared_keys);
        if rest.opened.is_none() {
            all.clear();
        }
        steps.into_iter().for_each(|step| step.put_back(&mut all));
        for key in fresh {
            captured.remove(&key);
        }
        shared_keys.truncate(shared);
        *self = Self { steps: all, captured, shared_keys, ..rest };
    }
}
