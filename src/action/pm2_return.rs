//! Whether an app that was started really is back, and what is said and done about one that is not.
//!
//! Its slot is free by then: an app proves itself over a second or more while others start. What it is judged by is the
//! list (asked for once a second for all of them), the kernel's word on its process, and what the bus has told since.
use std::path::Path;
use std::time::Duration;

use super::act::{Outcome, Tell, Tick};
use super::process_list;
use crate::host::pm2::{App, Cause, Exit, Heard, ListSeen, Pm2At, Status, Verdict, back, looping, steady_for};
use crate::host::span::words;
use crate::host::{Deed, Host};

/// How much of its log belongs to the last crash of an app.
const LOG_LINES: usize = 12;
/// How long an app may take to come back before it is called lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an app that lives may take to say `ready`, at least.
const READY_WITHIN: Duration = Duration::from_secs(20);
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

/// The process that is watched, since when, and the restarts from which is counted.
struct Watched {
    app: App,
    since: Duration,
}

impl Return<'_> {
    /// Waits until the app is back by every sign there is, or is known not to come. `started` is what PM2 answered to its
    /// start: the first look at it.
    pub(super) async fn verdict(&self, started: Option<App>) -> Outcome {
        let uptime = || self.on.as_probe().uptime();
        let began = uptime();
        let patience = PATIENCE.max(self.saved.start_deadline());
        let mut watched = started.filter(|app| app.pid.is_some()).map(|app| Watched { app, since: began });
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
        let log = self.on.as_probe().log_tail(Path::new(&app.err_log)).await.unwrap_or_default();
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
    let same = |first: &&mut Watched| first.app.pid == app.pid && first.app.restarts == app.restarts;
    let alive = app.pid.is_some_and(|pid| !list.dead.contains(&pid));
    let steady = watched.as_mut().filter(same).map_or(Duration::ZERO, |first| now.saturating_sub(first.since));
    let verdict = back(app, watched.as_ref().map(|first| &first.app), alive, steady);
    if watched.as_mut().filter(same).is_none() {
        let counted_from = watched.as_ref().map_or(app.restarts, |first| first.app.restarts);
        // It was told to start, and PM2 has said that it did: what is stopped now has run and ended.
        let status = if app.status == Status::Stopped { Status::Launching } else { app.status.clone() };
        let first = App { restarts: counted_from.min(app.restarts), status, ..app.clone() };
        *watched = Some(Watched { app: first, since: now });
    }
    match verdict {
        Verdict::NotYet(_) | Verdict::Back if list.heard_of(app).is_some_and(Heard::loops) => {
            Verdict::Gone(looping(app))
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
