//! Hosts on which nothing is wrong: a plan refuses none of them, and what it says of them is so.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use serde_json::{Value, json};

use crate::support::program::{Place, Said};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/restart-staging.yaml");
const FACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/staging.facts.json");

/// Plans the shipped runbook on the recorded host, with another server at this port.
fn plan(port: u16, change: impl FnOnce(&mut Value)) -> (Place, Said) {
    let mut facts: Value = serde_json::from_str(&std::fs::read_to_string(FACTS).unwrap()).unwrap();
    let url = format!("redis://127.0.0.1:{port}");
    let entries = facts["answers"].as_array_mut().unwrap();
    let entry = entries.iter_mut().find(|entry| entry[0]["redis"]["url"] == url.as_str()).unwrap();
    change(&mut entry[1]["redis"]["facts"]);
    let place = Place::new();
    let facts = place.file("facts.json", &facts.to_string());
    let said = place.runbook(&["plan", SHIPPED, "--offline", &facts, "-v"]);
    (place, said)
}

#[test]
fn a_master_that_keeps_snapshots_only_is_nothing_to_compact_and_no_obstacle() {
    let (_place, said) = plan(6377, |redis| {
        redis["aof"]["enabled"] = json!(false);
        for key in ["config", "written"] {
            redis[key]["appendonly"] = json!("no");
            redis[key]["save"] = json!("3600 1");
        }
        redis["files"] = json!({ "dir": "/var/lib/redis/bull00", "layout": "snapshot", "incrs": [], "missing": [],
                                 "base": { "name": "dump.rdb", "seq": 0, "bytes": 2_000_000_000_u64 } });
    });
    said.exits(0).says("keeps snapshots and no append-only file");
    let all = said.all();
    assert!(!all.contains("REFUSED"), "{all}");
    assert!(!all.lines().any(|line| line.contains("redis bull00") && line.contains("AOF")), "{all}");
}

#[test]
fn one_file_of_many_old_commands_is_worth_a_rewrite_before_redis_7_too() {
    let single = |rewritten: Value| {
        plan(6377, move |redis| {
            redis["server"]["version"] = json!("6.2.14");
            redis["aof"]["last_rewrite_secs"] = rewritten;
            // What the server calls base before its first rewrite is the file as it was found at the start.
            redis["aof"]["base_size"] = json!(8_100_000_000_u64);
            redis["memory"]["used_memory"] = json!(3_000_000_000_u64);
            redis["files"] = json!({ "dir": "/var/lib/redis/bull00", "layout": { "single": { "inode": 7 } }, "incrs": [],
                                     "missing": [], "base": { "name": "a.aof", "seq": 0, "bytes": 8_100_000_000_u64 } });
        })
    };
    let (_place, said) = single(Value::Null);
    said.exits(0).says("AOF 8.1 GB").says("about 1.0 GB");
    let (_place, said) = single(json!(40));
    said.exits(0).says("bull00 (compact/1): left as it is");
}
