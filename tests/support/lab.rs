//! A lab host for a test: a real Debian with systemd, Redis and PM2 in a container, built and driven by `tests/lab/host.sh`.
//! It is taken down when the value is dropped, and by its keeper when the test process dies. Without root, the tools or
//! `RUNBOOK_LAB=1` there is none, and the reason is printed, so that a plain `cargo test` touches nothing.
#![expect(clippy::disallowed_methods, reason = "tests start the lab's scripts and read their own environment")]
#![expect(clippy::expect_used, reason = "a lab that cannot be driven fails the test")]
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// How the host is dressed. Each pair of `apps` and `large` is built once (a minute or two) and then cached: prefer the default.
#[derive(Debug, Clone)]
pub(crate) struct Dress {
    /// Which host: `staging`, or one of `tests/lab/topologies`, whose number of apps and sizes are its own.
    pub(crate) topology: &'static str,
    /// PM2 apps that are online; 15 more are stopped on purpose.
    pub(crate) apps: u32,
    /// Data sets of some hundred MB instead of some ten.
    pub(crate) large: bool,
    /// How many apps (0 to 2: `legacy-import`, `legacy-report`) crash at their next start.
    pub(crate) crash: u32,
}

impl Default for Dress {
    fn default() -> Self {
        Self { topology: "staging", apps: 40, large: false, crash: 0 }
    }
}

/// A running lab host.
#[derive(Debug)]
pub(crate) struct Lab {
    name: String,
}

impl Lab {
    /// Boots a host for the test `name`, with the `runbook` under test installed; `None` if this machine cannot or must not.
    pub(crate) fn up(name: &str) -> Option<Self> {
        Self::dressed(name, &Dress::default())
    }

    /// As [`Lab::up`], dressed otherwise.
    pub(crate) fn dressed(name: &str, dress: &Dress) -> Option<Self> {
        if let Some(reason) = reason_to_skip() {
            say(&format!("skipped: {name}: {reason}"));
            return None;
        }
        let own: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let lab = Self { name: format!("{}-{}", own.chars().take(40).collect::<String>(), std::process::id()) };
        let (apps, crash, owner) = (dress.apps.to_string(), dress.crash.to_string(), std::process::id().to_string());
        let data = if dress.large { "large" } else { "small" };
        let binary = env!("CARGO_BIN_EXE_runbook");
        let mut words = vec!["up", "--topology", dress.topology, "--apps", &apps, "--data", data, "--crash", &crash];
        words.extend(["--binary", binary, "--owner", &owner]);
        lab.must(&words);
        Some(lab)
    }

    /// Runs a command inside as root, at most ten minutes (then exit 124), and returns what it said.
    pub(crate) fn run(&self, command: &[&str]) -> Output {
        self.run_within(600, command)
    }

    /// Runs a command inside as root, for at most so many seconds (then exit 124).
    pub(crate) fn run_within(&self, seconds: u32, command: &[&str]) -> Output {
        let mut all = Command::new("timeout");
        all.args(["-k", "5", &seconds.to_string()]).arg(host_script()).args(["run", &self.name, "--"]).args(command);
        all.stdin(Stdio::null()).output().expect("timeout starts")
    }

    /// Runs a shell line inside that must succeed, and returns its trimmed standard output.
    pub(crate) fn shell(&self, line: &str) -> String {
        let output = self.run(&["bash", "-c", line]);
        assert!(output.status.success(), "{line}\n{}", told(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Starts a command inside and returns at once: standard output and error are piped.
    /// It dies by signal with the host; `Child::kill` only lets go of it: use `pkill` inside.
    pub(crate) fn spawn(&self, command: &[&str]) -> Child {
        let mut all = Command::new(host_script());
        all.args(["run", &self.name, "--"]).args(command);
        all.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("host.sh starts")
    }

    /// The boot id as programs inside see it.
    pub(crate) fn boot_id(&self) -> String {
        self.must(&["boot-id"])
    }

    /// How often it was booted; 1 after [`Lab::up`].
    pub(crate) fn boots(&self) -> u32 {
        self.must(&["boots"]).parse().expect("a number of boots")
    }

    /// Waits until it runs in another boot than `before` and systemd has settled. Panics after three minutes.
    pub(crate) fn wait_for_boot(&self, before: &str) {
        self.must(&["wait", "--after", before]);
    }

    /// Waits until it runs in another boot than `before` and systemd answers, with units still starting. Panics after three minutes.
    pub(crate) fn wait_until_reachable(&self, before: &str) {
        self.must(&["wait", "--after", before, "--reachable"]);
    }

    /// Cuts the power (every process dies at once; what the kernel has not yet written is kept, unlike on real hardware) and boots again.
    pub(crate) fn power_cycle(&self) {
        let before = self.boot_id();
        self.must(&["cut"]);
        self.wait_for_boot(&before);
    }

    /// Presses the power button of a host that was powered off.
    pub(crate) fn power_on(&self) {
        self.must(&["on"]);
        self.must(&["wait"]);
    }

    /// `running`, `off`, or `ended N` with the exit code of systemd-nspawn.
    pub(crate) fn state(&self) -> String {
        self.must(&["state"])
    }

    /// Where a path of the host is found from outside, whether it runs or not.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        cache().join("hosts").join(&self.name).join("root").join(inside.trim_start_matches('/'))
    }

    /// What the host wrote to its console over all its boots.
    pub(crate) fn console(&self) -> String {
        self.must(&["log"])
    }

    /// Takes the host down and deletes it; dropping does the same.
    pub(crate) fn down(self) {
        drop(self);
    }

    fn must(&self, words: &[&str]) -> String {
        let (verb, rest) = words.split_first().expect("a verb");
        let output = Command::new(host_script())
            .arg(verb)
            .arg(&self.name)
            .args(rest)
            .stdin(Stdio::null())
            .output()
            .expect("host.sh starts");
        assert!(output.status.success(), "host.sh {words:?}\n{}", told(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let output = Command::new(host_script()).args(["down", &self.name]).stdin(Stdio::null()).output();
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            say(&format!("lab host {} was not taken down: {output:?}", self.name));
        }
    }
}

/// Straight to standard error: the test harness keeps what a passing test prints to itself, and a skip must be seen.
fn say(line: &str) {
    // Nobody is left to tell if standard error is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Both streams of a finished command, for the message of a failed assertion.
pub(crate) fn told(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status)
}

/// Why there is no lab here, if there is none.
pub(crate) fn reason_to_skip() -> Option<&'static str> {
    if std::env::var_os("RUNBOOK_LAB").is_none_or(|value| value != "1") {
        Some("the lab is off: RUNBOOK_LAB=1 boots real hosts, as tests/all.sh does")
    } else if !rustix::process::geteuid().is_root() {
        Some("the lab needs root")
    } else {
        ["mmdebstrap", "systemd-nspawn", "nsenter"]
            .iter()
            .any(|tool| !on_path(tool))
            .then_some("mmdebstrap, systemd-nspawn or nsenter is missing: tests/lab/need.sh lab")
    }
}

fn on_path(tool: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).exists()))
}

fn host_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/host.sh")
}

fn cache() -> PathBuf {
    std::env::var_os("RUNBOOK_LAB_CACHE").map_or_else(|| PathBuf::from("/var/cache/runbook-lab"), PathBuf::from)
}
