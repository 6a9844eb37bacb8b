//! The whole way on a second host that shares nothing with the first (`tests/lab/topologies/quay`), judged by somebody else: what
//! redis-cli, pm2 and systemctl say before and after is compared with what the program says of the run.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::lab::{Dress, Lab, told};
use crate::support::runs::{finish, outcome, runbook, start_anew, wait_for};

const RUNBOOK: &str = "restart-quay";

#[test]
fn lab_another_host_goes_the_whole_way_and_the_verdict_is_what_others_see() {
    let Some(lab) = Lab::dressed("quay", &Dress { topology: "quay", ..Dress::default() }) else { return };
    let plan = runbook(&lab, &["plan", RUNBOOK, "-v"]);
    assert!(matches!(plan.status.code(), Some(0 | 6)), "a healthy host is not refused: {}", told(&plan));
    assert!(!told(&plan).contains("REFUSED"), "{}", told(&plan));

    let (before, boots) = (look(&lab), lab.boots());
    assert_eq!(goes_the_whole_way(&lab), "done");
    let after = look(&lab);
    assert_eq!(differing(&before, &after), BTreeSet::new(), "{}", verdict(&lab));
    assert_eq!((claimed(&lab), lab.boots()), (BTreeSet::new(), boots + 1), "nothing is said to be lost");
    assert!(report(&lab).contains("**DONE.** Every step is done and nothing is missing."), "{}", report(&lab));
    for unit in ["valkey-server@stock.service", "tally.service", "old.service", "quay-door.socket"] {
        assert_eq!(lab.shell(&format!("systemctl is-enabled {unit}")), "enabled", "{unit}");
    }

    // One app will not survive its next start; everything else will.
    lab.shell("install -D -o tide -g tide -m 644 /dev/null /home/tide/broken/fragile");
    assert_eq!(goes_the_whole_way(&lab), "done_with_losses");
    let lost = differing(&after, &look(&lab));
    assert_eq!(lost, BTreeSet::from(["app tide cargo/fragile #0".to_owned()]), "{}", verdict(&lab));
    assert_eq!(claimed(&lab), BTreeSet::from(["cargo:fragile".to_owned()]), "{}", verdict(&lab));
    assert!(report(&lab).contains("**DONE, WITH LOSSES.** 1 app did not come back"), "{}", report(&lab));
    let status = runbook(&lab, &["status", "--detailed-exitcode"]);
    assert!(told(&status).contains("done, with losses"), "{}", told(&status));
    no_secret_is_told(&lab);
}

/// The sheet of paper there: private authority, names that two apps have of which one is to stay stopped, sockets, two PM2s.
#[test]
fn lab_by_hand_the_sheet_alone_restarts_another_host() {
    let Some(lab) = Lab::dressed("quaysheet", &Dress { topology: "quay", ..Dress::default() }) else { return };
    let (before, boot) = (look(&lab), lab.boot_id());
    let plan = runbook(&lab, &["plan", RUNBOOK, "--by-hand"]);
    let sheet = String::from_utf8_lossy(&plan.stdout).into_owned();
    std::fs::write(lab.path("/root/sheet.sh"), &sheet).expect("the sheet is laid on the host");
    lab.run(&[
        "bash",
        "-c",
        "sed -n '/^# ==== part 1/,/^# ==== part 2/p' /root/sheet.sh | sh -eu > /root/part1.out 2>&1",
    ]);
    lab.wait_until_reachable(&boot);
    let second = lab.run(&["bash", "-c", "sed -n '/^# ==== part 2/,$p' /root/sheet.sh | sh -eu"]);
    assert!(second.status.success(), "{}", told(&second));
    assert_eq!(lab.boots(), 2, "exactly one reboot");
    // PM2 itself forgets what a stopped app was watched for; the sheet says so.
    let viewer = "app ferry default/viewer #0".to_owned();
    assert_eq!(differing(&before, &look(&lab)), BTreeSet::from([viewer]), "{}", told(&second));
    assert!(sheet.contains("to have it watched: viewer"), "{sheet}");
}

/// One run through a reboot to its end; how it ended.
fn goes_the_whole_way(lab: &Lab) -> String {
    let boot = lab.boot_id();
    let words =
        ["runbook", "run", RUNBOOK, "--yes", "--confirm", RUNBOOK, "--ignore-window", "lab", "--progress", "plain"];
    let run = finish(start_anew(lab, &words), 180);
    assert_eq!(run.status.code(), Some(21), "{}", told(&run));
    lab.wait_until_reachable(&boot);
    let over = |kind: &str, content: &Value| kind == "finished" || kind == "paused" && content["why"] == "failed";
    wait_for(lab, 240, "end of the run", over);
    outcome(lab).unwrap_or_else(|| format!("not over: {}", verdict(lab)))
}

/// What others say of the host, by what it is about. `errored` and `stopped` are both down.
fn look(lab: &Lab) -> BTreeMap<String, String> {
    let seen = lab.shell("/usr/local/lib/lab/look.sh");
    let lines = seen.lines().map(|line| {
        let about = if line.starts_with("app ") { 4 } else { 2 };
        let at = line.match_indices(' ').nth(about - 1).map_or(line.len(), |(at, _)| at);
        (line[..at].to_owned(), line[at..].replace("errored", "down").replace("stopped", "down"))
    });
    let seen: BTreeMap<_, _> = lines.filter(|(about, _)| !about.starts_with("id of")).collect();
    assert!(seen.len() > 40, "{seen:#?}");
    seen
}

/// What is not as it was.
fn differing(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeSet<String> {
    let all = before.keys().chain(after.keys());
    all.filter(|about| before.get(*about) != after.get(*about)).cloned().collect()
}

/// What the program says is lost.
fn claimed(lab: &Lab) -> BTreeSet<String> {
    let last = runbook(lab, &["report", "--format", "json"]);
    let text = String::from_utf8_lossy(&last.stdout).into_owned();
    let report: Value = text.lines().nth(1).and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let names = |key: &str| report[key].as_array().cloned().unwrap_or_else(|| panic!("no {key}: {text}"));
    let lost = names("losses").into_iter().chain(names("not_back")).chain(names("failures"));
    lost.filter_map(|one| Some(one["item"].as_str()?.to_owned())).collect()
}

fn report(lab: &Lab) -> String {
    String::from_utf8_lossy(&runbook(lab, &["report", "--format", "md"]).stdout).into_owned()
}

/// All that the program says of the run, for the message of a failed assertion.
fn verdict(lab: &Lab) -> String {
    format!("{}\n{}", told(&runbook(lab, &["status"])), report(lab))
}

/// None of the host's passwords is in what is kept or told of its runs.
fn no_secret_is_told(lab: &Lab) {
    let found = lab.run(&[
        "bash",
        "-c",
        "cat /etc/runbook/secret/* >/root/secrets; runbook report --format json >/root/told; \
         journalctl -u runbook-resume >>/root/told; grep -rlFf /root/secrets /root/told /var/lib/runbook --include=told \
         --include=journal --include=runbook.yaml",
    ]);
    assert_eq!(found.status.code(), Some(1), "{}", told(&found));
}
