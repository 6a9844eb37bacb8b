//! The sockets of a daemon: found below its home, owned by its user, answered by its user.
//!
//! Who owns a home can put anything under the name `rpc.sock`: a link to another user's socket would hand that user's apps, with
//! their environments, to whoever made the link. So the home is opened first, the socket is looked up in it and is itself no link,
//! its inode belongs to the home's user, the connection is made through the descriptor that was judged, and the process at
//! the other end runs as that user. Root may stand in its place: a socket that systemd hands over was bound by process 1.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FileType;
use tokio::net::UnixStream;

use super::place::{AccountError, Pm2At, home};
use super::rpc::{Peer, RpcError};
use crate::host::foreign::tame;
use crate::host::off_thread;
use crate::host::safe_file;

const CONNECT: Duration = Duration::from_secs(5);

/// A connection to `name` below the home of a daemon, and who answers there.
pub(super) async fn connect(at: &Pm2At, name: &'static str) -> Result<(UnixStream, Peer), RpcError> {
    let path = at.home.join(name);
    let asked = at.clone();
    let found = off_thread::within(off_thread::DISK, &at.home, move || socket(&asked, name)).await;
    let found = found.unwrap_or_else(|late| Err(failed(&at.home.join(name), &late)));
    let (socket, owner) = found?;
    let number = safe_file::by_number(&socket);
    let connected = tokio::time::timeout(CONNECT, UnixStream::connect(number)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)));
    let stream = connected.map_err(|error| failed(&path, &error))?;
    let cred = stream.peer_cred().map_err(|error| failed(&path, &error))?;
    let pid = cred.pid().and_then(|pid| u32::try_from(pid).ok());
    let peer = Peer { pid, uid: cred.uid(), gid: cred.gid() };
    if peer.uid != owner && peer.uid != 0 {
        return Err(RpcError::Impostor { path, uid: peer.uid, owner });
    }
    Ok((stream, peer))
}

/// The socket itself and the user that must answer there. Blocking.
fn socket(at: &Pm2At, name: &str) -> Result<(OwnedFd, u32), RpcError> {
    let path = at.home.join(name);
    let foreign = |why: String| RpcError::Foreign { path: path.clone(), why };
    let (account, dir) = home(at).map_err(|error| match error {
        AccountError::Missing { .. } => RpcError::NoSocket(path.clone()),
        other => foreign(other.to_string()),
    })?;
    let found = safe_file::below(&dir, name.as_ref()).map_err(|error| failed(&path, &error))?;
    let (kind, owner) = (FileType::from_raw_mode(found.stat.st_mode), found.stat.st_uid);
    if kind != FileType::Socket {
        return Err(foreign(format!("it is {}, and not the socket of a daemon", safe_file::kind(&found.stat))));
    }
    // A second name may have been given to a socket of root's; a single one in this directory is from root's own hand.
    if owner != account.uid && !(owner == 0 && found.stat.st_nlink == 1) {
        return Err(foreign(format!(
            "it belongs to uid {owner}, and the home to {} (uid {})",
            account.name, account.uid
        )));
    }
    Ok((found.fd, account.uid))
}

fn failed(socket: &Path, error: &io::Error) -> RpcError {
    let path: PathBuf = socket.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => RpcError::NoSocket(path),
        io::ErrorKind::ConnectionRefused => RpcError::Stale(path),
        io::ErrorKind::PermissionDenied => RpcError::Denied(path),
        _ => RpcError::Connect { path, why: tame(&error.to_string(), 200) },
    }
}

#[cfg(test)]
use super::{bus::PUB, rpc::RPC};

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
