//! This program's way: the real executor with its journal over this machine, in two sittings with the daemon gone between.
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use runbook::event::{Event, Reporter};
use runbook::execute::{Book, Ending, Executor, Orders, Stop, Urge};
use runbook::host::local::LocalHost;
use runbook::journal::checkpoint::{Checkpoint, Opened};
use runbook::journal::state::RunState;
use runbook::journal::store::{NewRun, Store};
use runbook::journal::{Journal, Stamp};
use runbook::plan::{History, Rehearsed, rehearse};
use runbook::runbook::Loaded;
use serde::{Deserialize, Serialize};

use crate::bed::{Bed, cpu_of, monotonic, seconds};
use crate::support::run::{MACHINE_ID, Yes, opened, owner};

/// How a stop and a restore went, in seconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Took {
    pub stop: f64,
    pub restore: f64,
    /// The whole sitting: beyond the last app's stamp, the proof that each lives, and the saved list.
    pub sitting: f64,
    /// Processor seconds of this process in the sitting.
    pub own_cpu: f64,
    /// Processor seconds of PM2's daemon, from its start to the end of the sitting.
    pub daemon_cpu: f64,
}

/// Pauses the run after its first phase and notes when steps begin and end.
struct Watch {
    stop: Stop,
    pause_after: &'static str,
    stop_took: f64,
    losses: Vec<String>,
}

impl Reporter for Watch {
    fn on(&mut self, event: &Event<'_>, _: &RunState) {
        let Event::Durable(entry) = event else { return };
        match &entry.checkpoint {
            Checkpoint::StepDone { step, took_ms, .. } => {
                if step.phase() == "stop" {
                    self.stop_took = *took_ms as f64 / 1000.0;
                }
                if step.phase() == self.pause_after {
                    self.stop.ask(Urge::Pause);
                }
            }
            Checkpoint::ItemDone { item, outcome, .. }
                if *outcome != runbook::journal::checkpoint::Outcome::Applied =>
            {
                self.losses.push(format!("{item}: {outcome:?}"));
            }
            _ => {}
        }
    }
}

/// How three groups of forty apps hang together behind a gate.
#[derive(Debug, Clone, Copy)]
pub enum Third {
    /// As in the shipped runbook: two need what is behind the gate, and the third needs the first.
    Alone,
    /// Each needs the one before it.
    Last,
}

/// The runbook; a gate is the port of a Redis.
fn text(bed: &Bed, gate: Option<(u16, Third)>) -> String {
    let (home, cli) = (bed.home().display().to_string(), bed.cli().display().to_string());
    let redis =
        gate.map(|(port, _)| format!("redis:\n  gate: {{ url: \"redis://127.0.0.1:{port}\", role: master }}\n"));
    let groups = match gate {
        None => "      - { name: all, apps: [\"*\"] }\n",
        Some((_, third)) => match third {
            Third::Alone => {
                "      - { name: first, apps: [\"a?\", \"a1*\"], needs: { redis: [gate] } }\n\
                 \x20     - { name: second, apps: [\"a2*\", \"a3*\", \"a4*\", \"a5*\"], needs: { redis: [gate] } }\n\
                 \x20     - { name: third, apps: [\"*\"], needs: { groups: [first] } }\n"
            }
            Third::Last => {
                "      - { name: first, apps: [\"a?\", \"a1*\"], needs: { redis: [gate] } }\n\
                 \x20     - { name: second, apps: [\"a2*\", \"a3*\", \"a4*\", \"a5*\"], needs: { groups: [first] } }\n\
                 \x20     - { name: third, apps: [\"*\"], needs: { groups: [second] } }\n"
            }
        },
    };
    format!(
        "version: 1\nname: bench\nhosts: [here]\nback_out: [restore]\n{}pm2:\n  bench:\n    user: root\n    home: {home}\n    cli: {cli}\n    \
         groups:\n{groups}phases:\n  - name: save\n    steps:\n      - pm2_saved: {{ pm2: bench }}\n  - name: stop\n    steps:\n      \
         - pm2_stopped: {{ pm2: bench }}\n  - name: restore\n    steps:\n      - pm2_restored: {{ pm2: bench }}\n",
        redis.unwrap_or_default()
    )
}

/// Read once, as the program does.
static BOOT_ID: LazyLock<String> =
    LazyLock::new(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned());

fn stamp() -> Stamp {
    Stamp { boot_id: BOOT_ID.clone(), mono_ms: monotonic() / 1_000_000, wall: "2026-11-22T10:15:00Z".parse().unwrap() }
}

fn opening(loaded: &Loaded, rehearsed: &Rehearsed) -> Opened {
    let json = (serde_json::to_value(&rehearsed.plan).unwrap(), serde_json::to_value(&rehearsed.facts).unwrap());
    opened(&loaded.runbook.name, loaded.runbook.steps().map(|(id, ..)| id).collect(), json.0, json.1)
}

async fn sit(
    (loaded, rehearsed): (&Loaded, &Rehearsed),
    journal: &mut Journal,
    run_dir: &Path,
    watch: &mut Watch,
) -> Ending {
    let host = LocalHost::new(None);
    let (stop, mut yes) = (watch.stop.clone(), Yes);
    let mut executor = Executor {
        runbook: &loaded.runbook,
        plan: &rehearsed.plan,
        baseline: &rehearsed.facts,
        run_dir: run_dir.to_owned(),
        host: &host,
        book: Book::new(journal, watch),
        approve: &mut yes,
        stop,
        orders: Orders::default(),
    };
    executor.run().await.unwrap()
}

/// Saves, stops, loses the daemon as a reboot would, and restores. `between` runs right before the restore begins.
pub async fn stop_and_restore(bed: &mut Bed, gate: Option<(u16, Third)>, between: impl FnOnce()) -> Took {
    let text = text(bed, gate);
    let loaded = runbook::runbook::load(&text, "bench.yaml").unwrap();
    let host = LocalHost::new(None);
    let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let rehearsed = rehearse(&loaded, &host, state.path(), &History::default(), stamp().wall).await;
    let store = Store::prepare(&state.path().join("state")).unwrap();
    let new = NewRun { runbook: text.as_bytes(), plan: b"{}", opened: opening(&loaded, &rehearsed), reboots: false };
    let (run, mut journal) = store.create(new, Box::new(stamp)).unwrap();
    let run_dir = store.dir(&run).unwrap().path().to_owned();
    let mut watch = Watch { stop: Stop::default(), pause_after: "stop", stop_took: 0.0, losses: Vec::new() };
    let ending = sit((&loaded, &rehearsed), &mut journal, &run_dir, &mut watch).await;
    assert!(matches!(ending, Ending::Paused(_)), "{ending:?}");
    drop(journal);

    bed.pm2(&["kill"], &[]);
    bed.forget_stamps();
    between();
    let (began, cpu) = (monotonic(), cpu_of("self"));
    let mut journal = store.resume(&run, MACHINE_ID, Box::new(stamp)).unwrap();
    let resumed = Checkpoint::Resumed { owner: owner(), boot_id: stamp().boot_id, unattended: true };
    journal.append(&[resumed]).unwrap();
    watch.stop = Stop::default();
    watch.pause_after = "";
    let ending = sit((&loaded, &rehearsed), &mut journal, &run_dir, &mut watch).await;
    assert!(matches!(ending, Ending::Done { .. }), "{ending:?} {:?}", watch.losses);
    let (sitting, own_cpu, daemon_cpu) = (seconds(began, monotonic()), cpu_of("self") - cpu, bed.daemon_cpu());
    Took { stop: watch.stop_took, restore: seconds(began, bed.last_ready()), sitting, own_cpu, daemon_cpu }
}
