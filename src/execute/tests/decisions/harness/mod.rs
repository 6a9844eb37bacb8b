//! The real thing on a stage: a state directory in memory, the executor, and everything that may happen to them; after each
//! transition the comparison with the reference.

macro_rules! same {
    ($left:expr, $right:expr, $($what:tt)+) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err(format!("{}: decided {left:?}, the reference says {right:?}", format!($($what)+)));
        }
    }};
}

mod meddling;

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use jiff::Timestamp;

use super::puppet::{Puppet, Word};
use super::reference::{Comes, R, Reference, STEPS, Stand, Wish};
use super::{Counts, Op, days};
use crate::event::{Event, Reporter};
use crate::execute::{Approve, Book, Ending, Executor, Orders, Question, Reply, Stop, Urge};
use crate::host::model::{Model, sample};
use crate::host::{Answer, Ask, Deed, Down, Facts, Host, Probe};
use crate::journal::checkpoint::{Checkpoint, Opened, Owner, StepId};
use crate::journal::ownership::{Here, NotOurs, STALE, Witness, may_go_on};
use crate::journal::record::Entry;
use crate::journal::state::RunState;
use crate::journal::step::StepStatus;
use crate::journal::store::{NewRun, RunId, Store};
use crate::journal::{Journal, Stamp};
use crate::plan::{History, Rehearsed, rehearse};
use crate::runbook::{Loaded, load};

const MACHINE_ID: &str = "5d0c1e2f3a4b4c5d8e9f0a1b2c3d4e5f";
const HOST: &str = "stg-1";
pub(super) const TEXT: &str = include_str!("../runbook.yaml");

/// Runbook, plan and facts: the same for every run.
pub(super) struct Stage {
    loaded: Loaded,
    rehearsed: Rehearsed,
}

fn facts() -> Facts {
    let mut facts = sample::host(8 * sample::GB);
    let router = "redis-router.service";
    facts.put(Ask::Unit(router.into()), Answer::Unit(Box::new(sample::unit(router, true, false))));
    facts
}

impl Stage {
    pub(super) async fn set() -> Self {
        Self::of(TEXT).await
    }

    /// With another text of the same steps.
    pub(super) async fn of(text: &str) -> Self {
        let loaded = load(text, "decisions.yaml").unwrap_or_else(|findings| panic!("{findings:#?}"));
        let model = Model::of(facts()).with_ties(loaded.runbook.inventory.ties());
        let rehearsed = rehearse(&loaded, &model, Path::new("/nowhere"), &History::default(), model.now()).await;
        Self { loaded, rehearsed }
    }
}

struct Yes;

impl Approve for Yes {
    fn ask(&mut self, _: &Question) -> Reply {
        Reply::Yes
    }
}

/// Keeps the witness as the front door does, and dies after an outcome when it is told to.
struct Ear<'a> {
    puppet: &'a Puppet,
    witness: Rc<RefCell<Option<Witness>>>,
}

struct Died;

impl Reporter for Ear<'_> {
    fn on(&mut self, event: &Event<'_>, _: &RunState) {
        let Event::Durable(entry) = event else { return };
        *self.witness.borrow_mut() = Some(witness_of(entry));
        if matches!(entry.checkpoint, Checkpoint::ItemDone { .. }) && self.puppet.die_after_outcome.take() {
            std::panic::resume_unwind(Box::new(Died));
        }
    }
}

fn witness_of(entry: &Entry) -> Witness {
    Witness { run: entry.run.to_string(), seq: entry.seq, prev: entry.prev.to_string() }
}

/// The stamp that the clock shows, and the latest that it ever showed.
#[derive(Clone)]
struct Shown(Arc<Mutex<(Stamp, Timestamp)>>);

pub(super) struct Harness<'s> {
    stage: &'s Stage,
    dir: tempfile::TempDir,
    store: Store,
    puppet: Puppet,
    reference: Reference,
    shown: Shown,
    run: RunId,
    /// What was noted in this boot.
    witness: Rc<RefCell<Option<Witness>>>,
    /// Journal and head of an earlier moment, with its last record.
    copy: Option<(Vec<u8>, Vec<u8>, u64)>,
    /// The journal at the last comparison: what has not changed need not be read again.
    compared: RefCell<Vec<u8>>,
}

fn owner() -> Owner {
    Owner { pid: 42, uid: 0, user: "root".into(), sudo_user: None, tty: None, started: 99 }
}

async fn boot_id(model: &Model<'_>) -> String {
    (model as &dyn Probe).machine().await.unwrap().boot_id.clone().unwrap()
}

impl<'s> Harness<'s> {
    /// Plays a story; `Err` is a wrong decision.
    pub(super) async fn play(stage: &'s Stage, ops: &[Op], counts: &mut Counts) -> Result<(), String> {
        let model = Model::of(facts()).with_ties(stage.loaded.runbook.inventory.ties());
        let puppet = Puppet::new(model);
        let base = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let dir = tempfile::tempdir_in(base).unwrap();
        let store = Store::prepare(&dir.path().join("state")).unwrap();
        let stamp = Stamp { boot_id: boot_id(&puppet.model).await, mono_ms: 0, wall: puppet.now() };
        let shown = Shown(Arc::new(Mutex::new((stamp, puppet.now()))));
        let plan = &stage.rehearsed.plan;
        let opened = Opened {
            format: crate::journal::record::FORMAT,
            tool_version: "0.1.0".into(),
            runbook_name: plan.runbook.clone(),
            runbook_sha256: String::new(),
            machine_id: MACHINE_ID.into(),
            hostname: HOST.into(),
            owner: owner(),
            steps: plan.steps.iter().map(|step| step.id.clone()).collect(),
            no_return: plan.no_return().map(|index| plan.steps[index].id.clone()),
            plan: serde_json::Value::Null.into(),
            baseline: serde_json::Value::Null.into(),
        };
        let new = NewRun { runbook: TEXT.as_bytes(), plan: b"{}", opened, reboots: false };
        let (run, journal) = store.create(new, shown.clock()).unwrap();
        *puppet.journal.borrow_mut() = journal.path().to_owned();
        let mut harness = Self {
            stage,
            dir,
            store,
            puppet,
            reference: Reference::new(),
            shown,
            run,
            witness: Rc::default(),
            copy: None,
            compared: RefCell::default(),
        };
        *harness.puppet.journal.borrow_mut() = harness.file("journal");
        let mut first = Some(journal);
        for (nth, op) in ops.iter().enumerate() {
            counts.transitions += 1;
            let told = harness.happen(op, &mut first, counts).await;
            told.map_err(|wrong| format!("transition {nth}, {op:?}: {wrong}"))?;
            harness.compare().map_err(|wrong| format!("transition {nth}, {op:?}: {wrong}"))?;
            if harness.reference.ended.is_some() {
                counts.ended += 1;
                break;
            }
        }
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("state/runs").join(self.run.as_str()).join(name)
    }

    async fn turn(&self) {
        let boot_id = boot_id(&self.puppet.model).await;
        let mut shown = self.shown.0.lock().unwrap();
        shown.0.boot_id = boot_id;
        shown.0.mono_ms = u64::try_from(self.puppet.uptime().as_millis()).unwrap();
        shown.0.wall = self.puppet.now();
    }

    async fn happen(&mut self, op: &Op, first: &mut Option<Journal>, counts: &mut Counts) -> Result<(), String> {
        self.turn().await;
        match op {
            Op::Sit { unattended, wish, words } => self.sitting(first.take(), *unattended, *wish, words, counts).await,
            // Until the first sitting the process that opened the run still has it.
            _ if first.is_some() => Ok(()),
            Op::Weeks { words } => {
                self.puppet.skew.set(self.puppet.skew.get() + days(21));
                self.turn().await;
                self.sitting(None, true, Wish::Nothing, words, counts).await
            }
            Op::ComeBack => {
                if self.puppet.model.come_back() {
                    self.booted(counts);
                }
                Ok(())
            }
            Op::ForeignReboot => self.foreign(counts).await,
            Op::PowerCut { torn, nul } => {
                let tail = if *nul { vec![0; usize::from(*torn)] } else { b"RB1 300 0badcafe {".to_vec() };
                let file = std::fs::OpenOptions::new().append(true).open(self.file("journal"));
                std::io::Write::write_all(&mut file.unwrap(), &tail).unwrap();
                self.foreign(counts).await
            }
            Op::Clock { days: count } => {
                counts.set_back += u32::from(*count < 0);
                self.puppet.skew.set(days(*count));
                Ok(())
            }
            Op::Resolve { step, how } => self.resolve(*step, *how),
            Op::Edit => self.edit(counts),
            Op::SecondOperator => self.second_operator(counts),
            Op::Clone { id } => self.cloned(*id, counts),
            Op::Restore => self.restored(counts),
        }
    }

    fn booted(&mut self, counts: &mut Counts) {
        counts.reboots += 1;
        self.reference.boot += 1;
        *self.witness.borrow_mut() = None;
        self.copy = None;
    }

    async fn foreign(&mut self, counts: &mut Counts) -> Result<(), String> {
        self.puppet.model.tell(&Deed::GoDown(Down::Reboot)).await.map_err(|error| error.to_string())?;
        self.puppet.model.come_back();
        counts.unplanned += 1;
        self.booted(counts);
        Ok(())
    }

    fn here(&self, hostname: &'static str, unattended: bool) -> (Stamp, Option<Witness>, &'static str, bool) {
        (self.shown.0.lock().unwrap().0.clone(), self.witness.borrow().clone(), hostname, unattended)
    }

    /// What the front door asks before it takes a run up.
    fn judge(&self, hostname: &'static str, unattended: bool) -> Result<(), NotOurs> {
        let (stamp, witness, hostname, unattended) = self.here(hostname, unattended);
        let reading = self.store.read(&self.run).unwrap();
        let here =
            Here { hostname, boot_id: &stamp.boot_id, mono_ms: stamp.mono_ms, now: stamp.wall, unattended, witness };
        may_go_on(&reading, &here)
    }

    async fn sitting(
        &mut self,
        first: Option<Journal>,
        unattended: bool,
        wish: Wish,
        words: &[Word],
        counts: &mut Counts,
    ) -> Result<(), String> {
        let is_first = first.is_some();
        let journal = match first {
            Some(journal) => journal,
            None => {
                let stale = {
                    let shown = self.shown.0.lock().unwrap();
                    shown.0.wall.duration_since(shown.1) > STALE.try_into().unwrap()
                };
                let expected = self.reference.refuses(unattended, stale);
                let judged = match self.judge(HOST, unattended) {
                    Ok(()) => None,
                    Err(NotOurs::Stale { .. }) => Some(Comes::Stale),
                    Err(NotOurs::BootLoop { .. }) => Some(Comes::BootLoop),
                    Err(other) => return Err(format!("refused: {other}")),
                };
                same!(judged, expected, "whether it is taken up");
                if judged.is_some() {
                    counts.refusals += 1;
                    return Ok(());
                }
                let mut journal =
                    self.store.resume(&self.run, MACHINE_ID, self.shown.clock()).map_err(|error| error.to_string())?;
                let boot_id = self.shown.0.lock().unwrap().0.boot_id.clone();
                let entries = journal
                    .append(&[Checkpoint::Resumed { owner: owner(), boot_id, unattended }])
                    .map_err(|error| error.to_string())?;
                *self.witness.borrow_mut() = entries.last().map(witness_of);
                journal
            }
        };
        counts.sittings += 1;
        self.puppet.script.borrow_mut().extend(words);
        let comes = self.sat(journal, wish).await?;
        let spoken = words.len() - self.puppet.script.borrow_mut().drain(..).count();
        counts.transitions += u32::try_from(spoken).unwrap();
        counts.crashes += u32::from(comes == Comes::Crashed);
        let mut left = words.iter().copied();
        let expected = self.reference.sit(is_first, unattended, wish, &mut || left.next().unwrap_or(Word::Ok));
        same!(comes, expected, "how it ends");
        if self.copy.is_none() {
            self.keep_a_copy();
        }
        Ok(())
    }

    /// One sitting of the real executor.
    async fn sat(&self, mut journal: Journal, wish: Wish) -> Result<Comes, String> {
        let (mut ear, mut yes) = (Ear { puppet: &self.puppet, witness: Rc::clone(&self.witness) }, Yes);
        let stop = Stop::default();
        match wish {
            Wish::Nothing => {}
            Wish::Pause => stop.ask(Urge::Pause),
            Wish::Abort => stop.ask(Urge::Abort),
        }
        let mut executor = Executor {
            runbook: &self.stage.loaded.runbook,
            plan: &self.stage.rehearsed.plan,
            baseline: &self.stage.rehearsed.facts,
            run_dir: self.file(""),
            host: &self.puppet,
            book: Book::new(&mut journal, &mut ear),
            approve: &mut yes,
            stop,
            orders: Orders::default(),
        };
        let mut run = Box::pin(AssertUnwindSafe(executor.run()).catch_unwind());
        let ended = std::future::poll_fn(|cx| {
            let polled = run.as_mut().poll(cx);
            if self.puppet.crashed.take() { std::task::Poll::Ready(None) } else { polled.map(Some) }
        });
        let ended = match ended.await {
            None => return Ok(Comes::Crashed),
            Some(Err(thrown)) if thrown.is::<Died>() => return Ok(Comes::Crashed),
            Some(Err(thrown)) => std::panic::resume_unwind(thrown),
            Some(Ok(ended)) => ended.map_err(|error| format!("the engine gives up: {error}"))?,
        };
        drop(run);
        drop(executor);
        let number = |step: &StepId| STEPS.iter().position(|id| *id == step.as_str()).unwrap();
        let comes = match &ended {
            Ending::Done { .. } => Comes::Done,
            Ending::BackedOut { .. } => Comes::BackedOut,
            Ending::NotBack { .. } => Comes::NotBack,
            Ending::GivenUp { .. } => Comes::GivenUp,
            Ending::Failed { step, .. } => Comes::Failed(number(step)),
            Ending::Unknown { step, .. } => Comes::Unknown(number(step)),
            Ending::Paused(_) => Comes::Paused,
            Ending::WaitingForReboot { .. } => Comes::Waiting,
            other => return Err(format!("an ending that nobody expects: {other:?}")),
        };
        if journal.state().ended().is_some() {
            self.store.release(&journal).map_err(|error| error.to_string())?;
        }
        Ok(comes)
    }

    fn keep_a_copy(&mut self) {
        let seq = self.store.read(&self.run).unwrap().entries.len() as u64;
        let read = |name| std::fs::read(self.file(name)).unwrap();
        self.copy = Some((read("journal"), read("head"), seq));
    }

    /// Everything that both know.
    fn compare(&self) -> Result<(), String> {
        let reference = &self.reference;
        same!(*self.puppet.ledger.borrow(), reference.effects, "effects by step");
        same!(self.puppet.without_intent.get(), 0, "effects without a durable intent");
        let bytes = std::fs::read(self.file("journal")).unwrap();
        if *self.compared.borrow() == bytes {
            return Ok(());
        }
        *self.compared.borrow_mut() = bytes;
        let state = self.store.read(&self.run).map_err(|error| error.to_string())?.state;
        same!(state.ended(), reference.ended, "the end");
        same!(state.backing_out(), reference.backing_out, "backing out");
        same!(state.rebooted(), reference.rebooted, "rebooted");
        same!(state.waiting_for_reboot().is_some(), reference.waits(), "waiting for the reboot");
        for (step, id) in STEPS.iter().enumerate() {
            let Some(of) = state.steps().get(&StepId::from(*id)) else { return Err(format!("no step {id}")) };
            let stands = match &of.status {
                StepStatus::NotStarted => Stand::Fresh,
                StepStatus::Running { .. } => Stand::Begun,
                StepStatus::Failed { .. } => Stand::Failed,
                StepStatus::Unknown { .. } => Stand::Unknown,
                StepStatus::Done { .. } => Stand::Done,
            };
            same!(stands, reference.stand[step], "where {id} stands");
            if step != R && stands != Stand::Done {
                same!(of.in_doubt().count() > 0, reference.doubt[step], "doubt about {id}");
            }
        }
        Ok(())
    }
}

impl Shown {
    fn clock(&self) -> Box<dyn crate::journal::Clock> {
        let cell = Arc::clone(&self.0);
        Box::new(move || {
            let mut shown = cell.lock().unwrap();
            shown.1 = shown.1.max(shown.0.wall);
            shown.0.clone()
        })
    }
}
