//! The one way in which files are opened for reading: who may have chosen the place, who may have put something there, and
//! what must be true of it before a byte is read.
//!
//! Root that opens a name in somebody's directory does that person's bidding: a link leads to a file that only root may read, a
//! FIFO hangs the process for ever, a device acts when it is opened, a sparse file fills the memory. So a file is first *found*
//! (`walk`: descriptors without rights, step by step, no link followed that could gain its maker anything), then *judged* (kind, owner,
//! size), and only then *opened*, by the descriptor that was judged; nothing can be swapped in between. What an open still may
//! do is wait (a lease, a server that went away): call this through [`off_thread`](super::off_thread) where somebody waits.

mod walk;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};

pub use walk::root_or_caller;
pub(in crate::host) use walk::{below, find, root_alone};

/// Whose word leads to a file, and whose the file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Named by the system or the operator, in nobody else's hands: `/proc`, `/etc`, our own state. Links are followed as ever.
    Ours,
    /// Root's or the caller's own file, named by the operator, whatever directory it lies in: a password. A link of anybody else
    /// on the way would choose which secret is sent, so only root's are followed.
    Kept,
    /// Named by this user: the file must be that user's own. Then a link of that user leads to nothing but their own.
    OwnedBy(u32),
    /// Named by a server, or lying where it keeps its data: its own, or what it could have read itself.
    ReadableBy(&'a Reader),
    /// Whoever's: it is only counted, never shown. No link is followed but root's.
    Counted,
}

/// A process as the permissions of a file see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Its user.
    pub uid: u32,
    /// All its groups.
    pub gids: Vec<u32>,
}

impl Reader {
    /// Who a process of this host is; `None` when it is gone or cannot be seen.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        const STATUS_MAX: u64 = 1 << 20;
        let text = read_text(Path::new(&format!("/proc/{pid}/status")), Trust::Ours, STATUS_MAX).ok()?;
        let numbers = |name: &str| -> Option<Vec<u32>> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
        };
        // Real, effective, saved, file system: what it opens is judged by the last.
        let uid = *numbers("Uid:")?.get(3)?;
        let gid = *numbers("Gid:")?.get(3)?;
        let gids = std::iter::once(gid).chain(numbers("Groups:").unwrap_or_default()).collect();
        Some(Self { uid, gids })
    }

    /// Whether the bits of `want` (4 read, 1 search) are granted, as the kernel would (path_resolution(7)).
    fn may(&self, stat: &Stat, want: u32) -> bool {
        let shift = if stat.st_uid == self.uid {
            6
        } else if self.gids.contains(&stat.st_gid) {
            3
        } else {
            0
        };
        self.uid == 0 || (stat.st_mode >> shift) & want == want
    }
}

/// Why a file is not read although it is there. The name of the file is the caller's to say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A FIFO, a device, a directory, a socket.
    #[error("it is {0}, not a regular file")]
    Kind(&'static str),
    /// A symbolic link that somebody else may point elsewhere.
    #[error(
        "{path} is a symbolic link of {owner}, which is not followed: name the place that it leads to, or let root make the link in a directory of root"
    )]
    Link {
        /// The link.
        path: String,
        /// Whose it is.
        owner: String,
    },
    /// More links than a path can need.
    #[error("too many symbolic links")]
    Circle,
    /// Somebody else's.
    #[error("owned by uid {is}, expected {wanted}")]
    Owner {
        /// Who owns it.
        is: u32,
        /// Who should.
        wanted: u32,
    },
    /// A second name of a file that lies elsewhere.
    #[error("a hard link to a file of uid {0}, which lies elsewhere, too")]
    HardLink(u32),
    /// The one who named it could not have read it.
    #[error("uid {0}, which names this file, may not read it")]
    NotReadable(u32),
    /// More than it can hold.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::TooLarge(_) => io::ErrorKind::FileTooLarge,
            Refusal::Kind(_) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, refusal)
    }
}

/// Opens a regular file.
///
/// # Errors
/// The system's, and a [`Refusal`].
pub fn open(path: &Path, trust: Trust<'_>) -> io::Result<File> {
    if trust == Trust::Ours && path.starts_with("/proc") {
        // Hundreds of these are read in a row, and none of them does anything when it is opened.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        regular(&fd, &rustix::fs::fstat(&fd)?)?;
        return Ok(File::from(fd));
    }
    let found = find(path, trust)?;
    reopen(&regular(&found.fd, &found.stat)?)
}

/// Kind and size of a regular file, which is not opened for it.
///
/// # Errors
/// As [`open`].
pub fn stat(path: &Path, trust: Trust<'_>) -> io::Result<Stat> {
    let found = find(path, trust)?;
    regular(&found.fd, &found.stat)?;
    Ok(found.stat)
}

/// Who owns a directory, and which it is.
///
/// # Errors
/// The system's, and a [`Refusal`].
pub fn directory(path: &Path, trust: Trust<'_>) -> io::Result<(OwnedFd, Stat)> {
    let found = find(path, trust)?;
    if FileType::from_raw_mode(found.stat.st_mode) != FileType::Directory {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok((found.fd, found.stat))
}

/// The names in a directory, at most `max` of them.
///
/// # Errors
/// As [`directory`], and `FileTooLarge` where there are more.
pub fn names(path: &Path, trust: Trust<'_>, max: usize) -> io::Result<Vec<OsString>> {
    let (dir, _) = directory(path, trust)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let dir = rustix::fs::openat(CWD, by_number(&dir), flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {max} entries")));
        }
        names.push(OsStr::from_bytes(name).to_owned());
    }
    Ok(names)
}

/// The whole of a regular file, at most `max` bytes.
///
/// # Errors
/// As [`open`], and `FileTooLarge` beyond `max`.
pub fn read(path: &Path, trust: Trust<'_>, max: u64) -> io::Result<Vec<u8>> {
    whole(open(path, trust)?, max)
}

/// [`read`] as text; bytes that are not UTF-8 become U+FFFD. The caller tames what it keeps.
///
/// # Errors
/// As [`read`].
pub fn read_text(path: &Path, trust: Trust<'_>, max: u64) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read(path, trust, max)?).into_owned())
}

/// The last `max` bytes of a regular file.
///
/// # Errors
/// As [`open`].
pub fn read_end(path: &Path, trust: Trust<'_>, max: u64) -> io::Result<Vec<u8>> {
    let mut file = open(path, trust)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(max)))?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All of an open file, if that is not more than `max` bytes; judged by its size before, and counted while it is read, because
/// it may grow, and files of `/proc` have no size.
///
/// # Errors
/// The system's, and `FileTooLarge`.
pub fn whole(file: File, max: u64) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    if size > max {
        return Err(Refusal::TooLarge(max).into());
    }
    // Room for nearly all of them at once: grown by the reader, a line of /proc costs three calls more.
    let room = if size == 0 { max.min(4_095) + 1 } else { size + 1 };
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(Refusal::TooLarge(max).into());
    }
    Ok(bytes)
}

/// What a descriptor is, in words.
pub(in crate::host) fn kind(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of a kind that is not known",
    }
}

fn regular<'fd>(fd: &'fd OwnedFd, stat: &Stat) -> io::Result<BorrowedFd<'fd>> {
    use std::os::fd::AsFd;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(fd.as_fd()),
        _ => Err(Refusal::Kind(kind(stat)).into()),
    }
}

/// The same file with the right to read. NONBLOCK: whoever holds a lease on it must not make us wait.
fn reopen(fd: &BorrowedFd<'_>) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::openat(CWD, by_number(fd), flags, Mode::empty())?))
}

/// A path that leads to what a descriptor is, whatever its name is by now. Valid while the descriptor is open.
pub(in crate::host) fn by_number(fd: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

#[cfg(test)]
mod tests;
