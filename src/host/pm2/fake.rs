//! A scripted daemon for tests: it says exactly what a test tells it to, in the order and with the faults it asks for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::amp::{Decoder, as_json, as_text, encode, json_arg, text_arg};
use super::place::Pm2At;
use super::recipe::tests::pm2_env;
use super::*;

/// What the daemon does with one call.
#[derive(Debug, Clone)]
enum Play {
    Answer(Value),
    /// The whole body of the answer.
    Body(Value),
    Later(u64, Value),
    Fail(Value),
    Silence,
    HangUp,
    HalfAnswer,
    Garbage,
}

type Script = Arc<dyn Fn(&str, &Value) -> Play + Send + Sync>;

struct Fake {
    dir: TempDir,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Fake {
    fn start(script: impl Fn(&str, &Value) -> Play + Send + Sync + 'static) -> Self {
        let dir = tempfile::Builder::new().prefix("rbf-").tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(dir.path().join("rpc.sock")).unwrap();
        let calls: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (script, seen): (Script, _) = (Arc::new(script), Arc::clone(&calls));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { dir, calls }
    }

    fn at(&self) -> Pm2At {
        Pm2At { user: "no-such-user".into(), home: self.dir.path().into(), unit: None, cli: None }
    }

    fn called(&self, method: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(name, _)| name == method).count()
    }
}

async fn serve(stream: UnixStream, script: Script, calls: Arc<Mutex<Vec<(String, Value)>>>) {
    let (mut read, mut write) = stream.into_split();
    let (send, mut out) = mpsc::unbounded_channel::<(Vec<u8>, bool)>();
    tokio::spawn(async move {
        while let Some((bytes, close)) = out.recv().await {
            // Odd sizes, so that frames never arrive in one read.
            for part in bytes.chunks(7_919) {
                if write.write_all(part).await.is_err() {
                    return;
                }
            }
            if close {
                return drop(write.shutdown().await);
            }
        }
    });
    let (mut decoder, mut bytes) = (Decoder::default(), vec![0u8; 1 << 16]);
    while let Ok(count @ 1..) = read.read(&mut bytes).await {
        decoder.push(&bytes[..count]);
        while let Some(args) = decoder.next_frame().unwrap() {
            let (call, id) = (as_json(&args[0]).unwrap(), as_text(&args[1]).unwrap().to_owned());
            let name = call.get("method").unwrap_or(&call["type"]);
            let (method, given) = (name.as_str().unwrap().to_owned(), call["args"].clone());
            calls.lock().unwrap().push((method.clone(), given.clone()));
            play(script(&method, &given), id, send.clone());
        }
    }
}

fn play(play: Play, id: String, send: mpsc::UnboundedSender<(Vec<u8>, bool)>) {
    let frame = |body: &Value| encode(&[&json_arg(body), &text_arg(&id)]).unwrap();
    let good = |value: &Value| frame(&json!({ "args": [value] }));
    drop(match play {
        Play::Answer(value) => send.send((good(&value), false)),
        Play::Body(value) => send.send((frame(&value), false)),
        Play::Fail(error) => send.send((frame(&json!({ "error": error })), false)),
        Play::HangUp => send.send((Vec::new(), true)),
        Play::HalfAnswer => send.send((good(&json!("x".repeat(100)))[..50].to_vec(), true)),
        Play::Garbage => send.send((encode(&[b"j:{\"args\":", &text_arg(&id)]).unwrap(), false)),
        Play::Silence => Ok(()),
        Play::Later(millis, value) => {
            let bytes = good(&value);
            tokio::spawn(async move {
                pause(Duration::from_millis(millis)).await;
                send.send((bytes, false))
            });
            Ok(())
        }
    });
}

fn entry(name: &str, id: u32, pid: Option<u32>, status: &str) -> Value {
    let mut env = pm2_env(name);
    env["pm_id"] = json!(id);
    env["status"] = json!(status);
    let mut entry = json!({ "name": name, "pm_id": id, "pm2_env": env });
    if let Some(pid) = pid {
        entry["pid"] = json!(pid);
    }
    entry
}

/// The part of every daemon that is not under test.
fn civil(method: &str, apps: &Value) -> Play {
    match method {
        "ping" => Play::Answer(json!({ "msg": "pong" })),
        "getVersion" => Play::Answer(json!("7.0.4")),
        "getReport" => Play::Answer(json!({ "node_version": "20.20.2", "argv": ["node", "/nowhere/lib/Daemon.js"] })),
        "getMonitorData" => Play::Answer(apps.clone()),
        _ => Play::Fail(json!("unexpected")),
    }
}

#[tokio::test]
async fn a_version_nobody_knows_is_asked_for_its_methods() {
    let all =
        ["ping", "getVersion", "getMonitorData", "prepare", "startProcessId", "restartProcessId", "stopProcessId"];
    for (version, lacks_one, asked, full) in
        [("7.0.4", true, 0, true), ("9.1.0", false, 1, true), ("9.1.0", true, 1, false), ("3.5.1", false, 0, false)]
    {
        let mut methods = json!({});
        all.iter().for_each(|name| methods[*name] = json!({ "name": name, "params": [] }));
        if !lacks_one {
            methods["deleteProcessId"] = json!({});
        }
        let fake = Fake::start(move |method, _| match method {
            "getVersion" => Play::Answer(json!(version)),
            "methods" => Play::Body(json!({ "methods": methods })),
            _ => civil(method, &json!([])),
        });
        let seen = look(&fake.at()).await;
        let up = seen.up().unwrap();
        assert_eq!((fake.called("methods"), up.support() == Support::Full), (asked, full), "{version}: {up:?}");
        let said = seen.advice.iter().any(|advice| advice.seen.contains("newer than"));
        assert_eq!(said, full && asked == 1, "{version}: {:?}", seen.advice);
    }
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let fake = Fake::start(|method, args| match method {
        "stopProcessId" => Play::Later(200 - args[0].as_u64().unwrap() * 10, args[0].clone()),
        _ => Play::Fail(json!("unexpected")),
    });
    let rpc = Rpc::connect(&fake.at()).await.unwrap();
    let requests: Vec<Request> = (0..20).map(Request::StopId).collect();
    let answers = futures_util::future::join_all(requests.iter().map(|request| rpc.call(request))).await;
    for (id, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, Ok(json!(id)));
    }
}

#[tokio::test]
async fn a_missing_answer_is_unknown_and_the_connection_lives_on() {
    let fake = Fake::start(|method, args| match (method, args[0].as_u64()) {
        ("stopProcessId", Some(1)) => Play::Silence,
        ("stopProcessId", Some(2)) => Play::Later(150, json!("late")),
        _ => civil(method, &json!([])),
    });
    let rpc = Rpc::connect(&fake.at()).await.unwrap();
    let short = Duration::from_millis(50);
    for id in [1, 2] {
        let outcome = rpc.call_within(&Request::StopId(id), short).await;
        assert!(matches!(outcome, Err(RpcError::Unknown { method: "stopProcessId", .. })), "{outcome:?}");
    }
    pause(Duration::from_millis(200)).await;
    assert_eq!(rpc.call(&Request::Version).await, Ok(json!("7.0.4")), "a late answer must not be taken for another's");
}

#[tokio::test]
async fn a_daemon_that_goes_away_leaves_the_outcome_unknown() {
    for (fault, word) in
        [(Play::HangUp, "closed"), (Play::HalfAnswer, "inside an answer"), (Play::Garbage, "could not be read")]
    {
        let fake = Fake::start(move |_, _| fault.clone());
        let rpc = Rpc::connect(&fake.at()).await.unwrap();
        let outcome = rpc.call(&Request::DeleteId(1)).await;
        assert!(matches!(&outcome, Err(RpcError::Unknown { why, .. }) if why.contains(word)), "{outcome:?}");
        if word != "could not be read" {
            let after = rpc.call(&Request::Ping).await;
            assert!(matches!(after, Err(RpcError::NotSent { .. })), "{after:?}");
        }
    }
}

#[tokio::test]
async fn refusals_are_tamed_with_and_without_a_stack() {
    let fake = Fake::start(|method, _| match method {
        "ping" => Play::Fail(json!("no \u{1b}[31mred")),
        "getVersion" => Play::Fail(json!({ "code": 7 })),
        _ => Play::Answer(Value::Null),
    });
    let rpc = Rpc::connect(&fake.at()).await.unwrap();
    let said = |outcome: Result<Value, RpcError>| match outcome {
        Err(RpcError::Refused { message, .. }) => message.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(said(rpc.call(&Request::Ping).await), "no \\u{1b}[31mred");
    assert_eq!(said(rpc.call(&Request::Version).await), "{\"code\":7}");
    assert_eq!(rpc.call(&Request::Report).await, Ok(Value::Null));
}

#[tokio::test]
async fn a_large_list_arrives_whole() {
    let entries: Vec<Value> = (0..150)
        .map(|id| {
            let mut entry = entry(&format!("app-{id}"), id, Some(1000 + id), "online");
            entry["pm2_env"]["env"]["BLOB"] = json!("x".repeat(5_000));
            entry
        })
        .collect();
    let apps = json!(entries);
    assert!(apps.to_string().len() > 800_000);
    let fake = Fake::start(move |method, _| civil(method, &apps));
    let seen = look(&fake.at()).await;
    assert_eq!(seen.apps.len(), 150);
    assert_eq!(seen.up().map(|up| (up.version.as_str(), up.pid)), Some(("7.0.4", Some(std::process::id()))));
    assert!(!serde_json::to_string(&seen).unwrap().contains("s3cret"));
}

#[tokio::test]
async fn ghosts_and_passing_states_prevent_a_snapshot() {
    let cases = [
        (entry("ghost", 1, None, "online"), "without a process"),
        (entry("slow", 1, Some(9), "stopping"), "transition"),
    ];
    for (app, word) in cases {
        let apps = json!([app]);
        let fake = Fake::start(move |method, _| civil(method, &apps));
        let dir = tempfile::tempdir().unwrap();
        let error = snapshot::take(&fake.at(), dir.path(), &Terms::default()).await.unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_lost_stop_is_settled_by_the_list_and_never_repeated() {
    let stopped = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let state = Arc::clone(&stopped);
    let fake = Fake::start(move |method, _| {
        use std::sync::atomic::Ordering::SeqCst;
        let down = state.load(SeqCst);
        let apps = json!([entry("a", 4, (!down).then_some(77), if down { "stopped" } else { "online" })]);
        if method == "stopProcessId" {
            state.store(true, SeqCst);
            return Play::Garbage;
        }
        civil(method, &apps)
    });
    let steer = Steer::connect(&fake.at()).await.unwrap();
    let app = steer.list().await.unwrap()[0].clone();
    assert_eq!(steer.stop_app(&app).await.unwrap().status, Status::Stopped);
    assert_eq!(steer.stop_app(&app).await.unwrap().status, Status::Stopped);
    assert_eq!(fake.called("stopProcessId"), 1);
}

/// PM2 answers "stopped" to a stop that comes between the end of an app and its next start, and starts it all the same.
#[tokio::test]
async fn a_stop_that_came_between_two_lives_is_repeated() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let told = AtomicUsize::new(0);
    let listed = move |pid: Option<u32>, status: &str| {
        let mut app = entry("a", 4, pid, status);
        app["pm2_env"]["restart_time"] = json!(5);
        app["pm2_env"]["pm_uptime"] = json!(crate::host::clock::now().as_millisecond());
        app
    };
    let fake = Fake::start(move |method, _| match method {
        "stopProcessId" => {
            told.fetch_add(1, SeqCst);
            Play::Answer(listed(None, "stopped"))
        }
        "getMonitorData" => {
            let gone = told.load(SeqCst) > 1;
            let app = if gone { listed(None, "stopped") } else { listed(Some(u32::MAX), "online") };
            Play::Answer(json!([app]))
        }
        _ => civil(method, &json!([])),
    });
    let steer = Steer::connect(&fake.at()).await.unwrap();
    let app = steer.list().await.unwrap()[0].clone();
    assert_eq!(steer.stop_app(&app).await.unwrap().status, Status::Stopped);
    assert_eq!(fake.called("stopProcessId"), 2);
}

#[tokio::test]
async fn what_the_list_does_not_settle_stays_unknown() {
    let apps = json!([entry("a", 4, Some(77), "online")]);
    let fake = Fake::start(move |method, _| match method {
        "stopProcessId" | "prepare" => Play::Garbage,
        _ => civil(method, &apps),
    });
    let steer = Steer::connect(&fake.at()).await.unwrap();
    let app = steer.list().await.unwrap()[0].clone();
    let recipe = Recipe::from_pm2_env(&pm2_env("b")).unwrap();
    let (stop, register) = tokio::join!(steer.stop_app(&app), steer.register(&recipe));
    assert!(matches!(stop, Err(SteerError::Unknown { .. })), "{stop:?}");
    assert!(matches!(register, Err(SteerError::Unknown { .. })), "{register:?}");
    assert_eq!((fake.called("stopProcessId"), fake.called("prepare")), (1, 1));
    let mut other = app.clone();
    other.key.name = "z".into();
    assert!(matches!(steer.stop_app(&other).await, Err(SteerError::Moved(_))));
}

#[tokio::test]
async fn a_dying_daemon_says_so() {
    let apps = json!([entry("a", 4, None, "stopped")]);
    let fake = Fake::start(move |method, _| match method {
        "restartProcessId" => {
            Play::Fail(json!("[RestartProcessId] PM2 is being killed, stopping restart procedure..."))
        }
        _ => civil(method, &apps),
    });
    let steer = Steer::connect(&fake.at()).await.unwrap();
    let app = steer.list().await.unwrap()[0].clone();
    assert_eq!(steer.start_registered(&app).await, Err(SteerError::Dying));
    let mute = Fake::start(|_, _| Play::HangUp);
    assert!(matches!(look(&mute.at()).await.daemon, DaemonSeen::Dying { .. }));
}
