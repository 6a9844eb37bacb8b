//! What an app shows after its start without a list being asked for, which costs the daemon as much as starting an app does:
//! its process by the kernel, and what the bus has told.
use std::time::Duration;

use super::Steer;
use crate::host::pm2::app::{App, Status};
use crate::host::pm2::back::steady_for;
use crate::host::pm2::hearing::{Heard, Hearing};
use crate::host::pm2::procs::{age, at_rest};
use crate::host::pm2::request::PmId;
use crate::host::pm2::{beat, pause};

/// How long a process may keep its slot when it neither comes to rest nor ends.
const REST_MAX: Duration = Duration::from_secs(5);

/// How long a boot is waited for before an app is judged that never comes to rest.
const BOOT_MAX: Duration = Duration::from_secs(10);

/// How long an app is watched at least after it has come to rest.
const SETTLED: Duration = Duration::from_millis(400);

impl Steer {
    /// Waits until an app that was just started has no more use for the slot it was started in: it said `ready` or the
    /// daemon stopped waiting for that (which the answer to its start has shown); without `ready`, its process has come to
    /// rest, listening or waiting for somebody; or it has ended.
    pub async fn at_rest(&self, app: &App) {
        let (Some(id), Some(pid)) = (app.pm_id, app.pid) else { return };
        if app.wait_ready || app.exec_mode == "cluster_mode" {
            return;
        }
        let hearing = self.hearing().await;
        tokio::select! {
            () = at_rest(pid) => {}
            () = ended_early(hearing, id, app.autorestart) => {}
            () = pause(REST_MAX) => {}
        }
    }

    /// Waits until an app has come to rest after its start (on a busy machine a boot takes longer than a stable life must, and
    /// what fails fails at its end) and has lived long enough to be called stable. `true` when nothing speaks against it: the
    /// kernel still knows the process that PM2 named, old enough by its own start time, and the bus, which was listened to
    /// since before the start, has told of no end and, where it is due, of `ready`.
    pub async fn outlives(&self, started: &App) -> bool {
        let (Some(id), Some(pid), Status::Online) = (started.pm_id, started.pid, &started.status) else { return false };
        let Some(hearing) = self.hearing().await else { return false };
        let needed = steady_for(started);
        let over = |heard: &Heard| heard.exits > 0 || heard.given_up;
        if !started.wait_ready {
            tokio::select! {
                () = at_rest(pid) => {}
                () = hearing.until(id, over) => return false,
                () = pause(BOOT_MAX) => {}
            }
        }
        let rest = needed.saturating_sub(age(pid).unwrap_or_default()).max(SETTLED);
        tokio::select! {
            () = hearing.until(id, over) => return false,
            () = beat(rest) => {}
        }
        let well = |heard: Heard| heard.whole && !over(&heard) && (heard.ready || !started.wait_ready);
        let said = hearing.of(id).is_some_and(well);
        said && hearing.listens() && self.is_open() && age(pid).is_some_and(|age| age >= needed)
    }
}

/// Resolves when an app has ended for good before it ever was ready; never where that cannot be heard.
pub(super) async fn ended_early(hearing: Option<&Hearing>, id: PmId, restarts: bool) {
    match hearing {
        Some(hearing) => hearing.until(id, |heard| heard.loops() || (!restarts && heard.exits > 0)).await,
        None => std::future::pending().await,
    }
}
