//! What goes and what stays, and a prune that is killed at any moment.
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::action::loads::key;
use crate::host::redis::eta::{Curve, LoadRecord, PartRecord, Regime};
use crate::journal::aside::Aside;
use crate::journal::checkpoint::{Checkpoint as C, End, How, Opened};
use crate::journal::files::OPENED;
use crate::journal::fixture::{done, opened, stamp, started};
use crate::journal::learned::LEARNED;
use crate::journal::store::NewRun;
use crate::journal::{Journal, Stamp};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn day(n: i64) -> Timestamp {
    at("2026-01-01T12:00:00Z") + SignedDuration::from_hours(24 * n)
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::prepare(&dir.path().join("state")).unwrap();
    (dir, store)
}

/// Begins a run on that day.
fn begin(store: &Store, when: Timestamp) -> (RunId, Journal) {
    let wall = Arc::new(Mutex::new(when));
    let clock = move || Stamp { wall: *wall.lock().unwrap(), ..stamp("boot-1") };
    let opened = Opened { baseline: json!({}).into(), ..opened(&["save"]) };
    let new = NewRun { runbook: b"version: 1\n", plan: b"{}", opened, reboots: false };
    store.create(new, Box::new(clock)).unwrap()
}

fn load(instance: &str, secs: f64) -> LoadRecord {
    let part = PartRecord { bytes: 1000, cpu_secs: secs, wall_secs: secs, curve: Curve::default() };
    LoadRecord {
        instance: instance.into(),
        server: "redis 7.0.15".into(),
        incr: part.clone(),
        base: part,
        wall_per_cpu: Some(1.0),
        regime: Regime::Cpu,
        disk_rate: None,
        expected: None,
    }
}

/// A whole run that ended well and measured a load.
fn run(store: &Store, when: Timestamp) -> RunId {
    let (id, mut journal) = begin(store, when);
    let value = crate::host::json_text::JsonText::of(&load("cache", 7.0)).unwrap();
    journal.append(&[started("save", 1, &[], true)]).unwrap();
    journal.append(&[C::Captured { step: "save".into(), key: key("cache"), value }]).unwrap();
    journal.append(&[done("save", How::Applied)]).unwrap();
    journal.append(&[C::Finished { outcome: End::Done, summary: json!({}) }]).unwrap();
    store.release(&journal).unwrap();
    id
}

fn abandoned(store: &Store, when: Timestamp) -> RunId {
    let (id, mut journal) = begin(store, when);
    journal.append(&[C::Abandoned { who: "ann".into(), reason: "by hand".into() }]).unwrap();
    store.release(&journal).unwrap();
    id
}

fn names(store: &Store) -> Vec<String> {
    store.names().unwrap()
}

fn keep(keep: usize) -> Limits {
    Limits { keep: Some(keep), ..Limits::default() }
}

fn runs_dir(store: &Store) -> PathBuf {
    store.root.path().join("runs")
}

fn gone_runs(pruned: &Pruned) -> Vec<(&RunId, Beyond)> {
    pruned.runs.iter().map(|doomed| (&doomed.run, doomed.beyond)).collect()
}

#[test]
fn each_limit_takes_effect_by_itself() {
    let (_dir, store) = store();
    let ids: Vec<RunId> = (0..6).map(|n| run(&store, day(n))).collect();
    let before = std::fs::read_dir(runs_dir(&store)).unwrap().count();
    let limits = Limits { keep: Some(4), before: Some(day(3)), ..Limits::default() };
    let would = store.would_prune(&limits, day(9)).unwrap();
    assert_eq!(std::fs::read_dir(runs_dir(&store)).unwrap().count(), before, "a look changes nothing");
    assert!(!store.root.path().join(LEARNED).exists());
    let pruned = store.prune(&limits, day(9)).unwrap();
    assert_eq!(would, pruned, "what was foreseen");
    let wanted = [(&ids[0], Beyond::Keep), (&ids[1], Beyond::Keep), (&ids[2], Beyond::Age)];
    assert_eq!(gone_runs(&pruned), wanted);
    assert!(pruned.bytes() >= 3 * 4096 && pruned.trouble.is_empty() && pruned.left == 3, "{pruned:?}");
    assert_eq!(names(&store), ids[3..].iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(store.pruned(), 3);
    assert!(store.bytes_of(&ids[5]) < 1 << 17, "the journal's reserve was given back");
    let one = store.bytes_of(&ids[5]);
    let limits = Limits { bytes: Some(one + one / 2), ..Limits::default() };
    assert_eq!(gone_runs(&store.prune(&limits, day(9)).unwrap()), [(&ids[3], Beyond::Size), (&ids[4], Beyond::Size)]);
    let limits = Limits { bytes: Some(0), ..Limits::default() };
    assert_eq!(store.prune(&limits, day(9)).unwrap().left, 1, "the newest stays, however large it is");
    assert_eq!(store.prune(&keep(0), day(9)).unwrap().left, 0, "and goes when all shall go");
    assert_eq!(store.pruned(), 6);
}

#[test]
fn what_runs_taught_outlives_them() {
    let (_dir, store) = store();
    for n in 0..4 {
        run(&store, day(n));
    }
    let (durations, loads) = (store.durations("restart-staging").unwrap(), store.loads().unwrap());
    assert_eq!((durations.steps[&"save".into()].len(), loads.all("cache").len()), (4, 3));
    store.prune(&keep(0), day(9)).unwrap();
    assert!(names(&store).is_empty());
    assert_eq!((store.durations("restart-staging").unwrap(), store.loads().unwrap()), (durations, loads.clone()));
    // A later run counts beside them, once, whether it was learned from or not.
    run(&store, day(5));
    assert_eq!(store.durations("restart-staging").unwrap().steps[&"save".into()].len(), 5);
    store.learn().unwrap();
    assert_eq!(store.durations("restart-staging").unwrap().steps[&"save".into()].len(), 5);
    assert_eq!(store.loads().unwrap(), loads);
}

#[test]
fn who_may_still_be_needed_stays() {
    let (_dir, store) = store();
    let damaged = run(&store, day(0));
    std::fs::write(runs_dir(&store).join(damaged.as_str()).join("journal"), "RB1 nonsense").unwrap();
    let fresh = abandoned(&store, day(1));
    let aside = run(&store, day(2));
    std::fs::write(runs_dir(&store).join(aside.as_str()).join("journal"), "RB1 nonsense").unwrap();
    let (found, known) = ("damaged".into(), Vec::new());
    let note = Aside { at: day(2), who: "ann".into(), reason: "by hand".into(), found, known };
    store.note_aside(aside.as_str(), &note).unwrap();
    store.free(aside.as_str()).unwrap();
    let (open, _journal) = begin(&store, day(3));
    let pruned = store.prune(&keep(0), day(10)).unwrap();
    assert!(pruned.runs.is_empty(), "{pruned:?}");
    let spared: Vec<&str> = pruned.spared.iter().map(|(run, _)| run.as_str()).collect();
    assert_eq!(spared, [damaged.as_str(), fresh.as_str(), aside.as_str(), open.as_str()]);
    assert!(pruned.spared[3].1.contains("owns this host"), "{pruned:?}");
    // Without the pointer to it, too.
    std::fs::remove_file(store.root.path().join("pending")).unwrap();
    let pruned = store.prune(&Limits { keep: Some(0), before: Some(day(99)), ..Limits::default() }, day(100)).unwrap();
    assert_eq!(gone_runs(&pruned), [(&fresh, Beyond::Keep), (&aside, Beyond::Keep)], "their month is over");
    assert_eq!(names(&store), [damaged.to_string(), open.to_string()]);
    assert_eq!(store.unfinished().unwrap().unwrap().id, open);
}

#[test]
fn a_summary_that_lies_removes_nothing() {
    let (_dir, store) = store();
    let over = run(&store, day(0));
    store.learn().unwrap();
    // The run is put back as it was before its end: the summary says that it is over, its journal says no.
    let dir = runs_dir(&store).join(over.as_str());
    std::fs::remove_dir_all(&dir).unwrap();
    let (open, journal) = begin(&store, day(0));
    drop(journal);
    let mut learned = store.learned();
    learned.over.insert(open.to_string(), Over { at: day(0), bytes: 1, evidence: false });
    store.write_learned(&learned).unwrap();
    std::fs::remove_file(store.root.path().join("pending")).unwrap();
    let pruned = store.prune(&keep(0), day(9)).unwrap();
    assert!(pruned.runs.is_empty() && pruned.spared[0].1.contains("unfinished"), "{pruned:?}");
}

#[test]
fn links_are_removed_as_links_and_never_followed() {
    let (dir, store) = store();
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("precious"), "x").unwrap();
    let id = run(&store, day(0));
    symlink(&other, runs_dir(&store).join(id.as_str()).join("snapshot/away")).unwrap();
    symlink(&other, runs_dir(&store).join("r-20200101-000000-aaaa")).unwrap();
    symlink(&other, runs_dir(&store).join(".gone-r-20200101-000000-bbbb")).unwrap();
    let pruned = store.prune(&keep(0), day(9)).unwrap();
    assert!(pruned.trouble.is_empty(), "{pruned:?}");
    assert_eq!(
        names(&store),
        ["r-20200101-000000-aaaa"],
        "a link in place of a run is no run: it stays to be looked at"
    );
    assert_eq!(std::fs::read_to_string(other.join("precious")).unwrap(), "x");
}

/// Every state that a kill can leave: set apart or not, half removed or not, learned before and not after.
#[test]
fn a_prune_that_was_killed_is_finished_by_the_next_one() {
    let (_dir, store) = store();
    let ids: Vec<RunId> = (0..4).map(|n| run(&store, day(n))).collect();
    store.learn().unwrap();
    let runs = store.root.sub("runs").unwrap();
    runs.set_apart(ids[0].as_str()).unwrap();
    runs.set_apart(ids[1].as_str()).unwrap();
    std::fs::remove_file(runs_dir(&store).join(gone(ids[1].as_str())).join("journal")).unwrap();
    std::fs::create_dir(runs_dir(&store).join(".new-r-20260101-120000-cccc")).unwrap();
    assert_eq!(store.list().unwrap().len(), 2, "what is on its way out is no run");
    assert!(store.unfinished().unwrap().is_none());
    assert_eq!(store.latest().unwrap().unwrap().id, ids[3]);
    assert_eq!(store.durations("restart-staging").unwrap().steps[&"save".into()].len(), 4);
    let pruned = store.prune(&keep(2), day(9)).unwrap();
    assert_eq!((pruned.runs.len(), pruned.leftovers.len(), pruned.left), (0, 3, 2), "{pruned:?}");
    assert_eq!(names(&store), [ids[2].to_string(), ids[3].to_string()]);
    assert_eq!(store.pruned(), 2, "counted once, whoever removed them");
}

#[test]
fn what_cannot_be_removed_is_named_and_the_rest_goes() {
    let (_dir, store) = store();
    let ids: Vec<RunId> = (0..2).map(|n| run(&store, day(n))).collect();
    // Deeper than anything of ours.
    let deep = runs_dir(&store).join(ids[0].as_str()).join("snapshot").join("x/".repeat(40));
    std::fs::create_dir_all(&deep).unwrap();
    let pruned = store.prune(&keep(0), day(9)).unwrap();
    assert_eq!((pruned.runs.len(), pruned.trouble.len(), pruned.left), (1, 1, 1), "{pruned:?}");
    std::fs::remove_dir_all(runs_dir(&store).join(gone(ids[0].as_str())).join("snapshot")).unwrap();
    assert!(store.prune(&keep(0), day(9)).unwrap().trouble.is_empty());
    assert!(names(&store).is_empty());
}

#[test]
fn a_damaged_summary_is_made_anew() {
    let (_dir, store) = store();
    for n in 0..3 {
        run(&store, day(n));
    }
    store.learn().unwrap();
    let path = store.root.path().join(LEARNED);
    let good = std::fs::read(&path).unwrap();
    for bad in [&b""[..], b"RBL2 00000000\n{}", &good[..good.len() - 1], b"\0\0\0\0", &[b'x'; 4096]] {
        std::fs::write(&path, bad).unwrap();
        assert_eq!(store.durations("restart-staging").unwrap().steps[&"save".into()].len(), 3);
        assert!(store.unfinished().unwrap().is_none());
        store.learn().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(Learned::read(&bad), None, "a flipped bit at {at}");
    }
    std::fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert_eq!(store.durations("restart-staging").unwrap().steps[&"save".into()].len(), 3);
}

/// The number of files that a start opens is the same whether five runs are over or forty.
#[test]
fn a_start_opens_as_many_files_after_forty_runs_as_after_five() {
    let (_dir, store) = store();
    let opened = |store: &Store| {
        OPENED.with(|count| count.set(0));
        assert!(store.unfinished().unwrap().is_none());
        store.learn().unwrap();
        store.durations("restart-staging").unwrap();
        store.loads().unwrap();
        store.latest().unwrap().unwrap();
        OPENED.with(std::cell::Cell::get)
    };
    let mut counts = Vec::new();
    for n in 0..40 {
        run(&store, day(n));
        store.prune(&Limits::DEFAULT, day(n)).unwrap();
        if n == 4 || n == 39 {
            counts.push(opened(&store));
        }
    }
    assert_eq!(counts[0], counts[1], "{counts:?}");
    assert!(counts[0] < 30, "{counts:?}");
}
