//! Tables for `ready`.

use crate::host::redis::testbed::recorded;
use std::collections::BTreeMap;

use crate::host::redis::*;

const ANY: Wanted<'static> = Wanted { role: None, keys_before: None, keys_at_least: 0.9, aof: None };

fn seen(door: Door, change: impl FnOnce(&mut RedisFacts)) -> RedisSeen {
    let mut facts = recorded("idle");
    facts.role = Some(Role::Master { replicas: vec![] });
    change(&mut facts);
    RedisSeen { door, facts: Some(facts), unseen: vec![] }
}

fn replica(link_up: bool, sync_in_progress: bool, master_sync_perc: Option<f64>) -> Option<Role> {
    let master_host = "127.0.0.1".to_owned();
    Some(Role::Replica { master_host, master_port: 6379, link_up, sync_in_progress, master_sync_perc })
}

fn why(seen: &RedisSeen, wanted: &Wanted<'_>) -> Vec<String> {
    ready(seen, wanted).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_master_and_a_sound_replica() {
    let master = Wanted { role: Some(RoleWanted::Master), aof: Some(true), ..ANY };
    assert_eq!(ready(&seen(Door::Open, |_| ()), &master), Ok(()));
    let in_sync = seen(Door::Open, |f| f.role = replica(true, false, None));
    assert_eq!(ready(&in_sync, &Wanted { role: Some(RoleWanted::Replica), ..ANY }), Ok(()));
    assert_eq!(ready(&in_sync, &ANY), Ok(()));
}

#[test]
fn each_reason_in_words() {
    let master = Wanted { role: Some(RoleWanted::Master), ..ANY };
    let load = |loaded_bytes, total_bytes| Some(Loading { started: 1, total_bytes, loaded_bytes, eta_seconds: 1 });
    let misconf = Door::Misconf { text: "no space".into() };
    let cases = [
        (seen(Door::Loading, |f| f.loading = load(1_200_000_000, 1_900_000_000)), "loading 63 % (1.2 of 1.9 GB)"),
        (seen(Door::Loading, |f| f.loading = load(999_999, 1_000_000)), "loading 99 % (1.0 of 1.0 MB)"),
        (seen(Door::Loading, |f| f.loading = load(5_000_000, 0)), "loading (5.0 MB so far)"),
        (seen(Door::Open, |f| f.loading = load(1, 2)), "loading 50 % (1 of 2 B)"),
        (seen(Door::Open, |f| f.async_loading = true), "loading the master's copy beside the old data"),
        (seen(Door::Open, |f| f.role = None), "not seen: ROLE"),
        (seen(Door::Open, |f| f.role = replica(true, false, None)), "role is replica of 127.0.0.1:6379, wanted master"),
        (seen(misconf, |_| ()), "redis cannot persist: no space"),
        (seen(Door::Busy, |_| ()), "redis is blocked by a script"),
        (
            seen(Door::Open, |f| f.aof.as_mut().unwrap().last_write_ok = false),
            "the last write to the append-only file failed",
        ),
    ];
    for (seen, wanted) in cases {
        assert_eq!(why(&seen, &master), [wanted]);
    }
}

#[test]
fn a_replica_is_ready_only_in_sync() {
    let wanted = Wanted { role: Some(RoleWanted::Replica), ..ANY };
    for (role, text) in [
        (replica(false, false, None), "link to master 127.0.0.1:6379 is down"),
        (replica(false, true, None), "copying from the master"),
        (replica(true, true, Some(41.7)), "copying from the master, 42 %"),
        (Some(Role::Master { replicas: vec![] }), "role is master, wanted replica"),
    ] {
        assert_eq!(why(&seen(Door::Open, |f| f.role = role), &wanted), [text]);
    }
}

#[test]
fn an_empty_or_shrunken_data_set() {
    let before = BTreeMap::from([(0, 81_234), (3, 10), (5, 0)]);
    let with = |db0: u64, db3: u64| {
        seen(Door::Open, |f| f.keys = [(0, db0), (3, db3)].into_iter().filter(|(_, n)| *n > 0).collect())
    };
    let wanted = Wanted { keys_before: Some(&before), ..ANY };
    assert_eq!(why(&with(0, 10), &wanted), ["db0 has 0 keys, 81,234 before"]);
    assert_eq!(why(&with(81_000, 8), &wanted), ["db3 has 8 keys, 10 before"]);
    assert_eq!(ready(&with(73_111, 9), &wanted), Ok(()));
    let lenient = Wanted { keys_at_least: 0.0, ..wanted };
    assert_eq!(why(&with(1, 0), &lenient), ["db3 has 0 keys, 10 before"]);
}

#[test]
fn persistence_as_planned() {
    let off = seen(Door::Open, |f| f.aof.as_mut().unwrap().enabled = false);
    assert_eq!(why(&off, &Wanted { aof: Some(true), ..ANY }), ["append-only persistence is off, wanted on"]);
}

#[test]
fn an_open_door_without_facts_is_not_enough() {
    let seen = RedisSeen {
        door: Door::Open,
        facts: None,
        unseen: vec![crate::host::redis::Unseen { what: "INFO".into(), why: "NOPERM".into() }],
    };
    assert_eq!(why(&seen, &ANY), ["not seen: INFO, NOPERM"]);
}

#[test]
fn recorded_loads_are_refused() {
    // `async_loading:0` stands beside `loading:1` in this very text.
    let facts = recorded("loading");
    assert!(facts.loading.is_some() && !facts.async_loading);
    let seen = RedisSeen { door: Door::Loading, facts: Some(facts), unseen: vec![] };
    assert!(why(&seen, &ANY)[0].starts_with("loading "));
}
