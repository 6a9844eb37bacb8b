//! The program under test at a place of its own, with every byte of its outputs kept.
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A place and everything that the program said there.
pub(crate) struct Bench {
    dir: TempDir,
    pub(crate) env: Vec<(String, String)>,
    /// What was called, and both streams.
    pub(crate) said: Vec<(String, Vec<u8>)>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap(), env: Vec::new(), said: Vec::new() };
        std::fs::create_dir(bench.path("state")).unwrap();
        mode(&bench.path("state"), 0o700);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a private file and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        mode(&path, 0o600);
        path.to_str().unwrap().to_owned()
    }

    /// The program with these words; nothing of this environment but a search path.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.args(words).env_clear().env("PATH", "/usr/bin:/bin").env("RUNBOOK_STATE_DIR", self.path("state"));
        command.env("RUNBOOK_LOCK", self.path("lock")).current_dir(self.dir.path()).stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end and keeps what it said.
    pub(crate) fn runbook(&mut self, words: &[&str]) -> Output {
        let output = self.command(words).output().unwrap();
        self.keep(&words.join(" "), &output);
        output
    }

    pub(crate) fn keep(&mut self, what: &str, output: &Output) {
        self.said.push((format!("{what} (stdout)"), output.stdout.clone()));
        self.said.push((format!("{what} (stderr)"), output.stderr.clone()));
    }

    /// Starts it with both streams piped.
    pub(crate) fn start(&self, words: &[&str]) -> Child {
        self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Every file below the state directory.
    pub(crate) fn state_files(&self) -> Vec<PathBuf> {
        let mut all = Vec::new();
        walk(&self.path("state"), &mut all);
        all
    }

    /// The journal of the latest run.
    pub(crate) fn journal(&self) -> String {
        let mut all: Vec<PathBuf> = self.state_files().into_iter().filter(|path| path.ends_with("journal")).collect();
        all.sort_by_key(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok());
        let found = all.pop();
        found.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).unwrap_or_default()
    }

    /// Waits until the journal of the latest run holds the words.
    pub(crate) fn until_journaled(&self, words: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        while !self.journal().contains(words) {
            assert!(Instant::now() < until, "`{words}` never came into the journal:\n{}", self.journal());
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

pub(crate) fn walk(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() { walk(&path, all) } else { all.push(path) }
    }
}

pub(crate) fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A child that must end by itself; panics with what it said when it does not.
pub(crate) fn ended(mut child: Child, within: Duration) -> Output {
    let until = Instant::now() + within;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            panic!("not ended within {within:?}: {}", told(&output));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    child.wait_with_output().unwrap()
}

pub(crate) fn told(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n--- stdout\n{}\n--- stderr\n{}", output.status, text(&output.stdout), text(&output.stderr))
}
