//! Whether an app came back. PM2's `online` is no proof: it is said of crash loops, of apps that never had a process, and
//! of those that had not become ready in time. Here is the proof, as pure arithmetic on two looks; and the cause, where
//! it is missing.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::app::{App, Exit, Status};
use super::hearing::LOOP;
use super::place::read_end_owned;
use crate::host::foreign::Untrusted;

const SHORTEST_STEADY: u64 = 1_000;
const TAIL_BYTES: u64 = 16 << 10;
/// A start of Redis says a dozen lines before it says anything of interest.
const TAIL_LINES: usize = 200;

/// The answer for one app that is wanted online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Online, with a living process that stayed the same for long enough.
    Back,
    /// Not yet; look again.
    NotYet(String),
    /// It will not come back by itself.
    Gone(Cause),
}

/// Why an app is not back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It starts and ends over and over, or the daemon has given up after that.
    CrashLoop {
        /// Restarts counted.
        restarts: u64,
    },
    /// Dead, and the daemon waits longer and longer before each new try.
    BackingOff {
        /// Milliseconds before the next try.
        next: u64,
    },
    /// Online without ever having had a process: interpreter, binary or working directory is missing.
    Ghost,
    /// `errored` without restarts: it could not be started, or not be ended.
    Errored,
    /// Its process is gone and the daemon does not know, or it ended by a signal.
    Killed,
    /// A one-shot that ended with 0 and is not meant to restart.
    Finished,
    /// It ended and is not meant to restart.
    Exited(Exit),
    /// `autostart: false` keeps it down.
    Autostart,
    /// Another process has its port.
    PortInUse,
    /// Its script or a module of it is not there.
    Missing,
    /// It runs, and never said `ready`.
    NeverReady,
    /// It is not in the list at all.
    Unlisted,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CrashLoop { restarts } => write!(f, "crash loop, {restarts} restarts"),
            Self::BackingOff { next } => write!(f, "dead, backing off, next try in {next} ms"),
            Self::Ghost => f.write_str("online without a process: interpreter, binary or working directory missing"),
            Self::Errored => f.write_str("errored"),
            Self::Killed => f.write_str("its process was killed"),
            Self::Finished => f.write_str("ended with 0 and does not restart"),
            Self::Exited(Exit::Code(code)) => write!(f, "ended with {code} and does not restart"),
            Self::Exited(Exit::Word(word)) => write!(f, "ended by {word} and does not restart"),
            Self::Autostart => f.write_str("autostart: false keeps it down"),
            Self::PortInUse => f.write_str("its port is in use"),
            Self::Missing => f.write_str("its script or a module of it is missing"),
            Self::NeverReady => f.write_str("online, and never said `ready`; it was left running"),
            Self::Unlisted => f.write_str("not in the list of the daemon"),
        }
    }
}

impl Cause {
    /// The cause behind the cause, where the last lines of the error log name it.
    #[must_use]
    pub fn refine(self, log: &[&str]) -> Self {
        let says = |what: &str| log.iter().any(|line| line.contains(what));
        match self {
            Self::CrashLoop { .. } | Self::BackingOff { .. } | Self::Exited(_) | Self::Errored
                if says("EADDRINUSE") =>
            {
                Self::PortInUse
            }
            Self::CrashLoop { .. } | Self::BackingOff { .. } | Self::Exited(_) | Self::Errored
                if says("Cannot find module") || says("MODULE_NOT_FOUND") =>
            {
                Self::Missing
            }
            other => other,
        }
    }
}

/// How long an app that the daemon restarts by itself must be seen as stopped before it counts as given up.
const GIVEN_UP: Duration = Duration::from_secs(3);

/// How long an app's process must stay the same: its `min_uptime`, at least 1 s.
#[must_use]
pub fn steady_for(app: &App) -> Duration {
    Duration::from_millis(app.min_uptime.unwrap_or(0).clamp(SHORTEST_STEADY, 3_600_000))
}

/// Judges an app that is wanted online. `earlier` is the latest former look at it, with the restarts of the first one after it
/// was started; `steady` the time in which its process, its restarts and `alive`, whether that process exists, have stayed the same.
#[must_use]
pub fn back(app: &App, earlier: Option<&App>, alive: bool, steady: Duration) -> Verdict {
    let before = earlier.map_or(app.restarts, |then| then.restarts);
    let more = app.restarts.saturating_sub(before);
    match &app.status {
        Status::Online | Status::OneLaunch => online(app, earlier, alive, steady, more),
        Status::Launching if more >= LOOP => Verdict::Gone(looping(app)),
        Status::Launching => Verdict::NotYet("launching".to_owned()),
        Status::WaitingRestart => {
            let next = app.backoff.unwrap_or(0);
            if more >= LOOP || app.unstable >= LOOP {
                Verdict::Gone(Cause::BackingOff { next })
            } else {
                Verdict::NotYet(format!("dead, next try in {next} ms"))
            }
        }
        Status::Errored if app.restarts > 0 => Verdict::Gone(Cause::CrashLoop { restarts: app.restarts }),
        Status::Errored => Verdict::Gone(Cause::Errored),
        Status::Stopping => Verdict::NotYet("stopping".to_owned()),
        Status::Stopped => stopped(app, earlier, steady),
        Status::Other(word) => Verdict::NotYet(format!("status `{word}`")),
    }
}

/// A loop with a delay is caught running as often as waiting.
#[must_use]
pub fn looping(app: &App) -> Cause {
    app.backoff.map_or(Cause::CrashLoop { restarts: app.restarts }, |next| Cause::BackingOff { next })
}

fn online(app: &App, earlier: Option<&App>, alive: bool, steady: Duration, more: u64) -> Verdict {
    let Some(pid) = app.pid else {
        let ended = app.exit_code.is_some() || app.restarts > 0;
        return Verdict::Gone(if ended { ended_unseen(app) } else { Cause::Ghost });
    };
    if more >= LOOP {
        return Verdict::Gone(looping(app));
    }
    let Some(then) = earlier else {
        return Verdict::NotYet("seen once".to_owned());
    };
    if then.pid != app.pid {
        return Verdict::NotYet(format!("restarted {more} times since it was started"));
    }
    if !alive {
        // The daemon hears of a death at once; one that it has not heard of by the second look it never will.
        return if steady >= Duration::from_millis(SHORTEST_STEADY) {
            Verdict::Gone(ended_unseen(app))
        } else {
            Verdict::NotYet(format!("process {pid} is gone"))
        };
    }
    let needed = steady_for(app);
    if steady >= needed {
        return Verdict::Back;
    }
    Verdict::NotYet(format!("steady for {:.1} of {:.1} s", steady.as_secs_f32(), needed.as_secs_f32()))
}

/// Online without its process. PM2 4 to 6 call an app online again that ended while its `ready` was waited for; how it ended
/// they know all the same. A code of 0 is no answer: they write it for signals, too.
fn ended_unseen(app: &App) -> Cause {
    match &app.exit_code {
        Some(Exit::Code(code)) if *code != 0 && !app.autorestart => Cause::Exited(Exit::Code(*code)),
        _ => Cause::Killed,
    }
}

/// Stopped although wanted: not started yet, or over. An exit counts only if it came after the first look.
fn stopped(app: &App, earlier: Option<&App>, steady: Duration) -> Verdict {
    let ran = earlier.is_some_and(|then| then.pid.is_some() || !matches!(then.status, Status::Stopped));
    match &app.exit_code {
        _ if !app.autostart && !ran => Verdict::Gone(Cause::Autostart),
        _ if !ran => Verdict::NotYet("stopped".to_owned()),
        // Between a death and its restart a busy daemon shows this for a moment; only what stays so has been given up.
        _ if app.autorestart && steady < GIVEN_UP => Verdict::NotYet("ended, its restart is due".to_owned()),
        None => Verdict::Gone(Cause::Killed),
        Some(Exit::Code(0)) => Verdict::Gone(Cause::Finished),
        Some(code) => Verdict::Gone(Cause::Exited(code.clone())),
    }
}

/// The last lines of an app's log: at most 200 out of the last 16 KiB. Empty when the file
/// is not a regular file of user `uid`, because a log path is the app's own word. Blocking.
#[must_use]
pub fn log_tail(path: &Path, uid: u32) -> Vec<Untrusted> {
    let bytes = read_end_owned(path, uid, TAIL_BYTES).unwrap_or_default();
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let first = lines.len().saturating_sub(TAIL_LINES);
    lines.iter().skip(first).map(|line| Untrusted::new(String::from_utf8_lossy(line).into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(status: &str, pid: u32, restarts: u64) -> App {
        App::from_entry(&json!({ "pid": pid, "pm2_env": { "name": "a", "status": status, "restart_time": restarts } }))
    }

    fn gone(verdict: &Verdict) -> Option<&Cause> {
        if let Verdict::Gone(cause) = verdict { Some(cause) } else { None }
    }

    #[test]
    fn back_needs_the_same_living_process_for_long_enough() {
        let (now, second) = (app("online", 9, 0), Duration::from_secs(1));
        assert_eq!(back(&now, Some(&now), true, second), Verdict::Back);
        assert!(matches!(back(&now, None, true, second), Verdict::NotYet(_)));
        assert!(matches!(back(&now, Some(&now), true, second / 2), Verdict::NotYet(_)));
        assert!(matches!(back(&now, Some(&app("online", 8, 0)), true, second), Verdict::NotYet(_)));
        let again = app("online", 9, 1);
        assert!(matches!(back(&again, Some(&now), true, Duration::ZERO), Verdict::NotYet(_)), "restarted just now");
        assert_eq!(back(&again, Some(&now), true, second), Verdict::Back, "it has ended once and is up since");
        assert_eq!(back(&now, Some(&now), false, second), Verdict::Gone(Cause::Killed));
        let slow = App { min_uptime: Some(5000), ..now.clone() };
        assert!(matches!(back(&slow, Some(&slow), true, second * 4), Verdict::NotYet(_)));
        assert_eq!(back(&slow, Some(&slow), true, second * 5), Verdict::Back);
    }

    #[test]
    fn each_way_of_failing_has_its_cause() {
        let second = Duration::from_secs(1);
        let first = app("online", 5, 2);
        let mut backing = app("waiting restart", 0, 9);
        backing.backoff = Some(150);
        let ended = |code: i64| App { exit_code: Some(Exit::Code(code)), autorestart: false, ..app("stopped", 0, 2) };
        let held = App { autostart: false, ..app("stopped", 0, 0) };
        let cases = [
            (app("online", 9, 12), Cause::CrashLoop { restarts: 12 }),
            (app("errored", 0, 15), Cause::CrashLoop { restarts: 15 }),
            (app("errored", 0, 0), Cause::Errored),
            (app("online", 0, 0), Cause::Ghost),
            (app("online", 0, 1), Cause::Killed),
            (App { status: Status::Online, ..ended(4) }, Cause::Exited(Exit::Code(4))),
            (App { status: Status::Online, ..ended(0) }, Cause::Killed),
            (backing, Cause::BackingOff { next: 150 }),
            (ended(0), Cause::Finished),
            (ended(3), Cause::Exited(Exit::Code(3))),
        ];
        for (now, cause) in cases {
            assert_eq!(gone(&back(&now, Some(&first), false, second)), Some(&cause), "{now:?}");
        }
        assert_eq!(gone(&back(&held, None, false, second)), Some(&Cause::Autostart));
        assert!(matches!(back(&ended(1), None, false, second), Verdict::NotYet(_)), "that exit was before the start");
    }

    #[test]
    fn a_moment_between_death_and_restart_is_no_end() {
        let first = app("online", 5, 2);
        let now = App { exit_code: Some(Exit::Code(1)), ..app("stopped", 0, 2) };
        assert!(matches!(back(&now, Some(&first), false, Duration::from_secs(1)), Verdict::NotYet(_)));
        let cause = Cause::Exited(Exit::Code(1));
        assert_eq!(gone(&back(&now, Some(&first), false, GIVEN_UP)), Some(&cause), "it stayed so");
    }

    #[test]
    fn logs_refine_causes() {
        let log = ["Error: listen EADDRINUSE: address already in use :::3000"];
        assert_eq!(Cause::CrashLoop { restarts: 3 }.refine(&log), Cause::PortInUse);
        assert_eq!(Cause::Errored.refine(&["Error: Cannot find module '/x.js'"]), Cause::Missing);
        assert_eq!(Cause::Ghost.refine(&log), Cause::Ghost);
    }

    #[test]
    fn log_tails_are_bounded_and_as_they_came() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.log");
        std::fs::write(&path, format!("{}\n\x1b[31mred\x1b[0m\nlast", "x\n".repeat(50_000))).unwrap();
        let me = rustix::process::geteuid().as_raw();
        let tail = log_tail(&path, me);
        assert_eq!(tail.len(), TAIL_LINES);
        assert_eq!(tail.last().map(Untrusted::raw), Some("last"));
        assert_eq!(tail[TAIL_LINES - 2].shown(80), "\\u{1b}[31mred\\u{1b}[0m");
        assert!(log_tail(&path, me + 1).is_empty());
    }
}
