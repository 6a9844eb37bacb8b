//! Stopping an app (and forgetting it), also one that ends and starts anew all the time.
//!
//! PM2 restarts a dead app in two moves, a timer and then a spawn that waits for log files, and lists it as stopped until the
//! new process is there. A stop that arrives after the timer is answered with "stopped" and prevents nothing (PM2,
//! God/ActionMethods.js, `stopProcessId`; God.js, `executeApp`). So one that may be on its way up is believed to be down only
//! if it still is after a while, and is told again otherwise: a stop may be repeated.
use std::time::Duration;

use super::{Steer, SteerError, answered, at_number};
use crate::host::clock;
use crate::host::pm2::app::{App, Status};
use crate::host::pm2::pause;
use crate::host::pm2::procs::alive;
use crate::host::pm2::request::{PmId, Request};

/// How often a restless app is told before it counts as one that cannot be stopped.
const TRIES: usize = 8;
/// What a spawn that is under way may take to show.
const QUIET: Duration = Duration::from_millis(500);
/// Milliseconds after its start in which an app may be in a crash loop.
const YOUNG: i64 = 3_000;

impl Steer {
    /// Stops an app and sees its process gone, for good. Already down is done. For a watched app the watch ends first and for
    /// good: the daemon then forgets `watch`, the snapshot does not (see [`Steer::start_watched`]).
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn stop_app(&self, app: &App) -> Result<App, SteerError> {
        for _ in 0..TRIES {
            let (id, before) = self.find(app).await?;
            let stopped = self.stop_once(id, &before, app).await?;
            if !restless(&before, clock::now().as_millisecond()) || self.stays_down(id, app).await? {
                return Ok(stopped);
            }
        }
        let saw = format!("it was told {TRIES} times and started anew each time");
        Err(SteerError::NotDone { what: format!("stop `{}`", app.key.name), saw })
    }

    /// Stops and forgets an app.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn delete_app(&self, app: &App) -> Result<App, SteerError> {
        let (id, now) = self.find(app).await?;
        if now.watch {
            self.rpc.call(&Request::StopWatch(id)).await?;
        }
        let asked = self.rpc.call_within(&Request::DeleteId(id), now.stop_deadline()).await;
        let what = format!("delete `{}`", app.key.name);
        self.settle(&what, asked, |listed| at_number(listed, id, &app.key).is_none().then(|| now.clone())).await
    }

    async fn stop_once(&self, id: PmId, now: &App, app: &App) -> Result<App, SteerError> {
        if down(now) {
            return Ok(now.clone());
        }
        if now.watch {
            self.rpc.call(&Request::StopWatch(id)).await?;
        }
        let asked = self.rpc.call_within(&Request::StopId(id), now.stop_deadline()).await;
        self.order(id);
        // The daemon answers when it has seen the process end; the kernel is asked whether that is so.
        if let Some(stopped) = asked.as_ref().ok().and_then(|answer| answered(answer, &now.key)).filter(down)
            && !now.pid.is_some_and(alive)
        {
            return Ok(stopped);
        }
        self.settle(&format!("stop `{}`", app.key.name), asked, |listed| at_number(listed, id, &app.key).filter(down))
            .await
    }

    async fn stays_down(&self, id: PmId, app: &App) -> Result<bool, SteerError> {
        pause(QUIET).await;
        let listed = self.list().await.map_err(|error| SteerError::Unknown {
            what: format!("stop `{}`", app.key.name),
            why: error.to_string(),
        })?;
        Ok(at_number(&listed, id, &app.key).is_none_or(|now| down(&now)))
    }
}

fn down(app: &App) -> bool {
    app.pid.is_none() && matches!(app.status, Status::Stopped | Status::Errored)
}

/// It may be on its way up: started moments ago (or at a time that is yet to come, by a clock that went back), and it has
/// ended before, or is not up now.
fn restless(app: &App, now: i64) -> bool {
    let young = app.uptime_started.is_some_and(|at| now.saturating_sub(at) < YOUNG);
    let up = app.status == Status::Online && app.pid.is_some_and(alive);
    app.autorestart && (app.status == Status::WaitingRestart || (young && (app.restarts > 0 || !up)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_may_be_on_its_way_up_is_looked_at_again() {
        let me = std::process::id();
        let app = |status: &str, pid: u32, restarts: u32, ago: i64, autorestart: bool| {
            let env = json!({
                "name": "a", "status": status, "pm_uptime": 1_000_000 - ago, "restart_time": restarts,
                "autorestart": autorestart,
            });
            restless(&App::from_entry(&json!({ "pid": pid, "pm2_env": env })), 1_000_000)
        };
        assert!(app("stopped", 0, 4, 200, true), "between two lives");
        assert!(app("online", me, 4, 200, true), "about to end again");
        assert!(app("waiting restart", 0, 1, 60_000, true));
        assert!(app("online", u32::MAX, 0, 200, true), "it has ended, and PM2 does not know yet");
        assert!(!app("online", me, 0, 200, true), "young and whole");
        assert!(!app("online", me, 4, 60_000, true), "it has restarted some time ago");
        assert!(!app("stopped", 0, 4, 200, false), "nothing starts it");
    }
}
