//! For tests: a run from opening to end, a disk in memory that can be told to fail, and a clock that stands still.
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::checkpoint::{Checkpoint as C, End, How, Loss, Opened, Outcome, Owner, Ruling, StepId};
use super::disk::{Disk, Part};
use super::{Clock, Journal, Stamp};

pub(super) const RUN: &str = "r-20261122-101500-ab12";

/// Prints a figure of a test, seen with `--nocapture`.
#[expect(clippy::print_stdout, reason = "figures and skips of tests are for whoever runs them")]
pub(super) fn figure(text: &str) {
    println!("{text}");
}

pub(super) fn stamp(boot: &str) -> Stamp {
    Stamp { boot_id: boot.into(), mono_ms: 4_711, wall: "2026-11-22T10:15:00Z".parse().unwrap() }
}

/// A clock that stands still in the boot that the cell names.
pub(super) fn clock(boot: &Arc<Mutex<String>>) -> Box<dyn Clock> {
    let boot = Arc::clone(boot);
    Box::new(move || stamp(&boot.lock().unwrap()))
}

pub(super) fn still() -> Box<dyn Clock> {
    clock(&Arc::new(Mutex::new("boot-1".into())))
}

pub(super) fn owner() -> Owner {
    Owner {
        pid: 42,
        uid: 0,
        user: "root".into(),
        sudo_user: Some("ann".into()),
        tty: Some("pts/3".into()),
        started: 99,
    }
}

pub(super) fn opened(steps: &[&str]) -> Opened {
    Opened {
        format: 1,
        tool_version: "0.1.0".into(),
        runbook_name: "restart-staging".into(),
        runbook_sha256: "00".repeat(32),
        machine_id: "m-1".into(),
        hostname: "stg-1".into(),
        owner: owner(),
        steps: steps.iter().map(|step| StepId::from(*step)).collect(),
        no_return: steps.get(1).map(|step| StepId::from(*step)),
        plan: json!({"steps": steps}).into(),
        // Long enough that the whole story is a little more than 8 KiB.
        baseline:
            json!({"boot_id": "boot-1", "apps": (0..90).map(|n| format!("app-{n}-\u{1b}[worker")).collect::<Vec<_>>()})
                .into(),
    }
}

pub(super) fn started(step: &str, attempt: u32, items: &[&str], repeatable: bool) -> C {
    let items = items.iter().map(|item| (*item).to_owned()).collect();
    C::StepStarted { step: step.into(), attempt, title: format!("do {step}"), items, repeatable }
}

pub(super) fn intent(step: &str, item: &str) -> C {
    C::ItemIntent { step: step.into(), item: item.into() }
}

pub(super) fn outcome(step: &str, item: &str, outcome: Outcome) -> C {
    let note = Some("a remark\nof two lines".into());
    C::ItemDone { step: step.into(), item: item.into(), outcome, took_ms: 1_200, note }
}

pub(super) fn done(step: &str, how: How) -> C {
    C::StepDone { step: step.into(), how, took_ms: 2_500 }
}

pub(super) fn resumed(boot: &str) -> C {
    C::Resumed { owner: owner(), boot_id: boot.into(), unattended: true }
}

/// A whole run with a reboot in it, as (boot, batch) pairs.
pub(super) fn story() -> Vec<(&'static str, Vec<C>)> {
    let reboot = C::RebootIntent { step: "reboot".into(), boot_id: "boot-1".into() };
    let proof = C::Rebooted { step: "reboot".into(), old: "boot-1".into(), new: "boot-2".into(), took_ms: 61_000 };
    let confirm = Ruling::Confirmed { step: "reboot".into() };
    let save = C::Captured {
        step: "save".into(),
        key: "pm2".into(),
        value: json!([{"name": "api", "status": "online"}]).into(),
    };
    vec![
        ("boot-1", vec![C::Opened(std::sync::Arc::new(opened(&["save", "stop", "reboot", "restore"])))]),
        ("boot-1", vec![started("save", 1, &[], true)]),
        ("boot-1", vec![save]),
        ("boot-1", vec![done("save", How::Applied)]),
        ("boot-1", vec![started("stop", 1, &["api", "geo"], false)]),
        ("boot-1", vec![intent("stop", "api"), intent("stop", "geo")]),
        ("boot-1", vec![outcome("stop", "api", Outcome::Applied)]),
        ("boot-1", vec![outcome("stop", "geo", Outcome::Failed { why: "is optional".into(), causes: Vec::new() })]),
        (
            "boot-1",
            vec![done(
                "stop",
                How::WithLosses { losses: vec![Loss { item: "geo".into(), why: "is not there".into() }] },
            )],
        ),
        ("boot-1", vec![C::Decision { who: "ann".into(), what: confirm, reason: "typed the name".into() }]),
        ("boot-1", vec![started("reboot", 1, &["reboot"], false), intent("reboot", "reboot")]),
        ("boot-1", vec![reboot]),
        ("boot-2", vec![resumed("boot-2")]),
        ("boot-2", vec![proof, outcome("reboot", "reboot", Outcome::Applied)]),
        ("boot-2", vec![done("reboot", How::Applied)]),
        ("boot-2", vec![done("restore", How::AlreadySo)]),
        ("boot-2", vec![C::Finished { outcome: End::DoneWithLosses, summary: json!({"lost": ["geo"]}) }]),
    ]
}

/// What reached the disk in memory, and which call shall fail.
#[derive(Debug, Default, Clone)]
pub(super) struct Memory {
    pub(super) journal: Vec<u8>,
    pub(super) head: Vec<u8>,
    /// Calls so far, in order.
    pub(super) calls: Vec<&'static str>,
    /// Number of the call (from 0) that fails, and how.
    pub(super) fails: Option<(usize, Failure)>,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// With this error number and no effect.
    Errno(i32),
    /// Half the bytes are written; calls that write none succeed.
    Short,
    /// The effect happens and an error is reported.
    Liar(i32),
}

/// A handle on the disk in memory.
#[derive(Debug, Default, Clone)]
pub(super) struct Shared(pub(super) Arc<Mutex<Memory>>);

impl Shared {
    fn call(&self, name: &'static str, mut effect: impl FnMut(&mut Memory, bool) -> usize) -> io::Result<usize> {
        let mut memory = self.0.lock().unwrap();
        let nth = memory.calls.len();
        memory.calls.push(name);
        match memory.fails.filter(|(at, _)| *at == nth) {
            Some((_, Failure::Errno(errno))) => Err(io::Error::from_raw_os_error(errno)),
            Some((_, Failure::Short)) => Ok(effect(&mut memory, true)),
            Some((_, Failure::Liar(errno))) => {
                effect(&mut memory, false);
                Err(io::Error::from_raw_os_error(errno))
            }
            None => Ok(effect(&mut memory, false)),
        }
    }
}

impl Disk for Shared {
    fn write_at(&mut self, part: Part, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let name = if part == Part::Journal { "write journal" } else { "write head" };
        self.call(name, |memory, short| {
            let file = if part == Part::Journal { &mut memory.journal } else { &mut memory.head };
            let (start, len) = (offset as usize, if short { bytes.len() / 2 } else { bytes.len() });
            if file.len() < start + len {
                file.resize(start + len, 0);
            }
            file[start..start + len].copy_from_slice(&bytes[..len]);
            len
        })
    }

    fn sync(&mut self, part: Part) -> io::Result<()> {
        let name = if part == Part::Journal { "sync journal" } else { "sync head" };
        self.call(name, |_, _| 0).map(drop)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let cut = |memory: &mut Memory, _: bool| {
            memory.journal.truncate(len as usize);
            0
        };
        self.call("cut", cut).map(drop)
    }

    fn reserve(&mut self, _len: u64) -> io::Result<bool> {
        self.call("reserve", |_, _| 0).map(|_| true)
    }
}

/// A journal on a disk in memory, with the handle to that disk and the cell that names the boot.
pub(super) fn in_memory(fails: Option<(usize, Failure)>) -> (Journal, Shared, Arc<Mutex<String>>) {
    let disk = Shared::default();
    disk.0.lock().unwrap().fails = fails;
    let boot = Arc::new(Mutex::new("boot-1".to_owned()));
    let journal = Journal::begin(RUN, "journal".into(), Box::new(disk.clone()), clock(&boot));
    (journal, disk, boot)
}

/// The files of the whole story, with (length of the journal, head) after every acknowledged batch.
pub(super) fn told() -> (Vec<u8>, Vec<(usize, Vec<u8>)>) {
    let (mut journal, disk, boot) = in_memory(None);
    let mut marks = Vec::new();
    for (now, batch) in story() {
        *boot.lock().unwrap() = now.into();
        journal.append(&batch).unwrap();
        let memory = disk.0.lock().unwrap();
        marks.push((memory.journal.len(), memory.head.clone()));
    }
    let bytes = disk.0.lock().unwrap().journal.clone();
    (bytes, marks)
}

/// A disk on which nothing more can be reserved.
struct Cramped(Option<Box<dyn Disk>>);

impl Disk for Cramped {
    fn write_at(&mut self, part: Part, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.as_mut().unwrap().write_at(part, bytes, offset)
    }

    fn sync(&mut self, part: Part) -> io::Result<()> {
        self.0.as_mut().unwrap().sync(part)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.as_mut().unwrap().cut(len)
    }

    fn reserve(&mut self, _: u64) -> io::Result<bool> {
        Err(io::Error::from_raw_os_error(28))
    }
}

impl Journal {
    /// From here on the disk has `room` bytes for beginnings, and the reserve.
    pub(crate) fn cramp(&mut self, room: u64) {
        let disk = std::mem::replace(&mut self.disk, Box::new(Cramped(None)));
        self.disk = Box::new(Cramped(Some(disk)));
        self.promised = Some(self.good + super::append::RESERVE + room);
    }
}
