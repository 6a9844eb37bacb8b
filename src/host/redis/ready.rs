//! May others rely on this instance? Pure judgement of one look; every reason is named, not only the first.
//!
//! One look is not enough for a gate: a replica that answered PONG with its old data goes back to loading when the master's
//! copy arrives. Ask for the same answer a few times in a row.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::door::Door;
use super::seen::{RedisFacts, RedisSeen, Role, ServerName};
use super::size::{count, part_of};
use crate::host::planted::{Bug, planted};

/// What is wanted of an instance.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The planned role; `None` takes either (a replica must still be in sync).
    pub role: Option<RoleWanted>,
    /// Keys per database before the restart; `None` when never counted, and then an empty instance passes.
    pub keys_before: Option<&'a BTreeMap<u32, u64>>,
    /// The share of them that must be there again, 0 to 1; below 1 where keys expire. A database that had keys must have some.
    pub keys_at_least: f64,
    /// Whether append-only persistence must be on (or off).
    pub aof: Option<bool>,
}

/// A planned role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleWanted {
    /// Takes writes.
    Master,
    /// Follows a master.
    Replica,
}

/// One reason not to rely on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    /// It does not answer PING with PONG.
    Door(Door),
    /// Reading its files, or the master's copy.
    Loading {
        /// Bytes read.
        loaded_bytes: u64,
        /// Bytes to read; 0 when not known.
        total_bytes: u64,
    },
    /// A replica reads a new data set beside the old one.
    AsyncLoading,
    /// Something needed for a verdict was not seen.
    Unseen {
        /// What and why.
        what: String,
    },
    /// The other role.
    Role {
        /// The role it has, in words.
        is: String,
        /// The planned one.
        wanted: RoleWanted,
    },
    /// A replica without its master.
    LinkDown {
        /// The master's address.
        master: String,
    },
    /// A replica that receives the data set; what it has is old.
    Syncing {
        /// Percent of the transfer, where known.
        percent: Option<f64>,
    },
    /// A database has lost keys.
    Keys {
        /// Its number.
        db: u32,
        /// Keys now.
        now: u64,
        /// Keys before the restart.
        before: u64,
    },
    /// Append-only persistence is not as planned.
    Aof {
        /// Whether it is on.
        on: bool,
    },
    /// The last write to the append-only file failed.
    LastWriteFailed,
}

impl fmt::Display for RoleWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Replica => "replica",
        })
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Door(door) => write!(f, "redis {door}"),
            Self::Loading { loaded_bytes, total_bytes: 0 } => {
                write!(f, "loading ({} so far)", super::size::bytes(*loaded_bytes))
            }
            Self::Loading { loaded_bytes, total_bytes } => {
                // Never shown as complete while it still loads.
                let percent = (*loaded_bytes as f64 / *total_bytes as f64 * 100.0).min(99.0);
                write!(f, "loading {percent:.0} % ({})", part_of(*loaded_bytes, *total_bytes))
            }
            Self::AsyncLoading => f.write_str("loading the master's copy beside the old data"),
            Self::Unseen { what } => write!(f, "not seen: {what}"),
            Self::Role { is, wanted } => write!(f, "role is {is}, wanted {wanted}"),
            Self::LinkDown { master } => write!(f, "link to master {master} is down"),
            Self::Syncing { percent: Some(percent) } => write!(f, "copying from the master, {percent:.0} %"),
            Self::Syncing { percent: None } => f.write_str("copying from the master"),
            Self::Keys { db, now, before } => {
                write!(f, "db{db} has {} keys, {} before", count(*now), count(*before))
            }
            Self::Aof { on: true } => f.write_str("append-only persistence is on, wanted off"),
            Self::Aof { on: false } => f.write_str("append-only persistence is off, wanted on"),
            Self::LastWriteFailed => f.write_str("the last write to the append-only file failed"),
        }
    }
}

/// Judges one look.
///
/// # Errors
/// Every reason against it, the most fundamental first; never empty.
pub fn ready(seen: &RedisSeen, wanted: &Wanted<'_>) -> Result<(), Vec<NotReady>> {
    let mut against = Vec::new();
    let loading = seen.facts.as_ref().and_then(|facts| facts.loading.as_ref());
    match (&seen.door, loading) {
        (_, Some(_)) if planted(Bug::LoadingReady) => {}
        (_, Some(loading)) => {
            against.push(NotReady::Loading { loaded_bytes: loading.loaded_bytes, total_bytes: loading.total_bytes })
        }
        (Door::Open, None) => {}
        (door, None) => against.push(NotReady::Door(door.clone())),
    }
    match &seen.facts {
        Some(facts) => judge(seen, facts, wanted, &mut against),
        None if against.is_empty() => against.push(unseen(seen, "INFO")),
        None => {}
    }
    if against.is_empty() { Ok(()) } else { Err(against) }
}

fn judge(seen: &RedisSeen, facts: &RedisFacts, wanted: &Wanted<'_>, against: &mut Vec<NotReady>) {
    if facts.async_loading {
        against.push(NotReady::AsyncLoading);
    }
    role(seen, facts, wanted.role, against);
    if facts.server.name == ServerName::Tile38 {
        return; // it tells neither keys nor persistence in a way that could be compared
    }
    // While loading the counts grow; they are no reason of their own then.
    if facts.loading.is_none() {
        keys(facts, wanted, against);
    }
    match &facts.aof {
        Some(aof) => {
            if facts.loading.is_none() && wanted.aof.is_some_and(|on| on != aof.enabled) {
                against.push(NotReady::Aof { on: aof.enabled });
            }
            if aof.enabled && !aof.last_write_ok {
                against.push(NotReady::LastWriteFailed);
            }
        }
        None => against.push(unseen(seen, "INFO persistence")),
    }
}

fn role(seen: &RedisSeen, facts: &RedisFacts, wanted: Option<RoleWanted>, against: &mut Vec<NotReady>) {
    match (&facts.role, wanted) {
        // ROLE may be forbidden to a user that only asks for a PONG; then only a wish for a role is unanswered. Without
        // one a replica could not be told from a master either, so for Redis it stays a reason.
        (None, None) if facts.server.name == ServerName::Tile38 => {}
        (None, _) => against.push(unseen(seen, "ROLE")),
        (Some(Role::Master { .. }), Some(RoleWanted::Replica)) => {
            against.push(NotReady::Role { is: "master".to_owned(), wanted: RoleWanted::Replica });
        }
        (Some(Role::Master { .. }), _) => {}
        (Some(Role::Replica { master_host, master_port, link_up, sync_in_progress, master_sync_perc }), wanted) => {
            let master = format!("{master_host}:{master_port}");
            if wanted == Some(RoleWanted::Master) {
                against.push(NotReady::Role { is: format!("replica of {master}"), wanted: RoleWanted::Master });
            } else if *sync_in_progress {
                against.push(NotReady::Syncing { percent: *master_sync_perc });
            } else if !link_up {
                against.push(NotReady::LinkDown { master });
            }
        }
    }
}

fn keys(facts: &RedisFacts, wanted: &Wanted<'_>, against: &mut Vec<NotReady>) {
    for (&db, &before) in wanted.keys_before.into_iter().flatten() {
        let now = facts.keys.get(&db).copied().unwrap_or(0);
        let enough = now as f64 >= before as f64 * wanted.keys_at_least;
        if before > 0 && (now == 0 || !enough) && !planted(Bug::KeysIgnored) {
            against.push(NotReady::Keys { db, now, before });
        }
    }
}

fn unseen(seen: &RedisSeen, what: &str) -> NotReady {
    let why = seen.unseen.iter().find(|unseen| what.starts_with(&unseen.what)).map(|unseen| unseen.why.as_str());
    NotReady::Unseen { what: why.map_or_else(|| what.to_owned(), |why| format!("{what}, {why}")) }
}
