//! Whether a restart that is seen while a list is watched speaks against the app. PM2 counts every restart alike: an app
//! that died, one whose `cron_restart` fell due, one whose files changed. And some apps have died every few seconds for
//! weeks: one that lives as it did when it was saved came back as it was.
use std::time::Duration;

use super::process_list;
use crate::host::pm2::{App, ListSeen, SnapshotRef};

/// More restarts by order in one watch are a loop: an app that changes the files it is watched for.
const ORDERED: u64 = 3;
/// Fewer restarts than these tell no habit.
const HABIT: u64 = 3;
/// An app whose process was so many watches old is not expected to die in this one.
const RARE: u64 = 10;
/// Milliseconds: no life is taken for shorter.
const SHORT: u64 = 1_000;
/// Milliseconds between an order to start and the process that it starts, at most.
const ORDER_TAKES: i64 = 1_000;

/// What a watch has seen of the apps that restarted in it.
#[derive(Debug, Default)]
pub(super) struct Restarts<'a> {
    /// Those that it speaks against.
    pub(super) unsteady: Vec<&'a App>,
    /// Those that were told to, by a clock, a watched file or a person, or have always done so.
    pub(super) usual: Vec<&'a App>,
}

/// Compares two lists that lie `watched` apart, with the apps as they were saved.
pub(super) fn seen<'a>(
    first: &ListSeen,
    now: &'a ListSeen,
    saved: Option<&SnapshotRef>,
    watched: Duration,
) -> Restarts<'a> {
    let mut seen = Restarts::default();
    for app in &*now.apps {
        let Some(then) = process_list::find(&first.apps, &app.key) else { continue };
        let more = app.restarts.saturating_sub(then.restarts);
        let allowed = if by_order(then, app) {
            ORDERED
        } else {
            saved
                .and_then(|saved| habit(process_list::find(&saved.apps, &app.key)?, saved.taken_ms?, watched))
                .unwrap_or(0)
        };
        match more {
            0 => {}
            more if more <= allowed => seen.usual.push(app),
            _ => seen.unsteady.push(app),
        }
    }
    seen
}

/// The daemon writes `created_at` anew when it is told to restart an app, and leaves it when the app has died.
fn by_order(then: &App, now: &App) -> bool {
    matches!((then.created_at, now.created_at), (Some(then), Some(now)) if now > then)
}

/// How often the app, as it lived until it was saved at `taken`, restarts by itself in so long a watch; `None`: it does not. What
/// shows the habit is a process that was young although nobody had started it.
fn habit(saved: &App, taken: i64, watched: Duration) -> Option<u64> {
    let (created, started) = (saved.created_at?, saved.uptime_started?);
    let life = u64::try_from(taken.saturating_sub(started)).ok()?.max(SHORT);
    let watched = u64::try_from(watched.as_millis()).ok()?;
    let by_itself = started > created.saturating_add(ORDER_TAKES) && saved.restarts >= HABIT;
    (by_itself && life <= watched.max(SHORT).saturating_mul(RARE)).then(|| 1 + watched / life)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn app(restarts: u64, created: i64, started: i64) -> App {
        App::from_entry(&json!({ "pid": 7, "pm_id": 3, "pm2_env": {
            "name": "a", "status": "online", "restart_time": restarts, "created_at": created, "pm_uptime": started } }))
    }

    /// (unsteady, usual) after five seconds; the app was saved at 2,000,000.
    fn judged(saved: &App, first: App, now: App) -> (usize, usize) {
        let list = |app| ListSeen { apps: Arc::new(vec![app]), dead: Vec::new(), heard: Vec::new() };
        let saved = SnapshotRef {
            path: "/s".into(),
            sha256: String::new(),
            apps: vec![saved.clone()],
            version: "6.0.14".into(),
            dump_copied: false,
            warnings: Vec::new(),
            taken_ms: Some(2_000_000),
        };
        let (first, now) = (list(first), list(now));
        let seen = seen(&first, &now, Some(&saved), Duration::from_secs(5));
        (seen.unsteady.len(), seen.usual.len())
    }

    #[test]
    fn an_app_that_restarts_by_the_clock_or_as_ever_is_not_unsteady_and_one_that_dies_is() {
        let before = || app(0, 5_000, 5_000);
        let calm = app(0, 1_000_000, 1_000_200);
        assert_eq!(judged(&calm, before(), before()), (0, 0));
        assert_eq!(judged(&calm, before(), app(1, 5_000, 7_000)), (1, 0), "it died");
        assert_eq!(judged(&calm, before(), app(1, 7_000, 7_000)), (0, 1), "it was told to");
        assert_eq!(judged(&calm, before(), app(9, 9_000, 9_000)), (1, 0), "told to again and again");
        // Its process was four seconds old when it was saved, and the app ten days.
        let flapper = app(40, -864_000_000, 1_996_000);
        assert_eq!(judged(&flapper, before(), app(1, 5_000, 9_000)), (0, 1), "as ever");
        assert_eq!(judged(&flapper, before(), app(4, 5_000, 9_000)), (1, 0), "worse than ever");
        assert_eq!(judged(&app(41, -864_000_000, 1_000_000), before(), app(1, 5_000, 9_000)), (1, 0), "calm for long");
        assert_eq!(judged(&app(40, 1_996_000, 1_996_000), before(), app(1, 5_000, 9_000)), (1, 0), "forty by hand");
    }
}
