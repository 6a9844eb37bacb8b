//! [`Probe::ask`] with the answer's type: one small function per question, so that actions read as sentences.

use std::path::Path;

use super::ask::{Answer, Ask, HttpAsk, LogOf};
use super::disk::DiskSeen;
use super::http::HttpSeen;
use super::machine::MachineSeen;
use super::pm2::{App, ListSeen, Pm2At, Pm2Seen, SnapshotRef};
use super::pressure::PressureSeen;
use super::programs::{ProgramAsked, ProgramSeen};
use super::redis::eta::IncrCost;
use super::redis::{AofFiles, LoadProgress, RedisAt, RedisSeen};
use super::shown::{Shown, Untrusted};
use super::systemd::{Inhibitor, UnitSeen};
use super::{HostError, Probe};

/// Unwraps the answer of the wanted kind. Another kind cannot come from this program, but may from a facts file.
macro_rules! expect_answer {
    ($probe:expr, $ask:expr, $kind:ident) => {{
        let ask = $ask;
        match $probe.ask(&ask).await? {
            Answer::$kind(seen) => Ok(seen),
            _ => Err(HostError::unreachable(
                ask.about(),
                "the recorded answer is of another kind; record the facts anew",
            )),
        }
    }};
}

impl dyn Probe + '_ {
    /// Boot id, memory, processors.
    ///
    /// # Errors
    /// As [`Probe::ask`]; so for every question below.
    pub async fn machine(&self) -> Result<Box<MachineSeen>, HostError> {
        expect_answer!(self, Ask::Machine, Machine)
    }

    /// One Redis-speaking server.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn redis(&self, at: &RedisAt) -> Result<Box<RedisSeen>, HostError> {
        expect_answer!(self, Ask::Redis(at.clone()), Redis)
    }

    /// How far a loading server has read its files.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn load_progress(&self, pid: u32, files: &AofFiles) -> Result<Option<LoadProgress>, HostError> {
        expect_answer!(self, Ask::LoadProgress { pid, files: files.clone() }, LoadProgress)
    }

    /// What the increments cost to load, by samples of them.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn incr_cost(&self, files: &AofFiles) -> Result<Option<IncrCost>, HostError> {
        expect_answer!(self, Ask::IncrCost(files.clone()), IncrCost)
    }

    /// One unit.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn unit(&self, name: &str) -> Result<Box<UnitSeen>, HostError> {
        expect_answer!(self, Ask::Unit(name.to_owned()), Unit)
    }

    /// logind's inhibitors.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn inhibitors(&self) -> Result<Vec<Inhibitor>, HostError> {
        expect_answer!(self, Ask::Inhibitors, Inhibitors)
    }

    /// A PM2 daemon, its list and its dump.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn pm2(&self, at: &Pm2At) -> Result<Box<Pm2Seen>, HostError> {
        expect_answer!(self, Ask::Pm2(at.clone()), Pm2)
    }

    /// PM2's list, asked for after this call; it may take up to a second.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn pm2_list(&self, at: &Pm2At) -> Result<ListSeen, HostError> {
        expect_answer!(self, Ask::Pm2List(at.clone()), Pm2List)
    }

    /// The file system that holds `path`.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn disk(&self, path: &Path) -> Result<DiskSeen, HostError> {
        expect_answer!(self, Ask::Disk(path.to_owned()), Disk)
    }

    /// An HTTP GET.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn http(&self, ask: &HttpAsk) -> Result<HttpSeen, HostError> {
        expect_answer!(self, Ask::Http(ask.clone()), Http)
    }

    /// Whether `addr` accepts connections: `None` when it does, else why not.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn tcp(&self, addr: &str) -> Result<Option<Shown>, HostError> {
        expect_answer!(self, Ask::Tcp(addr.to_owned()), Tcp)
    }

    /// The apps of a snapshot, verified by its hash.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn snapshot(&self, at: &SnapshotRef) -> Result<Vec<App>, HostError> {
        expect_answer!(self, Ask::Snapshot { path: at.path.clone(), sha256: at.sha256.clone() }, Snapshot)
    }

    /// What keeps the resume unit from working.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn resume_unit(&self) -> Result<Vec<String>, HostError> {
        expect_answer!(self, Ask::ResumeUnit, ResumeUnit)
    }

    /// The last lines of a service's log, if the file is that service's own.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn log_tail(&self, path: &Path, of: LogOf) -> Result<Vec<Untrusted>, HostError> {
        expect_answer!(self, Ask::LogTail { path: path.to_owned(), of }, LogTail)
    }

    /// What a command would execute, and whether root may.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn program(&self, asked: ProgramAsked) -> Result<Box<ProgramSeen>, HostError> {
        expect_answer!(self, Ask::Program(asked), Program)
    }

    /// How long tasks have waited for processors and memory.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub async fn pressure(&self) -> Result<Option<PressureSeen>, HostError> {
        expect_answer!(self, Ask::Pressure, Pressure)
    }
}
