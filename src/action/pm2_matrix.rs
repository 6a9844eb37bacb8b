//! Every way in which an app can fail to come back, on real PM2 of four versions: one daemon each, all faults at once, and
//! for each app the words that an operator needs. The numbers are those of the failure modes in PM2's field notes.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::act::{Act, Ground, Outcome};
use super::inventory::{Inventory, Pm2Place};
use super::kept::Kept;
use super::pm2_restored::Pm2Restored;
use super::pm2_saved::Pm2Saved;
use super::pm2_stopped::Pm2Stopped;
use super::process_list::names;
use crate::host::local::LocalHost;
use crate::host::pm2::testbed::Testbed;
use crate::host::pm2::{self, App, RunBy, Status, Steer};
use crate::host::{Facts, Host, Probe, clock};

const SERVER: &str = "setInterval(() => {}, 1 << 30)";
/// Runs well until the file `fault` lies beside it.
const FLAKY: &str =
    "require('fs').existsSync(__dirname + '/fault') && (() => { BREAK })(); setInterval(() => {}, 1 << 30)";

/// What is to be seen of an app after the restore.
#[derive(Clone, Copy)]
enum Seen {
    /// It runs.
    Back,
    /// It is not back, and the outcome and its evidence hold these words.
    Lost(&'static str),
    /// It lives, is not back, and the outcome holds these words.
    Mute(&'static str),
    /// It was stopped, and is.
    Down,
}

/// One app: its name with the failure mode's number, its code, its settings, what is to be seen.
struct Case(&'static str, String, Value, Seen);

fn flaky(how: &str) -> String {
    FLAKY.replace("BREAK", how)
}

#[expect(clippy::too_many_lines, reason = "a table, one line for each failure mode")]
fn cases(dir: &Path, version: &str) -> Vec<Case> {
    let gone = |what: &str| dir.join("gone").join(what);
    let old = version.starts_with("4.");
    let ready = |wait: u64| format!("setTimeout(() => process.send('ready'), {wait}); {SERVER}");
    let code = || flaky("console.error('\\u001b[31mbad luck\\u001b[0m ' + 'x'.repeat(999)); process.exit(7)");
    vec![
        Case("well", SERVER.into(), json!({}), Seen::Back),
        Case("f1-loop", code(), json!({}), Seen::Lost("bad luck")),
        Case("f1b-old-dump", code(), json!({ "created_at": 5 }), Seen::Lost("crash loop")),
        Case("f2-backoff", code(), json!({ "exp_backoff_restart_delay": 150 }), Seen::Lost("backing off")),
        Case("f3-delay", code(), json!({ "restart_delay": 400 }), Seen::Lost("backing off, next try in 400 ms")),
        Case(
            "f4-never-ready",
            format!("require('fs').existsSync(__dirname + '/fault') || process.send('ready'); {SERVER}"),
            json!({ "wait_ready": true, "listen_timeout": 800 }),
            Seen::Mute("never said `ready`"),
        ),
        Case("f5-ready", ready(300), json!({ "wait_ready": true }), Seen::Back),
        Case("f5-late", ready(2_000), json!({ "wait_ready": true, "listen_timeout": 800 }), Seen::Back),
        Case(
            "f6-dies-before-ready",
            flaky("setTimeout(() => process.exit(4), 200)") + ";process.send('ready')",
            json!({ "wait_ready": true, "autorestart": false, "kill_timeout": 500 }),
            Seen::Lost("ended with 4"),
        ),
        Case(
            "f7-port",
            flaky("throw new Error('listen EADDRINUSE: address already in use :::3000')"),
            json!({}),
            Seen::Lost("port is in use"),
        ),
        Case("f8-module", flaky("require('no-such-module')"), json!({}), Seen::Lost("a module of it is missing")),
        Case("f8-script", SERVER.into(), json!({ "pm_exec_path": gone("app.js") }), Seen::Lost("its script")),
        Case("f9-folder", SERVER.into(), json!({ "pm_cwd": gone("") }), Seen::Lost("its working directory")),
        Case(
            "f10-interpreter",
            SERVER.into(),
            json!({ "exec_interpreter": gone("node") }),
            Seen::Lost("its interpreter"),
        ),
        Case("f12-logs", SERVER.into(), json!({ "pm_out_log_path": gone("out.log") }), Seen::Lost("its log directory")),
        Case("f13-autostart", SERVER.into(), json!({ "autostart": old }), Seen::Back),
        Case(
            "f14-once",
            flaky("process.exit(0)"),
            json!({ "autorestart": false }),
            Seen::Lost("ended with 0 and does not restart"),
        ),
        Case("f14-once-bad", flaky("process.exit(9)"), json!({ "autorestart": false }), Seen::Lost("ended with 9")),
        Case("f15-cron", SERVER.into(), json!({ "cron_restart": "0 3 1 1 *", "status": "stopped" }), Seen::Down),
        Case("f16-twin", SERVER.into(), json!({}), Seen::Back),
        Case("f16-twin", SERVER.into(), json!({}), Seen::Back),
        Case("f17-cluster", code(), json!({ "exec_mode": "cluster_mode" }), Seen::Lost("crash loop")),
        Case("f18-instances", SERVER.into(), json!({ "instances": 3 }), Seen::Back),
        Case("f20-watched", SERVER.into(), json!({ "watch": true, "pm_cwd": dir.join("watched") }), Seen::Back),
        Case("f29-place", SERVER.into(), json!({ "namespace": "eu" }), Seen::Back),
        Case("f29-place", SERVER.into(), json!({ "namespace": "us" }), Seen::Back),
        Case(
            "killed",
            flaky("process.kill(process.pid, 'SIGKILL')"),
            json!({ "autorestart": false }),
            Seen::Lost("does not restart"),
        ),
        Case("stopped", SERVER.into(), json!({ "status": "stopped" }), Seen::Down),
    ]
}

/// What was there before, with the run's memory of it.
struct Window {
    bed: Testbed,
    inventory: Inventory,
    kept: Kept,
    facts: Facts,
    host: LocalHost,
}

impl Window {
    fn new(bed: Testbed) -> Self {
        let at = &bed.at;
        let place = Pm2Place {
            user: at.user.clone(),
            home: at.home.clone(),
            unit: None,
            cli: at.cli.clone(),
            boot: super::inventory::AtBoot::Registers,
            groups: Vec::new(),
        };
        let inventory = Inventory { pm2: IndexMap::from([("services".into(), place)]), ..Inventory::default() };
        let facts = Facts::new(clock::now(), 0.0);
        Self { inventory, kept: Kept::new(), facts, host: LocalHost::new(None), bed }
    }

    /// Does one step and says how each item ended.
    async fn step(&mut self, act: &impl Act, step: &str) -> BTreeMap<String, Outcome> {
        let ground = Ground {
            run_dir: self.bed.path(),
            judged_later: Some(1_000),
            ..Ground::of_a_test(&self.inventory, &self.kept, &self.facts, step)
        };
        let on: &dyn Host = &self.host;
        let seen = act.probe(on.as_probe(), &ground).await.unwrap();
        let change = act.plan(&seen, &ground);
        let mut ended = BTreeMap::new();
        for wave in 0..change.waves.len().max(1) {
            let items = change.items.iter().filter(|item| item.wave == wave);
            let all = items.map(async |item| (item.key.clone(), act.apply(item, on, &ground, &|_| {}).await));
            ended.extend(futures_util::future::join_all(all).await);
        }
        for outcome in ended.values() {
            if let Outcome::Applied { keep, .. } = outcome {
                self.kept.extend(keep.clone());
            }
        }
        ended
    }
}

/// Runs everything well, takes it down, breaks it, and brings it back.
async fn matrix(version: &str) {
    let Some(bed) = Testbed::version(version) else { return };
    let dir = bed.path().to_owned();
    for sub in ["gone", "watched"] {
        std::fs::create_dir(dir.join(sub)).unwrap();
    }
    std::fs::write(dir.join("gone/app.js"), SERVER).unwrap();
    std::os::unix::fs::symlink(pm2::testbed::node(), dir.join("gone/node")).unwrap();
    pm2::ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    let steer = Steer::connect(&bed.at).await.unwrap();
    let cases = cases(&dir, steer.daemon().version.as_str());
    add(&bed, &steer, &cases).await;
    drop(steer);

    let mut window = Window::new(bed);
    let place = || "services".to_owned();
    let before = began(&window, cases.len()).await;
    let saved = window.step(&Pm2Saved { pm2: place(), allow_fewer: true }, "save/1").await;
    assert!(saved.values().all(|outcome| matches!(outcome, Outcome::Applied { .. })), "{version}: {saved:?}");
    let stopped = window.step(&Pm2Stopped { pm2: place() }, "stop/1").await;
    assert!(stopped.values().all(|outcome| *outcome == Outcome::applied()), "{version}: {stopped:?}");
    pm2::kill_daemon(&window.bed.at, &RunBy::child()).await.unwrap();
    std::fs::write(dir.join("fault"), "").unwrap();
    std::fs::remove_dir_all(dir.join("gone")).unwrap();
    window.bed.pm2("resurrect").await;

    let ended = window.step(&Pm2Restored { pm2: place(), ..Pm2Restored::default() }, "restore/1").await;
    let on: &dyn Probe = &window.host;
    let now = on.pm2_list(&window.bed.at).await.unwrap().apps;
    let mut wrong = Vec::new();
    for ((case, app), name) in cases.iter().zip(&before).zip(names(&before)) {
        let here = now.iter().find(|now| now.key == app.key);
        wrong.extend(judge(case, &name, here, &ended).map(|why| format!("{}: {why}", case.0)));
    }
    assert_eq!(now.len(), cases.len(), "{version}: nothing is lost from the list");
    assert!(wrong.is_empty(), "PM2 {version}:\n{}", wrong.join("\n"));
}

/// Adds the apps as they were in good times.
async fn add(bed: &Testbed, steer: &Steer, cases: &[Case]) {
    for (n, Case(name, code, settings, _)) in cases.iter().enumerate() {
        let script = bed.script(&format!("{n}.js"), code);
        let recipe = bed.recipe(name, &script, settings);
        let added = match settings.get("status") {
            Some(_) => steer.register(&recipe).await.map(drop),
            None if settings.get("autostart") == Some(&json!(false)) => {
                let app = steer.register(&recipe).await.unwrap();
                steer.start_registered(&app).await.map(drop)
            }
            None => steer.start_new(&recipe).await.map(drop),
        };
        added.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// The list once everything that is to run does.
async fn began(window: &Window, count: usize) -> Vec<App> {
    let on: &dyn Probe = &window.host;
    let mut apps = Vec::new();
    for _ in 0..20 {
        apps = on.pm2_list(&window.bed.at).await.unwrap().apps.to_vec();
        if apps.iter().all(|app| matches!(app.status, Status::Online | Status::Stopped)) {
            break;
        }
    }
    assert_eq!(apps.len(), count);
    apps
}

fn judge(case: &Case, label: &str, now: Option<&App>, ended: &BTreeMap<String, Outcome>) -> Option<String> {
    let Some(now) = now else { return Some("it is lost from the list".into()) };
    let outcome = ended.get(label);
    let runs = now.pid.is_some_and(pm2::procs::alive) && now.status == Status::Online;
    match (case.3, outcome) {
        (Seen::Back, Some(Outcome::Applied { .. })) if runs => None,
        (Seen::Down, None) if !runs => None,
        (Seen::Lost(words), Some(Outcome::Failed { why, causes })) => {
            let said = format!("{why}\n{}", causes.join("\n"));
            let tame = !said.contains('\u{1b}') && causes.len() < 20 && causes.iter().all(|line| line.len() < 420);
            let good = said.contains(words) && tame && !runs;
            (!good).then(|| format!("wanted `{words}`, seen {:?}, said {said}", now.status))
        }
        (Seen::Mute(words), Some(Outcome::Failed { why, .. })) if runs && why.contains(words) => None,
        (_, outcome) => Some(format!("{:?}, {outcome:?}", now.status)),
    }
}

#[tokio::test]
async fn each_failure_is_told_as_what_it_is() {
    let versions = if pm2::testbed::hard() { &["7", "6.0.14", "5.4.3", "4.5.6"][..] } else { &["7"][..] };
    // Side by side: each of them mostly waits.
    futures_util::future::join_all(versions.iter().map(|version| matrix(version))).await;
}

/// F24, F27: what must not be steered is refused before anything is touched; F21, F22, F23, F25, F26, F28: the lab beside
/// the connector has those.
#[tokio::test]
async fn a_second_daemon_is_seen_and_refused() {
    let Some(bed) = Testbed::version("7") else { return };
    pm2::ensure_daemon(&bed.at, &RunBy::child()).await.unwrap();
    let server = bed.script("server.js", SERVER);
    let steer = Steer::connect(&bed.at).await.unwrap();
    steer.start_new(&bed.recipe("a", &server, &json!({}))).await.unwrap();
    drop(steer);
    // A daemon that lost its socket to a later one: what two commands at once on a cold home leave behind.
    std::fs::rename(bed.at.rpc_socket(), bed.path().join("rpc.sock.first")).unwrap();
    std::fs::rename(bed.at.pub_socket(), bed.path().join("pub.sock.first")).unwrap();
    let again = pm2::ensure_daemon(&bed.at, &RunBy::child()).await;
    assert!(
        again.is_err_and(|error| error.to_string().contains("daemons without a socket")),
        "no second daemon is started"
    );
    let _one_more = bed.pm2("ping").await;
    let mut window = Window::new(bed);
    let ground_on: &dyn Probe = &window.host;
    assert_eq!(ground_on.pm2(&window.bed.at).await.unwrap().twins.len(), 1);
    let saved = window.step(&Pm2Saved { pm2: "services".into(), allow_fewer: true }, "save/1").await;
    let refused =
        |outcome: &Outcome| matches!(outcome, Outcome::Failed { why, .. } if why.contains("further PM2 daemons"));
    assert!(saved.values().all(refused), "{saved:?}");
}
