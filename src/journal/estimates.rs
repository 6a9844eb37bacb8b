//! What past runs teach: the loads they measured, and how right their estimates were.
//!
//! A run's own record holds its plan, what it captured, and how long everything took; what is needed of it when the run itself
//! was pruned is in `learned`. Estimates are judged by the journals that are still there.
use jiff::Timestamp;
use serde::Serialize;

use super::Reading;
use super::checkpoint::{Checkpoint, How};
use super::step::StepStatus;
use super::store::{Listed, Store, StoreError};
use crate::action::ActionKind;
use crate::action::loads::record_of;
use crate::host::redis::eta::{Expected, History, LoadRecord};
use crate::host::span::Span;
use crate::plan::{Plan, PlannedStep, Source};

/// Runs that are read back for what they teach; a host is not the same one for ever.
const NEWEST: usize = 30;

/// When an estimate was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// With the plan, before anything was done.
    Plan,
    /// When the load began, from the files as they were then.
    Start,
}

/// One estimate beside what happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The run.
    pub run: String,
    /// When the run began.
    pub at: Timestamp,
    /// The step.
    pub step: String,
    /// The instance, where it is one instance's.
    pub item: Option<String>,
    /// When it was made.
    pub made: Made,
    /// What was expected, in seconds, with the interval that should hold eight of ten cases.
    pub expected: Expected,
    /// Seconds that it took.
    pub actual_secs: f64,
}

impl Judged {
    /// How far off it was, in percent of what it took; negative when it was too short.
    #[must_use]
    pub fn error_percent(&self) -> f64 {
        100.0 * (self.expected.typical - self.actual_secs) / self.actual_secs.max(0.001)
    }

    /// Whether the interval held.
    #[must_use]
    pub fn inside(&self) -> bool {
        (self.expected.low..=self.expected.high).contains(&self.actual_secs)
    }
}

/// A number of estimates in two figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// So many.
    pub estimates: usize,
    /// Mean of the errors without their sign, in percent.
    pub mape: f64,
    /// Percent of them whose interval held.
    pub coverage: f64,
}

impl Score {
    /// Of these; `None` when there are none.
    #[must_use]
    pub fn of<'a>(judged: impl IntoIterator<Item = &'a Judged>) -> Option<Self> {
        let (mut estimates, mut errors, mut held) = (0_usize, 0.0, 0_usize);
        for one in judged {
            estimates += 1;
            errors += one.error_percent().abs();
            held += usize::from(one.inside());
        }
        let mean = |sum: f64| sum / estimates as f64;
        (estimates > 0).then(|| Self { estimates, mape: mean(errors), coverage: mean(100.0 * held as f64) })
    }
}

impl Store {
    /// Loads of Redis instances that earlier runs have measured, however those runs ended, oldest first; those of the unfinished
    /// run, too.
    ///
    /// # Errors
    /// [`StoreError::File`] if the runs cannot be listed.
    pub fn loads(&self) -> Result<History, StoreError> {
        let mut learned = self.learned_now()?;
        for listed in self.not_known_over()? {
            let Ok(reading) = listed.reading else { continue };
            if reading.state.ended().is_none() {
                learned.take_in(&reading.state);
            }
        }
        Ok(learned.loads())
    }

    /// Every estimate of the newest runs that can be held against what happened, oldest first; of one runbook, or of all.
    ///
    /// # Errors
    /// [`StoreError::File`] if the runs cannot be listed.
    pub fn estimates(&self, runbook: Option<&str>) -> Result<Vec<Judged>, StoreError> {
        let wanted = |reading: &Reading| {
            let name = reading.state.opened().map(|opened| opened.runbook_name.as_str());
            runbook.is_none() || name == runbook
        };
        let runs = self.newest(NEWEST)?;
        Ok(runs.iter().filter(|run| run.reading.as_ref().is_ok_and(wanted)).flat_map(of_run).collect())
    }
}

/// The estimates of one run.
fn of_run(listed: &Listed) -> Vec<Judged> {
    let Ok(reading) = &listed.reading else { return Vec::new() };
    let plan = reading.state.opened().and_then(|opened| opened.plan.read::<Plan>().ok());
    let (Some(plan), Some(first)) = (plan, reading.entries.first()) else { return Vec::new() };
    let at = first.wall;
    let row = |step: &PlannedStep, item: Option<&str>, made, expected, actual_secs| Judged {
        run: listed.id.to_string(),
        at,
        step: step.id.to_string(),
        item: item.map(str::to_owned),
        made,
        expected,
        actual_secs,
    };
    let mut found = Vec::new();
    for step in plan.steps.iter().filter(|step| step.takes.source != Source::Nothing) {
        if let Some(StepStatus::Done { how: How::Applied | How::WithLosses { .. }, took_ms }) =
            reading.state.status(&step.id)
        {
            found.push(row(step, None, Made::Plan, interval(step.takes.span), secs(*took_ms)));
        }
        for item in &step.change.items {
            let name = item.key.as_str();
            match step.action {
                ActionKind::RedisLoaded => {
                    let Some(load) = load(reading, name) else { continue };
                    found.push(row(step, Some(name), Made::Plan, interval(item.takes), load.wall_secs()));
                    let started = load.expected.map(|expected| (expected, load.wall_secs()));
                    found.extend(started.map(|(expected, took)| row(step, Some(name), Made::Start, expected, took)));
                }
                ActionKind::RedisCompacted => {
                    let took = rewrite_took(reading, step, name);
                    found.extend(took.map(|took| row(step, Some(name), Made::Plan, interval(item.takes), took)));
                }
                ActionKind::Pm2Saved | ActionKind::Pm2Stopped | ActionKind::Pm2Restored | ActionKind::Pm2AsSaved => {}
                ActionKind::UnitsEnabled | ActionKind::UnitsActive | ActionKind::UnitsStopped => {}
                ActionKind::Command | ActionKind::Rebooted | ActionKind::Healthy => {}
            }
        }
    }
    found
}

/// A span as an interval: as far below the typical time as the slow end lies above it.
fn interval(span: Span) -> Expected {
    let low = if span.slow > 0.0 { span.typical * span.typical / span.slow } else { 0.0 };
    Expected { typical: span.typical, low, high: span.slow }
}

fn secs(millis: u64) -> f64 {
    millis as f64 / 1e3
}

fn load(reading: &Reading, instance: &str) -> Option<LoadRecord> {
    let key = crate::action::loads::key(instance);
    record_of(&key, reading.state.captured(&key)?)
}

/// Seconds that an item took, when it was applied.
fn rewrite_took(reading: &Reading, of: &PlannedStep, name: &str) -> Option<f64> {
    use super::checkpoint::Outcome;
    reading.entries.iter().rev().find_map(|entry| match &entry.checkpoint {
        Checkpoint::ItemDone { step, item, outcome: Outcome::Applied, took_ms, .. }
            if *step == of.id && item == name =>
        {
            Some(secs(*took_ms))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(typical: f64, actual_secs: f64) -> Judged {
        Judged {
            run: "r".into(),
            at: Timestamp::UNIX_EPOCH,
            step: "load/1".into(),
            item: None,
            made: Made::Plan,
            expected: interval(Span::secs(typical, 2.0 * typical)),
            actual_secs,
        }
    }

    #[test]
    fn errors_and_intervals() {
        let all = [judged(100.0, 50.0), judged(100.0, 200.0), judged(100.0, 250.0), judged(100.0, 40.0)];
        let errors: Vec<f64> = all.iter().map(Judged::error_percent).collect();
        assert_eq!(errors, [100.0, -50.0, -60.0, 150.0]);
        assert_eq!(all.each_ref().map(Judged::inside), [true, true, false, false]);
        let score = Score::of(&all).unwrap();
        assert_eq!((score.estimates, score.mape, score.coverage), (4, 90.0, 50.0));
        assert_eq!(Score::of(&[]), None);
    }
}
