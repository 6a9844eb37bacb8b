//! The chance that a run ends inside its window: the plan drawn many times with lengths that vary as the estimates say.
//!
//! A step's typical length is its median and its slow length what nine of ten stay below, so each follows a log-normal
//! distribution, which never is negative and has the long end that waits have. Steps do not vary by themselves alone: on a
//! slow night everything is slow. Half of the variance is therefore shared by all steps of a run; drawn one by one they
//! would even each other out and the answer would be too good.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::host::span::Span;
use crate::runbook::Window;

/// The quantile of the standard normal distribution that nine of ten stay below.
const NINE_OF_TEN: f64 = 1.281_551_565_545;
/// The part of the variance that all steps of a run share.
const SHARED: f64 = 0.5;
/// A step whose slow length is not above its typical one still is not exact.
const LEAST_SPREAD: f64 = 0.02;
/// More runs tell nothing new.
pub const MOST_RUNS: u32 = 100_000;

/// What many drawn runs come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// How many were drawn.
    pub runs: u32,
    /// With the same seed the same runs are drawn.
    pub seed: u64,
    /// The part of them that ends inside the window, 0 to 1; `None` without a window, 0 when it is closed at the start.
    pub inside: Option<f64>,
    /// How long it takes at most in one, five and nine of ten runs, in seconds.
    pub takes: [f64; 3],
}

impl Chance {
    /// The three lengths.
    #[must_use]
    pub fn lengths(&self) -> [Duration; 3] {
        self.takes.map(|secs| Duration::try_from_secs_f64(secs).unwrap_or_default())
    }
}

/// Draws `runs` runs of a plan, at least one and at most [`MOST_RUNS`].
#[must_use]
pub fn draw(plan: &Plan, window: Option<&Window>, seed: u64, runs: u32) -> Chance {
    let runs = runs.clamp(1, MOST_RUNS);
    let mut dice = Dice(seed);
    let mut lengths: Vec<f64> = (0..runs).map(|_| one_run(plan, &mut dice)).collect();
    lengths.sort_by(f64::total_cmp);
    let inside = window.map(|window| {
        let left = left(window, plan.starts_at);
        lengths.iter().filter(|secs| **secs <= left).count() as f64 / lengths.len() as f64
    });
    let at = |part: f64| lengths.get(((lengths.len() - 1) as f64 * part).round() as usize).copied().unwrap_or_default();
    Chance { runs, seed, inside, takes: [at(0.1), at(0.5), at(0.9)] }
}

/// Seconds until the window closes; none when it is not open.
fn left(window: &Window, at: Timestamp) -> f64 {
    window.current_or_next(at).map_or(0.0, |opening| opening.left(at).as_secs_f64())
}

fn one_run(plan: &Plan, dice: &mut Dice) -> f64 {
    let night = dice.normal();
    plan.steps.iter().map(|step| length(step.takes.span, night, dice)).sum()
}

fn length(span: Span, night: f64, dice: &mut Dice) -> f64 {
    if span.typical <= 0.0 {
        // Nothing to do typically: on a slow night it may be.
        return if night > NINE_OF_TEN { span.slow.max(0.0) } else { 0.0 };
    }
    let spread = ((span.slow / span.typical).max(1.0).ln() / NINE_OF_TEN).max(LEAST_SPREAD);
    let deviation = SHARED.sqrt() * night + (1.0 - SHARED).sqrt() * dice.normal();
    span.typical * (spread * deviation).exp()
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, and the same everywhere. No secret depends on it.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0, at most 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller's transformation.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::eta::{Estimate, Source};
    use crate::plan::{FORMAT, PlannedStep};

    fn plan(spans: &[(f64, f64)], starts_at: &str) -> Plan {
        let step = |(n, (typical, slow)): (usize, &(f64, f64))| PlannedStep {
            id: format!("a/{}", n + 1).as_str().into(),
            phase: "a".into(),
            title: String::new(),
            action: crate::action::ActionKind::Command,
            subject: Default::default(),
            change: crate::action::Change::default(),
            takes: Estimate { span: Span::secs(*typical, *slow), source: Source::Usual },
            unforeseen: None,
            takes_away: false,
            brings_back: false,
            reboots: false,
            waits: false,
            gives_up_after: None,
        };
        let at: Timestamp = starts_at.parse().unwrap();
        Plan {
            format: FORMAT,
            runbook: "x".into(),
            sha256: String::new(),
            hostname: "stg-1".into(),
            made_at: at,
            starts_at: at,
            steps: spans.iter().enumerate().map(step).collect(),
            back_out: Vec::new(),
            probed_in: 0.0,
            unsaved: Vec::new(),
        }
    }

    #[test]
    fn one_step_varies_as_its_span_says() {
        let chance = draw(&plan(&[(600.0, 1_200.0)], "2026-11-28T09:00:00Z"), None, 7, 20_000);
        assert!((chance.takes[1] / 600.0 - 1.0).abs() < 0.03, "{chance:?}");
        assert!((chance.takes[2] / 1_200.0 - 1.0).abs() < 0.03, "{chance:?}");
        assert_eq!(chance.inside, None);
        assert_eq!(chance, draw(&plan(&[(600.0, 1_200.0)], "2026-11-28T09:00:00Z"), None, 7, 20_000));
        assert_ne!(chance, draw(&plan(&[(600.0, 1_200.0)], "2026-11-28T09:00:00Z"), None, 8, 20_000));
    }

    #[test]
    fn a_slow_night_is_slow_in_every_step() {
        let ten = draw(&plan(&[(60.0, 120.0); 10], "2026-11-28T09:00:00Z"), None, 1, 20_000);
        // Independent steps would stay below 760 s in nine of ten runs, wholly shared ones below 1200 s.
        assert!(ten.takes[2] > 850.0 && ten.takes[2] < 1_150.0, "{ten:?}");
    }

    #[test]
    fn the_window_counts_from_the_start_and_a_closed_one_holds_nobody() {
        let window: Window = serde_json::from_value(
            serde_json::json!({ "days": ["sat"], "opens": "10:00:00", "length": "1h", "timezone": "UTC" }),
        )
        .unwrap();
        let inside = |start| draw(&plan(&[(1_200.0, 2_400.0)], start), Some(&window), 3, 5_000).inside.unwrap();
        let early = inside("2026-11-28T10:00:00Z");
        assert!(early > 0.96 && early < 1.0, "{early}");
        let late = inside("2026-11-28T10:40:00Z");
        assert!((late - 0.5).abs() < 0.03, "{late}");
        assert_eq!(inside("2026-11-28T12:00:00Z"), 0.0);
    }
}
