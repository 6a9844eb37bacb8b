//! The file of a snapshot: written once, private, read back only if it is still the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::app::App;
use super::listed::apps;
use super::place::{Pm2At, read_owned};
use super::recipe::{Recipe, RecipeError};
use super::snapshot::SnapshotError;
use crate::host::foreign::named;

/// The file's format; other numbers are refused.
pub const FORMAT: u32 = 1;
const SNAPSHOT_MAX: u64 = 256 << 20;

/// The file's content. Holds secrets: it implements no Debug.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) format: u32,
    pub(super) taken_at: String,
    pub(super) machine: BTreeMap<String, String>,
    pub(super) user: String,
    pub(super) home: PathBuf,
    pub(super) unit: Option<String>,
    pub(super) daemon_version: String,
    pub(super) daemon_pid: Option<u32>,
    pub(super) daemon_uid: u32,
    pub(super) entries: Vec<Value>,
}

/// A snapshot read back. Debug shows names only.
pub struct Snapshot {
    document: Document,
    apps: Vec<App>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} apps of {:?})", self.apps.len(), self.document.home)
    }
}

impl Snapshot {
    /// Its apps, in the order of their former numbers.
    #[must_use]
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// The machine it was taken on, as the caller described it.
    #[must_use]
    pub fn machine(&self) -> &BTreeMap<String, String> {
        &self.document.machine
    }

    /// The daemon that it was taken of, as far as it is on record.
    #[must_use]
    pub fn at(&self) -> Pm2At {
        let document = &self.document;
        Pm2At { user: document.user.clone(), home: document.home.clone(), unit: document.unit.clone(), cli: None }
    }

    /// Version of the daemon that was recorded.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.document.daemon_version
    }

    /// What a daemon needs to run the app at this index of [`Snapshot::apps`]; `None` beyond the end.
    #[must_use]
    pub fn recipe(&self, index: usize) -> Option<Result<Recipe, RecipeError>> {
        self.document.entries.get(index).map(|entry| Recipe::from_pm2_env(entry.get("pm2_env").unwrap_or(&Value::Null)))
    }
}

/// Reads a snapshot back, if it is still the one that was taken.
///
/// # Errors
/// [`SnapshotError::File`], [`SnapshotError::Altered`], [`SnapshotError::Format`].
pub fn open(path: &Path, sha256: &str) -> Result<Snapshot, SnapshotError> {
    parse(path, &unaltered(path, sha256)?)
}

/// The bytes of a snapshot, if they are still those that were taken.
///
/// # Errors
/// [`SnapshotError::File`], [`SnapshotError::Altered`].
pub fn unaltered(path: &Path, sha256: &str) -> Result<Vec<u8>, SnapshotError> {
    let me = rustix::process::geteuid().as_raw();
    let bytes = read_owned(path, me, SNAPSHOT_MAX).map_err(|error| file_error(path, error))?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found != sha256 {
        return Err(SnapshotError::Altered { path: path.to_owned(), found, expected: named(sha256, 64) });
    }
    Ok(bytes)
}

/// The content of a snapshot; `path` is for messages.
///
/// # Errors
/// [`SnapshotError::Format`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    let not_ours = |why: String| SnapshotError::Format { path: path.to_owned(), why };
    // The place of a parse error is enough; its text could quote a secret.
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| not_ours(format!("line {}, column {}", error.line(), error.column())))?;
    if document.format != FORMAT {
        return Err(not_ours(format!("format {}", document.format)));
    }
    let apps = apps(&document.entries);
    Ok(Snapshot { document, apps })
}

/// A new file under its final name, complete and synced, or not at all; never in place of another.
pub(super) fn write_once(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(dir, flags, Mode::empty())?;
    // Mode 0600 from the first byte on, removed again when anything fails.
    let mut temp = tempfile::Builder::new().prefix(".pm2-").tempfile_in(dir)?;
    temp.write_all(bytes)?;
    temp.as_file().sync_all()?;
    let target = dir.join(name);
    match rustix::fs::renameat_with(&folder, temp.path(), &folder, &target, RenameFlags::NOREPLACE) {
        Ok(()) => drop(temp.into_temp_path().keep()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(temp.path(), &target)?;
            temp.close()?;
        }
        Err(error) => return Err(error.into()),
    }
    File::from(folder).sync_all()
}

pub(super) fn file_error(path: &Path, source: io::Error) -> SnapshotError {
    SnapshotError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_written_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        write_once(dir.path(), "a", b"one").unwrap();
        assert_eq!(write_once(dir.path(), "a", b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"one");
        assert_eq!(dir.path().join("a").metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn an_altered_or_strange_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.json");
        std::fs::write(&path, b"{\"format\":9}").unwrap();
        let hash = hex::encode(Sha256::digest(b"{\"format\":9}"));
        assert!(matches!(open(&path, "00"), Err(SnapshotError::Altered { .. })));
        assert!(matches!(open(&path, &hash), Err(SnapshotError::Format { .. })));
        assert!(matches!(open(&dir.path().join("none"), &hash), Err(SnapshotError::File { .. })));
    }
}
