//! What `runbook check` costs: a long runbook against a bare typed parse of the same text by the same parser.
//!
//! The baseline reads the same YAML into plain types with the position of every scalar and stops there: no findings, no
//! names looked up, no rules. `cargo bench --bench check`; with `-- --check` a missed bar is an error.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod support;

use std::fmt::Write as _;

use serde::Deserialize;
use serde_yaml::{Options, Spanned};

use support::{Row, finish, in_turns, millis};

/// The runbook as bare types.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the baseline parses, and looks at nothing")]
struct Bare {
    version: Spanned<u32>,
    name: Spanned<String>,
    hosts: Vec<Spanned<String>>,
    phases: Vec<BarePhase>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the baseline parses, and looks at nothing")]
struct BarePhase {
    name: Spanned<String>,
    steps: Vec<BareStep>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the baseline parses, and looks at nothing")]
struct BareStep {
    name: Spanned<String>,
    command: BareCommand,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the baseline parses, and looks at nothing")]
struct BareCommand {
    argv: Vec<Spanned<String>>,
    repeatable: Spanned<bool>,
}

/// A runbook of `steps` steps, a hundred bytes each.
fn text(steps: usize) -> String {
    let mut text = String::from("version: 1\nname: long\nhosts: [stg-1]\nphases:\n");
    for step in 0..steps {
        if step % 100 == 0 {
            writeln!(text, "  - name: phase-{}\n    steps:", step / 100).unwrap();
        }
        let argv = format!("[/usr/bin/true, \"{step:05}\"]");
        writeln!(text, "      - name: step-{step:05}\n        command: {{ argv: {argv}, repeatable: true }}").unwrap();
    }
    text
}

fn bare(text: &str, options: &Options) -> Bare {
    serde_yaml::from_str_with_options(text, options.clone()).unwrap()
}

fn main() {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! { max_nodes: 1_000_000, max_events: 2_000_000 },
        with_snippet: false,
    };
    let (long, half) = (text(10_000), text(5_000));
    eprintln!(
        "{} bytes, {} steps",
        long.len(),
        runbook::runbook::load(&long, "long.yaml").unwrap().runbook.steps().count()
    );
    let check = |text: &str| millis(|| runbook::runbook::load(text, "long.yaml").unwrap());
    let (ours, baseline, ratio) = in_turns(11, || check(&long), || millis(|| bare(&long, &options)));
    let row = |case, ours, baseline, ratio, bar| Row { bench: "check", case, unit: "ms", ours, baseline, ratio, bar };
    let mut held = row("10,000 steps against a bare typed parse", ours, baseline, ratio, Some(1.5)).print();
    // Twice the steps may cost twice the time; a fifth more is left to the caches.
    let (whole, part, ratio) = in_turns(11, || check(&long), || check(&half));
    held &= row("10,000 steps against 5,000", whole, part, ratio, Some(2.4)).print();
    finish(held);
}
