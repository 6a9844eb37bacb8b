//! Where a daemon lives: its home directory, its user, the files inside. Files of a daemon are
//! its user's own, whatever leads to them ([`safe_file`]).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::host::foreign::{Shown, named, tame};
use crate::host::off_thread;
use crate::host::safe_file::{self, Refusal, Trust};

/// One daemon as the runbook names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pm2At {
    /// The user whose processes these are.
    pub user: String,
    /// `PM2_HOME`.
    pub home: PathBuf,
    /// The systemd unit that starts the daemon at boot, when there is one.
    pub unit: Option<String>,
    /// The `pm2` script to use while no daemon can name its own.
    pub cli: Option<PathBuf>,
}

impl Pm2At {
    /// Whose daemon this is, for messages: the user, and the home where it is not that user's usual one. One user may have several.
    #[must_use]
    pub fn whose(&self) -> String {
        let usual = [Path::new("/root/.pm2").to_owned(), Path::new("/home").join(&self.user).join(".pm2")];
        if usual[usize::from(self.user != "root")] == self.home {
            return self.user.clone();
        }
        format!("{} in {}", self.user, named(&self.home.to_string_lossy(), 200))
    }

    /// The RPC socket (PM2 `paths.js`).
    #[must_use]
    pub fn rpc_socket(&self) -> PathBuf {
        self.home.join(super::rpc::RPC)
    }

    /// The event socket.
    #[must_use]
    pub fn pub_socket(&self) -> PathBuf {
        self.home.join(super::bus::PUB)
    }

    /// What `pm2 save` writes and `pm2 resurrect` reads.
    #[must_use]
    pub fn dump(&self) -> PathBuf {
        self.home.join("dump.pm2")
    }
}

/// A user, with what a process of theirs needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
}

/// Why the user of a daemon is not clear.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccountError {
    /// The home cannot be looked at.
    #[error("PM2 home {home}: {why}")]
    Home {
        /// `PM2_HOME`.
        home: PathBuf,
        /// The system's words.
        why: Shown,
    },
    /// There is no such directory.
    #[error("PM2 home {home}: no such directory")]
    Missing {
        /// `PM2_HOME`.
        home: PathBuf,
    },
    /// The home belongs to another user than the runbook says.
    #[error("PM2 home {home} belongs to uid {owner}, not to {user} (uid {uid}); correct `user` or `home`")]
    Owner {
        /// `PM2_HOME`.
        home: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user named.
        user: String,
        /// That user's id.
        uid: u32,
    },
}

/// The user of a daemon: from `/etc/passwd`, or for users kept elsewhere (LDAP) the owner of the home directory. Both
/// must agree, because whatever is started there is started as that user. Blocking.
///
/// # Errors
/// [`AccountError`].
pub fn account(at: &Pm2At) -> Result<Account, AccountError> {
    home(at).map(|(account, _)| account)
}

/// [`account`] off the thread that runs timers and signals.
///
/// # Errors
/// [`AccountError`].
pub async fn account_of(at: &Pm2At) -> Result<Account, AccountError> {
    let asked = at.clone();
    let found = off_thread::within(off_thread::DISK, &at.home, move || account(&asked)).await;
    found.unwrap_or_else(|late| Err(AccountError::Home { home: at.home.clone(), why: tame(&late.to_string(), 200) }))
}

/// The user of a daemon and the home itself, opened: what is looked up below it is below this directory and no other.
/// A link on the way is followed where root made it, or where it leads its owner to what is theirs.
pub(super) fn home(at: &Pm2At) -> Result<(Account, OwnedFd), AccountError> {
    let home = || at.home.clone();
    let listed = passwd(&at.user);
    let trust = listed.as_ref().map_or(Trust::Counted, |account| Trust::OwnedBy(account.uid));
    let (dir, stat) = safe_file::directory(&at.home, trust).map_err(|error| {
        let refusal = error.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>());
        match (refusal, &listed) {
            (Some(Refusal::Owner { is, wanted }), Some(account)) => {
                AccountError::Owner { home: home(), owner: *is, user: account.name.clone(), uid: *wanted }
            }
            _ if error.kind() == io::ErrorKind::NotFound => AccountError::Missing { home: home() },
            _ => AccountError::Home { home: home(), why: tame(&error.to_string(), 400) },
        }
    })?;
    let account = listed.unwrap_or_else(|| Account {
        name: at.user.clone(),
        uid: stat.st_uid,
        gid: stat.st_gid,
        home: at.home.parent().unwrap_or(Path::new("/")).to_owned(),
    });
    Ok((account, dir))
}

fn passwd(user: &str) -> Option<Account> {
    const PASSWD_MAX: u64 = 4 << 20;
    let text = safe_file::read_text(Path::new("/etc/passwd"), Trust::Ours, PASSWD_MAX).ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields.as_slice() else {
            return None;
        };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        (*name == user).then(|| Account { name: user.to_owned(), uid, gid, home: PathBuf::from(home) })
    })
}

/// Opens a file of another user: theirs, whatever leads to it.
///
/// # Errors
/// The system's, and a [`Refusal`].
pub fn open_owned(path: &Path, uid: u32) -> io::Result<File> {
    safe_file::open(path, Trust::OwnedBy(uid))
}

/// The whole of a file of another user, at most `max` bytes.
///
/// # Errors
/// As [`open_owned`], and `FileTooLarge` beyond `max`.
pub fn read_owned(path: &Path, uid: u32, max: u64) -> io::Result<Vec<u8>> {
    safe_file::read(path, Trust::OwnedBy(uid), max)
}

/// The last `max` bytes of a file of another user.
///
/// # Errors
/// As [`open_owned`].
pub fn read_end_owned(path: &Path, uid: u32, max: u64) -> io::Result<Vec<u8>> {
    safe_file::read_end(path, Trust::OwnedBy(uid), max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn links_strangers_and_giants_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, b"0123456789").unwrap();
        std::os::unix::fs::symlink(&file, dir.path().join("link")).unwrap();
        assert_eq!(read_owned(&file, me(), 10).unwrap(), b"0123456789");
        assert_eq!(read_end_owned(&file, me(), 3).unwrap(), b"789");
        assert_eq!(read_owned(&file, me(), 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_owned(&file, me() + 1, 10).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::os::unix::fs::symlink("/proc/self/mem", dir.path().join("proc")).unwrap();
        assert!(read_owned(&dir.path().join("link"), me() + 1, 10).is_err());
        assert!(read_owned(dir.path(), me(), 10).is_err());
    }

    #[test]
    fn the_user_must_own_the_home() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = Pm2At { user: "no-such-user".into(), home: dir.path().into(), unit: None, cli: None };
        assert_eq!(account(&at).unwrap().uid, me());
        at.user = if me() == 0 { "nobody" } else { "root" }.into();
        assert!(matches!(account(&at), Err(AccountError::Owner { .. })));
        at.home = "/no/such/home".into();
        assert!(matches!(account(&at), Err(AccountError::Missing { .. })));
        at.home = "/etc/passwd".into();
        at.user = "root".into();
        assert!(matches!(account(&at), Err(AccountError::Home { .. })));
    }
}
