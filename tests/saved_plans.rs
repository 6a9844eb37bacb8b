//! Saved plans: run as they were saved, refused with the facts that moved, good again for what is left of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::os::unix::fs::PermissionsExt;

use crate::support::program::{Place, Said, hostname};
use crate::support::redis::Redis;

fn tiny(steps: &str) -> String {
    format!("version: 1\nname: tiny\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n{steps}", hostname())
}

const TRUE: &str = "      - command: { argv: [\"true\"], repeatable: true }\n";

/// Compacts a Redis, then fails until the flag is there.
fn compacting(port: u16, flag: &str) -> String {
    format!(
        "version: 1\nname: tiny\nhosts: [{}]\nredis:\n  a: {{ url: \"redis://127.0.0.1:{port}\", role: master }}\nphases:\n\
         \x20 - name: compact\n    steps:\n      - redis_compacted: {{ instances: masters, min_saving: 1ms }}\n\
         \x20 - name: rest\n    steps:\n      - command: {{ argv: [test, -e, \"{flag}\"], repeatable: true }}\n\
         \x20 - name: gate\n    steps:\n      - healthy: {{ steady_for: 1s, checks: [ {{ redis: {{ instances: all, role: master }} }} ] }}\n        within: 20s\n",
        hostname()
    )
}

/// The name under which a plan was saved.
#[track_caller]
fn id(said: &Said) -> String {
    said.exits(0);
    said.out.split_whitespace().find(|word| word.starts_with("p-")).unwrap().trim_end_matches(',').to_owned()
}

#[test]
fn a_saved_plan_is_private_and_is_run_by_its_name() {
    let place = Place::new();
    let book = place.file("tiny.yaml", &tiny(TRUE));
    let id = id(&place.runbook(&["plan", &book, "--save"]));
    let dir = place.path("state/plans").join(&id);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in ["origin.json", "plan.json", "facts.json", "runbook.yaml"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    place.runbook(&["run", "--plan", &id]).exits(9).says(&format!("run --plan {id} --yes"));
    place.runbook(&["run", "--plan", &id, "--yes"]).exits(0);
    place.runbook(&["history"]).exits(0).says("tiny");
    place.runbook(&["run", "--plan", "p-0000", "--yes"]).exits(2).says("there is no saved plan p-0000");
    place.runbook(&["run", "--plan", "../x", "--yes"]).exits(2);
    place.runbook(&["run", &book, "--plan", &id, "--yes"]).exits(2);
    place.runbook(&["run", "--yes"]).exits(2);
}

#[test]
fn another_runbook_and_an_old_plan_are_refused() {
    let place = Place::new();
    let book = place.file("tiny.yaml", &tiny(TRUE));
    let id = id(&place.runbook(&["plan", &book, "--save"]));
    let old = place.runbook(&["run", "--plan", &id, "--yes", "--max-age", "0s"]);
    old.exits(7).says("age: at most 0.0s").says("--max-age LENGTH");
    let refused = place.runbook(&["run", "--plan", &id, "--yes", "--max-age", "30"]);
    refused.exits(2).says("needs its unit");
    place.file("tiny.yaml", &tiny(&format!("{TRUE}{TRUE}")));
    let said = place.runbook(&["run", "--plan", &id, "--yes", "--json"]);
    said.exits(7).says("is out of date: a fact has moved");
    let drift = said.out.lines().find(|line| line.contains("\"type\":\"drift\"")).unwrap();
    assert!(drift.contains("\"fact\":\"sha256\"") && drift.contains(&id), "{drift}");
    assert!(!place.path("state/pending").exists(), "nothing was begun");
    std::fs::remove_file(&book).unwrap();
    place.runbook(&["run", "--plan", &id, "--yes"]).exits(3).says("there is no runbook");
}

#[test]
fn a_plan_that_may_not_be_run_is_not_saved() {
    let place = Place::new();
    let window = "window: { days: [sat], opens: \"10:00\", length: 3h, timezone: UTC }\nphases:";
    let book = place.file("tiny.yaml", &tiny(TRUE).replace("phases:", window));
    place.runbook(&["plan", &book, "--save", "--at", "2026-11-28T13:05"]).exits(6);
    assert!(!place.path("state/plans").exists());
    id(&place.runbook(&["plan", &book, "--save", "--at", "2026-11-28T10:05"]));
}

#[test]
fn a_role_that_moved_is_named_and_growth_is_not() {
    let Some(redis) = Redis::start() else { return };
    redis.bloat();
    let place = Place::new();
    let flag = place.file("flag", "");
    let book = place.file("tiny.yaml", &compacting(redis.port, &flag));
    let id = id(&place.runbook(&["plan", &book, "--save"]));
    redis.ask("REPLICAOF 127.0.0.1 1").unwrap();
    let said = place.runbook(&["run", "--plan", &id, "--yes"]);
    said.exits(7).says("a  role: master -> replica of 127.0.0.1:1").says("nothing was done");
    redis.ask("REPLICAOF NO ONE").unwrap();
    redis.ask("SET more data").unwrap();
    place.runbook(&["run", "--plan", &id, "--yes"]).exits(0);
}

#[test]
fn a_half_applied_plan_stays_valid() {
    let Some(redis) = Redis::start() else { return };
    redis.bloat();
    let place = Place::new();
    let flag = place.path("flag");
    let book = place.file("tiny.yaml", &compacting(redis.port, flag.to_str().unwrap()));
    let id = id(&place.runbook(&["plan", &book, "--save"]));
    place.runbook(&["run", "--plan", &id, "--yes"]).exits(1).says("rest/1");
    place.runbook(&["abort"]).exits(0);
    std::fs::write(&flag, "").unwrap();
    let said = place.runbook(&["run", "--plan", &id, "--yes"]);
    said.exits(0);
    let rewrites = |(path, bytes): &(std::path::PathBuf, Vec<u8>)| {
        let text = String::from_utf8_lossy(bytes);
        let journal = path.file_name().is_some_and(|name| name == "journal");
        if journal {
            text.lines().filter(|line| line.contains("item_intent") && line.contains("compact/1")).count()
        } else {
            0
        }
    };
    assert_eq!(place.state().iter().map(rewrites).sum::<usize>(), 1, "the rewrite is not made twice");
}
