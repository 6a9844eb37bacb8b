//! This area against a real PM2: the whole way over a reboot, and the ways in which apps do not come back.

use std::time::Duration;

use serde_json::json;

use super::testbed::{Testbed, kill_and_wait};
use super::*;

const SERVER: &str = "setInterval(() => {}, 1000)";

/// Looks at an app every half second until the verdict is final.
async fn judge(steer: &Steer, key: &AppKey) -> Verdict {
    let find = |list: &[App]| list.iter().find(|app| app.key == *key).cloned();
    let first = find(&steer.list().await.unwrap());
    let mut verdict = Verdict::Gone(Cause::Unlisted);
    for look in 1..=24u32 {
        pause(Duration::from_millis(500)).await;
        let Some(now) = find(&steer.list().await.unwrap()) else {
            continue;
        };
        let alive = now.pid.is_some_and(procs::alive);
        verdict = back(&now, first.as_ref(), alive, Duration::from_millis(500) * look);
        if !matches!(verdict, Verdict::NotYet(_)) {
            break;
        }
    }
    verdict
}

fn shape(apps: &[App]) -> Vec<(AppKey, Option<Wanted>, Option<PmId>)> {
    apps.iter().map(|app| (app.key.clone(), wanted(app), app.pm_id)).collect()
}

/// Five apps that run, two of them equal and one in cluster mode, and one that does not.
async fn six_apps(bed: &Testbed) -> Steer {
    let server = bed.script("server.js", SERVER);
    ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    let steer = Steer::connect(&bed.at).await.unwrap();
    for name in ["ids", "twin", "twin", "mail-worker"] {
        steer.start_new(&bed.recipe(name, &server, &json!({}))).await.unwrap();
    }
    let spread = json!({ "exec_mode": "cluster_mode", "NODE_APP_INSTANCE": 1, "namespace": "other" });
    steer.start_new(&bed.recipe("spread", &server, &spread)).await.unwrap();
    steer.register(&bed.recipe("org-1", &server, &json!({}))).await.unwrap();
    steer
}

#[tokio::test]
async fn a_reboot_keeps_what_ran_and_what_did_not() {
    let Some(bed) = Testbed::new() else { return };
    let steer = six_apps(&bed).await;
    let store = tempfile::tempdir().unwrap();
    let taken = snapshot::take(&bed.at, store.path(), &Terms::default()).await.unwrap();
    assert_eq!(taken.apps.len(), 6);
    assert!(matches!(snapshot::take(&bed.at, store.path(), &Terms::default()).await, Err(SnapshotError::Exists(_))));

    for app in taken.apps.iter().rev() {
        steer.stop_app(app).await.unwrap();
    }
    assert_eq!(save(&bed.at, &RunBy::child()).await.unwrap().dump.counts(), [("stopped".to_owned(), 6)].into());
    drop(steer);
    kill_daemon(&bed.at, &RunBy::child()).await.unwrap();
    assert!(matches!(look(&bed.at).await.daemon, DaemonSeen::Absent { why: AbsentWhy::NoSocket }));

    bed.pm2("resurrect").await;
    let seen = look(&bed.at).await;
    assert_eq!(seen.apps.len(), 6);
    assert!(seen.apps.iter().all(|app| app.status == Status::Stopped && app.pid.is_none()), "{:?}", shape(&seen.apps));
    assert_eq!((seen.twins.as_slice(), seen.orphans.as_slice()), ([].as_slice(), [].as_slice()));

    let recorded = snapshot::open(&taken.path, &taken.sha256).unwrap();
    let steer = Steer::connect(&bed.at).await.unwrap();
    for app in recorded.apps().iter().filter(|app| wanted(app) == Some(Wanted::Online)) {
        let registered = seen.apps.iter().find(|listed| listed.key == app.key).unwrap();
        steer.start_registered(registered).await.unwrap();
    }
    for app in recorded.apps().iter().filter(|app| wanted(app) == Some(Wanted::Online)) {
        assert_eq!(judge(&steer, &app.key).await, Verdict::Back, "{:?}", app.key);
    }
    assert_eq!(shape(&steer.list().await.unwrap()), shape(recorded.apps()));
    assert!(save(&bed.at, &RunBy::child()).await.is_ok());
}

#[tokio::test]
async fn a_lost_app_is_registered_again_from_the_snapshot() {
    let Some(bed) = Testbed::new() else { return };
    let server = bed.script("server.js", SERVER);
    ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    let steer = Steer::connect(&bed.at).await.unwrap();
    let app = steer.start_new(&bed.recipe("a", &server, &json!({}))).await.unwrap();
    steer.start_new(&bed.recipe("b", &server, &json!({}))).await.unwrap();
    let store = tempfile::tempdir().unwrap();
    let taken = snapshot::take(&bed.at, store.path(), &Terms::default()).await.unwrap();
    steer.delete_app(&app).await.unwrap();
    let recipe = snapshot::open(&taken.path, &taken.sha256).unwrap().recipe(0).unwrap().unwrap();
    let registered = steer.register(&recipe).await.unwrap();
    assert_eq!((&registered.status, registered.restarts, registered.pid), (&Status::Stopped, 0, None));
    steer.start_registered(&registered).await.unwrap();
    assert_eq!(judge(&steer, &registered.key).await, Verdict::Back);
    let mut left = steer.list().await.unwrap().to_vec();
    left.sort_by(|one, other| one.key.cmp(&other.key));
    let statuses: Vec<(&str, &Status)> = left.iter().map(|app| (app.key.name.as_str(), &app.status)).collect();
    assert_eq!(statuses, [("a", &Status::Online), ("b", &Status::Online)]);
}

#[tokio::test]
async fn apps_that_do_not_come_back_are_told_apart() {
    let Some(bed) = Testbed::new() else { return };
    ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    let steer = Steer::connect(&bed.at).await.unwrap();
    let server = bed.script("server.js", SERVER);
    let crash = bed.script("crash.js", "throw new Error('listen EADDRINUSE')");
    let once = bed.script("once.js", "setTimeout(() => process.exit(+process.env.CODE || 0), 300)");
    let looping = json!({ "created_at": 5 });
    let cases = [
        ("crash", &crash, looping, "crash loop"),
        ("backoff", &crash, json!({ "exp_backoff_restart_delay": 150 }), "backing off"),
        ("once", &once, json!({ "autorestart": false }), "ended with 0"),
        ("ghost", &server, json!({ "exec_interpreter": "/no/such/node" }), "without a process"),
    ];
    let mut started = Vec::new();
    for (name, script, more, words) in &cases {
        let recipe = bed.recipe(name, script, more);
        let app = steer.register(&recipe).await.unwrap();
        match steer.start_registered(&app).await {
            Ok(_) | Err(SteerError::Rpc(RpcError::Refused { .. })) => started.push((recipe.app().key, *words)),
            other => panic!("{name}: {other:?}"),
        }
    }
    let verdicts = futures_util::future::join_all(started.iter().map(|(key, _)| judge(&steer, key))).await;
    let old = steer.daemon().version.starts_with("4.");
    for ((key, words), verdict) in started.iter().zip(verdicts) {
        let Verdict::Gone(cause) = verdict else { panic!("{}: {verdict:?}", key.name) };
        let expected = if old && key.name == "ghost" { "errored" } else { words };
        assert!(cause.to_string().contains(expected), "{}: {cause}", key.name);
    }
    let me = rustix::process::geteuid().as_raw();
    let tail = log_tail(&bed.path().join("logs/crash-error.log"), me);
    assert_eq!(
        Cause::CrashLoop { restarts: 3 }.refine(&tail.iter().map(|line| line.raw()).collect::<Vec<_>>()),
        Cause::PortInUse,
        "{tail:?}"
    );
}

#[tokio::test]
async fn a_killed_daemon_leaves_orphans_that_are_found() {
    let Some(bed) = Testbed::new() else { return };
    let server = bed.script("server.js", SERVER);
    let up = ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    let steer = Steer::connect(&bed.at).await.unwrap();
    let app = steer.start_new(&bed.recipe("left", &server, &json!({}))).await.unwrap();
    // While it boots it still needs its daemon, and would die with it.
    assert_eq!(judge(&steer, &app.key).await, Verdict::Back);
    drop(steer);
    assert!(look(&bed.at).await.orphans.is_empty(), "a child of a living daemon is no orphan");
    kill_and_wait(&[up.pid.unwrap()]);
    let mut seen = look(&bed.at).await;
    // The threads of a killed process end one by one; the last of them takes the socket along.
    while matches!(seen.daemon, DaemonSeen::Dying { .. }) {
        pause(Duration::from_millis(50)).await;
        seen = look(&bed.at).await;
    }
    assert_eq!(seen.daemon, DaemonSeen::Absent { why: AbsentWhy::StaleSocket });
    let found: Vec<_> = seen.orphans.iter().map(|orphan| (orphan.pid, orphan.name.as_str(), orphan.pm_id)).collect();
    assert_eq!(found, [(app.pid.unwrap(), "left", app.pm_id)]);
}

#[tokio::test]
async fn readiness_is_heard_and_autostart_lifted() {
    let Some(bed) = Testbed::new() else { return };
    ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    let steer = Steer::connect(&bed.at).await.unwrap();
    let mut bus = Bus::connect(&bed.at).await.unwrap();
    let ready = bed.script("ready.js", &format!("setTimeout(() => process.send('ready'), 400); {SERVER}"));
    let settings = json!({ "wait_ready": true, "listen_timeout": 4000, "autostart": false });
    let app = steer.register(&bed.recipe("ready", &ready, &settings)).await.unwrap();
    let started = steer.start_registered(&app).await.unwrap();
    assert!(started.autostart && started.pid.is_some(), "{started:?}");
    let heard = async {
        while let Some(event) = bus.next().await {
            if matches!(&event, BusEvent::Message { raw, pm_id, .. } if raw.raw() == "ready" && *pm_id == app.pm_id) {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(Duration::from_secs(5), heard).await.unwrap());
    assert_eq!(bus.lost(), 0);
    assert_eq!(judge(&steer, &app.key).await, Verdict::Back);
}

#[tokio::test]
async fn a_watched_app_stays_stopped_and_is_watched_again() {
    let Some(bed) = Testbed::new() else { return };
    ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    let steer = Steer::connect(&bed.at).await.unwrap();
    let folder = bed.path().join("src");
    std::fs::create_dir(&folder).unwrap();
    let script = bed.script("src/watched.js", SERVER);
    let recipe = bed.recipe("watched", &script, &json!({ "watch": true, "pm_cwd": folder }));
    let app = steer.start_new(&recipe).await.unwrap();
    let stopped = steer.stop_app(&app).await.unwrap();
    pause(Duration::from_millis(300)).await;
    std::fs::write(folder.join("touched.js"), "1").unwrap();
    pause(Duration::from_millis(1500)).await;
    let now = steer.list().await.unwrap();
    assert_eq!((&now[0].status, now[0].watch), (&Status::Stopped, false), "the watch must not start it again");
    let again = steer.start_watched(&stopped, &recipe).await.unwrap();
    assert!(again.watch);
    pause(Duration::from_millis(700)).await;
    std::fs::write(folder.join("touched.js"), "2").unwrap();
    pause(Duration::from_millis(2000)).await;
    let now = steer.list().await.unwrap();
    assert!(now[0].restarts > 0 && now.len() == 1, "the watcher is back: {:?}", now[0]);
}

#[tokio::test]
async fn another_users_daemon_is_served_as_that_user() {
    const NOBODY: u32 = 65_534;
    let Some(bed) = Testbed::of(NOBODY) else { return };
    let server = bed.script("server.js", SERVER);
    let up = ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    assert_eq!(up.uid, NOBODY);
    let status = std::fs::read_to_string(format!("/proc/{}/status", up.pid.unwrap())).unwrap();
    let ids: Vec<&str> =
        status.lines().filter(|line| line.starts_with("Gid:") || line.starts_with("Groups:")).collect();
    assert!(ids.iter().all(|line| line.split_whitespace().skip(1).all(|id| id == "65534")), "{ids:?}");
    let steer = Steer::connect(&bed.at).await.unwrap();
    steer.start_new(&bed.recipe("a", &server, &json!({}))).await.unwrap();
    assert_eq!(save(&bed.at, &RunBy::child()).await.unwrap().dump.entries().len(), 1);
    let store = tempfile::tempdir().unwrap();
    let taken = snapshot::take(&bed.at, store.path(), &Terms::default()).await.unwrap();
    assert!(taken.dump_copied);
    assert_eq!(std::fs::read(store.path().join(snapshot::DUMP_COPY)).unwrap(), std::fs::read(bed.at.dump()).unwrap());
    drop(steer);
    kill_daemon(&bed.at, &RunBy::child()).await.unwrap();
    for file in std::fs::read_dir(&bed.at.home).unwrap().flatten() {
        let owner = std::os::unix::fs::MetadataExt::uid(&file.metadata().unwrap());
        assert_eq!(owner, NOBODY, "{:?}", file.path());
    }
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_at_its_deadline() {
    let Some(mut bed) = Testbed::new() else { return };
    bed.at.cli = Some(bed.script("pm2", SERVER));
    let error = cli::Cli::locate(&bed.at, None)
        .unwrap()
        .run(&RunBy::child(), "ping", Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(matches!(error, SteerError::Cli { word: "ping", .. }), "{error}");
    bed.at.unit = Some("pm2-test.service".into());
    assert!(matches!(ensure_daemon(&bed.at, &RunBy::child()).await, Err(SteerError::UseUnit(_))));
    assert!(matches!(look(&bed.at).await.daemon, DaemonSeen::Absent { .. }));
}

/// A wave over one connection: what is asked at the same time shares its lists.
#[tokio::test]
async fn waves_stop_and_start_together() {
    const COUNT: usize = 24;
    let Some(bed) = Testbed::new() else { return };
    let server = bed.script("server.js", SERVER);
    ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    let steer = Steer::connect(&bed.at).await.unwrap();
    let recipes: Vec<Recipe> = (0..COUNT).map(|n| bed.recipe(&format!("a{n}"), &server, &json!({}))).collect();
    let registered = futures_util::future::join_all(recipes.iter().map(|recipe| steer.register(recipe))).await;
    let registered: Vec<App> = registered.into_iter().map(Result::unwrap).collect();
    let numbers: std::collections::BTreeSet<_> = registered.iter().map(|app| app.pm_id).collect();
    assert_eq!(numbers.len(), COUNT, "each has a number of its own");
    let started = futures_util::future::join_all(registered.iter().map(|app| steer.start_registered(app))).await;
    let pids: std::collections::BTreeSet<_> = started.into_iter().map(|app| app.unwrap().pid.unwrap()).collect();
    assert_eq!(pids.len(), COUNT);
    // Starting what runs must not restart it.
    let again = futures_util::future::join_all(registered.iter().map(|app| steer.start_registered(app))).await;
    assert!(again.into_iter().all(|app| app.is_ok_and(|app| pids.contains(&app.pid.unwrap()) && app.restarts == 0)));
    let stopped = futures_util::future::join_all(registered.iter().map(|app| steer.stop_app(app))).await;
    assert!(stopped.into_iter().all(|app| app.is_ok_and(|app| app.status == Status::Stopped)));
    assert!(!pids.iter().any(|pid| procs::alive(*pid)));
}
