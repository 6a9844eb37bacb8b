//! Starting and stopping units: one job, watched to its end.
//!
//! The watch is set up before the job is asked for, else its end can be missed on a host where nobody else subscribes.
//! A job's `done` also covers a start that a condition skipped, so the unit is looked at again afterwards.

use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use zbus::OwnedObjectPath;

use super::bus::{Bus, SystemdError};
use super::proxies::JobRemovedStream;
use super::unit::UnitSeen;
use super::unit_name;
use crate::host::foreign::named;
use crate::host::span::words;

/// What a job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Start,
    Stop,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// systemd took the job off its list.
    Ended {
        /// done, canceled, timeout, failed, dependency, skipped, invalid, assert, unsupported, collected, once.
        result: String,
        /// The unit right after it.
        after: Box<UnitSeen>,
    },
    /// The end was not seen: the job may still run, or the reply was lost.
    Unknown {
        /// Why nobody knows.
        why: String,
        /// The unit as far as it could still be seen.
        seen: Option<Box<UnitSeen>>,
    },
}

impl JobOutcome {
    /// Done, and the unit really is active now.
    #[must_use]
    pub fn started(&self) -> bool {
        matches!(self, Self::Ended { result, after } if result == "done" && after.active_state == "active")
    }

    /// Done, and the unit really is down now (failed is down as well).
    #[must_use]
    pub fn stopped(&self) -> bool {
        let down = |state: &str| matches!(state, "inactive" | "failed");
        matches!(self, Self::Ended { result, after } if result == "done" && down(&after.active_state))
    }
}

/// The end of a job as heard on the bus.
pub(super) enum JobEnd {
    Result(String),
    NotHeard(String),
}

impl Bus {
    /// Starts a unit and waits for its job; a notify service is done when it says that it is ready.
    ///
    /// # Errors
    /// [`SystemdError`]: the job was definitely not queued. Everything uncertain is [`JobOutcome::Unknown`].
    pub async fn start(&self, unit: &str, deadline: Duration) -> Result<JobOutcome, SystemdError> {
        self.job(Wish::Start, unit, deadline).await
    }

    /// Stops a unit and waits for its job. Sockets, timers and paths in `triggered_by` may start it again.
    ///
    /// # Errors
    /// As [`Bus::start`].
    pub async fn stop(&self, unit: &str, deadline: Duration) -> Result<JobOutcome, SystemdError> {
        self.job(Wish::Stop, unit, deadline).await
    }

    /// Clears `failed` and the start limit of a unit.
    ///
    /// # Errors
    /// [`SystemdError`].
    pub async fn reset_failed(&self, unit: &str) -> Result<(), SystemdError> {
        unit_name::kind(unit)?;
        let systemd = self.systemd().await?;
        self.call(&format!("reset {unit}"), systemd.reset_failed_unit(unit)).await
    }

    async fn job(&self, wish: Wish, unit: &str, deadline: Duration) -> Result<JobOutcome, SystemdError> {
        unit_name::kind(unit)?;
        let systemd = self.systemd().await?;
        let mut ends = self.watch_jobs().await?;
        // `replace` is what systemctl uses: a conflicting job that waits gives way.
        let asked = match wish {
            Wish::Start => self.call(&format!("start {unit}"), systemd.start_unit(unit, "replace")).await,
            Wish::Stop => self.call(&format!("stop {unit}"), systemd.stop_unit(unit, "replace")).await,
        };
        let end = match asked {
            Ok(job) => wait_for(&mut ends, &job, deadline).await,
            Err(refused) if refused.nothing_happened() => return Err(refused),
            Err(uncertain) => JobEnd::NotHeard(uncertain.to_string()),
        };
        let seen = self.unit(unit).await;
        Ok(match (end, seen) {
            (JobEnd::Result(result), Ok(after)) => JobOutcome::Ended { result, after: Box::new(after) },
            (JobEnd::Result(result), Err(blind)) => {
                JobOutcome::Unknown { why: format!("its job ended with {result}, but then: {blind}"), seen: None }
            }
            (JobEnd::NotHeard(why), seen) => JobOutcome::Unknown { why, seen: seen.ok().map(Box::new) },
        })
    }

    /// Subscribes before anything is asked for.
    pub(super) async fn watch_jobs(&self) -> Result<JobRemovedStream, SystemdError> {
        let systemd = self.systemd().await?;
        let ends = self.call("watch jobs", systemd.receive_job_removed()).await?;
        match self.call("watch jobs", systemd.subscribe()).await {
            Err(SystemdError::Refused { name, .. }) if name.ends_with(".AlreadySubscribed") => Ok(ends),
            Err(failed) => Err(failed),
            Ok(()) => Ok(ends),
        }
    }
}

/// Waits until `job` is taken off the list.
pub(super) async fn wait_for(ends: &mut JobRemovedStream, job: &OwnedObjectPath, deadline: Duration) -> JobEnd {
    let heard = async {
        while let Some(signal) = ends.next().await {
            if let Ok(end) = signal.args()
                && end.job().as_str() == job.as_str()
            {
                return JobEnd::Result(named(end.result(), 64));
            }
        }
        JobEnd::NotHeard("the connection to the bus was lost while the job ran".to_owned())
    };
    match tokio::time::timeout(deadline, heard).await {
        Ok(end) => end,
        Err(_) => JobEnd::NotHeard(format!("the job had not ended after {}", words(deadline))),
    }
}
