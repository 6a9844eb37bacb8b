//! The hands: stop, start, register, delete, each believed only when the daemon's list shows it. A call whose answer is
//! lost is settled by the list, and stays [`SteerError::Unknown`] if the list does not settle it; nothing but a stop
//! is sent twice.

mod error;
mod prove;
mod start;
mod stop;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use super::app::{App, AppKey};
use super::daemon::{DaemonUp, Support, list, up_of};
use super::hearing::{Heard, Hearing};
use super::place::{Pm2At, account_of};
use super::request::PmId;
use super::rpc::{Rpc, RpcError};
use crate::host::clock;
use crate::host::foreign::tame;
use crate::host::planted::{Bug, planted};

pub use error::SteerError;

const SETTLING_LOOKS: usize = 6;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

type Listed = Arc<Vec<App>>;

/// How long a daemon may take to say who it is.
const CONNECT: Duration = Duration::from_secs(8);

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
    /// When an order was last given for a number: a list from before says nothing of it any more. 0 while nothing was asked of
    /// it but to be listed, and the answer to that stands in the kept list.
    ordered: std::sync::Mutex<HashMap<PmId, u64>>,
    at: Pm2At,
    hearing: OnceCell<Option<Hearing>>,
    alone: Mutex<()>,
}

impl Steer {
    /// Connects, and makes sure that this is a daemon which may be steered.
    ///
    /// # Errors
    /// [`SteerError::Rpc`], [`SteerError::Impostor`], [`SteerError::Runtime`], [`SteerError::Unsupported`].
    pub async fn connect(at: &Pm2At) -> Result<Self, SteerError> {
        let owner = account_of(at).await?.uid;
        let rpc = Rpc::connect(at).await?;
        if rpc.peer().uid != owner {
            return Err(SteerError::Impostor { home: at.home.clone(), uid: rpc.peer().uid });
        }
        let up = tokio::time::timeout(CONNECT, up_of(&rpc)).await.unwrap_or_else(|_| {
            let why = format!("it did not say who it is within {} s", CONNECT.as_secs());
            Err(RpcError::Connect { path: at.rpc_socket(), why: tame(&why, 200) })
        })?;
        if up.is_runtime() {
            return Err(SteerError::Runtime);
        }
        if let Support::ReadOnly(why) = up.support() {
            return Err(SteerError::Unsupported(why));
        }
        Ok(Self {
            rpc,
            up,
            ticks: AtomicU64::new(1),
            kept: Mutex::new(None),
            ordered: std::sync::Mutex::default(),
            at: at.clone(),
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
        let hearing = self.hearing.get_or_init(async || Hearing::connect(&self.at).await.ok());
        hearing.await.as_ref().filter(|hearing| hearing.listens())
    }

    /// What was heard of the apps that were started over this connection.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.hearing.get().and_then(Option::as_ref).map(Hearing::whole).unwrap_or_default()
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

/// The same app but for its place among equals.
fn same(one: &AppKey, other: &AppKey) -> bool {
    if planted(Bug::NameOnly) { one.name == other.name } else { one.equals(other) }
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
