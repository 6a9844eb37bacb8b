//! Users by name, from /etc/passwd and /etc/group.
//!
//! Read directly because the C library's lookup is neither bounded nor safe Rust. Users that exist only in a
//! directory (LDAP, sssd) are not found here; the error says so.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::host::foreign::named;
use crate::host::safe_file::{Trust, read_text};

const MAX: u64 = 1024 * 1024;
/// NGROUPS_MAX of Linux is 65536; nobody sane has more than this.
const GROUPS_MAX: usize = 1024;

/// One local user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// All groups, the primary one first.
    pub groups: Vec<u32>,
}

/// A user that cannot be looked up.
#[derive(Debug, Error)]
pub enum UserError {
    /// Not in the file.
    #[error("user {name} is not in {file} (users of a directory service are not looked up: name a local one)")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Where it was looked up.
        file: PathBuf,
    },
    /// The database itself.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Looks up a local user with all groups.
///
/// # Errors
/// [`UserError`]: not there, or the files cannot be read.
pub fn user(name: &str) -> Result<User, UserError> {
    user_under(name, Path::new("/etc"))
}

/// The name that belongs to a uid, for showing to people.
#[must_use]
pub fn name_of(uid: u32) -> Option<String> {
    let passwd = read_text(Path::new("/etc/passwd"), Trust::Ours, MAX).ok()?;
    let mut rows = passwd.lines().filter_map(passwd_row);
    rows.find(|row| row.uid == uid).map(|row| named(&row.name, 64))
}

/// Who is in a group, by list or as primary group, without the users in `except`: names, for showing to people.
///
/// # Errors
/// The files cannot be read: then nobody knows.
pub fn members(gid: u32, etc: &Path, except: &[u32]) -> std::io::Result<Vec<String>> {
    let passwd = read_text(&etc.join("passwd"), Trust::Ours, MAX)?;
    let users: Vec<User> = passwd.lines().filter_map(passwd_row).collect();
    let primary = users.iter().filter(|user| user.gid == gid && !except.contains(&user.uid));
    let mut found: Vec<String> = primary.map(|user| named(&user.name, 64)).collect();
    let group = read_text(&etc.join("group"), Trust::Ours, MAX)?;
    let mut lines = group.lines().filter_map(|line| listed_in(line, gid)).peekable();
    if lines.peek().is_none() {
        // It may have members in a directory service.
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "it is in no line of the file of groups"));
    }
    for name in lines.flatten() {
        // A name without a row may be a user of a directory service.
        let excepted = users.iter().any(|user| user.name == name && except.contains(&user.uid));
        if !excepted {
            found.push(named(name, 64));
        }
    }
    Ok(found)
}

/// The members of a `name:x:gid:a,b,c` line of this group.
fn listed_in(line: &str, gid: u32) -> Option<impl Iterator<Item = &str>> {
    let mut fields = line.split(':').skip(2);
    fields.next()?.parse::<u32>().ok().filter(|found| *found == gid)?;
    Some(fields.next()?.split(',').map(str::trim).filter(|name| !name.is_empty()))
}

/// Whether a group has no member but root and the caller, so that its right to write is nobody's. A group that is not in
/// the file may have members in a directory service.
pub(in crate::host) fn nobody_is_in(gid: u32) -> bool {
    nobody_is_in_under(gid, Path::new("/etc"))
}

fn nobody_is_in_under(gid: u32, etc: &Path) -> bool {
    let fine = [0, rustix::process::geteuid().as_raw()];
    members(gid, etc, &fine).is_ok_and(|members| members.is_empty())
}

fn user_under(name: &str, etc: &Path) -> Result<User, UserError> {
    let read = |file: PathBuf| match read_text(&file, Trust::Ours, MAX) {
        Ok(text) => Ok(text),
        Err(source) => Err(UserError::Unreadable { file, source }),
    };
    let file = etc.join("passwd");
    let passwd = read(file.clone())?;
    let Some(mut user) = passwd.lines().filter_map(passwd_row).find(|row| row.name == name) else {
        return Err(UserError::Unknown { name: named(name, 64), file });
    };
    for line in read(etc.join("group"))?.lines() {
        if let Some(gid) = group_with(line, name)
            && !user.groups.contains(&gid)
            && user.groups.len() < GROUPS_MAX
        {
            user.groups.push(gid);
        }
    }
    Ok(user)
}

/// `name:x:uid:gid:gecos:home:shell` (passwd(5)).
fn passwd_row(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = PathBuf::from(fields.nth(1)?);
    Some(User { name, uid, gid, home, groups: vec![gid] })
}

/// The gid of a `name:x:gid:a,b,c` line (group(5)) that lists `member`.
fn group_with(line: &str, member: &str) -> Option<u32> {
    let mut fields = line.split(':');
    let gid = fields.nth(2)?.parse().ok()?;
    fields.next()?.split(',').any(|name| name == member).then_some(gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_everywhere() {
        let root = user("root").unwrap();
        assert_eq!((root.uid, root.gid, root.home.as_path()), (0, 0, Path::new("/root")));
        assert_eq!(name_of(0).as_deref(), Some("root"));
    }

    #[test]
    fn groups_are_found_and_prefixes_are_not_members() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("passwd"),
            "root:x:0:0::/root:/bin/sh\n#bad\ndeploy2:x:7:7::/x:/s\ndeploy:x:1001:1002:D,,,:/home/deploy:/bin/bash\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("group"), "adm:x:4:deploy,syslog\nx:x:9:deploy2\nd:x:1002:deploy\n").unwrap();
        let deploy = user_under("deploy", dir.path()).unwrap();
        assert_eq!((deploy.uid, deploy.groups), (1001, vec![1002, 4]));
        // adm has deploy, x has deploy2, d is somebody's own group and has them as a member.
        let write = |text: &str| std::fs::write(dir.path().join("group"), text).unwrap();
        write("empty:x:50:\nroots:x:51:root\nadm:x:4:deploy\nd:x:1002:\nroot:x:0:\n");
        for (gid, empty) in [(50, true), (51, true), (0, true), (4, false), (1002, false), (77, false)] {
            assert_eq!(nobody_is_in_under(gid, dir.path()), empty, "{gid}");
        }
        let unknown = user_under("nobody\x07", dir.path()).unwrap_err().to_string();
        assert!(unknown.starts_with("user nobody\\u{7} is not in "), "{unknown}");
    }
}
