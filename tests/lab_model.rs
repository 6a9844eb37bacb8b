//! The Model held against the real host: a runbook rehearsed on recorded facts and run in the lab must tell the same.
//!
//! Called by the test of the main job, whose run is real anyway. The facts are recorded inside the host, and the rehearsal
//! is played outside, on a machine that has none of what they speak of.
#![expect(clippy::unwrap_used, reason = "a rehearsal that cannot be read fails the test")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::lab::{Lab, told};
use crate::support::program::Place;
use crate::support::runs::{checkpoints, journal, runbook};

/// What a run tells, without when and how long: (step, item, outcome). The step names its phase.
pub(crate) type Told = BTreeSet<(String, String, String)>;

/// Rehearses the lab's runbook as the host stands, with apps that are going to crash, which no facts can know.
pub(crate) fn rehearsed(lab: &Lab, crashing: &[&str]) -> Told {
    let recorded = runbook(lab, &["facts", "restart-staging", "-o", "/root/facts.json"]);
    assert!(recorded.status.success(), "{}", told(&recorded));
    let place = Place::new();
    let facts = place.file("facts.json", &std::fs::read_to_string(lab.path("/root/facts.json")).unwrap());
    let book = place.file("lab.yaml", &std::fs::read_to_string(lab.path("/etc/runbook/restart-staging.yaml")).unwrap());
    let mut words = vec!["rehearse", &book, "--offline", &facts, "--speed", "1000000", "--keep"];
    words.extend([
        "--yes",
        "--confirm",
        "restart-staging",
        "--ignore-window",
        "lab",
        "--progress",
        "none",
        "--lose-app",
    ]);
    words.extend(crashing);
    let said = place.runbook(&words);
    said.exits(0);
    let state = PathBuf::from(said.err.lines().find_map(|line| line.split("--state-dir ").nth(1)).unwrap());
    let runs: Vec<_> = std::fs::read_dir(state.join("runs")).unwrap().map(|run| run.unwrap().path()).collect();
    let [run] = runs.as_slice() else { panic!("one run is rehearsed: {runs:?}") };
    let foreseen = of(&checkpoints(&run.join("journal")));
    remove(&state);
    assert!(foreseen.len() > 100, "a whole run: {foreseen:?}");
    foreseen
}

/// The run that followed must have told exactly what was foreseen.
pub(crate) fn came_true(lab: &Lab, foreseen: &Told) {
    let seen = of(&journal(lab));
    let only = |a: &Told, b: &Told| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(
        (only(foreseen, &seen), only(&seen, foreseen)),
        (Vec::new(), Vec::new()),
        "left: only rehearsed, right: only in life"
    );
}

fn of(checkpoints: &[(String, Value)]) -> Told {
    let one = |(kind, content): &(String, Value)| {
        let step = content["step"].as_str().unwrap_or_default().to_owned();
        let item = content["item"].as_str().unwrap_or_default().to_owned();
        let what = match kind.as_str() {
            "item_done" => name(&content["outcome"]),
            "step_done" => format!("step done, {}", name(&content["how"])),
            "finished" => format!("run over, {}", name(&content["outcome"])),
            "step_failed" | "step_unknown" | "reboot_intent" | "rebooted" | "back_out" => kind.clone(),
            _ => return None,
        };
        Some((step, item, what))
    };
    checkpoints.iter().filter_map(one).collect()
}

/// The tag of an outcome, without what it says.
fn name(outcome: &Value) -> String {
    let tag = outcome.as_object().and_then(|one| one.keys().next()).map(String::as_str);
    outcome.as_str().or(tag).unwrap_or("?").to_owned()
}

/// Removes a kept rehearsal, which lies alone in a directory of its own.
fn remove(state: &Path) {
    let dir = state.parent().unwrap();
    assert!(dir.file_name().unwrap().to_str().unwrap().starts_with("runbook-rehearsal-"), "{}", dir.display());
    std::fs::remove_dir_all(dir).unwrap();
}
