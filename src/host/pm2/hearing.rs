//! What the bus has told of each app since it was told to start. The list says what is so now; only here is kept that an
//! app said `ready`, how often it has ended since, and what it threw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::bus::{Bus, BusEvent};
use super::cutter::ENTRIES_MAX;
use super::place::Pm2At;
use super::request::PmId;
use super::rpc::RpcError;
use crate::host::foreign::Shown;

/// Ends from which on a start counts as a crash loop.
pub const LOOP: u64 = 3;
/// Numbers that are remembered: as many as a list may have.
const REMEMBERED: usize = ENTRIES_MAX;

/// What was heard of one app since its last start order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Heard {
    /// Its number.
    pub pm_id: PmId,
    /// It was started over this connection, so that nothing of this life can have been missed.
    pub whole: bool,
    /// It said `ready`.
    pub ready: bool,
    /// How often it has ended.
    pub exits: u64,
    /// The daemon has given it up (`restart overlimit`).
    pub given_up: bool,
    /// The last exception that PM2's wrapper reported from inside it, tamed.
    pub thrown: Option<Shown>,
}

impl Heard {
    /// It starts and ends over and over.
    #[must_use]
    pub fn loops(&self) -> bool {
        self.given_up || self.exits >= LOOP
    }
}

type Apps = Arc<Mutex<BTreeMap<PmId, Heard>>>;

/// A subscription that is always drained. Dropping it ends it.
#[derive(Debug)]
pub struct Hearing {
    apps: Apps,
    changed: watch::Receiver<()>,
    task: JoinHandle<()>,
}

impl Hearing {
    /// Subscribes.
    ///
    /// # Errors
    /// As [`Bus::connect`].
    pub async fn connect(at: &Pm2At) -> Result<Self, RpcError> {
        let mut bus = Bus::connect(at).await?;
        let apps = Apps::default();
        let (tell, changed) = watch::channel(());
        let kept = Arc::clone(&apps);
        let task = tokio::spawn(async move {
            while let Some(event) = bus.next().await {
                // Everybody who waits looks again at each word: most events say nothing that anybody waits for.
                if note(&kept, event) {
                    tell.send_replace(());
                }
            }
        });
        Ok(Self { apps, changed, task })
    }

    /// Whether the daemon still tells; otherwise what was not heard proves nothing.
    #[must_use]
    pub fn listens(&self) -> bool {
        !self.task.is_finished()
    }

    /// Forgets what was heard of an app, because it is about to be started.
    pub fn begin(&self, id: PmId) {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.insert(id, Heard { pm_id: id, whole: true, ..Heard::default() });
    }

    /// An app is new: everything that was heard under its number is about this life.
    pub fn whole_from_birth(&self, id: PmId) {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.entry(id).or_insert_with(|| Heard { pm_id: id, ..Heard::default() }).whole = true;
    }

    /// What was heard of one app.
    #[must_use]
    pub fn of(&self, id: PmId) -> Option<Heard> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// What was heard of the apps that were started over this connection; nothing when the daemon tells no more.
    #[must_use]
    pub fn whole(&self) -> Vec<Heard> {
        if !self.listens() {
            return Vec::new();
        }
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.values().filter(|heard| heard.whole).cloned().collect()
    }

    /// Waits until `enough` of an app has been heard; for ever, if need be.
    pub async fn until(&self, id: PmId, enough: impl Fn(&Heard) -> bool) {
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            if self.of(id).is_some_and(|heard| enough(&heard)) {
                return;
            }
            if changed.changed().await.is_err() {
                // The daemon has gone: whoever asked it something hears of that there.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps what an event says; `true` when that is news.
fn note(apps: &Apps, event: BusEvent) -> bool {
    let id = match &event {
        BusEvent::Process { pm_id, .. } | BusEvent::Exception { pm_id, .. } | BusEvent::Message { pm_id, .. } => *pm_id,
    };
    let Some(id) = id else { return false };
    let mut apps = apps.lock().unwrap_or_else(PoisonError::into_inner);
    if apps.len() >= REMEMBERED && !apps.contains_key(&id) {
        return false;
    }
    let heard = apps.entry(id).or_insert_with(|| Heard { pm_id: id, ..Heard::default() });
    match event {
        BusEvent::Process { event, .. } => match event.as_str() {
            "exit" => {
                heard.exits += 1;
                heard.ready = false;
            }
            "restart overlimit" => heard.given_up = true,
            _ => return false,
        },
        BusEvent::Exception { message, .. } => heard.thrown = Some(message),
        BusEvent::Message { raw, .. } if raw.raw() == "ready" => heard.ready = true,
        BusEvent::Message { .. } => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(event: &str) -> BusEvent {
        BusEvent::Process { pm_id: Some(4), name: "a".into(), event: event.into(), manually: false }
    }

    #[test]
    fn ready_is_lost_with_the_process_and_loops_are_counted() {
        let apps = Apps::default();
        let ready = BusEvent::Message {
            pm_id: Some(4),
            name: "a".into(),
            raw: crate::host::foreign::Untrusted::new("ready".into()),
        };
        assert!(note(&apps, ready));
        assert!(apps.lock().unwrap()[&4].ready);
        for _ in 0..LOOP {
            assert!(note(&apps, process("exit")));
            assert!(!note(&apps, process("online")), "nobody waits for that");
        }
        note(&apps, BusEvent::Exception { pm_id: Some(4), name: "a".into(), message: "listen EADDRINUSE".into() });
        let heard = apps.lock().unwrap()[&4].clone();
        assert!(!heard.ready && heard.loops() && !heard.given_up);
        assert_eq!(heard.thrown.as_deref(), Some("listen EADDRINUSE"));
        note(&apps, process("restart overlimit"));
        assert!(apps.lock().unwrap()[&4].given_up);
    }
}
