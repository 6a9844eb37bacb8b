//! What a command leaves behind when it cannot do its work: an exit code, the reason, and the next thing to type.
use std::backtrace::BacktraceStatus;
use std::sync::mpsc;
use std::time::Duration;

use crate::execute::ExecuteError;
use crate::execute::dress::DressError;
use crate::execute::stop::Urge;
use crate::host::facts::FactsError;
use crate::host::foreign::tame;
use crate::journal::lock::LockError;
use crate::journal::ownership::NotOurs;
use crate::journal::store::StoreError;
use crate::journal::{FileError, JournalError};
use crate::report::{Out, Style, call, offer, word};

/// Exit codes; a code is never given a second meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; a plan fits.
    Done = 0,
    /// A step or gate failed; the journal is intact.
    Failed = 1,
    /// Wrong command line (clap's own code).
    Usage = 2,
    /// The runbook is invalid.
    Invalid = 3,
    /// A probe failed, so the plan is incomplete.
    Unforeseen = 4,
    /// A check before the first change said no.
    Refused = 5,
    /// Outside the window, or too long for it.
    Window = 6,
    /// The saved plan is out of date.
    Stale = 7,
    /// Another run holds the host.
    Held = 8,
    /// An answer is needed and nobody is there to give it.
    NeedsAnswer = 9,
    /// There are changes; only with `--detailed-exitcode`.
    Changes = 10,
    /// Done with tolerated losses, or with something that came back differently; only with `--detailed-exitcode`.
    Losses = 11,
    /// Backed out, and everything was brought back.
    BackedOut = 12,
    /// Backed out, with named losses or doubts.
    BackedOutLosses = 13,
    /// Backing out has not brought services back; the run is not over.
    NotBack = 14,
    /// Paused on request.
    Paused = 20,
    /// Waiting for a reboot or an operator.
    Waiting = 21,
    /// The journal is damaged or refused.
    Damaged = 30,
    /// The state directory cannot be read or written.
    Storage = 31,
    /// A bug of this program.
    Bug = 70,
    /// Left at the second Ctrl-C.
    HardStop = 130,
    /// Terminated after a checkpoint.
    Terminated = 143,
}

impl Exit {
    /// Every code with its meaning, for the long help and the man page.
    pub const TABLE: [(Self, &'static str); 22] = [
        (Self::Done, "done; plan: fits"),
        (Self::Failed, "a step or gate failed; the journal is intact, `resume` possible"),
        (Self::Usage, "wrong command line"),
        (Self::Invalid, "invalid runbook"),
        (Self::Unforeseen, "a probe failed, so the plan is incomplete"),
        (Self::Refused, "a preflight check said no; nothing was changed"),
        (Self::Window, "outside the window, or too long for it"),
        (Self::Stale, "the saved plan is stale"),
        (Self::Held, "another run holds the host"),
        (Self::NeedsAnswer, "needs an answer, and there is no terminal"),
        (Self::Changes, "only with --detailed-exitcode: there are changes"),
        (
            Self::Losses,
            "only with --detailed-exitcode: done, with tolerated losses, or with something that came back differently",
        ),
        (Self::BackedOut, "backed out: services were brought back, nothing is missing"),
        (Self::BackedOutLosses, "backed out, with losses or doubts, which are named"),
        (Self::NotBack, "backing out has NOT brought services back; `resume` goes on with it"),
        (Self::Paused, "paused on request"),
        (Self::Waiting, "waiting for a reboot or an operator"),
        (Self::Damaged, "journal damaged or refused"),
        (Self::Storage, "storage failed"),
        (Self::Bug, "a bug of this program"),
        (Self::HardStop, "hard stop by the second Ctrl-C"),
        (Self::Terminated, "terminated after a checkpoint"),
    ];

    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The table as text.
    #[must_use]
    pub fn table() -> String {
        let line = |(exit, meaning): &(Self, &str)| format!("{:>5}  {meaning}\n", exit.code());
        format!("Exit codes:\n{}", Self::TABLE.iter().map(line).collect::<String>())
    }
}

/// Panics speak through the filter for secrets, and not at all when nobody can hear them: the standard hook would panic again
/// on a dead terminal.
pub(super) fn guard_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let said = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let trace = std::backtrace::Backtrace::capture();
        let trace = match trace.status() {
            BacktraceStatus::Captured => trace.to_string(),
            _ => String::new(),
        };
        let sink = Out::stderr(Style::PLAIN);
        sink.line(&format!("runbook: a bug of this program, at {place}: {}", tame(&said, 2000)));
        sink.print(&trace);
        sink.line("  what was done is on record, and nothing was begun since");
        sink.line(&format!("  {}", offer("status", "where a run stands, and what can be typed next")));
    }));
}

/// Ends the process when it was asked to leave and a call to the system keeps the run from hearing of it. That call may be the
/// one that writes to the terminal, so the reason is told from a thread that is not waited for for long.
pub(super) fn left_stuck(urge: Urge) {
    const TELLING: Duration = Duration::from_secs(1);
    let exit = if urge == Urge::Now { Exit::HardStop } else { Exit::Terminated };
    let (told, heard) = mpsc::channel();
    let tell = move || {
        let sink = Out::stderr(Style::PLAIN);
        sink.line("runbook: left without a checkpoint: a call to the system does not come back (a disk or terminal that hangs?)");
        sink.line("  what was done is on record; what was under way is settled by evidence");
        sink.line(&format!("  {}", offer("status", "where the run stands")));
        sink.line(&format!("  {}", offer("resume", "goes on with it")));
        let _nobody_waits = told.send(());
    };
    if std::thread::Builder::new().spawn(tell).is_ok() {
        let _late = heard.recv_timeout(TELLING);
    }
    std::process::exit(exit.code().into());
}

/// Why a command ends without its result.
#[derive(Debug)]
pub struct Failure {
    /// How the program exits.
    pub exit: Exit,
    /// The reason.
    pub error: anyhow::Error,
    /// What to do about it, as something to type where possible.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with its reason.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), hint: None }
    }

    /// A failure whose reason is a sentence.
    pub fn say(exit: Exit, text: impl Into<String>) -> Self {
        Self::new(exit, anyhow::Error::msg(text.into()))
    }

    /// What is wrong with one run, told with the way out of it.
    pub(super) fn of_run(error: StoreError) -> Self {
        match error {
            StoreError::File(error) if error.is_of_the_file() => Self::spoilt(error),
            error => error.into(),
        }
    }

    /// A file of a run is missing, refused or none: the run cannot be gone on with as it lies there.
    fn spoilt(error: impl Into<anyhow::Error>) -> Self {
        let doctor = offer("doctor", "looks at the place where runs are kept");
        let out = abandon("sets the run aside and frees the host");
        Self::new(Exit::Damaged, error).hint(format!("{doctor}\n  {out}"))
    }

    /// The system gives this process too few descriptors or threads to begin with.
    #[must_use]
    pub fn starved(error: std::io::Error) -> Self {
        let cure = "nothing was done: the system gives this process too little (ulimit -n, ulimit -u)";
        Self::new(Exit::Bug, error).hint(cure)
    }

    /// The same failure with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The reason with everything below it, on one line. Causes that the line above has told already are left out.
    #[must_use]
    pub fn reason(&self) -> String {
        self.error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
            "" => cause,
            told if told.contains(&cause) => text,
            _ => format!("{text}: {cause}"),
        })
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Self::new(Exit::Held, error).hint(call("status")),
            LockError::AtWork { ref path, ref pids, .. } => {
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                let end = if pids.is_empty() { String::new() } else { format!("\n  kill {}", pids.join(" ")) };
                let hint = format!(
                    "wait for it, or end it:{end}\n  if it is a daemon that is meant to stay:\n  rm {}",
                    word(&path.to_string_lossy())
                );
                Self::new(Exit::Held, error).hint(hint)
            }
            LockError::Refused { ref path, .. } => {
                let hint = format!("look who made it, then take it away:\n  rm {}", word(&path.to_string_lossy()));
                Self::new(Exit::Storage, error).hint(hint)
            }
            LockError::Io { .. } => Self::new(Exit::Storage, error),
        }
    }
}

/// The way out of a run that nobody can go on with, and what it does.
fn abandon(what: &str) -> String {
    offer("abort --abandon --reason TEXT", what)
}

impl From<NotOurs> for Failure {
    fn from(error: NotOurs) -> Self {
        let status = offer("status", "shows it, and how it is given up");
        let hint = match &error {
            NotOurs::OtherName { .. } => abandon("on a clone: frees it"),
            NotOurs::WentBack { .. } | NotOurs::Future { .. } => abandon("frees the host"),
            NotOurs::Stale { .. } => format!(
                "{status}\n  {}\n  {}",
                offer("resume", "goes on with it, with a person there"),
                abandon("frees the host")
            ),
            NotOurs::BootLoop { .. } => {
                format!("{status}\n  {}", offer("resume", "goes on with it, with a person there"))
            }
        };
        Self::new(Exit::Damaged, error).hint(hint)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let doctor = offer("doctor", "looks at the place where runs are kept");
        let hint = match error.read_only_at() {
            Some(path) => {
                let place = word(&path.to_string_lossy());
                format!("mount -o remount,rw \"$(findmnt -n -o TARGET -T {place})\"\n  {doctor}")
            }
            None => doctor,
        };
        Self::new(Exit::Storage, error).hint(hint)
    }
}

/// The commands that look at a damaged run, and lead out.
fn out_of_damage() -> String {
    let verify = offer("journal verify", "says what is wrong where; exit 30 is its answer");
    format!("{verify}\n  {}", abandon("sets the run aside and frees the host"))
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let error = match error {
            JournalError::File(error) if error.is_of_the_file() => return Self::spoilt(error),
            JournalError::File(error) => return error.into(),
            other => other,
        };
        let exit = match &error {
            JournalError::InUse { .. } => Exit::Held,
            JournalError::Full { .. }
            | JournalError::Storage { .. }
            | JournalError::Poisoned { .. }
            | JournalError::File(_) => Exit::Storage,
            _ => Exit::Damaged,
        };
        let hint = match &error {
            JournalError::OtherMachine { .. } => Some(abandon("on a copy of that machine")),
            JournalError::InUse { .. } => Some(call("status")),
            JournalError::Full { .. } => Some(offer("doctor", "says how much is free there")),
            _ if exit == Exit::Damaged => Some(out_of_damage()),
            _ => None,
        };
        Self { hint, ..Self::new(exit, error) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::File(error) => error.into(),
            StoreError::Journal(error) => error.into(),
            StoreError::Place { .. } => Self::new(Exit::Refused, error),
            StoreError::Unfinished { ref run } => {
                let hint = call(&format!("status {run}"));
                Self::new(Exit::Held, error).hint(hint)
            }
            StoreError::RunbookChanged { .. } => {
                Self::new(Exit::Damaged, error).hint(abandon("sets the run aside and frees the host"))
            }
            StoreError::Dangling { .. } => {
                Self::new(Exit::Damaged, error).hint(abandon("forgets it and frees the host"))
            }
        }
    }
}

impl From<DressError> for Failure {
    fn from(error: DressError) -> Self {
        match error {
            DressError::NoMachine => Self::new(Exit::Unforeseen, error),
            DressError::Value(_) => Self::new(Exit::Bug, error),
            DressError::Store(error) => error.into(),
            DressError::Execute(error) => error.into(),
        }
    }
}

impl From<FactsError> for Failure {
    fn from(error: FactsError) -> Self {
        Self::new(Exit::Invalid, error)
    }
}

impl From<ExecuteError> for Failure {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Journal(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_table_once_and_in_order() {
        let codes: Vec<u8> = Exit::TABLE.iter().map(|(exit, _)| exit.code()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        assert!(Exit::table().contains("   21  waiting for a reboot"));
    }

    #[test]
    fn a_reason_is_told_once() {
        let io = std::io::Error::other("no space");
        let error = anyhow::Error::new(io).context("cannot write: no space");
        assert_eq!(Failure::new(Exit::Storage, error).reason(), "cannot write: no space");
        let error = anyhow::Error::msg("inner").context("outer");
        assert_eq!(Failure::new(Exit::Storage, error).reason(), "outer: inner");
    }
}
