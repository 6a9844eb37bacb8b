//! Is a path root's through and through? Root executes, and sits in, only what is.
//!
//! A file that root owns in a directory that somebody else may write is somebody else's: it is renamed away, and another lies
//! under its name. So every component is judged, from `/` on, links too, and each link where it lies and not where it leads:
//! root owns it, and nobody else has a write bit on it. A group that may write must have no members. In a directory
//! with the sticky bit, others cannot touch an entry that is not theirs: `/tmp` is good enough *above* what root owns, and for
//! nothing else. Access lists are read, because they grant what the mode does not show.
//!
//! Why the whole path: between a judgement and the use of its path there is time. Where nobody but root can change any
//! component, nobody can use that time; for the same reason the walk may go by path, each look standing on proven ground.
//!
//! Without root, the caller stands in root's place: what root or the caller owns is as good as it gets.
//!
//! What is not seen: members that a directory service adds to a local group, processes that were given a group without
//! being listed in it, and what a file server lets others do behind this machine's back.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::access_list::{Writers, writers};
use super::foreign::{named, tame};
use super::passwd::{members, name_of};
use super::shell_word::word;
use super::small_file::read_text;

/// As many links as the kernel follows.
const LINKS: usize = 40;
const STICKY: u32 = 0o1000;
/// `PROC_SUPER_MAGIC` and `FUSE_SUPER_MAGIC` of `linux/magic.h`.
const PROC: u32 = 0x9fa0;
const FUSE: u32 = 0x6573_5546;

/// A path that nobody but root can change anything about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Without links: what is to be used.
    pub resolved: PathBuf,
}

/// A path that somebody else can change something about, or that cannot be proven.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{} {why}; {cure}", tame(&path.display().to_string(), 300))]
pub struct NotRoots {
    /// The first component that offends.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
    /// What to do about it.
    pub cure: String,
    /// Nothing is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

/// Judges a path: every component, links as they are met, the file itself.
///
/// # Errors
/// [`NotRoots`]: the first component that others than root may change, with the cure.
pub fn judge(path: &Path) -> Result<Owned, NotRoots> {
    judge_for(path, None)
}

/// [`judge`], where besides root one more user may own what is on the way: the owner of a home judges nobody else's.
///
/// # Errors
/// [`NotRoots`].
pub fn judge_for(path: &Path, also: Option<u32>) -> Result<Owned, NotRoots> {
    let mut owners = vec![0, rustix::process::geteuid().as_raw()];
    owners.extend(also.into_iter().chain(outside()));
    Walk { owners, etc: Path::new("/etc") }.judge(path)
}

/// The owner that is shown for whoever has no number in this user namespace: nobody in here can be them. `None` where everybody
/// has a number, so that this one is a user like others.
fn outside() -> Option<u32> {
    let number = |path: &str| read_text(Path::new(path), 4096).ok();
    let shown: u32 = number("/proc/sys/kernel/overflowuid")?.trim().parse().ok()?;
    let mapped = number("/proc/self/uid_map")?.lines().any(|line| {
        let fields: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        matches!(fields[..], [first, _, length] if (first..first + length).contains(&u64::from(shown)))
    });
    (!mapped).then_some(shown)
}

/// Who may own what is on the way, and where users and groups are told.
struct Walk<'a> {
    owners: Vec<u32>,
    etc: &'a Path,
}

/// Where a walk stands: proven so far.
struct Ground {
    path: PathBuf,
    dev: u64,
    /// Others may make entries here, and only here the sticky bit counts.
    open: bool,
}

impl Walk<'_> {
    fn judge(&self, path: &Path) -> Result<Owned, NotRoots> {
        let full = std::path::absolute(path).map_err(|error| unseen(path, &error))?;
        let mut ahead: VecDeque<OsString> = parts(&full).collect();
        let mut at = self.step(PathBuf::from("/"), None)?;
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                let above = at.path.parent().unwrap_or(Path::new("/")).to_owned();
                at = self.step(above, None)?;
                continue;
            }
            let next = at.path.join(&part);
            let seen = std::fs::symlink_metadata(&next).map_err(|error| unseen(&next, &error))?;
            if !seen.is_symlink() {
                at = self.step(next, Some(&at))?;
                continue;
            }
            links += 1;
            let target = self.link(&next, seen.uid(), links)?;
            if target.is_absolute() {
                at = self.step(PathBuf::from("/"), None)?;
            }
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(part);
            }
        }
        if at.open {
            return Err(not_roots(&at.path, "is for everybody to write in", "name a directory of root's"));
        }
        Ok(Owned { resolved: at.path })
    }

    /// Where a link leads. Its mode says nothing; its owner could have made it anew.
    fn link(&self, link: &Path, owner: u32, links: usize) -> Result<PathBuf, NotRoots> {
        if links > LINKS {
            return Err(not_roots(link, "is a link too many", "name the file itself"));
        }
        if kind(link.parent().unwrap_or(link)) == Some(PROC) {
            return Err(not_roots(link, "leads where a process says", "name the file itself"));
        }
        if !self.owners.contains(&owner) {
            let cure = format!("chown -h {} {}", self.owner_word(), shown(link));
            return Err(not_roots(link, format!("is a link of {}", user_word(owner)), cure));
        }
        std::fs::read_link(link).map_err(|error| unseen(link, &error))
    }

    /// Judges one component that is no link, and stands on it.
    fn step(&self, path: PathBuf, from: Option<&Ground>) -> Result<Ground, NotRoots> {
        let seen = std::fs::symlink_metadata(&path).map_err(|error| unseen(&path, &error))?;
        if !self.owners.contains(&seen.uid()) {
            let why = format!("belongs to {}", user_word(seen.uid()));
            let cure = format!("chown {} {1} && chmod go-w {1}", self.owner_word(), shown(&path));
            return Err(not_roots(&path, why, cure));
        }
        // Somebody else's file system says of its files what it likes.
        let mounted = from.is_some_and(|from| from.open && from.dev != seen.dev());
        if mounted && kind(&path) == Some(FUSE) {
            return Err(not_roots(&path, "is a program's file system where everybody may write", "name another place"));
        }
        let open = match self.others(&path, seen.mode(), seen.gid())? {
            None => false,
            Some(_) if seen.is_dir() && seen.mode() & STICKY != 0 => true,
            Some((why, cure)) => return Err(not_roots(&path, why, cure)),
        };
        Ok(Ground { path, dev: seen.dev(), open })
    }

    /// Why others than the owner may write here, with the cure.
    fn others(&self, path: &Path, mode: u32, gid: u32) -> Result<Option<(String, String)>, NotRoots> {
        if mode & 0o002 != 0 {
            let why = format!("can be written by everybody (mode {:04o})", mode & 0o7777);
            return Ok(Some((why, format!("chmod go-w {}", shown(path)))));
        }
        // With an access list, these bits are its mask: where they are clear it grants nobody anything to write.
        if mode & 0o020 == 0 {
            return Ok(None);
        }
        let list = writers(path, gid).map_err(|why| not_roots(path, why, format!("setfacl -b {}", shown(path))))?;
        let Writers { users, groups, listed } = list;
        let off = if listed {
            format!("setfacl -b {0} && chmod g-w {0}", shown(path))
        } else {
            format!("chmod g-w {}", shown(path))
        };
        if let Some(user) = users.into_iter().find(|user| !self.owners.contains(user)) {
            return Ok(Some((format!("can be written by {} (access list)", user_word(user)), off)));
        }
        for group in groups {
            let found = members(group, self.etc, &self.owners).map_err(|error| {
                not_roots(
                    path,
                    format!("can be written by group {group}, whose members are not known: {error}"),
                    off.clone(),
                )
            })?;
            if let Some(member) = found.first() {
                let why = format!("can be written by group {group}, in which {member} is");
                return Ok(Some((why, off)));
            }
        }
        Ok(None)
    }

    fn owner_word(&self) -> String {
        match self.owners[1] {
            0 => "root:root".to_owned(),
            me => me.to_string(),
        }
    }
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

fn kind(path: &Path) -> Option<u32> {
    // The kernel's field is a signed word; the numbers are 32 bits wide.
    rustix::fs::statfs(path).ok().map(|seen| seen.f_type as u32)
}

/// As a word of the command that cures it.
fn shown(path: &Path) -> String {
    word(&named(&path.display().to_string(), 4096))
}

fn user_word(uid: u32) -> String {
    name_of(uid).map_or_else(|| format!("user {uid}"), |name| format!("user {name}"))
}

fn not_roots(path: &Path, why: impl Into<String>, cure: impl Into<String>) -> NotRoots {
    NotRoots { path: path.to_owned(), why: why.into(), cure: cure.into(), missing: false }
}

fn unseen(path: &Path, error: &std::io::Error) -> NotRoots {
    let missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    let (why, cure) = match missing {
        true => ("is not there".to_owned(), "name a file that is".to_owned()),
        false => (format!("cannot be looked at: {error}"), "ask root to look at it".to_owned()),
    };
    NotRoots { missing, ..not_roots(path, why, cure) }
}

#[cfg(test)]
#[path = "root_owned_tests.rs"]
mod tests;
