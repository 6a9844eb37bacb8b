//! Where a run stands at this moment: a fold of its events that the plain lines and the live block both read.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::action::{ItemId, Tick};
use crate::event::Event;
use crate::host::clock::{boottime, now};
use crate::host::span::Span;
use crate::journal::checkpoint::{Checkpoint, Outcome, StepId};
use crate::journal::state::RunState;
use crate::plan::Plan;
use crate::runbook::{Runbook, Window};

/// A gate that has not spoken for so long is open by now.
const GATE_SPEAKS: Duration = Duration::from_secs(5);

/// A clock for lengths of time: that of the machine, of a rehearsal, or of a test.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The wall clock, for times of day.
pub type Wall = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The wall clock of the machine.
pub(super) fn machine_wall() -> Wall {
    Arc::new(now)
}

/// The clock of the machine.
pub(super) fn machine_clock() -> Clock {
    Arc::new(boottime)
}

/// One step as planned.
pub(super) struct Planned {
    pub(super) id: StepId,
    pub(super) phase: String,
    pub(super) title: String,
    pub(super) takes: Span,
    /// How long each item usually takes.
    items: IndexMap<String, Span>,
    done: bool,
}

/// One item, or a gate, that is in work.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) began: Duration,
    pub(super) tick: Tick,
    pub(super) usually: Span,
    gate: bool,
    heard: Duration,
}

/// The step in work.
pub(super) struct Current {
    pub(super) step: StepId,
    pub(super) began: Duration,
    /// How many apps, instances or units, chores aside.
    pub(super) of: usize,
    /// How many of those have ended.
    pub(super) done: usize,
    pub(super) failed: usize,
    pub(super) attempt: u32,
    pub(super) running: IndexMap<String, Running>,
    /// There is nothing else in it, so they are what is counted.
    only_chores: bool,
}

impl Current {
    /// Whether an item is one of those that people count: `133 apps` are 133, whatever is done around them.
    pub(super) fn counts(&self, item: &str) -> bool {
        self.only_chores || !is_chore(item)
    }

    /// What runs and is counted.
    fn in_work(&self) -> impl Iterator<Item = &Running> {
        self.running.iter().filter(|(item, one)| !one.gate && self.counts(item)).map(|(_, one)| one)
    }
}

/// An item in brackets, such as `(saved list)`, belongs to the step and is none of the things that it is about.
pub(super) fn is_chore(item: &str) -> bool {
    ItemId::of_key(item).is_chore()
}

/// Where the run stands.
pub(super) struct Progress {
    pub(super) run: String,
    pub(super) zone: TimeZone,
    pub(super) steps: Vec<Planned>,
    pub(super) phases: Vec<String>,
    pub(super) current: Option<Current>,
    pub(super) began: Duration,
    pub(super) latest: Option<Timestamp>,
    window: Option<Window>,
    back_out: Vec<String>,
    backing_out: bool,
    clock: Clock,
}

impl Progress {
    pub(super) fn new(runbook: &Runbook, plan: &Plan, clock: Clock) -> Self {
        let mut phases: Vec<String> = Vec::new();
        for step in &plan.steps {
            if !phases.contains(&step.phase) {
                phases.push(step.phase.clone());
            }
        }
        let steps = plan.steps.iter().map(|step| Planned {
            id: step.id.clone(),
            phase: step.phase.clone(),
            title: step.title.clone(),
            takes: step.takes.span,
            items: step.change.items.iter().map(|item| (item.key.clone(), item.takes)).collect(),
            done: false,
        });
        Self {
            run: String::new(),
            zone: runbook.window.as_ref().map_or(TimeZone::UTC, |window| window.timezone.clone()),
            steps: steps.collect(),
            phases,
            current: None,
            began: clock(),
            latest: None,
            window: runbook.window.clone(),
            back_out: runbook.back_out.clone(),
            backing_out: false,
            clock,
        }
    }

    pub(super) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Takes one event in. Words about a durable event are made before, while the step it ends is still known.
    pub(super) fn take_in(&mut self, event: &Event<'_>, state: &RunState) {
        match event {
            Event::Durable(entry) => {
                if self.run.is_empty() {
                    self.run = entry.run.to_string();
                }
                self.latest = Some(entry.wall);
                self.backing_out = state.backing_out();
                for step in &mut self.steps {
                    step.done = state.steps().get(&step.id).is_some_and(|known| known.is_done());
                }
                self.checkpoint(&entry.checkpoint);
            }
            Event::Tick { step, tick } => self.tick(step, tick),
            Event::Talk(_) => {}
        }
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        let now = self.now();
        match checkpoint {
            Checkpoint::StepStarted { step, attempt, items, .. } => {
                let only_chores = items.iter().all(|item| is_chore(item));
                self.current = Some(Current {
                    step: step.clone(),
                    began: now,
                    only_chores,
                    of: items.iter().filter(|item| only_chores || !is_chore(item)).count(),
                    done: 0,
                    failed: 0,
                    attempt: *attempt,
                    running: IndexMap::new(),
                });
            }
            Checkpoint::ItemIntent { step, item } => {
                let usually = self.usually(step, item);
                if let Some(current) = self.current.as_mut() {
                    let tick = Tick::say(item, "");
                    current
                        .running
                        .insert(item.clone(), Running { began: now, tick, usually, gate: false, heard: now });
                }
            }
            Checkpoint::ItemDone { item, outcome, .. } => {
                if let Some(current) = self.current.as_mut() {
                    current.running.shift_remove(item);
                    current.done += usize::from(current.counts(item));
                    current.failed += usize::from(!matches!(outcome, Outcome::Applied));
                }
            }
            Checkpoint::StepDone { .. }
            | Checkpoint::StepFailed { .. }
            | Checkpoint::StepUnknown { .. }
            | Checkpoint::Paused { .. }
            | Checkpoint::Finished { .. }
            | Checkpoint::Abandoned { .. } => self.current = None,
            _ => {}
        }
    }

    fn tick(&mut self, step: &StepId, tick: &Tick) {
        let now = self.now();
        let usually = self.usually(step, &tick.item);
        let Some(current) = self.current.as_mut().filter(|current| current.step == *step) else {
            return;
        };
        match current.running.get_mut(&tick.item) {
            Some(running) => {
                running.tick = tick.clone();
                running.heard = now;
            }
            None => {
                let gate = Running { began: now, tick: tick.clone(), usually, gate: true, heard: now };
                current.running.insert(tick.item.clone(), gate);
            }
        }
        current.running.retain(|_, running| !running.gate || now.saturating_sub(running.heard) < GATE_SPEAKS);
    }

    pub(super) fn planned(&self, step: &StepId) -> Option<&Planned> {
        self.steps.iter().find(|planned| planned.id == *step)
    }

    pub(super) fn usually(&self, step: &StepId, item: &str) -> Span {
        self.planned(step).and_then(|planned| planned.items.get(item)).copied().unwrap_or_default()
    }

    /// `6/9 load`: the phase by number and name.
    pub(super) fn place(&self, step: &StepId) -> String {
        let at = self.phases.iter().position(|phase| phase == step.phase()).map_or(0, |at| at + 1);
        format!("{at}/{} {}", self.phases.len(), step.phase())
    }

    /// What runs, the longest first.
    pub(super) fn slowest(&self) -> Vec<(&str, &Running)> {
        let Some(current) = &self.current else {
            return Vec::new();
        };
        let mut running: Vec<(&str, &Running)> = current.running.iter().map(|(key, one)| (key.as_str(), one)).collect();
        running.sort_by_key(|(_, one)| one.began);
        running
    }

    /// Items that have not begun.
    pub(super) fn queued(&self) -> usize {
        let Some(current) = &self.current else { return 0 };
        current.of.saturating_sub(current.done + current.in_work().count())
    }

    /// The part of the current step that is done: by items, those in work by their own measure.
    pub(super) fn part(&self) -> f64 {
        let Some(current) = self.current.as_ref().filter(|current| current.of > 0) else {
            return 0.0;
        };
        let inside: f64 = current.in_work().filter_map(|one| one.tick.part).sum();
        ((current.done as f64 + inside) / current.of as f64).clamp(0.0, 1.0)
    }

    /// Time left of the step in work: what its items say, else their pace, else the plan.
    pub(super) fn left_of_step(&self) -> Span {
        let Some(current) = &self.current else {
            return Span::ZERO;
        };
        let takes = self.planned(&current.step).map(|planned| planned.takes).unwrap_or_default();
        let elapsed = self.now().saturating_sub(current.began).as_secs_f64();
        let planned = Span::secs(takes.typical - elapsed, takes.slow - elapsed);
        let told = current
            .running
            .values()
            .filter_map(|one| one.tick.left)
            .fold(None, |sum: Option<Span>, left| Some(sum.map_or(left, |sum| sum.beside(left))));
        match told {
            Some(told) if current.of <= current.done + current.running.len() => told,
            Some(told) => told.beside(planned),
            None if current.of > 5 && current.done >= 3 => {
                let pace = elapsed / current.done as f64 * current.of.saturating_sub(current.done) as f64;
                Span::secs(pace, pace * 1.5)
            }
            None => planned,
        }
    }

    /// Time left of the whole run.
    pub(super) fn left(&self) -> Span {
        let in_work = self.current.as_ref().map(|current| current.step.clone());
        let ahead = self.steps.iter().filter(|step| !step.done && Some(&step.id) != in_work.as_ref());
        let ahead = ahead.filter(|step| !self.backing_out || self.back_out.contains(&step.phase));
        ahead.fold(self.left_of_step(), |sum, step| sum.then(step.takes))
    }

    /// When the window closes that was open at the last event.
    pub(super) fn closes(&self) -> Option<Timestamp> {
        self.window.as_ref()?.closes(self.latest?)
    }

    /// `10:15:03` of a moment in the window's time zone.
    pub(super) fn clock_time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string()
    }
}
