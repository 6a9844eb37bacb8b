//! Servers that answer as they like, listening as another user where the test is root, and gone with the variant.
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Gid, Uid};

/// What is done with a question.
#[derive(Clone)]
pub(super) enum Say {
    /// These bytes, and on with the conversation.
    Bytes(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// Nothing, and the connection is closed.
    Close,
    /// These bytes, and the connection is closed.
    Last(Vec<u8>),
    /// These bytes, again and again.
    Endless(Vec<u8>),
    /// One byte at a time, so many milliseconds between them.
    Drip(Vec<u8>, u64),
    /// These bytes, then the other.
    Then(Vec<u8>, Box<Say>),
}

/// A conversation: reads questions until it has enough.
pub(super) type Talk = dyn Fn(&mut dyn Duplex) + Send + Sync;

pub(super) trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// Whether the conversation goes on.
pub(super) fn play(stream: &mut dyn Duplex, say: &Say) -> bool {
    match say {
        Say::Bytes(bytes) => stream.write_all(bytes).is_ok(),
        Say::Close => false,
        Say::Last(bytes) => {
            let _deaf = stream.write_all(bytes);
            false
        }
        Say::Hang => {
            let mut rest = [0; 4096];
            while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
            false
        }
        Say::Endless(bytes) => {
            let many = bytes.repeat(1.max(65_536 / bytes.len().max(1)));
            while stream.write_all(&many).is_ok() {}
            false
        }
        Say::Drip(bytes, millis) => bytes.iter().all(|byte| {
            std::thread::sleep(Duration::from_millis(*millis));
            stream.write_all(&[*byte]).is_ok()
        }),
        Say::Then(bytes, other) => stream.write_all(bytes).is_ok() && play(stream, other),
    }
}

/// A server; its listener is shut when this is dropped.
pub(super) struct Server {
    shut: Box<dyn Fn() + Send>,
    pub(super) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        (self.shut)();
    }
}

/// Does something on a thread that is another user to the kernel: a socket's peer is who called listen(2).
pub(super) fn acting_as<T: Send + 'static>(uid: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let acting = move || {
        if rustix::process::geteuid().is_root() && uid != 0 {
            let (gid, uid) = (Gid::from_raw(uid), Uid::from_raw(uid));
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        }
        work()
    };
    std::thread::spawn(acting).join().unwrap()
}

/// Listens at a path as this user.
pub(super) fn unix(path: &Path, uid: u32, talk: Arc<Talk>) -> Server {
    let path = path.to_owned();
    let listener = Arc::new(acting_as(uid, move || UnixListener::bind(path).unwrap()));
    let accepting = Arc::clone(&listener);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = accepting.accept() {
            let talk = Arc::clone(&talk);
            std::thread::spawn(move || talk(&mut { stream }));
        }
    });
    Server { shut: Box::new(move || shut(&*listener)), port: 0 }
}

/// Listens at a free port of the loopback.
pub(super) fn tcp(talk: Arc<Talk>) -> Server {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let accepting = Arc::clone(&listener);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = accepting.accept() {
            let talk = Arc::clone(&talk);
            std::thread::spawn(move || talk(&mut { stream }));
        }
    });
    Server { shut: Box::new(move || shut(&*listener)), port }
}

fn shut(listener: &impl AsFd) {
    // Wakes the thread in accept(2), which drops its half.
    let _gone_already = rustix::net::shutdown(listener.as_fd(), rustix::net::Shutdown::Both);
}
