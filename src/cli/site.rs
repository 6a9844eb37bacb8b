//! Where things are for this user: runbooks, state directory and lock; and who this process is.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use crate::runbook::Window;

use super::{Exit, Failure};
use crate::host::foreign::named;
use crate::host::{clock, machine, passwd, root_owned};
use crate::journal::checkpoint::Owner;
use crate::journal::lock::HOST_LOCK;
use crate::journal::store::{Listed, RunId, Store, StoreError};
use crate::journal::{Clock, Stamp};
use crate::report::{call, word};

/// Root's runbooks.
const ETC: &str = "/etc/runbook";
/// Root's state.
const VAR: &str = "/var/lib/runbook";
/// Another lock than the host's. For tests only: two runs with different locks do not know of each other.
const LOCK_FOR_TESTS: &str = "RUNBOOK_LOCK";

/// Where things are.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Where a plain name is looked for.
    pub(super) runbooks: PathBuf,
    /// Absolute; canonical as far as it exists.
    pub(super) state_dir: PathBuf,
    /// The one lock of this host.
    pub(super) lock: PathBuf,
    /// Acting as root.
    pub(super) root: bool,
}

/// Whether root keeps its runs there without being told.
pub(super) fn is_usual(state_dir: &Path) -> bool {
    rustix::process::geteuid().is_root() && state_dir == Path::new(VAR)
}

impl Site {
    /// As root the system's directories, otherwise those of a checkout; `state_dir` outranks both.
    pub(super) fn find(state_dir: Option<&Path>) -> Result<Self, Failure> {
        let root = rustix::process::geteuid().is_root();
        let (runbooks, state) = if root { (ETC, VAR) } else { ("runbooks", "state") };
        let state_dir = absolute(state_dir.unwrap_or(Path::new(state)))?;
        let lock = match variable(LOCK_FOR_TESTS) {
            Some(path) => path.into(),
            None if root => HOST_LOCK.into(),
            None => state_dir.join("lock"),
        };
        Ok(Self { runbooks: runbooks.into(), state_dir, lock, root })
    }

    /// This program's file, where commands of steps may be run by systemd: as root, on the host's own lock.
    /// A file that others may change is none: `run` has refused it, and `resume` goes on without.
    pub(super) fn effects(&self) -> Option<PathBuf> {
        let ours = self.root && self.is_hosts();
        let file = std::env::current_exe().ok().filter(|_| ours)?;
        root_owned::judge(&file).ok().map(|owned| owned.resolved)
    }

    /// On the host's own lock, not on one of a test.
    pub(super) fn is_hosts(&self) -> bool {
        self.lock == Path::new(HOST_LOCK)
    }

    /// The state directory, opened to look only; `None` when there is none yet.
    pub(super) fn look(&self) -> Result<Option<Store>, Failure> {
        match Store::open(&self.state_dir) {
            Ok(store) => Ok(Some(store)),
            Err(StoreError::File(error)) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The state directory of a command that cannot do without.
    pub(super) fn store(&self) -> Result<Store, Failure> {
        let none = || Failure::say(Exit::Usage, format!("there are no runs in {}", self.state_dir.display()));
        self.look()?.ok_or_else(|| none().hint("another --state-dir?"))
    }

    /// The nearest directory above the state directory that exists, itself included: what can be asked of its disk.
    pub(super) fn nearest(&self) -> &Path {
        self.state_dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
    }

    /// The run that was named, or the unfinished one, or the latest; `None` when there is none at all.
    pub(super) fn pick(&self, named: Option<&str>) -> Result<Option<Listed>, Failure> {
        let missing = |name: &str| {
            Failure::say(Exit::Usage, format!("there is no run {}", crate::host::foreign::named(name, 64)))
                .hint(call("history"))
        };
        let Some(store) = self.look()? else { return named.map_or(Ok(None), |name| Err(missing(name))) };
        if let Some(name) = named {
            let found = RunId::parse(name).map(|id| store.listed(&id)).transpose()?.flatten();
            return found.ok_or_else(|| missing(name)).map(Some);
        }
        match store.unfinished()? {
            Some(listed) => Ok(Some(listed)),
            None => Ok(store.latest()?),
        }
    }

    /// The unfinished run, which must be the one that was named if one was.
    pub(super) fn unfinished(&self, store: &Store, named: Option<&str>) -> Result<Option<RunId>, Failure> {
        let Some(listed) = store.unfinished()? else {
            return Ok(None);
        };
        match named {
            Some(name) if name != listed.id.as_str() => {
                let text = format!(
                    "run {} is not the unfinished one, that is {}",
                    crate::host::foreign::named(name, 64),
                    listed.id
                );
                Err(Failure::say(Exit::Usage, text).hint(call(&format!("status {}", word(name)))))
            }
            _ => Ok(Some(listed.id)),
        }
    }
}

/// The window of a run's frozen runbook, if it names one and can be read.
pub(super) fn window(store: &Store, id: &RunId) -> Option<Window> {
    let bytes = store.dir(id).and_then(|dir| Ok(dir.read("runbook.yaml")?)).ok()?;
    crate::runbook::load_bytes(&bytes, "runbook.yaml").ok()?.runbook.window
}

/// The time zone in which a run's times of day are shown; UTC where its runbook names none.
pub(super) fn zone(store: &Store, id: &RunId) -> TimeZone {
    window(store, id).map_or(TimeZone::UTC, |window| window.timezone)
}

/// A path that means the same after a reboot: absolute, links resolved as far as it exists.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let full =
        std::path::absolute(path).context("the state directory").map_err(|error| Failure::new(Exit::Usage, error))?;
    let existing = full.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    Ok(match existing {
        Some((above, real)) => match full.strip_prefix(above) {
            Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
            _ => real,
        },
        None => full,
    })
}

/// A variable of the environment, if it says anything.
#[expect(clippy::disallowed_methods, reason = "the front door reads the environment here and nowhere else")]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Who drives a run from this process.
pub(super) fn owner() -> Owner {
    let (pid, uid) = (std::process::id(), rustix::process::geteuid().as_raw());
    let tty = rustix::termios::ttyname(std::io::stderr(), Vec::new()).ok();
    Owner {
        pid,
        uid,
        user: passwd::name_of(uid).unwrap_or_else(|| uid.to_string()),
        sudo_user: variable("SUDO_USER").map(|user| named(&user, 64)),
        tty: tty.map(|name| named(&name.to_string_lossy(), 64)),
        started: machine::start_time(pid).unwrap_or(0),
    }
}

/// Whose name stands under a decision: the person behind `sudo` if there is one.
pub(super) fn who() -> String {
    let owner = owner();
    owner.sudo_user.unwrap_or(owner.user)
}

/// The stamps of a journal that this process writes; the boot cannot change under it.
pub(super) fn stamps(boot_id: &str) -> Box<dyn Clock> {
    let boot_id = boot_id.to_owned();
    Box::new(move || Stamp {
        boot_id: boot_id.clone(),
        mono_ms: u64::try_from(clock::boottime().as_millis()).unwrap_or(u64::MAX),
        wall: clock::now(),
    })
}

/// What identifies this machine and this boot; a run cannot be written down without them.
pub(super) struct Identity {
    pub(super) boot_id: String,
    pub(super) machine_id: String,
    pub(super) hostname: String,
}

/// Reads the identity.
pub(super) fn identity() -> Result<Identity, Failure> {
    let seen = machine::look();
    let need = |value: Option<String>, path: &str| {
        value.ok_or_else(|| Failure::say(Exit::Unforeseen, format!("{path} cannot be read or is empty")))
    };
    Ok(Identity {
        boot_id: need(seen.boot_id, "/proc/sys/kernel/random/boot_id")?,
        machine_id: need(seen.machine_id, "/etc/machine-id")?,
        hostname: need(seen.hostname, "/proc/sys/kernel/hostname")?,
    })
}

/// The same for whoever gives a run up: what is missing is empty, because a machine that has lost its id must not keep its run.
pub(super) fn identity_or_less() -> Identity {
    let seen = machine::look();
    Identity {
        boot_id: seen.boot_id.unwrap_or_default(),
        machine_id: seen.machine_id.unwrap_or_default(),
        hostname: seen.hostname.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_yet_is_canonical_above() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("a")).unwrap();
        std::os::unix::fs::symlink(real.join("a"), real.join("link")).unwrap();
        assert_eq!(absolute(&real.join("link/new/state")).unwrap(), real.join("a/new/state"));
        assert_eq!(absolute(&real.join("link")).unwrap(), real.join("a"));
    }
}
