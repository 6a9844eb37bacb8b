//! The closed set of questions to the machine, and their answers.
//!
//! Both are plain serialisable values: the live machine, recorded facts, a baseline in the journal and the
//! [`Model`](super::model::Model) are then all the same thing, a map from [`Ask`] to [`Answer`].

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::disk::DiskSeen;
use super::http::HttpSeen;
use super::machine::MachineSeen;
use super::pm2::{App, ListSeen, Pm2At, Pm2Seen};
use super::pressure::PressureSeen;
use super::programs::{ProgramAsked, ProgramSeen};
use super::redis::eta::IncrCost;
use super::redis::{AofFiles, LoadProgress, RedisAt, RedisSeen};
use super::secret::SecretRef;
use super::shown::{Shown, Untrusted};
use super::systemd::{Inhibitor, UnitSeen};
use super::tls::Tls;

/// A question to the machine. Asking never changes it and never starts a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Boot id, memory, processors, name.
    Machine,
    /// Everything worth knowing of one Redis-speaking server.
    Redis(RedisAt),
    /// How far the process `pid` has read the given files; cheaper than INFO and answered when INFO is not.
    LoadProgress {
        /// The server's process id, by systemd's `MainPID` or INFO's `process_id`.
        pid: u32,
        /// The files it reads, as listed by its manifest.
        files: AofFiles,
    },
    /// What the commands in these files' increments cost to load, by samples of at most 4 MB.
    IncrCost(AofFiles),
    /// One unit by name.
    Unit(String),
    /// Who asked logind not to let the machine go down.
    Inhibitors,
    /// A PM2 daemon, its list and its dump.
    Pm2(Pm2At),
    /// PM2's list alone, asked for after this question was: for waits, of which many may ask at once and share one a second.
    Pm2List(Pm2At),
    /// The file system that holds a path.
    Disk(PathBuf),
    /// An HTTP GET.
    Http(HttpAsk),
    /// Whether something accepts connections on `host:port`.
    Tcp(String),
    /// The apps in a snapshot file, without their environment, after its hash was verified.
    Snapshot {
        /// Where it lies.
        path: PathBuf,
        /// Hex SHA-256 of its bytes.
        sha256: String,
    },
    /// What keeps the resume unit from working; no entries when it is installed, enabled and points at this binary.
    ResumeUnit,
    /// The last lines of a service's log, if the file is that service's own.
    LogTail {
        /// Where it lies, in the service's own words.
        path: PathBuf,
        /// Whose it must be.
        of: LogOf,
    },
    /// How long tasks have waited for processors and memory.
    Pressure,
    /// What a command would execute, and whether root may. Nothing is started.
    Program(ProgramAsked),
    /// Forgotten everywhere on purpose: see `tests/forgotten.sh`.
    #[cfg(feature = "forgotten-kinds")]
    Forgotten,
}

/// The answer to the [`Ask`] of the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// See [`Ask::Machine`].
    Machine(Box<MachineSeen>),
    /// See [`Ask::Redis`].
    Redis(Box<RedisSeen>),
    /// See [`Ask::LoadProgress`]; `None` where the process or its files cannot be seen.
    LoadProgress(Option<LoadProgress>),
    /// See [`Ask::IncrCost`]; `None` where they cannot be read or hold no commands.
    IncrCost(Option<IncrCost>),
    /// See [`Ask::Unit`].
    Unit(Box<UnitSeen>),
    /// See [`Ask::Inhibitors`].
    Inhibitors(Vec<Inhibitor>),
    /// See [`Ask::Pm2`].
    Pm2(Box<Pm2Seen>),
    /// See [`Ask::Pm2List`].
    Pm2List(ListSeen),
    /// See [`Ask::Disk`].
    Disk(DiskSeen),
    /// See [`Ask::Http`].
    Http(HttpSeen),
    /// See [`Ask::Tcp`]: `None` when it accepts, else why not.
    Tcp(Option<Shown>),
    /// See [`Ask::Snapshot`].
    Snapshot(Vec<App>),
    /// See [`Ask::ResumeUnit`].
    ResumeUnit(Vec<String>),
    /// See [`Ask::LogTail`].
    LogTail(Vec<Untrusted>),
    /// See [`Ask::Pressure`]; `None` where the kernel does not count it.
    Pressure(Option<PressureSeen>),
    /// See [`Ask::Program`].
    Program(Box<ProgramSeen>),
}

/// Whose a log must be, so that nobody has a file shown that is another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogOf {
    /// An app of this daemon.
    Pm2(Pm2At),
    /// A server that runs as this user.
    User(u32),
}

/// An HTTP GET to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpAsk {
    /// `http://` or `https://`.
    pub url: String,
    /// Request headers; secret ones by reference.
    pub headers: Vec<(String, HttpHeader)>,
    /// Whom to trust at an `https://` address; absent leaves recorded questions as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How long the answer may take, where it is not the usual. No part of the question: the answer is the same.
    #[serde(skip)]
    pub within: Option<Duration>,
}

/// The value of a request header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpHeader {
    /// Not secret.
    Text(String),
    /// Read when it is sent.
    Secret(SecretRef),
}

impl Ask {
    /// The key of this question in recorded facts: its canonical JSON.
    #[must_use]
    pub fn key(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whom the question is about, for messages.
    #[must_use]
    pub fn about(&self) -> String {
        match self {
            Self::Machine => "machine".into(),
            Self::Redis(at) => format!("redis {}", at.url),
            Self::LoadProgress { pid, .. } => format!("load progress of process {pid}"),
            Self::IncrCost(files) => format!("increments in {}", files.dir),
            Self::Unit(name) => format!("unit {name}"),
            Self::Inhibitors => "logind inhibitors".into(),
            Self::Pm2(at) | Self::Pm2List(at) => format!("pm2 of {}", at.whose()),
            Self::Disk(path) => format!("disk of {}", path.display()),
            Self::Http(ask) => format!("http {}", ask.url),
            Self::Tcp(addr) => format!("tcp {addr}"),
            Self::Snapshot { path, .. } => format!("snapshot {}", path.display()),
            Self::ResumeUnit => "resume unit".into(),
            Self::LogTail { path, .. } => format!("log {}", path.display()),
            Self::Pressure => "pressure".into(),
            Self::Program(asked) => format!("program {}", asked.argv.first().map_or("", String::as_str)),
        }
    }
}
