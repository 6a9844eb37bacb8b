//! The dress rehearsal: a whole run, reboot included, by the real executor with a real journal on a model of the machine.
//!
//! Nothing is touched but the directory of the journal. The caller brings the facts, the listeners and the answers, and
//! sits as often as a real run would: again after the machine has come back, and again after a made-up crash.

mod dial;
mod stage;

use std::path::Path;
use std::time::Duration;

pub use dial::Dial;
use stage::{Cue, Prompter, Stage};

use super::{Approve, Book, Ending, ExecuteError, Executor, Orders, Stop};
use crate::action::check::Check;
use crate::event::Reporter;
use crate::host::json_text::JsonText;
use crate::host::model::{Faults, Model, Pace};
use crate::host::{Facts, Probe};
use crate::journal::checkpoint::{Checkpoint, Opened, Owner, StepId};
use crate::journal::record::FORMAT;
use crate::journal::store::{NewRun, RunId, Store, StoreError};
use crate::journal::{Journal, JournalError};
use crate::plan::{History, Rehearsed, rehearse};
use crate::runbook::{Loaded, Runbook};

/// What a rehearsal may wait for without a word in the journal, beside three times the longest step.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(60);

/// What is to go wrong.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Faults of the machine.
    pub faults: Faults,
    /// Steps that fail.
    pub fail: Vec<StepId>,
    /// The process dies after this step is done.
    pub crash_after: Option<StepId>,
}

/// Why there is no rehearsal.
#[derive(Debug, thiserror::Error)]
pub enum DressError {
    /// The facts are of nothing that could be rebooted.
    #[error("the facts hold no machine with a boot id: record them anew with `runbook facts`")]
    NoMachine,
    /// The journal of the rehearsal cannot be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan or the facts have a number that JSON cannot hold.
    #[error("cannot be written down: {0}")]
    Value(#[from] serde_json::Error),
    /// The engine stopped.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

/// How a sitting of a rehearsal ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Sat {
    /// As a sitting of a run does.
    Ended(Ending),
    /// The process has died as ordered; the next sitting goes on from its journal.
    Crashed,
    /// A step waits for something that will never come on the model.
    Stuck {
        /// The step.
        step: StepId,
        /// For how long nothing has happened.
        waited: Duration,
    },
}

/// See the module.
pub struct DressRehearsal<'a> {
    loaded: &'a Loaded,
    rehearsed: Rehearsed,
    stage: Stage,
    machine_id: String,
    patience: Duration,
    kept: Option<Kept>,
}

/// The journal of the run, once it has one.
struct Kept {
    store: Store,
    run: RunId,
    /// Open before the first sitting only.
    journal: Option<Journal>,
}

impl<'a> DressRehearsal<'a> {
    /// Makes the model and the plan. The run begins at the time of the facts.
    ///
    /// # Errors
    /// [`DressError::NoMachine`].
    pub async fn prepare(loaded: &'a Loaded, facts: Facts, script: Script) -> Result<Self, DressError> {
        let seen = facts.machine().ok_or(DressError::NoMachine)?;
        let boot_id = seen.boot_id.clone().filter(|id| !id.is_empty()).ok_or(DressError::NoMachine)?;
        let machine_id = seen.machine_id.clone().unwrap_or_else(|| "rehearsal".into());
        let slowest = script.faults.slow_load.iter().map(|(_, factor)| *factor).fold(1.0, f64::max);
        let history = History { loads: facts.loads.clone(), ..History::default() };
        let model = Model::of(facts).with_ties(loaded.runbook.inventory.ties()).with_faults(script.faults);
        let nowhere = Path::new("/");
        let rehearsed = rehearse(loaded, &model, nowhere, &history, model.now()).await;
        let longest = rehearsed.plan.steps.iter().map(|step| step.takes.span.at_worst()).max().unwrap_or_default();
        let at_look = |id: &StepId| {
            let planned = rehearsed.plan.steps.iter().find(|step| step.id == *id);
            planned.is_none_or(|step| step.waits || step.change.is_empty())
        };
        let order: Vec<StepId> = loaded.runbook.steps().map(|(id, ..)| id).collect();
        let cue = Cue {
            fail: script.fail.into_iter().map(|id| (id.clone(), at_look(&id))).collect(),
            crash_after: script.crash_after.into(),
            current: order.first().cloned().into(),
            order,
            ..Cue::default()
        };
        let patience = PATIENCE + longest.mul_f64(3.0 * slowest.clamp(1.0, 1e6));
        let stage = Stage { dial: Dial::of(&model, boot_id), model, cue };
        Ok(Self { loaded, rehearsed, stage, machine_id, patience, kept: None })
    }

    /// The same rehearsal at another pace; as fast as it can be computed unless told otherwise.
    #[must_use]
    pub fn at_pace(self, pace: Pace) -> Self {
        Self { stage: Stage { model: self.stage.model.at_pace(pace), ..self.stage }, ..self }
    }

    /// The plan that is played, and the facts that it was made from.
    #[must_use]
    pub fn rehearsed(&self) -> &Rehearsed {
        &self.rehearsed
    }

    /// The time of the rehearsal.
    #[must_use]
    pub fn dial(&self) -> Dial {
        self.stage.dial.clone()
    }

    /// The run and where it is kept; `None` before it was opened.
    #[must_use]
    pub fn run(&self) -> Option<(&Store, &RunId)> {
        self.kept.as_ref().map(|kept| (&kept.store, &kept.run))
    }

    /// Begins the run in a state directory of its own below `dir`. `source` is the text of the runbook.
    ///
    /// # Errors
    /// [`DressError`].
    pub fn open(&mut self, dir: &Path, source: &[u8], owner: Owner) -> Result<(), DressError> {
        let (runbook, plan) = (&self.loaded.runbook, &self.rehearsed.plan);
        let first = plan.no_return().and_then(|index| plan.steps.get(index)).map(|step| step.id.clone());
        let could = || runbook.steps().find(|(.., step)| step.action.takes_service_away()).map(|(id, ..)| id);
        let opened = Opened {
            format: FORMAT,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            runbook_name: runbook.name.clone(),
            runbook_sha256: self.loaded.sha256.clone(),
            machine_id: self.machine_id.clone(),
            hostname: plan.hostname.clone(),
            owner,
            steps: plan.steps.iter().map(|step| step.id.clone()).collect(),
            no_return: first.or_else(could),
            plan: JsonText::of(plan)?,
            baseline: JsonText::of(&self.rehearsed.facts)?,
        };
        let store = Store::prepare(&dir.join("state"))?;
        // It need not survive a reboot: none happens here.
        let new = NewRun { runbook: source, plan: &serde_json::to_vec_pretty(plan)?, opened, reboots: false };
        let (run, journal) = store.create(new, self.stage.dial.stamps())?;
        self.kept = Some(Kept { store, run, journal: Some(journal) });
        Ok(())
    }

    /// One sitting: from the beginning, or from where the journal ends.
    ///
    /// # Errors
    /// [`DressError`]; so before [`open`](Self::open).
    pub async fn sit(
        &mut self,
        listener: &mut dyn Reporter,
        approve: &mut dyn Approve,
        stop: Stop,
        orders: Orders,
    ) -> Result<Sat, DressError> {
        let machine = (&self.stage.model as &dyn Probe).machine().await;
        self.stage.dial.turn(&self.stage.model, machine.ok().and_then(|seen| seen.boot_id));
        self.stage.cue.heard.set(self.stage.model.elapsed());
        let not_open = || StoreError::Journal(JournalError::Poisoned { first: "the run was not opened".into() });
        let kept = self.kept.as_mut().ok_or_else(not_open)?;
        let (mut journal, opening) = match kept.journal.take() {
            Some(journal) => (journal, Vec::new()),
            None => (
                kept.store.resume(&kept.run, &self.machine_id, self.stage.dial.stamps())?,
                self.stage.resumed(&kept.store, &kept.run)?,
            ),
        };
        let run_dir = kept.store.dir(&kept.run)?.path().to_owned();
        let mut ear = Prompter { stage: &self.stage, next: listener };
        let mut book = Book::new(&mut journal, &mut ear);
        book.write(&opening)?;
        let (runbook, plan) = (&self.loaded.runbook, &self.rehearsed.plan);
        let (baseline, host) = (&self.rehearsed.facts, &self.stage);
        let mut executor = Executor { runbook, plan, baseline, run_dir, host, book, approve, stop, orders };
        let sat = tokio::select! {
            biased;
            ended = executor.run() => Sat::Ended(ended?),
            () = self.stage.crashed() => Sat::Crashed,
            sat = self.stage.stuck(runbook, self.patience) => sat,
        };
        drop(executor);
        if sat == Sat::Crashed {
            *self.stage.cue.crash_after.borrow_mut() = None;
            self.stage.cue.crashed.set(false);
        }
        if let Some(kept) = &self.kept
            && journal.state().ended().is_some()
        {
            kept.store.release(&journal)?;
        }
        Ok(sat)
    }

    /// The machine that was asked to go down is up again; `false` when nobody asked it.
    pub fn come_back(&self) -> bool {
        self.stage.model.come_back()
    }
}

impl Stage {
    /// The record that begins a later sitting.
    fn resumed(&self, store: &Store, run: &RunId) -> Result<Vec<Checkpoint>, StoreError> {
        let owner = store.fold(run)?.state.opened().map(|opened| opened.owner.clone());
        let boot_id = self.dial.boot_id();
        Ok(owner.map(|owner| Checkpoint::Resumed { owner, boot_id, unattended: true }).into_iter().collect())
    }

    /// Returns once the process has crashed. Only the run itself brings that about, and it is polled first.
    async fn crashed(&self) {
        std::future::poll_fn(|_| {
            if self.cue.crashed.get() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }

    /// Returns when a step without a limit of its own waits in vain.
    async fn stuck(&self, runbook: &Runbook, patience: Duration) -> Sat {
        use crate::host::Host;
        loop {
            self.model.sleep(LOOK).await;
            let waited = self.model.elapsed().saturating_sub(self.cue.heard.get());
            let Some(id) = self.cue.current.borrow().clone().filter(|_| waited > patience) else { continue };
            let unlimited = |step: &crate::runbook::Step| step.within.is_none();
            if runbook.steps().any(|(known, _, step)| known == id && unlimited(step)) {
                return Sat::Stuck { step: id, waited };
            }
        }
    }
}

/// The memory that a gate of the runbook demands, in bytes: what the machine is taken to come back with.
#[must_use]
pub fn memory_demanded(runbook: &Runbook) -> Option<u64> {
    let checks = runbook.steps().flat_map(|(.., step)| step.action.checks());
    let least = |check: &Check| match check {
        Check::Host(host) => host.memory_at_least.map(|bytes| bytes.0),
        Check::Redis(_) | Check::Tcp(_) | Check::Http(_) | Check::Unit(_) | Check::Command(_) | Check::Pm2(_) => None,
    };
    checks.filter_map(least).max()
}
