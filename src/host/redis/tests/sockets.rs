//! Unix sockets that are not the server's, and those of healthy hosts. Needs root for other users' sockets.

use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Uid;

use crate::host::redis::*;

const SHORT: Patience = Patience { connect: Duration::from_secs(2), answer: Duration::from_millis(200) };
const REDIS: u32 = 54_321;
const BOB: u32 = 54_322;

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn at(path: &Path) -> RedisAt {
    let url = format!("unix://{}", path.display());
    RedisAt { url, user: None, password: None, kind: RedisKind::Redis, tls: None }
}

/// A socket that this user has bound and listens on; it never answers.
fn listener(path: &Path, uid: u32) -> UnixListener {
    let path = path.to_owned();
    let bound = std::thread::spawn(move || {
        let uid = Uid::from_raw(uid);
        if uid.as_raw() != me() {
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        }
        UnixListener::bind(path).unwrap()
    });
    bound.join().unwrap()
}

fn dir_of(path: &Path, uid: u32, mode: u32) -> PathBuf {
    std::fs::create_dir(path).unwrap();
    chown(path, Some(uid), Some(uid)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_owned()
}

async fn door(path: &Path) -> Door {
    look_with(&at(path), SHORT).await.door
}

/// It connected, and the listener of this test says nothing.
const USED: Door = Door::TimedOut { connected: true };

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
async fn the_place_of_a_socket_says_who_must_answer() {
    if me() != 0 {
        return eprintln!("skipped: sockets of other users need root");
    }
    let temp = tempfile::Builder::new().prefix("rbs-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut listens = Vec::new();
    // The directory, who bound the socket, whose it was made by chown, and whether that is the server.
    for (name, (dir, mode), bound, inode, used) in [
        ("run-redis", (REDIS, 0o755), REDIS, REDIS, true),
        ("debian", (REDIS, 0o2755), REDIS, REDIS, true),
        ("shared", (0, 0o775), REDIS, REDIS, true),
        ("tmp", (0, 0o1777), REDIS, REDIS, true),
        ("started-by-root", (REDIS, 0o755), 0, 0, true),
        ("activated", (0, 0o755), 0, REDIS, true),
        ("another", (REDIS, 0o755), BOB, BOB, false),
        ("lent", (REDIS, 0o755), BOB, REDIS, false),
        ("lent-in-tmp", (0, 0o1777), BOB, REDIS, false),
    ] {
        let place = dir_of(&temp.path().join(name), dir, 0o777);
        let socket = place.join("s");
        listens.push(listener(&socket, bound));
        lchown(&socket, Some(inode), Some(inode)).unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(mode)).unwrap();
        let seen = door(&socket).await;
        assert_eq!(seen == USED, used, "{name}: {seen}");
        assert!(used || matches!(seen, Door::Foreign { .. }), "{name}: {seen}");
    }
    let (mine, other) = (dir_of(&temp.path().join("mine"), BOB, 0o755), temp.path().join("run-redis/s"));
    symlink(&other, mine.join("link")).unwrap();
    lchown(mine.join("link"), Some(BOB), Some(BOB)).unwrap();
    std::fs::hard_link(&other, mine.join("hard")).unwrap();
    assert!(matches!(door(&mine.join("link")).await, Door::Foreign { text } if text.contains("is a symbolic link")));
    assert!(matches!(door(&mine.join("hard")).await, Door::Foreign { .. }));
    // /var/run -> /run, and a link that root left where the socket was before.
    symlink("run-redis", temp.path().join("var")).unwrap();
    symlink(&other, temp.path().join("redis.sock")).unwrap();
    for path in ["var/s", "redis.sock"] {
        assert_eq!(door(&temp.path().join(path)).await, USED, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_socket_is_not_asked() {
    let dir = tempfile::Builder::new().prefix("rbs-").tempdir_in("/tmp").unwrap();
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(door(&fifo).await, Door::Foreign { text: "it is a FIFO, not a socket".into() });
    assert!(matches!(door(Path::new("/dev/null")).await, Door::Foreign { .. }));
    assert_eq!(door(&dir.path().join("gone")).await, Door::Refused);
    symlink("gone", dir.path().join("dangling")).unwrap();
    assert_eq!(door(&dir.path().join("dangling")).await, Door::Refused);
    drop(UnixListener::bind(dir.path().join("stale")).unwrap());
    assert_eq!(door(&dir.path().join("stale")).await, Door::Refused);
}
