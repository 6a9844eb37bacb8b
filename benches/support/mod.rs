//! What the benchmarks share: two things timed in turns, and one JSON line per row for whoever holds them to a bar.
//!
//! Machines are noisy, so nothing here is a time to be compared with another day's: a row is a ratio of two things that
//! took turns in the same minutes, by the median of the ratios of neighbouring turns.
#![allow(dead_code, unreachable_pub, reason = "each benchmark takes what it needs")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks")]

pub mod run;

use std::time::Instant;

/// One row of a benchmark.
pub struct Row<'a> {
    /// The benchmark's name.
    pub bench: &'a str,
    /// What was measured.
    pub case: &'a str,
    /// What the figures are.
    pub unit: &'a str,
    /// Ours, in the unit.
    pub ours: f64,
    /// What it is held against, in the unit.
    pub baseline: f64,
    /// Ours by the baseline.
    pub ratio: f64,
    /// The ratio that is allowed, if the row has a bar.
    pub bar: Option<f64>,
}

impl Row<'_> {
    /// Prints the row for people on the standard error and for programs on the standard output; whether it holds its bar.
    pub fn print(&self) -> bool {
        let Row { bench, case, unit, ours, baseline, ratio, bar } = self;
        let held = bar.is_none_or(|bar| *ratio <= bar);
        let verdict = match bar {
            Some(bar) if held => format!("  (at most {bar})"),
            Some(bar) => format!("  MISSED: at most {bar}"),
            None => String::new(),
        };
        eprintln!("{bench:<8} {case:<44} {ours:>10.3} {unit} against {baseline:>10.3}: {ratio:.2}{verdict}");
        let line = serde_json::json!({
            "bench": bench, "case": case, "unit": unit, "ours": ours, "baseline": baseline, "ratio": ratio, "bar": bar,
        });
        println!("{line}");
        held
    }
}

/// The median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Milliseconds that `work` takes; what it returns is kept from being optimised away.
pub fn millis<T>(work: impl FnOnce() -> T) -> f64 {
    let began = Instant::now();
    std::hint::black_box(work());
    began.elapsed().as_secs_f64() * 1000.0
}

/// Ours and the baseline in turns: their medians in milliseconds, and the median of the ratios of each turn.
pub fn in_turns(turns: usize, mut ours: impl FnMut() -> f64, mut baseline: impl FnMut() -> f64) -> (f64, f64, f64) {
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..=turns {
        // Who goes first changes, so that neither always runs on the warmer cache; the first turn only warms up.
        let (one, other) = if turn % 2 == 0 {
            let one = ours();
            (one, baseline())
        } else {
            let other = baseline();
            (ours(), other)
        };
        if turn > 0 {
            a.push(one);
            b.push(other);
            ratios.push(one / other);
        }
    }
    (median(a), median(b), median(ratios))
}

/// Ends the process: 1 if a bar was missed and `--check` was given, else 0.
pub fn finish(all_held: bool) {
    if !all_held && std::env::args().any(|one| one == "--check") {
        std::process::exit(1);
    }
}
