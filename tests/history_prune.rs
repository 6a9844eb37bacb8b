//! The state directory does not grow for ever: what `history prune` removes, that a killed one harms nothing, and that a start
//! opens no more files after many runs than after few.
#![expect(clippy::disallowed_methods, reason = "strace is started around the program")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::print_stdout, reason = "a skip is told")]
use std::process::Command;

use serde_json::Value;

use crate::support::program::{Place, Said, hostname};

const TINY: &str = "phases:\n  - name: a\n    steps:\n      - command: { argv: [\"true\"], repeatable: true }\n";

/// A place with so many runs that are over.
fn place(runs: usize) -> Place {
    let place = Place::new();
    place.file("tiny.yaml", &format!("version: 1\nname: tiny\nhosts: [{}]\n{TINY}", hostname()));
    more(&place, runs);
    place
}

fn more(place: &Place, runs: usize) {
    for _ in 0..runs {
        place.runbook(&["run", "./tiny.yaml", "--yes", "-q"]).exits(0);
    }
}

fn names(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.path("state/runs")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn has_strace() -> bool {
    let there = Command::new("strace").arg("-V").output().is_ok();
    if !there {
        println!("skipped: no strace");
    }
    there
}

/// Runs the program under strace with these options.
fn traced(place: &Place, options: &[&str], args: &[&str]) -> (Said, String) {
    let trace = place.path("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-s", "200", "-o"]).arg(&trace).args(options);
    command.arg(env!("CARGO_BIN_EXE_runbook")).args(args).current_dir(place.path("."));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("RUNBOOK_STATE_DIR", place.path("state"));
    let said = command.env("RUNBOOK_LOCK", place.path("lock")).output().unwrap().into();
    (said, std::fs::read_to_string(trace).unwrap())
}

/// Files that a command opens below the state directory.
fn opened(place: &Place, args: &[&str], code: i32) -> usize {
    let (said, trace) = traced(place, &["-e", "trace=open,openat,openat2"], args);
    said.exits(code);
    let state = place.path("state").display().to_string();
    trace.lines().filter(|line| line.contains(&state)).count()
}

#[test]
fn prune_says_what_goes_and_then_it_is_gone() {
    let place = place(4);
    place.runbook(&["plan", "./tiny.yaml", "--save"]).exits(0);
    let all = names(&place);
    let before = place.state();
    let said = place.runbook(&["history", "prune", "--keep", "1", "--dry-run"]);
    said.exits(0).says("not among the newest").says("Would remove 3 runs,").says("1 run stays.");
    assert_eq!(place.state(), before, "a look changes nothing");
    let said = place.runbook(&["history", "prune", "--keep", "1", "--json"]);
    said.exits(0);
    let lines: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["version", "pruned_run", "pruned_run", "pruned_run", "pruned", "exit"]);
    assert_eq!((&lines[4]["runs"], &lines[4]["left"], &lines[4]["dry_run"]), (&3.into(), &1.into(), &false.into()));
    assert!((3 * 4096..3 << 17).contains(&lines[4]["bytes"].as_u64().unwrap()), "no reserve is left behind: {said:?}");
    // Which is the newest: names do not order runs of one second.
    assert!(names(&place).len() == 1 && all.contains(&names(&place)[0]));
    place.runbook(&["history"]).exits(0).says("3 older runs pruned");
    place.runbook(&["history", "prune", "--older-than", "1y"]).exits(0).says("Removed 0 runs, 0 B");
    // The times of the runs that went still count.
    place.runbook(&["plan", "./tiny.yaml", "--json"]).exits(0).says("\"past_runs\":4");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    place.runbook(&["history", "prune", "--older-than", "1s"]).exits(0).says("Removed 1 run and 1 saved plan");
    place.runbook(&["status"]).exits(0).says("there are no runs");
    place.runbook(&["plan", "./tiny.yaml", "--json"]).exits(0).says("\"past_runs\":4");
    for bad in [&["--keep", "-1"][..], &["--older-than", "1"], &["--older-than", "-1y"], &["--keep", "x"]] {
        place.runbook(&[&["history", "prune"], bad].concat()).exits(2);
    }
}

#[test]
fn prune_spares_the_unfinished_run_and_waits_for_nobody() {
    let place = place(2);
    let slow = "phases:\n  - name: a\n    steps:\n      - command: { argv: [sleep, \"20\"], repeatable: true }\n";
    place.file("slow.yaml", &format!("version: 1\nname: slow\nhosts: [{}]\n{slow}", hostname()));
    let mut child = place.start(&["run", "./slow.yaml", "--yes"]);
    while !place.path("state/pending").exists() || names(&place).len() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Its command is at work by then, and not still on its way.
    std::thread::sleep(std::time::Duration::from_millis(500));
    place.runbook(&["history", "prune", "--keep", "0"]).exits(8).says("another run holds this host");
    place.runbook(&["history", "prune", "--keep", "0", "--dry-run"]).exits(0).says("it owns this host");
    child.kill().unwrap();
    child.wait().unwrap();
    // Names do not order runs of one second.
    let unfinished = std::fs::read_to_string(place.path("state/pending")).unwrap().trim().to_owned();
    place.runbook(&["history", "prune", "--keep", "0"]).exits(0).says("it owns this host").says("Removed 2 runs");
    assert_eq!(names(&place), [unfinished]);
    // Its command lives on without it, and is ended first.
    let abandoned = place.runbook(&["abort", "--abandon", "--reason", "test"]);
    abandoned.exits(8).says("kill ");
    let pids = abandoned.all().lines().find_map(|line| Some(line.trim().strip_prefix("kill ")?.to_owned())).unwrap();
    assert!(std::process::Command::new("kill").args(pids.split(' ')).status().unwrap().success());
    place.runbook(&["history", "prune", "--keep", "0"]).exits(0).says("stays for 30 days");
}

/// Killed at each of its renames, removals and syncs, in one place after another.
#[test]
fn a_killed_prune_leaves_nothing_that_anybody_takes_for_a_run() {
    if !has_strace() {
        return;
    }
    let place = place(10);
    let mut kills = 0;
    for (call, at) in ["renameat", "unlinkat", "fsync"].into_iter().flat_map(|call| (1..=5).map(move |at| (call, at))) {
        more(&place, 2);
        let inject = format!("inject={call}:signal=KILL:when={at}");
        let (killed, _) = traced(&place, &["-e", &inject], &["history", "prune", "--keep", "8"]);
        kills += usize::from(killed.code != 0);
        let listed = place.runbook(&["history"]);
        listed.exits(0);
        assert!(!listed.all().contains("unreadable"), "{call} {at}: {listed:?}");
        place.runbook(&["status"]).exits(0);
        place.runbook(&["resume"]).exits(0).says("no run is unfinished");
        place.runbook(&["run", "./tiny.yaml", "--yes"]).exits(0);
        place.runbook(&["history", "prune", "--keep", "8"]).exits(0);
        let left = names(&place);
        assert!(left.len() == 8 && left.iter().all(|name| name.starts_with("r-")), "{call} {at}: {left:?}");
    }
    assert!(kills >= 10, "{kills} of 15 killed");
}

#[test]
fn a_start_opens_no_more_files_after_many_runs() {
    if !has_strace() {
        return;
    }
    let place = place(3);
    let commands: [(&[&str], i32); 5] = [
        (&["plan", "./tiny.yaml"], 0),
        (&["status"], 0),
        (&["resume"], 0),
        (&["doctor"], -1),
        (&["run", "./tiny.yaml", "--yes"], 0),
    ];
    let count = |(args, code): &(&[&str], i32)| {
        let code = if *code < 0 { place.runbook(args).code } else { *code };
        opened(&place, args, code)
    };
    // The latest run is found among those of its second.
    let alone = |place: &Place| {
        std::thread::sleep(std::time::Duration::from_millis(1100));
        more(place, 1);
    };
    alone(&place);
    let few: Vec<usize> = commands.iter().map(count).collect();
    more(&place, 20);
    alone(&place);
    let many: Vec<usize> = commands.iter().map(count).collect();
    // How many looks a wait takes is a matter of moments; twenty runs more would be twenty files more.
    let as_many = few.iter().zip(&many).all(|(few, many)| *many <= few + 5);
    assert!(as_many, "files opened by plan, status, resume, doctor, run: {few:?}, then {many:?}");
    assert!(few.iter().all(|count| (1..120).contains(count)), "{few:?}");
}
