//! Loads, empty instances and replicas on a real server.

use crate::host::redis::testbed::{Testbed, pause, signal, until, write_increment};
use crate::host::redis::*;

const ANY: Wanted<'static> = Wanted { role: None, keys_before: None, keys_at_least: 0.9, aof: None };

#[tokio::test]
async fn a_load_is_seen_from_inside_and_from_outside() {
    let Some(mut bed) = Testbed::start(&[]).await else {
        return;
    };
    let keys = std::collections::BTreeMap::from([(0, 20_000)]);
    let total = write_increment(bed.dir.path(), 500_000, 20_000, 100);
    assert!(total > 60_000_000, "{total}");
    // Microseconds for each command: slow enough to be watched, whatever the machine.
    bed.boot(&["--key-load-delay", "5"]).await;
    let wanted = Wanted { role: Some(RoleWanted::Master), keys_before: Some(&keys), aof: Some(true), ..ANY };
    let seen = until("it loads", async || {
        Some(bed.seen().await).filter(|seen| {
            seen.facts.as_ref().unwrap().loading.as_ref().is_some_and(|loading| loading.loaded_bytes > 0)
        })
    })
    .await;
    assert_eq!(seen.door, Door::Loading);
    let facts = seen.facts.as_ref().unwrap();
    let loading = facts.loading.as_ref().unwrap();
    assert_eq!(loading.total_bytes, total);
    let reasons = ready(&seen, &wanted).unwrap_err();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(
        reasons[0].to_string().starts_with("loading ") && reasons[0].to_string().ends_with("MB)"),
        "{}",
        reasons[0]
    );
    assert_eq!(request_rewrite(&bed.at()).await, Err(RedisFault::Refused { door: Door::Loading }));
    assert_eq!(preflight(&seen, Some(u64::MAX), Some(u64::MAX))[0].seen, "redis is loading its data set");

    let files = facts.files.as_ref().unwrap();
    seen_from_outside(&bed, files, loading).await;

    bed.boot(&[]).await;
    let seen = until("it is loaded", async || Some(bed.seen().await).filter(|seen| ready(seen, &wanted).is_ok())).await;
    assert_eq!(seen.facts.as_ref().unwrap().keys, keys);
    assert_eq!(load_progress(bed.pid(), files).unwrap().file, None, "the increment is open for appending now");
}

/// What `/proc` says while it loads.
async fn seen_from_outside(bed: &Testbed, files: &AofFiles, loading: &Loading) {
    let total = loading.total_bytes;
    assert_eq!((files.bytes(), files.missing.len()), (total, 0));
    let first = load_progress(bed.pid(), files).unwrap();
    assert_eq!((first.part, first.file.as_deref()), (Some(Part::Incr(1)), Some("appendonly.aof.1.incr.aof")));
    let read = first.bytes_read_total.unwrap();
    assert!(read >= loading.loaded_bytes && read <= total, "{read} of {total}, INFO {}", loading.loaded_bytes);
    pause(300).await;
    let second = load_progress(bed.pid(), files).unwrap();
    assert!(second.bytes_read_total > first.bytes_read_total, "{first:?} {second:?}");
    assert!(second.cpu_secs > first.cpu_secs, "{first:?} {second:?}");
}

#[tokio::test]
async fn an_empty_instance_is_not_the_one_that_was_saved() {
    let Some(mut bed) = Testbed::start(&[]).await else {
        return;
    };
    bed.tell(&["SET", "a", "b"]).await.unwrap();
    let keys = bed.seen().await.facts.unwrap().keys;
    std::fs::remove_file(bed.path("appendonlydir/appendonly.aof.manifest")).unwrap();
    bed.boot(&[]).await;
    let seen = bed.seen().await;
    assert_eq!(seen.door, Door::Open, "healthy, a master, and empty");
    let wanted = Wanted { keys_before: Some(&keys), ..ANY };
    assert_eq!(ready(&seen, &wanted).unwrap_err()[0].to_string(), "db0 has 0 keys, 1 before");
}

#[tokio::test]
async fn a_replica_without_its_master() {
    let Some(bed) = Testbed::start(&["--replicaof", "127.0.0.1 1"]).await else {
        return;
    };
    let seen = bed.seen().await;
    assert!(matches!(seen.facts.as_ref().unwrap().role, Some(Role::Replica { master_port: 1, link_up: false, .. })));
    let text = |role| {
        let wanted = Wanted { role: Some(role), ..ANY };
        ready(&seen, &wanted).unwrap_err()[0].to_string()
    };
    assert_eq!(text(RoleWanted::Replica), "link to master 127.0.0.1:1 is down");
    assert_eq!(text(RoleWanted::Master), "role is replica of 127.0.0.1:1, wanted master");
    bed.tell(&["CONFIG", "SET", "replica-serve-stale-data", "no"]).await.unwrap();
    assert_eq!(bed.seen().await.door, Door::MasterDown);
}

#[tokio::test]
async fn a_replica_is_not_ready_before_the_copy_has_arrived() {
    let Some(master) = Testbed::start(&["--repl-diskless-sync-delay", "0"]).await else {
        return;
    };
    master.fill(2000).await;
    master.tell(&["CONFIG", "SET", "rdb-key-save-delay", "1000"]).await.unwrap();
    let keys = master.seen().await.facts.unwrap().keys;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    master.tell(&["CONFIG", "SET", "port", &port]).await.unwrap();
    let replica = Testbed::start(&[]).await.unwrap();
    replica.tell(&["REPLICAOF", "127.0.0.1", &port]).await.unwrap();

    let wanted = Wanted { role: Some(RoleWanted::Replica), keys_before: Some(&keys), ..ANY };
    let mut reasons = std::collections::BTreeSet::new();
    until("the replica is in sync", async || match ready(&replica.seen().await, &wanted) {
        Ok(()) => Some(()),
        Err(why) => {
            reasons.extend(why.iter().map(ToString::to_string));
            None
        }
    })
    .await;
    assert!(reasons.contains("copying from the master"), "{reasons:?}");
    assert!(reasons.contains("db0 has 0 keys, 2,000 before"), "{reasons:?}");
    let listed = until("the master lists it", async || match master.seen().await.facts.unwrap().role {
        Some(Role::Master { replicas }) => replicas.into_iter().next(),
        _ => None,
    })
    .await;
    assert_eq!(listed.host, "127.0.0.1");
}

#[tokio::test]
async fn a_stopped_process_is_connected_and_silent() {
    let Some(bed) = Testbed::start(&[]).await else { return };
    signal(bed.pid(), rustix::process::Signal::STOP);
    let patience = Patience { answer: std::time::Duration::from_millis(300), ..Patience::default() };
    assert_eq!(look_with(&bed.at(), patience).await.door, Door::TimedOut { connected: true });
    let files = AofFiles { dir: "/".into(), layout: Layout::Manifest, base: None, incrs: vec![], missing: vec![] };
    assert_eq!(load_progress(bed.pid(), &files).unwrap().state, 'T');
    signal(bed.pid(), rustix::process::Signal::CONT);
    assert_eq!(bed.seen().await.door, Door::Open);
}
