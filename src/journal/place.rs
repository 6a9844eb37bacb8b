//! Where a state directory may lie: what was synced there must still be there after the reboot that the run asks for.
use std::path::Path;

use super::files::{Directory, FileError};
use crate::host::root_owned;

/// What a place promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A local disk.
    Durable,
    /// An overlay: as durable as its upper layer, which cannot be seen from here.
    Overlay,
    /// Empty after a reboot.
    Volatile(&'static str),
    /// Another machine's, or a program's: locks and syncs may mean nothing there.
    Remote(&'static str),
}

/// File system magic numbers, from `linux/magic.h` and the file systems' own headers.
const KINDS: [(u32, Place); 12] = [
    (0x0102_1994, Place::Volatile("tmpfs")),
    (0x8584_58f6, Place::Volatile("ramfs")),
    (0x794c_7630, Place::Overlay),
    (0x0000_6969, Place::Remote("nfs")),
    (0x0000_517b, Place::Remote("smb")),
    (0xff53_4d42, Place::Remote("cifs")),
    (0xfe53_4d42, Place::Remote("smb2")),
    (0x6573_5546, Place::Remote("fuse")),
    (0x0102_1997, Place::Remote("9p")),
    (0x00c3_6400, Place::Remote("ceph")),
    (0x5346_414f, Place::Remote("afs")),
    (0x0bad_1dea, Place::Volatile("a futex file system")),
];

/// Directories that are emptied at boot or by age, whatever file system they are on.
const CLEANED: [&str; 4] = ["/run", "/tmp", "/var/tmp", "/dev/shm"];

/// Judges a directory by its file system and by its path.
///
/// # Errors
/// [`FileError`] if the file system does not answer.
pub fn place_of(dir: &Directory) -> Result<Place, FileError> {
    let stat = rustix::fs::fstatfs(dir.fd()).map_err(FileError::io("look at", dir.path()))?;
    // The kernel's field is a signed word; the numbers are 32 bits wide.
    let place = by_magic(stat.f_type as u32);
    let path = std::fs::canonicalize(dir.path()).unwrap_or_else(|_| dir.path().to_owned());
    Ok(if place == Place::Durable { by_path(&path) } else { place })
}

fn by_magic(magic: u32) -> Place {
    KINDS.iter().find(|(number, _)| *number == magic).map_or(Place::Durable, |(_, place)| *place)
}

fn by_path(path: &Path) -> Place {
    CLEANED.iter().find(|dir| path.starts_with(dir)).map_or(Place::Durable, |dir| Place::Volatile(dir))
}

impl Place {
    /// Refuses a place that does not fit: remote always, volatile for a run that must find its journal after a reboot.
    ///
    /// # Errors
    /// The reason, with what to do.
    pub fn fits(self, reboots: bool) -> Result<(), String> {
        match self {
            Self::Durable | Self::Overlay => Ok(()),
            Self::Volatile(_) if !reboots => Ok(()),
            Self::Volatile(what) => {
                Err(format!("it is on {what}, which a reboot or a clean-up empties; use --state-dir on a local disk"))
            }
            Self::Remote(what) => {
                Err(format!("it is on {what}, where locks and syncs may mean nothing; use --state-dir on a local disk"))
            }
        }
    }
}

/// For root: nobody else may change the directory or one above, or they could put another state directory in its place. The
/// inner error is the reason, with what to do.
pub(super) fn safe_above(path: &Path) -> Result<Result<(), String>, FileError> {
    let full = std::fs::canonicalize(path);
    let full = full.map_err(|source| FileError::Io { what: "resolve", path: path.to_owned(), source })?;
    let judged = root_owned::judge(&full);
    Ok(judged.map(drop).map_err(|why| format!("others than root may change it: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::fixture::figure;

    #[test]
    fn a_reboot_needs_a_place_that_survives_it() {
        for (magic, without, with) in [
            (0xef53, true, true),
            (0x794c_7630, true, true),
            (0x0102_1994, true, false),
            (0x6969, false, false),
            (0x6573_5546, false, false),
        ] {
            let place = by_magic(magic);
            assert_eq!((place.fits(false).is_ok(), place.fits(true).is_ok()), (without, with), "{magic:x}");
        }
        assert_eq!(by_path(Path::new("/tmp/x")), Place::Volatile("/tmp"));
        assert_eq!(by_path(Path::new("/tmpx")), Place::Durable);
    }

    #[test]
    fn shared_memory_is_seen_as_volatile() {
        let Ok(dir) = tempfile::tempdir_in("/dev/shm") else {
            figure("skipped: no /dev/shm");
            return;
        };
        let dir = Directory::open(dir.path(), 0o022).unwrap();
        assert_eq!(place_of(&dir).unwrap(), Place::Volatile("tmpfs"));
    }
}
