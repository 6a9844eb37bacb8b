//! Real PM2 for tests: a daemon with a short home of its own, apps that keep a ledger of their starts, and an end for all
//! of it by process id. Nothing of the developer's PM2 is touched.
#![expect(clippy::disallowed_methods, reason = "tests start programs of their own")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runbook::host::pm2::{App, Pm2At, Recipe, Steer, procs};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An app that writes down each start, and whether an earlier process of it is still alive then.
pub(crate) const APP: &str = r"
const fs = require('fs'), key = process.env.LEDGER_KEY, dir = process.env.LEDGER_DIR, ledger = `${dir}/ledger/${key}`;
let before = ''; try { before = fs.readFileSync(ledger, 'utf8') } catch {}
const alive = pid => { try { return !/^[ZX]/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]) } catch { return false } };
const pids = before.split('\n').filter(l => l.startsWith('start ')).map(l => l.split(' ')[1]);
if (pids.some(alive)) fs.appendFileSync(ledger, `DOUBLE ${pids.filter(alive)}\n`);
fs.appendFileSync(ledger, `start ${process.pid} ${process.hrtime.bigint()}\n`);
if (fs.existsSync(`${dir}/fault/${key}`)) { console.error(`broken on purpose: ${key}`); process.exit(3) }
setTimeout(() => { if (process.env.SAYS_READY) process.send('ready'); fs.appendFileSync(ledger, `up ${process.pid} ${process.hrtime.bigint()}\n`) }, +process.env.WAITS || 0);
setInterval(() => {}, 1 << 30);
";

/// Where a version of PM2 is installed; `None` where it is not, or where there is no node.
pub(crate) fn installed(version: &str) -> Option<PathBuf> {
    let lab = std::env::var_os("RUNBOOK_PM2_LAB").unwrap_or_else(|| "/tmp/pm2-lab".into());
    let pm2 = PathBuf::from(lab).join(version).join("node_modules/pm2");
    (pm2.join("bin/pm2").is_file() && Path::new("/usr/bin/node").is_file()).then_some(pm2)
}

/// A home with a daemon, as long as it lives.
pub(crate) struct Bed {
    dir: TempDir,
    pm2: PathBuf,
    pub(crate) at: Pm2At,
    daemon: Option<Child>,
}

impl Bed {
    /// `None`, with the reason printed, where this version is not installed.
    pub(crate) fn new(version: &str) -> Option<Self> {
        let Some(pm2) = installed(version) else {
            skipped(&format!("PM2 {version} is not installed; tests/lab/pm2.sh installs it"));
            return None;
        };
        let dir = tempfile::Builder::new().prefix("rbw-").tempdir_in("/tmp").unwrap();
        for sub in ["h", "logs", "pids", "ledger", "fault", "cwd"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        let at = Pm2At { user: user(), home: dir.path().join("h"), unit: None, cli: Some(pm2.join("bin/pm2")) };
        let mut bed = Self { dir, pm2, at, daemon: None };
        bed.script("app.js", APP);
        bed.start_daemon();
        Some(bed)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn script(&self, name: &str, code: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, code).unwrap();
        path
    }

    fn start_daemon(&mut self) {
        let mut command = Command::new("/usr/bin/node");
        command.arg(self.pm2.join("lib/Daemon.js")).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("HOME", self.path()).env("PM2_HOME", &self.at.home).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.daemon = Some(command.spawn().unwrap());
        for _ in 0..400 {
            if std::os::unix::net::UnixStream::connect(self.at.rpc_socket()).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the daemon does not come up");
    }

    /// What a daemon needs to run `script` as `name`, with `more` laid over it; `more.env` is laid over its environment.
    pub(crate) fn recipe(&self, name: &str, more: &Value) -> Recipe {
        let dir = self.path();
        let mut entry = json!({
            "name": name, "namespace": "default", "pm_exec_path": dir.join("app.js"), "pm_cwd": dir,
            "exec_interpreter": "node", "exec_mode": "fork_mode",
            "env": { "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": dir, "PM2_HOME": self.at.home, "LEDGER_DIR": dir, "LEDGER_KEY": name },
            "pm_out_log_path": dir.join(format!("logs/{name}-out.log")), "pm_err_log_path": dir.join(format!("logs/{name}-error.log")),
            "pm_pid_path": dir.join(format!("pids/{name}.pid")), "autorestart": true, "autostart": true, "merge_logs": true,
            "treekill": true, "vizion": false, "pmx": false, "watch": false, "node_args": [], "args": [],
            "instance_var": "NODE_APP_INSTANCE", "kill_retry_time": 100, "windowsHide": true, "username": "test"
        });
        for (key, value) in more.as_object().unwrap() {
            match (key.as_str(), value.as_object()) {
                ("env", Some(env)) => env.iter().for_each(|(key, value)| entry["env"][key] = value.clone()),
                _ => entry[key] = value.clone(),
            }
        }
        // PM2 flattens the environment into the settings, and takes it from there.
        for (key, value) in entry["env"].as_object().unwrap().clone() {
            entry[key] = value;
        }
        Recipe::from_pm2_env(&entry).unwrap()
    }

    /// A runbook that takes the apps down and up again, with a step in between, which is written as YAML behind its dash.
    pub(crate) fn window(&self, hostname: &str, back_out: &str, between: &str, as_saved: &str) -> String {
        format!(
            "version: 1\nname: window\nhosts: [{hostname}]\n{back_out}pm2:\n  services: {{ user: {}, home: {}, cli: {} }}\nphases:\n\
             \x20 - name: save\n    steps:\n      - pm2_saved: {{ pm2: services }}\n\
             \x20 - name: stop\n    steps:\n      - pm2_stopped: {{ pm2: services }}\n\
             \x20 - name: between\n    steps:\n      - {between}\n\
             \x20 - name: restore\n    steps:\n      - pm2_restored: {{ pm2: services }}\n\
             \x20     - pm2_as_saved: {{ pm2: services, steady_for: 1s{as_saved} }}\n",
            self.at.user,
            self.at.home.display(),
            self.at.cli.as_ref().unwrap().display(),
        )
    }

    /// Does something with the daemon, over a connection of its own.
    pub(crate) fn steer<T>(&self, work: impl AsyncFnOnce(&Steer) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let steer = Steer::connect(&self.at).await.unwrap();
            work(&steer).await
        })
    }

    pub(crate) fn list(&self) -> Vec<App> {
        self.steer(async |steer| steer.list().await.unwrap().to_vec())
    }

    /// The lines that an app has written.
    pub(crate) fn ledger(&self, key: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path().join("ledger").join(key)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn daemons(&self) -> Vec<u32> {
        procs::scan(&self.at.home, uid(), None).daemons
    }

    /// Kills the daemon as a crash would.
    pub(crate) fn kill_daemon(&mut self) {
        kill(&self.daemons());
        if let Some(mut daemon) = self.daemon.take() {
            drop(daemon.wait());
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.kill_daemon();
        for _ in 0..20 {
            let left: Vec<u32> = procs::scan(&self.at.home, uid(), None).orphans.iter().map(|o| o.pid).collect();
            if left.is_empty() {
                return;
            }
            kill(&left);
        }
    }
}

/// Kills processes that this test has started and waits until they are gone.
pub(crate) fn kill(pids: &[u32]) {
    for pid in pids {
        let _gone_already = kill_process(Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap(), Signal::KILL);
    }
    for _ in 0..200 {
        if !pids.iter().any(|pid| procs::alive(*pid)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn user() -> String {
    let said = Command::new("/usr/bin/id").arg("-un").output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// How hard to test: 0 by default, 1 with `RUNBOOK_HARD=quick`, 2 with `full`.
pub(crate) fn hard() -> usize {
    match std::env::var("RUNBOOK_HARD").as_deref() {
        Ok("full") => 2,
        Ok("quick") => 1,
        _ => 0,
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
