//! What the engine costs: a journalled step against the bare writes and syncs of its record format, long runs against
//! shorter ones, reading a long journal against reading its bytes, and starting against `true`.
//!
//! `cargo bench --bench engine`; with `-- --check` a missed bar is an error.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, missing_docs)]

mod support;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use runbook::event::{Event, Reporter};
use runbook::execute::{Book, Ending, Executor, Orders, Stop};
use runbook::host::model::{Model, Pace};
use runbook::journal::checkpoint::{Checkpoint, Outcome, StepId};
use runbook::journal::state::RunState;
use runbook::journal::store::{NewRun, RunId, Store};
use runbook::journal::{Journal, Stamp};
use runbook::plan::{History, Rehearsed, rehearse};
use runbook::runbook::Loaded;

use serde_json::json;
use support::run::{Yes, opened};
use support::{Row, finish, in_turns, median, millis};

/// Every record of a run is followed by two syncs: one of the journal, one of the head that acknowledges it.
const SYNCS_A_BATCH: usize = 2;

struct Silent;

impl Reporter for Silent {
    fn on(&mut self, _: &Event<'_>, _: &RunState) {}
}

/// A runbook of `steps` commands that may be repeated.
fn long(steps: usize) -> Loaded {
    let mut text = String::from("version: 1\nname: long\nhosts: [stg-1]\nphases:\n");
    for step in 0..steps {
        if step % 100 == 0 {
            text.push_str(&format!("  - name: phase-{}\n    steps:\n", step / 100));
        }
        text.push_str("      - command: { argv: [/usr/bin/true], repeatable: true }\n");
    }
    runbook::runbook::load(&text, "long.yaml").unwrap()
}

fn stamp() -> Stamp {
    let wall = "2026-11-22T10:15:00Z".parse().unwrap();
    Stamp { boot_id: "0d3fbd62-1b0c-4b0e-9a51-2a6f3b7f8f10".into(), mono_ms: 4_711, wall }
}

/// A fresh run in `dir`.
fn begin(dir: &Path, steps: Vec<StepId>) -> (Store, RunId, Journal) {
    let store = Store::prepare(dir).unwrap();
    let new = NewRun {
        runbook: b"version: 1\n",
        plan: b"{}",
        opened: opened("long", steps, json!({}), json!({})),
        reboots: false,
    };
    let (run, journal) = store.create(new, Box::new(stamp)).unwrap();
    (store, run, journal)
}

/// The batches of one step with one item, as the executor writes them.
fn step_batches(step: &StepId) -> [Vec<Checkpoint>; 4] {
    let (step, item) = (step.clone(), "run".to_owned());
    let keep = Checkpoint::Captured { step: step.clone(), key: format!("{step}.ended"), value: true.into() };
    let by_order =
        Checkpoint::Captured { step: step.clone(), key: format!("{step}.start"), value: json!("by order").into() };
    let note = Some("exit status 0".to_owned());
    let done =
        Checkpoint::ItemDone { step: step.clone(), item: item.clone(), outcome: Outcome::Applied, took_ms: 1, note };
    let started = Checkpoint::StepStarted {
        step: step.clone(),
        attempt: 1,
        title: "command".into(),
        items: vec![item.clone()],
        repeatable: true,
    };
    [
        vec![started, by_order],
        vec![Checkpoint::ItemIntent { step: step.clone(), item }],
        vec![keep, done],
        vec![Checkpoint::StepDone { step, how: runbook::journal::checkpoint::How::Applied, took_ms: 1 }],
    ]
}

/// A journalled step against the same bytes written and synced by hand, on the file system of `dir`.
fn one_step(dir: &Path) -> bool {
    const STEPS: usize = 60;
    let ids: Vec<StepId> = (0..STEPS).map(|n| StepId::new(format!("phase/{n}"))).collect();
    let mut turn = 0;
    let mut bare_turn = 0;
    let (ours, baseline, ratio) = in_turns(
        9,
        || {
            turn += 1;
            let (_store, _run, mut journal) = begin(&dir.join(format!("ours-{turn}")), ids.clone());
            let work = || {
                for batch in ids.iter().flat_map(step_batches) {
                    journal.append(&batch).unwrap();
                }
            };
            millis(work) / STEPS as f64
        },
        || {
            bare_turn += 1;
            let bare = dir.join(format!("bare-{bare_turn}"));
            fs::create_dir(&bare).unwrap();
            bare_steps(&bare, STEPS) / STEPS as f64
        },
    );
    let batches = step_batches(&ids[0]).len();
    eprintln!(
        "a step of one item costs {} syncs: {batches} batches, each a record and its head",
        batches * SYNCS_A_BATCH
    );
    Row { bench: "engine", case: "a journalled step", unit: "ms", ours, baseline, ratio, bar: Some(1.3) }.print()
}

/// Milliseconds for the writes and syncs of `steps` steps, with bytes of the right lengths and nothing else.
fn bare_steps(dir: &Path, steps: usize) -> f64 {
    let open = |name: &str| OpenOptions::new().create_new(true).write(true).read(true).open(dir.join(name)).unwrap();
    let (journal, head) = (open("journal"), open("head"));
    rustix::fs::fallocate(&journal, rustix::fs::FallocateFlags::KEEP_SIZE, 0, 1 << 20).unwrap();
    // The lengths of a step's batches as they are in a journal.
    let lengths = [420_usize, 350, 800, 360];
    let (bytes, slot) = (vec![b'x'; 1024], vec![b' '; 512]);
    let mut at = 0_u64;
    millis(|| {
        for (n, len) in (0..steps).flat_map(|_| lengths).enumerate() {
            journal.write_all_at(&bytes[..len], at).unwrap();
            journal.sync_data().unwrap();
            at += len as u64;
            head.write_all_at(&slot, (n % 2 * 512) as u64).unwrap();
            head.sync_data().unwrap();
        }
    })
}

/// A run of a long runbook on the model, with the journal in memory-backed storage: what the engine itself costs.
async fn run(loaded: &Loaded, rehearsed: &Rehearsed, model: &Model<'_>, dir: &Path) -> f64 {
    let ids = rehearsed.plan.steps.iter().map(|step| step.id.clone()).collect();
    let (store, run, mut journal) = begin(dir, ids);
    let run_dir = store.dir(&run).unwrap().path().to_owned();
    let (mut silent, mut yes) = (Silent, Yes);
    let mut executor = Executor {
        runbook: &loaded.runbook,
        plan: &rehearsed.plan,
        baseline: &rehearsed.facts,
        run_dir,
        host: model,
        book: Book::new(&mut journal, &mut silent),
        approve: &mut yes,
        stop: Stop::default(),
        orders: Orders::default(),
    };
    let began = std::time::Instant::now();
    let ending = executor.run().await.unwrap();
    assert!(matches!(ending, Ending::Done { .. }), "{ending:?}");
    began.elapsed().as_secs_f64() * 1000.0
}

/// 10,000 steps run and read back, each against 2,500: four times the steps may cost four times the time and a little more.
fn long_runs(quick: &Path) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let facts = runbook::host::Facts::read(include_bytes!("../tests/recorded/staging.facts.json")).unwrap();
    let mut figures = Vec::new();
    for steps in [2_500_usize, 10_000] {
        let loaded = long(steps);
        let model = Model::of(facts.clone()).at_pace(Pace::Instant);
        let rehearsed = runtime.block_on(rehearse(&loaded, &model, quick, &History::default(), stamp().wall));
        let (mut ran, mut read) = (Vec::new(), Vec::new());
        for turn in 0..3 {
            let dir = quick.join(format!("long-{steps}-{turn}"));
            let model = Model::of(facts.clone()).at_pace(Pace::Instant);
            ran.push(runtime.block_on(run(&loaded, &rehearsed, &model, &dir)));
            read.push(millis(|| Store::prepare(&dir).unwrap().list().unwrap()));
        }
        figures.push((median(ran), median(read)));
    }
    let [(short_run, short_read), (long_run, long_read)] = figures[..] else { return false };
    let row = |case, ours, baseline| Row {
        bench: "engine",
        case,
        unit: "ms",
        ours,
        baseline: baseline * 4.0,
        ratio: ours / (baseline * 4.0),
        bar: Some(1.3),
    };
    let run_held = row("10,000 steps run, against 4 x 2,500", long_run, short_run).print();
    let read_held = row("10,000 steps read back, against 4 x 2,500", long_read, short_read).print();
    run_held && read_held
}

/// What 10,000 steps take in memory, their plan and rehearsal included, against the bytes of their journal: the peaks of
/// processes of their own, less that of one with a single step.
fn memory() -> bool {
    let of = |steps: usize| {
        let own = std::env::current_exe().unwrap();
        let out = Command::new(own).args(["--peak", &steps.to_string()]).stderr(Stdio::null()).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        let figures: Vec<f64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
        (figures[0] / 1e6, figures[1] / 1e6)
    };
    let ((least, _), (most, journal)) = (of(1), of(10_000));
    let (case, ours) = ("memory of 10,000 steps, against their journal", most - least);
    Row { bench: "engine", case, unit: "MB", ours, baseline: journal, ratio: ours / journal, bar: None }.print()
}

/// Runs so many steps and says the most memory that this process ever had, and the length of the journal, in bytes.
fn peak(steps: usize, quick: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let facts = runbook::host::Facts::read(include_bytes!("../tests/recorded/staging.facts.json")).unwrap();
    let loaded = long(steps);
    let model = Model::of(facts.clone()).at_pace(Pace::Instant);
    let rehearsed = runtime.block_on(rehearse(&loaded, &model, quick, &History::default(), stamp().wall));
    let dir = quick.join("peak");
    runtime.block_on(run(&loaded, &rehearsed, &Model::of(facts).at_pace(Pace::Instant), &dir));
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let store = Store::prepare(&dir).unwrap();
    let run = store.list().unwrap().remove(0).id;
    let journal = fs::metadata(store.dir(&run).unwrap().path().join("journal")).unwrap().len();
    println!("{} {journal}", peak * 1024);
}

/// Who reads a journal of 100,000 records.
const READERS: [(&str, &str); 2] = [
    ("--whole", "100,000 records read, against their bytes and checksum"),
    ("--fold", "100,000 records read to go on, against the same"),
];
/// Reads no more than bytes and checksum.
const PLAIN: &str = "--plain";

/// A journal of 100,000 records read, against reading its bytes and their checksum: each by a process of its own, as journals
/// are. In a process that reads again and again, the plain reader's memory is there already and the kernel clears no page of
/// it, which is most of its work; that comparison is the last row.
fn reading(quick: &Path) -> bool {
    const STEPS: usize = 20_000;
    let ids: Vec<StepId> = (0..STEPS).map(|n| StepId::new(format!("phase/{n}"))).collect();
    let dir = quick.join("hundred-thousand");
    let (store, run, mut journal) = begin(&dir, ids.clone());
    for batch in ids.iter().flat_map(step_batches) {
        journal.append(&batch).unwrap();
    }
    let (records, path) = (journal.seq(), journal.path().to_owned());
    drop(journal);
    eprintln!("{records} records, {:.1} MB", fs::metadata(&path).unwrap().len() as f64 / 1e6);
    let alone = |how: &str| {
        let own = std::env::current_exe().unwrap();
        let out = Command::new(own)
            .args([how, dir.to_str().unwrap(), run.as_str()])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        let (seen, took) = said.trim().split_once(' ').unwrap();
        assert!(how == PLAIN || seen == records.to_string(), "{seen} records");
        took.parse::<f64>().unwrap()
    };
    let row = |case, (ours, baseline, ratio), bar| {
        Row { bench: "engine", case, unit: "ms", ours, baseline, ratio, bar }.print()
    };
    let held = READERS.map(|(how, case)| row(case, in_turns(15, || alone(how), || alone(PLAIN)), Some(3.0)));
    let (mut read, mut bytes) = (None, Vec::new());
    let whole = || {
        // What was read is given back outside of the time, on both sides.
        read = None;
        millis(|| read = Some(store.read(&run).unwrap()))
    };
    let plain = || {
        bytes = Vec::new();
        millis(|| {
            bytes = fs::read(&path).unwrap();
            crc32c::crc32c(&bytes)
        })
    };
    row("100,000 records read again in the same process", in_turns(5, whole, plain), None);
    held.iter().all(|held| *held)
}

/// Reads a run once and says how many records it has and how many milliseconds that took.
fn read_alone(how: &str, dir: &str, run: &str) {
    let (store, run) = (Store::open(Path::new(dir)).unwrap(), RunId::parse(run).unwrap());
    let path = store.dir(&run).unwrap().path().join("journal");
    // What was read is given back outside of the time, on all sides.
    let (mut whole, mut fold, mut bytes) = (None, None, Vec::new());
    let took = millis(|| match how {
        PLAIN => {
            bytes = fs::read(&path).unwrap();
            assert_ne!(crc32c::crc32c(&bytes), 0);
        }
        "--fold" => fold = Some(store.fold(&run).unwrap()),
        _ => whole = Some(store.read(&run).unwrap()),
    });
    let records = fold.map_or(0, |fold| fold.records()).max(whole.map_or(0, |read| read.entries.len() as u64));
    println!("{records} {took}");
}

fn start_up() -> bool {
    let start = |program: &str, args: &[&str]| {
        let quiet = || Stdio::null();
        millis(|| Command::new(program).args(args).stdin(quiet()).stdout(quiet()).stderr(quiet()).status().unwrap())
    };
    let ours = || start(env!("CARGO_BIN_EXE_runbook"), &["--version"]);
    let (ours, baseline, ratio) = in_turns(41, ours, || start("true", &[]));
    Row { bench: "engine", case: "runbook --version against true", unit: "ms", ours, baseline, ratio, bar: None }
        .print()
}

fn main() {
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Syncs cost nothing on memory-backed storage, which leaves the engine.
    let quick = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|word| word == "--peak") {
        return peak(arguments[at + 1].parse().unwrap(), quick.path());
    }
    if let Some(at) = arguments.iter().position(|word| word == PLAIN || READERS.iter().any(|(how, _)| word == how)) {
        return read_alone(&arguments[at], &arguments[at + 1], &arguments[at + 2]);
    }
    File::open(disk.path()).unwrap().sync_all().unwrap();
    let held = [one_step(disk.path()), long_runs(quick.path()), memory(), reading(quick.path()), start_up()];
    finish(held.iter().all(|held| *held));
}
