//! One app as a daemon lists it, without its environment: the facts that may be shown, compared and journaled.
//!
//! Field names of the daemon are those of `getMonitorData`. Every text is tamed and bounded on entry, every number may be
//! absent, because the list is written by another program, in versions 4 to 7, about processes of another user.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::PmId;
use crate::host::foreign::tame;

const NAME_MAX: usize = 200;
const PATH_MAX: usize = 1024;
const ARGS_MAX: usize = 64;

/// Which app this is, across daemons and reboots. A name alone is not unique, a [`PmId`] does not last.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AppKey {
    /// PM2 namespace, `default` unless set.
    pub namespace: String,
    /// Name as shown by `pm2 ls`.
    pub name: String,
    /// The instance variable (`NODE_APP_INSTANCE` or what the app renamed it to).
    pub instance: Option<u32>,
    /// `pm_exec_path`.
    pub script: String,
    /// Position among apps that are equal in everything above, in the order of their numbers.
    pub ordinal: u32,
}

/// What the daemon says of an app. `Online` proves nothing: ask `back`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// `online`.
    Online,
    /// `launching`.
    Launching,
    /// `stopping`.
    Stopping,
    /// `stopped`.
    Stopped,
    /// `errored`: given up by the daemon.
    Errored,
    /// `waiting restart`: dead, with a restart delay running.
    WaitingRestart,
    /// `one-launch-status`.
    OneLaunch,
    /// Anything else, tamed.
    Other(String),
}

impl Status {
    /// The status behind PM2's word for it.
    #[must_use]
    pub fn read(word: &str) -> Self {
        match word {
            "online" => Self::Online,
            "launching" => Self::Launching,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            "errored" => Self::Errored,
            "waiting restart" => Self::WaitingRestart,
            "one-launch-status" => Self::OneLaunch,
            other => Self::Other(tame(other, 40)),
        }
    }

    /// PM2's word.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Online => "online",
            Self::Launching => "launching",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Errored => "errored",
            Self::WaitingRestart => "waiting restart",
            Self::OneLaunch => "one-launch-status",
            Self::Other(word) => word,
        }
    }
}

/// How an app ended last, as far as the daemon kept it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// Exit code; PM2 records 0 for a death by signal as well.
    Code(i64),
    /// A word instead of a number: a signal's name, tamed.
    Word(String),
}

/// See the module. Times are milliseconds since the epoch, durations milliseconds, as PM2 keeps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct App {
    /// Identity.
    pub key: AppKey,
    /// Number in this daemon; `None` for an app that is only recorded.
    pub pm_id: Option<PmId>,
    /// Process; `None` when the daemon says 0 or nothing.
    pub pid: Option<u32>,
    /// Status as listed.
    pub status: Status,
    /// `restart_time`: restarts counted, asked for or not.
    pub restarts: u64,
    /// `unstable_restarts`: those that came sooner than `min_uptime`.
    pub unstable: u64,
    /// When the app was added or restarted by hand; old values switch the daemon's crash-loop limit off.
    pub created_at: Option<i64>,
    /// `pm_uptime`: when the process of now was started.
    pub uptime_started: Option<i64>,
    /// How the last process ended.
    pub exit_code: Option<Exit>,
    /// `fork_mode` or `cluster_mode`.
    pub exec_mode: String,
    /// The app says `ready` itself.
    pub wait_ready: bool,
    /// How long the daemon waits for that before it calls the app online anyway.
    pub listen_timeout: Option<u64>,
    /// Shortest life that counts as stable.
    pub min_uptime: Option<u64>,
    /// How long a stop may take before the kill.
    pub kill_timeout: Option<u64>,
    /// Backing off: the delay before the next start.
    pub backoff: Option<u64>,
    /// Restarted when it ends.
    pub autorestart: bool,
    /// Started when it is added; `false` keeps it down through every order (PM2 5.4.0 and later).
    pub autostart: bool,
    /// Restarted when files change.
    pub watch: bool,
    /// `cron_restart`, which starts stopped apps, too.
    pub cron: Option<String>,
    /// Working directory.
    pub cwd: String,
    /// Arguments of the script, bounded.
    pub args: Vec<String>,
    /// `node`, a path, or `none` for a binary.
    pub interpreter: String,
    /// Log of stdout.
    pub out_log: String,
    /// Log of stderr.
    pub err_log: String,
    /// A PM2 module (pm2-logrotate …), not one of the operator's apps.
    pub module: bool,
}

/// What an app should be, read from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Wanted {
    /// It should run.
    Online,
    /// It should be listed and not run.
    Stopped,
}

/// The wish behind a status. Running, starting or about to be restarted means online; stopped means stopped; errored was
/// down already, so it is registered as stopped (and reported by whoever compares). `None`: a state that passes or is
/// unknown, or a module: look again, or leave alone.
#[must_use]
pub fn wanted(app: &App) -> Option<Wanted> {
    if app.module {
        return None;
    }
    match app.status {
        Status::Online | Status::Launching | Status::WaitingRestart | Status::OneLaunch => Some(Wanted::Online),
        Status::Stopped | Status::Errored => Some(Wanted::Stopped),
        Status::Stopping | Status::Other(_) => None,
    }
}

impl App {
    /// One entry of `getMonitorData`: `pid`, `pm_id` beside `pm2_env`.
    #[must_use]
    pub fn from_entry(entry: &Value) -> Self {
        let mut app = Self::from_pm2_env(entry.get("pm2_env").unwrap_or(&Value::Null));
        app.pid = entry
            .get("pid")
            .and_then(Value::as_u64)
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0);
        app.pm_id = app
            .pm_id
            .or_else(|| number(entry.get("pm_id")).and_then(|id| PmId::try_from(id).ok()));
        if app.key.name.is_empty() {
            app.key.name = text(entry.get("name"), NAME_MAX);
        }
        app
    }

    /// The facts inside a `pm2_env`; no process.
    #[must_use]
    pub fn from_pm2_env(env: &Value) -> Self {
        let millis = |key: &str| number(env.get(key)).and_then(|n| u64::try_from(n).ok());
        let flag = |key: &str, unset: bool| env.get(key).and_then(Value::as_bool).unwrap_or(unset);
        Self {
            key: key(env),
            pm_id: number(env.get("pm_id")).and_then(|id| PmId::try_from(id).ok()),
            pid: None,
            status: Status::read(env.get("status").and_then(Value::as_str).unwrap_or_default()),
            restarts: millis("restart_time").unwrap_or(0),
            unstable: millis("unstable_restarts").unwrap_or(0),
            created_at: number(env.get("created_at")),
            uptime_started: number(env.get("pm_uptime")),
            exit_code: exit(env.get("exit_code")),
            exec_mode: text(env.get("exec_mode"), 40),
            wait_ready: flag("wait_ready", false),
            listen_timeout: millis("listen_timeout"),
            min_uptime: millis("min_uptime"),
            kill_timeout: millis("kill_timeout"),
            backoff: millis("prev_restart_delay")
                .filter(|delay| *delay > 0)
                .or_else(|| millis("restart_delay")),
            autorestart: flag("autorestart", true),
            autostart: flag("autostart", true),
            watch: watched(env.get("watch")),
            cron: env
                .get("cron_restart")
                .and_then(Value::as_str)
                .filter(|c| !c.is_empty())
                .map(|c| tame(c, NAME_MAX)),
            cwd: text(env.get("pm_cwd"), PATH_MAX),
            args: args(env.get("args")),
            interpreter: text(env.get("exec_interpreter"), PATH_MAX),
            out_log: text(env.get("pm_out_log_path"), PATH_MAX),
            err_log: text(env.get("pm_err_log_path"), PATH_MAX),
            module: flag("pmx_module", false),
        }
    }

    /// Listed as online, yet without a process: the interpreter, the binary or the working directory was not there.
    /// Such a ghost stays online for ever and turns everyone's memory and CPU figures into 0.
    #[must_use]
    pub fn is_ghost(&self) -> bool {
        self.status == Status::Online && self.pid.is_none()
    }

    /// Whether the status is one that passes by itself.
    #[must_use]
    pub fn in_transition(&self) -> bool {
        matches!(self.status, Status::Stopping | Status::Launching)
    }

    /// How long a start may go unanswered: `listen_timeout` and 5 s, at least 10 s.
    #[must_use]
    pub fn start_deadline(&self) -> Duration {
        patience(
            self.listen_timeout
                .filter(|_| self.wait_ready || self.exec_mode == "cluster_mode"),
        )
    }

    /// How long a stop may go unanswered: `kill_timeout` and 5 s, at least 10 s.
    #[must_use]
    pub fn stop_deadline(&self) -> Duration {
        patience(self.kill_timeout)
    }
}

fn patience(millis: Option<u64>) -> Duration {
    let own = Duration::from_millis(millis.unwrap_or(0).min(3_600_000)) + Duration::from_secs(5);
    own.max(Duration::from_secs(10))
}

/// Every app of a list, in the order of their numbers, equal ones told apart by [`AppKey::ordinal`]. Modules included.
#[must_use]
pub fn apps(entries: &[Value]) -> Vec<App> {
    let mut apps: Vec<App> = entries.iter().map(App::from_entry).collect();
    apps.sort_by_key(|app| app.pm_id);
    number_equals(&mut apps);
    apps
}

/// Gives equal keys their ordinals, in the order of the slice.
pub fn number_equals(apps: &mut [App]) {
    let mut seen: HashMap<AppKey, u32> = HashMap::new();
    for app in apps {
        app.key.ordinal = 0;
        let count = seen.entry(app.key.clone()).or_insert(0);
        app.key.ordinal = *count;
        *count += 1;
    }
}

fn key(env: &Value) -> AppKey {
    let variable = env
        .get("instance_var")
        .and_then(Value::as_str)
        .unwrap_or("NODE_APP_INSTANCE");
    let instance = env
        .get(variable)
        .or_else(|| env.get("env").and_then(|inner| inner.get(variable)));
    let namespace = text(env.get("namespace"), NAME_MAX);
    AppKey {
        namespace: if namespace.is_empty() {
            "default".to_owned()
        } else {
            namespace
        },
        name: text(env.get("name"), NAME_MAX),
        instance: number(instance).and_then(|n| u32::try_from(n).ok()),
        script: text(env.get("pm_exec_path"), PATH_MAX),
        ordinal: 0,
    }
}

fn text(value: Option<&Value>, max: usize) -> String {
    match value {
        Some(Value::String(text)) => tame(text, max),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// A whole number, also where PM2 or an ecosystem file wrote it as text.
#[expect(
    clippy::cast_possible_truncation,
    reason = "JavaScript numbers; a fraction of a millisecond is no loss"
)]
fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn exit(value: Option<&Value>) -> Option<Exit> {
    match value? {
        Value::String(word) => Some(word.parse().map_or_else(|_| Exit::Word(tame(word, 40)), Exit::Code)),
        other => number(Some(other)).map(Exit::Code),
    }
}

fn watched(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(on)) => *on,
        Some(Value::Array(paths)) => !paths.is_empty(),
        Some(Value::String(path)) => !path.is_empty(),
        _ => false,
    }
}

fn args(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(all)) => all.iter().take(ARGS_MAX).map(|arg| text(Some(arg), NAME_MAX)).collect(),
        Some(Value::String(one)) => vec![tame(one, PATH_MAX)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::recipe::tests::pm2_env;
    use super::*;

    #[test]
    fn an_entry_becomes_facts_without_environment() {
        let app = App::from_entry(&json!({ "pid": 4711, "name": "a", "pm_id": 7, "pm2_env": pm2_env("a") }));
        assert_eq!(
            (app.pm_id, app.pid, &app.status, app.restarts),
            (Some(7), Some(4711), &Status::Online, 9)
        );
        assert_eq!(app.key.instance, Some(0));
        assert_eq!(app.key.script, "/srv/a/index.js");
        let written = serde_json::to_string(&app).unwrap();
        assert!(!written.contains("s3cret"));
        assert_eq!(serde_json::from_str::<App>(&written).unwrap(), app);
    }

    #[test]
    fn wishes_follow_the_policy() {
        let cases = [
            ("online", Some(Wanted::Online)),
            ("launching", Some(Wanted::Online)),
            ("waiting restart", Some(Wanted::Online)),
            ("one-launch-status", Some(Wanted::Online)),
            ("stopped", Some(Wanted::Stopped)),
            ("errored", Some(Wanted::Stopped)),
            ("stopping", None),
            ("dancing\x1b[m", None),
        ];
        for (word, expected) in cases {
            let app = App::from_pm2_env(&json!({ "name": "a", "status": word }));
            assert_eq!(wanted(&app), expected, "{word}");
        }
        assert_eq!(
            wanted(&App::from_pm2_env(
                &json!({ "name": "m", "status": "online", "pmx_module": true })
            )),
            None
        );
    }

    #[test]
    fn ghosts_are_online_without_a_process() {
        for pid in [Value::Null, json!(0)] {
            let mut entry = json!({ "pm_id": 1, "pm2_env": { "name": "g", "status": "online" } });
            if !pid.is_null() {
                entry["pid"] = pid;
            }
            assert!(App::from_entry(&entry).is_ghost());
        }
        assert!(!App::from_entry(&json!({ "pid": 9, "pm2_env": { "status": "online" } })).is_ghost());
    }

    #[test]
    fn equal_apps_are_told_apart_in_the_order_of_their_numbers() {
        let entry = |id: u32| json!({ "pm_id": id, "pm2_env": pm2_env("twin") });
        let mut second = entry(2);
        second["pm2_env"]["pm_id"] = json!(2);
        let all = apps(&[second, entry(1)]);
        let order: Vec<_> = all.iter().map(|app| (app.pm_id, app.key.ordinal)).collect();
        assert_eq!(order, [(Some(2), 0), (Some(7), 1)]);
    }

    #[test]
    fn odd_values_do_no_harm() {
        let odd = json!({ "name": 7, "status": 3, "NODE_APP_INSTANCE": "2", "args": "x y", "exit_code": "SIGKILL",
                          "watch": ["src"], "restart_time": -4, "cron_restart": 0, "min_uptime": "2000" });
        let app = App::from_pm2_env(&odd);
        assert_eq!(
            (app.key.name.as_str(), app.key.instance, app.restarts),
            ("7", Some(2), 0)
        );
        assert_eq!(
            (app.exit_code, app.watch, app.min_uptime),
            (Some(Exit::Word("SIGKILL".into())), true, Some(2000))
        );
        assert_eq!(App::from_entry(&json!(5)).key.namespace, "default");
        let long = App::from_pm2_env(&json!({ "name": "\u{1b}[2J".repeat(400) }));
        assert!(long.key.name.len() < 3000 && !long.key.name.contains('\u{1b}'));
    }
}
