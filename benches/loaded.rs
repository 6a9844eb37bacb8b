//! `cargo bench --bench loaded`: how soon the end of a real load is seen, and what watching it costs.
//!
//! `redis_loaded` waits for one load after the other, as it does in a run, and three groups of apps wait for the same
//! instance beside it. The end is the moment that the server's own log gives; seen is when the step first says `ready, 1 of
//! 3 looks`, or the gate of a group opens. The cost is this process's processor time (all threads, by the scheduler's
//! count) over the time of the load. INFO and PING are counted by the server and read from it twice a second while it loads;
//! what that asks itself is left out of both. `-- --check` ends with 1 when a bar is missed.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark talks and waits")]
#![allow(missing_docs, unreachable_pub, reason = "a program")]

use std::cell::Cell;
use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use real_loads::data::{Data, write};
use real_loads::{Server, ask, field, installed};
use runbook::action::act::{Act, Ground, Kept, Tick};
use runbook::action::inventory::{AppGroup, AtBoot, Inventory, Needs, Pm2Place, RedisInstance};
use runbook::action::pm2_restored::Pm2Restored;
use runbook::action::redis_loaded::RedisLoaded;
use runbook::action::{Item, Sign, Wave};
use runbook::host::local::LocalHost;
use runbook::host::{Facts, Probe};

mod real_loads;
mod support;

use support::{Row, finish, median};

/// Loads of each set.
const LOADS: usize = 11;
/// Milliseconds until the end is seen, in the median.
const SEEN_BAR: f64 = 150.0;
/// Share of a processor.
const CPU_BAR: f64 = 0.01;

fn main() {
    let Some(binary) = installed() else {
        println!("skipped: no redis-server on this machine");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut all = Vec::new();
    let sets = [(&[(Data::Strings(100), 170_000_000)][..], &[][..]), (&[][..], &[(Data::Hashes, 80_000_000)][..])];
    for (base, incr) in sets {
        let dir = tempfile::Builder::new().prefix("runbook-bench-").tempdir().unwrap();
        write(dir.path(), base, incr).unwrap();
        all.extend((0..LOADS).map(|_| runtime.block_on(one(&binary, dir.path()))));
    }
    let of = |pick: fn(&Watched) -> f64| all.iter().map(pick).collect::<Vec<f64>>();
    let secs: f64 = of(|load| load.secs).iter().sum();
    let most = |pick: fn(&Watched) -> f64| of(pick).into_iter().fold(0.0, f64::max);
    let late = of(|load| load.late_ms).into_iter().fold(0.0, f64::max);
    println!("{} loads of {:.1} s in the median; at worst seen after {late:.0} ms", all.len(), median(of(|l| l.secs)));
    println!("PING a second: {:.1}", of(|load| load.pings).iter().sum::<f64>() / secs);
    let row = |case, unit, ours: f64, baseline: f64| {
        Row { bench: "loaded", case, unit, ours, baseline, ratio: ours / baseline, bar: Some(1.0) }.print()
    };
    let cpu = of(|load| load.cpu).iter().sum::<f64>() / secs;
    let gates: Vec<f64> = all.iter().flat_map(|load| load.gates_late_ms).collect();
    let held = [
        row("end of a load seen, median, ms", "ms", median(of(|load| load.late_ms)), SEEN_BAR),
        row("gate of a group opened, median, ms", "ms", median(gates), SEEN_BAR),
        row("own processor time, share of a core", "cores", cpu, CPU_BAR),
        row("INFO a second while it loads, most in any load", "a second", most(|load| load.info_rate), 1.0),
    ];
    finish(held.iter().all(|held| *held));
}

/// One load as it was watched.
struct Watched {
    secs: f64,
    late_ms: f64,
    /// Seconds of processor time of this process while the server loaded.
    cpu: f64,
    /// When each group's gate opened, in milliseconds after the end.
    gates_late_ms: [f64; 3],
    /// INFO a second that the server counted, after the first one.
    info_rate: f64,
    pings: f64,
}

async fn one(binary: &Path, dir: &Path) -> Watched {
    let server = Server::start(binary, dir).unwrap();
    let host = LocalHost::new(None);
    let mut inventory = Inventory::default();
    inventory.redis.insert("bds".into(), instance(&server));
    inventory.pm2.insert("services".into(), place());
    let baseline = Facts::new(host.now(), host.uptime().as_secs_f64());
    let kept = Kept::new();
    let ground = Ground {
        inventory: &inventory,
        baseline: &baseline,
        kept: &kept,
        step: "load/1",
        attempt: 1,
        run_dir: Path::new("/"),
        within: None,
        judged_later: None,
        reboots: true,
    };
    let over = Arc::new(AtomicBool::new(false));
    let counter = {
        let (over, mut asks) = (Arc::clone(&over), server.connect().unwrap());
        std::thread::Builder::new().name(COUNTER.into()).spawn(move || info_rate(&mut asks, &over)).unwrap()
    };
    let (began, cpu) = (Timestamp::now(), processor_secs());
    let seen = Cell::new(None);
    let tell = |tick: Tick| {
        if tick.say.starts_with("ready") && seen.get().is_none() {
            seen.set(Some((Timestamp::now(), processor_secs())));
        }
    };
    let item = Item::new("bds", Sign::Wait, "", "");
    let restored = Pm2Restored { pm2: "services".into(), ..Pm2Restored::default() };
    let gate = async |name: &str| {
        let wave = Wave { name: name.into(), ..Wave::default() };
        restored.gate(&wave, &host, &ground, &|_| {}).await.unwrap();
        Timestamp::now()
    };
    let wait = RedisLoaded::default();
    let (_, one, two, three) =
        tokio::join!(wait.apply(&item, &host, &ground, &tell), gate("one"), gate("two"), gate("three"));
    over.store(true, Ordering::Relaxed);
    let info_rate = counter.join().unwrap();
    let (at, cpu_then) = seen.get().unwrap();
    let end = server.ready_at().unwrap();
    let span = |from: Timestamp, to: Timestamp| (to - from).total(jiff::Unit::Second).unwrap();
    let stats = ask(&mut server.connect().unwrap(), "INFO commandstats").unwrap();
    let secs = span(began, end);
    Watched {
        secs,
        late_ms: 1e3 * span(end, at),
        cpu: cpu_then - cpu,
        gates_late_ms: [one, two, three].map(|at| 1e3 * span(end, at)),
        info_rate,
        pings: calls(&stats, "ping"),
    }
}

/// The name of the thread that counts.
const COUNTER: &str = "counter";

/// INFO a second, the most at any moment of the load: the first comes at the very beginning, each later one must have had
/// a second. What is asked here is left out.
fn info_rate(asks: &mut BufReader<UnixStream>, over: &AtomicBool) -> f64 {
    let began = Instant::now();
    let (mut own, mut most) = (0.0, 0.0_f64);
    while !over.load(Ordering::Relaxed) {
        let text = ask(asks, "INFO all").unwrap();
        own += 1.0;
        if field(&text, "loading") != Some("1") {
            break;
        }
        // It counts a command when it is done with it, so this one is not among them yet.
        let others = calls(&text, "info") - (own - 1.0);
        most = most.max((others - 1.0) / began.elapsed().as_secs_f64().max(1.0));
        std::thread::sleep(Duration::from_millis(500));
    }
    most
}

/// Three groups that need the instance.
fn place() -> Pm2Place {
    let group = |name: &str| AppGroup {
        name: name.into(),
        apps: vec![format!("{name}-*")],
        needs: Needs { redis: vec!["bds".into()], ..Needs::default() },
        optional: Vec::new(),
    };
    let groups = ["one", "two", "three"].map(group).into();
    let (user, home) = ("nobody".into(), "/nonexistent".into());
    Pm2Place { user, home, unit: None, cli: None, boot: AtBoot::Registers, groups }
}

fn instance(server: &Server) -> RedisInstance {
    RedisInstance::declared("bds", &format!("unix://{}", server.socket.display()))
}

/// How often a command was sent; what is answered with `-LOADING` counts as rejected.
fn calls(stats: &str, command: &str) -> f64 {
    let counts = field(stats, &format!("cmdstat_{command}")).unwrap_or_default().split(',');
    let counts = counts.filter_map(|part| part.split_once('=')).filter(|(key, _)| key.ends_with("calls"));
    counts.map(|(_, n)| n.parse::<f64>().unwrap_or(0.0)).sum()
}

/// Seconds of processor time of every thread that this process has now, but for the one that counts.
fn processor_secs() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let of = |thread: std::fs::DirEntry| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        if name.trim() == COUNTER {
            return None;
        }
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.filter_map(of).sum::<f64>() / 1e9
}
