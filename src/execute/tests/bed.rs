//! A run on the model with a real journal in a temporary directory: sittings, crashes between them, and what was told.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;

use crate::event::{Event, Reporter};
use crate::execute::{Approve, Book, Ending, ExecuteError, Executor, Orders, Question, Reply, Stop, Urge};
use crate::host::model::{Faults, Model, Pace, sample};
use crate::host::{Facts, Probe};
use crate::journal::checkpoint::{Checkpoint, Opened, Owner, Ruling};
use crate::journal::record::Entry;
use crate::journal::state::RunState;
use crate::journal::store::{NewRun, RunId, Store};
use crate::journal::{Clock, Journal, Stamp};
use crate::plan::{History, Rehearsed, rehearse};
use crate::runbook::{Loaded, load};

const MACHINE_ID: &str = "5d0c1e2f3a4b4c5d8e9f0a1b2c3d4e5f";

/// Says yes to everything, after having thought about it.
struct Yes<'a> {
    model: &'a Model<'static>,
    after: Duration,
}

impl Approve for Yes<'_> {
    fn ask(&mut self, _: &Question) -> Reply {
        self.model.pass(self.after);
        Reply::Yes
    }
}

/// Writes down the kinds of durable entries, and crashes the process after the chosen one.
#[derive(Default, Clone)]
pub(crate) struct Ear {
    pub(crate) told: Rc<RefCell<Vec<String>>>,
    pub(crate) crash_at: Option<usize>,
    /// What is asked of the sitting the first time that this entry is heard.
    pub(crate) asks_at: Option<(&'static str, Urge)>,
    /// The same, at an entry counted from one.
    pub(crate) asks_nth: Option<(usize, Urge)>,
    pub(crate) stop: Stop,
}

/// The payload of a made-up crash; thrown past the panic hook.
struct Crash;

impl Reporter for Ear {
    fn on(&mut self, event: &Event<'_>, _: &RunState) {
        let Event::Durable(entry) = event else { return };
        let step = entry.checkpoint.step().map(ToString::to_string).unwrap_or_default();
        self.told.borrow_mut().push(format!("{} {step}", entry.checkpoint.kind()).trim_end().to_owned());
        if let Some((_, urge)) =
            self.asks_at.filter(|(entry, _)| self.told.borrow().last().is_some_and(|told| told == entry))
        {
            self.asks_at = None;
            self.stop.ask(urge);
        }
        if let Some((_, urge)) = self.asks_nth.filter(|(nth, _)| *nth == self.told.borrow().len()) {
            self.stop.ask(urge);
        }
        if self.crash_at == Some(self.told.borrow().len()) {
            std::panic::resume_unwind(Box::new(Crash));
        }
    }
}

/// See the module.
pub(crate) struct Bed {
    _dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) loaded: Loaded,
    pub(crate) rehearsed: Rehearsed,
    pub(crate) model: Model<'static>,
    stamp: Arc<Mutex<Stamp>>,
    run: Option<RunId>,
    pub(crate) ear: Ear,
    /// How long whoever is asked thinks about each answer.
    pub(crate) thinks: Duration,
    /// What the caller decides about a sitting.
    pub(crate) orders: Orders,
    /// What is asked of a sitting before it begins.
    pub(crate) urge: Urge,
}

/// The text of the small runbook.
pub(crate) fn small_yaml() -> String {
    include_str!("small.yaml").to_owned()
}

impl Bed {
    pub(crate) async fn new(yaml: &str, faults: Faults) -> Self {
        Self::on(sample::small(), yaml, faults).await
    }

    pub(crate) async fn on(facts: Facts, yaml: &str, faults: Faults) -> Self {
        let loaded = load(yaml, "test.yaml").unwrap_or_else(|findings| panic!("{findings:#?}"));
        let model = Model::of(facts).with_ties(loaded.runbook.inventory.ties()).with_faults(faults);
        let dir = tempfile::tempdir().unwrap();
        let store = Store::prepare(&dir.path().join("state")).unwrap();
        let now = model.now();
        let rehearsed = rehearse(&loaded, &model, &dir.path().join("plan"), &History::default(), now).await;
        let stamp = Arc::new(Mutex::new(stamp(&model).await));
        Self {
            _dir: dir,
            store,
            loaded,
            rehearsed,
            model,
            stamp,
            run: None,
            ear: Ear::default(),
            thinks: Duration::ZERO,
            orders: Orders::default(),
            urge: Urge::None,
        }
    }

    /// The same bed with a model at another pace.
    pub(crate) fn at_pace(self, pace: Pace) -> Self {
        Self { model: self.model.at_pace(pace), ..self }
    }

    fn opened(&self) -> Opened {
        let plan = &self.rehearsed.plan;
        Opened {
            format: crate::journal::record::FORMAT,
            tool_version: "0.1.0".into(),
            runbook_name: self.loaded.runbook.name.clone(),
            runbook_sha256: String::new(),
            machine_id: MACHINE_ID.into(),
            hostname: "stg-1".into(),
            owner: owner(),
            steps: plan.steps.iter().map(|step| step.id.clone()).collect(),
            no_return: plan.no_return().map(|index| plan.steps[index].id.clone()),
            plan: crate::host::json_text::JsonText::of(plan).unwrap(),
            baseline: crate::host::json_text::JsonText::of(&self.rehearsed.facts).unwrap(),
        }
    }

    /// What stamps the records of a sitting that begins now.
    async fn clock(&self) -> Box<dyn Clock> {
        *self.stamp.lock().unwrap() = stamp(&self.model).await;
        let cell = Arc::clone(&self.stamp);
        Box::new(move || cell.lock().unwrap().clone())
    }

    /// Opens the journal: anew the first time, as a resume afterwards.
    async fn journal(&mut self) -> Journal {
        let clock = self.clock().await;
        if let Some(run) = &self.run {
            let mut journal = self.store.resume(run, MACHINE_ID, clock).unwrap();
            let boot_id = self.stamp.lock().unwrap().boot_id.clone();
            journal.append(&[Checkpoint::Resumed { owner: owner(), boot_id, unattended: true }]).unwrap();
            return journal;
        }
        let new = NewRun { runbook: b"version: 1\n", plan: b"{}", opened: self.opened(), reboots: false };
        let (run, journal) = self.store.create(new, clock).unwrap();
        self.run = Some(run);
        journal
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.store.dir(self.run.as_ref().unwrap()).unwrap().path().to_owned()
    }

    /// One sitting; `None` when it crashed where the ear was told to, or was dropped after `polls`.
    pub(crate) async fn sit(&mut self, polls: Option<u32>) -> Option<Ending> {
        let mut journal = self.journal().await;
        let (mut ear, mut yes) = (self.ear.clone(), Yes { model: &self.model, after: self.thinks });
        ear.stop = Stop::default();
        let stop = ear.stop.clone();
        let mut executor = self.executor(Book::new(&mut journal, &mut ear), &mut yes, stop);
        let mut run = Box::pin(AssertUnwindSafe(executor.run()).catch_unwind());
        let mut left = polls;
        let ended = std::future::poll_fn(|cx| {
            let polled = run.as_mut().poll(cx);
            if polled.is_pending() && left == Some(0) {
                return std::task::Poll::Ready(None);
            }
            left = left.map(|left| left.saturating_sub(1));
            polled.map(Some)
        });
        match ended.await? {
            Ok(ending) => Some(ending.unwrap_or_else(|error| panic!("{error} behind {:#?}", self.ear.told.borrow()))),
            Err(thrown) if thrown.is::<Crash>() => None,
            Err(thrown) => std::panic::resume_unwind(thrown),
        }
    }

    /// One sitting on a disk that has `room` more bytes for beginnings; gives the error that ended it.
    pub(crate) async fn sit_cramped(&mut self, room: u64) -> ExecuteError {
        let mut journal = self.journal().await;
        journal.cramp(room);
        let (mut ear, mut yes) = (self.ear.clone(), Yes { model: &self.model, after: self.thinks });
        self.executor(Book::new(&mut journal, &mut ear), &mut yes, Stop::default()).run().await.unwrap_err()
    }

    fn executor<'a>(&'a self, book: Book<'a>, approve: &'a mut Yes<'a>, stop: Stop) -> Executor<'a> {
        stop.ask(self.urge);
        Executor {
            runbook: &self.loaded.runbook,
            plan: &self.rehearsed.plan,
            baseline: &self.rehearsed.facts,
            run_dir: self.run_dir(),
            host: &self.model,
            book,
            approve,
            stop,
            orders: self.orders.clone(),
        }
    }

    /// A directory for a run without a journal.
    pub(crate) fn model_dir(&self) -> PathBuf {
        self._dir.path().join("model")
    }

    /// The records of the journal as it lies on the disk.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.store.read(self.run.as_ref().unwrap()).unwrap().entries
    }

    /// The fold of the journal as it lies on the disk.
    pub(crate) fn state(&self) -> RunState {
        self.store.read(self.run.as_ref().unwrap()).unwrap().state
    }

    /// How many apps of the model are online.
    pub(crate) async fn online(&self) -> usize {
        self.running().await.len()
    }

    /// Their names; several may bear the same.
    pub(crate) async fn running(&self) -> Vec<String> {
        let on: &dyn Probe = &self.model;
        let list = on.pm2_list(&sample::place()).await.unwrap();
        list.apps.iter().filter(|app| app.pid.is_some()).map(|app| app.key.name.clone()).collect()
    }

    /// Whether an item of this name is an app of the model.
    pub(crate) fn is_app(&self, name: &str) -> bool {
        sample::forty_apps().iter().any(|(app, _)| app == name)
    }

    /// Whether there is a journal.
    pub(crate) fn has_begun(&self) -> bool {
        self.run.is_some()
    }

    /// Writes down what a person has ruled between two sittings; whether it is lawful.
    pub(crate) async fn rule(&mut self, what: Ruling) -> bool {
        let clock = self.clock().await;
        let mut journal = self.store.resume(self.run.as_ref().unwrap(), MACHINE_ID, clock).unwrap();
        journal.append(&[Checkpoint::Decision { who: "anna".into(), what, reason: "seen by hand".into() }]).is_ok()
    }
}

fn owner() -> Owner {
    Owner { pid: 42, uid: 0, user: "root".into(), sudo_user: None, tty: None, started: 99 }
}

async fn stamp(model: &Model<'_>) -> Stamp {
    let on: &dyn Probe = model;
    let boot_id = on.machine().await.unwrap().boot_id.unwrap();
    Stamp { boot_id, mono_ms: u64::try_from(model.uptime().as_millis()).unwrap(), wall: model.now() }
}
