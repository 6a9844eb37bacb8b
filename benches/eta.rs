//! `cargo bench --bench eta`: our live estimate beside Redis's own, on real loads on this machine.
//!
//! Data sets of several shapes are loaded twice by each server: the first time nothing is known but the files (their
//! increments are sampled), the second time the first load is. At 10, 25, 50 and 75 % of the time the seconds left are
//! compared with what was really left; ours come from the code that a run uses ([`LoadEta`], fed from `/proc`), Redis's from
//! `loading_eta_seconds` in the same breath. `-- --check` ends with 1 when a bar is missed, `-- --each` shows every load.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark talks and waits")]
#![allow(missing_docs, unreachable_pub, reason = "a program")]

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use real_loads::{Data, Server, ask, field, installed, newer, write};
use runbook::host::redis::eta::{LoadEta, LoadRecord, Sample, Work, sample_increments};
use runbook::host::redis::{AofFile, AofFiles, Layout, load_progress};

mod real_loads;
mod support;

use support::Row;

const MARKS: [f64; 4] = [0.10, 0.25, 0.50, 0.75];
/// Between two looks. A run looks once a second, at loads of minutes.
const EVERY: Duration = Duration::from_millis(200);
/// At most this part of Redis's error: without history, and with one earlier load.
const BARS: [(&str, f64); 2] = [("no history", 0.7), ("one earlier load", 0.5)];

struct Set {
    name: &'static str,
    kind: &'static str,
    base: &'static [(Data, u64)],
    incr: &'static [(Data, u64)],
}

const MB: u64 = 1_000_000;
const SETS: [Set; 11] = [
    Set { name: "strings", kind: "base", base: &[(Data::Strings(100), 260 * MB)], incr: &[] },
    Set { name: "hashes", kind: "base", base: &[(Data::Hashes, 330 * MB)], incr: &[] },
    Set { name: "sorted sets", kind: "base", base: &[(Data::SortedSets, 170 * MB)], incr: &[] },
    Set { name: "SET 100", kind: "incr", base: &[], incr: &[(Data::Strings(100), 190 * MB)] },
    Set { name: "HSET", kind: "incr", base: &[], incr: &[(Data::Hashes, 130 * MB)] },
    Set { name: "ZADD", kind: "incr", base: &[], incr: &[(Data::SortedSets, 60 * MB)] },
    Set { name: "INCR", kind: "incr", base: &[], incr: &[(Data::Counters, 100 * MB)] },
    Set {
        name: "SET 1k, then ZADD",
        kind: "incr",
        base: &[],
        incr: &[(Data::Strings(1000), 170 * MB), (Data::SortedSets, 45 * MB)],
    },
    Set {
        name: "strings + ZADD",
        kind: "mixed",
        base: &[(Data::Strings(100), 120 * MB)],
        incr: &[(Data::SortedSets, 35 * MB)],
    },
    Set {
        name: "sorted sets + SET 1k",
        kind: "mixed",
        base: &[(Data::SortedSets, 90 * MB)],
        incr: &[(Data::Strings(1000), 300 * MB)],
    },
    Set { name: "hashes + HSET", kind: "mixed", base: &[(Data::Hashes, 180 * MB)], incr: &[(Data::Hashes, 60 * MB)] },
];

/// Mean errors of one load, in percent.
struct Errors {
    kind: &'static str,
    history: usize,
    ours: f64,
    redis: f64,
}

fn main() {
    let (check, each) = (std::env::args().any(|arg| arg == "--check"), std::env::args().any(|arg| arg == "--each"));
    let mut servers = Vec::new();
    match installed() {
        Some(path) => servers.push(path),
        None => println!("skipped: no redis-server on this machine"),
    }
    match newer() {
        Ok(path) => servers.push(path),
        Err(why) => println!("skipped: no newer server: {why}"),
    }
    let mut all = Vec::new();
    for set in &SETS {
        let dir = tempfile::Builder::new().prefix("runbook-bench-").tempdir().unwrap();
        write(dir.path(), set.base, set.incr).unwrap();
        for server in &servers {
            both(set, server, dir.path(), each, &mut all);
        }
    }
    let missed = report(&all);
    std::process::exit(i32::from(check && missed));
}

/// Two loads of a set by one server.
fn both(set: &Set, server: &Path, dir: &Path, each: bool, all: &mut Vec<Errors>) {
    let files = files(dir);
    let sizes = (files.base_bytes(), files.incr_bytes());
    let alone = || {
        let work = Work::of_sizes(sizes.0, sizes.1);
        match sample_increments(&files) {
            Some(cost) => work.sampled(&cost),
            None => work,
        }
    };
    let first = watch(server, dir, &files, vec![alone()]);
    let Some(record) = &first.record else {
        println!("{}: over before it was seen", set.name);
        return;
    };
    let second = watch(server, dir, &files, vec![alone(), alone().learned(&[record])]);
    let loads = [(0, &first, 0), (0, &second, 0), (1, &second, 1)];
    for (history, load, which) in loads {
        let ours = mean(&load.ours[which]);
        all.push(Errors { kind: set.kind, history, ours, redis: mean(&load.redis) });
        if each {
            let list = |errors: &[f64]| errors.iter().map(|error| format!("{error:>6.0}")).collect::<String>();
            println!(
                "{:<24} {:<8} {:>5.1}s {:<17} redis {} ours {}",
                set.name,
                load.version,
                load.took,
                BARS[history].0,
                list(&load.redis),
                list(&load.ours[which])
            );
        }
    }
}

/// One load as it was predicted: signed errors in percent at the marks, for each of our estimates, and Redis's.
struct Watched {
    ours: Vec<Vec<f64>>,
    redis: Vec<f64>,
    record: Option<LoadRecord>,
    took: f64,
    version: String,
}

fn watch(binary: &Path, dir: &Path, files: &AofFiles, works: Vec<Work>) -> Watched {
    let server = Server::start(binary, dir).unwrap();
    let mut connection = server.connect().unwrap();
    let since = |at: Timestamp| (at - server.started).total(jiff::Unit::Second).unwrap();
    let mut etas: Vec<LoadEta> = works.into_iter().map(LoadEta::new).collect();
    let zero = Sample { cpu_secs: Some(0.0), runqueue_secs: Some(0.0), ..Sample::default() };
    etas.iter_mut().for_each(|eta| eta.feed(zero));
    let mut said: Vec<(f64, f64, Vec<f64>)> = Vec::new();
    let version = loop {
        let asked = Timestamp::now();
        let info = ask(&mut connection, "INFO").unwrap();
        if field(&info, "loading") == Some("0") {
            break field(&info, "redis_version").unwrap_or_default().to_owned();
        }
        let now = since(Timestamp::now());
        let (Some(progress), Some(redis)) = (load_progress(server.pid(), files), field(&info, "loading_eta_seconds"))
        else {
            continue;
        };
        if let Some(bytes) = progress.bytes_read_total {
            let (cpu_secs, runqueue_secs) = (progress.cpu_secs, progress.runqueue_secs);
            let sample = Sample { seconds: now, bytes, cpu_secs, runqueue_secs };
            etas.iter_mut().for_each(|eta| eta.feed(sample));
        }
        let ours = etas.iter_mut().map(|eta| eta.left(now).map_or(f64::NAN, |left| left.typical)).collect();
        said.push((now, redis.parse().unwrap_or(0.0), ours));
        std::thread::sleep(EVERY.saturating_sub(Duration::try_from(Timestamp::now() - asked).unwrap_or_default()));
    };
    let cpu_secs = load_progress(server.pid(), files).and_then(|progress| progress.cpu_secs);
    let took = since(server.ready_at().unwrap_or_else(Timestamp::now));
    let end = Sample { seconds: took, bytes: files.bytes(), cpu_secs, runqueue_secs: None };
    let record = etas[0].record("bench", &version, end);
    // At each mark what was said last before it.
    let at: Vec<_> = MARKS.iter().filter_map(|mark| said.iter().rev().find(|one| one.0 <= mark * took)).collect();
    let error = |when: f64, left: f64| 100.0 * (left - (took - when)) / (took - when);
    let ours = (0..etas.len()).map(|n| at.iter().map(|one| error(one.0, one.2[n])).collect()).collect();
    Watched { ours, redis: at.iter().map(|one| error(one.0, one.1)).collect(), record, took, version }
}

fn files(dir: &Path) -> AofFiles {
    let dir = dir.join("appendonlydir");
    let file = |name: &str| {
        let bytes = std::fs::metadata(dir.join(name)).ok()?.len();
        Some(AofFile { name: name.to_owned(), seq: 1, bytes })
    };
    AofFiles {
        dir: dir.display().to_string(),
        layout: Layout::Manifest,
        base: file("appendonly.aof.1.base.rdb"),
        incrs: file("appendonly.aof.1.incr.aof").into_iter().collect(),
        missing: Vec::new(),
    }
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
            // All sets together are held to the bar; each kind is shown beside it.
            let bar = (kind == "all").then_some(bar);
            missed |= !Row { bench: "eta", case: &case, unit: "%", ours, baseline, ratio, bar }.print();
        }
    }
    missed
}
