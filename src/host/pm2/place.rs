//! Where a daemon lives: its home directory, its user, the files inside. Also the one way in which files that belong to
//! somebody else are opened: no link followed at the end, a regular file, owned by the expected user, bounded.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::host::foreign::{Shown, tame};

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
    /// The RPC socket (PM2 `paths.js`).
    #[must_use]
    pub fn rpc_socket(&self) -> PathBuf {
        self.home.join("rpc.sock")
    }

    /// The event socket.
    #[must_use]
    pub fn pub_socket(&self) -> PathBuf {
        self.home.join("pub.sock")
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
/// must agree, because whatever is started there is started as that user.
///
/// # Errors
/// [`AccountError`].
pub fn account(at: &Pm2At) -> Result<Account, AccountError> {
    let unreadable = |why: io::Error| AccountError::Home { home: at.home.clone(), why: tame(&why.to_string(), 200) };
    let owner = std::fs::metadata(&at.home).map_err(unreadable)?;
    let listed = passwd(&at.user);
    let found = listed.unwrap_or_else(|| Account {
        name: at.user.clone(),
        uid: owner.uid(),
        gid: owner.gid(),
        home: at.home.parent().unwrap_or(Path::new("/")).to_owned(),
    });
    if found.uid != owner.uid() {
        let (user, uid) = (at.user.clone(), found.uid);
        return Err(AccountError::Owner { home: at.home.clone(), owner: owner.uid(), user, uid });
    }
    Ok(found)
}

fn passwd(user: &str) -> Option<Account> {
    const PASSWD_MAX: u64 = 4 << 20;
    let mut text = String::new();
    File::open("/etc/passwd").ok()?.take(PASSWD_MAX).read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields.as_slice() else {
            return None;
        };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        (*name == user).then(|| Account { name: user.to_owned(), uid, gid, home: PathBuf::from(home) })
    })
}

/// Opens a file of another user safely.
///
/// # Errors
/// The system's, and `InvalidData` for a file of another owner or kind. A final symbolic link is refused (`ELOOP`).
pub fn open_owned(path: &Path, uid: u32) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let meta = file.metadata()?;
    let wrong = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if !meta.is_file() {
        return wrong("not a regular file".to_owned());
    }
    if meta.uid() != uid {
        return wrong(format!("owned by uid {}, expected {uid}", meta.uid()));
    }
    Ok(file)
}

/// The whole of a file of another user, at most `max` bytes.
///
/// # Errors
/// As [`open_owned`], and `FileTooLarge` beyond `max`.
pub fn read_owned(path: &Path, uid: u32, max: u64) -> io::Result<Vec<u8>> {
    let file = open_owned(path, uid)?;
    let expected = file.metadata()?.len().min(max);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {max} bytes")));
    }
    Ok(bytes)
}

/// The last `max` bytes of a file of another user.
///
/// # Errors
/// As [`open_owned`].
pub fn read_end_owned(path: &Path, uid: u32, max: u64) -> io::Result<Vec<u8>> {
    let mut file = open_owned(path, uid)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(max)))?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
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
        assert!(read_owned(&dir.path().join("link"), me(), 10).is_err());
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
        assert!(matches!(account(&at), Err(AccountError::Home { .. })));
    }
}
