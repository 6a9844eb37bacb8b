//! The machine of a rehearsal: a model that steps can be made to fail on, and that a made-up crash cuts the run off from.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use jiff::Timestamp;

use super::dial::Dial;
use crate::event::{Event, Reporter};
use crate::host::model::Model;
use crate::host::{Answer, Ask, Deed, Host, HostError, Pending, Probe, Told};
use crate::journal::checkpoint::{Checkpoint, StepId};
use crate::journal::state::RunState;

/// See the module.
pub(super) struct Stage {
    pub(super) model: Model<'static>,
    pub(super) dial: Dial,
    pub(super) cue: Cue,
}

/// Where the run is, and what is to go wrong there.
#[derive(Debug, Default)]
pub(super) struct Cue {
    /// Every step in order.
    pub(super) order: Vec<StepId>,
    /// Steps that fail, and whether already at the look: a step that only waits, or has nothing to do, does no deed that
    /// could fail.
    pub(super) fail: Vec<(StepId, bool)>,
    pub(super) crash_after: RefCell<Option<StepId>>,
    /// The step that is looked at or in work.
    pub(super) current: RefCell<Option<StepId>>,
    pub(super) crashed: Cell<bool>,
    pub(super) backing_out: Cell<bool>,
    /// The model's time at the last durable entry.
    pub(super) heard: Cell<Duration>,
}

impl Cue {
    /// Whether the current step is to fail, and there already at the look. Backing out never fails by order.
    fn failing(&self) -> Option<bool> {
        let current = self.current.borrow();
        let found = self.fail.iter().find(|(step, _)| Some(step) == current.as_ref());
        found.filter(|_| !self.backing_out.get()).map(|(_, at_look)| *at_look)
    }

    fn hear(&self, event: &Event<'_>, state: &RunState, now: Duration) {
        let Event::Durable(entry) = event else { return };
        self.heard.set(now);
        self.backing_out.set(state.backing_out());
        let done = |id: &StepId| state.steps().get(id).is_some_and(|step| step.is_done());
        *self.current.borrow_mut() = self.order.iter().find(|id| !done(id)).cloned();
        if let Checkpoint::StepDone { step, .. } = &entry.checkpoint
            && self.crash_after.borrow().as_ref() == Some(step)
        {
            self.crashed.set(true);
        }
    }
}

/// Listens in before the listener of the caller.
pub(super) struct Prompter<'a> {
    pub(super) stage: &'a Stage,
    pub(super) next: &'a mut dyn Reporter,
}

impl Reporter for Prompter<'_> {
    fn on(&mut self, event: &Event<'_>, state: &RunState) {
        self.stage.dial.turn(&self.stage.model, None);
        self.stage.cue.hear(event, state, self.stage.model.elapsed());
        self.next.on(event, state);
    }
}

impl Stage {
    /// A process that has crashed does nothing more: it never comes past here.
    async fn alive(&self) {
        self.dial.turn(&self.model, None);
        if self.cue.crashed.get() {
            std::future::pending::<()>().await;
        }
    }
}

fn made_to_fail() -> HostError {
    HostError::refused("rehearsal", "this step was made to fail")
}

impl Probe for Stage {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Answer, HostError>> {
        Box::pin(async move {
            self.alive().await;
            if self.cue.failing() == Some(true) {
                return Err(made_to_fail());
            }
            self.model.ask(ask).await
        })
    }

    fn now(&self) -> Timestamp {
        self.model.now()
    }

    fn uptime(&self) -> Duration {
        self.dial.turn(&self.model, None);
        self.model.uptime()
    }
}

impl Host for Stage {
    fn tell<'a>(&'a self, deed: &'a Deed) -> Pending<'a, Result<Told, HostError>> {
        Box::pin(async move {
            self.alive().await;
            if self.cue.failing().is_some() {
                return Err(made_to_fail());
            }
            let told = self.model.tell(deed).await;
            self.alive().await;
            told
        })
    }

    fn sleep(&self, length: Duration) -> Pending<'_, ()> {
        let nap = self.model.sleep(length);
        Box::pin(async move {
            nap.await;
            self.alive().await;
        })
    }

    fn as_probe(&self) -> &dyn Probe {
        self
    }
}
