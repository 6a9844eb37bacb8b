//! Stop and restore against `pm2 resurrect`, `pm2 stop all` and the floor: the same processes spawned directly through PM2's
//! own container script. Real PM2, a private home, all ways in turns; the clock is the last app's own ready stamp.
//!
//! `RUNBOOK_PM2_PREFIX=DIR cargo bench --bench restore -- [--apps N] [--rounds N] [--case plain|waiting] [--keep FILE] [--check]`;
//! DIR is an npm prefix with PM2 7. A round at full size takes a minute for the plain apps and a minute and a half for those
//! that wait. With `--keep` the figures of former sittings are read from FILE, those of this one added, and all judged.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub
)]

mod bed;
mod ours;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use bed::{Bed, DaemonUse, Kind};
use ours::{Third, Took, stop_and_restore};
use support::{Row, finish, median};

/// How long the first group's gate stays shut.
const GATE: Duration = Duration::from_secs(3);

/// Everything measured in the rounds of one kind.
#[derive(Default, Serialize, Deserialize)]
struct Figures {
    resurrect: Vec<f64>,
    /// Three in a round, spread over it, of which the medians count: a shared machine is not always equally fast.
    resurrect_daemon: Vec<DaemonUse>,
    stop_all: Vec<f64>,
    floor: Vec<f64>,
    ours: Vec<Took>,
    gated: Vec<f64>,
    chained: Vec<f64>,
}

fn rounds(kind: Kind, prefix: &Path, (apps, rounds): (usize, usize), mut figures: Figures) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut bed = Bed::new(prefix, kind, apps);
    for round in 1..=rounds {
        let resurrect = bed.resurrect();
        figures.resurrect.push(resurrect);
        let mut daemon = vec![bed.daemon_use()];
        let took = runtime.block_on(stop_and_restore(&mut bed, None, || {}));
        eprintln!("{kind:?} {round} of {rounds}: resurrect {resurrect:.2} s, {took:.2?}");
        figures.ours.push(took);
        if kind == Kind::Plain {
            figures.stop_all.push(bed.stop_all());
            figures.floor.push(bed.floor());
            figures.gated.push(gated(&mut bed, &runtime, Third::Alone, &mut daemon));
            figures.chained.push(gated(&mut bed, &runtime, Third::Last, &mut daemon));
            let last = |all: &[f64]| all.last().copied().unwrap_or(f64::NAN);
            let (stop, floor) = (last(&figures.stop_all), last(&figures.floor));
            let (gated, chained) = (last(&figures.gated), last(&figures.chained));
            eprintln!(
                "    pm2 stop all {stop:.2} s, floor {floor:.2} s, beyond the gate {gated:.2} s and {chained:.2} s; \
                 daemon of pm2 resurrect {daemon:.2?}"
            );
        }
        let of = |what: fn(&DaemonUse) -> f64| median(daemon.iter().map(what).collect());
        figures.resurrect_daemon.push(DaemonUse { to_ready: of(|one| one.to_ready), a_second: of(|one| one.a_second) });
    }
    figures
}

/// Three groups behind a Redis that comes up after three seconds; seconds beyond those. What the daemon used to bring the
/// apps up before is added to `daemon`.
fn gated(bed: &mut Bed, runtime: &tokio::runtime::Runtime, third: Third, daemon: &mut Vec<DaemonUse>) -> f64 {
    bed.resurrect();
    daemon.push(bed.daemon_use());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = bed.path().join("redis");
    let _ = std::fs::create_dir(&dir);
    let start = move || {
        let words = [("--port", port.to_string()), ("--dir", dir.display().to_string()), ("--save", String::new())];
        let mut command = Command::new("redis-server");
        command.args(words.iter().flat_map(|(key, value)| [*key, value.as_str()]));
        command.args(["--bind", "127.0.0.1"]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    };
    // The rehearsal looks at the server, so it is up while the run is planned and stopped.
    let mut up: Child = start();
    std::thread::sleep(Duration::from_millis(300));
    let (send, late) = std::sync::mpsc::channel::<Child>();
    let took = runtime.block_on(stop_and_restore(bed, Some((port, third)), || {
        up.kill().unwrap();
        up.wait().unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(GATE);
            send.send(start()).unwrap();
        });
    }));
    let mut late = late.recv().unwrap();
    late.kill().unwrap();
    late.wait().unwrap();
    took.restore - GATE.as_secs_f64()
}

fn ratios(ours: &[f64], baseline: &[f64]) -> f64 {
    median(ours.iter().zip(baseline).map(|(a, b)| a / b).collect())
}

fn word_after(name: &str) -> Option<String> {
    std::env::args().skip_while(|word| word != name).nth(1)
}

fn argument(name: &str, default: usize) -> usize {
    word_after(name).and_then(|word| word.parse().ok()).unwrap_or(default)
}

/// The figures of all sittings so far.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    plain: Figures,
    waiting: Figures,
}

fn kept() -> Kept {
    let text = word_after("--keep").and_then(|file| std::fs::read(file).ok());
    text.map_or_else(Kept::default, |text| serde_json::from_slice(&text).unwrap())
}

fn keep(all: &Kept) {
    if let Some(file) = word_after("--keep") {
        std::fs::write(file, serde_json::to_vec(all).unwrap()).unwrap();
    }
}

fn main() {
    let prefix = PathBuf::from(std::env::var_os("RUNBOOK_PM2_PREFIX").unwrap_or_default());
    if !prefix.join("node_modules/pm2/bin/pm2").is_file() {
        eprintln!("skipped: set RUNBOOK_PM2_PREFIX to an npm prefix that has PM2 (npm install --prefix DIR pm2@7)");
        return;
    }
    let size = (argument("--apps", 120), argument("--rounds", 5));
    let case = word_after("--case");
    let mut all = kept();
    let mut held = true;
    if case.as_deref() != Some("waiting") {
        all.plain = rounds(Kind::Plain, &prefix, size, all.plain);
    }
    if case.as_deref() != Some("plain") {
        all.waiting = rounds(Kind::Waiting, &prefix, size, all.waiting);
    }
    keep(&all);
    if !all.plain.ours.is_empty() {
        held &= judge_plain(&all.plain);
    }
    if !all.waiting.ours.is_empty() {
        let waited: Vec<f64> = all.waiting.ours.iter().map(|took| took.restore).collect();
        held &= row("waiting apps against pm2 resurrect", (&waited, &all.waiting.resurrect), Some(0.2));
    }
    finish(held);
}

fn row(case: &str, (ours, baseline): (&[f64], &[f64]), bar: Option<f64>) -> bool {
    let ratio = ratios(ours, baseline);
    let (ours, baseline) = (median(ours.to_vec()), median(baseline.to_vec()));
    Row { bench: "restore", case, unit: "s", ours, baseline, ratio, bar }.print()
}

fn judge_plain(plain: &Figures) -> bool {
    let restored: Vec<f64> = plain.ours.iter().map(|took| took.restore).collect();
    let stopped: Vec<f64> = plain.ours.iter().map(|took| took.stop).collect();
    row("plain apps against pm2 resurrect", (&restored, &plain.resurrect), None);
    let mut held = row("plain apps against the floor", (&restored, &plain.floor), Some(1.15));
    held &= row("stop against pm2 stop all", (&stopped, &plain.stop_all), Some(1.0 / 3.0));
    held &= row("three groups, beyond a gate of 3 s, against the floor", (&plain.gated, &plain.floor), Some(1.2));
    // Each link of a chain costs what is left of the second in which the last app before it proves itself, whatever is spare.
    row("three groups in a chain, beyond a gate of 3 s", (&plain.chained, &plain.floor), None);
    held & processor_time(plain)
}

/// What this program uses itself, and what it costs the daemon beyond a `resurrect` and beyond having the apps for as long, in
/// percent of one core over the sitting in which both are spent.
fn processor_time(plain: &Figures) -> bool {
    let each = || plain.ours.iter().zip(&plain.resurrect_daemon);
    let extra = |(took, daemon): (&Took, &DaemonUse)| {
        let tail = (took.sitting - took.restore).max(0.0);
        (took.daemon_cpu - daemon.after(tail)).max(0.0)
    };
    let percent = |one: (&Took, &DaemonUse)| (one.0.own_cpu + extra(one)) / one.0.sitting * 100.0;
    let (ours, daemon) = (median(each().map(percent).collect()), median(each().map(extra).collect()));
    let own = median(plain.ours.iter().map(|took| took.own_cpu).collect());
    eprintln!("processor seconds: own {own:.2}, beyond a resurrect {daemon:.2}");
    let case = "own and extra daemon processor time";
    Row { bench: "restore", case, unit: "%", ours, baseline: 5.0, ratio: ours / 5.0, bar: Some(1.0) }.print()
}
