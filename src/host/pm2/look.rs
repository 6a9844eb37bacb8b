//! One look at a home, without waking a daemon: what it answers on its socket, and what its files and `/proc` show. What cannot be
//! seen is reported instead of failing. The answer costs the daemon as much as starting an app does, so it can be kept and be
//! given again; the rest is looked at anew each time.
use serde::{Deserialize, Serialize};
use std::time::Duration;

use tokio::time::timeout;

use super::advice::Advice;
use super::app::App;
use super::cli::Cli;
use super::daemon::{AbsentWhy, DaemonSeen, DaemonUp, up_of};
use super::dump::{DumpSeen, read_dump};
use super::listing::Listing;
use super::place::{AccountError, Pm2At, account};
use super::procs::{Orphan, Scan, scan};
use super::rpc::{Rpc, RpcError};
use crate::host::foreign::tame;
use crate::host::off_thread;
use crate::host::root_owned::NotRoots;

/// How long the files of a home and a look at every process may take: a thousand apps on a busy machine take a second.
const FILES: Duration = Duration::from_secs(15);

/// All that a daemon may take to say who it is and what it runs, together: one that answers late, or byte by byte, costs everybody
/// else who is looked at no more than this.
const LOOK: Duration = Duration::from_secs(7);

/// One look at one home.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pm2Seen {
    /// The daemon.
    pub daemon: DaemonSeen,
    /// Its apps in the order of their numbers, modules included.
    pub apps: Vec<App>,
    /// The saved list.
    pub dump: DumpSeen,
    /// Daemons of the same home that do not own the socket: their apps are in no list.
    pub twins: Vec<u32>,
    /// Processes of a former daemon.
    pub orphans: Vec<Orphan>,
    /// What makes the list slower, more fragile or different after a boot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
    /// The daemon is root's, and what root would execute for it can be changed by others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_roots: Option<NotRoots>,
}

impl Pm2Seen {
    /// The daemon, if it answered.
    #[must_use]
    pub fn up(&self) -> Option<&DaemonUp> {
        if let DaemonSeen::Up(up) = &self.daemon { Some(up) } else { None }
    }
}

/// What a daemon answered about itself and its apps, or that none answered.
#[derive(Debug, Clone)]
pub struct Answered {
    daemon: DaemonSeen,
    /// Its apps, modules included.
    pub(super) apps: Vec<App>,
    advice: Vec<Advice>,
    serving: Option<u32>,
}

impl Answered {
    /// Asks at a home. Never fails, starts nothing, changes nothing.
    pub async fn at(at: &Pm2At) -> Self {
        match Rpc::connect(at).await {
            Ok(rpc) => {
                let asked = async { Ok::<_, RpcError>(Self::up(&rpc, up_of(&rpc).await?, rpc.list().await?)) };
                let answered = timeout(LOOK, asked).await.unwrap_or_else(|_| Err(late()));
                answered.unwrap_or_else(|error| Self::silent(dying(error), rpc.peer().pid))
            }
            Err(error) => Self::silent(absent(error), None),
        }
    }

    /// A daemon with its list as it sent it.
    pub(super) fn up(rpc: &Rpc, up: DaemonUp, listing: Listing) -> Self {
        let Listing { apps, adviser, .. } = listing;
        let advice = untried(&up).into_iter().chain(adviser.advice(&up.version, &apps)).collect();
        Self { daemon: DaemonSeen::Up(Box::new(up)), apps, advice, serving: rpc.peer().pid }
    }

    fn silent(daemon: DaemonSeen, serving: Option<u32>) -> Self {
        Self { daemon, apps: Vec::new(), advice: Vec::new(), serving }
    }

    /// The look that it is a part of: the saved list and the processes are looked at now.
    pub async fn beside_files(self, at: &Pm2At) -> Pm2Seen {
        let (home, dump) = (at.home.clone(), at.dump());
        let (asked, serving, daemon) = (at.clone(), self.serving, self.daemon.clone());
        let files = move || {
            let (scan, dump) = match account(&asked).map(|account| account.uid) {
                Ok(uid) => (scan(&home, uid, serving), read_dump(&dump, uid)),
                Err(AccountError::Missing { .. }) => (Scan::default(), DumpSeen::Missing),
                Err(error) => (Scan::default(), DumpSeen::Unreadable { why: tame(&error.to_string(), 600) }),
            };
            (scan, dump, not_roots(&asked, &daemon))
        };
        let files = off_thread::within(FILES, &at.home, files).await;
        let late = |why: String| (Scan::default(), DumpSeen::Unreadable { why: tame(&why, 300) }, None);
        let (scan, dump, not_roots) = files.unwrap_or_else(|error| late(error.to_string()));
        let twins = scan.daemons.into_iter().filter(|pid| Some(*pid) != serving).collect();
        let Self { daemon, apps, advice, .. } = self;
        Pm2Seen { daemon, apps, dump, twins, orphans: scan.orphans, advice, not_roots }
    }
}

/// What root must not execute for a daemon of its own; every other user's runs as that user.
fn not_roots(at: &Pm2At, daemon: &DaemonSeen) -> Option<NotRoots> {
    let up = if let DaemonSeen::Up(up) = daemon { Some(&**up) } else { None };
    Cli::locate(at, up).ok()?.judge().err()
}

/// Looks. Never fails, starts nothing, changes nothing.
pub async fn look(at: &Pm2At) -> Pm2Seen {
    Answered::at(at).await.beside_files(at).await
}

fn late() -> RpcError {
    let method = "getMonitorData";
    RpcError::Unknown { method, why: format!("it did not say who it is and what it runs within {} s", LOOK.as_secs()) }
}

/// It accepts a connection and does not answer.
fn dying(error: RpcError) -> DaemonSeen {
    let why = match error {
        // That a question "may have happened" would only puzzle the reader.
        RpcError::Unknown { method, why } => format!("{method}: {why}"),
        error => error.to_string(),
    };
    DaemonSeen::Dying { why }
}

fn untried(up: &DaemonUp) -> Option<Advice> {
    up.is_unknown_and_used().then(|| Advice {
        seen: format!("PM2 {} is newer than what this program was tried with (4 to 7)", up.version),
        cure: "it has every method that is used; try the runbook on a test host first".to_owned(),
    })
}

fn absent(error: RpcError) -> DaemonSeen {
    match error {
        RpcError::NoSocket(_) => DaemonSeen::Absent { why: AbsentWhy::NoSocket },
        RpcError::Stale(_) => DaemonSeen::Absent { why: AbsentWhy::StaleSocket },
        RpcError::Foreign { .. } | RpcError::Impostor { .. } => DaemonSeen::Foreign { why: error.to_string() },
        RpcError::Denied(_) => DaemonSeen::Denied { why: error.to_string() },
        other => DaemonSeen::Dying { why: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_absent_daemon_stays_absent() {
        let dir = tempfile::tempdir().unwrap();
        let at = Pm2At { user: "no-such-user".into(), home: dir.path().into(), unit: None, cli: None };
        let seen = look(&at).await;
        assert_eq!(seen.daemon, DaemonSeen::Absent { why: AbsentWhy::NoSocket });
        assert_eq!((seen.apps.len(), seen.dump), (0, DumpSeen::Missing));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a look must create nothing");
        drop(std::os::unix::net::UnixListener::bind(at.rpc_socket()).unwrap());
        assert_eq!(look(&at).await.daemon, DaemonSeen::Absent { why: AbsentWhy::StaleSocket });
    }
}
