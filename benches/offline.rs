//! What `runbook plan --offline` costs in processor time on the shipped runbook and its recorded facts.
//!
//! `cargo bench --bench offline`; with `-- --check` a missed bar is an error.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{Row, finish};

/// Processor time of all children that were waited for, in clock ticks of 10 ms.
fn ticks_of_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let tick = |at: usize| fields[at].parse::<f64>().unwrap();
    // cutime and cstime, counted from behind the name: fields 16 and 17 of proc(5).
    tick(13) + tick(14)
}

fn main() {
    const RUNS: u32 = 40;
    let root = env!("CARGO_MANIFEST_DIR");
    let plan = || {
        let facts = format!("{root}/tests/recorded/staging.facts.json");
        let runbook = format!("{root}/runbooks/restart-staging.yaml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.args(["plan", &runbook, "--offline", &facts]).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.stderr(Stdio::null()).status().unwrap();
        assert!(status.code().is_some_and(|code| [0, 5, 6].contains(&code)), "{status}");
    };
    plan();
    let before = ticks_of_children();
    for _ in 0..RUNS {
        plan();
    }
    let ours = (ticks_of_children() - before) * 10.0 / f64::from(RUNS);
    let row = Row {
        bench: "offline",
        case: "plan --offline, processor time",
        unit: "ms",
        ours,
        baseline: 50.0,
        ratio: ours / 50.0,
        bar: Some(1.0),
    };
    finish(row.print());
}
