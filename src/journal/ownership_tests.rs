//! Whole journals that must not be gone on with, each with its reason; and those that must.

use super::super::checkpoint::How;
use super::super::fixture::{RUN, done, in_memory, opened, resumed, stamp, started};
use super::super::recover::examine;
use super::*;

/// The journal of these batches, each written in the boot and at the uptime beside it.
fn reading(batches: &[(&str, u64, Checkpoint)]) -> Reading {
    let (mut journal, disk, _) = in_memory(None);
    for (boot, mono_ms, checkpoint) in batches {
        let (boot, mono_ms) = ((*boot).to_owned(), *mono_ms);
        journal.clock = Box::new(move || super::super::Stamp { mono_ms, ..stamp(&boot) });
        journal.state.rest();
        if !matches!(checkpoint, Checkpoint::Resumed { .. } | Checkpoint::Opened(_)) {
            journal.state.at_rest = false;
        }
        journal.append(std::slice::from_ref(checkpoint)).unwrap();
    }
    let memory = disk.0.lock().unwrap();
    examine(RUN, &memory.journal, &memory.head).unwrap()
}

fn run() -> Vec<(&'static str, u64, Checkpoint)> {
    vec![
        ("boot-1", 1_000, Checkpoint::Opened(std::sync::Arc::new(opened(&["a", "b"])))),
        ("boot-1", 2_000, started("a", 1, &[], true)),
    ]
}

fn here() -> Here<'static> {
    let stamp = stamp("boot-1");
    Here { hostname: "stg-1", boot_id: "boot-1", mono_ms: 5_000, now: stamp.wall, unattended: true, witness: None }
}

fn later(days: i64) -> Timestamp {
    stamp("boot-1").wall + jiff::SignedDuration::from_hours(24 * days)
}

#[test]
fn a_run_of_this_host_is_gone_on_with() {
    assert_eq!(may_go_on(&reading(&run()), &here()), Ok(()));
    // A clock that was set back by a year makes nothing stale.
    assert_eq!(may_go_on(&reading(&run()), &Here { now: later(-365), ..here() }), Ok(()));
}

#[test]
fn a_clone_is_refused() {
    let said = may_go_on(&reading(&run()), &Here { hostname: "stg-1-copy", ..here() }).unwrap_err().to_string();
    assert!(said.contains("belongs to host stg-1, and this is stg-1-copy"), "{said}");
}

#[test]
fn a_pending_run_of_weeks_ago_needs_a_person() {
    let reading = reading(&run());
    let late = Here { now: later(21), ..here() };
    let said = may_go_on(&reading, &late).unwrap_err().to_string();
    assert!(said.contains("stands still since 2026-11-22") && said.contains("nothing was done"), "{said}");
    assert_eq!(may_go_on(&reading, &Here { unattended: false, ..late }), Ok(()));
    assert_eq!(may_go_on(&reading, &Here { now: later(2), ..here() }), Ok(()));
}

#[test]
fn a_state_directory_from_a_backup_is_refused() {
    let whole = reading(&run());
    let last = whole.entries.last().unwrap();
    let witness = Witness { run: RUN.into(), seq: 2, prev: last.prev.to_string() };
    assert_eq!(Witness::read(&witness.line()), Some(witness.clone()));
    assert_eq!(Witness::read(&witness.line()[..100]), None);
    let seen = |witness: &Witness| Here { witness: Some(witness.clone()), unattended: false, ..here() };
    assert_eq!(may_go_on(&whole, &seen(&witness)), Ok(()));
    let older = reading(&run()[..1]);
    let said = may_go_on(&older, &seen(&witness)).unwrap_err().to_string();
    assert!(
        said.contains("record 2 of the run was written in this boot, and the journal ends with record 1"),
        "{said}"
    );
    let other = Witness { prev: "0".repeat(64), ..witness.clone() };
    assert!(matches!(may_go_on(&whole, &seen(&other)), Err(NotOurs::WentBack { .. })));
    assert_eq!(may_go_on(&older, &seen(&Witness { run: "r-other".into(), ..witness })), Ok(()), "of another run");
}

#[test]
fn a_machine_from_a_snapshot_is_refused() {
    let error = may_go_on(&reading(&run()), &Here { mono_ms: 1_500, ..here() }).unwrap_err();
    assert_eq!(error, NotOurs::Future { written_ms: 2_000, now_ms: 1_500 });
    assert_eq!(
        may_go_on(&reading(&run()), &Here { mono_ms: 1_500, boot_id: "boot-2", ..here() }),
        Ok(()),
        "another boot"
    );
}

#[test]
fn boots_in_vain_are_counted_and_progress_forgives_them() {
    let mut story = run();
    for boot in ["boot-2", "boot-3"] {
        story.push((boot, 10, resumed(boot)));
    }
    let next = Here { boot_id: "boot-5", ..here() };
    assert_eq!(may_go_on(&reading(&story), &next), Ok(()));
    story.push(("boot-4", 10, resumed("boot-4")));
    assert_eq!(may_go_on(&reading(&story), &next), Err(NotOurs::BootLoop { boots: 3 }));
    assert_eq!(may_go_on(&reading(&story), &Here { unattended: false, ..next.clone() }), Ok(()), "a person may");
    assert_eq!(may_go_on(&reading(&story), &Here { boot_id: "boot-4", ..next.clone() }), Ok(()), "the same boot again");
    story.push(("boot-4", 20, done("a", How::AlreadySo)));
    assert_eq!(may_go_on(&reading(&story), &next), Ok(()));
}
