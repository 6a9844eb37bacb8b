//! Finding what a path leads to without opening it, one name after the other, each looked up in the directory that was judged.
//!
//! openat2(2) with RESOLVE_NO_SYMLINKS answers for most paths in one call. Where it meets a link (or is not there: before Linux
//! 5.6, or in a sandbox that refuses it) the path is walked by hand, because the kernel knows "no link" and "any link" and not
//! the one that is right here: links that root made in a directory that is root's alone, as `/var/run` or a `dir` of Redis
//! that was moved to another disk. Without root, the caller stands in root's place.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;

use super::{Refusal, Trust};
use crate::host::foreign::named;

/// As many as the kernel follows (path_resolution(7)).
const LINKS_MAX: usize = 40;
/// A file system that mounts another one when somebody walks into it; a descriptor without rights does not count as that.
const AUTOFS: u64 = 0x0187;

/// What a path leads to: a descriptor that names it and cannot read it.
#[derive(Debug)]
pub(in crate::host) struct Found {
    pub(in crate::host) fd: OwnedFd,
    pub(in crate::host) stat: Stat,
    /// The directory that holds it, as it was looked up last.
    pub(in crate::host) parent: Option<Stat>,
}

/// What was met on the way.
struct Way {
    fd: OwnedFd,
    stat: Stat,
    /// The directory that holds it.
    parent: Option<Stat>,
    /// Every directory on the way may be searched by the one who named the path.
    searchable: bool,
}

/// Whether a user is root, or the caller, who stands in root's place where there is no root.
#[must_use]
pub fn root_or_caller(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Finds and judges what `path` leads to; of whatever kind it is.
pub(in crate::host) fn find(path: &Path, trust: Trust<'_>) -> io::Result<Found> {
    if trust == Trust::Ours {
        let fd = rustix::fs::open(path, PLACE, Mode::empty())?;
        let stat = fstat(&fd)?;
        return Ok(Found { fd, stat, parent: None });
    }
    let way = match straight(path, trust)? {
        Some(way) => way,
        None => walk(path, trust)?,
    };
    owner(&way, trust)?;
    Ok(Found { fd: way.fd, stat: way.stat, parent: way.parent })
}

/// What lies under a plain name in an open directory, itself: a link is a link.
pub(in crate::host) fn below(dir: &OwnedFd, name: &OsStr) -> io::Result<Found> {
    let plain =
        matches!(Path::new(name).components().collect::<Vec<_>>().as_slice(), [Component::Normal(one)] if *one == name);
    if !plain {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain name"));
    }
    let fd = openat(dir, name, PLACE | OFlags::NOFOLLOW, Mode::empty())?;
    let stat = fstat(&fd)?;
    Ok(Found { fd, stat, parent: Some(fstat(dir)?) })
}

const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The usual case: no link at all. `None` where the path must be walked.
fn straight(path: &Path, trust: Trust<'_>) -> io::Result<Option<Way>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    // What a server's user may search is judged directory by directory.
    if matches!(trust, Trust::ReadableBy(_)) || !path.is_absolute() {
        return Ok(None);
    }
    let no_links = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let dir = match openat2(CWD, parent, PLACE | OFlags::DIRECTORY, Mode::empty(), no_links) {
        Ok(dir) => dir,
        Err(Errno::LOOP | Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::XDEV) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = below(&dir, name)?;
    if is(&found.stat, FileType::Symlink) {
        return Ok(None);
    }
    let parent = Some(fstat(&dir)?);
    Ok(Some(Way { fd: trigger(&dir, name, found.fd)?, stat: found.stat, parent, searchable: true }))
}

fn walk(path: &Path, trust: Trust<'_>) -> io::Result<Way> {
    let from = if path.is_absolute() { "/" } else { "." };
    let start = || rustix::fs::open(from, PLACE | OFlags::DIRECTORY, Mode::empty());
    let fd = start()?;
    let stat = fstat(&fd)?;
    let mut at = Way { fd, stat, parent: None, searchable: true };
    let (mut rest, mut links, mut shown) = (names(path), 0, PathBuf::from(from));
    while let Some(name) = rest.pop_front() {
        if !is(&at.stat, FileType::Directory) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if let Trust::ReadableBy(reader) = trust {
            at.searchable &= reader.may(&at.stat, 0o1);
        }
        let fd = openat(&at.fd, &name, PLACE | OFlags::NOFOLLOW, Mode::empty())?;
        let stat = fstat(&fd)?;
        if !is(&stat, FileType::Symlink) {
            let fd = trigger(&at.fd, &name, fd)?;
            let stat = fstat(&fd)?;
            shown.push(&name);
            at = Way { fd, stat, parent: Some(at.stat), searchable: at.searchable };
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(Refusal::Circle.into());
        }
        follows(&shown.join(&name), &stat, &at.stat, trust)?;
        let target = readlinkat(&fd, "", Vec::new())?;
        let target = Path::new(OsStr::from_bytes(target.to_bytes())).to_owned();
        if target.is_absolute() {
            let fd = rustix::fs::open("/", PLACE | OFlags::DIRECTORY, Mode::empty())?;
            let stat = fstat(&fd)?;
            at = Way { fd, stat, parent: None, searchable: at.searchable };
            shown = PathBuf::from("/");
        }
        for name in names(&target).into_iter().rev() {
            rest.push_front(name);
        }
    }
    Ok(at)
}

/// Whether a link may be followed.
fn follows(path: &Path, link: &Stat, dir: &Stat, trust: Trust<'_>) -> io::Result<()> {
    let roots = root_or_caller(link.st_uid);
    let fine = match trust {
        // What it leads to must be theirs in the end, so they cannot gain by it.
        Trust::OwnedBy(uid) => roots || link.st_uid == uid,
        Trust::ReadableBy(_) => true,
        Trust::Ours | Trust::Kept | Trust::Counted => false,
    };
    if fine || roots && root_alone(dir) {
        return Ok(());
    }
    let owner = crate::host::passwd::name_of(link.st_uid).unwrap_or_else(|| format!("uid {}", link.st_uid));
    Err(Refusal::Link { path: named(&path.to_string_lossy(), 300), owner }.into())
}

/// Nobody but root can put a link into this directory, or take one out of it.
pub(in crate::host) fn root_alone(dir: &Stat) -> bool {
    let sticky = dir.st_mode & 0o1000 != 0;
    let group = dir.st_mode & 0o020 != 0 && !crate::host::passwd::nobody_is_in(dir.st_gid);
    root_or_caller(dir.st_uid) && (sticky || !(group || dir.st_mode & 0o002 != 0))
}

/// Whose the found file must be.
fn owner(way: &Way, trust: Trust<'_>) -> io::Result<()> {
    let (is, lone) = (way.stat.st_uid, way.stat.st_nlink == 1 || is_dir(&way.stat));
    match trust {
        Trust::Ours | Trust::Counted => Ok(()),
        Trust::Kept => match root_or_caller(is) {
            true if lone || way.parent.as_ref().is_some_and(root_alone) => Ok(()),
            true => Err(Refusal::HardLink(is).into()),
            // Its reader says what is wrong with the owner.
            false => Ok(()),
        },
        Trust::OwnedBy(wanted) if is == wanted => Ok(()),
        Trust::OwnedBy(wanted) => Err(Refusal::Owner { is, wanted }.into()),
        // An access list may let it through where the bits of a directory do not; what is its own it can always read.
        Trust::ReadableBy(reader) if reader.uid == is => Ok(()),
        Trust::ReadableBy(reader) if way.searchable && reader.may(&way.stat, 0o4) => Ok(()),
        Trust::ReadableBy(reader) => Err(Refusal::NotReadable(reader.uid).into()),
    }
}

fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

fn is_dir(stat: &Stat) -> bool {
    is(stat, FileType::Directory)
}

/// A directory that is mounted when somebody walks into it is walked into.
fn trigger(dir: &OwnedFd, name: &OsStr, fd: OwnedFd) -> io::Result<OwnedFd> {
    if rustix::fs::fstatfs(&fd).is_ok_and(|fs| fs.f_type.cast_unsigned() & 0xffff_ffff == AUTOFS) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        return Ok(openat(dir, name, flags, Mode::empty())?);
    }
    Ok(fd)
}

fn names(path: &Path) -> VecDeque<OsString> {
    let named = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    named.collect()
}
