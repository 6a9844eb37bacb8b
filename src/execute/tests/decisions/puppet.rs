//! A machine on strings: the model, with commands that end as the script says, an effect ledger that the program cannot
//! edit, and a process that can die inside an effect.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::reference::{R, STEPS};
use crate::host::command::{Captured, CommandEnd, CommandSeen};
use crate::host::effect::Effect;
use crate::host::model::Model;
use crate::host::{Answer, Ask, Deed, Host, HostError, Pending, Probe, Told};

/// How one effect goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::execute::tests) enum Word {
    Ok,
    Fails,
    TimesOut,
    Unknown {
        happened: bool,
    },
    /// The process dies in it.
    Crash {
        happened: bool,
    },
    /// The process dies in it, and what it had ordered tells the next one what became of it.
    Traced {
        happened: bool,
    },
    /// The process dies when the outcome is durable and the end of the step is not.
    CrashAfterOutcome,
}

impl Word {
    pub(super) fn happens(self) -> bool {
        match self {
            Self::Ok | Self::CrashAfterOutcome => true,
            Self::Fails | Self::TimesOut => false,
            Self::Unknown { happened } | Self::Crash { happened } | Self::Traced { happened } => happened,
        }
    }
}

pub(super) struct Puppet {
    pub(super) model: Model<'static>,
    /// What the next effects do; `Ok` when there is nothing left.
    pub(super) script: RefCell<VecDeque<Word>>,
    /// Effects by step, written by the machine alone.
    pub(super) ledger: RefCell<[u32; 8]>,
    /// What the order of each step tells: whether it happened.
    traces: RefCell<[Option<bool>; 8]>,
    pub(super) crashed: Cell<bool>,
    /// The next outcome is the last thing that this process writes.
    pub(super) die_after_outcome: Cell<bool>,
    /// How wrong the wall clock is.
    pub(super) skew: Cell<SignedDuration>,
    /// Where the journal is, to see whether an effect has its intent (P1).
    pub(super) journal: RefCell<PathBuf>,
    pub(super) without_intent: Cell<u32>,
}

impl Puppet {
    pub(super) fn new(model: Model<'static>) -> Self {
        Self {
            model,
            script: RefCell::default(),
            ledger: RefCell::default(),
            traces: RefCell::default(),
            crashed: Cell::default(),
            die_after_outcome: Cell::default(),
            skew: Cell::default(),
            journal: RefCell::default(),
            without_intent: Cell::default(),
        }
    }

    /// An effect begins: is its intent on the disk, the last word on this step?
    fn begins(&self, step: usize) -> Word {
        let text = std::fs::read_to_string(&*self.journal.borrow()).unwrap_or_default();
        let of_step = |line: &&str| line.contains(&format!("\"step\":\"{}\"", STEPS[step]));
        let last = text.lines().rfind(of_step).unwrap_or_default();
        if !last.contains("\"item_intent\"") && !last.contains("\"reboot_intent\"") {
            self.without_intent.set(self.without_intent.get() + 1);
        }
        let word = self.script.borrow_mut().pop_front().unwrap_or(Word::Ok);
        self.traces.borrow_mut()[step] = match word {
            Word::Traced { happened } => Some(happened),
            _ => None,
        };
        if word.happens() {
            self.ledger.borrow_mut()[step] += 1;
        }
        word
    }

    async fn dies(&self) -> ! {
        self.crashed.set(true);
        std::future::pending::<()>().await;
        unreachable!()
    }

    async fn run(&self, letter: &str) -> Result<Told, HostError> {
        let step = STEPS.iter().position(|id| id.ends_with(&format!("/{letter}"))).unwrap();
        let end = match self.begins(step) {
            Word::Ok => CommandEnd::Exited { code: 0 },
            Word::CrashAfterOutcome => {
                self.die_after_outcome.set(true);
                CommandEnd::Exited { code: 0 }
            }
            Word::Fails => CommandEnd::Exited { code: 3 },
            Word::TimesOut => CommandEnd::TimedOut { forced: true },
            Word::Unknown { .. } => CommandEnd::Unknown { why: "left behind".into() },
            Word::Crash { .. } | Word::Traced { .. } => self.dies().await,
        };
        Ok(ran(end))
    }

    /// What became of an effect, if its order tells.
    async fn recall(&self, deed: &Deed, effect: &Effect) -> Result<Told, HostError> {
        let unit = effect.unit();
        let step = STEPS.iter().position(|id| unit.contains(&format!("-{}", id.replace('/', ":")))).unwrap();
        let trace = self.traces.borrow()[step];
        match trace {
            Some(true) => Ok(ran(CommandEnd::Exited { code: 0 })),
            Some(false) => Ok(ran(CommandEnd::NotBegun { why: "its order was not taken".into() })),
            None => self.model.tell(deed).await,
        }
    }

    async fn go_down(&self, deed: &Deed) -> Result<Told, HostError> {
        match self.begins(R) {
            Word::Crash { happened } | Word::Traced { happened } => {
                if happened {
                    self.model.tell(deed).await?;
                }
                self.dies().await
            }
            Word::Fails => Err(HostError::refused("logind", "not today")),
            Word::Unknown { happened: false } | Word::TimesOut => Err(HostError::unknown("logind", "no answer")),
            _ => self.model.tell(deed).await,
        }
    }
}

fn ran(end: CommandEnd) -> Told {
    let (stdout, stderr) = (Captured::default(), Captured::default());
    Told::Ran(CommandSeen { end, stdout, stderr, took: Duration::ZERO, left_behind: 0 })
}

impl Probe for Puppet {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Answer, HostError>> {
        self.model.ask(ask)
    }

    fn now(&self) -> Timestamp {
        self.model.now().saturating_add(self.skew.get()).unwrap_or(Timestamp::MAX)
    }

    fn uptime(&self) -> Duration {
        self.model.uptime()
    }
}

impl Host for Puppet {
    fn tell<'a>(&'a self, deed: &'a Deed) -> Pending<'a, Result<Told, HostError>> {
        Box::pin(async move {
            match deed {
                Deed::Run(asked) => self.run(asked.argv.last().map(String::as_str).unwrap_or_default()).await,
                Deed::GoDown(_) => self.go_down(deed).await,
                Deed::Recall { effect, .. } => self.recall(deed, effect).await,
                other => self.model.tell(other).await,
            }
        })
    }

    fn sleep(&self, length: Duration) -> Pending<'_, ()> {
        self.model.sleep(length)
    }

    fn as_probe(&self) -> &dyn Probe {
        self
    }
}
