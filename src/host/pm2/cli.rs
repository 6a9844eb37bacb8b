//! Running the `pm2` script itself, for the three things that have no RPC: bringing up a daemon with its modules, saving,
//! killing. It runs as the daemon's user under the daemon's own node, in an environment of five variables (PM2 copies
//! every variable that it sees into apps and dumps), and its exit code is ignored: PM2 says 0 whatever happened. Where systemd
//! is process 1 it runs as a unit of its own, because what it starts stays in its place.
//!
//! Where the daemon is root's, root executes node and script, and only if both are root's through the whole path.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::daemon::DaemonUp;
use super::place::{Account, Pm2At, account};
use super::steer::SteerError;
use crate::host::command::{Lend, lending, own_session, start_own};
use crate::host::foreign::tame_bytes;
use crate::host::root_owned::{NotRoots, judge};
use crate::host::systemd::bus::Bus;
use crate::host::systemd::transient::{Daemon, PREFIX, TransientAsked, TransientOutcome};

const SAID_MAX: u64 = 4 << 10;
/// How long the rest of a finished unit may take to go away.
const FORGET: Duration = Duration::from_secs(30);
/// What systemd puts into an environment by itself, and what PM2 would hand on to apps (systemd.exec(5), "Environment
/// Variables in Spawned Processes").
const NOT_FOR_APPS: [&str; 9] = [
    "LANG",
    "USER",
    "LOGNAME",
    "SHELL",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
];
/// The word whose only effect is that a daemon is there afterwards, with its modules.
pub(super) const START: &str = "ping";
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who runs the script.
///
/// A daemon that it starts stays where the script was: as our child it would live in our control group, below our sandbox,
/// and go down when our unit is stopped; as a unit of process 1 it has a place of its own and survives us.
#[derive(Debug, Clone, Default)]
pub struct RunBy {
    bus: Option<Arc<Bus>>,
    gift: Option<Arc<dyn Lend>>,
}

impl RunBy {
    /// This process, as its own child: where systemd is not process 1, or not to be asked.
    #[must_use]
    pub fn child() -> Self {
        Self::default()
    }

    /// The same with something in the child's hands for as long as it lives; a daemon is not given it.
    #[must_use]
    pub fn child_with(gift: Option<Arc<dyn Lend>>) -> Self {
        Self { bus: None, gift }
    }

    /// Process 1, as a transient unit.
    #[must_use]
    pub fn systemd(bus: Arc<Bus>) -> Self {
        Self { bus: Some(bus), gift: None }
    }
}

/// A `pm2` script, the node to run it under, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Cli {
    node: PathBuf,
    script: PathBuf,
    account: Account,
    home: PathBuf,
}

impl Cli {
    /// The script beside the running daemon; else the one the runbook names; else the one on the PATH.
    pub(super) fn locate(at: &Pm2At, up: Option<&DaemonUp>) -> Result<Self, SteerError> {
        let account = account(at)?;
        let script = up
            .and_then(|up| up.cli.clone())
            .or_else(|| at.cli.clone().filter(|cli| cli.is_file()))
            .or_else(|| on_path("pm2"))
            .ok_or(SteerError::NoCli("pm2"))?;
        // The real place of the script: node resolves its modules from there, and nvm keeps its node beside the link.
        let beside = script.parent().map(|dir| dir.join("node"));
        let node = up
            .and_then(|up| up.node_path.clone())
            .into_iter()
            .chain(beside)
            .find(|node| node.is_file())
            .or_else(|| on_path("node"))
            .ok_or(SteerError::NoCli("node"))?;
        Ok(Self { node, script, account, home: at.home.clone() })
    }

    /// Whether root may execute it, where it is root who would: node, the script, and the package around the script.
    ///
    /// # Errors
    /// What others than root may change of it.
    pub(super) fn judge(&self) -> Result<(), NotRoots> {
        if self.account.uid != 0 || !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        judge(&self.node)?;
        let script = judge(&self.script)?.resolved;
        let package = script.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let parts = ["package.json", "lib", "node_modules"].map(|part| package.join(part));
        parts.iter().filter(|part| part.exists()).try_for_each(|part| judge(part).map(drop))
    }

    /// Runs one command to its end, or has it killed at the deadline. Gives what it said on stderr or where that is kept, for
    /// an error text only.
    pub(super) async fn run(&self, by: &RunBy, word: &'static str, deadline: Duration) -> Result<String, SteerError> {
        self.judge()?;
        match &by.bus {
            None => self.run_as_child(word, by.gift.as_deref().filter(|_| word != START), deadline).await,
            Some(bus) if word == START => self.run_as_daemon(bus, deadline).await,
            Some(bus) => self.run_as_unit(bus, word, deadline).await,
        }
    }

    /// A unit that is there for the command, and gone after it.
    async fn run_as_unit(&self, bus: &Bus, word: &'static str, deadline: Duration) -> Result<String, SteerError> {
        let failed = |why: String| SteerError::Cli { word, why };
        let asked = self.unit(word, deadline)?;
        // What an earlier one left is over: whoever asked for it is dead, and its time has passed.
        drop(bus.forget_transient(&asked.name, FORGET).await);
        let outcome = bus.start_transient(&asked).await.map_err(|error| failed(error.to_string()))?;
        drop(bus.forget_transient(&asked.name, FORGET).await);
        let log = format!("see journalctl -u {}", asked.name);
        match outcome {
            TransientOutcome::Exited { .. } => Ok(log),
            TransientOutcome::TimedOut => Err(failed(format!("no end within {} s; {log}", deadline.as_secs()))),
            TransientOutcome::NotBegun { result } => Err(failed(format!("not begun: {result}; {log}"))),
            other => Err(failed(format!("{other}; {log}"))),
        }
    }

    /// A unit that is the daemon's from then on.
    async fn run_as_daemon(&self, bus: &Bus, deadline: Duration) -> Result<String, SteerError> {
        let failed = |why: String| SteerError::Cli { word: START, why };
        let stop = vec![text(&self.node), text(&self.script), "kill".to_owned()];
        let daemon = Some(Daemon { pid_file: self.home.join("pm2.pid"), stop });
        let mut asked = TransientAsked { daemon, ..self.unit(START, deadline)? };
        // One that failed is forgotten; one that is active without a daemon keeps its name, since processes live in it.
        drop(bus.reset_failed(&asked.name).await);
        if matches!(bus.outcome_of(&asked.name).await, Ok(TransientOutcome::Running | TransientOutcome::Exited { .. }))
        {
            let again = crate::host::clock::boottime().as_millis();
            asked.name = asked.name.replace(".service", &format!("-{again}.service"));
        }
        let outcome = bus.start_transient(&asked).await.map_err(|error| failed(error.to_string()))?;
        let log = format!("see journalctl -u {}", asked.name);
        if outcome == TransientOutcome::Running { Ok(log) } else { Err(failed(format!("{outcome}; {log}"))) }
    }

    /// The unit of a command: the daemon's user and environment, no secret in either (any local user can read both).
    fn unit(&self, word: &str, deadline: Duration) -> Result<TransientAsked, SteerError> {
        let home: String = text(&self.home).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let start = home.len().saturating_sub(160);
        let what = if word == START { "daemon" } else { word };
        let name = format!("{PREFIX}pm2-{what}{}.service", &home[start..]);
        let value = |value: &std::ffi::OsString| value.to_string_lossy().into_owned();
        Ok(TransientAsked {
            argv: vec![text(&self.node), text(&self.script), word.to_owned()],
            // By number: the account may be known only by the owner of the home directory.
            user: Some(self.account.uid.to_string()),
            group: Some(self.account.gid.to_string()),
            cwd: Some("/".into()),
            env: self.environment().iter().map(|(name, set)| ((*name).to_owned(), value(set))).collect(),
            unset: NOT_FOR_APPS.map(str::to_owned).to_vec(),
            ..TransientAsked::watched(name, deadline)
        })
    }

    async fn run_as_child(
        &self,
        word: &'static str,
        gift: Option<&dyn Lend>,
        deadline: Duration,
    ) -> Result<String, SteerError> {
        let mut command = self.command(word)?;
        let failed = |why: String| SteerError::Cli { word, why };
        let spawn = || lending(gift, || command.spawn());
        let started = start_own(spawn, tokio::process::Child::id);
        let (mut child, _own) = started.map_err(|error: std::io::Error| failed(error.to_string()))?;
        let stderr = child.stderr.take();
        match tokio::time::timeout(deadline, child.wait()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => {
                // Its own group, so that nothing it started keeps running; a daemon has left the group already.
                let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
                let _gone =
                    group.map(|group| rustix::process::kill_process_group(group, rustix::process::Signal::KILL));
                drop(child.kill().await);
                return Err(failed(format!("no end within {} s", deadline.as_secs())));
            }
        }
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            // A daemon may hold the other end open for ever.
            let mut limited = stderr.take(SAID_MAX);
            drop(tokio::time::timeout(Duration::from_millis(200), limited.read_to_end(&mut said)).await);
        }
        Ok(tame_bytes(&said, 400).into())
    }

    #[expect(clippy::disallowed_methods, reason = "host/ starts processes; this is where pm2's are started")]
    fn command(&self, word: &str) -> Result<Command, SteerError> {
        let me = rustix::process::geteuid();
        let session = if me.as_raw() == self.account.uid { None } else { own_session() };
        let mut command = Command::new(session.as_ref().unwrap_or(&self.node));
        match session {
            Some(_) => command.arg(&self.node),
            None => command.process_group(0),
        };
        command.arg(&self.script).arg(word).env_clear().envs(self.environment());
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        if me.as_raw() != self.account.uid {
            if !me.is_root() {
                return Err(SteerError::Denied { user: self.account.name.clone() });
            }
            // Setting a user as root drops root's supplementary groups, too (std does it before setuid).
            command.uid(self.account.uid).gid(self.account.gid);
        }
        Ok(command)
    }

    fn environment(&self) -> [(&'static str, std::ffi::OsString); 5] {
        let beside = self.node.parent().unwrap_or(Path::new("/usr/bin")).as_os_str().to_owned();
        let mut path = beside;
        path.push(":");
        path.push(SYSTEM_PATH);
        [
            ("PATH", path),
            ("HOME", self.account.home.clone().into_os_string()),
            ("PM2_HOME", self.home.clone().into_os_string()),
            ("PM2_SILENT", "true".into()),
            ("PM2_DISABLE_VERSION_CHECK", "1".into()),
        ]
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[expect(clippy::disallowed_methods, reason = "host/ reads the environment; only the search path is of interest")]
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| SYSTEM_PATH.into());
    std::env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|file| file.is_file())
}
