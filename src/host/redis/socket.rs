//! The Unix socket of an instance: who must answer there, from the place where it lies.
//!
//! The user of the server is written nowhere that could be read without trusting the server, so the place has to say it. Where
//! root alone may write the directory, whoever owns the socket was let in by root. Where its owner alone may, that owner bound
//! it, or root did. Where a group or everybody may (a shared `/run/redis`, `/tmp`), it is the owner of the socket, which then has
//! to have this one name; such a directory does not say more, and `docs/security.md` says so.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::FileType;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::door::Door;
use super::wire::not_connected;
use crate::host::off_thread;
use crate::host::safe_file::{self, Trust, root_alone};

/// The socket, found and judged.
struct Place {
    socket: std::os::fd::OwnedFd,
    owner: u32,
}

/// Connects, makes sure who answers, and says which process has bound it.
pub(super) async fn connect(path: &Path, within: Duration) -> Result<(UnixStream, Option<u32>), Door> {
    let asked = path.to_owned();
    let found = off_thread::within(within, path, move || find(&asked)).await;
    let place = found.and_then(|found| found).map_err(|error| closed(&error))?;
    let number = safe_file::by_number(&place.socket);
    let connected = timeout(within, UnixStream::connect(number)).await;
    let stream = connected.map_err(|_| Door::TimedOut { connected: false })?.map_err(|error| not_connected(&error))?;
    let cred = stream.peer_cred().map_err(|error| not_connected(&error))?;
    let (peer, pid) = (cred.uid(), cred.pid().and_then(|pid| u32::try_from(pid).ok()));
    if peer == place.owner || peer == 0 {
        return Ok((stream, pid));
    }
    let text = format!("a process of uid {peer} answers at a socket of uid {}", place.owner);
    Err(Door::Foreign { text })
}

/// Blocks on the file system.
fn find(path: &Path) -> io::Result<Place> {
    let found = safe_file::find(path, Trust::Counted)?;
    let foreign = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let (socket, owner) = (&found.stat, found.stat.st_uid);
    if FileType::from_raw_mode(socket.st_mode) != FileType::Socket {
        return foreign(format!("it is {}, not a socket", safe_file::kind(socket)));
    }
    let Some(dir) = found.parent.filter(|dir| !root_alone(dir) || dir.st_mode & 0o1000 != 0) else {
        return Ok(Place { socket: found.fd, owner });
    };
    let shared = dir.st_mode & 0o022 != 0;
    if !shared && owner != dir.st_uid && owner != 0 {
        return foreign(format!("the socket is of uid {owner}, in a directory that only uid {} writes to", dir.st_uid));
    }
    if owner != dir.st_uid && socket.st_nlink != 1 {
        return foreign(format!("it is a second name of a socket of uid {owner}"));
    }
    Ok(Place { socket: found.fd, owner })
}

fn closed(error: &io::Error) -> Door {
    match error.kind() {
        io::ErrorKind::InvalidData => Door::Foreign { text: crate::host::foreign::named(&error.to_string(), 600) },
        _ => not_connected(error),
    }
}
