//! Tables for `preflight`.

use std::collections::BTreeMap;

use crate::host::redis::testbed::{Testbed, recorded, until};
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

/// The server's own word, with what Testbed passes on its command line: those alone differ from an empty file.
#[tokio::test]
async fn an_untouched_server_agrees_with_the_defaults_of_its_file() {
    let Some(mut bed) = Testbed::start(&[]).await else { return };
    std::fs::write(bed.path("conf"), "# nothing\n").unwrap();
    bed.boot(&["--appendonly", "no"]).await;
    let found = unsaved(&bed.seen().await);
    let lost: Vec<&str> = found.lost.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(lost, ["dir", "save", "port"], "{found:?}");
    assert_eq!((found.lost[0].then.as_deref(), found.unknown), (None, None));
    assert!(found.same > 25, "{}", found.same);
}

#[tokio::test]
async fn what_was_set_and_never_written_is_found_on_a_real_server_and_no_password_is_told() {
    let Some(mut bed) = Testbed::start(&[]).await else { return };
    let conf = format!("appendonly no\nport 0\nsave \"\"\ndir {}\nmaxmemory 64mb\n", bed.dir.path().display());
    std::fs::write(bed.path("conf"), conf).unwrap();
    bed.boot(&["--appendonly", "no"]).await;
    assert_eq!(unsaved(&bed.seen().await).lost, []);
    assert_eq!(restart_obstacles(&bed.seen().await), []);
    for (key, value) in [("appendonly", "yes"), ("maxmemory", "128mb"), ("masterauth", "hunter2")] {
        bed.tell(&["CONFIG", "SET", key, value]).await.unwrap();
    }
    // The first file is written by a child.
    let manifest = bed.path("appendonlydir/appendonly.aof.manifest");
    until("the append-only file is there", async || manifest.exists().then_some(())).await;
    let seen = bed.seen().await;
    let setting =
        |key: &str, now: &str, then: &str| Setting { key: key.into(), now: now.into(), then: Some(then.to_owned()) };
    let lost = unsaved(&seen).lost;
    let wanted =
        [setting("appendonly", "yes", "no"), setting("maxmemory", "128mb", "64mb"), setting("masterauth", "(set)", "")];
    assert_eq!(lost, wanted);
    for found in [restart_obstacles(&seen), preflight(&seen, Some(100 * GB), Some(100 * GB))] {
        let stops: Vec<_> = found.iter().filter(|one| one.severity == Severity::Stop).collect();
        assert_eq!(stops.len(), 1, "{found:?}");
        assert!(stops[0].seen.starts_with("appendonly is \"yes\" now, but \"no\" in /"), "{stops:?}");
    }
    assert!(!format!("{seen:?}{}", serde_json::to_string(&seen).unwrap()).contains("hunter2"));
    bed.tell(&["CONFIG", "REWRITE"]).await.unwrap();
    assert_eq!(unsaved(&bed.seen().await).lost, []);
}
