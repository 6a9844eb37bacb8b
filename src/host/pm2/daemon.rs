//! What a daemon says of itself: who it is, what may be done with its version, and its list. Every `pm2` command starts a daemon
//! for whoever calls it, so all of this goes over the socket.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::app::App;
use super::procs::cgroup;
use super::request::Request;
use super::rpc::{Rpc, RpcError};
use crate::host::foreign::named;
use crate::host::off_thread;

/// Why nobody answers at a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbsentWhy {
    /// No socket: never started, or ended in order.
    NoSocket,
    /// A socket nobody listens on: the daemon was killed. Look for [`Pm2Seen::orphans`](super::look::Pm2Seen::orphans).
    StaleSocket,
}

impl std::fmt::Display for AbsentWhy {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::NoSocket => "there is no socket",
            Self::StaleSocket => "it was killed and left its socket",
        })
    }
}

/// A daemon that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonUp {
    /// Version in memory.
    pub version: String,
    /// Process that owns the socket, from the kernel.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: u32,
    /// Node version it runs under.
    pub node: String,
    /// Path of that node.
    pub node_path: Option<PathBuf>,
    /// The `pm2` script of the same installation, when it exists.
    pub cli: Option<PathBuf>,
    /// What node was started with: `…/lib/Daemon.js`, or `…/pm2-runtime`.
    pub argv1: String,
    /// Control group, hence the unit that would take the daemon down.
    pub cgroup: Option<String>,
    /// It has every method that is used. Asked only of a version that is not known; `false` for all others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probed: bool,
}

impl DaemonUp {
    /// A `pm2-runtime`: it ends when its last app stops, so its container or unit is what to restart.
    #[must_use]
    pub fn is_runtime(&self) -> bool {
        self.argv1.contains("pm2-runtime") || self.argv1.contains("pm2-docker")
    }

    /// What may be done with this version.
    #[must_use]
    pub fn support(&self) -> Support {
        match support(&self.version) {
            Support::ReadOnly(_) if self.probed => Support::Full,
            other => other,
        }
    }

    /// Its version is not one that was tried, and it is used all the same.
    #[must_use]
    pub fn is_unknown_and_used(&self) -> bool {
        self.probed && support(&self.version) != Support::Full
    }
}

/// How far a version of PM2 is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Support {
    /// Snapshot, stop and restore.
    Full,
    /// Look and snapshot only, for the reason given.
    ReadOnly(String),
}

/// Methods without which apps can be neither recorded nor stopped nor restored.
const USED: [&str; 8] = [
    "ping",
    "getVersion",
    "getMonitorData",
    "prepare",
    "startProcessId",
    "restartProcessId",
    "stopProcessId",
    "deleteProcessId",
];

fn major(version: &str) -> Option<u32> {
    version.split('.').next().and_then(|major| major.parse().ok())
}

/// 4.x to 7.x have one protocol and keep stopped apps stopped; older ones start them, newer ones are not known by their
/// number alone.
#[must_use]
pub fn support(version: &str) -> Support {
    match major(version) {
        Some(4..=7) => Support::Full,
        Some(0..=3) => {
            Support::ReadOnly(format!("PM2 {version} starts apps that were saved as stopped; use 4.0 or later"))
        }
        _ => Support::ReadOnly(format!(
            "PM2 {version} is not a version this program knows (4 to 7), and lacks methods that it uses"
        )),
    }
}

/// Who answers at a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DaemonSeen {
    /// Nobody.
    Absent {
        /// Why.
        why: AbsentWhy,
    },
    /// We may not ask.
    Denied {
        /// The socket and the cure.
        why: String,
    },
    /// What stands in the place of the daemon's socket, or answers there, is somebody else's. Nothing was asked.
    Foreign {
        /// What was seen, and the cure.
        why: String,
    },
    /// Something accepts connections and does not answer, or hangs up: going down, or stuck.
    Dying {
        /// What was seen.
        why: String,
    },
    /// It answers.
    Up(Box<DaemonUp>),
}

/// Who answers on a connection.
///
/// # Errors
/// [`RpcError`] when it answers neither to a ping nor with its version.
pub async fn up_of(rpc: &Rpc) -> Result<DaemonUp, RpcError> {
    rpc.call(&Request::Ping).await?;
    let version = rpc.call(&Request::Version).await?;
    let report = rpc.call(&Request::Report).await.unwrap_or(Value::Null);
    let mut up = up(rpc, &version, &report);
    up.cli = cli_beside(&up.argv1).await;
    if major(&up.version).is_none_or(|major| major > 7) {
        let methods = rpc.call(&Request::Methods).await.unwrap_or(Value::Null);
        up.probed = USED.iter().all(|method| methods.get(method).is_some());
    }
    Ok(up)
}

/// The daemon's apps, modules included.
///
/// # Errors
/// [`RpcError`]; an answer that is no list counts as refused.
pub async fn list(rpc: &Rpc) -> Result<Vec<App>, RpcError> {
    Ok(rpc.list().await?.apps)
}

fn up(rpc: &Rpc, version: &Value, report: &Value) -> DaemonUp {
    let peer = rpc.peer();
    let text = |value: Option<&Value>| named(value.and_then(Value::as_str).unwrap_or_default(), 1024);
    let argv1 = text(report.get("argv").and_then(|argv| argv.get(1)));
    DaemonUp {
        version: named(version.as_str().unwrap_or_default(), 40),
        pid: peer.pid,
        uid: peer.uid,
        node: text(report.get("node_version")),
        node_path: peer.pid.and_then(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok()),
        cli: None,
        cgroup: peer.pid.and_then(cgroup),
        argv1,
        probed: false,
    }
}

/// `<pm2>/lib/Daemon.js` -> `<pm2>/bin/pm2`.
async fn cli_beside(argv1: &str) -> Option<PathBuf> {
    let script = Path::new(argv1);
    if script.file_name()? != "Daemon.js" {
        return None;
    }
    let cli = script.parent()?.parent()?.join("bin/pm2");
    let asked = cli.clone();
    let there = off_thread::within(off_thread::DISK, &cli, move || asked.is_absolute() && asked.is_file()).await;
    Some(cli).filter(|_| matches!(there, Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_decide_what_may_be_done() {
        for known in ["4.5.6", "5.4.3", "6.0.14", "7.0.4"] {
            assert_eq!(support(known), Support::Full, "{known}");
        }
        for other in ["3.5.1", "8.0.0", "", "banana"] {
            assert!(matches!(support(other), Support::ReadOnly(_)), "{other}");
        }
    }
}
