//! Real PM2 for tests: a daemon in a home of its own under /tmp (short, for the socket's path), which ends with the test
//! together with everything it started, by process id.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::cli::{Cli, on_path};
use super::place::account;
use super::procs::{alive, scan};
use super::*;

pub(crate) struct Testbed {
    dir: TempDir,
    pub(crate) at: Pm2At,
}

impl Testbed {
    /// `None`, with the reason printed, where there is no PM2.
    pub(super) fn new() -> Option<Self> {
        Self::of(rustix::process::geteuid().as_raw())
    }

    /// A given version.
    pub(crate) fn version(version: &str) -> Option<Self> {
        Self::with(rustix::process::geteuid().as_raw(), Some(version))
    }

    /// The same for another user, which needs root.
    pub(super) fn of(uid: u32) -> Option<Self> {
        let me = rustix::process::geteuid();
        if uid != me.as_raw() && !me.is_root() {
            skipped("acting for another user needs root");
            return None;
        }
        Self::with(uid, None)
    }

    fn with(uid: u32, version: Option<&str>) -> Option<Self> {
        let Some(cli) = installed(version) else {
            skipped("no node or no PM2: run tests/lab/pm2.sh, or set RUNBOOK_PM2_PREFIX to an npm prefix that has it");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("rbp-").tempdir_in("/tmp").unwrap();
        let home = dir.path().join("h");
        std::fs::create_dir(&home).unwrap();
        for sub in ["logs", "pids"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        for path in [dir.path(), &home, &dir.path().join("logs"), &dir.path().join("pids")] {
            std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
        }
        // A user that is not in the password file: then the owner of the home counts.
        let at = Pm2At { user: "no-such-user".into(), home, unit: None, cli: Some(cli) };
        Some(Self { dir, at })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A script in the test's directory.
    pub(crate) fn script(&self, name: &str, code: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, code).unwrap();
        path
    }

    /// What a daemon needs to run `script` as `name`, with `more` laid over it.
    pub(crate) fn recipe(&self, name: &str, script: &Path, more: &Value) -> Recipe {
        let dir = self.dir.path();
        let mut env = json!({
            "name": name, "namespace": "default", "pm_exec_path": script, "pm_cwd": dir, "exec_interpreter": "node",
            "exec_mode": "fork_mode", "env": { "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": dir, "TOKEN": "s3cret", "PM2_HOME": self.at.home },
            "pm_out_log_path": dir.join(format!("logs/{name}-out.log")), "pm_err_log_path": dir.join(format!("logs/{name}-error.log")),
            "pm_pid_path": dir.join(format!("pids/{name}.pid")), "autorestart": true, "autostart": true, "merge_logs": true,
            "treekill": true, "vizion": false, "pmx": false, "watch": false, "node_args": [], "args": [],
            "instance_var": "NODE_APP_INSTANCE", "kill_retry_time": 100, "windowsHide": true, "username": "test"
        });
        for (key, value) in more.as_object().unwrap() {
            env[key] = value.clone();
        }
        Recipe::from_pm2_env(&env).unwrap()
    }

    /// Runs one `pm2` command against this home.
    pub(crate) async fn pm2(&self, word: &'static str) -> String {
        Cli::locate(&self.at, None).unwrap().run(&RunBy::child(), word, Duration::from_secs(60)).await.unwrap()
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let owner = account(&self.at).map_or(0, |account| account.uid);
        let daemons = scan(&self.at.home, owner, None).daemons;
        kill_and_wait(&daemons);
        let orphans: Vec<u32> = scan(&self.at.home, owner, None).orphans.iter().map(|orphan| orphan.pid).collect();
        kill_and_wait(&orphans);
    }
}

#[expect(clippy::disallowed_methods, reason = "a drop cannot await")]
pub(super) fn kill_and_wait(pids: &[u32]) {
    for pid in pids {
        let pid = Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
        let _gone_already = kill_process(pid, Signal::KILL);
    }
    for _ in 0..100 {
        if !pids.iter().any(|pid| alive(*pid)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One version of PM2 in the lab that `tests/lab/pm2.sh` fills, or the one in `RUNBOOK_PM2_PREFIX`.
#[expect(clippy::disallowed_methods, reason = "a test is told where PM2 is")]
fn installed(version: Option<&str>) -> Option<PathBuf> {
    let lab = || PathBuf::from(std::env::var_os("RUNBOOK_PM2_LAB").unwrap_or_else(|| "/tmp/pm2-lab".into()));
    let own = || std::env::var_os("RUNBOOK_PM2_PREFIX").map_or_else(|| lab().join("7"), PathBuf::from);
    let prefix = version.map_or_else(own, |version| lab().join(version));
    Some(prefix.join("node_modules/pm2/bin/pm2")).filter(|cli| cli.is_file() && on_path("node").is_some())
}

/// The real node of this machine.
pub(crate) fn node() -> PathBuf {
    on_path("node").unwrap().canonicalize().unwrap()
}

/// Whether to test every version of PM2, which takes its time.
#[expect(clippy::disallowed_methods, reason = "a test is told how hard to test")]
pub(crate) fn hard() -> bool {
    std::env::var("RUNBOOK_HARD").is_ok_and(|word| ["quick", "full"].contains(&word.as_str()))
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
