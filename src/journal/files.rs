//! Opening files of the state directory: never through a symbolic link, never a file that others own, share or can change.
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};

use crate::host::planted::{Bug, planted};
use crate::host::shell_word::path_word;

/// Private file.
pub(super) const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
/// Private directory.
pub(super) const DIR_MODE: Mode = Mode::from_raw_mode(0o700);
/// Longest file that is ever read whole.
pub(super) const MAX_FILE: u64 = 64 << 20;

/// A file operation that failed or was refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system said no.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// Operation.
        what: &'static str,
        /// Its object.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Not a plain file or directory of ours.
    #[error("{path} is refused: {why}")]
    Refused {
        /// Its path.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
}

impl FileError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.to_owned();
        move |errno| Self::Io { what, path, source: errno.into() }
    }

    pub(super) fn std(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub(super) fn refused(path: &Path, why: impl Into<String>) -> Self {
        Self::Refused { path: path.to_owned(), why: why.into() }
    }

    /// Whether something is wrong with the file itself: it is missing, refused, or no file at all. Trying again does not help,
    /// and neither does another disk.
    #[must_use]
    pub fn is_of_the_file(&self) -> bool {
        let no_file = [rustix::io::Errno::LOOP, rustix::io::Errno::NOTDIR, rustix::io::Errno::ISDIR];
        match self {
            Self::Refused { .. } => true,
            Self::Io { source, .. } => {
                let kind = source.raw_os_error();
                self.is_missing() || no_file.iter().any(|errno| kind == Some(errno.raw_os_error()))
            }
        }
    }

    /// The file, where its file system can only be read.
    #[must_use]
    pub fn read_only_at(&self) -> Option<&Path> {
        match self {
            Self::Io { source, path, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => Some(path),
            _ => None,
        }
    }

    /// Whether the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

#[cfg(test)]
thread_local! {
    /// How often this thread has synced a directory.
    pub(super) static SYNCED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    /// How many files and directories this thread has opened.
    pub(super) static OPENED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// A directory held open, with its path for messages. Names below it are resolved against the descriptor.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory of ours; `loose` are the mode bits that it must not have.
    ///
    /// # Errors
    /// [`FileError`] if it is a link, not a directory, of another owner or too open.
    pub fn open(path: &Path, loose: u32) -> Result<Self, FileError> {
        let fd = open_strictly(path).map_err(FileError::io("open", path))?;
        let dir = Self { fd, path: path.to_owned() };
        is_ours(&dir.fd, path, loose)?;
        Ok(dir)
    }

    /// Opens a private sub-directory.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn sub(&self, name: &str) -> Result<Self, FileError> {
        let path = self.path.join(name);
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = fs::openat(&self.fd, name, flags, Mode::empty()).map_err(FileError::io("open", &path))?;
        is_ours(&fd, &path, 0o077)?;
        Ok(Self { fd, path })
    }

    /// Makes a private sub-directory (it must not exist) and opens it. Not durable before [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`FileError`].
    pub fn make_sub(&self, name: &str) -> Result<Self, FileError> {
        let path = self.path.join(name);
        fs::mkdirat(&self.fd, name, DIR_MODE).map_err(FileError::io("create", &path))?;
        self.sub(name)
    }

    /// Path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens a private file for reading, or for reading and writing.
    pub(super) fn file(&self, name: &str, write: bool) -> Result<File, FileError> {
        let path = self.path.join(name);
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        // NONBLOCK: a FIFO put in place of the file must not hang the open; it is refused below.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = fs::openat(&self.fd, name, flags, Mode::empty()).map_err(FileError::io("open", &path))?;
        is_our_file(&fd, &path)?;
        Ok(File::from(fd))
    }

    /// Creates a private file that must not exist.
    pub(super) fn create(&self, name: &str) -> Result<File, FileError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = if planted(Bug::OpenMode) { Mode::from_raw_mode(0o644) } else { FILE_MODE };
        let fd = fs::openat(&self.fd, name, flags, mode);
        fd.map(File::from).map_err(FileError::io("create", &self.path.join(name)))
    }

    /// Reads a private file, at most `MAX_FILE` bytes.
    ///
    /// # Errors
    /// [`FileError`]; a longer file is refused.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, FileError> {
        let path = self.path.join(name);
        let file = self.file(name, false)?;
        let len = file.metadata().map_or(0, |meta| meta.len()).min(MAX_FILE);
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(FileError::std("read", &path))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(FileError::refused(&path, format!("it is longer than {MAX_FILE} bytes")));
        }
        Ok(bytes)
    }

    /// Creates a file with this content, synced; the entry itself needs [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`FileError`]; an existing file is not touched.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.path.join(name);
        let mut file = self.create(name)?;
        file.write_all(bytes).map_err(FileError::std("write", &path))?;
        fs::fsync(&file).map_err(FileError::io("sync", &path))
    }

    /// Replaces a small file so that a crash leaves the old or the new content, never a mix: a new file beside it, synced,
    /// renamed over it, and the directory synced, without which the rename itself is lost in a power cut.
    ///
    /// # Errors
    /// [`FileError`]; the old content then still stands.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        let beside = format!(".{name}.new");
        self.remove(&beside)?;
        self.write_new(&beside, bytes)?;
        let path = self.path.join(name);
        fs::renameat(&self.fd, &beside, &self.fd, name).map_err(FileError::io("rename to", &path))?;
        if planted(Bug::NoDirSync) { Ok(()) } else { self.sync() }
    }

    /// Removes a file if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), FileError> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(FileError::io("remove", &self.path.join(name))(errno)),
        }
    }

    /// Makes creations, renames and removals in this directory durable.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn sync(&self) -> Result<(), FileError> {
        #[cfg(test)]
        SYNCED.with(|count| count.set(count.get() + 1));
        fs::fsync(&self.fd).map_err(FileError::io("sync", &self.path))
    }

    /// Names in it, sorted; names that are not UTF-8 are none of ours and left out.
    pub(super) fn names(&self) -> Result<Vec<String>, FileError> {
        let entries = fs::Dir::read_from(&self.fd).map_err(FileError::io("list", &self.path))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(FileError::io("list", &self.path))?;
            names
                .extend(entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }
}

/// Opens a directory through no symbolic link at all, not even above it (openat2(2), Linux 5.6): the front door has resolved
/// the path, so a link in it was put there since. Where the kernel or a sandbox does not know the call, only the last name is
/// held to that, and owner and mode to everything else.
fn open_strictly(path: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    use rustix::io::Errno;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    match fs::openat2(fs::CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS) {
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => fs::open(path, flags, Mode::empty()),
        opened => opened,
    }
}

/// Owner and mode of a descriptor that is open already, so that nothing can be swapped in between.
fn is_ours(fd: impl AsFd, path: &Path, loose: u32) -> Result<fs::Stat, FileError> {
    #[cfg(test)]
    OPENED.with(|count| count.set(count.get() + 1));
    let stat = fs::fstat(fd).map_err(FileError::io("stat", path))?;
    if planted(Bug::LooseFiles) {
        return Ok(stat);
    }
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid != me {
        return Err(FileError::refused(
            path,
            format!(
                "it belongs to user id {}, not {me}; run as its owner, or if nobody tampered with it: chown {me} {}",
                stat.st_uid,
                path_word(path)
            ),
        ));
    }
    let mode = stat.st_mode & 0o7777;
    if mode & loose != 0 {
        let why =
            format!("its mode {mode:04o} lets others in; if nobody tampered with it: chmod go-rwx {}", path_word(path));
        return Err(FileError::refused(path, why));
    }
    Ok(stat)
}

fn is_our_file(fd: impl AsFd, path: &Path) -> Result<(), FileError> {
    let stat = is_ours(fd, path, 0o077)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::refused(
            path,
            "it is not a regular file, so somebody put it there; look who, then take it away",
        ));
    }
    if stat.st_nlink != 1 {
        return Err(FileError::refused(
            path,
            format!(
                "it has {} names (hard links), so it can be changed under another one; find / -xdev -samefile {} shows them",
                stat.st_nlink,
                path.display()
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_to_a_directory_not_even_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("a/state")).unwrap();
        std::fs::set_permissions(real.join("a/state"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(real.join("a"), real.join("link")).unwrap();
        std::os::unix::fs::symlink(real.join("a/state"), real.join("end")).unwrap();
        assert!(Directory::open(&real.join("a/state"), 0o077).is_ok());
        for path in ["link/state", "end"] {
            let error = Directory::open(&real.join(path), 0o077).unwrap_err();
            assert!(matches!(error, FileError::Io { .. }), "{path}: {error}");
        }
    }
}
