//! Paths that are root's, and every way in which one is not.
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::host::access_list::list;

const OTHER: u32 = 65_534;

struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    /// `None`, with a word, where nobody may give files away.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            figure("skipped: only root gives files away");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        std::fs::write(etc.join("passwd"), passwd).unwrap();
        let group = "root:x:0:\nstaff:x:50:\nwheel:x:10:root\nadm:x:4:root,ann\ndir:x:6:someone\nann:x:1000:\n";
        std::fs::write(etc.join("group"), group).unwrap();
        Some(Self { dir })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn dir(&self, name: &str, uid: u32, gid: u32, mode: u32) -> PathBuf {
        std::fs::create_dir(self.at(name)).unwrap();
        self.own(name, uid, gid, mode)
    }

    fn file(&self, name: &str, uid: u32, gid: u32, mode: u32) -> PathBuf {
        std::fs::write(self.at(name), "x").unwrap();
        self.own(name, uid, gid, mode)
    }

    fn own(&self, name: &str, uid: u32, gid: u32, mode: u32) -> PathBuf {
        chown(self.at(name), Some(uid), Some(gid)).unwrap();
        std::fs::set_permissions(self.at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        self.at(name)
    }

    fn link(&self, name: &str, to: impl AsRef<Path>, uid: u32) -> PathBuf {
        symlink(to, self.at(name)).unwrap();
        lchown(self.at(name), Some(uid), Some(uid)).unwrap();
        self.at(name)
    }

    fn judge(&self, path: &Path) -> Result<Owned, NotRoots> {
        Walk { owners: vec![0, 0], etc: &self.at("etc") }.judge(path)
    }

    /// The component that is named, the reason and the cure.
    fn refused(&self, path: &Path) -> (PathBuf, String, String) {
        let error = self.judge(path).unwrap_err();
        assert!(error.to_string().contains(&error.cure), "{error}");
        (error.path, error.why, error.cure)
    }
}

#[test]
fn what_a_healthy_host_has_is_roots() {
    let Some(bed) = Bed::new() else { return };
    for program in ["/bin/sh", "/usr/bin/env", "/usr/bin/awk", "/bin", "/usr/local/bin"] {
        let path = Path::new(program);
        if path.exists() {
            assert_eq!(judge(path).unwrap().resolved, path.canonicalize().unwrap());
        }
    }
    // Debian's /usr/local/bin: a group that may write and that nobody is in. A group with root alone is as good.
    for (gid, name) in [(50, "local"), (10, "wheel"), (0, "roots")] {
        bed.dir(name, 0, gid, 0o2775);
        let tool = bed.file(&format!("{name}/tool"), 0, gid, 0o775);
        assert_eq!(bed.judge(&tool).unwrap().resolved, tool);
    }
    // Alternatives: a link to a link to the file, one of them relative, through `..`.
    bed.dir("alternatives", 0, 0, 0o755);
    bed.link("alternatives/tool", bed.at("local/tool"), 0);
    let link = bed.link("tool", "wheel/../alternatives/tool", 0);
    assert_eq!(bed.judge(&link).unwrap().resolved, bed.at("local/tool"));
}

#[test]
fn what_others_may_change_names_the_component_and_the_cure() {
    let Some(bed) = Bed::new() else { return };
    bed.dir("theirs", OTHER, 0, 0o755);
    let below = bed.file("theirs/tool", 0, 0, 0o755);
    let (path, why, cure) = bed.refused(&below);
    assert_eq!((path, why.starts_with("belongs to user ")), (bed.at("theirs"), true), "{why}");
    assert_eq!(cure, format!("chown root:root {0} && chmod go-w {0}", bed.at("theirs").display()));

    bed.dir("fine", 0, 0, 0o755);
    let (path, why, _) = bed.refused(&bed.file("fine/open", 0, 0, 0o777));
    assert_eq!((path, why.as_str()), (bed.at("fine/open"), "can be written by everybody (mode 0777)"));
    for (gid, who) in [(4, "ann"), (6, "someone"), (1000, "ann")] {
        let (_, why, cure) = bed.refused(&bed.file(&format!("fine/group{gid}"), 0, gid, 0o775));
        assert_eq!(why, format!("can be written by group {gid}, in which {who} is"));
        assert_eq!(cure, format!("chmod g-w {}", bed.at(&format!("fine/group{gid}")).display()));
    }
    // The cure is pasted into a shell.
    let (path, _, cure) = bed.refused(&bed.file("fine/it's; open", 0, 0, 0o777));
    assert_eq!(cure, format!("chmod go-w '{}'", path.display().to_string().replace('\'', r"'\''")));
    let (path, why, cure) = bed.refused(&bed.link("fine/link", "/bin/sh", OTHER));
    assert_eq!((path, why.starts_with("is a link of user ")), (bed.at("fine/link"), true), "{why}");
    assert!(cure.starts_with("chown -h root:root "), "{cure}");
    // Where the link lies counts, and what it meets on its way.
    bed.own("theirs", 0, 4, 0o775);
    bed.link("theirs/link", "/bin/sh", 0);
    assert_eq!(bed.refused(&bed.link("hop", "theirs/link", 0)).0, bed.at("theirs"));
}

#[test]
fn a_sticky_directory_is_ground_for_what_root_owns_and_for_nothing_else() {
    let Some(bed) = Bed::new() else { return };
    let sticky = bed.dir("sticky", 0, 0, 0o1777);
    assert!(bed.judge(&bed.dir("sticky/roots", 0, 0, 0o711)).is_ok());
    assert!(bed.judge(&bed.file("sticky/roots/file", 0, 0, 0o600)).is_ok());
    assert_eq!(bed.refused(&bed.file("sticky/file", OTHER, OTHER, 0o755)).0, bed.at("sticky/file"));
    assert_eq!(bed.refused(&bed.link("sticky/link", "/bin/sh", OTHER)).0, bed.at("sticky/link"));
    assert_eq!(bed.refused(&sticky).1, "is for everybody to write in");
    // A file's sticky bit says nothing.
    assert!(bed.judge(&bed.file("bit", 0, 0, 0o1777)).is_err());
}

#[test]
fn an_access_list_grants_what_the_mode_does_not_show() {
    let Some(bed) = Bed::new() else { return };
    let file = bed.file("file", 0, 50, 0o755);
    let grant = |entries: &[(u16, u16, u32)]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&file, "system.posix_acl_access", &list(entries), flags)
    };
    let none = u32::MAX;
    let with = |user: u32, mask: u16| [(1, 7, none), (2, 6, user), (4, 5, none), (0x10, mask, none), (0x20, 5, none)];
    if grant(&with(1000, 7)).is_err() {
        figure("skipped: no access lists on this file system");
        return;
    }
    let (_, why, cure) = bed.refused(&file);
    assert!(why.ends_with("(access list)"), "{why}");
    assert!(cure.starts_with("setfacl -b "), "{cure}");
    grant(&with(1000, 5)).unwrap();
    assert!(bed.judge(&file).is_ok());
    grant(&with(0, 7)).unwrap();
    assert!(bed.judge(&file).is_ok());
}

#[test]
fn a_process_names_no_file_and_a_loop_none_either() {
    let Some(bed) = Bed::new() else { return };
    let me = format!("/proc/{}/exe", std::process::id());
    assert_eq!(bed.refused(Path::new(&me)).1, "leads where a process says");
    let ring = bed.link("ring", "ring", 0);
    assert_eq!(bed.refused(&ring).1, "is a link too many");
    let missing = bed.judge(&bed.at("none/at/all")).unwrap_err();
    assert!(missing.missing && missing.path == bed.at("none"));
    assert!(bed.judge(&bed.file("plain", 0, 0, 0o644).join("x")).unwrap_err().missing);
}

#[test]
fn one_more_owner_may_be_named() {
    let Some(bed) = Bed::new() else { return };
    bed.dir("home", OTHER, OTHER, 0o700);
    let file = bed.file("home/file", OTHER, OTHER, 0o600);
    assert!(judge(&file).is_err());
    assert_eq!(judge_for(&file, Some(OTHER)).unwrap().resolved, file);
}

/// Told where the tests are read; printing is for nobody else.
fn figure(text: &str) {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "{text}"));
}
