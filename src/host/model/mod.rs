//! A believed machine: recorded or live answers, on which the effects of deeds are played.
//!
//! It is laid over another [`Probe`] (the live machine, recorded facts): a question is asked there once and remembered,
//! and from then on the model answers by itself. It is kept dumb on purpose. The look at the live machine just before
//! each step is the truth; the model only has to be right about what follows from what.
//!
//! One model serves three: a plan walks a runbook over it, tests run the real executor on it, and a rehearsal plays it in
//! compressed time with faults. `World` holds what is believed, `instances`, `units`, `apps` and `boot` are the effects,
//! `time` is its clock, [`Faults`] what is to go wrong.

mod apps;
mod boot;
mod course;
mod deeds;
mod instances;
mod loads;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod time;
mod units;
mod world;

use std::cell::RefCell;
use std::time::Duration;

use jiff::Timestamp;

pub use self::course::{Faults, Ties};
use self::time::ModelClock;
pub use self::time::Pace;
use self::world::World;
use super::facts::Facts;
use super::{Answer, Ask, Deed, Host, HostError, Pending, Probe, Told};

/// See the module.
pub struct Model<'a> {
    under: Option<&'a dyn Probe>,
    /// What was asked below, as it was answered there.
    asked: RefCell<Facts>,
    world: RefCell<World>,
    clock: ModelClock,
}

impl<'a> Model<'a> {
    /// A model laid over a machine that can be asked.
    #[must_use]
    pub fn over(under: &'a dyn Probe) -> Self {
        let facts = Facts::new(under.now(), under.uptime().as_secs_f64());
        Self { under: Some(under), ..Self::of(facts) }
    }

    /// A model that starts from what was just asked of the machine below.
    #[must_use]
    pub fn believing(facts: &Facts, under: &'a dyn Probe) -> Self {
        let model = Self::over(under);
        {
            let believed = &mut model.world.borrow_mut().facts;
            believed.answers.clone_from(&facts.answers);
            believed.loads.clone_from(&facts.loads);
            believed.disk_rate = facts.disk_rate;
        }
        model
    }

    /// A model of recorded facts, without a machine: what they do not hold is [`HostError::NotRecorded`].
    #[must_use]
    pub fn of(facts: Facts) -> Self {
        Self {
            under: None,
            asked: RefCell::new(Facts::new(facts.at, facts.uptime)),
            world: RefCell::new(World::new(facts)),
            clock: ModelClock::new(Pace::Instant),
        }
    }

    /// The same model, told which unit runs which neighbour.
    #[must_use]
    pub fn with_ties(self, ties: Ties) -> Self {
        self.world.borrow_mut().ties = ties;
        self
    }

    /// The same model with faults. To be said before the first question.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        {
            let mut world = self.world.borrow_mut();
            let known = std::mem::take(&mut world.facts.answers);
            world.faults = faults;
            for (ask, answer) in known {
                world.learn(ask, answer);
            }
        }
        self
    }

    /// The same model at another pace. To be said first: its time begins anew.
    #[must_use]
    pub fn at_pace(self, pace: Pace) -> Self {
        Self { clock: ModelClock::new(pace), ..self }
    }

    /// Lets time pass without waiting.
    pub fn pass(&self, length: Duration) {
        self.clock.pass(length);
    }

    /// Time since the model was made; unlike [`Probe::uptime`] it goes on over a boot.
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Lets time pass until a machine that is going down is up again; `false` when it is not going down.
    pub fn come_back(&self) -> bool {
        let at = self.world.borrow().boots_at();
        at.is_some_and(|at| self.come_back_in(at.saturating_sub(self.elapsed())))
    }

    /// [`Model::come_back`] for a planner, who has an estimate of its own: a machine that is going down is up again after
    /// exactly this time.
    pub fn come_back_in(&self, length: Duration) -> bool {
        if !self.world.borrow_mut().boot_at(self.elapsed() + length) {
            return false;
        }
        self.pass(length);
        self.world.borrow_mut().catch_up(self.elapsed());
        true
    }

    /// What the machine below has answered.
    #[must_use]
    pub fn asked(&self) -> Facts {
        self.asked.borrow().clone()
    }

    /// The answer that is believed at this moment.
    fn known(&self, ask: &Ask) -> Option<Answer> {
        let now = self.elapsed();
        let mut world = self.world.borrow_mut();
        world.catch_up(now);
        world.answer(ask, now)
    }

    async fn answer(&self, ask: &Ask) -> Result<Answer, HostError> {
        self.clock.stir();
        if let Ask::Pm2List(at) = ask {
            // The list is that of the daemon: were it remembered by itself, nothing that is done would show in it.
            if self.world.borrow().facts.pm2(at).is_none() {
                drop(Box::pin(self.answer(&Ask::Pm2(at.clone()))).await);
            }
        }
        if let Some(known) = self.known(ask) {
            return Ok(known);
        }
        let Some(under) = self.under else {
            return unrecorded(ask);
        };
        let answer = {
            let _hold = self.clock.hold();
            under.ask(ask).await?
        };
        // Somebody else may have asked the same in the meantime, and acted upon it.
        if self.known(ask).is_none() {
            self.asked.borrow_mut().put(ask.clone(), answer.clone());
            self.world.borrow_mut().learn(ask.clone(), answer);
        }
        self.known(ask).ok_or_else(|| HostError::unreachable(ask.about(), "the model forgot it"))
    }

    /// Makes sure that what a deed is about is known before it is done.
    async fn learn(&self, asks: Vec<Ask>) -> Result<(), HostError> {
        for ask in asks {
            // An answer is a copy of what is known, and a list is long.
            if !self.world.borrow().knows(&ask) {
                self.answer(&ask).await?;
            }
        }
        Ok(())
    }
}

/// What recorded facts answer although they do not hold it: nothing is known there that could be lost.
fn unrecorded(ask: &Ask) -> Result<Answer, HostError> {
    match ask {
        Ask::LogTail { .. } => Ok(Answer::LogTail(Vec::new())),
        Ask::Pressure => Ok(Answer::Pressure(None)),
        Ask::LoadProgress { .. } => Ok(Answer::LoadProgress(None)),
        Ask::Program(_) => Ok(Answer::Program(Box::default())),
        Ask::Machine
        | Ask::Redis(_)
        | Ask::IncrCost(_)
        | Ask::Unit(_)
        | Ask::Inhibitors
        | Ask::Pm2(_)
        | Ask::Pm2List(_) => Err(HostError::NotRecorded { about: ask.about() }),
        Ask::Disk(_) | Ask::Http(_) | Ask::Tcp(_) | Ask::Snapshot { .. } | Ask::ResumeUnit => {
            Err(HostError::NotRecorded { about: ask.about() })
        }
    }
}

impl Probe for Model<'_> {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Answer, HostError>> {
        Box::pin(self.answer(ask))
    }

    fn now(&self) -> Timestamp {
        self.world.borrow().wall(self.elapsed())
    }

    fn uptime(&self) -> Duration {
        let now = self.elapsed();
        let mut world = self.world.borrow_mut();
        world.catch_up(now);
        match world.booted_at {
            Some(at) => now.saturating_sub(at),
            None => Duration::try_from_secs_f64(world.facts.uptime).unwrap_or_default() + now,
        }
    }
}

impl Host for Model<'_> {
    fn tell<'a>(&'a self, deed: &'a Deed) -> Pending<'a, Result<Told, HostError>> {
        Box::pin(self.act(deed))
    }

    fn sleep(&self, length: Duration) -> Pending<'_, ()> {
        self.clock.sleep(length)
    }

    fn as_probe(&self) -> &dyn Probe {
        self
    }
}
