//! Floor 6: what is told while a run goes on, and who listens.
//!
//! Two classes, one type each. An [`Entry`] is a durable fact: it is synced before it is told, never lost, and drives
//! resume. A [`Tick`] is a moment's display and may be dropped. Reporters return nothing: no screen can stop a run.

use crate::action::Tick;
use crate::journal::checkpoint::StepId;
use crate::journal::record::Entry;
use crate::journal::state::RunState;

/// One thing to be told.
#[derive(Debug)]
pub enum Event<'a> {
    /// A checkpoint that is durable already.
    Durable(&'a Entry),
    /// How an item of a step is getting on.
    Tick {
        /// The step in work.
        step: &'a StepId,
        /// The word on it.
        tick: &'a Tick,
    },
    /// Something the operator should know that is no fact of the run: "stopping, 4 actions are finishing".
    Talk(&'a str),
}

/// Whoever listens to a run. Called after the fact, in order, on the run's own task: be quick.
pub trait Reporter {
    /// Tells one event; `state` is the fold of all durable ones up to and including it.
    fn on(&mut self, event: &Event<'_>, state: &RunState);
}

/// Several listeners in a row.
impl Reporter for Vec<Box<dyn Reporter + '_>> {
    fn on(&mut self, event: &Event<'_>, state: &RunState) {
        for reporter in self.iter_mut() {
            reporter.on(event, state);
        }
    }
}
