//! Each kind of thing that somebody may put in the place of a file, and each place of a healthy host.
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A user that nobody is.
const ALICE: u32 = 54_321;
const BOB: u32 = 54_322;

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Some of this can only be built by root.
fn is_root() -> bool {
    if me() != 0 {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: giving files to other users needs root");
        }
    }
    me() == 0
}

/// Not below /tmp's sticky directory alone: a directory of root's, as `/srv` is.
fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().canonicalize().unwrap();
    (dir, path)
}

fn dir_of(path: &Path, uid: u32, mode: u32) -> PathBuf {
    std::fs::create_dir(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    chown(path, Some(uid), Some(uid)).unwrap();
    path.to_owned()
}

fn file_of(path: &Path, uid: u32, text: &str) -> PathBuf {
    std::fs::write(path, text).unwrap();
    chown(path, Some(uid), Some(uid)).unwrap();
    path.to_owned()
}

fn closed(path: PathBuf) -> PathBuf {
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn link_of(target: &Path, path: &Path, uid: u32) -> PathBuf {
    symlink(target, path).unwrap();
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).unwrap();
    path.to_owned()
}

fn fifo(path: &Path) -> PathBuf {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap();
    path.to_owned()
}

/// Every kind of trust that a file of ours, in a directory of ours, has.
fn every(uid: u32) -> [Trust<'static>; 4] {
    [Trust::Ours, Trust::Kept, Trust::OwnedBy(uid), Trust::Counted]
}

fn why(path: &Path, trust: Trust<'_>) -> String {
    read(path, trust, 100).unwrap_err().to_string()
}

#[test]
fn what_is_no_file_is_told_by_its_kind_and_never_opened() {
    let (_keep, dir) = place();
    let socket = dir.join("socket");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let fifo = fifo(&dir.join("fifo"));
    for trust in every(me()) {
        assert_eq!(why(&fifo, trust), "it is a FIFO, not a regular file", "{trust:?}");
        assert_eq!(why(&socket, trust), "it is a socket, not a regular file", "{trust:?}");
        assert_eq!(why(&dir, trust), "it is a directory, not a regular file", "{trust:?}");
    }
    assert_eq!(why(Path::new("/dev/zero"), Trust::Counted), "it is a device, not a regular file");
    assert_eq!(why(Path::new("/dev/zero"), Trust::Ours), "it is a device, not a regular file");
}

#[test]
fn a_bound_holds_for_files_of_any_size() {
    let (_keep, dir) = place();
    let file = dir.join("f");
    std::fs::write(&file, "12345").unwrap();
    for trust in every(me()) {
        assert_eq!(read(&file, trust, 5).unwrap(), b"12345");
        assert_eq!(read(&file, trust, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_end(&file, trust, 2).unwrap(), b"45");
    }
    let sparse = File::create(dir.join("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert_eq!(why(&dir.join("sparse"), Trust::Counted), "larger than 100 bytes");
    assert_eq!(read_end(&dir.join("sparse"), Trust::Counted, 3).unwrap(), [0; 3]);
    // Files of /proc have no size and are read all the same.
    assert!(read_text(Path::new("/proc/self/status"), Trust::Ours, 1 << 16).unwrap().contains("Uid:"));
    assert_eq!(read(Path::new("/proc/self/status"), Trust::Ours, 5).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn a_file_that_grows_while_it_is_read_is_cut_by_count() {
    let (_keep, dir) = place();
    std::fs::write(dir.join("f"), "1234").unwrap();
    let open = open(&dir.join("f"), Trust::Counted).unwrap();
    std::fs::write(dir.join("f"), "1".repeat(200)).unwrap();
    assert_eq!(whole(open, 100).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn what_was_judged_is_what_is_read_whatever_bears_its_name_by_then() {
    let (_keep, dir) = place();
    let path = dir.join("f");
    std::fs::write(&path, "mine").unwrap();
    let found = find(&path, Trust::OwnedBy(me())).unwrap();
    std::fs::rename(&path, dir.join("away")).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    let file = reopen(&regular(&found.fd, &found.stat).unwrap()).unwrap();
    assert_eq!(whole(file, 100).unwrap(), b"mine");
}

#[test]
fn links_that_lead_nowhere_or_in_circles() {
    let (_keep, dir) = place();
    symlink("nowhere", dir.join("dangling")).unwrap();
    symlink("loop", dir.join("loop")).unwrap();
    let reader = Reader::of(std::process::id()).unwrap();
    for trust in [Trust::OwnedBy(me()), Trust::Counted, Trust::ReadableBy(&reader)] {
        assert_eq!(read(&dir.join("dangling"), trust, 9).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(why(&dir.join("loop"), trust), "too many symbolic links");
        assert_eq!(read(&dir.join("f/g"), trust, 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

#[test]
fn a_link_of_somebody_else_is_not_followed_to_what_they_may_not_read() {
    if !is_root() {
        return;
    }
    let (_keep, dir) = place();
    let home = dir_of(&dir.join("alice"), ALICE, 0o755);
    let bobs = closed(file_of(&dir.join("bobs"), BOB, "secret of bob"));
    let roots = closed(file_of(&dir.join("roots"), 0, "secret of root"));
    let own = file_of(&home.join("own"), ALICE, "own");
    let alice = Reader { uid: ALICE, gids: vec![ALICE] };
    for (name, target) in [("to-bob", &bobs), ("to-root", &roots)] {
        let link = link_of(target, &home.join(name), ALICE);
        for trust in [Trust::Kept, Trust::OwnedBy(ALICE), Trust::ReadableBy(&alice), Trust::Counted] {
            let error = read(&link, trust, 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{trust:?} {name}: {error}");
        }
        // A directory on the way is no better than the last name.
        let inside = link_of(&dir, &home.join(format!("{name}-dir")), ALICE).join("roots");
        assert!(read(&inside, Trust::ReadableBy(&alice), 100).is_err() && read(&inside, Trust::Kept, 100).is_err());
    }
    let link = link_of(&own, &home.join("to-own"), ALICE);
    assert_eq!(
        read(&link, Trust::OwnedBy(ALICE), 100).unwrap(),
        b"own",
        "their own link to their own file tells nothing"
    );
    let said = why(&home.join("to-root"), Trust::Kept);
    assert!(said.contains("alice/to-root is a symbolic link of uid 54321, which is not followed"), "{said}");
}

#[test]
fn a_hard_link_is_no_file_of_the_one_who_made_it() {
    if !is_root() {
        return;
    }
    let (_keep, dir) = place();
    let home = dir_of(&dir.join("alice"), ALICE, 0o755);
    let roots = closed(file_of(&dir.join("shadow"), 0, "secret of root"));
    let alice = Reader { uid: ALICE, gids: vec![ALICE] };
    let hard = home.join("appendonly.aof.manifest");
    std::fs::hard_link(&roots, &hard).unwrap();
    assert_eq!(why(&hard, Trust::ReadableBy(&alice)), "uid 54321, which names this file, may not read it");
    assert_eq!(why(&hard, Trust::OwnedBy(ALICE)), "owned by uid 0, expected 54321");
    assert!(why(&hard, Trust::Kept).contains("hard link"));
    assert_eq!(
        read(&roots, Trust::Kept, 100).unwrap(),
        b"secret of root",
        "in a directory of root's it may have two names"
    );
}

#[test]
fn links_that_root_made_are_followed() {
    if !is_root() {
        return;
    }
    let (_keep, dir) = place();
    // /var/lib/redis -> /data/redis, /var/run -> ../run: a directory moved to another disk, and a link with a way up in it.
    let data = dir_of(&dir.join("data"), 0, 0o755);
    let redis = dir_of(&data.join("redis"), ALICE, 0o750);
    file_of(&redis.join("dump.rdb"), ALICE, "rdb");
    let var = dir_of(&dir.join("var"), 0, 0o755);
    link_of(&redis, &var.join("redis"), 0);
    link_of(Path::new("../data/redis"), &var.join("run"), 0);
    link_of(&var.join("run"), &dir.join("twice"), 0);
    for path in ["var/redis", "var/run", "twice", "var/../var/redis", "data/redis/"] {
        let alice = Reader { uid: ALICE, gids: vec![ALICE] };
        for trust in [Trust::OwnedBy(ALICE), Trust::ReadableBy(&alice), Trust::Counted] {
            let file = dir.join(path).join("dump.rdb");
            assert_eq!(read(&file, trust, 9).unwrap(), b"rdb", "{path} {trust:?}");
        }
        let (_, stat) = directory(&dir.join(path), Trust::OwnedBy(ALICE)).unwrap();
        assert_eq!(stat.st_uid, ALICE);
    }
    // In a sticky directory nobody can take root's link away; in one that others write to, they can.
    for (name, mode, followed) in [("sticky", 0o1777, true), ("open", 0o777, false), ("group", 0o775, true)] {
        let held = dir_of(&dir.join(name), 0, mode);
        link_of(&redis, &held.join("l"), 0);
        assert_eq!(read(&held.join("l/dump.rdb"), Trust::Counted, 9).is_ok(), followed, "{name}");
    }
    chown(dir.join("group"), None, Some(ALICE)).unwrap();
    assert!(read(&dir.join("group/l/dump.rdb"), Trust::Counted, 9).is_err(), "nobody knows who is in that group");
}

#[test]
fn a_password_is_roots_however_root_leads_to_it() {
    if !is_root() {
        return;
    }
    let (_keep, dir) = place();
    let secret = file_of(&dir.join("redis.pass"), 0, "hunter2");
    link_of(&secret, &dir.join("current"), 0);
    assert_eq!(read(&dir.join("current"), Trust::Kept, 100).unwrap(), b"hunter2");
    let home = dir_of(&dir.join("alice"), ALICE, 0o755);
    assert_eq!(read(&file_of(&home.join("redis.pass"), 0, "x"), Trust::Kept, 100).unwrap(), b"x", "root laid it there");
}

#[test]
fn a_server_shows_what_it_could_read_itself() {
    if !is_root() {
        return;
    }
    let (_keep, dir) = place();
    let redis = Reader { uid: ALICE, gids: vec![ALICE, 77] };
    let trust = Trust::ReadableBy(&redis);
    let made = |name: &str, (uid, gid): (u32, u32), mode: u32| {
        let path = dir.join(name);
        std::fs::write(&path, "port 1").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        chown(&path, Some(uid), Some(gid)).unwrap();
        path
    };
    // Debian: redis:redis 640; others: root:root 644, root:redis 640, an administrator's own.
    for (name, owner, mode) in [
        ("debian", (ALICE, ALICE), 0o640),
        ("plain", (0, 0), 0o644),
        ("grouped", (0, 77), 0o640),
        ("bobs", (BOB, 77), 0o640),
        ("own", (ALICE, 77), 0o040),
    ] {
        assert_eq!(read(&made(name, owner, mode), trust, 100).unwrap(), b"port 1", "{name}");
    }
    for (name, owner, mode) in [("shadow", (0, 42), 0o640), ("key", (0, 0), 0o600), ("others", (BOB, BOB), 0o660)] {
        assert_eq!(why(&made(name, owner, mode), trust), "uid 54321, which names this file, may not read it");
    }
    // A file that is open to all, in a directory that is not; and a link of theirs to it.
    let locked = dir_of(&dir.join("closed"), 0, 0o700);
    file_of(&locked.join("x.conf"), 0, "port 1");
    assert!(read(&locked.join("x.conf"), trust, 100).is_err());
    // Access lists are not read: what is its own in such a directory is reached by one, or was.
    assert_eq!(read(&file_of(&locked.join("own.conf"), ALICE, "port 1"), trust, 100).unwrap(), b"port 1");
    link_of(&dir.join("key"), &dir.join("to-key"), ALICE);
    link_of(&dir.join("plain"), &dir.join("to-plain"), ALICE);
    assert!(read(&dir.join("to-key"), trust, 100).is_err());
    assert_eq!(read(&dir.join("to-plain"), trust, 100).unwrap(), b"port 1");
    let root = Reader { uid: 0, gids: vec![0] };
    assert!(read(&dir.join("shadow"), Trust::ReadableBy(&root), 100).is_ok(), "a server that runs as root");
}

#[test]
fn this_process_is_a_reader_and_names_below_a_directory_are_plain() {
    let reader = Reader::of(std::process::id()).unwrap();
    assert_eq!((reader.uid, reader.gids[0]), (me(), rustix::process::getegid().as_raw()));
    assert_eq!(Reader::of(u32::MAX), None);
    let (_keep, path) = place();
    std::fs::write(path.join("a\nb"), "").unwrap();
    let (dir, stat) = directory(&path, Trust::OwnedBy(me())).unwrap();
    assert_eq!(stat.st_ino, path.metadata().unwrap().ino());
    for name in ["", ".", "..", "../x", "/etc/passwd", "x/y", "x/"] {
        let error = below(&dir, name.as_ref()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
    }
    assert!(below(&dir, "a\nb".as_ref()).is_ok());
    assert_eq!(directory(&path.join("a\nb"), Trust::Counted).unwrap_err().kind(), io::ErrorKind::NotADirectory);
}
