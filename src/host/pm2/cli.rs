//! Running the `pm2` script itself, for the three things that have no RPC: bringing up a daemon with its modules, saving,
//! killing. It runs as the daemon's user under the daemon's own node, in an environment of five variables (PM2 copies
//! every variable that it sees into apps and dumps), and its exit code is ignored: PM2 says 0 whatever happened.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::daemon::DaemonUp;
use super::place::{Account, Pm2At, account};
use super::steer::SteerError;
use crate::host::foreign::tame_bytes;

const SAID_MAX: u64 = 4 << 10;
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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

    /// Runs one command to its end, or kills it at the deadline. Gives what it said on stderr, for an error text only.
    pub(super) async fn run(&self, word: &'static str, deadline: Duration) -> Result<String, SteerError> {
        let mut command = self.command(word)?;
        let failed = |why: String| SteerError::Cli { word, why };
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
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
        Ok(tame_bytes(&said, 400))
    }

    #[expect(clippy::disallowed_methods, reason = "host/ starts processes; this is where pm2's are started")]
    fn command(&self, word: &str) -> Result<Command, SteerError> {
        let mut command = Command::new(&self.node);
        command.arg(&self.script).arg(word).env_clear().envs(self.environment());
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let me = rustix::process::geteuid();
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

#[expect(clippy::disallowed_methods, reason = "host/ reads the environment; only the search path is of interest")]
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| SYSTEM_PATH.into());
    std::env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|file| file.is_file())
}
