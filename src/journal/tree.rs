//! Taking a directory of ours away as a whole: first out of sight by one rename, then piece by piece. Whoever is killed in
//! between leaves something under a name that nobody reads, and the next one finishes it.
//!
//! Nothing is followed: every name is looked up below an open descriptor, a link is removed as the link that it is, and no
//! other file system is entered.
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::files::{Directory, FileError};

/// How names begin of what is on its way out.
const GONE: &str = ".gone-";
/// Ours are three deep; what is deeper than this was put there by somebody else and stays.
const DEEPEST: usize = 16;
/// Names that are taken in at once, however many there are.
const AT_ONCE: usize = 4096;

/// The name under which something is on its way out.
pub(super) fn gone(name: &str) -> String {
    format!("{GONE}{name}")
}

/// Whether this is the name of something on its way out.
pub(super) fn is_gone(name: &str) -> bool {
    name.starts_with(GONE)
}

impl Directory {
    /// Takes an entry out of sight; not durable before [`sync`](Self::sync). Gives the name that is to be removed.
    pub(super) fn set_apart(&self, name: &str) -> Result<String, FileError> {
        let apart = gone(name);
        fs::renameat(self.fd(), name, self.fd(), &apart)
            .map_err(FileError::io("set apart", &self.path().join(name)))?;
        Ok(apart)
    }

    /// Removes an entry with everything below it; one that is gone already is no error.
    pub(super) fn remove_tree(&self, name: &str) -> Result<(), FileError> {
        match c_name(name).and_then(|name| remove(self.fd(), &name, 0)) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(FileError::io("remove", &self.path().join(name))(errno)),
        }
    }

    /// What an entry takes on the disk with everything below it, as `du` counts; as far as it can be seen.
    pub(super) fn tree_bytes(&self, name: &str) -> u64 {
        c_name(name).map_or(0, |name| bytes(self.fd(), &name, 0))
    }
}

fn c_name(name: &str) -> Result<CString, Errno> {
    CString::new(name).map_err(|_| Errno::INVAL)
}

/// Opens a directory below another one, on the same file system and through no link.
fn open(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    match fs::openat2(at, name, flags, Mode::empty(), resolve) {
        // An old kernel, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {
            let fd = fs::openat(at, name, flags, Mode::empty())?;
            let same = fs::fstat(at)?.st_dev == fs::fstat(&fd)?.st_dev;
            if same { Ok(fd) } else { Err(Errno::XDEV) }
        }
        opened => opened,
    }
}

/// The first names below a directory, as the system's bytes.
fn some_names(dir: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let names = fs::Dir::read_from(dir)?.map(|entry| entry.map(|entry| entry.file_name().to_owned()));
    let ours = |name: &Result<CString, Errno>| !matches!(name.as_deref().map(CStr::to_bytes), Ok(b"." | b".."));
    names.filter(ours).take(AT_ONCE).collect()
}

/// Each round takes something away or fails, so it ends.
fn remove(at: &OwnedFd, name: &CStr, depth: usize) -> Result<(), Errno> {
    let stat = fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return fs::unlinkat(at, name, AtFlags::empty());
    }
    if depth > DEEPEST {
        return Err(Errno::NAMETOOLONG);
    }
    let dir = open(at, name)?;
    loop {
        let names = some_names(&dir)?;
        if names.is_empty() {
            return fs::unlinkat(at, name, AtFlags::REMOVEDIR);
        }
        for inner in names {
            match remove(&dir, &inner, depth + 1) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

fn bytes(at: &OwnedFd, name: &CStr, depth: usize) -> u64 {
    let Ok(stat) = fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) else { return 0 };
    let own = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory || depth > DEEPEST {
        // A file that has another name elsewhere gives nothing back.
        return if stat.st_nlink > 1 { 0 } else { own };
    }
    let below = open(at, name).and_then(|dir| {
        let names = some_names(&dir)?;
        Ok(names.iter().map(|inner| bytes(&dir, inner, depth + 1)).fold(0, u64::saturating_add))
    });
    own.saturating_add(below.unwrap_or(0))
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
