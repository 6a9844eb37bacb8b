//! How long a step takes: what the machine's facts reckon, else past runs, else what the runbook declares, else the
//! action's usual time. The plan names the source, because a number without one is a rumour.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::action::{Action, ActionKind, Change, Sign};
use crate::host::redis::eta::History as Loads;
use crate::host::span::Span;
use crate::runbook::Step;

/// Where an estimate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nothing to do.
    Nothing,
    /// From sizes and counts seen on the machine.
    Reckoned,
    /// From so many past runs.
    PastRuns(usize),
    /// From the sizes on the machine and so many earlier loads of each instance (of the one with the fewest).
    Loads(usize),
    /// `takes:` of the runbook.
    Declared,
    /// The action's usual time.
    Usual,
}

/// A length of time and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The length.
    pub span: Span,
    /// Its source.
    pub source: Source,
}

/// What earlier runs have taught about the time that things take.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Durations of past runs of the same runbook on this host, in seconds, by step id.
    pub steps: BTreeMap<String, Vec<f64>>,
    /// The same by step and item.
    pub items: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
    /// Loads of the Redis instances that any run on this host has measured.
    pub loads: Loads,
    /// What a probe of the disk has shown, in bytes per second.
    pub disk_rate: Option<f64>,
}

impl History {
    /// The typical and the slow time of a step; `None` without a past run.
    #[must_use]
    pub fn of(&self, step: &str) -> Option<(Span, usize)> {
        middle_and_slow(self.steps.get(step)?)
    }

    /// The typical and the slow time of one item of a step; `None` without a past run.
    #[must_use]
    pub fn of_item(&self, step: &str, item: &str) -> Option<Span> {
        Some(middle_and_slow(self.items.get(step)?.get(item)?)?.0)
    }
}

fn middle_and_slow(secs: &[f64]) -> Option<(Span, usize)> {
    let mut secs = secs.to_vec();
    secs.sort_by(f64::total_cmp);
    let at = |part: f64| secs.get((secs.len().saturating_sub(1) as f64 * part).round() as usize).copied();
    Some((Span::secs(at(0.5)?, at(0.9)?), secs.len()))
}

/// Estimates one step with what it would change.
#[must_use]
pub fn estimate(step: &Step, id: &str, change: &Change, history: &History) -> Estimate {
    if change.is_empty() {
        return Estimate { span: Span::ZERO, source: Source::Nothing };
    }
    let reckoned = change.takes();
    // Loading and rewriting follow the data, which change from run to run: there the facts beat the past.
    if follows_data(step.action.kind()) && reckoned.typical > 0.0 {
        return Estimate { span: reckoned, source: by_loads(step, change, &history.loads) };
    }
    if let Some((span, runs)) = history.of(id) {
        return Estimate { span, source: Source::PastRuns(runs) };
    }
    if let Some(takes) = step.takes {
        let typical = takes.as_secs_f64();
        return Estimate { span: Span::secs(typical, typical * 1.5), source: Source::Declared };
    }
    // Nothing on the machine says how long its reboot takes; what can be reckoned is only what goes before it.
    if step.action.goes_down() {
        let mut before = change.clone();
        before.items.retain(|item| item.sign != Sign::Reboot);
        return Estimate { span: before.takes().then(usual(&step.action)), source: Source::Usual };
    }
    if reckoned.typical > 0.0 {
        return Estimate { span: reckoned, source: Source::Reckoned };
    }
    Estimate { span: usual(&step.action), source: Source::Usual }
}

/// Whether it takes as long as the data are large.
fn follows_data(action: ActionKind) -> bool {
    match action {
        ActionKind::RedisLoaded | ActionKind::RedisCompacted => true,
        ActionKind::Pm2Saved | ActionKind::Pm2Stopped | ActionKind::Pm2Restored | ActionKind::Pm2AsSaved => false,
        ActionKind::UnitsEnabled | ActionKind::UnitsActive | ActionKind::UnitsStopped => false,
        ActionKind::Command | ActionKind::Rebooted | ActionKind::Healthy => false,
    }
}

/// Whether every load that is waited for has been measured before.
fn by_loads(step: &Step, change: &Change, loads: &Loads) -> Source {
    let waits = step.action.kind().awaits_data();
    let loading = change.items.iter().filter(|item| !item.confirms);
    let known = loading.map(|item| loads.of(&item.key, None).len()).min();
    match known {
        Some(loads) if waits && loads > 0 => Source::Loads(loads),
        _ => Source::Reckoned,
    }
}

/// What an action usually takes when nothing better is known.
fn usual(action: &Action) -> Span {
    match action {
        Action::Rebooted(_) => Span::secs(90.0, 240.0),
        Action::Command(_) => Span::secs(10.0, 60.0),
        Action::Healthy(healthy) => {
            let steady = healthy.steady_for.as_secs_f64();
            Span::secs(steady + 2.0, steady + 30.0)
        }
        Action::Pm2AsSaved(saved) => {
            let steady = saved.steady_for.as_secs_f64();
            Span::secs(steady + 1.0, steady + 20.0)
        }
        Action::UnitsActive(_) => Span::secs(2.0, 30.0),
        Action::RedisCompacted(_)
        | Action::RedisLoaded(_)
        | Action::Pm2Saved(_)
        | Action::Pm2Stopped(_)
        | Action::Pm2Restored(_)
        | Action::UnitsEnabled(_)
        | Action::UnitsStopped(_) => Span::secs(2.0, 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_gives_the_middle_and_the_slow_end() {
        let steps = [("a/1".to_owned(), vec![10.0, 30.0, 20.0, 25.0, 90.0])].into();
        let history = History { steps, ..History::default() };
        let (span, runs) = history.of("a/1").unwrap();
        assert_eq!((span.typical, runs), (25.0, 5));
        assert_eq!(span.slow, 90.0);
        assert_eq!(history.of("b/1"), None);
        let items = [("a/1".to_owned(), [("api".to_owned(), vec![4.0]), ("none".to_owned(), vec![])].into())].into();
        let history = History { items, ..History::default() };
        assert_eq!(history.of_item("a/1", "api"), Some(Span::secs(4.0, 4.0)));
        assert_eq!((history.of_item("a/1", "none"), history.of_item("a/1", "web")), (None, None));
    }
}
