//! Small files read with a bound and written whole or not at all.
//!
//! Everything under /proc, /etc and /run that the house reads is small by nature; a bound turns a surprise (a FIFO,
//! a huge log under a familiar name) into an error instead of a hang or an empty machine.

use std::fs::{File, Permissions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::host::safe_file::{self, Trust};

/// Reads at most `max` bytes of a regular file that is in nobody else's hands ([`Trust::Ours`]).
///
/// # Errors
/// The file cannot be opened or read, is not a regular file, or is longer than `max`.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>> {
    safe_file::read(path, Trust::Ours, max)
}

/// [`read`] as text; bytes that are not UTF-8 become U+FFFD. The caller tames what it keeps.
///
/// # Errors
/// As [`read`].
pub fn read_text(path: &Path, max: u64) -> Result<String> {
    Ok(String::from_utf8_lossy(&read(path, max)?).into_owned())
}

/// Replaces `path` by `text` with the given mode: a synced temporary in the same directory, renamed, directory synced.
/// Readers see the old file or the new one; after a power cut, too. What is written is what was given.
///
/// # Errors
/// Any step failed; the old file is then untouched, unless only the last directory sync failed.
pub fn write_whole(path: &Path, text: &[u8], mode: u32) -> Result<()> {
    let parent = path.parent().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a path without a directory"))?;
    let mut draft = tempfile::Builder::new().prefix(".runbook-").tempfile_in(parent)?;
    draft.write_all(text)?;
    draft.as_file().set_permissions(Permissions::from_mode(mode))?;
    draft.as_file().sync_all()?;
    draft.persist(path).map_err(|failed| failed.error)?;
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_whole(&path, b"12345", 0o644).unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(dir.path(), 4).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_planted_fifo_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn the_mode_is_set_and_the_draft_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_whole(&path, b"one", 0o600).unwrap();
        write_whole(&path, b"two", 0o644).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
