//! The system bus: one connection, a deadline on every call, and errors that say what they prove.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use zbus::connection::Builder;
use zbus::{Connection, fdo};

use super::proxies::{LoginProxy, SystemdProxy};
use crate::host::foreign::{Shown, named, tame};
use crate::host::machine;
use crate::host::span::words;

/// Where the system bus is; the environment is not asked, it may come from a less privileged caller.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";
/// Reading a unit takes milliseconds; a busy PID 1 (reloading) may need seconds.
pub const CALL_DEADLINE: Duration = Duration::from_secs(25);
/// Reload re-reads every unit; large hosts need long.
pub(super) const RELOAD_DEADLINE: Duration = Duration::from_secs(180);
/// Job signals that may wait while we wait for a reply; a boot has some hundreds.
const QUEUE: usize = 8192;

/// Anything that went wrong between us and systemd or logind.
#[derive(Debug, Error)]
pub enum SystemdError {
    /// Not booted by systemd: a container, a chroot, another init.
    #[error("process 1 is {init}, not systemd: units cannot be asked or started here, run on the host itself")]
    NotBooted {
        /// The name of process 1.
        init: String,
    },
    /// No bus.
    #[error("no system bus at {address}: {why} (is dbus.service running?)")]
    Unreachable {
        /// The bus address.
        address: String,
        /// The system's words.
        why: Shown,
    },
    /// The bus is there, the service is not.
    #[error("{what}: nobody answers on the bus ({why}); is systemd-logind, or systemd itself, running?")]
    Absent {
        /// What was asked.
        what: String,
        /// The bus's words.
        why: Shown,
    },
    /// Polkit or the bus policy said no.
    #[error("{what}: not allowed ({why}); run as root, with sudo")]
    Denied {
        /// What was asked.
        what: String,
        /// The words of polkit or the bus.
        why: Shown,
    },
    /// systemd knows no such unit.
    #[error("{what}: no such unit ({why}); look for its name with systemctl list-unit-files")]
    NoSuchUnit {
        /// What was asked.
        what: String,
        /// systemd's words.
        why: Shown,
    },
    /// Starting was forbidden by a mask.
    #[error("{what}: masked ({why}); systemctl unmask it if it shall run")]
    Masked {
        /// What was asked.
        what: String,
        /// systemd's words.
        why: Shown,
    },
    /// Someone forbids the shutdown.
    #[error("{what}: blocked by {who}; wait for it, or end it")]
    Inhibited {
        /// What was asked.
        what: String,
        /// The holders of the locks.
        who: String,
    },
    /// A shutdown is under way already.
    #[error("{what}: a shutdown or sleep is already under way")]
    UnderWay {
        /// What was asked.
        what: String,
    },
    /// Any other refusal.
    #[error("{what}: refused with {name}: {why}")]
    Refused {
        /// What was asked.
        what: String,
        /// The D-Bus error name.
        name: String,
        /// Its words.
        why: Shown,
    },
    /// No reply in time: it may have happened.
    #[error("{what}: no reply within {}; it may have happened all the same, look with systemctl status", words(*.after))]
    TimedOut {
        /// What was asked.
        what: String,
        /// The deadline.
        after: Duration,
    },
    /// The connection broke in the middle, or the reply made no sense: it may have happened.
    #[error("{what}: no usable reply from the bus ({why}); it may have happened all the same")]
    Lost {
        /// What was asked.
        what: String,
        /// The words of the transport.
        why: Shown,
    },
    /// A name that cannot be a unit's.
    #[error("{name} is not a unit name: write it in full, like redis-server@bull00.service")]
    BadName {
        /// As given, tamed.
        name: String,
    },
    /// A file of ours under the unit directory.
    #[error("cannot write {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The call went well but the state afterwards is not what it should be.
    #[error("{what}: {why}")]
    NotVerified {
        /// What was done.
        what: String,
        /// What is seen instead.
        why: String,
    },
}

impl SystemdError {
    /// Whether this proves that the asked effect did not begin. Otherwise its outcome is unknown.
    #[must_use]
    pub fn nothing_happened(&self) -> bool {
        !matches!(self, Self::TimedOut { .. } | Self::Lost { .. } | Self::NotVerified { .. })
    }

    /// Sorts a D-Bus error by what it means.
    fn of(what: &str, failed: zbus::Error) -> Self {
        let what = what.to_owned();
        let shown = tame(&failed.to_string(), 300);
        match failed {
            zbus::Error::FDO(inner) => Self::of_standard(what, *inner, shown),
            zbus::Error::MethodError(name, why, _) => Self::of_named(what, name.as_str(), why.as_deref().unwrap_or("")),
            _ => Self::Lost { what, why: shown },
        }
    }

    fn of_standard(what: String, failed: fdo::Error, shown: Shown) -> Self {
        use fdo::Error as E;
        match failed {
            E::AccessDenied(why) | E::InteractiveAuthorizationRequired(why) | E::AuthFailed(why) => {
                Self::Denied { what, why: tame(&why, 300) }
            }
            E::ServiceUnknown(why) | E::NameHasNoOwner(why) => Self::Absent { what, why: tame(&why, 300) },
            E::FileNotFound(why) | E::UnknownObject(why) => Self::NoSuchUnit { what, why: tame(&why, 300) },
            E::NoReply(_) | E::Timeout(_) | E::TimedOut(_) | E::Disconnected(_) | E::ZBus(_) | E::IOError(_) => {
                Self::Lost { what, why: shown }
            }
            _ => Self::Refused { what, name: "a standard error".to_owned(), why: shown },
        }
    }

    fn of_named(what: String, name: &str, why: &str) -> Self {
        let why = tame(why, 300);
        match name.rsplit('.').next().unwrap_or("") {
            "NoSuchUnit" | "LoadFailed" => Self::NoSuchUnit { what, why },
            "UnitMasked" => Self::Masked { what, why },
            "BlockedByInhibitorLock" => Self::Inhibited { what, who: why.into() },
            "OperationInProgress" => Self::UnderWay { what },
            "InteractiveAuthorizationRequired" => Self::Denied { what, why },
            _ => Self::Refused { what, name: named(name, 100), why },
        }
    }
}

/// A connection to the system bus.
#[derive(Debug, Clone)]
pub struct Bus {
    pub(super) connection: Connection,
    pub(super) deadline: Duration,
}

impl Bus {
    /// Connects to this machine's system bus.
    ///
    /// # Errors
    /// [`SystemdError::NotBooted`] where systemd is not process 1, [`SystemdError::Unreachable`] without a bus.
    pub async fn system() -> Result<Self, SystemdError> {
        let seen = machine::look();
        if !seen.runs_systemd() {
            return Err(SystemdError::NotBooted { init: seen.init.unwrap_or_else(|| "unknown".to_owned()) });
        }
        Self::at(SYSTEM_BUS, CALL_DEADLINE).await
    }

    /// Connects to a bus elsewhere, with its own deadline for each call (a private bus in tests, a container's bus).
    ///
    /// # Errors
    /// [`SystemdError::Unreachable`].
    pub async fn at(address: &str, deadline: Duration) -> Result<Self, SystemdError> {
        let unreachable = |why: String| SystemdError::Unreachable { address: address.to_owned(), why: tame(&why, 300) };
        let queue = NonZeroUsize::new(QUEUE).unwrap_or(NonZeroUsize::MIN);
        let dial = Builder::address(address).max_queued(queue).build();
        match tokio::time::timeout(deadline, dial).await {
            Ok(Ok(connection)) => Ok(Self { connection, deadline }),
            Ok(Err(why)) => Err(unreachable(why.to_string())),
            Err(_) => Err(unreachable(format!("no greeting within {}", words(deadline)))),
        }
    }

    /// Runs one call under the connection's deadline and sorts its error.
    pub(super) async fn call<T>(
        &self,
        what: &str,
        reply: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, SystemdError> {
        self.call_within(self.deadline, what, reply).await
    }

    /// [`Bus::call`] for the few calls that may take longer.
    pub(super) async fn call_within<T>(
        &self,
        deadline: Duration,
        what: &str,
        reply: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, SystemdError> {
        match tokio::time::timeout(deadline, reply).await {
            Ok(answer) => answer.map_err(|failed| SystemdError::of(what, failed)),
            Err(_) => Err(SystemdError::TimedOut { what: what.to_owned(), after: deadline }),
        }
    }

    pub(super) async fn systemd(&self) -> Result<SystemdProxy<'static>, SystemdError> {
        self.call("ask systemd", SystemdProxy::new(&self.connection)).await
    }

    pub(super) async fn login(&self) -> Result<LoginProxy<'static>, SystemdError> {
        self.call("ask logind", LoginProxy::new(&self.connection)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_bus_is_unreachable() {
        let dir = tempfile::tempdir().unwrap();
        let address = format!("unix:path={}", dir.path().join("none").display());
        let said = Bus::at(&address, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(said, SystemdError::Unreachable { .. }), "{said}");
        assert!(said.nothing_happened());
    }

    #[tokio::test]
    async fn a_bus_that_never_greets_is_unreachable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mute");
        let _mute = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let said = Bus::at(&format!("unix:path={}", path.display()), Duration::from_millis(200)).await.unwrap_err();
        assert!(said.to_string().contains("no greeting within 0.2s"), "{said}");
    }

    #[test]
    fn names_of_errors_are_sorted_by_meaning() {
        let of = |name: &str| SystemdError::of_named("start a.service".into(), name, "why\x1b");
        assert!(matches!(of("org.freedesktop.systemd1.NoSuchUnit"), SystemdError::NoSuchUnit { .. }));
        assert!(matches!(of("org.freedesktop.systemd1.UnitMasked"), SystemdError::Masked { .. }));
        assert!(matches!(of("org.freedesktop.login1.BlockedByInhibitorLock"), SystemdError::Inhibited { .. }));
        let other = of("org.freedesktop.systemd1.JobTypeNotApplicable").to_string();
        assert!(other.starts_with("start a.service: refused with ") && other.ends_with("why\\u{1b}"), "{other}");
    }
}
