//! A client of one daemon's `rpc.sock`: any number of calls in flight on one connection, answers in whatever order, one
//! deadline per call.
//!
//! What it insists on is the difference between *not sent* and *sent, no answer*: after the latter nobody knows whether
//! the daemon acted, and only a look at the list can tell. Frames are written by a task of their own, because a call that
//! is given up in the middle of a write would leave half a frame, and the next one would end the daemon.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::answer::{Answer, Frame, Lists, Reader, Said};
use super::door;
use super::listing::Listing;
use super::place::Pm2At;
use super::request::Request;
use crate::host::foreign::{Shown, Untrusted};

/// Its name below the home (PM2 `paths.js`).
pub(super) const RPC: &str = "rpc.sock";
const QUEUE: usize = 256;
const READ_BYTES: usize = 64 << 10;
/// Methods that change nothing, whoever asks them how often (PM2 `Daemon.js`).
const QUESTIONS: [&str; 4] = ["ping", "getVersion", "getReport", "getMonitorData"];

/// Why a daemon could not be asked, or did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RpcError {
    /// There is no socket: no daemon has this home.
    #[error("no PM2 daemon at {0}: there is no socket")]
    NoSocket(PathBuf),
    /// A socket without a listener: its daemon was killed, and apps in fork mode may have outlived it.
    #[error("no PM2 daemon at {0}: the socket is left from a daemon that was killed")]
    Stale(PathBuf),
    /// The socket belongs to somebody else.
    #[error("no access to {0}: run as its owner or as root")]
    Denied(PathBuf),
    /// What stands in the place of the socket is not the daemon's.
    #[error("the PM2 socket {path} is not used: {why}; look who put it there, and restart the daemon")]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// What it is.
        why: String,
    },
    /// Somebody else answers than the owner of the home.
    #[error(
        "the PM2 socket {path} is answered by a process of uid {uid}, and the home belongs to uid {owner}: nothing was asked; look who put it there, and restart the daemon as its own user"
    )]
    Impostor {
        /// The socket.
        path: PathBuf,
        /// Who answers.
        uid: u32,
        /// Whose home it is.
        owner: u32,
    },
    /// Any other failure to connect.
    #[error("cannot connect to {path}: {why}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's words.
        why: Shown,
    },
    /// The call never left: nothing happened.
    #[error("{method} was not sent: {why}")]
    NotSent {
        /// Method.
        method: &'static str,
        /// Reason.
        why: String,
    },
    /// The call left and no answer came: whether it happened is not known. List the apps before asking again.
    #[error("{method} was sent and not answered ({why}){}", whether(method))]
    Unknown {
        /// Method.
        method: &'static str,
        /// Reason.
        why: String,
    },
    /// The daemon answered that it would not or could not.
    #[error("PM2 refused {method}: {message}")]
    Refused {
        /// Method.
        method: &'static str,
        /// The daemon's words.
        message: Shown,
    },
    /// The daemon takes no orders any more.
    #[error("PM2 refused {method}: PM2 is being killed")]
    GoingDown {
        /// Method.
        method: &'static str,
    },
}

/// What a refusal means is read from the words as they came: no secret of an app may hide it.
/// What a question without an answer leaves open: nothing, where it changes nothing.
fn whether(method: &str) -> &'static str {
    if QUESTIONS.contains(&method) { "" } else { "; whether it happened is unknown" }
}

fn refused(method: &'static str, said: &Untrusted) -> RpcError {
    match said.raw().contains("PM2 is being killed") {
        true => RpcError::GoingDown { method },
        false => RpcError::Refused { method, message: said.shown(400) },
    }
}

type Waiting = Arc<Mutex<Waiters>>;

#[derive(Default)]
struct Waiters {
    by_id: HashMap<u64, oneshot::Sender<Answer>>,
    closed: Option<String>,
}

struct Outgoing {
    id: u64,
    frame: Vec<u8>,
    left: Arc<AtomicBool>,
}

/// One connection. Dropping it closes it; calls under way end as unknown.
#[derive(Debug)]
pub struct Rpc {
    outgoing: mpsc::Sender<Outgoing>,
    waiting: Waiting,
    next: AtomicU64,
    peer: Peer,
    tasks: [JoinHandle<()>; 2],
}

/// Who listens at the other end, as the kernel knows it: better evidence than a pid file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process that bound the socket.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl std::fmt::Debug for Waiters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waiters({} waiting, closed: {:?})", self.by_id.len(), self.closed)
    }
}

impl Rpc {
    /// Connects to the daemon's `rpc.sock`, if it is that. Spawns nothing, creates nothing.
    ///
    /// # Errors
    /// [`RpcError::NoSocket`], [`RpcError::Stale`], [`RpcError::Denied`], [`RpcError::Foreign`], [`RpcError::Impostor`] or
    /// [`RpcError::Connect`].
    pub async fn connect(at: &Pm2At) -> Result<Self, RpcError> {
        Self::connect_keeping(at, None).await
    }

    /// The same for whoever records lists: their entries are kept in `keep`, under no name.
    pub(super) async fn connect_keeping(at: &Pm2At, keep: Option<PathBuf>) -> Result<Self, RpcError> {
        let (stream, peer) = door::connect(at, RPC).await?;
        let (read, write) = stream.into_split();
        let waiting = Waiting::default();
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let tasks = [
            tokio::spawn(read_answers(read, Reader::new(Lists { user: peer.uid, keep }), Arc::clone(&waiting))),
            tokio::spawn(write_calls(write, queue, Arc::clone(&waiting))),
        ];
        Ok(Self { outgoing, waiting, next: AtomicU64::new(0), peer, tasks })
    }

    /// The daemon's process and user.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether the connection still stands, as far as is known: a daemon that ended has closed it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed.is_none()
    }

    /// [`Rpc::call_within`] the request's own deadline.
    ///
    /// # Errors
    /// As there.
    pub async fn call(&self, request: &Request) -> Result<Value, RpcError> {
        self.call_within(request, request.deadline()).await
    }

    /// Asks, and waits for the answer until `deadline` has passed.
    ///
    /// # Errors
    /// [`RpcError::NotSent`], [`RpcError::Unknown`] or [`RpcError::Refused`].
    pub async fn call_within(&self, request: &Request, deadline: Duration) -> Result<Value, RpcError> {
        Ok(match self.said(request, deadline).await? {
            Said::Value(value) => value,
            // The answer to an order about one app.
            Said::List(list) => Value::Array(list.first.into_iter().collect()),
        })
    }

    /// The daemon's list.
    ///
    /// # Errors
    /// As [`Rpc::call_within`]; an answer that is no list counts as refused.
    pub(super) async fn list(&self) -> Result<Listing, RpcError> {
        let request = Request::List;
        match self.said(&request, request.deadline()).await? {
            Said::List(list) => Ok(*list),
            Said::Value(_) => {
                Err(RpcError::Refused { method: request.method(), message: "the answer is not a list".into() })
            }
        }
    }

    async fn said(&self, request: &Request, deadline: Duration) -> Result<Said, RpcError> {
        let method = request.method();
        let not_sent = |why: String| RpcError::NotSent { method, why };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = request.encode(&format!("{}:{id}", std::process::id())).map_err(|e| not_sent(e.to_string()))?;
        let left = Arc::new(AtomicBool::new(false));
        let (answer, mut told) = oneshot::channel();
        let seat = Seat { waiting: &self.waiting, id };
        seat.take(answer).map_err(not_sent)?;
        let lost = |why: &str| match left.load(Ordering::SeqCst) {
            true => RpcError::Unknown { method, why: why.to_owned() },
            false => RpcError::NotSent { method, why: why.to_owned() },
        };
        let exchange = async {
            let sending = self.outgoing.send(Outgoing { id, frame, left: Arc::clone(&left) }).await;
            if sending.is_err() {
                return Err(lost(&closed_because(&self.waiting)));
            }
            (&mut told).await.map_err(|_| lost(&closed_because(&self.waiting)))
        };
        let outcome = tokio::time::timeout(deadline, exchange).await;
        drop(seat);
        // Giving up the seat first means that a frame still queued now is never written: `left` is final.
        match outcome {
            Ok(answered) => answered?.map_err(|said| refused(method, &said)),
            Err(_) => match told.try_recv() {
                Ok(answer) => answer.map_err(|said| refused(method, &said)),
                Err(_) => Err(lost(&format!("no answer within {} s", deadline.as_secs_f32()))),
            },
        }
    }
}

impl Drop for Rpc {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A place among those who wait; given up when the call ends, however it ends.
struct Seat<'a> {
    waiting: &'a Waiting,
    id: u64,
}

impl Seat<'_> {
    fn take(&self, answer: oneshot::Sender<Answer>) -> Result<(), String> {
        let mut waiters = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &waiters.closed {
            return Err(why.clone());
        }
        waiters.by_id.insert(self.id, answer);
        Ok(())
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).by_id.remove(&self.id);
    }
}

fn closed_because(waiting: &Waiting) -> String {
    let waiters = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiters.closed.clone().unwrap_or_else(|| "the answer could not be read".to_owned())
}

fn close(waiting: &Waiting, why: &str) {
    let mut waiters = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiters.closed.get_or_insert_with(|| why.to_owned());
    waiters.by_id.clear();
}

/// Writes whole frames only, and none whose caller has gone.
async fn write_calls(mut write: OwnedWriteHalf, mut queue: mpsc::Receiver<Outgoing>, waiting: Waiting) {
    while let Some(call) = queue.recv().await {
        {
            let waiters = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if !waiters.by_id.contains_key(&call.id) {
                continue;
            }
            call.left.store(true, Ordering::SeqCst);
        }
        if let Err(error) = write.write_all(&call.frame).await {
            return close(&waiting, &format!("the daemon closed the connection: {error}"));
        }
    }
}

async fn read_answers(mut read: OwnedReadHalf, mut reader: Reader, waiting: Waiting) {
    let mut bytes = vec![0u8; READ_BYTES];
    let why = loop {
        let count = match read.read(&mut bytes).await {
            Ok(0) if reader.mid_frame() => break "the daemon went away inside an answer".to_owned(),
            Ok(0) => break "the daemon closed the connection".to_owned(),
            Ok(count) => count,
            Err(error) => break format!("the connection broke: {error}"),
        };
        if let Err(error) = reader.push(bytes.get(..count).unwrap_or_default(), |frame| deliver(frame, &waiting)) {
            break error.to_string();
        }
        // However much comes, timers and signals have their turn after each piece of it.
        tokio::task::yield_now().await;
    };
    close(&waiting, &why);
}

fn deliver(frame: Frame, waiting: &Waiting) {
    let Some(id) = frame.number.as_deref().and_then(own_number) else { return };
    let asked = waiting.lock().unwrap_or_else(PoisonError::into_inner).by_id.remove(&id);
    // An unreadable answer drops the sender: the caller learns that the outcome is unknown.
    let (Some(asked), Some(answer)) = (asked, frame.answer) else { return };
    // The caller may have left in this very moment; an answer nobody waits for is no loss.
    drop(asked.send(answer));
}

fn own_number(id: &str) -> Option<u64> {
    let (process, number) = id.split_once(':')?;
    (process.parse() == Ok(std::process::id())).then(|| number.parse().ok())?
}
