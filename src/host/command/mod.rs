//! One command of a runbook, run as a child of this process and watched to its proven end.
//!
//! A list of arguments, never a shell; a clean environment; null standard input; its own process group, so that a
//! time-out reaches everything it started; output bounded in memory whatever the child writes. The outcomes keep
//! apart what a maintenance run must not confuse: never begun, ended by itself, ended by us, and *not known*.
//!
//! A daemon that the command leaves behind keeps our pipes open; reading stops shortly after the main process is gone.
//! Effects that must outlive this process are run by another one: [`crate::host::effect`].

mod capture;
mod child;
mod group;
mod offspring;
mod session;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

pub use capture::Captured;
pub(in crate::host) use child::lending;
pub(in crate::host) use offspring::start as start_own;
pub use offspring::{Lend, adopt_orphans};
pub(in crate::host) use session::own_session;

use crate::host::clock;
use crate::host::effect::Effect;
use crate::host::planted::{Bug, planted};
use capture::Reading;
use child::{Exit, Running};

/// How long output is read after the main process has gone (a daemon may hold the pipe for ever).
const DRAIN: Duration = Duration::from_millis(500);

/// What to run, as whom, for how long.
#[derive(Clone, Serialize, Deserialize)]
pub struct CommandAsked {
    /// Program and arguments; a program without a slash is looked up in root-owned system directories only.
    pub argv: Vec<String>,
    /// A local user to run as; `None` is whoever runs this process.
    pub user: Option<String>,
    /// Working directory; `/` when `None`.
    pub cwd: Option<PathBuf>,
    /// Added to a clean environment of PATH, LANG and the user's HOME, USER, LOGNAME.
    pub env: Vec<(String, String)>,
    /// Fed to standard input, which is /dev/null when `None`.
    pub stdin: Option<Vec<u8>>,
    /// After this, TERM to the whole group.
    pub deadline: Duration,
    /// After this much more, KILL to the whole group.
    pub grace: Duration,
    /// Bytes of each stream that are kept: half from its head, half from its tail.
    pub keep: usize,
    /// The step whose effect it is; `None` for a question, which dies with whoever asks it.
    #[serde(skip)]
    pub effect: Option<Effect>,
}

impl CommandAsked {
    /// `argv` with the defaults: this user, `/`, 10 s of grace, 32 KiB of each stream.
    #[must_use]
    pub fn new(argv: &[&str], deadline: Duration) -> Self {
        Self {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            user: None,
            cwd: None,
            env: Vec::new(),
            stdin: None,
            deadline,
            grace: Duration::from_secs(10),
            keep: 32 * 1024,
            effect: None,
        }
    }
}

/// Shows the names of the variables only: values may be secrets.
impl fmt::Debug for CommandAsked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if planted(Bug::SecretShown) {
            return write!(out, "{:?}", self.env);
        }
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        out.debug_struct("CommandAsked")
            .field("argv", &self.argv)
            .field("user", &self.user)
            .field("env", &names)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandEnd {
    /// Nothing was executed: safe to say that nothing happened.
    NotBegun {
        /// Why, and what to do.
        why: String,
    },
    /// The main process ended by itself.
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// A signal that is not ours ended it.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// The deadline passed; the whole group is proven gone. What it did until then is for a check to find out.
    TimedOut {
        /// Whether it took KILL.
        forced: bool,
    },
    /// Whoever asked for it gave it up; the whole group is proven gone. As with a deadline, what it did until then is open.
    Stopped {
        /// Whether it took KILL.
        forced: bool,
    },
    /// It may still be working.
    Unknown {
        /// What is left, or what went wrong while watching.
        why: String,
    },
}

impl std::fmt::Display for CommandEnd {
    /// In words for people: `it ended with exit code 3`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = |forced: bool| if forced { "KILL" } else { "TERM" };
        match self {
            Self::NotBegun { why } => write!(f, "it was not begun: {why}"),
            Self::Exited { code } => write!(f, "it ended with exit code {code}"),
            Self::Killed { signal } => write!(f, "signal {signal} ended it"),
            Self::TimedOut { forced } => write!(f, "it took too long and was ended by {}", by(*forced)),
            Self::Stopped { forced } => write!(f, "it was given up and ended by {}", by(*forced)),
            Self::Unknown { why } => write!(f, "it may still be working: {why}"),
        }
    }
}

/// One finished (or given up) command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSeen {
    /// How it ended.
    pub end: CommandEnd,
    /// Standard output, bounded and tamed.
    pub stdout: Captured,
    /// Standard error, bounded and tamed.
    pub stderr: Captured,
    /// From spawn to end.
    pub took: Duration,
    /// Processes of its group that lived on after a normal end.
    pub left_behind: u32,
}

impl CommandSeen {
    /// Whether the main process ended by itself with status 0.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.end == CommandEnd::Exited { code: 0 }
    }
}

/// Runs `asked` and waits until it has ended or is given up. Dropping the future kills the group.
pub async fn run(asked: CommandAsked) -> CommandSeen {
    run_with(asked, None).await
}

/// The same, with something in its hands for as long as it lives, its own children included.
pub async fn run_with(asked: CommandAsked, gift: Option<Arc<dyn Lend>>) -> CommandSeen {
    let running = Running::spawn(asked.clone(), gift).await;
    see(running, &asked, std::future::pending()).await
}

/// The same, ended as at its deadline when `stop` is over before it.
pub async fn run_until(asked: CommandAsked, stop: impl Future<Output = ()>) -> CommandSeen {
    let running = Running::spawn(asked.clone(), None).await;
    see(running, &asked, stop).await
}

/// The same for a program that ends what it has started when it is told to: dropping the future sends it TERM and goes on
/// watching, and only what is left when its patience is over is killed.
pub async fn run_with_patience(asked: CommandAsked, patience: Patience) -> CommandSeen {
    let running = Running::spawn(asked.clone(), None).await.map(|running| running.with(patience));
    see(running, &asked, std::future::pending()).await
}

/// Ends that are being waited for by nobody else.
pub type Stops = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// How one is ended that may end by itself.
#[derive(Debug)]
pub struct Patience {
    /// How long it may take.
    pub within: Duration,
    /// Where its end is waited for.
    pub stops: Stops,
}

async fn see(running: Result<Running, String>, asked: &CommandAsked, stop: impl Future<Output = ()>) -> CommandSeen {
    let mut running = match running {
        Ok(running) => running,
        Err(why) => return not_begun(why),
    };
    let begun = clock::boottime();
    let stdout = Reading::start(running.stdout.take(), asked.keep);
    let stderr = Reading::start(running.stderr.take(), asked.keep);
    let end = watch(&mut running, asked, stop).await;
    let left_behind = match end {
        CommandEnd::Exited { .. } | CommandEnd::Killed { .. } => running.group.count(),
        _ => 0,
    };
    let (stdout, stderr) = tokio::join!(stdout.finish(DRAIN), stderr.finish(DRAIN));
    running.release();
    CommandSeen { end, stdout, stderr, took: clock::boottime().saturating_sub(begun), left_behind }
}

fn not_begun(why: String) -> CommandSeen {
    let nothing = Captured::default();
    let end = CommandEnd::NotBegun { why };
    CommandSeen { end, stdout: nothing.clone(), stderr: nothing, took: Duration::ZERO, left_behind: 0 }
}

async fn watch(running: &mut Running, asked: &CommandAsked, stop: impl Future<Output = ()>) -> CommandEnd {
    let group = running.group;
    let stopped = tokio::select! {
        biased;
        exit = running.exit() => return match exit {
            Some(Exit::Code(code)) => CommandEnd::Exited { code },
            Some(Exit::Signal(signal)) => CommandEnd::Killed { signal },
            None => CommandEnd::Unknown { why: "its end could not be waited for: look with ps".to_owned() },
        },
        () = clock::sleep(asked.deadline) => false,
        () = stop => true,
    };
    match group.end(asked.grace).await {
        Ok(forced) if stopped => CommandEnd::Stopped { forced },
        Ok(forced) => CommandEnd::TimedOut { forced },
        Err(why) => CommandEnd::Unknown { why },
    }
}

#[cfg(test)]
mod tests;
