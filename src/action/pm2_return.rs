//! Whether an app that was started really is back, and what is said and done about one that is not.
//!
//! Its slot is free by then: an app proves itself over a second or more while others start. What it is judged by is the
//! list (asked for once a second for all of them), the kernel's word on its process, and what the bus has told since.
use std::path::Path;
use std::time::Duration;

use super::act::{Outcome, Tell, Tick};
use super::process_list;
use crate::host::ask::LogOf;
use crate::host::pm2::{App, Cause, Exit, Heard, ListSeen, Pm2At, Status, Verdict, back, looping, steady_for};
use crate::host::span::words;
use crate::host::{Deed, Host};

/// How much of its log belongs to the last crash of an app.
const LOG_LINES: usize = 12;
/// How long an app may take to come back before it is called lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an app that lives may take to say `ready`, at least.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long a process must live whose predecessor has ended since the start: one that boots slowly and fails looks well for
/// as long as it boots.
const PROBATION: Duration = Duration::from_secs(5);
/// Between two looks; the host asks PM2 no more than once a second for all that wait.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One app on its way back.
pub(super) struct Return<'a> {
    /// How it is called in this step.
    pub(super) name: &'a str,
    pub(super) saved: &'a App,
    pub(super) pm2: &'a Pm2At,
    pub(super) on: &'a dyn Host,
    pub(super) tell: Tell<'a>,
}

/// The process that is watched, whether it lived, since when, its restarts by then, and (in `app`) those from which is counted.
struct Watched {
    app: App,
    alive: bool,
    restarts: u64,
    since: Duration,
}

impl Return<'_> {
    /// Waits until the app is back by every sign there is, or is known not to come. `started` is what PM2 answered to its
    /// start: the first look at it.
    pub(super) async fn verdict(&self, started: Option<App>) -> Outcome {
        let uptime = || self.on.as_probe().uptime();
        let began = uptime();
        let patience = PATIENCE.max(self.saved.start_deadline());
        let mut watched = started.filter(|app| app.pid.is_some()).map(|app| Watched {
            restarts: app.restarts,
            alive: true,
            app,
            since: began,
        });
        let settles = watched.as_ref().map_or(LOOK_EVERY, |first| steady_for(&first.app).min(patience));
        if let Some(first) = watched.as_ref().filter(|first| steady_for(&first.app) <= patience)
            && self.on.outlives(self.pm2, &first.app).await
        {
            return Outcome::applied();
        }
        self.on.sleep((began + settles).saturating_sub(uptime())).await;
        loop {
            // What is steady was so when the list was asked for; when it came is later.
            let now = uptime();
            let list = match self.on.as_probe().pm2_list(self.pm2).await {
                Ok(list) => list,
                Err(error) => return Outcome::from(error),
            };
            let Some(app) = process_list::find(&list.apps, &self.saved.key) else {
                return Outcome::failed("it vanished from PM2's list");
            };
            match judge(app, &list, &mut watched, now) {
                Verdict::Back => return Outcome::applied(),
                Verdict::Gone(cause) => return self.lost(app, list.heard_of(app), Ok(cause)).await,
                Verdict::NotYet(_) if unready(app, &list) && now.saturating_sub(began) > ready_within(app) => {
                    return self.lost(app, list.heard_of(app), Ok(Cause::NeverReady)).await;
                }
                Verdict::NotYet(why) if now.saturating_sub(began) > patience => {
                    let why = Err(format!("not back within {}: {why}", words(patience)));
                    return self.lost(app, list.heard_of(app), why).await;
                }
                Verdict::NotYet(why) => (self.tell)(Tick::say(self.name, why)),
            }
            self.on.sleep(LOOK_EVERY).await;
        }
    }

    /// Cuts a crash loop, so that it eats no more of the machine, and says what its log says. An app that lives and has
    /// only never said `ready` is left alone.
    async fn lost(&self, app: &App, heard: Option<&Heard>, cause: Result<Cause, String>) -> Outcome {
        let mut causes = Vec::new();
        let ends = (process_list::runs(app) || app.autorestart) && cause != Ok(Cause::NeverReady);
        if let (true, Some(id)) = (ends, app.pm_id) {
            match self.on.tell(&Deed::StopApp { pm2: self.pm2.clone(), id }).await {
                Ok(_) => causes.push("stopped, so that it does not go on crashing".to_owned()),
                Err(error) => causes.push(format!("could not be stopped: {error}")),
            }
        }
        let log = self
            .on
            .as_probe()
            .log_tail(Path::new(&app.err_log), LogOf::Pm2(self.pm2.clone()))
            .await
            .unwrap_or_default();
        let log = &log[log.len().saturating_sub(LOG_LINES)..];
        let thrown = heard.and_then(|heard| heard.thrown.clone());
        let said: Vec<String> = thrown.iter().chain(log).cloned().collect();
        let why = match cause {
            Ok(cause) => cause.refine(&said).to_string(),
            Err(why) => why,
        };
        let exit = match &app.exit_code {
            Some(Exit::Code(code)) => format!(", exit status {code}"),
            Some(Exit::Word(word)) => format!(", {word}"),
            None => String::new(),
        };
        let restarts = app.restarts.max(heard.map_or(0, |heard| heard.exits));
        let restarts =
            if restarts > 0 && !why.contains("restarts") { format!(", {restarts} restarts") } else { String::new() };
        causes.extend(thrown.map(|thrown| format!("threw: {thrown}")));
        causes.extend(log.iter().map(|line| format!("log: {line}")));
        Outcome::Failed { why: format!("{why}{restarts}{exit}"), causes }
    }
}

/// One look at the app, against what was seen of it before. The first sight of it is what restarts are counted from.
fn judge(app: &App, list: &ListSeen, watched: &mut Option<Watched>, now: Duration) -> Verdict {
    let alive = app.pid.is_some_and(|pid| !list.dead.contains(&pid));
    let same = |first: &&mut Watched| (first.app.pid, first.restarts, first.alive) == (app.pid, app.restarts, alive);
    let steady = watched.as_mut().filter(same).map_or(Duration::ZERO, |first| now.saturating_sub(first.since));
    let verdict = back(app, watched.as_ref().map(|first| &first.app), alive, steady);
    if watched.as_mut().filter(same).is_none() {
        let counted_from = watched.as_ref().map_or(app.restarts, |first| first.app.restarts);
        // It was told to start, and PM2 has said that it did: what is stopped now has run and ended.
        let status = if app.status == Status::Stopped { Status::Launching } else { app.status.clone() };
        let first = App { restarts: counted_from.min(app.restarts), status, ..app.clone() };
        *watched = Some(Watched { restarts: app.restarts, alive, app: first, since: now });
    }
    match verdict {
        Verdict::NotYet(_) | Verdict::Back if list.heard_of(app).is_some_and(Heard::loops) => {
            Verdict::Gone(looping(app))
        }
        Verdict::Back if steady < PROBATION && list.heard_of(app).is_some_and(|heard| heard.exits > 0) => {
            Verdict::NotYet("online again after it had ended, being watched".to_owned())
        }
        Verdict::Back if unready(app, list) => Verdict::NotYet("online, and has not said `ready`".to_owned()),
        other => other,
    }
}

/// How long `ready` is waited for: several times what the app itself declares, because everything starts at once.
fn ready_within(app: &App) -> Duration {
    READY_WITHIN.max(Duration::from_millis(app.listen_timeout.unwrap_or(0).min(3_600_000)) * 3)
}

/// It runs, is to say `ready`, and has not since it was started. PM2 calls it online all the same after its time-out.
fn unready(app: &App, list: &ListSeen) -> bool {
    app.wait_ready && app.pid.is_some() && list.heard_of(app).is_some_and(|heard| !heard.ready)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    /// One look: the app as PM2 lists it, and how often the bus has told of its end.
    fn look(pid: u32, restarts: u64, exits: u64) -> (App, ListSeen) {
        let env = json!({ "name": "a", "status": "online", "restart_time": restarts, "pm_id": 3 });
        let app = App::from_entry(&json!({ "pid": pid, "pm_id": 3, "pm2_env": env }));
        let heard = Heard { pm_id: 3, whole: true, exits, ..Heard::default() };
        let list = ListSeen { apps: Arc::new(vec![app.clone()]), dead: Vec::new(), heard: vec![heard] };
        (app, list)
    }

    /// Judges looks that come a second after each other.
    fn judged(looks: &[(u32, u64, u64)]) -> Vec<Verdict> {
        let mut watched = None;
        let verdict = |(at, &(pid, restarts, exits)): (u64, &(u32, u64, u64))| {
            let (app, list) = look(pid, restarts, exits);
            judge(&app, &list, &mut watched, Duration::from_secs(at))
        };
        (0..).zip(looks).map(verdict).collect()
    }

    #[test]
    fn one_that_ended_once_is_back_when_it_has_lived_for_a_while() {
        let verdicts = judged(&[(7, 0, 0), (8, 1, 1), (8, 1, 1), (8, 1, 1), (8, 1, 1), (8, 1, 1), (8, 1, 1)]);
        let (last, before) = verdicts.split_last().unwrap();
        assert!(before.iter().all(|verdict| matches!(verdict, Verdict::NotYet(_))), "{verdicts:?}");
        assert_eq!(*last, Verdict::Back);
    }

    #[test]
    fn a_death_that_the_daemon_has_not_heard_of_yet_is_no_end() {
        let mut watched = None;
        let mut verdict = |at: u64, dead: bool| {
            let (app, mut list) = look(7, 0, 0);
            list.dead = if dead { vec![7] } else { Vec::new() };
            judge(&app, &list, &mut watched, Duration::from_millis(at))
        };
        verdict(0, false);
        assert!(matches!(verdict(900, false), Verdict::NotYet(_)));
        assert!(matches!(verdict(1_400, true), Verdict::NotYet(_)), "seen dead for the first time");
        assert!(matches!(verdict(1_900, true), Verdict::NotYet(_)));
        assert_eq!(verdict(2_400, true), Verdict::Gone(Cause::Killed), "it stays so");
    }

    #[test]
    fn slow_lives_that_end_are_a_loop_all_the_same() {
        let verdicts = judged(&[(7, 0, 0), (8, 1, 1), (8, 1, 1), (9, 2, 2), (9, 2, 2), (10, 3, 3)]);
        assert!(!verdicts.contains(&Verdict::Back), "{verdicts:?}");
        assert_eq!(verdicts.last(), Some(&Verdict::Gone(Cause::CrashLoop { restarts: 3 })));
    }
}
