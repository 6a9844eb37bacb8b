//! The file of a snapshot: written once, private, read back only if it is still the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::app::App;
use super::cutter::{Cutter, Place, Refusal};
use super::listing::Kept;
use super::place::{Pm2At, open_owned};
use super::recipe::{Recipe, RecipeError};
use super::snapshot::SnapshotError;
use crate::host::foreign::tame;

/// The file's format; other numbers are refused.
pub const FORMAT: u32 = 1;
const SNAPSHOT_MAX: u64 = 256 << 20;

/// The file's content but for its last field, `entries`: the apps as their daemon listed them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) format: u32,
    pub(super) taken_at: String,
    pub(super) machine: BTreeMap<String, String>,
    pub(super) user: String,
    pub(super) home: PathBuf,
    pub(super) unit: Option<String>,
    pub(super) daemon_version: String,
    pub(super) daemon_pid: Option<u32>,
    pub(super) daemon_uid: u32,
    /// Read one by one, so that nothing is left of them here.
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "only its absence of content is read")]
    pub(super) entries: [(); 0],
}

impl Head {
    /// The whole file, `entries` being laid behind the rest.
    pub(super) fn write_to(&self, entries: &Kept, to: &mut impl Write) -> io::Result<()> {
        let head = serde_json::to_vec(self)?;
        to.write_all(head.strip_suffix(b"}").unwrap_or(&head))?;
        to.write_all(b",\"entries\":[")?;
        entries.write_to(to)?;
        to.write_all(b"]}")
    }
}

/// A snapshot read back. The entries stay in the file, which holds secrets. Debug shows names only.
pub struct Snapshot {
    head: Head,
    apps: Vec<App>,
    entries: Kept,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} apps of {:?})", self.apps.len(), self.head.home)
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
        &self.head.machine
    }

    /// The daemon that it was taken of, as far as it is on record.
    #[must_use]
    pub fn at(&self) -> Pm2At {
        let head = &self.head;
        Pm2At { user: head.user.clone(), home: head.home.clone(), unit: head.unit.clone(), cli: None }
    }

    /// Version of the daemon that was recorded.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.head.daemon_version
    }

    /// What a daemon needs to run the app at this index of [`Snapshot::apps`]; `None` beyond the end.
    #[must_use]
    pub fn recipe(&self, index: usize) -> Option<Result<Recipe, RecipeError>> {
        let text = self.entries.entry(index)?;
        let entry: Value = text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Some(Recipe::from_pm2_env(entry.get("pm2_env").unwrap_or(&Value::Null)))
    }
}

/// Reads a snapshot back, if it is still the one that was taken.
///
/// # Errors
/// [`SnapshotError::File`], [`SnapshotError::Altered`], [`SnapshotError::Format`].
pub fn open(path: &Path, sha256: &str) -> Result<Snapshot, SnapshotError> {
    let file = unaltered(path, sha256)?;
    read(path, file)
}

/// A snapshot's file at its beginning, if its bytes are still those that were taken.
///
/// # Errors
/// [`SnapshotError::File`], [`SnapshotError::Altered`].
pub fn unaltered(path: &Path, sha256: &str) -> Result<File, SnapshotError> {
    let me = rustix::process::geteuid().as_raw();
    let hashed = open_owned(path, me).and_then(|mut file| {
        if file.metadata()?.len() > SNAPSHOT_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {SNAPSHOT_MAX} bytes")));
        }
        let mut hash = Hashing { to: io::sink(), hash: Sha256::new() };
        io::copy(&mut file, &mut hash)?;
        file.rewind()?;
        Ok((file, hash.end()))
    });
    let (file, found) = hashed.map_err(|error| file_error(path, error))?;
    if found != sha256 {
        return Err(SnapshotError::Altered { path: path.to_owned(), found, expected: tame(sha256, 64) });
    }
    Ok(file)
}

/// The content of a snapshot; `path` is for messages.
///
/// # Errors
/// [`SnapshotError::File`], [`SnapshotError::Format`].
pub fn read(path: &Path, file: File) -> Result<Snapshot, SnapshotError> {
    let not_ours = |why: String| SnapshotError::Format { path: path.to_owned(), why };
    let (mut cutter, mut listed, mut spans) = (Cutter::new(Place::Entries), Vec::new(), Vec::new());
    let (mut from, mut room, mut at) = (&file, vec![0; 64 << 10], 0_u64);
    loop {
        let count = match from.read(&mut room) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(file_error(path, error)),
        };
        let cut = cutter.push(&room[..count], |ends, entry| {
            // The place of a parse error is enough; its text could quote a secret.
            let value: Value = serde_json::from_slice(entry)
                .map_err(|error| Refusal::Unwanted(format!("app {}, column {}", listed.len() + 1, error.column())))?;
            listed.push(App::from_entry(&value));
            spans.push((at + ends as u64 - entry.len() as u64, entry.len()));
            Ok(())
        });
        cut.map_err(|refusal| not_ours(refusal.to_string()))?;
        at += count as u64;
    }
    let (rest, whole) = cutter.finish();
    let head: Head = serde_json::from_slice(&rest).map_err(|error| not_ours(format!("column {}", error.column())))?;
    if head.format != FORMAT {
        return Err(not_ours(format!("format {}", head.format)));
    }
    if !whole {
        return Err(not_ours("it has no list of apps".to_owned()));
    }
    let mut entries = Kept::of(file, spans);
    let mut apps = listed;
    entries.sort_with(&mut apps);
    Ok(Snapshot { head, apps, entries })
}

/// A writer that knows the hash of what it wrote.
struct Hashing<W> {
    to: W,
    hash: Sha256,
}

impl<W> Hashing<W> {
    fn end(self) -> String {
        hex::encode(self.hash.finalize())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A new file under its final name, complete and synced, or not at all; never in place of another. Gives its SHA-256 in
/// hexadecimal.
pub(super) fn write_once(
    dir: &Path,
    name: &str,
    content: impl FnOnce(&mut BufWriter<&mut dyn Write>) -> io::Result<()>,
) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(dir, flags, Mode::empty())?;
    // Mode 0600 from the first byte on, removed again when anything fails.
    let mut temp = tempfile::Builder::new().prefix(".pm2-").tempfile_in(dir)?;
    let mut hashing = Hashing { to: temp.as_file_mut(), hash: Sha256::new() };
    let mut out = BufWriter::with_capacity(64 << 10, &mut hashing as &mut dyn Write);
    content(&mut out)?;
    out.flush()?;
    drop(out);
    let sha256 = hashing.end();
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
    File::from(folder).sync_all()?;
    Ok(sha256)
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
        let hash = write_once(dir.path(), "a", |to| to.write_all(b"one")).unwrap();
        assert_eq!(hash, hex::encode(Sha256::digest(b"one")));
        assert_eq!(
            write_once(dir.path(), "a", |to| to.write_all(b"two")).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
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
