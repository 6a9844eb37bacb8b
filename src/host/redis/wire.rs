//! One bounded conversation: connect, greet, ask. Deadlines and sizes are ours, the protocol is the `redis` crate's.
//!
//! The socket is opened here and handed to the crate, so that *refused*, *no route* and *silence* stay apart, the first bytes
//! of a stranger can be quoted, and no answer can fill our memory.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, RedisResult, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::at::{RedisAddr, RedisAt};
use super::door::Door;
use super::socket;
use crate::host::foreign::tame;
use crate::host::off_thread;
use crate::host::secret::Secret;
use crate::host::tls::{self, Tls};

/// All that one conversation may answer; INFO with everything stays under 100 KiB. Of four bytes the protocol makes a value of
/// fifty, so this is also what bounds memory.
const MAX_HEARD: usize = 1 << 20;
/// How much of it is kept for quoting.
const QUOTED: usize = 64;

/// How long to wait for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the connection. A loading Redis accepts at once, so this can be short.
    pub connect: Duration,
    /// For all answers together. A loading Redis on a slow disk has been silent for 9.5 s and was healthy.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(2), answer: Duration::from_secs(30) }
    }
}

/// An open, greeted connection; closed when dropped.
pub(super) struct Wire {
    connection: MultiplexedConnection,
    driver: tokio::task::AbortHandle,
    heard: Arc<Heard>,
    /// When the certificate of the other side ceases to hold; `None` without TLS.
    pub(super) certified_until: Option<Timestamp>,
    /// The process that bound a Unix socket, as the kernel knows it.
    pub(super) peer: Option<u32>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects within `patience.connect`; a TLS handshake may take as long again.
pub(super) async fn open(at: &RedisAt, addr: &RedisAddr, patience: Patience) -> Result<Wire, Door> {
    let heard = Arc::new(Heard::default());
    let opened = connect(at, addr, patience.connect).await?;
    let (stream, certified_until, peer) = (opened.stream, opened.certified_until, opened.peer);
    let stream = Tap { stream, heard: Arc::clone(&heard) };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience.connect))
        .set_response_timeout(Some(patience.answer));
    // No password and no library name here: then the crate sends nothing by itself.
    let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    let (connection, driver) = MultiplexedConnection::new_with_config(&settings, stream, config)
        .await
        .map_err(|error| Door::of_break(&error, &heard.first()))?;
    let driver = tokio::spawn(driver).abort_handle();
    Ok(Wire { connection, driver, heard, certified_until, peer })
}

impl Wire {
    /// Sends all commands at once and returns one value for each; errors the server sent are values too.
    pub(super) async fn ask(&mut self, commands: Vec<Cmd>) -> Result<Vec<Value>, Door> {
        let mut pipe = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipe.add_command(command);
        }
        let answers: RedisResult<Vec<RedisResult<Value>>> =
            pipe.ignore_errors().query_async(&mut self.connection).await;
        let answers = answers.map_err(|error| self.broken(&error))?;
        answers.into_iter().map(|answer| answer.or_else(|error| self.sent(error))).collect()
    }

    /// An error of the server goes back to being a value.
    fn sent(&self, error: redis::RedisError) -> Result<Value, Door> {
        let door = self.broken(&error);
        let servers = error.into_server_errors().filter(|errors| errors.len() == 1);
        servers.and_then(|errors| errors.first().map(|(_, error)| Value::ServerError(error.clone()))).ok_or(door)
    }

    fn broken(&self, error: &redis::RedisError) -> Door {
        if self.heard.total.load(Ordering::Relaxed) > MAX_HEARD {
            return Door::Odd { text: tame(&format!("an answer of more than {} MiB", MAX_HEARD >> 20), 80) };
        }
        // TLS 1.3 refuses a client after the handshake, in the place of the first answer.
        let refused = self.heard.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        refused.map_or_else(|| Door::of_break(error, &self.heard.first()), untrusted)
    }

    /// Logs in, if a password was given. PING goes first: whatever else listens there must not be told the password.
    pub(super) async fn login(&mut self, at: &RedisAt, password: Option<&Secret>) -> Result<(), Door> {
        let Some(password) = password else { return Ok(()) };
        self.ask(vec![redis::cmd("PING")]).await?;
        let mut auth = redis::cmd("AUTH");
        if let Some(user) = &at.user {
            auth.arg(user);
        }
        auth.arg(password.reveal());
        match self.ask(vec![auth]).await?.first() {
            // The instance wants no password: harmless, and some replicas of a set are like that.
            Some(Value::ServerError(error))
                if at.user.is_none() && error.details().is_some_and(|d| d.contains("without any password")) =>
            {
                Ok(())
            }
            Some(Value::ServerError(error)) => {
                Err(Door::of_reply(error.code(), error.details().unwrap_or_default(), "AUTH"))
            }
            _ => Ok(()),
        }
    }
}

/// Reads the password off the async threads: the file may lie on a disk that hangs.
pub(super) async fn password(at: &RedisAt, within: Duration) -> Result<Option<Secret>, Door> {
    let Some(place) = at.password.clone() else {
        return Ok(None);
    };
    let secret = |text: String| Door::Secret { text };
    let read = place.read_within(within).await.map_err(|late| secret(late.to_string()))?;
    read.map(Some).map_err(|error| secret(error.to_string()))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream that stands.
struct Opened {
    stream: Box<dyn Stream>,
    certified_until: Option<Timestamp>,
    peer: Option<u32>,
}

async fn connect(at: &RedisAt, addr: &RedisAddr, within: Duration) -> Result<Opened, Door> {
    let plain = |stream, peer| Opened { stream, certified_until: None, peer };
    match addr {
        RedisAddr::Tcp(host, port) => Ok(plain(Box::new(tcp(host, *port, within).await?), None)),
        RedisAddr::Unix(path) => {
            let (stream, peer) = socket::connect(path, within).await?;
            Ok(plain(Box::new(stream), peer))
        }
        RedisAddr::Tls(host, port) => {
            let tls = at.tls.clone().unwrap_or_default();
            let name = tls.server_name(host).map_err(untrusted)?;
            let stream = tcp(host, *port, within).await?;
            // A plain server waits for the end of the line that a handshake never has.
            let shaken = timeout(within, encrypted(stream, tls, name)).await;
            shaken.unwrap_or_else(|_| Err(untrusted("no answer to the handshake: is this the plain port?")))
        }
    }
}

async fn tcp(host: &str, port: u16, within: Duration) -> Result<TcpStream, Door> {
    let stream = in_time(TcpStream::connect((host, port)), within).await?;
    stream.set_nodelay(true).map_err(|error| not_connected(&error))?;
    Ok(stream)
}

async fn in_time<T>(connecting: impl Future<Output = io::Result<T>>, within: Duration) -> Result<T, Door> {
    let connected = timeout(within, connecting).await;
    connected.map_err(|_| Door::TimedOut { connected: false })?.map_err(|error| not_connected(&error))
}

/// The handshake; whatever it does not like is a closed door, never a plain conversation.
async fn encrypted(stream: TcpStream, tls: Tls, name: ServerName<'static>) -> Result<Opened, Door> {
    let client = off_thread::within(off_thread::DISK, Path::new("certificates"), move || tls.client()).await;
    let client = client.map_err(untrusted)?.map_err(untrusted)?;
    let shaken = TlsConnector::from(Arc::new(client)).connect(name, stream).await;
    let stream = shaken.map_err(|error| tls::said(&error).map_or_else(|| not_connected(&error), untrusted))?;
    let certified_until = stream.get_ref().1.peer_certificates().and_then(tls::ends);
    Ok(Opened { stream: Box::new(stream), certified_until, peer: None })
}

fn untrusted(why: impl ToString) -> Door {
    Door::Untrusted { text: why.to_string() }
}

pub(super) fn not_connected(error: &io::Error) -> Door {
    match error.kind() {
        // A socket that is not there yet is a server that does not listen yet.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Door::Refused,
        // A Unix socket whose backlog is full says WouldBlock.
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Door::TimedOut { connected: false },
        io::ErrorKind::ConnectionReset => Door::Reset,
        _ => Door::Unreachable { text: tame(&error.to_string(), 160) },
    }
}

/// What came from the other side.
#[derive(Default)]
struct Heard {
    first: Mutex<Vec<u8>>,
    total: AtomicUsize,
    /// What TLS said when it broke the conversation off.
    refused: Mutex<Option<String>>,
}

impl Heard {
    fn first(&self) -> Vec<u8> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, bytes: &[u8]) -> usize {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let room = QUOTED.saturating_sub(first.len()).min(bytes.len());
        first.extend_from_slice(&bytes[..room]);
        self.total.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len()
    }
}

/// The socket, counted.
struct Tap {
    stream: Box<dyn Stream>,
    heard: Arc<Heard>,
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &polled
            && let Some(said) = tls::said(error)
        {
            *self.heard.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        }
        if polled.is_ready() && self.heard.note(&buf.filled()[before..]) > MAX_HEARD {
            return Poll::Ready(Err(io::Error::other("answer too long")));
        }
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
