//! This machine. The only place where questions become system calls and deeds become effects.
//!
//! Nothing here decides: knowledge of Redis, PM2 and systemd lives in their own rooms, this one only carries questions
//! there and turns their errors into the three that matter (refused, unreachable, unknown).

mod deeds;
mod effects;
mod fresh;
mod questions;
mod unit_log;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, Notify};

use super::command::{Lend, Stops};
use super::pm2::{App, ListSeen, Pm2At, RpcError, Snapshot, Steer, SteerError};
use super::redis::{self, RedisAt, RedisSeen};
use super::shown::Shown;
use super::systemd::bus::{Bus, SystemdError};
use super::systemd::resume_unit::ResumeUnit;
use super::{Answer, Ask, Deed, Host, HostError, Pending, Probe, Told, clock};

/// The machine on which this process runs.
pub struct LocalHost {
    /// The resume unit as it has to be for this program and this state directory.
    resume: Option<ResumeUnit>,
    /// This program's file, where commands of steps are to be run by systemd.
    program: Option<PathBuf>,
    /// What our own children hold for as long as they live, so that a later run can tell that one is still at work.
    children: Option<Arc<dyn Lend>>,
    /// Commands that were given up and are being ended.
    stops: Stops,
    /// One bus connection, made when first needed and made anew when it broke.
    bus: Mutex<Option<Arc<Bus>>>,
    /// One connection per PM2 daemon, shared so that lists are shared. Each is waited for by its own: a daemon that hangs keeps
    /// nobody from another one.
    steers: Mutex<HashMap<PathBuf, Arc<Mutex<Line>>>>,
    /// The latest list of each daemon and when it was asked for.
    lists: Mutex<HashMap<PathBuf, Arc<LastList>>>,
    /// What each daemon answered a moment ago.
    fresh: fresh::Fresh,
    /// What those who wait for a Redis instance share: by address and user, because what one user sees is no other's answer.
    loading: Mutex<HashMap<RedisAt, Arc<Loading>>>,
    /// The snapshots that restores read from, by their hashes.
    snapshot: Mutex<HashMap<String, Arc<Snapshot>>>,
    /// The apps of the latest snapshot, without their environments, by its hash.
    saved: Mutex<Option<(String, Vec<App>)>>,
}

/// The latest list of one daemon, and when it was asked for.
type LastList = Mutex<Option<(Duration, ListSeen)>>;

/// The connection to one PM2 daemon.
#[derive(Default)]
struct Line {
    steer: Option<Arc<Steer>>,
    /// When it could not be had last, and why.
    failed: Option<(Duration, HostError)>,
}

/// How long a connection that could not be had is not tried again: a daemon that does not answer costs its apps one time-out
/// together, not one each.
const FAILED: Duration = Duration::from_secs(5);

/// One instance that is waited for, by however many.
#[derive(Default)]
struct Loading {
    /// The latest look at it, and when it began.
    seen: Mutex<Option<(Duration, Box<RedisSeen>)>>,
    /// Held by the one who knocks for all.
    knocks: Mutex<()>,
    /// Told to the others when the load is over.
    ended: Notify,
}

impl LocalHost {
    /// This machine. `resume` is needed only by runs that reboot.
    #[must_use]
    pub fn new(resume: Option<ResumeUnit>) -> Self {
        Self {
            resume,
            program: None,
            children: None,
            stops: Stops::default(),
            bus: Mutex::default(),
            steers: Mutex::default(),
            lists: Mutex::default(),
            fresh: fresh::Fresh::default(),
            loading: Mutex::default(),
            snapshot: Mutex::default(),
            saved: Mutex::default(),
        }
    }

    /// The same with commands of steps run by systemd, where that is process 1; `program` is this program's own file.
    #[must_use]
    pub fn with_effects(self, program: Option<PathBuf>) -> Self {
        Self { program, ..self }
    }

    /// The same with something that commands which are our own children hold for as long as they live.
    #[must_use]
    pub fn with_children(self, children: Arc<dyn Lend>) -> Self {
        Self { children: Some(children), ..self }
    }

    async fn bus(&self) -> Result<Arc<Bus>, HostError> {
        let mut kept = self.bus.lock().await;
        if let Some(bus) = kept.as_ref() {
            return Ok(Arc::clone(bus));
        }
        let bus = Arc::new(Bus::system().await.map_err(|error| HostError::unreachable("systemd", error))?);
        *kept = Some(Arc::clone(&bus));
        Ok(bus)
    }

    /// Drops a connection that broke, so that the next question makes a new one.
    async fn bus_error(&self, about: &str, error: SystemdError) -> HostError {
        if matches!(error, SystemdError::Lost { .. } | SystemdError::Unreachable { .. }) {
            *self.bus.lock().await = None;
        }
        if error.nothing_happened() { HostError::refused(about, error) } else { HostError::unknown(about, error) }
    }

    async fn steer(&self, at: &Pm2At) -> Result<Arc<Steer>, HostError> {
        let line = Arc::clone(self.steers.lock().await.entry(at.home.clone()).or_default());
        let mut line = line.lock().await;
        // A daemon may have ended and come up again since it was asked last.
        if let Some(steer) = line.steer.as_ref().filter(|steer| steer.is_open()) {
            return Ok(Arc::clone(steer));
        }
        if let Some((then, error)) = &line.failed
            && clock::boottime().saturating_sub(*then) < FAILED
        {
            return Err(error.clone());
        }
        match Steer::connect(at).await {
            Ok(steer) => {
                let steer = Arc::new(steer);
                *line = Line { steer: Some(Arc::clone(&steer)), failed: None };
                Ok(steer)
            }
            Err(error) => {
                let slow = matches!(&error, SteerError::Rpc(RpcError::Connect { .. } | RpcError::Unknown { .. }));
                let error = HostError::unreachable(format!("pm2 of {}", at.whose()), error);
                *line = Line { steer: None, failed: slow.then(|| (clock::boottime(), error.clone())) };
                Err(error)
            }
        }
    }

    /// What a failed order to PM2 means. A broken connection is not used again.
    async fn steer_error(&self, at: &Pm2At, about: String, error: SteerError) -> HostError {
        if matches!(error, SteerError::Rpc(_) | SteerError::Unknown { .. } | SteerError::Dying) {
            self.steers.lock().await.remove(&at.home);
        }
        match error {
            SteerError::Unknown { .. } => HostError::unknown(about, error),
            other => HostError::refused(about, other),
        }
    }

    fn resume_unit(&self) -> Result<&ResumeUnit, HostError> {
        let none =
            || HostError::refused("resume unit", "this command was not given a state directory that survives a reboot");
        self.resume.as_ref().ok_or_else(none)
    }
}

impl Probe for LocalHost {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Answer, HostError>> {
        Box::pin(self.answer(ask))
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn uptime(&self) -> Duration {
        clock::boottime()
    }
}

impl Host for LocalHost {
    fn tell<'a>(&'a self, deed: &'a Deed) -> Pending<'a, Result<Told, HostError>> {
        Box::pin(self.act(deed))
    }

    fn sleep(&self, length: Duration) -> Pending<'_, ()> {
        Box::pin(clock::sleep(length))
    }

    fn sleep_while_loading<'a>(&'a self, at: &'a RedisAt, length: Duration) -> Pending<'a, ()> {
        Box::pin(async move {
            let until = clock::boottime() + length;
            let one = self.loading_of(at).await;
            let ended = one.ended.notified();
            let knock = async {
                let _alone = one.knocks.lock().await;
                if redis::loading_ends(at, until.saturating_sub(clock::boottime())).await {
                    // What was seen of it is over.
                    *one.seen.lock().await = None;
                    one.ended.notify_waiters();
                }
            };
            tokio::select! {
                () = knock => {}
                () = ended => {}
                () = clock::sleep(length) => {}
            }
        })
    }

    fn outlives<'a>(&'a self, at: &'a Pm2At, started: &'a App) -> Pending<'a, bool> {
        Box::pin(async move {
            match self.steer(at).await {
                Ok(steer) => steer.outlives(started).await,
                Err(_) => false,
            }
        })
    }

    fn last_words<'a>(&'a self, unit: &'a str) -> Pending<'a, Option<Shown>> {
        Box::pin(unit_log::last_words(unit))
    }

    fn as_probe(&self) -> &dyn Probe {
        self
    }
}

/// Where systemd looks for units of the administrator.
fn unit_dir() -> &'static Path {
    Path::new(super::systemd::unit_files::UNIT_DIR)
}
