//! One bounded conversation: connect, greet, ask. Deadlines and sizes are ours, the protocol is the `redis` crate's.
//!
//! The socket is opened here and handed to the crate, so that *refused*, *no route* and *silence* stay apart, the first bytes
//! of a stranger can be quoted, and no answer can fill our memory.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, RedisResult, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::at::{RedisAddr, RedisAt};
use super::door::Door;
use crate::host::secret::Secret;

/// All that one conversation may answer; INFO with everything stays under 100 KiB.
const MAX_HEARD: usize = 4 << 20;
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
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects within `patience.connect`.
pub(super) async fn open(addr: &RedisAddr, patience: Patience) -> Result<Wire, Door> {
    let heard = Arc::new(Heard::default());
    let stream = match timeout(patience.connect, connect(addr)).await {
        Err(_) => return Err(Door::TimedOut { connected: false }),
        Ok(Err(error)) => return Err(not_connected(&error)),
        Ok(Ok(stream)) => Tap { stream, heard: Arc::clone(&heard) },
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience.connect))
        .set_response_timeout(Some(patience.answer));
    // No password and no library name here: then the crate sends nothing by itself.
    let settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    let (connection, driver) = MultiplexedConnection::new_with_config(&settings, stream, config)
        .await
        .map_err(|error| Door::of_break(&error, &heard.first()))?;
    let driver = tokio::spawn(driver).abort_handle();
    Ok(Wire { connection, driver, heard })
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
            return Door::Odd { text: format!("an answer of more than {} MiB", MAX_HEARD >> 20) };
        }
        Door::of_break(error, &self.heard.first())
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
    let read = timeout(within, tokio::task::spawn_blocking(move || place.read())).await;
    match read {
        Ok(Ok(Ok(secret))) => Ok(Some(secret)),
        Ok(Ok(Err(error))) => Err(Door::Secret { text: error.to_string() }),
        Ok(Err(_)) | Err(_) => Err(Door::Secret { text: "the secret could not be read in time".to_owned() }),
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(addr: &RedisAddr) -> io::Result<Box<dyn Stream>> {
    Ok(match addr {
        RedisAddr::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        RedisAddr::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

fn not_connected(error: &io::Error) -> Door {
    match error.kind() {
        // A socket that is not there yet is a server that does not listen yet.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Door::Refused,
        // A Unix socket whose backlog is full says WouldBlock.
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Door::TimedOut { connected: false },
        io::ErrorKind::ConnectionReset => Door::Reset,
        _ => Door::Unreachable { text: crate::host::foreign::tame(&error.to_string(), 160) },
    }
}

/// What came from the other side.
#[derive(Default)]
struct Heard {
    first: Mutex<Vec<u8>>,
    total: AtomicUsize,
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
