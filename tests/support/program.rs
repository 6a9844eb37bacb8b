//! The program under test, with a state directory and a lock of its own: nothing of the developer's machine is touched.
#![expect(clippy::disallowed_methods, reason = "tests start programs of their own")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A place for one test.
pub(crate) struct Place {
    dir: TempDir,
}

/// What a command said and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.path("state")).unwrap();
        std::fs::set_permissions(place.path("state"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and gives its path as an argument.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("RUNBOOK_STATE_DIR", self.path("state"));
        command.env("RUNBOOK_LOCK", self.path("lock")).current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn runbook(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// Starts the program and leaves it running.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Paths and contents below the state directory, to see that nothing changes.
    pub(crate) fn state(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        collect(&self.path("state"), &mut all);
        all.sort();
        all
    }
}

fn collect(dir: &Path, all: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, all);
            all.push((path, Vec::new()));
        } else if let Ok(bytes) = std::fs::read(&path) {
            // A file that a process at work takes away meanwhile is none.
            all.push((path, bytes));
        }
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Said {
    /// Both streams, for asserting on words.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// The exit code, with everything that was said when it is another one.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, words: &str) -> &Self {
        assert!(self.all().contains(words), "`{words}` is not in stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

/// This machine's name, which a runbook must name to run here.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

/// The commands that a screen offers: at the beginning of a line or behind a label, up to what they do.
pub(crate) fn offered(said: &Said) -> Vec<String> {
    let tools = ["runbook ", "kill ", "rm ", "mount ", "systemctl "];
    let command = |line: &str| {
        let line = line.trim();
        let label = line.split("  ").next().filter(|label| label.len() <= 9 && *label != line);
        let rest = label.map_or(line, |label| line[label.len()..].trim_start());
        let found = [line, rest].into_iter().find(|text| tools.iter().any(|tool| text.starts_with(tool)))?;
        Some(found.split("   ").next()?.trim().to_owned())
    };
    said.all().lines().filter_map(command).collect()
}
