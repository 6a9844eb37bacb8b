//! A daemon's life as a whole: up, its list saved, down. These go through the `pm2` script and are checked afterwards
//! through socket, `/proc` and file.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::app::App;
use super::cli::{Cli, RunBy, START};
use super::daemon::{DaemonSeen, DaemonUp, up_of};
use super::dump::{DumpEntry, DumpSeen, read_dump};
use super::look::{Answered, look};
use super::place::{Pm2At, account_of, open_owned};
use super::procs::alive;
use super::rpc::Rpc;
use super::steer::SteerError;
use crate::host::off_thread;
use crate::host::span::listed as numbers;

const SAVE: Duration = Duration::from_secs(30);
/// Saves until file and list are alike, at most.
const SAVES: usize = 3;
const START_WITHIN: Duration = Duration::from_secs(60);
const KILL: Duration = Duration::from_secs(60);
const LOOKS: usize = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
const ENDING_LOOKS: usize = 60;
const ENDING_LOOK: Duration = Duration::from_millis(50);

/// Starts a daemon at a home that has no unit, with its modules and no apps. One that is up is left alone.
///
/// Started by process 1, the new daemon has a unit of its own; as a child it belongs to the caller's control group and goes
/// down when that unit is stopped.
///
/// # Errors
/// [`SteerError::UseUnit`], [`SteerError::NoCli`], [`SteerError::Cli`], [`SteerError::NotDone`].
pub async fn ensure_daemon(at: &Pm2At, by: &RunBy) -> Result<DaemonUp, SteerError> {
    let seen = look(at).await;
    match &seen.daemon {
        DaemonSeen::Up(up) => return Ok((**up).clone()),
        DaemonSeen::Absent { .. } => {}
        DaemonSeen::Denied { why } | DaemonSeen::Foreign { why } | DaemonSeen::Dying { why } => {
            return Err(not_done("start the daemon", why));
        }
    }
    if let Some(unit) = &at.unit {
        return Err(SteerError::UseUnit(unit.clone()));
    }
    // A second daemon on the same home would split the list between the two.
    if !seen.twins.is_empty() {
        return Err(not_done(
            "start the daemon",
            &format!("processes {} are daemons without a socket", numbers(&seen.twins)),
        ));
    }
    let said = located(at, None).await?.run(by, START, START_WITHIN).await?;
    for _ in 0..LOOKS {
        if let DaemonSeen::Up(up) = look(at).await.daemon {
            return Ok(*up);
        }
        super::pause(BETWEEN_LOOKS).await;
    }
    Err(not_done("start the daemon", &said))
}

/// A list that was saved, and what it was compared with.
#[derive(Debug)]
pub struct Saved {
    /// PM2's file.
    pub dump: DumpSeen,
    /// The daemon and its list, asked for after that.
    pub answered: Answered,
}

/// `pm2 save`, synced, and compared entry by entry with the daemon's list.
///
/// # Errors
/// [`SteerError::NothingToSave`], [`SteerError::Cli`], [`SteerError::NotDone`] when the file is not what is listed.
pub async fn save(at: &Pm2At, by: &RunBy) -> Result<Saved, SteerError> {
    let mut why = String::new();
    // A clock of an app, or its death, may change the list between the save and the look.
    for again in 0..SAVES {
        if again > 0 {
            super::pause(BETWEEN_LOOKS).await;
        }
        match save_once(at, by).await? {
            Ok(saved) => return Ok(saved),
            Err(differs) => why = differs,
        }
    }
    Err(not_done("save", &why))
}

/// One save; the inner error says how the file and the list differ.
async fn save_once(at: &Pm2At, by: &RunBy) -> Result<Result<Saved, String>, SteerError> {
    let uid = account_of(at).await?.uid;
    let rpc = Rpc::connect(at).await?;
    let up = up_of(&rpc).await?;
    let said = located(at, Some(&up)).await?.run(by, "save", SAVE).await?;
    // PM2 does not sync; what follows may be a power-off.
    let (path, asked) = (at.dump(), at.dump());
    let files = move || (open_owned(&asked, uid).and_then(|file| file.sync_all()), read_dump(&asked, uid));
    let (synced, dump) = match off_thread::within(SAVE, &path, files).await {
        Ok(files) => files,
        Err(late) => return Err(not_done("save", &late.to_string())),
    };
    let answered = Answered::up(&rpc, up, rpc.list().await?);
    let listed = &answered.apps;
    // PM2 itself leaves its file alone then.
    if listed.iter().all(|app| app.module) {
        return Err(SteerError::NothingToSave);
    }
    if let Err(error) = synced {
        return Err(not_done("save", &format!("{}: {error}; {said}", at.dump().display())));
    }
    let (have, want) = (tally_dump(dump.entries()), tally_apps(listed));
    if have == want {
        return Ok(Ok(Saved { dump, answered }));
    }
    let wrong = want.iter().chain(&have).find(|(entry, _)| have.get(*entry) != want.get(*entry));
    let which = wrong.map_or_else(String::new, |((_, name, _), _)| format!(", first difference at app `{name}`"));
    let (saved, listed) = (have.values().sum::<usize>(), want.values().sum::<usize>());
    Ok(Err(format!("{saved} saved, {listed} listed{which}; {said}")))
}

/// `pm2 kill`: stops what runs, then the daemon. Absent is done.
///
/// # Errors
/// [`SteerError::Unknown`] when the script hung and the daemon is still there; [`SteerError::NotDone`] when it ended and
/// the daemon did not.
pub async fn kill_daemon(at: &Pm2At, by: &RunBy) -> Result<(), SteerError> {
    let seen = look(at).await;
    let up = match &seen.daemon {
        DaemonSeen::Absent { .. } => return Ok(()),
        DaemonSeen::Up(up) => up,
        DaemonSeen::Denied { why } | DaemonSeen::Foreign { why } | DaemonSeen::Dying { why } => {
            return Err(not_done("kill the daemon", why));
        }
    };
    if up.is_runtime() {
        return Err(SteerError::Runtime);
    }
    let said = located(at, Some(up)).await?.run(by, "kill", KILL).await;
    for _ in 0..LOOKS {
        let absent = Rpc::connect(at).await.is_err();
        if absent && !up.pid.is_some_and(alive) {
            return Ok(());
        }
        super::pause(BETWEEN_LOOKS).await;
    }
    let what = "kill the daemon".to_owned();
    match said {
        Ok(said) => Err(not_done(&what, &format!("it still runs; {said}"))),
        Err(error) => Err(SteerError::Unknown { what, why: error.to_string() }),
    }
}

/// Ends a process that a former daemon of this home left behind: asked to as its daemon would have asked, killed after 3 s.
/// Gone is done.
///
/// # Errors
/// [`SteerError::NotDone`] when it is no orphan of this home, may not be signalled, or does not end.
pub async fn end_orphan(at: &Pm2At, pid: u32) -> Result<(), SteerError> {
    let what = format!("end process {pid}");
    let refused = |saw: &dyn std::fmt::Display| not_done(&what, &saw.to_string());
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    // Held from before the look, so that the signal reaches the process that was looked at and no other with its number.
    let held = match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(held) => held,
        Err(Errno::SRCH) => return Ok(()),
        Err(error) => return Err(refused(&error)),
    };
    if !look(at).await.orphans.iter().any(|orphan| orphan.pid == pid) {
        return if alive(pid) { Err(refused(&"it is not left from a former daemon of this home")) } else { Ok(()) };
    }
    for signal in [Signal::INT, Signal::KILL] {
        match pidfd_send_signal(&held, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(refused(&error)),
        }
        for _ in 0..ENDING_LOOKS {
            if !alive(pid) {
                return Ok(());
            }
            super::pause(ENDING_LOOK).await;
        }
    }
    Err(refused(&"it still runs"))
}

/// [`Cli::locate`] off the thread that runs timers and signals: it looks for files of the app's user.
async fn located(at: &Pm2At, up: Option<&DaemonUp>) -> Result<Cli, SteerError> {
    let (asked, up) = (at.clone(), up.cloned());
    let found = off_thread::within(off_thread::DISK, &at.home, move || Cli::locate(&asked, up.as_ref())).await;
    found.unwrap_or_else(|late| Err(not_done("find the pm2 script", &late.to_string())))
}

fn not_done(what: &str, saw: &str) -> SteerError {
    SteerError::NotDone { what: what.to_owned(), saw: saw.to_owned() }
}

/// Entries by namespace, name and whether they are down; finer states change between a save and a list.
type Tally = BTreeMap<(String, String, bool), usize>;

fn tally_dump(entries: &[DumpEntry]) -> Tally {
    tally(entries.iter().map(|entry| (entry.namespace.clone(), entry.name.clone(), entry.status.is_down())))
}

fn tally_apps(apps: &[App]) -> Tally {
    let own = apps.iter().filter(|app| !app.module);
    tally(own.map(|app| (app.key.namespace.clone(), app.key.name.clone(), app.is_down())))
}

fn tally(keys: impl Iterator<Item = (String, String, bool)>) -> Tally {
    let mut tally = Tally::new();
    for key in keys {
        *tally.entry(key).or_insert(0) += 1;
    }
    tally
}
