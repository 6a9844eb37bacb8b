//! A validated description of one app, complete enough for a daemon to run it: the only thing from which a `prepare`
//! payload can be made. It carries the app's environment, hence its secrets; nothing of it is printed or serialised
//! except towards the daemon.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::app::App;
use crate::host::foreign::named;
use crate::host::off_thread;

/// Why a recorded app cannot be handed to a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecipeError {
    /// The record is not a JSON object.
    #[error("the record of the app is not an object")]
    NotAnObject,
    /// A setting that the daemon needs is absent or of another type. Without `env`, `prepare` ends the daemon.
    #[error("app `{app}`: {field} is missing or not {expected}; take a new snapshot")]
    Field {
        /// The app's name as far as known.
        app: String,
        /// The setting.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// Runtime facts of an earlier life. Kept, they would make the daemon overwrite slots (`pm_id`), start several copies
/// (`instances`), or never give up on a crash loop (`created_at`).
const RUNTIME: [&str; 14] = [
    "pm_id",
    "instances",
    "created_at",
    "pm_uptime",
    "prev_restart_delay",
    "exit_code",
    "unique_id",
    "_tree_pids",
    "versioning",
    "vizion_running",
    "restart_time",
    "unstable_restarts",
    "status",
    "pid",
];

/// See the module.
#[derive(Clone, PartialEq)]
pub struct Recipe {
    settings: Arc<Map<String, Value>>,
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipe({:?}, {} settings not shown)", named(text(&self.settings, "name"), 80), self.settings.len())
    }
}

impl Recipe {
    /// Checks a `pm2_env` as the daemon reported it and drops what belongs to the process that was.
    ///
    /// # Errors
    /// [`RecipeError`] naming the setting, never its value.
    pub fn from_pm2_env(raw: &Value) -> Result<Self, RecipeError> {
        let all = checked(raw)?;
        let stays = |key: &String| !RUNTIME.contains(&key.as_str()) && !key.starts_with("axm_");
        let settings = all.iter().filter(|(key, _)| stays(key)).map(|(key, value)| (key.clone(), value.clone()));
        Ok(Self { settings: Arc::new(settings.collect()) })
    }

    /// The facts of the app that this would make: no process, no number, no environment.
    #[must_use]
    pub fn app(&self) -> App {
        App::from_settings(&self.settings)
    }

    /// The first thing on disk without which the app cannot start, and what it is: script, working directory, interpreter,
    /// a directory of its logs (a mount that is not there yet, a node that was replaced). What may not be looked at is
    /// left to the daemon, and so is an interpreter that is searched for on the PATH. Blocking.
    #[must_use]
    pub async fn missing(&self) -> Option<(&'static str, PathBuf)> {
        let named = paths_named(&self.settings);
        let place = named.first().map(|(_, path)| path.clone()).unwrap_or_default();
        // What a disk does not show in time is not called missing: the start finds out.
        off_thread::within(off_thread::DISK, &place, move || first_gone(named)).await.ok().flatten()
    }

    /// How long `prepare` may take: an app with `wait_ready` holds the answer back until `listen_timeout`.
    #[must_use]
    pub fn start_deadline(&self) -> Duration {
        self.app().start_deadline()
    }

    /// The argument of `prepare`. Counters are given as zero because the daemon computes with them when they are absent.
    pub(super) fn payload(&self, status: &'static str) -> Value {
        let mut settings = Map::clone(&self.settings);
        settings.insert("status".to_owned(), json!(status));
        settings.insert("restart_time".to_owned(), json!(0));
        settings.insert("unstable_restarts".to_owned(), json!(0));
        Value::Object(settings)
    }
}

/// The settings of a `pm2_env`, if a daemon can be handed them.
pub(super) fn checked(raw: &Value) -> Result<&Map<String, Value>, RecipeError> {
    let Value::Object(all) = raw else {
        return Err(RecipeError::NotAnObject);
    };
    let name = all.get("name").and_then(Value::as_str).unwrap_or_default();
    let wrong = |field, expected| RecipeError::Field { app: named(name, 80), field, expected };
    if !all.get("env").is_some_and(Value::is_object) {
        return Err(wrong("env", "an object"));
    }
    for field in ["name", "pm_exec_path", "pm_cwd", "pm_out_log_path", "pm_err_log_path", "pm_pid_path", "exec_mode"] {
        if !all.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty() && !text.contains('\0')) {
            return Err(wrong(field, "a non-empty text"));
        }
    }
    for field in ["args", "node_args"] {
        let listed = |value: &Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
        if all.get(field).is_some_and(|value| !value.is_null() && !value.is_string() && !listed(value)) {
            return Err(wrong(field, "a list of texts"));
        }
    }
    Ok(all)
}

/// [`Recipe::missing`] of settings that nobody needs a copy of.
pub(super) fn missing(settings: &Map<String, Value>) -> Option<(&'static str, PathBuf)> {
    first_gone(paths_named(settings))
}

/// Every path that an app's own settings name and that must be there.
fn paths_named(settings: &Map<String, Value>) -> Vec<(&'static str, PathBuf)> {
    let named = [("script", "pm_exec_path"), ("working directory", "pm_cwd"), ("interpreter", "exec_interpreter")];
    let paths = named.into_iter().map(|(what, key)| (what, PathBuf::from(text(settings, key))));
    let logs = log_dirs(settings).into_iter().map(|dir| ("log directory", dir));
    paths.chain(logs).collect()
}

/// Only looked for, never opened; where they lie is the app's own affair. Blocking.
fn first_gone(named: Vec<(&'static str, PathBuf)>) -> Option<(&'static str, PathBuf)> {
    let gone = |path: &PathBuf| {
        path.is_absolute() && path.metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    named.into_iter().find(|(_, path)| gone(path))
}

/// Directories that must exist before `prepare`, or it answers with an error and the app is lost from the list.
fn log_dirs(settings: &Map<String, Value>) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = ["pm_out_log_path", "pm_err_log_path", "pm_pid_path", "pm_log_path"]
        .iter()
        .filter_map(|key| std::path::Path::new(text(settings, key)).parent().map(PathBuf::from))
        .filter(|dir| !dir.as_os_str().is_empty())
        .collect();
    dirs.sort();
    dirs.dedup();
    dirs
}

fn text<'s>(settings: &'s Map<String, Value>, key: &str) -> &'s str {
    settings.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn pm2_env(name: &str) -> Value {
        json!({
            "name": name, "namespace": "default", "env": { "TOKEN": "s3cret", "PATH": "/usr/bin" }, "TOKEN": "s3cret",
            "pm_exec_path": "/srv/a/index.js", "pm_cwd": "/srv/a", "exec_mode": "fork_mode", "exec_interpreter": "node",
            "pm_out_log_path": "/srv/logs/a-out.log", "pm_err_log_path": "/srv/logs/a-error.log",
            "pm_pid_path": "/srv/pids/a-0.pid", "status": "online", "pm_id": 7, "instances": 1, "created_at": 5,
            "restart_time": 9, "unstable_restarts": 1, "axm_monitor": {}, "axm_options": {}, "unique_id": "u",
            "autorestart": true, "node_args": [], "watch": false, "NODE_APP_INSTANCE": 0
        })
    }

    #[test]
    fn payload_forgets_the_former_life_and_keeps_the_settings() {
        let payload = Recipe::from_pm2_env(&pm2_env("a")).unwrap().payload("stopped");
        for gone in ["pm_id", "instances", "created_at", "unique_id", "axm_monitor", "axm_options"] {
            assert!(payload.get(gone).is_none(), "{gone}");
        }
        assert_eq!(payload["status"], "stopped");
        assert_eq!((&payload["restart_time"], &payload["unstable_restarts"]), (&json!(0), &json!(0)));
        assert_eq!(payload["env"]["TOKEN"], "s3cret");
        assert_eq!(payload["NODE_APP_INSTANCE"], 0);
    }

    #[test]
    fn what_would_end_the_daemon_cannot_become_a_recipe() {
        let broken: [(&str, Value); 8] = [
            ("env", Value::Null),
            ("env", json!("text")),
            ("name", json!("")),
            ("pm_exec_path", json!(7)),
            ("pm_out_log_path", Value::Null),
            ("pm_err_log_path", json!([])),
            ("pm_pid_path", json!({})),
            ("args", json!([1, 2])),
        ];
        for (field, value) in broken {
            let mut raw = pm2_env("a");
            raw[field] = value;
            let error = Recipe::from_pm2_env(&raw).unwrap_err();
            assert!(matches!(error, RecipeError::Field { field: named, .. } if named == field), "{field}: {error}");
        }
        assert_eq!(Recipe::from_pm2_env(&json!([])), Err(RecipeError::NotAnObject));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", Recipe::from_pm2_env(&pm2_env("a")).unwrap());
        assert!(!shown.contains("s3cret") && shown.contains("\"a\""), "{shown}");
    }

    #[test]
    fn log_directories_are_named_once() {
        let recipe = Recipe::from_pm2_env(&pm2_env("a")).unwrap();
        assert_eq!(log_dirs(&recipe.settings), [PathBuf::from("/srv/logs"), PathBuf::from("/srv/pids")]);
    }
}
