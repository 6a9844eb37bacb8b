//! The two units that finish a run after the reboot.
//!
//! `runbook-resume.service` continues the run; if it fails for good, systemd starts `runbook-fail-open.service`, which
//! brings the services up as well as it can, because a host that is down is worse than one restored without checks.
//!
//! Choices: `Type=exec`, not oneshot or notify: the boot would count as unfinished for the hours that a database loads,
//! and everything ordered after multi-user.target with it. No `After=` on the units that the run waits for: it watches
//! them come up. No `After=time-sync.target`: without a network that can be never; the run judges the clock itself.
//! `KillMode` stays control-group, so nothing of a dead resume works on in the dark: what must live on is started
//! through PID 1. No `PrivateTmp`: sockets of Redis may lie in /tmp.

mod audit;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use audit::{Fault, audit, install, remove, sha256_of};

/// Continues the run.
pub const RESUME: &str = "runbook-resume.service";
/// Restores what it can when that failed.
pub const FAIL_OPEN: &str = "runbook-fail-open.service";

/// What the units depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeUnit {
    /// Absolute path of the program.
    pub binary: PathBuf,
    /// SHA-256 of the program in hexadecimal, noted in the unit to see it change.
    pub binary_sha256: String,
    /// Absolute state directory; its file `pending` says that there is something to resume.
    pub state_dir: PathBuf,
    /// Directories that the run must write besides the state directory: homes of PM2 daemons whose dump it saves.
    pub writable: Vec<PathBuf>,
    /// Systemd credentials for secrets: name and file.
    pub credentials: Vec<(String, PathBuf)>,
    /// Whether everything that is asked after the boot is on this host; then no other address can be reached.
    pub loopback_only: bool,
}

/// A path that cannot be written into a unit without quoting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path} cannot stand in a unit file: use an absolute path of letters, digits and . _ - + @ : only")]
pub struct BadUnitPath {
    path: String,
}

/// The texts of both units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitTexts {
    /// For [`RESUME`].
    pub resume: String,
    /// For [`FAIL_OPEN`].
    pub fail_open: String,
}

impl ResumeUnit {
    /// Renders both units.
    ///
    /// # Errors
    /// [`BadUnitPath`]: quoting, specifiers and word splitting differ from directive to directive, so paths that would
    /// need them are refused.
    pub fn render(&self) -> Result<UnitTexts, BadUnitPath> {
        let credentials = self.credentials.iter().map(|(_, file)| file);
        for path in [&self.binary, &self.state_dir].into_iter().chain(&self.writable).chain(credentials) {
            plain(path)?;
        }
        for (name, _) in &self.credentials {
            let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.is_empty() || !name.chars().all(fine) {
                return Err(BadUnitPath { path: name.clone() });
            }
        }
        let sandbox = self.sandbox();
        Ok(UnitTexts { resume: self.resume(&sandbox), fail_open: self.fail_open(&sandbox) })
    }

    fn resume(&self, sandbox: &str) -> String {
        let (binary, state) = (self.binary.display(), self.state_dir.display());
        format!(
            "# Written by runbook install-resume-unit; do not edit.\n\
             [Unit]\n\
             Description=Resume the maintenance run that restarted this host\n\
             Wants=dbus.socket\n\
             After=dbus.socket local-fs.target network.target\n\
             RequiresMountsFor={state}\n\
             ConditionPathExists={state}/pending\n\
             StartLimitIntervalSec=1h\n\
             StartLimitBurst=3\n\
             OnFailure={FAIL_OPEN}\n\
             \n\
             [Service]\n\
             Type=exec\n\
             ExecStart={binary} --state-dir {state} resume --unattended\n\
             TimeoutStartSec=infinity\n\
             TimeoutStopSec=60\n\
             # 20 and 21: paused, waiting for somebody. 130 and 143: stopped after a checkpoint, by a shutdown mostly.\n\
             SuccessExitStatus=20 21 130 143\n\
             # A crash is tried again; an answer is not.\n\
             Restart=on-failure\n\
             RestartSec=10\n\
             RestartPreventExitStatus=1 2 3 4 5 6 7 8 9 10 11 12 13 14 20 21 30 31 130 143\n\
             {sandbox}\
             \n\
             [Install]\n\
             WantedBy=multi-user.target\n\
             \n\
             [X-Runbook]\n\
             BinarySha256={}\n",
            self.binary_sha256
        )
    }

    fn fail_open(&self, sandbox: &str) -> String {
        let (binary, state) = (self.binary.display(), self.state_dir.display());
        format!(
            "# Written by runbook install-resume-unit; do not edit. Started by {RESUME} when it fails.\n\
             [Unit]\n\
             Description=Bring services up after a maintenance run could not be resumed\n\
             Wants=dbus.socket\n\
             After=dbus.socket local-fs.target\n\
             RequiresMountsFor={state}\n\
             ConditionPathExists={state}/pending\n\
             \n\
             [Service]\n\
             Type=exec\n\
             ExecStart={binary} --state-dir {state} resume --fail-open\n\
             TimeoutStartSec=infinity\n\
             TimeoutStopSec=60\n\
             SuccessExitStatus=20 21 130 143\n\
             {sandbox}"
        )
    }

    /// What the run still needs under it: the system bus, Redis on loopback and sockets, other users' PM2 sockets and
    /// files (DAC and CHOWN capabilities), other processes in /proc (no ProtectProc), and commands as other users
    /// (SETUID, SETGID, KILL). Those may be Node, whose compiler needs memory that is writable and executable. They
    /// inherit everything else, so a command that writes elsewhere belongs into a transient unit.
    fn sandbox(&self) -> String {
        let mut text = String::from(SANDBOX);
        let _infallible = writeln!(text, "ReadWritePaths={}", self.state_dir.display());
        for path in &self.writable {
            // The dash: a missing home must not keep the run from resuming.
            let _infallible = writeln!(text, "ReadWritePaths=-{}", path.display());
        }
        for (name, file) in &self.credentials {
            let _infallible = writeln!(text, "LoadCredential={name}:{}", file.display());
        }
        if self.loopback_only {
            text.push_str("IPAddressDeny=any\nIPAddressAllow=localhost\n");
        }
        text
    }
}

// Not ProtectKernelTunables and ProtectControlGroups: both lay a new /proc/sys or /sys over the old one, and inside a container
// the unit would then read the outer machine's boot id, which differs from every inner one. A false proof of a reboot is
// worse than a writable sysctl in the hands of a process that may write /etc/systemd.
//
// Memory: a plan over 3,000 apps, or over neighbours that send as much as they like, stays under 64 MiB, and a journal of 100,000
// records takes 33 MB; commands of steps and daemons run in units of their own. From three times that on the unit is slowed down,
// at four times it is ended: then it has run away, `Restart=` tries again, and the third time the host is opened. The score stays:
// when the *host* runs out of memory, an app that has just come back is the better one to lose. Tasks: 512 blocking calls of the
// runtime at most, and room for the few threads and children beside them.
const SANDBOX: &str = "\
UMask=0077
LimitCORE=0
OOMScoreAdjust=-500
MemoryHigh=192M
MemoryMax=256M
TasksMax=640
StandardInput=null
RuntimeDirectory=runbook motd.d
RuntimeDirectoryPreserve=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_CHOWN CAP_SETUID CAP_SETGID CAP_KILL
AmbientCapabilities=
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@clock @module @mount @raw-io @reboot @swap @resources
SystemCallErrorNumber=EPERM
ProtectSystem=strict
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
PrivateDevices=yes
DevicePolicy=closed
KeyringMode=private
";

fn plain(path: &Path) -> Result<(), BadUnitPath> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@' | ':');
    let text = path.to_str().unwrap_or("");
    let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
    if path.is_absolute() && !climbs && text.chars().all(fine) {
        return Ok(());
    }
    Err(BadUnitPath { path: crate::host::foreign::named(&path.to_string_lossy(), 200) })
}

#[cfg(test)]
mod tests;
