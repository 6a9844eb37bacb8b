//! One app as a daemon lists it, without its environment and its arguments (people pass tokens in both): the facts that
//! may be shown, compared and journaled.
//!
//! Field names of the daemon are those of `getMonitorData`. Every text is tamed and bounded on entry, every number may be
//! absent, because the list is written by another program, in versions 4 to 7, about processes of another user.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::request::PmId;
use crate::host::foreign::named;

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

impl AppKey {
    /// Whether both are the same app but for its place among equals, which changes when one of them goes.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        (&self.namespace, &self.name, self.instance, &self.script)
            == (&other.namespace, &other.name, other.instance, &other.script)
    }
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
            other => Self::Other(named(other, 40)),
        }
    }

    /// `stopped` or `errored`; see [`App::is_down`].
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Stopped | Self::Errored)
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
    /// `node`, a path, or `none` for a binary.
    pub interpreter: String,
    /// Log of stdout.
    pub out_log: String,
    /// Log of stderr.
    pub err_log: String,
    /// Where PM2 writes the number of its process.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pid_file: String,
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
    /// Listed as online, yet without a process: the interpreter, the binary or the working directory was not there.
    /// Such a ghost stays online for ever and turns everyone's memory and CPU figures into 0.
    #[must_use]
    pub fn is_ghost(&self) -> bool {
        self.status == Status::Online && self.pid.is_none()
    }

    /// Nothing of it runs, and nothing will by itself: `errored` is as down as `stopped`, and PM2's stop leaves it `errored`.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.status.is_down()
    }

    /// Whether the status is one that passes by itself.
    #[must_use]
    pub fn in_transition(&self) -> bool {
        matches!(self.status, Status::Stopping | Status::Launching)
    }

    /// How long a start may go unanswered: `listen_timeout` and 5 s, at least 10 s.
    #[must_use]
    pub fn start_deadline(&self) -> Duration {
        patience(self.listen_timeout.filter(|_| self.wait_ready || self.exec_mode == "cluster_mode"))
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
        assert_eq!(wanted(&App::from_pm2_env(&json!({ "name": "m", "status": "online", "pmx_module": true }))), None);
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
}
