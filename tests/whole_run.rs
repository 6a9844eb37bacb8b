//! A whole run against a real Redis: planned, killed in the middle, resumed, reported.
#![expect(clippy::disallowed_methods, reason = "a test waits for another process")]
use std::time::Duration;

use crate::support::program::{Place, hostname};
use crate::support::redis::Redis;

fn runbook(port: u16) -> String {
    format!(
        "version: 1\nname: tiny\nhosts: [{}]\nredis:\n  a: {{ url: \"redis://127.0.0.1:{port}\", role: master }}\nphases:\n\
         \x20 - name: compact\n    steps:\n      - redis_compacted: {{ instances: masters }}\n\
         \x20 - name: rest\n    steps:\n      - command: {{ argv: [sleep, \"3\"], repeatable: true }}\n\
         \x20 - name: gate\n    steps:\n      - healthy: {{ checks: [ {{ redis: {{ instances: all, role: master }} }} ] }}\n        within: 20s\n",
        hostname()
    )
}

/// Waits until the journal of the only run holds the words.
fn until_journaled(place: &Place, words: &str) {
    for _ in 0..400 {
        let state = place.state();
        let journal = state.iter().find(|(path, _)| path.ends_with("journal"));
        if journal.is_some_and(|(_, bytes)| String::from_utf8_lossy(bytes).contains(words)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("`{words}` never came into the journal");
}

#[test]
fn a_run_that_is_killed_is_resumed_where_it_was() {
    let Some(redis) = Redis::start() else { return };
    redis.bloat();
    let place = Place::new();
    let book = place.file("tiny.yaml", &runbook(redis.port));
    place.runbook(&["plan", &book, "--detailed-exitcode"]).exits(10).says("compact");
    assert_eq!(place.state(), Vec::new(), "a plan writes nothing");

    let mut child = place.start(&["run", &book, "--yes"]);
    until_journaled(&place, "\"step\":\"rest/1\"");
    place.runbook(&["status"]).exits(0).says("rest/1");
    place.runbook(&["run", &book, "--yes"]).exits(8);
    place.runbook(&["resume"]).exits(8);
    child.kill().unwrap();
    child.wait().unwrap();

    place.runbook(&["status"]).exits(21).says("NO process is at work on it");
    place.runbook(&["run", &book, "--yes"]).exits(8).says("runbook resume r-");
    place.runbook(&["resume", "--unattended"]).exits(0);
    place.runbook(&["status"]).exits(0);
    place.runbook(&["report", "--format", "md"]).exits(0);
    let journal = place.state().into_iter().find(|(path, _)| path.ends_with("journal")).unwrap().1;
    let journal = String::from_utf8(journal).unwrap();
    let rewrites = journal.lines().filter(|line| line.contains("item_intent") && line.contains("compact/1")).count();
    assert_eq!(rewrites, 1, "what is done is never done again");
    assert!(journal.contains("\"resumed\"") && journal.lines().last().unwrap().contains("finished"));
}

#[test]
fn a_second_terminal_pauses_and_gives_up() {
    let Some(redis) = Redis::start() else { return };
    let place = Place::new();
    let book = place.file("tiny.yaml", &runbook(redis.port));
    let child = place.start(&["run", &book, "--yes", "--progress", "plain"]);
    until_journaled(&place, "\"step\":\"rest/1\"");
    place.runbook(&["pause"]).exits(0).says("asked to pause");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(20), "{}", String::from_utf8_lossy(&ended.stderr));
    place.runbook(&["status"]).exits(20);
    let child = place.start(&["resume"]);
    std::thread::sleep(Duration::from_millis(100));
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        ended.status.code(),
        Some(0),
        "an old request does not stop a new sitting: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
}
