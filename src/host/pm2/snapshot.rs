//! Our own record of what a daemon ran, taken once before anything is touched. It holds every setting and environment
//! (so: mode 0600, hashed, never shown), because PM2's own saved list is rewritten by shutdowns and lost by crashes.
//!
//! Write-once: a finished snapshot is never replaced, since a second one taken after the stop would record an empty
//! house. The untouched `dump.pm2` is laid beside it first, so that the snapshot's appearance means both are there.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::app::{App, Status};
use super::daemon::DaemonSeen;
use super::dump::{DUMP_MAX, DumpSeen, read_dump};
use super::listing::Listing;
use super::look::{Pm2Seen, look};
use super::place::{AccountError, Pm2At, account_of, open_owned};
use super::record::{FORMAT, Head, file_error, write_once};
pub use super::record::{Snapshot, open, read, unaltered};
use super::rpc::{Rpc, RpcError};
use crate::host::foreign::{Shown, tame};
use crate::host::off_thread;
use crate::host::planted::{Bug, planted};
use crate::host::span::listed as numbers;

/// Name of the snapshot in its directory.
pub const FILE: &str = "pm2.snapshot.json";
/// Name of the copy of PM2's own list beside it.
pub const DUMP_COPY: &str = "dump.pm2.orig";

/// How long a list of some megabytes may take to be copied and synced.
const COPY: Duration = Duration::from_secs(30);
const LOOKS: usize = 8;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What the caller knows and a daemon does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// When, RFC 3339.
    pub taken_at: String,
    /// Host name, machine id, boot id and whatever else identifies the machine.
    pub machine: BTreeMap<String, String>,
    /// No apps at all is what is expected.
    pub expect_empty: bool,
    /// Fewest apps acceptable. Without it, PM2's saved list says how many: fewer than were saved is suspicious.
    pub at_least: Option<usize>,
}

/// A finished snapshot: what may be journaled and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// Every app that is not a module, without environment.
    pub apps: Vec<App>,
    /// The daemon's version.
    pub version: String,
    /// Whether PM2's own list was there and copied.
    pub dump_copied: bool,
    /// What does not prevent a snapshot and should be known.
    pub warnings: Vec<String>,
    /// When it was taken, in milliseconds since the epoch: how old each process was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_ms: Option<i64>,
}

/// Why there is no snapshot, or why one is not believed.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// One exists.
    #[error("{0} exists already; a snapshot is written once")]
    Exists(PathBuf),
    /// The daemon does not answer.
    #[error("PM2 does not answer at {home}: {why}")]
    NotUp {
        /// `PM2_HOME`.
        home: PathBuf,
        /// What was seen.
        why: String,
    },
    /// More than one daemon has this home; the list is only the part of one of them.
    #[error("processes {} are further PM2 daemons of the same home; end them or merge their apps first", numbers(.0))]
    Twins(Vec<u32>),
    /// Apps keep being in a state that passes.
    #[error("still in transition after several looks: {}; wait or settle them by hand", .0.join(", "))]
    InTransition(Vec<String>),
    /// Apps listed as online without a process.
    #[error("listed as online without a process: {}; check interpreter and working directory, then restart or stop them", .0.join(", "))]
    Ghosts(Vec<String>),
    /// Nothing to record.
    #[error("the daemon lists no apps; say so if that is expected")]
    Empty,
    /// Fewer apps than there should be.
    #[error("the daemon lists {have} apps, {expected} expected{}; run `pm2 save` if this is right",
            if missing.is_empty() { String::new() } else { format!(" (missing: {})", missing.join(", ")) })]
    Shrunken {
        /// Listed now.
        have: usize,
        /// By the terms or the saved list.
        expected: usize,
        /// Names that were saved and are not listed, at most 20.
        missing: Vec<String>,
    },
    /// The user is not clear.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The daemon failed while it was asked.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// PM2's own list cannot be copied safely.
    #[error("cannot copy {path} aside: {why}")]
    Dump {
        /// The list.
        path: PathBuf,
        /// Reason.
        why: Shown,
    },
    /// A file could not be written or read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not the one that was taken.
    #[error("{path}: not the snapshot that was taken (sha256 {found}, expected {expected})")]
    Altered {
        /// The file.
        path: PathBuf,
        /// Hash of what is there.
        found: String,
        /// Hash recorded.
        expected: String,
    },
    /// Not a snapshot, or of another version of this program.
    #[error("{path}: not a snapshot of format {FORMAT}: {why}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Reason.
        why: String,
    },
}

/// Records the daemon at `at` into `dir` (which exists, is ours and holds one daemon's files only).
///
/// # Errors
/// [`SnapshotError`]; then no snapshot exists.
pub async fn take(at: &Pm2At, dir: &Path, terms: &Terms) -> Result<SnapshotRef, SnapshotError> {
    let path = dir.join(FILE);
    if path.symlink_metadata().is_ok() {
        return Err(SnapshotError::Exists(path));
    }
    let uid = account_of(at).await?.uid;
    let seen = look(at).await;
    let version = check_daemon(at, &seen)?;
    let (rpc, listing) = settled(at, dir).await?;
    let Listing { apps, adviser, kept, .. } = listing;
    let (path_of_dump, asked) = (at.dump(), at.dump());
    let late = |error: io::Error| SnapshotError::Dump { path: at.dump(), why: tame(&error.to_string(), 200) };
    let saved = off_thread::within(off_thread::DISK, &path_of_dump, move || read_dump(&asked, uid)).await;
    check_count(&apps, &saved.map_err(late)?, terms)?;
    let (asked, into) = (at.clone(), dir.to_owned());
    let copied = off_thread::within(COPY, &path_of_dump, move || copy_dump(&asked, uid, &into)).await;
    let dump_copied = copied.map_err(late)??;
    let head = Head {
        format: FORMAT,
        taken_at: terms.taken_at.clone(),
        machine: terms.machine.clone(),
        user: at.user.clone(),
        home: at.home.clone(),
        unit: at.unit.clone(),
        daemon_version: version.clone(),
        daemon_pid: rpc.peer().pid,
        daemon_uid: rpc.peer().uid,
        entries: [],
    };
    let warnings = adviser.advice(&version, &apps).into_iter().map(|one| one.seen).collect();
    let entries = kept.ok_or_else(|| file_error(&path, io::Error::other("the list was not kept")))?;
    let sha256 = write_once(dir, FILE, |to| head.write_to(&entries, to)).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => SnapshotError::Exists(path.clone()),
        _ => file_error(&path, error),
    })?;
    let taken_ms = terms.taken_at.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond());
    Ok(SnapshotRef { sha256, path, apps, version, dump_copied, warnings, taken_ms })
}

fn check_daemon(at: &Pm2At, seen: &Pm2Seen) -> Result<String, SnapshotError> {
    let not_up = |why: String| SnapshotError::NotUp { home: at.home.clone(), why };
    match &seen.daemon {
        DaemonSeen::Up(_) if !seen.twins.is_empty() => Err(SnapshotError::Twins(seen.twins.clone())),
        DaemonSeen::Up(up) => Ok(up.version.clone()),
        DaemonSeen::Absent { why } => Err(not_up(why.to_string())),
        DaemonSeen::Denied { why } | DaemonSeen::Foreign { why } | DaemonSeen::Dying { why } => {
            Err(not_up(why.clone()))
        }
    }
}

/// The list without modules, in the order of numbers, once nothing in it is passing.
async fn settled(at: &Pm2At, dir: &Path) -> Result<(Rpc, Listing), SnapshotError> {
    let rpc = Rpc::connect_keeping(at, Some(dir.to_owned())).await?;
    let mut passing = Vec::new();
    for look in 0..LOOKS {
        if look > 0 {
            super::pause(BETWEEN_LOOKS).await;
        }
        let mut listing = rpc.list().await?;
        listing.retain(|app| !app.module);
        let listed = &listing.apps;
        let name_of = |wanted: fn(&App) -> bool| -> Vec<String> {
            listed.iter().filter(|app| wanted(app)).map(|app| app.key.name.clone()).collect()
        };
        let ghosts = name_of(App::is_ghost);
        passing = name_of(|app| app.in_transition() || matches!(app.status, Status::Other(_)));
        if passing.is_empty() && ghosts.is_empty() {
            return Ok((rpc, listing));
        }
        // A ghost does not pass; a start in progress may look like one for a moment.
        if passing.is_empty() && look >= 2 {
            return Err(SnapshotError::Ghosts(ghosts));
        }
    }
    Err(SnapshotError::InTransition(passing))
}

fn check_count(apps: &[App], dump: &DumpSeen, terms: &Terms) -> Result<(), SnapshotError> {
    let saved = dump.entries();
    let expected = terms.at_least.unwrap_or(if terms.expect_empty { 0 } else { saved.len() });
    if apps.len() < expected && !planted(Bug::PartialSave) {
        let listed = |name: &str| apps.iter().any(|app| app.key.name == name);
        let missing = saved.iter().filter(|entry| !listed(&entry.name)).map(|entry| entry.name.clone()).take(20);
        return Err(SnapshotError::Shrunken { have: apps.len(), expected, missing: missing.collect() });
    }
    if apps.is_empty() && !terms.expect_empty && !planted(Bug::EmptySave) { Err(SnapshotError::Empty) } else { Ok(()) }
}

/// Leaves out a list that is not there. An older copy without a snapshot is from an attempt that did not finish.
fn copy_dump(at: &Pm2At, uid: u32, dir: &Path) -> Result<bool, SnapshotError> {
    let path = at.dump();
    let unsafe_to_copy =
        |error: io::Error| SnapshotError::Dump { path: path.clone(), why: tame(&error.to_string(), 200) };
    let file = match open_owned(&path, uid) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unsafe_to_copy(error)),
    };
    if file.metadata().map_err(unsafe_to_copy)?.len() > DUMP_MAX {
        return Err(unsafe_to_copy(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large")));
    }
    let copy = dir.join(DUMP_COPY);
    match std::fs::remove_file(&copy) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(&copy, error)),
        _ => {}
    }
    let copied = write_once(dir, DUMP_COPY, |to| io::copy(&mut file.take(DUMP_MAX), to).map(drop));
    copied.map_err(|error| file_error(&copy, error))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shrunken_list_is_refused() {
        let dump = super::super::dump::parse_dump(br#"[{"name":"a"},{"name":"b"}]"#);
        let one = [App::from_pm2_env(&serde_json::json!({ "name": "a", "status": "online" }))];
        let error = check_count(&one, &dump, &Terms::default()).unwrap_err();
        assert!(error.to_string().contains("1 apps, 2 expected (missing: b)"), "{error}");
        let told = Terms { at_least: Some(1), ..Terms::default() };
        assert!(check_count(&one, &dump, &told).is_ok());
        assert!(matches!(check_count(&[], &DumpSeen::Missing, &Terms::default()), Err(SnapshotError::Empty)));
        assert!(check_count(&[], &dump, &Terms { expect_empty: true, ..Terms::default() }).is_ok());
    }
}
