//! `cargo bench --bench eta`: our live estimate beside Redis's own, on real loads on this machine.
//!
//! Data sets of several shapes are loaded twice by each server, and each load is recorded: what `/proc` shows and what the
//! server says of itself in the same breath. The recordings are then played to the estimate that a run shows ([`replay`]),
//! without history (the files alone, their contents sampled) and with the other load as the one earlier load; at the looks
//! nearest before 10, 25, 50 and 75 % of the time both are held against what was really left.
//!
//! `-- --set KIND` takes the sets of one kind (`base`, `incr`, `mixed`); `--keep DIR` keeps the data for the next time
//! (`--write`: and loads nothing now); `--record FILE` keeps the loads (`eta_replay` reads them too), `--replay FILE` judges such a file and loads nothing
//! (with `--keep` it samples the data anew);
//! `--each` shows every load; `--check` ends with 1 when a bar is missed.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark talks and waits")]
#![allow(missing_docs, unreachable_pub, reason = "a program")]

use std::io;
use std::path::{Path, PathBuf};

use real_loads::data::write;
use real_loads::{installed, newer};
use replay::{Clock, Load, keep, read};
use runbook::host::redis::eta::sample_increments;
use sets::{SETS, Set};

mod sets;
mod watch;

#[path = "../real_loads/mod.rs"]
mod real_loads;
#[path = "../../tests/support/replay/mod.rs"]
#[allow(dead_code, reason = "shared with the test")]
mod replay;
#[path = "../support/mod.rs"]
mod support;

use support::Row;

const MARKS: [f64; 4] = [0.10, 0.25, 0.50, 0.75];
/// At most this part of Redis's error: without history, and with one earlier load.
const BARS: [(&str, f64); 2] = [("no history", 0.7), ("one earlier load", 0.5)];

/// What was asked for.
struct Options {
    kind: Option<String>,
    keep: Option<PathBuf>,
    record: Option<PathBuf>,
    replay: Option<PathBuf>,
    write: bool,
    each: bool,
    check: bool,
}

impl Options {
    fn read() -> Self {
        let args: Vec<String> = std::env::args().collect();
        let has = |name: &str| args.iter().any(|arg| arg == name);
        let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned();
        let path = |name: &str| value(name).map(PathBuf::from);
        Self {
            kind: value("--set"),
            keep: path("--keep"),
            record: path("--record"),
            replay: path("--replay"),
            write: has("--write"),
            each: has("--each"),
            check: has("--check"),
        }
    }
}

fn main() {
    let options = Options::read();
    let loads = match &options.replay {
        Some(file) => sampled_anew(read(file).unwrap(), options.keep.as_deref()),
        None => load_all(&options),
    };
    if let Some(file) = &options.record {
        keep(file, &loads).unwrap();
    }
    let missed = report(&judged(&loads, options.each));
    std::process::exit(i32::from(options.check && missed));
}

/// The loads with samples as they are taken and priced today, where the data are still there.
fn sampled_anew(mut loads: Vec<Load>, data: Option<&Path>) -> Vec<Load> {
    for load in &mut loads {
        let dir = data.map(|data| data.join(&load.name)).filter(|dir| dir.exists());
        load.counted = dir.map_or(load.counted.take(), |dir| sample_increments(&watch::files(&dir)));
    }
    loads
}

/// Loads every set that was asked for, twice on each server.
fn load_all(options: &Options) -> Vec<Load> {
    let mut servers = Vec::new();
    match installed() {
        Some(path) => servers.push(path),
        None => println!("skipped: no redis-server on this machine"),
    }
    match newer() {
        Ok(path) => servers.push(path),
        Err(why) => println!("skipped: no newer server: {why}"),
    }
    let wanted = |set: &&Set| options.kind.as_ref().is_none_or(|kind| kind == set.kind);
    let mut all = Vec::new();
    for set in SETS.iter().filter(wanted) {
        let passing = tempfile::Builder::new().prefix("runbook-bench-").tempdir().unwrap();
        let dir = options.keep.as_ref().map_or(passing.path().to_owned(), |dir| dir.join(set.name));
        if !dir.join("appendonlydir/appendonly.aof.manifest").exists() {
            write(&dir, set.base, set.incr).unwrap();
        }
        for server in servers.iter().filter(|_| !options.write) {
            for n in 1..=2 {
                match one(set, server, &dir, n) {
                    Ok(load) => all.push(load),
                    Err(why) => println!("{}: {why}", set.name),
                }
                if let Some(file) = &options.record {
                    keep(file, &all).unwrap();
                }
            }
        }
    }
    all
}

fn one(set: &Set, server: &Path, dir: &Path, n: usize) -> io::Result<Load> {
    let counted = sample_increments(&watch::files(dir));
    let load = watch::watch(server, dir, set.name)?;
    Ok(Load { run: format!("{}_{}_r{n}", load.name, load.tag), counted, ..load })
}

/// Mean errors of one load, in percent.
struct Errors {
    kind: &'static str,
    history: usize,
    ours: f64,
    redis: f64,
}

fn judged(loads: &[Load], each: bool) -> Vec<Errors> {
    let mut all = Vec::new();
    for (n, load) in loads.iter().enumerate() {
        let other = loads.iter().enumerate().find(|(m, one)| *m != n && one.name == load.name && one.tag == load.tag);
        for (history, earlier) in [None, other.map(|(_, load)| load)].into_iter().enumerate() {
            if history == 1 && earlier.is_none() {
                continue;
            }
            let points = load.play(Clock::Wall, earlier, None, &MARKS).points;
            let error = |left: f64, actual: f64| 100.0 * (left - actual) / actual;
            let redis: Vec<f64> = points.iter().map(|point| error(point.redis, point.actual)).collect();
            let ours: Vec<f64> = points.iter().map(|point| error(point.ours.typical, point.actual)).collect();
            if each {
                let list = |errors: &[f64]| errors.iter().map(|error| format!("{error:>6.0}")).collect::<String>();
                let (secs, known) = (load.ready, BARS[history].0);
                let (name, tag, redis, ours) = (&load.name, &load.tag, list(&redis), list(&ours));
                println!("{name:<24} {tag:<9} {secs:>5.1}s {known:<17} redis {redis} ours {ours}");
            }
            all.push(Errors { kind: load.kind(), history, ours: mean(&ours), redis: mean(&redis) });
        }
    }
    all
}

fn mean(errors: &[f64]) -> f64 {
    errors.iter().map(|error| error.abs()).sum::<f64>() / errors.len().max(1) as f64
}

/// The table, then the rows for programs; whether a bar was missed.
fn report(all: &[Errors]) -> bool {
    println!("mean error of the seconds left, in %, at 10, 25, 50 and 75 % of the time");
    let mut missed = false;
    for (history, (known, bar)) in BARS.into_iter().enumerate() {
        for kind in ["all", "base", "incr", "mixed"] {
            let of: Vec<&Errors> =
                all.iter().filter(|one| one.history == history && (kind == "all" || one.kind == kind)).collect();
            if of.is_empty() {
                continue;
            }
            let over = |pick: fn(&Errors) -> f64| of.iter().map(|one| pick(one)).sum::<f64>() / of.len() as f64;
            let (ours, baseline) = (over(|one| one.ours), over(|one| one.redis));
            let (case, ratio) = (format!("{known}, {kind}, {} loads", of.len()), ours / baseline);
            missed |= !Row { bench: "eta", case: &case, unit: "%", ours, baseline, ratio, bar: Some(bar) }.print();
        }
    }
    missed
}
