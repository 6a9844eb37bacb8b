//! Effects on this machine. Each returns when it is proven, refused, or unknown; nothing is ever sent twice here.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{LocalHost, unit_dir};
use crate::host::deed::{Deed, Down, Told};
use crate::host::pm2::{
    self, App, AppKey, Pm2At, Recipe, Snapshot, SnapshotError, SnapshotRef, Steer, SteerError, Terms,
};
use crate::host::redis::{self, RedisAt, RedisFault};
use crate::host::systemd::jobs::JobOutcome;
use crate::host::systemd::{logind, resume_unit};
use crate::host::{HostError, clock, machine, off_thread};

/// How long every file system may take to write out what it holds; one that hangs must not keep the machine up.
const SYNC: Duration = Duration::from_secs(120);
/// How long a unit's start or stop is followed. A Redis that notifies is waited for by `redis_loaded`, not by this.
const JOB_DEADLINE: Duration = Duration::from_secs(180);

impl LocalHost {
    pub(super) async fn act(&self, deed: &Deed) -> Result<Told, HostError> {
        if !restores(deed) {
            // Whatever follows a restore has no use for the snapshot.
            self.snapshot.lock().await.clear();
        }
        let at_work = self.fresh.deed();
        match deed {
            Deed::RewriteAof(at) => rewrite(at).await,
            Deed::EnableUnit(unit) => self.enable(unit).await,
            Deed::LiftStartTimeout(unit) => match self.bus().await?.lift_start_timeout(unit, unit_dir()).await {
                Ok(path) => Ok(Told::Said(path.display().to_string())),
                Err(error) => Err(self.bus_error(unit, error).await),
            },
            Deed::StartUnit(unit) => {
                let outcome = self.bus().await?.start(unit, JOB_DEADLINE).await;
                self.job(unit, "start", outcome, JobOutcome::started).await
            }
            Deed::StopUnit(unit) => {
                let outcome = self.bus().await?.stop(unit, JOB_DEADLINE).await;
                self.job(unit, "stop", outcome, JobOutcome::stopped).await
            }
            Deed::TakeSnapshot { pm2, dir, allow_fewer } => take_snapshot(pm2, dir, *allow_fewer).await,
            Deed::StopApp { pm2, id } => self.stop_app(pm2, *id).await,
            Deed::BringApp { pm2, snapshot, app, start } => self.bring(pm2, snapshot, app, *start).await,
            Deed::EndOrphan { pm2, pid } => match pm2::end_orphan(pm2, *pid).await {
                Ok(()) => Ok(Told::Done),
                Err(error) => Err(self.steer_error(pm2, format!("process {pid} of {}", pm2.user), error).await),
            },
            Deed::SaveList(at) => match pm2::save(at, &self.run_by().await).await {
                Ok(saved) => {
                    self.fresh.keep(at_work, at, saved.answered);
                    Ok(Told::Done)
                }
                Err(error) => Err(self.steer_error(at, format!("pm2 save of {}", at.whose()), error).await),
            },
            Deed::StartDaemon(at) => match pm2::ensure_daemon(at, &self.run_by().await).await {
                Ok(up) => Ok(Told::Said(format!("PM2 {}", up.version))),
                Err(error) => Err(self.steer_error(at, format!("pm2 daemon of {}", at.whose()), error).await),
            },
            Deed::Run(asked) => self.run(asked).await,
            Deed::Recall { effect, by_order } => self.recall(effect, *by_order).await,
            Deed::InstallResume => self.install_resume().await,
            Deed::RemoveResume => match resume_unit::remove(&*self.bus().await?, unit_dir()).await {
                Ok(()) => Ok(Told::Done),
                Err(error) => Err(self.bus_error("resume unit", error).await),
            },
            Deed::GoDown(how) => self.go_down(*how).await,
        }
    }

    async fn enable(&self, unit: &str) -> Result<Told, HostError> {
        match self.bus().await?.enable(&[unit]).await {
            Err(error) => Err(self.bus_error(unit, error).await),
            Ok(enabled) => match enabled.still_not.first() {
                Some((unit, state)) => {
                    Err(HostError::refused(unit.as_str(), format!("enabled, and systemd still says {state}")))
                }
                None => Ok(Told::Done),
            },
        }
    }

    async fn job(
        &self,
        unit: &str,
        verb: &str,
        outcome: Result<JobOutcome, crate::host::systemd::bus::SystemdError>,
        done: impl Fn(&JobOutcome) -> bool,
    ) -> Result<Told, HostError> {
        match outcome {
            Ok(outcome) if done(&outcome) => Ok(Told::Done),
            Ok(JobOutcome::Ended { result, after }) => {
                let state = format!("{} ({}, result {})", after.active_state, after.sub_state, after.result);
                // systemd counts starts, not reasons, and a start that it refuses leaves the result of the one before.
                let reset = match after.active_state.as_str() {
                    "failed" => format!(" (where it says `repeated too quickly`: systemctl reset-failed {unit})"),
                    _ => String::new(),
                };
                Err(HostError::refused(
                    unit,
                    format!("{verb}: job {result}, now {state}; see journalctl -u {unit}{reset}"),
                ))
            }
            Ok(JobOutcome::Unknown { why, .. }) => Err(HostError::unknown(format!("{verb} {unit}"), why)),
            Err(error) => Err(self.bus_error(unit, error).await),
        }
    }

    async fn stop_app(&self, at: &Pm2At, id: u32) -> Result<Told, HostError> {
        let steer = self.steer(at).await?;
        let about = format!("pm2 app number {id}");
        let result = async {
            match steer.numbered(id).await? {
                Some(app) => steer.stop_app(&app).await.map(|_| ()),
                // Not listed any more: there is nothing that could run under this number.
                None => Ok(()),
            }
        };
        match result.await {
            Ok(()) => Ok(Told::Done),
            Err(error) => Err(self.steer_error(at, about, error).await),
        }
    }

    async fn bring(&self, at: &Pm2At, snapshot: &SnapshotRef, key: &AppKey, start: bool) -> Result<Told, HostError> {
        let about = format!("pm2 app {}", key.name);
        let saved = self.snapshot(snapshot).await.map_err(|error| HostError::refused(&about, error))?;
        let index = saved.apps().iter().position(|app| app.key == *key);
        let recipe = index.and_then(|index| saved.recipe(index));
        let recipe = match recipe {
            Some(Ok(recipe)) => recipe,
            Some(Err(error)) => return Err(HostError::refused(&about, error)),
            None => return Err(HostError::refused(&about, "it is not in the snapshot")),
        };
        let steer = self.steer(at).await?;
        match bring_up(&steer, &saved, key, &recipe, start).await {
            Ok(app) if start => Ok(Told::Started(Box::new(app))),
            Ok(_) => Ok(Told::Done),
            Err(error) => Err(self.steer_error(at, about, error).await),
        }
    }

    /// The snapshot, read and verified once for all the apps of a step.
    async fn snapshot(&self, at: &SnapshotRef) -> Result<Arc<Snapshot>, SnapshotError> {
        let mut kept = self.snapshot.lock().await;
        if let Some(snapshot) = kept.get(&at.sha256) {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = Arc::new(pm2::snapshot::open(&at.path, &at.sha256)?);
        kept.insert(at.sha256.clone(), Arc::clone(&snapshot));
        Ok(snapshot)
    }

    async fn install_resume(&self) -> Result<Told, HostError> {
        let unit = self.resume_unit()?;
        match resume_unit::install(&*self.bus().await?, unit, unit_dir()).await {
            Ok(()) => Ok(Told::Done),
            Err(error) => Err(self.bus_error("resume unit", error).await),
        }
    }

    async fn go_down(&self, how: Down) -> Result<Told, HostError> {
        let how = match how {
            Down::Reboot => logind::Down::Reboot,
            Down::Poweroff => logind::Down::PowerOff,
            Down::ByHand => return Ok(Told::Said("take the machine down and up by hand now".into())),
        };
        // The page cache goes down with the machine; what the journal promised is synced already, logs are not.
        drop(off_thread::within(SYNC, Path::new("/"), rustix::fs::sync).await);
        match self.bus().await?.go_down(how, &[]).await {
            Ok(()) => Ok(Told::Done),
            Err(error) => Err(self.bus_error("logind", error).await),
        }
    }
}

/// Starts or registers one app, whatever the list has of it already, and waits until it needs no slot any more.
///
/// An app that is to run is registered before it is started: then its number is known, so that whatever it says or
/// throws is heard as its own, and a missing directory leaves it stopped instead of unlisted. Only a watched one is
/// added running, because its watcher comes up no other way.
async fn bring_up(
    steer: &Steer,
    saved: &Snapshot,
    key: &AppKey,
    recipe: &Recipe,
    start: bool,
) -> Result<App, SteerError> {
    let listed = steer.listed(key).await?;
    if !start {
        return match listed {
            Some(app) => Ok(app),
            None => register(steer, saved, key, recipe).await,
        };
    }
    let runs = listed.as_ref().is_some_and(|app| app.pid.is_some());
    let watched = recipe.app().watch || listed.as_ref().is_some_and(|app| app.watch);
    let missing = recipe.missing().await.filter(|_| !runs);
    let started = match (listed, missing) {
        (None, None) if watched => steer.start_new(recipe).await?,
        (listed, missing) => {
            let app = match listed {
                Some(app) => app,
                None => register(steer, saved, key, recipe).await?,
            };
            if let Some((what, missing)) = missing {
                return Err(SteerError::Missing { app: app.key.name, what, missing });
            }
            match watched && !runs {
                true => steer.start_watched(&app, recipe).await?,
                false => steer.start_registered(&app).await?,
            }
        }
    };
    steer.at_rest(&started).await;
    Ok(started)
}

/// Adds a missing app as stopped. Apps that are equal in everything are told apart by their order, so those before it are
/// added first, one at a time.
async fn register(steer: &Steer, saved: &Snapshot, key: &AppKey, recipe: &Recipe) -> Result<App, SteerError> {
    let equal = |app: &&App| app.key.equals(key);
    if saved.apps().iter().filter(equal).count() < 2 {
        return steer.register(recipe).await;
    }
    let _alone = steer.alone().await;
    for before in saved.apps().iter().filter(equal).filter(|app| app.key.ordinal <= key.ordinal) {
        let listed = steer.list().await?.iter().find(|app| app.key == before.key).cloned();
        let app = match (listed, before.key == *key) {
            (Some(app), _) => app,
            (None, true) => steer.register(recipe).await?,
            (None, false) => {
                let index = saved.apps().iter().position(|app| app.key == before.key);
                match index.and_then(|index| saved.recipe(index)) {
                    Some(Ok(recipe)) => steer.register(&recipe).await?,
                    _ => continue,
                }
            }
        };
        if before.key == *key {
            return Ok(App { key: key.clone(), ..app });
        }
    }
    steer.register(recipe).await
}

async fn rewrite(at: &RedisAt) -> Result<Told, HostError> {
    let about = format!("redis {}", at.url);
    match redis::request_rewrite(at).await {
        Ok(reply) => Ok(Told::Rewrite(reply)),
        Err(error @ RedisFault::AnswerLost { .. }) => Err(HostError::unknown(about, error)),
        Err(error) => Err(HostError::refused(about, error)),
    }
}

/// Writes the snapshot into a directory of its own.
async fn take_snapshot(at: &Pm2At, dir: &Path, allow_fewer: bool) -> Result<Told, HostError> {
    let about = format!("snapshot of {}", at.whose());
    let refuse = |error: &dyn std::fmt::Display| HostError::refused(&about, error.to_string());
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| refuse(&error))?;
    let seen = machine::look();
    let known = [("boot_id", seen.boot_id), ("machine_id", seen.machine_id), ("hostname", seen.hostname)];
    let machine: BTreeMap<String, String> = known.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect();
    let at_least = allow_fewer.then_some(1);
    let terms = Terms { taken_at: clock::now().to_string(), machine, expect_empty: false, at_least };
    match pm2::snapshot::take(at, dir, &terms).await {
        Err(SnapshotError::Exists(path)) => {
            // Written by a sitting that died before it could say so; nothing has been stopped since, so a new one is as good.
            let aside = path.with_extension(format!("unclaimed-{}", clock::now().as_millisecond()));
            std::fs::rename(&path, &aside).map_err(|error| refuse(&error))?;
            let again = pm2::snapshot::take(at, dir, &terms).await;
            again.map(Told::Snapshot).map_err(|error| refuse(&error))
        }
        Ok(taken) => Ok(Told::Snapshot(taken)),
        Err(error) => Err(refuse(&error)),
    }
}

/// Whether it is a part of a restore, which reads the snapshot for every app.
fn restores(deed: &Deed) -> bool {
    match deed {
        Deed::BringApp { .. } | Deed::StopApp { .. } => true,
        Deed::RewriteAof(_) | Deed::EnableUnit(_) | Deed::LiftStartTimeout(_) | Deed::StartUnit(_) => false,
        Deed::StopUnit(_) | Deed::TakeSnapshot { .. } | Deed::EndOrphan { .. } | Deed::SaveList(_) => false,
        Deed::StartDaemon(_) | Deed::Run(_) | Deed::Recall { .. } | Deed::InstallResume => false,
        Deed::RemoveResume | Deed::GoDown(_) => false,
    }
}
