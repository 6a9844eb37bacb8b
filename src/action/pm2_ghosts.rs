//! Apps that PM2 calls online again after they were stopped.
//!
//! Up to version 6, the daemon counts the time in which an app may say `ready` from its last start, and calls it online when
//! that is over, whatever has become of it in between (PM2, God.js, `executeApp`). A crash loop that was cut is then listed as
//! online without a process for ever: a ghost, because of which the next window would refuse to save the list.
use std::time::Duration;

use jiff::Timestamp;

use super::act::{Tell, Tick};
use crate::host::pm2::{App, Pm2At, SnapshotRef, Status};
use crate::host::span::words;
use crate::host::{Deed, Host};

/// What an app may take that names no `listen_timeout`, in milliseconds (PM2, constants.js, `GRACEFUL_LISTEN_TIMEOUT`).
const LISTEN_TIMEOUT: u64 = 3_000;
/// Nobody waits longer for one: what comes later is found, and said, by `runbook doctor` and the next plan.
const LONGEST: Duration = Duration::from_secs(10);
/// The daemon's timer may be late.
const LATE: Duration = Duration::from_millis(300);

/// Stops them, as `key`, once the last of them has had its time. Where no app of the snapshot has a `ready` to say there are
/// none, and no list is asked for: one costs the daemon as much as starting an app does.
pub(super) async fn lay(key: &str, pm2: &Pm2At, saved: Option<&SnapshotRef>, on: &dyn Host, tell: Tell<'_>) {
    if saved.is_some_and(|saved| !saved.apps.iter().any(|app| app.wait_ready)) {
        return;
    }
    // A daemon that does not answer is the trouble of whoever asks it next.
    let Ok(mut list) = on.as_probe().pm2_list(pm2).await else { return };
    let now = on.as_probe().now();
    if let Some(left) = list.apps.iter().filter_map(|app| to_be_called_online(app, now)).max() {
        let left = left + LATE;
        tell(Tick::say(key, format!("{} until PM2 stops waiting for the `ready` of a stopped app", words(left))));
        on.sleep(left).await;
        match on.as_probe().pm2_list(pm2).await {
            Ok(later) => list = later,
            Err(_) => return,
        }
    }
    for id in list.apps.iter().filter(|app| app.is_ghost() && !app.module).filter_map(|app| app.pm_id) {
        // One that stays is listed as what it is, and named by everything that looks at the list.
        drop(on.tell(&Deed::StopApp { pm2: pm2.clone(), id }).await);
    }
}

/// How long from now the daemon calls a stopped app online.
fn to_be_called_online(app: &App, now: Timestamp) -> Option<Duration> {
    // Whatever was online when it was stopped has had its time, unless it ended by itself and was started anew since.
    let ended = app.restarts > 0 || !app.autorestart;
    if !app.wait_ready || !ended || app.status != Status::Stopped {
        return None;
    }
    let began = Timestamp::from_millisecond(app.uptime_started?).ok()?;
    let since = Duration::try_from(now.duration_since(began)).ok()?;
    let left = Duration::from_millis(app.listen_timeout.unwrap_or(LISTEN_TIMEOUT)).checked_sub(since)?;
    (left <= LONGEST).then_some(left)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_who_was_stopped_before_its_time_was_over_is_waited_for() {
        let now = Timestamp::from_millisecond(1_000_000).unwrap();
        let left_of = |restarts: u32, wait_ready: bool, status: &str, ago: i64, timeout: Option<u64>| {
            let env = json!({
                "name": "a", "status": status, "wait_ready": wait_ready, "listen_timeout": timeout,
                "pm_uptime": 1_000_000 - ago, "restart_time": restarts,
            });
            to_be_called_online(&App::from_entry(&json!({ "pm2_env": env })), now).map(|left| left.as_millis())
        };
        let left = |wait_ready, status, ago, timeout| left_of(4, wait_ready, status, ago, timeout);
        assert_eq!(left(true, "stopped", 1_000, None), Some(2_000));
        assert_eq!(left_of(0, true, "stopped", 1_000, None), None, "it never ended by itself");
        assert_eq!(left(true, "stopped", 1_000, Some(8_000)), Some(7_000));
        assert_eq!(left(true, "stopped", 3_001, None), None, "it has had its time");
        assert_eq!(left(true, "stopped", 1_000, Some(60_000)), None, "too long to wait for");
        assert_eq!(left(true, "errored", 1_000, None), None, "the daemon leaves these alone");
        assert_eq!(left(false, "stopped", 1_000, None), None, "nothing is waited for");
        assert_eq!(left(true, "stopped", -5_000, None), None, "a clock that went back says nothing");
    }
}
