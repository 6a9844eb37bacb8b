//! Questions to this machine: which room answers which. Nothing here starts a process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Loading, LocalHost, unit_dir};
use crate::host::ask::{Answer, Ask, HttpAsk, HttpHeader, LogOf};
use crate::host::foreign::{Untrusted, tame};
use crate::host::pm2::{self, App, ListSeen, Pm2At, SnapshotError};
use crate::host::redis::{Door, RedisAt, RedisSeen};
use crate::host::systemd::resume_unit;
use crate::host::tcp::{self, TcpSeen};
use crate::host::{HostError, clock, disk, http, machine, off_thread, pressure, programs, redis};

/// How long a look at a loading Redis serves.
const LOOK_AGE: Duration = Duration::from_secs(1);
/// From one PM2 list to the next: it costs the daemon as much as starting an app does.
const LIST_EVERY: Duration = Duration::from_secs(1);
/// How long an HTTP or TCP check may take to answer, where it does not say more.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);

/// How long the samples of the increments may take: on a slow disk it is a second or two.
const SAMPLES: Duration = Duration::from_secs(15);

/// Samples the increments beside everything else.
async fn incr_cost(files: redis::AofFiles) -> Option<redis::eta::IncrCost> {
    let dir = Path::new(&files.dir).to_owned();
    off_thread::within(SAMPLES, &dir, move || redis::eta::sample_increments(&files)).await.ok().flatten()
}

impl LocalHost {
    pub(super) async fn answer(&self, ask: &Ask) -> Result<Answer, HostError> {
        Ok(match ask {
            Ask::Machine => Answer::Machine(Box::new(machine::look())),
            Ask::Redis(at) => Answer::Redis(self.redis(at).await),
            Ask::LoadProgress { pid, files } => Answer::LoadProgress(redis::load_progress(*pid, files)),
            Ask::IncrCost(files) => Answer::IncrCost(incr_cost(files.clone()).await),
            Ask::Unit(name) => match self.bus().await?.unit(name).await {
                Ok(seen) => Answer::Unit(Box::new(seen)),
                Err(error) => return Err(self.bus_error(name, error).await),
            },
            Ask::Inhibitors => match self.bus().await?.inhibitors().await {
                Ok(all) => Answer::Inhibitors(all),
                Err(error) => return Err(self.bus_error("logind", error).await),
            },
            Ask::Pm2(at) => Answer::Pm2(Box::new(self.fresh.answer(at).await.beside_files(at).await)),
            Ask::Pm2List(at) => Answer::Pm2List(self.list(at).await?),
            Ask::Disk(path) => {
                let asked = path.clone();
                let seen = off_thread::within(off_thread::DISK, path, move || disk::disk(&asked)).await;
                Answer::Disk(seen.flatten().map_err(|error| HostError::unreachable(ask.about(), error))?)
            }
            Ask::Http(http) => Answer::Http(get(http).await?),
            Ask::Tcp(addr) => Answer::Tcp(match tcp::connect(addr, CHECK_DEADLINE).await {
                TcpSeen::Open { .. } => None,
                TcpSeen::Refused => Some("nothing listens there".into()),
                TcpSeen::Silent { waited } => Some(tame(&format!("no answer within {}s", waited.as_secs()), 80)),
                TcpSeen::Unreachable { why } => Some(why),
            }),
            Ask::Snapshot { path, sha256 } => {
                let apps = self.saved_apps(path, sha256).await;
                Answer::Snapshot(apps.map_err(|error| HostError::refused(ask.about(), error))?)
            }
            Ask::ResumeUnit => Answer::ResumeUnit(self.resume_faults().await?),
            Ask::LogTail { path, of } => Answer::LogTail(log_tail(path, of).await),
            Ask::Pressure => Answer::Pressure(pressure::look()),
            Ask::Program(asked) => Answer::Program(Box::new(programs::look(asked))),
        })
    }

    /// The apps of a snapshot. Each time it is read and must be what was taken; what is in it is parsed once.
    async fn saved_apps(&self, path: &Path, sha256: &str) -> Result<Vec<App>, SnapshotError> {
        let mut kept = self.saved.lock().await;
        let file = pm2::snapshot::unaltered(path, sha256)?;
        if let Some((_, apps)) = kept.as_ref().filter(|(hash, _)| hash == sha256) {
            return Ok(apps.clone());
        }
        let apps = pm2::snapshot::read(path, file)?.apps().to_vec();
        *kept = Some((sha256.to_owned(), apps.clone()));
        Ok(apps)
    }

    /// One look at an instance. While it loads, whoever asks within a second of the last look shares that one: however many
    /// gates wait for it, it is sent INFO once a second at most. Those who ask while a look is under way share the next.
    async fn redis(&self, at: &RedisAt) -> Box<RedisSeen> {
        let asked = clock::boottime();
        let one = self.loading_of(at).await;
        let mut last = one.seen.lock().await;
        let now = clock::boottime();
        if let Some((began, seen)) = last.as_ref() {
            let loads = seen.door == Door::Loading && now.saturating_sub(*began) < LOOK_AGE;
            if loads || *began >= asked {
                return seen.clone();
            }
        }
        let seen = Box::new(redis::look(at).await);
        *last = Some((now, seen.clone()));
        seen
    }

    /// What those who wait for an instance share.
    pub(super) async fn loading_of(&self, at: &RedisAt) -> Arc<Loading> {
        Arc::clone(self.loading.lock().await.entry(at.clone()).or_default())
    }

    /// PM2's list, asked for after this question was and at most once a second: whoever waits in the meantime shares it.
    async fn list(&self, at: &Pm2At) -> Result<ListSeen, HostError> {
        let asked = clock::boottime();
        let kept = Arc::clone(self.lists.lock().await.entry(at.home.clone()).or_default());
        let mut kept = kept.lock().await;
        if let Some((begun, seen)) = kept.as_ref() {
            if *begun >= asked {
                return Ok(seen.clone());
            }
            clock::sleep((*begun + LIST_EVERY).saturating_sub(clock::boottime())).await;
        }
        let begun = clock::boottime();
        let steer = self.steer(at).await?;
        let listed = match steer.list().await {
            Ok(apps) => apps,
            Err(error) => return Err(self.steer_error(at, format!("pm2 of {}", at.whose()), error).await),
        };
        let seen = ListSeen::of(listed, steer.heard());
        *kept = Some((begun, seen.clone()));
        Ok(seen)
    }

    async fn resume_faults(&self) -> Result<Vec<String>, HostError> {
        let unit = self.resume_unit()?;
        match resume_unit::audit(&*self.bus().await?, unit, unit_dir()).await {
            Ok(faults) => Ok(faults.iter().map(ToString::to_string).collect()),
            Err(error) => Err(self.bus_error("resume unit", error).await),
        }
    }
}

async fn get(ask: &HttpAsk) -> Result<http::HttpSeen, HostError> {
    let mut headers = Vec::new();
    for (name, value) in &ask.headers {
        let value = match value {
            HttpHeader::Text(text) => text.clone(),
            HttpHeader::Secret(place) => {
                let refused = |error: &dyn std::fmt::Display| HostError::refused(format!("header {name}"), error);
                let read = place.read_within(CHECK_DEADLINE).await.map_err(|late| refused(&late))?;
                let secret = read.map_err(|error| refused(&error))?;
                secret.reveal().to_owned()
            }
        };
        headers.push((name.clone(), value));
    }
    let answer = http::get(&ask.url, &headers, ask.tls.as_ref(), ask.within.unwrap_or(CHECK_DEADLINE)).await;
    answer.map_err(|error| HostError::Unreachable { about: "http".into(), why: error.to_string() })
}

/// The last lines of a log. Its path is the word of an app or a server, so it is read only if it is that one's own.
async fn log_tail(path: &Path, of: &LogOf) -> Vec<Untrusted> {
    let uid = match of {
        LogOf::User(uid) => Some(*uid),
        LogOf::Pm2(at) => pm2::place::account_of(at).await.ok().map(|account| account.uid),
    };
    let (Some(uid), asked) = (uid, path.to_owned()) else { return Vec::new() };
    off_thread::within(off_thread::DISK, path, move || pm2::log_tail(&asked, uid)).await.unwrap_or_default()
}
