//! Tables for `preflight`.

use std::collections::BTreeMap;

use crate::host::redis::testbed::recorded;
use crate::host::redis::*;

const GB: u64 = 1_000_000_000;

fn seen(change: impl FnOnce(&mut RedisFacts)) -> RedisSeen {
    let mut facts = recorded("idle");
    facts.server.config_file = "/etc/redis/redis.conf".into();
    facts.memory = Some(Memory { used_memory: 10 * GB, rss: 11 * GB, maxmemory: 0 });
    change(&mut facts);
    RedisSeen { door: Door::Open, facts: Some(facts), unseen: vec![] }
}

fn obstacles(seen: &RedisSeen) -> Vec<Obstacle> {
    preflight(seen, Some(100 * GB), Some(100 * GB))
}

#[test]
fn nothing_in_the_way() {
    assert_eq!(obstacles(&seen(|_| ())), []);
}

#[test]
fn each_obstacle_by_itself() {
    type Change = fn(&mut RedisFacts);
    let cases: [(Change, Severity, &str); 12] = [
        (|f| f.aof.as_mut().unwrap().enabled = false, Severity::Stop, "persistence is off"),
        (|f| f.loading = recorded("loading").loading, Severity::Stop, "loading"),
        (|f| f.async_loading = true, Severity::Stop, "loading"),
        (|f| f.aof.as_mut().unwrap().rewrite_scheduled = true, Severity::Warn, "rewrite is running"),
        (|f| f.rdb.as_mut().unwrap().bgsave_in_progress = true, Severity::Warn, "BGSAVE is running"),
        (|f| f.module_fork = true, Severity::Warn, "module"),
        (|f| f.aof.as_mut().unwrap().last_write_ok = false, Severity::Stop, "last write"),
        (|f| f.rewrite_known = Some(false), Severity::Stop, "no command BGREWRITEAOF"),
        (|f| f.aof.as_mut().unwrap().consecutive_failures = Some(2), Severity::Warn, "failed (2 in a row)"),
        (|f| f.rdb.as_mut().unwrap().last_bgsave_ok = false, Severity::Warn, "last BGSAVE failed"),
        (|f| f.server.config_file.clear(), Severity::Warn, "without a configuration file"),
        (|f| f.memory.as_mut().unwrap().rss = 1000 * GB, Severity::Warn, "heavy writing may copy 700.0 GB"),
    ];
    for (change, severity, text) in cases {
        let found = preflight(&seen(change), Some(100 * GB), Some(200 * GB));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, severity);
        assert!(found[0].seen.contains(text), "{found:?}");
        assert!(!found[0].cure.is_empty());
    }
}

#[test]
fn room_on_disk_and_in_memory() {
    let seen = seen(|_| ());
    // 1.2 x 0.6 x 10 GB + 1 GiB = 8.27 GB
    assert!(preflight(&seen, Some(8_300_000_000), Some(100 * GB)).is_empty());
    let short = preflight(&seen, Some(8_200_000_000), Some(100 * GB));
    assert!(short[0].seen.contains("8.2 GB free") && short[0].seen.contains("8.3 GB"), "{short:?}");
    assert_eq!(preflight(&seen, Some(100 * GB), Some(GB))[0].severity, Severity::Stop);
    let unknown = preflight(&seen, None, None);
    assert_eq!(unknown.iter().map(|o| o.severity).collect::<Vec<_>>(), [Severity::Warn; 2]);
}

#[test]
fn the_file_disagrees_with_the_server() {
    let pairs = |pairs: &[(&str, &str)]| {
        Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>())
    };
    let found = obstacles(&seen(|f| {
        f.config = pairs(&[("appendonly", "yes"), ("save", ""), ("dir", "/data")]);
        f.written = pairs(&[("appendonly", "no"), ("save", "3600 1"), ("dir", "/data/"), ("dbfilename", "x")]);
    }));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].severity, Severity::Stop);
    assert!(found[0].seen.contains(r#"appendonly is "yes" now, but "no" in /etc/redis/redis.conf"#));
    assert!(found[1].seen.starts_with("save is"));
}

#[test]
fn what_was_not_seen_is_an_obstacle_too() {
    let mut blind = seen(|_| ());
    blind.unseen.push(Unseen { what: "files".into(), why: "Permission denied".into() });
    assert_eq!(obstacles(&blind)[0].severity, Severity::Stop);
    let silent = RedisSeen { door: Door::NoAuth, facts: None, unseen: vec![] };
    assert!(obstacles(&silent)[0].seen.contains("wants a password"));
}

#[test]
fn kernel_accounting() {
    let seen = seen(|_| ());
    let of = |mode, headroom| overcommit(&seen, &Overcommit { mode, headroom }).map(|o| o.severity);
    assert_eq!(of(1, None), None);
    assert_eq!(of(0, None), Some(Severity::Warn));
    assert_eq!(of(2, Some(5 * GB)), Some(Severity::Stop));
    assert_eq!(of(2, Some(50 * GB)), None);
    assert!(Overcommit::read().is_some_and(|kernel| kernel.mode <= 2));
}
