//! The hands: stop, start, register, delete, each believed only when the daemon's list shows it. A call whose answer is
//! lost is settled by the list, and stays [`SteerError::Unknown`] if the list does not settle it; nothing is sent twice.

mod stop;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use tokio::sync::{Mutex, OnceCell};

use super::app::{App, AppKey, Status};
use super::back::steady_for;
use super::daemon::{DaemonUp, Support, list, up_of};
use super::hearing::{Heard, Hearing};
use super::listed::number_equals;
use super::place::{AccountError, Pm2At, account};
use super::procs::{age, at_rest};
use super::recipe::Recipe;
use super::request::{PmId, Request};
use super::rpc::{Rpc, RpcError};
use crate::host::clock;
use crate::host::planted::{Bug, planted};

const SETTLING_LOOKS: usize = 6;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// How long a process may keep its slot when it neither comes to rest nor ends.
const REST_MAX: Duration = Duration::from_secs(5);

/// How long an app is watched at least after it has come to rest.
const SETTLED: Duration = Duration::from_millis(400);

/// Why an effect did not happen, or is not known to have happened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SteerError {
    /// The daemon did not answer, refused, or was not reached.
    #[error(transparent)]
    Rpc(RpcError),
    /// Sent, and neither an answer nor the list tells whether it happened.
    #[error("{what}: {why}; whether it happened is unknown, look at the list before repeating it")]
    Unknown {
        /// What was asked.
        what: String,
        /// Reason.
        why: String,
    },
    /// It ran, and the list does not show it.
    #[error("{what}: not done, {saw}")]
    NotDone {
        /// What was asked.
        what: String,
        /// What the list shows.
        saw: String,
    },
    /// The number belongs to another app by now, or to none.
    #[error("app {0:?} is not at its number any more; look again")]
    Moved(String),
    /// The daemon is going down and restarts nothing.
    #[error("the PM2 daemon was told to end and starts nothing any more; restart the daemon")]
    Dying,
    /// A `pm2-runtime`.
    #[error("pm2-runtime ends with its last app; restart its container or unit instead")]
    Runtime,
    /// A version that must not be steered.
    #[error("{0}")]
    Unsupported(String),
    /// The socket's owner is not the owner of the home.
    #[error("the PM2 daemon at {home} runs as uid {uid}, its home belongs to another user")]
    Impostor {
        /// `PM2_HOME`.
        home: PathBuf,
        /// Who listens.
        uid: u32,
    },
    /// Something must exist first.
    #[error("app {app:?}: its {what} {missing} does not exist; nothing was started")]
    Missing {
        /// The app.
        app: String,
        /// What of it: its script, its working directory, …
        what: &'static str,
        /// Where it should be.
        missing: PathBuf,
    },
    /// The user of the daemon is not clear.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// We are neither root nor that user.
    #[error("acting for user {user} needs that user or root")]
    Denied {
        /// The user.
        user: String,
    },
    /// No script or no node.
    #[error("cannot find `{0}`; name it with `cli:` or put it on the PATH")]
    NoCli(&'static str),
    /// The script could not be run to its end.
    #[error("`pm2 {word}`: {why}")]
    Cli {
        /// Sub-command.
        word: &'static str,
        /// Reason.
        why: String,
    },
    /// A daemon with a unit is started by its unit, so that it is in the right control group.
    #[error("start unit {0} instead: a daemon started by hand is in the wrong control group")]
    UseUnit(String),
    /// `pm2 save` does not write an empty list.
    #[error("there is nothing to save, and PM2 does not write an empty list")]
    NothingToSave,
}

impl From<RpcError> for SteerError {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::Refused { message, .. } if message.contains("PM2 is being killed") => Self::Dying,
            RpcError::Unknown { method, why } => Self::Unknown { what: method.to_owned(), why },
            other => Self::Rpc(other),
        }
    }
}

type Listed = Arc<Vec<App>>;

/// How long a list serves those who only need the number of an app or its settings.
const FRESH: Duration = Duration::from_secs(1);
/// The same while the daemon is heard: what others do to its apps is told on the bus, so the list changes under nobody's hands.
const FRESH_HEARD: Duration = Duration::from_secs(10);

/// A list, when it was asked for, in the order of questions and by the clock.
#[derive(Debug)]
struct KeptList {
    begun: u64,
    at: Duration,
    apps: Listed,
}

/// A connection for effects. Share one among all the calls of a wave: lists and what is heard are shared, too.
#[derive(Debug)]
pub struct Steer {
    rpc: Rpc,
    up: DaemonUp,
    ticks: AtomicU64,
    kept: Mutex<Option<KeptList>>,
    /// When an order was last given for a number: a list from before says nothing of it any more.
    ordered: std::sync::Mutex<HashMap<PmId, u64>>,
    events: PathBuf,
    hearing: OnceCell<Option<Hearing>>,
    alone: Mutex<()>,
}

impl Steer {
    /// Connects, and makes sure that this is a daemon which may be steered.
    ///
    /// # Errors
    /// [`SteerError::Rpc`], [`SteerError::Impostor`], [`SteerError::Runtime`], [`SteerError::Unsupported`].
    pub async fn connect(at: &Pm2At) -> Result<Self, SteerError> {
        let owner = account(at)?.uid;
        let rpc = Rpc::connect(&at.rpc_socket()).await?;
        if rpc.peer().uid != owner {
            return Err(SteerError::Impostor { home: at.home.clone(), uid: rpc.peer().uid });
        }
        let up = up_of(&rpc).await?;
        if up.is_runtime() {
            return Err(SteerError::Runtime);
        }
        if let Support::ReadOnly(why) = up.support() {
            return Err(SteerError::Unsupported(why));
        }
        Ok(Self {
            rpc,
            up,
            ticks: AtomicU64::new(0),
            kept: Mutex::new(None),
            ordered: std::sync::Mutex::default(),
            events: at.pub_socket(),
            hearing: OnceCell::new(),
            alone: Mutex::new(()),
        })
    }

    /// Whether the connection still stands; see [`Rpc::is_open`].
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.rpc.is_open()
    }

    /// The daemon.
    #[must_use]
    pub fn daemon(&self) -> &DaemonUp {
        &self.up
    }

    /// A list that was asked for after this call began. Callers that wait at the same time share one.
    ///
    /// # Errors
    /// [`SteerError::Rpc`].
    pub async fn list(&self) -> Result<Listed, SteerError> {
        let asked = self.ticks.fetch_add(1, Ordering::SeqCst);
        let mut kept = self.kept.lock().await;
        match kept.as_ref().filter(|kept| kept.begun > asked) {
            Some(kept) => Ok(Arc::clone(&kept.apps)),
            None => self.ask_list(&mut kept).await,
        }
    }

    /// A list that is not older than a second (ten, while the daemon is heard) and than the last order for this number: a list
    /// costs the daemon as much as starting an app does.
    async fn recent(&self, id: Option<PmId>) -> Result<Listed, SteerError> {
        let ordered = id.and_then(|id| self.orders().get(&id).copied()).unwrap_or(0);
        let mut kept = self.kept.lock().await;
        let heard = self.hearing.get().and_then(Option::as_ref).is_some_and(Hearing::listens);
        let serves = if heard { FRESH_HEARD } else { FRESH };
        let fresh = |kept: &&KeptList| kept.begun > ordered && clock::boottime().saturating_sub(kept.at) < serves;
        match kept.as_ref().filter(fresh) {
            Some(kept) => Ok(Arc::clone(&kept.apps)),
            None => self.ask_list(&mut kept).await,
        }
    }

    async fn ask_list(&self, kept: &mut Option<KeptList>) -> Result<Listed, SteerError> {
        let (begun, at) = (self.ticks.fetch_add(1, Ordering::SeqCst), clock::boottime());
        let apps = Arc::new(list(&self.rpc).await.map_err(SteerError::Rpc)?);
        *kept = Some(KeptList { begun, at, apps: Arc::clone(&apps) });
        Ok(apps)
    }

    fn orders(&self) -> std::sync::MutexGuard<'_, HashMap<PmId, u64>> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on only later lists count for this number.
    fn order(&self, id: PmId) {
        self.orders().insert(id, self.ticks.fetch_add(1, Ordering::SeqCst));
    }

    /// The app with this identity, and whether it is listed at all.
    ///
    /// # Errors
    /// [`SteerError::Rpc`].
    pub async fn listed(&self, key: &AppKey) -> Result<Option<App>, SteerError> {
        let listed = self.recent(None).await?;
        let Some(app) = listed.iter().find(|app| app.key == *key) else { return Ok(None) };
        let Some(id) = app.pm_id else { return Ok(Some(app.clone())) };
        Ok(at_number(&self.recent(Some(id)).await?, id, key))
    }

    /// The app that has this number now.
    ///
    /// # Errors
    /// [`SteerError::Rpc`].
    pub async fn numbered(&self, id: PmId) -> Result<Option<App>, SteerError> {
        Ok(self.recent(Some(id)).await?.iter().find(|app| app.pm_id == Some(id)).cloned())
    }

    /// Held by whoever must see what it has added before anybody else adds the like.
    pub async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.alone.lock().await
    }

    /// What the daemon tells of its apps; subscribed to when first asked for. `None` where it cannot be heard.
    pub async fn hearing(&self) -> Option<&Hearing> {
        let hearing = self.hearing.get_or_init(async || Hearing::connect(&self.events).await.ok());
        hearing.await.as_ref().filter(|hearing| hearing.listens())
    }

    /// What was heard of the apps that were started over this connection.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.hearing.get().and_then(Option::as_ref).map(Hearing::whole).unwrap_or_default()
    }

    /// Starts an app that is registered and not running, with fresh counters; a running one is left alone. Lifts
    /// `autostart: false`, which PM2 offers no way to restore without a restart: the app given back then says `true`.
    /// Started is not back: judge with [`super::back()`].
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn start_registered(&self, app: &App) -> Result<App, SteerError> {
        let (id, before) = self.find(app).await?;
        if before.pid.is_some() && matches!(before.status, Status::Online | Status::Launching) {
            return Ok(before);
        }
        let hearing = self.hearing().await;
        if let Some(hearing) = hearing {
            hearing.begin(id);
        }
        let restart = Request::RestartId { id, autostart: (!before.autostart).then_some(true) };
        let asked = tokio::select! {
            asked = self.rpc.call_within(&restart, before.start_deadline()) => asked,
            () = ended_early(hearing, id, before.autorestart) => Err(RpcError::Unknown {
                method: restart.method(),
                why: "it ended before it was ready".to_owned(),
            }),
        };
        self.order(id);
        if let Some(started) = asked.as_ref().ok().and_then(|answer| answered(answer, &before.key))
            && started.pid.is_some()
        {
            return Ok(started);
        }
        // A one-shot may be over by the time of the list: then its start time tells.
        let started = |now: &App| now.pid.is_some() || now.uptime_started != before.uptime_started;
        let what = format!("start {:?}", app.key.name);
        self.settle(&what, asked, |listed| at_number(listed, id, &app.key).filter(|now| started(now))).await
    }

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
            () = super::pause(REST_MAX) => {}
        }
    }

    /// Waits until an app that has come to rest after its start has lived long enough to be called stable. `true` when
    /// nothing speaks against it: the kernel still knows the process that PM2 named, old enough by its own start time, and the
    /// bus, which was listened to since before the start, has told of no end and, where it is due, of `ready`. A list
    /// would add nothing to that, and costs the daemon as much as starting an app does.
    pub async fn outlives(&self, started: &App) -> bool {
        let (Some(id), Some(pid), Status::Online) = (started.pm_id, started.pid, &started.status) else { return false };
        let Some(hearing) = self.hearing().await else { return false };
        let needed = steady_for(started);
        let rest = needed.saturating_sub(age(pid).unwrap_or_default()).max(SETTLED);
        let ended = hearing.until(id, |heard| heard.exits > 0 || heard.given_up);
        tokio::select! {
            () = ended => return false,
            () = super::pause(rest) => {}
        }
        let untouched = |heard: &Heard| heard.whole && heard.exits == 0 && !heard.given_up;
        let said = hearing.of(id).is_some_and(|heard| untouched(&heard) && (heard.ready || !started.wait_ready));
        said && hearing.listens() && self.is_open() && age(pid).is_some_and(|age| age >= needed)
    }

    /// Adds an app as stopped. Nothing is started.
    ///
    /// # Errors
    /// [`SteerError`]. After [`SteerError::Unknown`] compare the list before registering again: PM2 never merges equals.
    pub async fn register(&self, recipe: &Recipe) -> Result<App, SteerError> {
        let app = self.prepare(recipe, Request::Register(Box::new(recipe.clone())), "register").await?;
        // Known from now on, so that nobody adds it again because a list from before lacks it.
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_mut()
            && !kept.apps.iter().any(|known| known.pm_id == app.pm_id)
        {
            let apps = Arc::make_mut(&mut kept.apps);
            apps.push(app.clone());
            number_equals(apps);
        }
        Ok(app)
    }

    /// Adds and starts an app.
    ///
    /// # Errors
    /// As [`Steer::register`], and [`SteerError::Missing`]: without its log directory the app would be lost from the list.
    pub async fn start_new(&self, recipe: &Recipe) -> Result<App, SteerError> {
        if let Some((what, missing)) = recipe.missing() {
            return Err(SteerError::Missing { app: recipe.app().key.name, what, missing });
        }
        self.prepare(recipe, Request::StartNew(Box::new(recipe.clone())), "start").await
    }

    /// Starts a watched app so that it is watched as before: only an app that is added running gets its watcher back, so
    /// the stopped registration is deleted first. A crash between the two leaves the app unlisted; the next comparison
    /// with the snapshot registers it again.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn start_watched(&self, registered: &App, recipe: &Recipe) -> Result<App, SteerError> {
        self.delete_app(registered).await?;
        self.start_new(recipe).await
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
        let what = format!("delete {:?}", app.key.name);
        self.settle(&what, asked, |listed| at_number(listed, id, &app.key).is_none().then(|| now.clone())).await
    }

    async fn prepare(&self, recipe: &Recipe, request: Request, word: &str) -> Result<App, SteerError> {
        let key = recipe.app().key;
        let hearing = self.hearing().await;
        let known: Vec<PmId> = self.recent(None).await?.iter().filter_map(|app| app.pm_id).collect();
        let asked = self.rpc.call(&request).await;
        let told = asked.as_ref().ok().and_then(|answer| answered(answer.get(0)?, &key));
        if let Some(id) = told.as_ref().and_then(|app| app.pm_id) {
            self.order(id);
            if let Some(hearing) = hearing {
                hearing.whole_from_birth(id);
            }
        }
        if let Some(app) = told.clone().filter(|app| app.pm_id.is_some() && (word == "register" || app.pid.is_some())) {
            return Ok(app);
        }
        let told = told.and_then(|app| app.pm_id);
        let what = format!("{word} {:?}", key.name);
        let taken: Vec<PmId> = self.orders().keys().copied().collect();
        self.settle(&what, asked, |listed| {
            let unknown = |id: PmId| !known.contains(&id) && !taken.contains(&id);
            let new = |app: &&App| app.pm_id.is_some_and(|id| told.map_or(unknown(id), |told| told == id));
            listed.iter().find(|app| new(app) && same(&app.key, &key)).cloned()
        })
        .await
    }

    /// The app at its number now.
    async fn find(&self, app: &App) -> Result<(PmId, App), SteerError> {
        let moved = || SteerError::Moved(app.key.name.clone());
        let id = app.pm_id.ok_or_else(moved)?;
        let listed = self.recent(Some(id)).await?;
        at_number(&listed, id, &app.key).map(|now| (id, now)).ok_or_else(moved)
    }

    /// Turns an answer, or its absence, into what the list proves.
    async fn settle(
        &self,
        what: &str,
        asked: Result<Value, RpcError>,
        proof: impl Fn(&[App]) -> Option<App>,
    ) -> Result<App, SteerError> {
        let lost = match asked {
            Ok(_) => None,
            Err(RpcError::Unknown { why, .. }) => Some(why),
            Err(other) => return Err(other.into()),
        };
        let unknown = |why: String| SteerError::Unknown { what: what.to_owned(), why };
        for look in 0..SETTLING_LOOKS {
            if look > 0 {
                super::pause(BETWEEN_LOOKS).await;
            }
            let listed = self.list().await.map_err(|error| unknown(error.to_string()))?;
            if let Some(app) = proof(&listed) {
                return Ok(app);
            }
        }
        match lost {
            Some(why) => Err(unknown(why)),
            None => Err(SteerError::NotDone {
                what: what.to_owned(),
                saw: "PM2 said it was and its list does not show it".into(),
            }),
        }
    }
}

fn at_number(listed: &[App], id: PmId, key: &AppKey) -> Option<App> {
    listed.iter().find(|app| app.pm_id == Some(id) && same(&app.key, key)).cloned()
}

/// The same app but for its place among equals, which changes when one of them goes.
fn same(one: &AppKey, other: &AppKey) -> bool {
    if planted(Bug::NameOnly) {
        return one.name == other.name;
    }
    (&one.namespace, &one.name, one.instance, &one.script)
        == (&other.namespace, &other.name, other.instance, &other.script)
}

/// The app in an answer: the daemon sends its settings and what it knows of the process.
fn answered(answer: &Value, key: &AppKey) -> Option<App> {
    let mut app = App::from_entry(answer);
    let of_process = || answer.pointer("/process/pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
    app.pid = app.pid.or_else(of_process).filter(|pid| *pid > 0);
    if !same(&app.key, key) {
        return None;
    }
    app.key = key.clone();
    Some(app)
}

/// Resolves when an app has ended for good before it ever was ready; never where that cannot be heard.
async fn ended_early(hearing: Option<&Hearing>, id: PmId, restarts: bool) {
    match hearing {
        Some(hearing) => hearing.until(id, |heard| heard.loops() || (!restarts && heard.exits > 0)).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_not_the_same_app() {
        let text = |text: &str| text.to_owned();
        let key = |namespace, instance, script, ordinal| AppKey {
            namespace: text(namespace),
            name: text("api"),
            instance,
            script: text(script),
            ordinal,
        };
        let one = key("default", Some(0), "/srv/a.js", 0);
        assert!(same(&one, &key("default", Some(0), "/srv/a.js", 3)), "a place among equals does not last");
        for other in [
            key("eu", Some(0), "/srv/a.js", 0),
            key("default", Some(1), "/srv/a.js", 0),
            key("default", Some(0), "/b", 0),
        ] {
            assert!(!same(&one, &other), "{other:?}");
        }
    }
}
