//! The hands: stop, start, register, delete, each believed only when the daemon's list shows it. A call whose answer is
//! lost is settled by the list, and stays [`SteerError::Unknown`] if the list does not settle it; nothing is sent twice.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use tokio::sync::Mutex;

use super::app::{App, AppKey, Status};
use super::daemon::{DaemonUp, Support, list, up_of};
use super::place::{AccountError, Pm2At, account};
use super::recipe::Recipe;
use super::request::{PmId, Request};
use super::rpc::{Rpc, RpcError};
use crate::host::planted::{Bug, planted};

const SETTLING_LOOKS: usize = 6;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

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
    #[error("app {app:?}: {missing} does not exist")]
    Missing {
        /// The app.
        app: String,
        /// What.
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

/// A connection for effects. Share one among all the calls of a wave: lists are shared, too.
#[derive(Debug)]
pub struct Steer {
    rpc: Rpc,
    up: DaemonUp,
    ticks: AtomicU64,
    kept: Mutex<Option<(u64, Listed)>>,
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
        Ok(Self { rpc, up, ticks: AtomicU64::new(0), kept: Mutex::new(None) })
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
    pub async fn list(&self) -> Result<Arc<Vec<App>>, SteerError> {
        let asked = self.ticks.fetch_add(1, Ordering::SeqCst);
        let mut kept = self.kept.lock().await;
        if let Some((begun, listed)) = kept.as_ref()
            && *begun > asked
        {
            return Ok(Arc::clone(listed));
        }
        let begun = self.ticks.fetch_add(1, Ordering::SeqCst);
        let listed = Arc::new(list(&self.rpc).await.map_err(SteerError::Rpc)?);
        *kept = Some((begun, Arc::clone(&listed)));
        Ok(listed)
    }

    /// Stops an app and sees it stopped. Already down is done. For a watched app the watch ends first and for good: the
    /// daemon then forgets `watch`, the snapshot does not (see [`Steer::start_watched`]).
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn stop_app(&self, app: &App) -> Result<App, SteerError> {
        let down = |now: &App| now.pid.is_none() && matches!(now.status, Status::Stopped | Status::Errored);
        let (id, now) = self.find(app).await?;
        if down(&now) {
            return Ok(now);
        }
        if now.watch {
            self.rpc.call(&Request::StopWatch(id)).await?;
        }
        let asked = self.rpc.call_within(&Request::StopId(id), now.stop_deadline()).await;
        self.settle(&format!("stop {:?}", app.key.name), asked, |listed| {
            at_number(listed, id, &app.key).filter(|now| down(now))
        })
        .await
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
        let restart = Request::RestartId { id, autostart: (!before.autostart).then_some(true) };
        let asked = self.rpc.call_within(&restart, before.start_deadline()).await;
        // A one-shot may be over by the time of the list: then its start time tells.
        let started = |now: &App| now.pid.is_some() || now.uptime_started != before.uptime_started;
        let what = format!("start {:?}", app.key.name);
        self.settle(&what, asked, |listed| at_number(listed, id, &app.key).filter(|now| started(now))).await
    }

    /// Adds an app as stopped. Nothing is started.
    ///
    /// # Errors
    /// [`SteerError`]. After [`SteerError::Unknown`] compare the list before registering again: PM2 never merges equals.
    pub async fn register(&self, recipe: &Recipe) -> Result<App, SteerError> {
        self.prepare(recipe, Request::Register(Box::new(recipe.clone())), "register").await
    }

    /// Adds and starts an app.
    ///
    /// # Errors
    /// As [`Steer::register`], and [`SteerError::Missing`] for a log directory, without which the app would be lost.
    pub async fn start_new(&self, recipe: &Recipe) -> Result<App, SteerError> {
        if let Some(missing) = recipe.log_dirs().into_iter().find(|dir| !dir.is_dir()) {
            return Err(SteerError::Missing { app: recipe.app().key.name, missing });
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
        let known: Vec<PmId> = self.list().await?.iter().filter_map(|app| app.pm_id).collect();
        let asked = self.rpc.call(&request).await;
        let told = asked.as_ref().ok().and_then(number_in);
        let what = format!("{word} {:?}", key.name);
        self.settle(&what, asked, |listed| {
            let new = |app: &&App| app.pm_id.is_some_and(|id| told.map_or(!known.contains(&id), |told| told == id));
            listed.iter().find(|app| new(app) && same(&app.key, &key)).cloned()
        })
        .await
    }

    /// The app at its number now.
    async fn find(&self, app: &App) -> Result<(PmId, App), SteerError> {
        let moved = || SteerError::Moved(app.key.name.clone());
        let id = app.pm_id.ok_or_else(moved)?;
        let listed = self.list().await?;
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

/// The number in an answer of `prepare`: a list of one.
fn number_in(answer: &Value) -> Option<PmId> {
    PmId::try_from(answer.get(0)?.get("pm2_env")?.get("pm_id")?.as_u64()?).ok()
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
