//! A believed machine: recorded or live answers, on which the effects of deeds are played.
//!
//! It is laid over another [`Probe`] (the live machine, recorded facts): a question is asked there once and remembered,
//! and from then on the model answers by itself. It is kept dumb on purpose. The look at the live machine just before
//! each step is the truth; the model only has to be right about what follows from what.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use jiff::Timestamp;

use super::facts::Facts;
use super::{Answer, Ask, Deed, Host, HostError, Pending, Probe, Told};

/// See the module.
pub struct Model<'a> {
    under: Option<&'a dyn Probe>,
    /// What was asked below, as it was answered there.
    asked: RefCell<Facts>,
    /// What is believed now.
    world: RefCell<Facts>,
    /// Time that has passed on the model beyond that of the machine below.
    ahead: Cell<Duration>,
}

impl<'a> Model<'a> {
    /// A model laid over a machine that can be asked.
    #[must_use]
    pub fn over(under: &'a dyn Probe) -> Self {
        let facts = Facts::new(under.now(), under.uptime().as_secs_f64());
        Self { under: Some(under), asked: RefCell::new(facts.clone()), world: RefCell::new(facts), ahead: Cell::default() }
    }

    /// A model that starts from what was just asked of the machine below.
    #[must_use]
    pub fn believing(facts: &Facts, under: &'a dyn Probe) -> Self {
        let model = Self::over(under);
        *model.world.borrow_mut() = facts.clone();
        model
    }

    /// Lets time pass without waiting.
    pub fn pass(&self, length: Duration) {
        self.ahead.set(self.ahead.get() + length);
    }

    /// What the machine below has answered.
    #[must_use]
    pub fn asked(&self) -> Facts {
        self.asked.borrow().clone()
    }

    async fn answer(&self, ask: &Ask) -> Result<Answer, HostError> {
        if let Some(known) = self.world.borrow().get(ask) {
            return Ok(known.clone());
        }
        let Some(under) = self.under else { return Err(HostError::NotRecorded { about: ask.about() }) };
        let answer = under.ask(ask).await?;
        self.asked.borrow_mut().put(ask.clone(), answer.clone());
        self.world.borrow_mut().put(ask.clone(), answer.clone());
        Ok(answer)
    }
}

impl Probe for Model<'_> {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Answer, HostError>> {
        Box::pin(self.answer(ask))
    }

    fn now(&self) -> Timestamp {
        let base = self.under.map_or_else(|| self.asked.borrow().at, Probe::now);
        base.checked_add(self.ahead.get()).unwrap_or(base)
    }

    fn uptime(&self) -> Duration {
        let base = self.under.map_or_else(|| Duration::from_secs_f64(self.asked.borrow().uptime.max(0.0)), Probe::uptime);
        base + self.ahead.get()
    }
}

impl Host for Model<'_> {
    fn tell<'a>(&'a self, _: &'a Deed) -> Pending<'a, Result<Told, HostError>> {
        Box::pin(async { Ok(Told::Done) })
    }

    fn sleep(&self, length: Duration) -> Pending<'_, ()> {
        self.pass(length);
        Box::pin(async {})
    }

    fn as_probe(&self) -> &dyn Probe {
        self
    }
}
