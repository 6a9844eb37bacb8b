//! A private PM2 with a set of apps that stamp their own readiness, and the three ways to bring them up: `pm2 resurrect`,
//! plain spawning through PM2's container script, and (in `ours.rs`) this program.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ready as soon as it has booted.
    Plain,
    /// Waits a second for something before it is ready, and says so to PM2.
    Waiting,
}

/// See the module.
pub struct Bed {
    dir: tempfile::TempDir,
    /// Where PM2 is installed.
    pub prefix: PathBuf,
    /// Names of the apps that run.
    pub online: Vec<String>,
    stopped: Vec<String>,
    pub kind: Kind,
    floor_pids: Vec<i32>,
}

/// Nanoseconds of CLOCK_MONOTONIC: the clock by which the apps stamp.
pub fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

impl Bed {
    pub fn new(prefix: &Path, kind: Kind, online: usize) -> Self {
        // Short, for the sockets' paths.
        let dir = tempfile::Builder::new().prefix("rbb-").tempdir_in("/tmp").unwrap();
        for sub in ["h", "ready", "sockets"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        fs::write(dir.path().join("app.js"), include_str!("apps.js")).unwrap();
        fs::write(dir.path().join("floor.js"), include_str!("floor.js")).unwrap();
        let names = |from: usize, count: usize| (from..from + count).map(|n| format!("a{n}")).collect::<Vec<_>>();
        let (prefix, floor_pids) = (prefix.to_owned(), Vec::new());
        let (online, stopped) = (names(0, online), names(online, online / 9));
        let bed = Self { dir, prefix, online, stopped, kind, floor_pids };
        bed.begin();
        bed
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("h")
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn cli(&self) -> PathBuf {
        self.prefix.join("node_modules/pm2/bin/pm2")
    }

    /// An environment of a few variables: PM2 copies whatever it sees into every app.
    fn clean(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.dir.path()).env("PM2_HOME", self.home());
        command.env("READY", self.dir.path().join("ready")).env("SOCKETS", self.dir.path().join("sockets"));
        command.env("WAIT", if self.kind == Kind::Waiting { "1000" } else { "0" });
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    pub fn pm2(&self, words: &[&str], more: &[(&str, &str)]) -> Output {
        let mut command = self.clean("node");
        command.arg(self.cli()).args(words).envs(more.iter().copied());
        command.env("PM2_SILENT", "true").env("PM2_DISABLE_VERSION_CHECK", "1");
        command.output().unwrap()
    }

    /// Everything registered and started once, and the dump of that put aside.
    fn begin(&self) {
        let waits = self.kind == Kind::Waiting;
        let env = |n: &str| {
            serde_json::json!({
                "READY": self.dir.path().join("ready"), "SOCKETS": self.dir.path().join("sockets"),
                "WAIT": if waits { "1000" } else { "0" }, "BURN": (20 + n[1..].parse::<u64>().unwrap() * 7 % 30).to_string(),
            })
        };
        let app = |name: &String| {
            let mut app =
                serde_json::json!({ "name": name, "script": "app.js", "cwd": self.dir.path(), "env": env(name) });
            if waits {
                app["wait_ready"] = true.into();
                app["listen_timeout"] = 20_000.into();
            }
            app
        };
        let apps: Vec<_> = self.online.iter().chain(&self.stopped).map(app).collect();
        let file = self.dir.path().join("all.json");
        fs::write(&file, serde_json::json!({ "apps": apps }).to_string()).unwrap();
        self.pm2(&["start", file.to_str().unwrap()], &[("PM2_CONCURRENT_ACTIONS", "32")]);
        let stop: Vec<&str> = ["stop"].into_iter().chain(self.stopped.iter().map(String::as_str)).collect();
        if !self.stopped.is_empty() {
            self.pm2(&stop, &[]);
        }
        self.pm2(&["save", "--force"], &[]);
        fs::copy(self.home().join("dump.pm2"), self.dir.path().join("dump.online")).unwrap();
    }

    /// The daemon and all apps gone, no stamps left, the dump as it was in the beginning.
    pub fn down(&mut self) {
        self.pm2(&["kill"], &[]);
        for pid in self.floor_pids.drain(..) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        fs::copy(self.dir.path().join("dump.online"), self.home().join("dump.pm2")).unwrap();
        self.forget_stamps();
    }

    pub fn forget_stamps(&self) {
        for stamp in fs::read_dir(self.dir.path().join("ready")).unwrap().flatten() {
            fs::remove_file(stamp.path()).unwrap();
        }
    }

    /// The last app's first stamp, once all are there.
    pub fn last_ready(&self) -> u64 {
        let deadline = Instant::now() + Duration::from_secs(300);
        let stamp = |name: &String| {
            let text = fs::read_to_string(self.dir.path().join("ready").join(name)).ok()?;
            text.lines().next()?.parse::<u64>().ok()
        };
        loop {
            // Counted before they are read: what waits must not take from what it waits for.
            let there = fs::read_dir(self.dir.path().join("ready")).unwrap().count();
            let stamps: Vec<u64> =
                if there < self.online.len() { Vec::new() } else { self.online.iter().filter_map(stamp).collect() };
            if stamps.len() == self.online.len() {
                return stamps.into_iter().max().unwrap_or(0);
            }
            assert!(Instant::now() < deadline, "{there} of {} apps became ready", self.online.len());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Seconds from the command to the last app's stamp.
    pub fn resurrect(&mut self) -> f64 {
        self.down();
        let began = monotonic();
        self.pm2(&["resurrect"], &[]);
        seconds(began, self.last_ready())
    }

    /// Seconds of `pm2 stop all`.
    pub fn stop_all(&self) -> f64 {
        let began = monotonic();
        self.pm2(&["stop", "all"], &[]);
        seconds(began, monotonic())
    }

    /// Seconds from the first spawn to the last app's stamp, with no PM2 in between.
    pub fn floor(&mut self) -> f64 {
        self.down();
        let container = self.prefix.join("node_modules/pm2/lib/ProcessContainerFork.js");
        let mut command = self.clean("node");
        command.args([&self.path().join("floor.js"), &container, &self.path().join("app.js")]);
        command.args([&self.online.join(","), "4"]).stdout(Stdio::piped());
        let began = monotonic();
        let mut driver = command.spawn().unwrap();
        let last = self.last_ready();
        driver.kill().unwrap();
        let said = driver.wait_with_output().unwrap().stdout;
        self.floor_pids = String::from_utf8_lossy(&said).lines().filter_map(|line| line.parse().ok()).collect();
        seconds(began, last)
    }

    /// Processor seconds that the daemon has used.
    pub fn daemon_cpu(&self) -> f64 {
        let pid = fs::read_to_string(self.home().join("pm2.pid")).unwrap_or_default();
        cpu_of(pid.trim())
    }

    /// What the daemon has used for bringing the apps up, and goes on to use for having them: each tells it of itself every
    /// second, whoever has started it.
    pub fn daemon_use(&self) -> DaemonUse {
        const WATCHED: Duration = Duration::from_secs(2);
        let to_ready = self.daemon_cpu();
        std::thread::sleep(WATCHED);
        DaemonUse { to_ready, a_second: (self.daemon_cpu() - to_ready) / WATCHED.as_secs_f64() }
    }
}

/// Processor seconds of PM2's daemon behind a resurrect.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DaemonUse {
    /// Until the last app was ready.
    pub to_ready: f64,
    /// In each second after that.
    pub a_second: f64,
}

impl DaemonUse {
    /// By the time so many seconds after the last app was ready.
    pub fn after(&self, seconds: f64) -> f64 {
        self.to_ready + self.a_second * seconds
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.down();
    }
}

/// Processor seconds of a process, of its own threads only.
pub fn cpu_of(pid: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

pub fn seconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e9
}
