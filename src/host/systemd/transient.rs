//! A command run by PID 1 instead of by us: a unit made up on the spot.
//!
//! Such a command survives our death, its log-out and the resume unit's sandbox; systemd keeps its exit status
//! (`RemainAfterExit`, and failed units stay until forgotten) and ends its whole control group exactly. After a reboot
//! the unit is gone, and with it the answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zbus::Variant;

use super::bus::{Bus, SystemdError};
use super::jobs::{JobEnd, wait_for};
use super::properties::Bag;
use super::proxies::{PropertiesProxy, Setting};
use super::unit_name::{self, NameKind};
use crate::host::foreign::named;

/// Every unit that we make up begins like this, so that nothing else is ever ended or forgotten by mistake.
pub const PREFIX: &str = "runbook-";
/// Between systemd's own time-out and ours.
const SLACK: Duration = Duration::from_secs(15);
/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(10);

/// What PID 1 shall run.
#[derive(Clone)]
pub struct TransientAsked {
    /// `runbook-<run>-<step>.service`.
    pub name: String,
    /// Absolute program and its arguments, taken literally: no `$` and no `%` is expanded.
    pub argv: Vec<String>,
    /// `User=`; root when `None`.
    pub user: Option<String>,
    /// `Group=`; the user's own when `None`.
    pub group: Option<String>,
    /// `WorkingDirectory=`.
    pub cwd: Option<PathBuf>,
    /// `Environment=`. **Not for secrets**: any local user can read it over D-Bus.
    pub env: Vec<(String, String)>,
    /// `UnsetEnvironment=`: names that not even systemd sets.
    pub unset: Vec<String>,
    /// The program leaves a daemon behind, which is what the unit is for.
    pub daemon: Option<Daemon>,
    /// Where PID 1 writes standard output, as root; cut off first. The directory must exist. `None`: the system's journal.
    pub stdout: Option<PathBuf>,
    /// The same for standard error.
    pub stderr: Option<PathBuf>,
    /// `LimitFSIZE=` in bytes: bounds the two files, and *every other file the command writes*.
    pub file_size: Option<u64>,
    /// `MemoryMax=` in bytes.
    pub memory: Option<u64>,
    /// `TimeoutStartSec=`: systemd ends it then, TERM first, KILL 10 s later.
    pub deadline: Duration,
}

/// A daemon that detaches itself, and that the unit keeps beyond the program that started it (`Type=forking`).
#[derive(Clone)]
pub struct Daemon {
    /// `PIDFile=`: where it writes down who it is.
    pub pid_file: PathBuf,
    /// `ExecStop=`: how it is asked to end, as when the machine goes down.
    pub stop: Vec<String>,
}

/// Shows no arguments and no values: both may be foreign or private.
impl std::fmt::Debug for TransientAsked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let program = self.argv.first();
        out.debug_struct("TransientAsked").field("name", &self.name).field("program", &program).finish_non_exhaustive()
    }
}

impl TransientAsked {
    /// A unit without a program yet: as root, in `/`, its words in the system's journal, ended at the deadline.
    #[must_use]
    pub fn watched(name: String, deadline: Duration) -> Self {
        let (user, group, cwd, stdout, stderr) = (None, None, None, None, None);
        let (argv, env, unset, daemon) = (Vec::new(), Vec::new(), Vec::new(), None);
        Self {
            name,
            argv,
            user,
            group,
            cwd,
            env,
            unset,
            daemon,
            stdout,
            stderr,
            file_size: None,
            memory: None,
            deadline,
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransientOutcome {
    /// Still at it.
    Running,
    /// It ended by itself.
    Exited {
        /// Exit status.
        code: i32,
        /// For 200 to 243: what systemd means by it, if it was systemd that gave up before executing the program.
        hint: String,
    },
    /// A signal ended it.
    Killed {
        /// Its number.
        signal: i32,
    },
    /// systemd ended it at the deadline; its control group is empty.
    TimedOut,
    /// systemd could not even try (resources, a missing output directory).
    NotBegun {
        /// systemd's word for it.
        result: String,
    },
    /// Nobody knows: no such unit any more, or the end was not seen.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Bus {
    /// Has PID 1 run `asked` and waits for its end; of a daemon, until it is there, which is [`TransientOutcome::Running`].
    ///
    /// # Errors
    /// [`SystemdError`]: it was definitely not begun. Everything uncertain is [`TransientOutcome::Unknown`].
    pub async fn start_transient(&self, asked: &TransientAsked) -> Result<TransientOutcome, SystemdError> {
        check_name(&asked.name)?;
        let systemd = self.systemd().await?;
        let mut ends = self.watch_jobs().await?;
        let what = format!("run {}", asked.name);
        let job = self.call(&what, systemd.start_transient_unit(&asked.name, "fail", &settings(asked), &[])).await;
        let end = match job {
            Ok(job) => wait_for(&mut ends, &job, asked.deadline.saturating_add(GRACE + SLACK)).await,
            Err(refused) if refused.nothing_happened() => return Err(refused),
            Err(uncertain) => JobEnd::NotHeard(uncertain.to_string()),
        };
        match (self.outcome_of(&asked.name).await, end) {
            (Ok(TransientOutcome::Running), JobEnd::NotHeard(why)) => {
                Ok(TransientOutcome::Unknown { why: format!("still running: {why}") })
            }
            (Ok(outcome), _) => Ok(outcome),
            (Err(blind), _) => Ok(TransientOutcome::Unknown { why: blind.to_string() }),
        }
    }

    /// What became of a transient unit, also one that a dead predecessor of ours started in this boot.
    ///
    /// # Errors
    /// [`SystemdError`]: could not be asked. A unit that is gone is [`TransientOutcome::Unknown`].
    pub async fn outcome_of(&self, name: &str) -> Result<TransientOutcome, SystemdError> {
        check_name(name)?;
        let what = format!("look at {name}");
        let systemd = self.systemd().await?;
        let path = match self.call(&what, systemd.get_unit(name)).await {
            Err(SystemdError::NoSuchUnit { .. }) => {
                return Ok(TransientOutcome::Unknown { why: format!("systemd does not know {name} any more") });
            }
            other => other?,
        };
        let properties = self.call(&what, PropertiesProxy::builder(&self.connection).path(path).build()).await?;
        let unit = Bag(self.call(&what, properties.get_all("org.freedesktop.systemd1.Unit")).await?);
        let service = Bag(self.call(&what, properties.get_all("org.freedesktop.systemd1.Service")).await?);
        Ok(judge(
            &unit.text("ActiveState"),
            &service.text("Result"),
            service.number("ExecMainCode"),
            exit_status(&service),
        ))
    }

    /// Ends what is left of a transient unit and lets systemd forget its result.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn forget_transient(&self, name: &str, deadline: Duration) -> Result<(), SystemdError> {
        check_name(name)?;
        for step in [self.stop(name, deadline).await.map(drop), self.reset_failed(name).await] {
            match step {
                Ok(()) | Err(SystemdError::NoSuchUnit { .. }) => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), SystemdError> {
    let ours = name.starts_with(PREFIX) && name.ends_with(".service") && unit_name::kind(name)? == NameKind::Plain;
    if ours { Ok(()) } else { Err(SystemdError::BadName { name: named(name, 80) }) }
}

fn exit_status(service: &Bag) -> i32 {
    service.small("ExecMainStatus").and_then(|status| i32::try_from(status).ok()).unwrap_or(-1)
}

/// `ExecMainCode` is the `si_code` of waitid(2): 1 exited, 2 killed, 3 dumped; 0 when nothing was ever executed.
fn judge(active: &str, result: &str, code: Option<u64>, status: i32) -> TransientOutcome {
    match (active, result, code) {
        ("activating" | "deactivating" | "reloading", ..) => TransientOutcome::Running,
        // The main process of a daemon's unit has not ended.
        ("active", "success", Some(0)) => TransientOutcome::Running,
        (_, "timeout", _) => TransientOutcome::TimedOut,
        (_, _, Some(1)) => TransientOutcome::Exited { code: status, hint: setup_hint(status).to_owned() },
        (_, _, Some(2 | 3)) => TransientOutcome::Killed { signal: status },
        ("failed", ..) => TransientOutcome::NotBegun { result: result.to_owned() },
        _ => TransientOutcome::Unknown { why: format!("the unit is {active} with result `{result}`") },
    }
}

impl std::fmt::Display for TransientOutcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Running => write!(out, "still at it"),
            Self::Exited { code, hint } if hint.is_empty() => write!(out, "exit status {code}"),
            Self::Exited { code, hint } => write!(out, "exit status {code} ({hint})"),
            Self::Killed { signal } => write!(out, "ended by signal {signal}"),
            Self::TimedOut => write!(out, "ended at its deadline"),
            Self::NotBegun { result } => write!(out, "not begun: {result}"),
            Self::Unknown { why } => write!(out, "its end was not seen: {why}"),
        }
    }
}

/// Exit statuses that systemd uses before it executes the program (systemd.exec(5), "Process Exit Codes").
fn setup_hint(code: i32) -> &'static str {
    match code {
        200 => "200/CHDIR: the working directory",
        203 => "203/EXEC: the program could not be executed",
        209 => "209/STDOUT: the output file",
        216 => "216/GROUP: the group",
        217 => "217/USER: the user does not exist",
        222 => "222/STDERR: the error file",
        226 => "226/NAMESPACE: a mount namespace",
        _ if (201..=243).contains(&code) => "systemd gave up before executing it (systemd.exec(5))",
        _ => "",
    }
}

fn settings(asked: &TransientAsked) -> Vec<Setting<'_>> {
    // The "Ex" form, because only it can say that $VARIABLES in arguments are none: they are data.
    let literal =
        |argv: &[String]| vec![(argv.first().cloned().unwrap_or_default(), argv.to_vec(), vec!["no-env-expand"])];
    let env: Vec<String> = asked.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let micros = |span: Duration| Variant::U64(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    let text = |path: &Path| Variant::from(path.to_string_lossy().into_owned());
    let mut settings = vec![
        ("Description", Variant::from(format!("runbook: {}", asked.argv.first().map_or("", String::as_str)))),
        ("ExecStartEx", Variant::from(literal(&asked.argv))),
        ("Environment", Variant::from(env)),
        ("UnsetEnvironment", Variant::from(asked.unset.clone())),
        ("StandardInput", Variant::from("null")),
        ("TimeoutStartUSec", micros(asked.deadline)),
        ("TimeoutStopUSec", micros(asked.daemon.as_ref().map_or(GRACE, |_| asked.deadline))),
        ("LimitCORE", Variant::U64(0)),
    ];
    match &asked.daemon {
        None => settings.extend([("Type", Variant::from("oneshot")), ("RemainAfterExit", Variant::Bool(true))]),
        Some(daemon) => settings.extend([
            ("Type", Variant::from("forking")),
            ("PIDFile", text(&daemon.pid_file)),
            ("ExecStopEx", Variant::from(literal(&daemon.stop))),
            // A daemon of many programs: one that ran out of memory must not take the others with it, nor be kept from files.
            ("OOMPolicy", Variant::from("continue")),
            ("LimitNOFILE", Variant::U64(u64::MAX)),
            // Its name is free again once it is gone, however it went.
            ("CollectMode", Variant::from("inactive-or-failed")),
        ]),
    }
    for (file, key, stream) in [
        (&asked.stdout, "StandardOutputFileToTruncate", "StandardOutput"),
        (&asked.stderr, "StandardErrorFileToTruncate", "StandardError"),
    ] {
        settings.push(file.as_ref().map_or((stream, Variant::from("journal")), |file| (key, text(file))));
    }
    settings.extend(asked.user.iter().map(|user| ("User", Variant::from(user.clone()))));
    settings.extend(asked.group.iter().map(|group| ("Group", Variant::from(group.clone()))));
    settings.extend(asked.cwd.iter().map(|cwd| ("WorkingDirectory", text(cwd))));
    settings.extend(asked.file_size.map(|bytes| ("LimitFSIZE", Variant::U64(bytes))));
    settings.extend(asked.memory.map(|bytes| ("MemoryMax", Variant::U64(bytes))));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_from_four_properties() {
        let exited = |code, hint: &str| TransientOutcome::Exited { code, hint: hint.into() };
        for (active, result, code, status, wanted) in [
            ("active", "success", Some(1), 0, exited(0, "")),
            ("failed", "exit-code", Some(1), 7, exited(7, "")),
            ("failed", "exit-code", Some(1), 203, exited(203, "203/EXEC: the program could not be executed")),
            ("failed", "signal", Some(2), 9, TransientOutcome::Killed { signal: 9 }),
            ("failed", "core-dump", Some(3), 11, TransientOutcome::Killed { signal: 11 }),
            ("failed", "timeout", Some(2), 15, TransientOutcome::TimedOut),
            ("failed", "resources", Some(0), 0, TransientOutcome::NotBegun { result: "resources".into() }),
            ("activating", "success", Some(0), 0, TransientOutcome::Running),
            ("active", "success", Some(0), 0, TransientOutcome::Running),
        ] {
            assert_eq!(judge(active, result, code, status), wanted, "{active} {result}");
        }
        assert!(matches!(judge("inactive", "success", Some(0), 0), TransientOutcome::Unknown { .. }));
    }

    #[test]
    fn only_our_own_names() {
        assert!(check_name("runbook-r1-2.service").is_ok());
        for name in [
            "redis-server.service",
            "runbook-a.socket",
            "runbook-@.service",
            "runbook-a@b.service",
            "runbook-/x.service",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
