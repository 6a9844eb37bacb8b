//! One run per host: the kernel's lock, which dies with its holder and never goes stale.
//!
//! The lock file says who holds it, for people; nothing is ever decided by that text. Across reboots another thing owns the
//! host: the unfinished journal (see [`store`](super::store)).
use std::fs::DirBuilder;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::{Errno, FdFlags, fcntl_setfd};

use super::checkpoint::Owner;
use crate::host::command::Lend;
use crate::host::planted::{Bug, planted};
use crate::host::{foreign, machine};

/// The lock of the host, one path whatever the state directory. Below `/run`, because that is local on every host (a lock on
/// a network file system may bind nobody), writable by root alone (everybody may hold a file in `/run/lock`), left alone by
/// tmpfiles, and as short-lived as the kernel that keeps the lock. In a directory of its own, which the sandbox of the resume
/// unit can leave writable; the unit preserves it, so that it is never removed under the feet of whoever else holds the lock.
pub const HOST_LOCK: &str = "/run/runbook/host.lock";
/// The lock that children of a run inherit: its name beside [`HOST_LOCK`].
pub const CHILDREN_LOCK: &str = "children.lock";

/// A lock that was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("another run holds this host: {holder}; nothing was done")]
    Held {
        /// The holder's own line, tamed. It may be a moment old or missing.
        holder: String,
    },
    /// Something that an earlier sitting started has outlived it.
    #[error("a command of an earlier sitting is still at work ({who}); nothing was done")]
    AtWork {
        /// Its processes, tamed; empty where they cannot be looked at.
        who: String,
        /// Their process ids.
        pids: Vec<u32>,
        /// The lock that they hold.
        path: PathBuf,
    },
    /// The file is not ours to trust.
    #[error("lock file {path} is refused: {why}")]
    Refused {
        /// Its path.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The system said no.
    #[error("cannot lock {path}: {source}")]
    Io {
        /// Its path.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

impl LockError {
    fn io(path: &Path) -> impl FnOnce(Errno) -> Self {
        let path = path.to_owned();
        move |errno| Self::Io { path, source: errno.into() }
    }

    fn std(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Makes the lock's directory if it is not there: after each boot, `/run` is empty.
fn make_directory(path: &Path) -> Result<(), LockError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    match DirBuilder::new().mode(0o755).create(parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(LockError::Io { path: parent.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// The host, held. Dropping it, or dying, lets go.
#[derive(Debug)]
pub struct HostLock {
    file: File,
    path: PathBuf,
}

impl HostLock {
    /// Takes the lock or says at once who has it, then writes the holder's line.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process has it.
    pub fn take(path: &Path, owner: &Owner, boot_id: &str, run: Option<&str>) -> Result<Self, LockError> {
        loop {
            make_directory(path)?;
            let file = open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(_) if planted(Bug::LockSkipped) => {}
                Err(Errno::WOULDBLOCK) => return Err(LockError::Held { holder: holder(&file) }),
                Err(errno) => return Err(LockError::io(path)(errno)),
            }
            let lock = Self { file, path: path.to_owned() };
            // Somebody may have removed the file between open and lock; a lock on a nameless file binds nobody.
            if lock.is_still_ours() {
                lock.introduce(owner, boot_id, run)?;
                return Ok(lock);
            }
        }
    }

    /// Whether the locked file is still the one at the path. False means that somebody removed it and a second run could begin.
    #[must_use]
    pub fn is_still_ours(&self) -> bool {
        let (Ok(held), Ok(named)) = (self.file.metadata(), std::fs::symlink_metadata(&self.path)) else {
            return false;
        };
        (held.dev(), held.ino()) == (named.dev(), named.ino())
    }

    /// Writes the holder's line again, once the run has an id.
    ///
    /// # Errors
    /// [`LockError::Io`]; the lock stays held.
    pub fn introduce(&self, owner: &Owner, boot_id: &str, run: Option<&str>) -> Result<(), LockError> {
        let sudo = owner.sudo_user.as_ref().map(|user| format!(" (sudo by {user})")).unwrap_or_default();
        let line = format!(
            "pid {} started {} boot {boot_id} user {}{sudo} tty {} run {}\n",
            owner.pid,
            owner.started,
            owner.user,
            owner.tty.as_deref().unwrap_or("-"),
            run.unwrap_or("-"),
        );
        // Text for people only, hence no sync.
        self.file
            .set_len(0)
            .and_then(|()| self.file.write_all_at(line.as_bytes(), 0))
            .map_err(LockError::std(&self.path))
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The holder's line of a lock file, tamed; for `status`. Whether anybody holds the lock is another question.
#[must_use]
pub fn holder_line(path: &Path) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    Some(holder(&File::from(fd)))
}

fn holder(file: &File) -> String {
    let mut bytes = Vec::new();
    let _ = Read::take(file, 1024).read_to_end(&mut bytes);
    let text = foreign::tame_bytes(bytes.trim_ascii(), 300);
    if text.is_empty() { "a process that has not said who it is yet".to_owned() } else { text }
}

/// Opens or creates a lock file; an existing one must be a plain file of ours, because whoever can open it can hold it.
fn open(path: &Path) -> Result<File, LockError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).map_err(LockError::io(path))?;
    let file = File::from(fd);
    let stat = file.metadata().map_err(LockError::std(path))?;
    let me = rustix::process::geteuid().as_raw();
    let why = if !stat.is_file() {
        "it is not a regular file".to_owned()
    } else if stat.uid() != me {
        format!("it belongs to user id {}, not {me}", stat.uid())
    } else if stat.mode() & 0o077 != 0 {
        format!("its mode {:04o} lets others hold it", stat.mode() & 0o7777)
    } else {
        return Ok(file);
    };
    Err(LockError::Refused { path: path.to_owned(), why })
}

/// A shared lock that children inherit on purpose: as long as one of them lives, a later run can tell that something of
/// the dead run is still at work. Long-lived daemons must not inherit it; so it is lent to single spawns.
#[derive(Debug)]
pub struct ChildrenLock {
    file: File,
    lending: Mutex<()>,
}

impl ChildrenLock {
    /// Takes the lock, after the host lock. `AtWork`: a child of an earlier sitting is still at work.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(path: &Path) -> Result<Self, LockError> {
        make_directory(path)?;
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let pids = at_work(&file);
                let who = pids.iter().copied().map(machine::named).collect::<Vec<_>>().join(", ");
                return Err(LockError::AtWork { who, pids, path: path.to_owned() });
            }
            Err(errno) => return Err(LockError::io(path)(errno)),
        }
        flock(&file, FlockOperation::NonBlockingLockShared).map_err(LockError::io(path))?;
        Ok(Self { file, lending: Mutex::new(()) })
    }

    /// Lets go of those who live on although every outcome is known: what a command left behind on purpose is a daemon, and
    /// no later run has to wait for it. The lock belongs to the open file, which they share (flock(2)).
    pub fn release(&self) {
        let _gone_with_the_last_of_them = flock(&self.file, FlockOperation::Unlock);
    }

    /// Runs `spawn` while the descriptor is inheritable. A process spawned elsewhere at the same moment inherits it too,
    /// which errs on the safe side.
    ///
    /// # Errors
    /// [`io::Error`] if the descriptor's flag cannot be changed; then nothing was spawned.
    pub fn lend<R>(&self, spawn: impl FnOnce() -> R) -> io::Result<R> {
        let _one_at_a_time = self.lending.lock().unwrap_or_else(PoisonError::into_inner);
        fcntl_setfd(&self.file, FdFlags::empty())?;
        let result = spawn();
        fcntl_setfd(&self.file, FdFlags::CLOEXEC)?;
        Ok(result)
    }
}

impl Lend for ChildrenLock {
    fn lend(&self, start: &mut dyn FnMut()) -> io::Result<()> {
        Self::lend(self, start)
    }
}

/// Who holds a lock file open, as far as this user may look (proc_pid_fd(5)); at most eight.
fn at_work(file: &File) -> Vec<u32> {
    let Ok(wanted) = file.metadata() else { return Vec::new() };
    let others = machine::pids().into_iter().flatten().filter(|pid| *pid != std::process::id());
    let holds = |pid: &u32| {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.filter_map(|fd| std::fs::metadata(fd.path()).ok())
            .any(|seen| (seen.dev(), seen.ino()) == (wanted.dev(), wanted.ino()))
    };
    others.filter(holds).take(8).collect()
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
