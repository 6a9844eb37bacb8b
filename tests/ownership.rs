//! Runs that are not to be gone on with, through the front door: told, and nothing done.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use runbook::journal::Stamp;
use runbook::journal::checkpoint::{Opened, Owner};
use runbook::journal::store::{NewRun, Store};
use serde_json::Value;

use crate::support::program::{Place, hostname};

/// Leaves an unfinished run behind that was last heard of so many days ago.
fn pending(place: &Place, days_ago: i64, hostname: &str) -> Option<()> {
    let machine_id = std::fs::read_to_string("/etc/machine-id").ok()?.trim().to_owned();
    let now = std::fs::metadata(place.path("state")).unwrap().modified().unwrap();
    let wall = jiff::Timestamp::try_from(now).unwrap() - jiff::SignedDuration::from_hours(24 * days_ago);
    let store = Store::prepare(&place.path("state")).unwrap();
    let opened = Opened {
        format: 1,
        tool_version: "0.1.0".into(),
        runbook_name: "restart".into(),
        runbook_sha256: String::new(),
        machine_id,
        hostname: hostname.into(),
        owner: Owner { pid: 1, uid: 0, user: "root".into(), sudo_user: None, tty: None, started: 0 },
        steps: vec!["save/1".into()],
        no_return: None,
        plan: Value::Null.into(),
        baseline: Value::Null.into(),
    };
    let new = NewRun { runbook: b"version: 1\n", plan: b"{}", opened, reboots: false };
    let stamp = Stamp { boot_id: "an earlier boot".into(), mono_ms: 1, wall };
    store.create(new, Box::new(move || stamp.clone())).unwrap();
    Some(())
}

/// The files that say what happened; the lock is another matter.
fn journal(place: &Place) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    place.state().into_iter().filter(|(path, _)| path.ends_with("journal") || path.ends_with("pending")).collect()
}

#[test]
fn a_pending_run_of_weeks_ago_is_told_of_and_not_resumed_by_itself() {
    let place = Place::new();
    let Some(()) = pending(&place, 30, &hostname()) else { return };
    let before = journal(&place);
    place
        .runbook(&["resume", "--unattended"])
        .exits(30)
        .says("too long to be taken up without a person; nothing was done");
    assert_eq!(journal(&place), before);
}

#[test]
fn a_clone_does_not_go_on_with_the_run_of_its_original() {
    let place = Place::new();
    let Some(()) = pending(&place, 0, "the-original") else { return };
    let before = journal(&place);
    place.runbook(&["resume"]).exits(30).says("the run belongs to host the-original").says("abort --abandon");
    assert_eq!(journal(&place), before);
    place.runbook(&["abort", "--abandon", "--reason", "this is a clone"]).exits(0);
    place.runbook(&["resume"]).exits(0).says("no run is unfinished");
}
