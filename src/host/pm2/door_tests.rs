//! What may stand under the name of a daemon's socket, and who may answer there. Needs root for other users' sockets.
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::process::Uid;
use tempfile::TempDir;

use super::*;
use crate::host::pm2::{Bus, DaemonSeen, Rpc, Steer, look};

const ALICE: u32 = 54_321;
const BOB: u32 = 54_322;
/// In the password file of every Linux.
const NOBODY: u32 = 65_534;

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn is_root() -> bool {
    if me() != 0 {
        eprintln!("skipped: sockets of other users need root");
    }
    me() == 0
}

struct Homes {
    dir: TempDir,
}

impl Homes {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("rbd-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn home(&self, name: &str, uid: u32) -> PathBuf {
        let home = self.path(name);
        std::fs::create_dir(&home).unwrap();
        chown(&home, Some(uid), Some(uid)).unwrap();
        home
    }

    fn at(&self, name: &str) -> Pm2At {
        Pm2At { user: "no-such-user".into(), home: self.path(name), unit: None, cli: None }
    }
}

/// A socket that this user has bound and listens on.
fn listener(path: &Path, uid: u32) -> UnixListener {
    let path = path.to_owned();
    let bound = std::thread::spawn(move || {
        // This thread alone becomes that user; the kernel notes who called listen(2).
        let uid = Uid::from_raw(uid);
        if uid.as_raw() != me() {
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        }
        let listener = UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    });
    bound.join().unwrap()
}

fn lchown_to(path: &Path, uid: u32) {
    lchown(path, Some(uid), Some(uid)).unwrap();
}

async fn refused(at: &Pm2At) -> String {
    let (rpc, bus) = (Rpc::connect(at).await, Bus::connect(at).await);
    let (Err(rpc), Err(_)) = (rpc, bus) else { panic!("connected at {}", at.home.display()) };
    let steer = Steer::connect(at).await.unwrap_err().to_string();
    match look(at).await.daemon {
        DaemonSeen::Foreign { why } => assert_eq!(why, rpc.to_string()),
        other => panic!("{other:?}"),
    }
    assert!(!steer.is_empty());
    rpc.to_string()
}

#[tokio::test]
async fn a_link_to_another_users_socket_hands_nobody_over() {
    if !is_root() {
        return;
    }
    let homes = Homes::new();
    let (alice, bob) = (homes.home("alice", ALICE), homes.home("bob", BOB));
    let sockets = [RPC, PUB].map(|name| listener(&bob.join(name), BOB));
    for name in [RPC, PUB] {
        symlink(bob.join(name), alice.join(name)).unwrap();
        lchown_to(&alice.join(name), ALICE);
    }
    let why = refused(&homes.at("alice")).await;
    assert!(why.contains("alice/rpc.sock is not used: it is a symbolic link, and not the socket of a daemon"), "{why}");
    assert!(sockets.iter().all(|socket| socket.accept().is_err()), "nobody has knocked at bob's");
    assert_eq!(Rpc::connect(&homes.at("bob")).await.unwrap().peer().uid, BOB, "bob's own home is as good as ever");
    // The whole home as a link; by whoever may write there.
    symlink(&bob, homes.path("again")).unwrap();
    lchown_to(&homes.path("again"), ALICE);
    let why = refused(&homes.at("again")).await;
    assert!(why.contains("again is a symbolic link of uid 54321, which is not followed"), "{why}");
}

#[tokio::test]
async fn who_answers_must_be_the_owner_of_the_home_or_root() {
    if !is_root() {
        return;
    }
    let homes = Homes::new();
    // The socket's inode, its listener, and whether that is a daemon of alice's.
    for (name, inode, answers, right) in [
        ("own", ALICE, ALICE, true),
        ("roots", 0, 0, true),
        ("activated", ALICE, 0, true),
        ("bobs", BOB, BOB, false),
        ("lent", ALICE, BOB, false),
        ("bound-by-root", 0, BOB, false),
    ] {
        let home = homes.home(name, ALICE);
        let open = |mode| std::fs::set_permissions(&home, std::fs::Permissions::from_mode(mode)).unwrap();
        open(0o777);
        let _sockets = [RPC, PUB].map(|name| {
            let socket = listener(&home.join(name), answers);
            lchown_to(&home.join(name), inode);
            socket
        });
        open(0o755);
        if right {
            assert_eq!(Rpc::connect(&homes.at(name)).await.unwrap().peer().uid, answers, "{name}");
            assert!(Bus::connect(&homes.at(name)).await.is_ok(), "{name}");
        } else {
            let why = refused(&homes.at(name)).await;
            let answered = format!("answered by a process of uid {BOB}, and the home belongs to uid {ALICE}");
            assert!(why.contains(&answered) || why.contains("it belongs to uid 54322"), "{name}: {why}");
        }
    }
}

#[tokio::test]
async fn a_second_name_of_roots_socket_is_no_daemon() {
    if !is_root() {
        return;
    }
    let homes = Homes::new();
    let alice = homes.home("alice", ALICE);
    let _docker = listener(&homes.path("docker.sock"), 0);
    for name in [RPC, PUB] {
        std::fs::hard_link(homes.path("docker.sock"), alice.join(name)).unwrap();
    }
    assert!(refused(&homes.at("alice")).await.contains("it belongs to uid 0"));
}

#[tokio::test]
async fn what_is_no_socket_is_told_and_not_opened() {
    let homes = Homes::new();
    let home = homes.home("h", me());
    let fifo = |path: &Path| {
        rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap();
    };
    type Make<'a> = &'a dyn Fn(&Path);
    let makes: [(&str, Make<'_>); 5] = [
        ("a FIFO", &fifo),
        ("a regular file", &|path| std::fs::write(path, "").unwrap()),
        ("a directory", &|path| std::fs::create_dir(path).unwrap()),
        ("a symbolic link", &|path| symlink("nowhere", path).unwrap()),
        ("a symbolic link", &|path| symlink(path, path).unwrap()),
    ];
    for (kind, make) in makes {
        for name in [RPC, PUB] {
            make(&home.join(name));
        }
        let why = refused(&homes.at("h")).await;
        assert!(why.contains(&format!("it is {kind}, and not the socket")), "{why}");
        for name in [RPC, PUB] {
            let path = home.join(name);
            std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path)).unwrap();
        }
    }
    assert!(matches!(Rpc::connect(&homes.at("h")).await, Err(RpcError::NoSocket(_))));
    assert!(matches!(Rpc::connect(&homes.at("nowhere")).await, Err(RpcError::NoSocket(_))));
}

/// Homes as healthy hosts have them.
#[tokio::test]
async fn homes_of_every_usual_kind_are_used() {
    let homes = Homes::new();
    let home = homes.home("data", me());
    let _rpc = listener(&home.join(RPC), me());
    // Root (here: the caller) has moved it to another disk and left a link; a link to the link; a way up in it.
    symlink(&home, homes.path("moved")).unwrap();
    symlink("moved", homes.path("twice")).unwrap();
    std::fs::create_dir(homes.path("nvm")).unwrap();
    symlink("../data", homes.path("nvm/.pm2")).unwrap();
    for name in ["data", "moved", "twice", "nvm/.pm2", "nvm/../data", "data/"] {
        assert!(Rpc::connect(&homes.at(name)).await.is_ok(), "{name}");
    }
    for mode in [0o700, 0o755, 0o775, 0o777] {
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(Rpc::connect(&homes.at("data")).await.is_ok(), "{mode:o}: how open a home is, is its owner's affair");
    }
    if !is_root() {
        return;
    }
    // A user's own link to their own directory on the large disk.
    let big = homes.home("big", NOBODY);
    let _own = listener(&big.join(RPC), NOBODY);
    let own = homes.home("own", NOBODY);
    symlink(&big, own.join(".pm2")).unwrap();
    lchown_to(&own.join(".pm2"), NOBODY);
    let at = Pm2At { user: "nobody".into(), ..homes.at("own/.pm2") };
    assert_eq!(Rpc::connect(&at).await.unwrap().peer().uid, NOBODY);
    lchown_to(&own.join(".pm2"), ALICE);
    assert!(matches!(Rpc::connect(&at).await, Err(RpcError::Foreign { .. })), "somebody else's link to it is not");
}
