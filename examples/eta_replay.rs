//! Replays recorded loads through the estimate that a run shows, and sets it beside the server's own.
//!
//! ```text
//! cargo run --example eta_replay tests/recorded/aof-loads.json.gz
//! ```
//!
//! A table for people, then one JSON line per row. The error is the mean of |predicted - actual| / actual of the remaining
//! time, at 5, 10, 25, 50 and 75 % of the time (behind a slow disk, wall clock: 25, 50 and 75 %).
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::path::PathBuf;

#[path = "../tests/support/replay/mod.rs"]
#[allow(dead_code, reason = "shared with the test")]
mod replay;

use replay::{Clock, Load, earlier, errors, read, table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let path = path.unwrap_or_else(|| "tests/recorded/aof-loads.json.gz".into());
    let loads = read(&path)?;
    if std::env::args().any(|arg| arg == "--loads") {
        each_load(&loads);
    }
    let mut rows = Vec::new();
    for clock in [Clock::Cpu20, Clock::Wall] {
        for history in [true, false] {
            rows.extend(table(&loads, clock, history, |_| true));
        }
    }
    println!("{} loads; error of the remaining time in %, mean over the loads of a set", loads.len());
    println!(
        "{:<5} {:<8} {:<18} {:>5} {:>7} {:>7} {:>9} {:>7}",
        "clock", "history", "set", "loads", "redis", "ours", "interval", "least"
    );
    for row in &rows {
        let clock = if row.clock == Clock::Cpu20 { "cpu20" } else { "wall" };
        let history = if row.history { "yes" } else { "no" };
        println!(
            "{clock:<5} {history:<8} {:<18} {:>5} {:>7.1} {:>7.1} {:>8.0}% {:>6.1}s",
            row.set, row.loads, row.redis_mape, row.ours_mape, row.interval_coverage, row.least_shown
        );
    }
    println!(
        "interval: loads whose time lies in the interval given before they began; least: the least time shown while more than 5 % was left"
    );
    for row in &rows {
        println!("{}", serde_json::to_string(row)?);
    }
    Ok(())
}

/// The signed errors of every load.
fn each_load(loads: &[Load]) {
    for clock in [Clock::Cpu20, Clock::Wall] {
        for (n, load) in loads.iter().enumerate() {
            for (word, history) in [("alone", false), ("history", true)] {
                if history && earlier(loads, n).is_none() {
                    continue;
                }
                let all = errors(loads, n, clock, history);
                let list = |of: &dyn Fn(&(f64, f64)) -> f64| -> String {
                    all.iter().map(|error| format!("{:>5.0}", of(error))).collect()
                };
                println!(
                    "{clock:?} {:<11} {:<9} {word:<7} redis{} ours{}",
                    load.name,
                    load.tag,
                    list(&|e| e.0),
                    list(&|e| e.1)
                );
            }
        }
    }
}
