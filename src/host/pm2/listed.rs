//! Reading a daemon's list into [`App`]s. Field names are those of `getMonitorData` (PM2 4 to 7). Every text is tamed and
//! bounded here; a field of another type than expected counts as absent, because one odd app must not hide the others.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::app::{App, AppKey, Exit, Status};
use super::request::PmId;
use crate::host::foreign::named;

const NAME_MAX: usize = 200;
const PATH_MAX: usize = 1024;

impl App {
    /// One entry of `getMonitorData`: `pid`, `pm_id` beside `pm2_env`.
    #[must_use]
    pub fn from_entry(entry: &Value) -> Self {
        let mut app = Self::from_pm2_env(entry.get("pm2_env").unwrap_or(&Value::Null));
        app.pid =
            entry.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        app.pm_id = app.pm_id.or_else(|| number(entry.get("pm_id")).and_then(|id| PmId::try_from(id).ok()));
        if app.key.name.is_empty() {
            app.key.name = text(entry.get("name"), NAME_MAX);
        }
        app
    }

    /// Bytes of all its texts.
    pub(super) fn text_bytes(&self) -> usize {
        let key = &self.key;
        let texts = [
            &key.namespace,
            &key.name,
            &key.script,
            &self.exec_mode,
            &self.cwd,
            &self.interpreter,
            &self.out_log,
            &self.err_log,
            &self.pid_file,
        ];
        texts.into_iter().chain(&self.cron).map(String::len).sum()
    }

    /// The facts inside a `pm2_env`; no process. What is no object says nothing.
    #[must_use]
    pub fn from_pm2_env(env: &Value) -> Self {
        env.as_object().map_or_else(|| Self::from_settings(&Map::new()), Self::from_settings)
    }

    /// The same of the settings in it.
    #[must_use]
    pub fn from_settings(env: &Map<String, Value>) -> Self {
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
            backoff: millis("prev_restart_delay").filter(|delay| *delay > 0).or_else(|| millis("restart_delay")),
            autorestart: flag("autorestart", true),
            autostart: flag("autostart", true),
            watch: watched(env.get("watch")),
            cron: env.get("cron_restart").and_then(Value::as_str).filter(|c| !c.is_empty()).map(|c| named(c, NAME_MAX)),
            cwd: text(env.get("pm_cwd"), PATH_MAX),
            interpreter: text(env.get("exec_interpreter"), PATH_MAX),
            out_log: text(env.get("pm_out_log_path"), PATH_MAX),
            err_log: text(env.get("pm_err_log_path"), PATH_MAX),
            pid_file: text(env.get("pm_pid_path"), PATH_MAX),
            module: flag("pmx_module", false),
        }
    }
}

/// Every app of a list, in the order of their numbers, equal ones told apart by [`AppKey::ordinal`]. Modules included.
#[cfg(any(test, feature = "fuzzing"))]
#[must_use]
pub fn apps(entries: &[Value]) -> Vec<App> {
    let mut apps: Vec<App> = entries.iter().map(App::from_entry).collect();
    apps.sort_by_key(|app| app.pm_id);
    number_equals(&mut apps);
    apps
}

/// Adds an app that the daemon has just taken in, behind those that are equal to it.
pub fn add(apps: &mut Vec<App>, mut new: App) {
    let before = apps.iter().filter(|known| known.key.equals(&new.key)).count();
    new.key.ordinal = u32::try_from(before).unwrap_or(u32::MAX);
    apps.push(new);
}

/// Gives equal keys their ordinals, in the order of the slice.
pub(super) fn number_equals(apps: &mut [App]) {
    let mut seen: HashMap<AppKey, u32> = HashMap::new();
    for app in apps {
        app.key.ordinal = 0;
        let count = seen.entry(app.key.clone()).or_insert(0);
        app.key.ordinal = *count;
        *count += 1;
    }
}

fn key(env: &Map<String, Value>) -> AppKey {
    let variable = env.get("instance_var").and_then(Value::as_str).unwrap_or("NODE_APP_INSTANCE");
    let instance = env.get(variable).or_else(|| env.get("env").and_then(|inner| inner.get(variable)));
    let namespace = text(env.get("namespace"), NAME_MAX);
    AppKey {
        namespace: if namespace.is_empty() { "default".to_owned() } else { namespace },
        name: text(env.get("name"), NAME_MAX),
        instance: number(instance).and_then(|n| u32::try_from(n).ok()),
        script: text(env.get("pm_exec_path"), PATH_MAX),
        ordinal: 0,
    }
}

fn text(value: Option<&Value>, max: usize) -> String {
    match value {
        Some(Value::String(text)) => named(text, max),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// A whole number, also where PM2 or an ecosystem file wrote it as text.
#[expect(clippy::cast_possible_truncation, reason = "JavaScript numbers; a fraction of a millisecond is no loss")]
fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn exit(value: Option<&Value>) -> Option<Exit> {
    match value? {
        Value::String(word) => Some(word.parse().map_or_else(|_| Exit::Word(named(word, 40)), Exit::Code)),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::recipe::tests::pm2_env;
    use super::*;

    #[test]
    fn an_entry_becomes_facts_without_environment() {
        let app = App::from_entry(&json!({ "pid": 4711, "name": "a", "pm_id": 7, "pm2_env": pm2_env("a") }));
        assert_eq!((app.pm_id, app.pid, &app.status, app.restarts), (Some(7), Some(4711), &Status::Online, 9));
        assert_eq!(app.key.instance, Some(0));
        assert_eq!(app.key.script, "/srv/a/index.js");
        let written = serde_json::to_string(&app).unwrap();
        assert!(!written.contains("s3cret"));
        assert_eq!(serde_json::from_str::<App>(&written).unwrap(), app);
    }

    #[test]
    fn an_app_that_is_added_is_told_apart_as_in_a_new_list() {
        let entries: Vec<Value> =
            ["twin", "other", "twin", "twin"].map(|name| json!({ "pm2_env": pm2_env(name) })).into();
        let mut known = Vec::new();
        entries.iter().for_each(|entry| add(&mut known, App::from_entry(entry)));
        assert_eq!(known, apps(&entries));
        assert_eq!(known[3].key.ordinal, 2);
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
        assert_eq!((app.key.name.as_str(), app.key.instance, app.restarts), ("7", Some(2), 0));
        assert_eq!((app.exit_code, app.watch, app.min_uptime), (Some(Exit::Word("SIGKILL".into())), true, Some(2000)));
        assert_eq!(App::from_entry(&json!(5)).key.namespace, "default");
        let long = App::from_pm2_env(&json!({ "name": "\u{1b}[2J".repeat(400) }));
        assert!(long.key.name.len() < 3000 && !long.key.name.contains('\u{1b}'));
    }
}
