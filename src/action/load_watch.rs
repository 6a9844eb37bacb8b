//! One load as it is watched: what each look says is turned into samples for the estimate, and the estimate into words.

use std::time::Duration;

use super::act::{Ground, Tick};
use super::inventory::RedisInstance;
use super::loads::{self, Board};
use crate::host::Probe;
use crate::host::redis::eta::{Left, LoadEta, LoadRecord, Position, Regime, Sample};
use crate::host::redis::{AofFiles, LoadProgress, Loading, RedisSeen};
use crate::host::span::{Span, bytes};

/// Seconds by which INFO's whole seconds may differ.
const SAME_MOMENT: f64 = 3.0;

/// The estimate of one load, once there is something to estimate.
pub(super) struct LoadWatch<'a> {
    instance: &'a RedisInstance,
    on: &'a dyn Probe,
    ground: &'a Ground<'a>,
    board: &'a Board,
    /// The files it reads, from the first look that showed them.
    pub(super) files: Option<AofFiles>,
    pid: Option<u32>,
    server: Option<String>,
    eta: Option<LoadEta>,
    /// When the load began, as far as that is known.
    began: Option<f64>,
    /// Processor seconds and the moment at the first good look, when the load was over.
    end: Option<Sample>,
}

impl<'a> LoadWatch<'a> {
    pub(super) fn new(
        instance: &'a RedisInstance,
        on: &'a dyn Probe,
        ground: &'a Ground<'a>,
        board: &'a Board,
    ) -> Self {
        Self { instance, on, ground, board, files: None, pid: None, server: None, eta: None, began: None, end: None }
    }

    /// Takes in one look at a server that is not ready, and says how far it is.
    pub(super) async fn look(&mut self, seen: &RedisSeen, why: String) -> Tick {
        self.note(seen);
        self.end = None;
        let now = self.now();
        let progress = self.progress().await;
        let loading = seen.facts.as_ref().and_then(|facts| facts.loading.as_ref());
        let Some((read, total)) = self.read(progress.as_ref(), loading) else {
            return Tick::say(&self.instance.name, why);
        };
        let sample = sample(now, read, progress.as_ref());
        self.began = self.began(seen, progress.as_ref(), now);
        if self.eta.is_none() {
            self.eta = Some(self.estimate(seen, total, self.began, &sample).await);
        }
        self.tell(sample, total, why)
    }

    /// The load was seen, so it can be followed without the server.
    pub(super) fn has_begun(&self) -> bool {
        self.eta.is_some()
    }

    /// While a server that was seen to load owes an answer: how far it is by the kernel, which is asked without it.
    pub(super) async fn unanswered(&mut self, owed: Duration) -> Option<Tick> {
        let progress = self.progress().await?;
        let (read, total) = self.read(Some(&progress), None)?;
        let sample = sample(self.now(), read, Some(&progress));
        Some(self.tell(sample, total, format!("no answer for {}s", owed.as_secs())))
    }

    /// Feeds the estimate and puts it into words.
    fn tell(&mut self, sample: Sample, total: u64, why: String) -> Tick {
        let Some(eta) = self.eta.as_mut() else {
            return Tick::say(&self.instance.name, why);
        };
        eta.feed(sample);
        let Some(left) = eta.left(sample.seconds) else {
            return Tick::say(&self.instance.name, why);
        };
        let left = self.board.beside(&self.instance.name, self.on.uptime(), left, eta);
        let rate = self.began.map(|began| sample.bytes as f64 / (sample.seconds - began).max(0.5));
        Tick {
            item: self.instance.name.clone(),
            part: Some((sample.bytes as f64 / total.max(1) as f64).clamp(0.0, 0.99)),
            left: Some(Span::secs(left.typical, left.high)),
            say: format!("{why}{}", words_of(&left, rate)),
            ..Tick::default()
        }
    }

    /// Takes in a look at a server that is ready: the first of them is the end of the load.
    pub(super) async fn ready(&mut self, seen: &RedisSeen) {
        self.note(seen);
        self.board.done(&self.instance.name);
        if self.end.is_none() {
            let progress = self.progress().await;
            self.end = Some(Sample {
                seconds: self.now(),
                bytes: self.files.as_ref().map_or(0, AofFiles::bytes),
                cpu_secs: progress.and_then(|progress| progress.cpu_secs),
                runqueue_secs: None,
            });
        }
    }

    /// What is worth keeping of the load, unless the run already keeps one of this instance.
    pub(super) fn record(&self) -> Option<LoadRecord> {
        if self.ground.kept.contains_key(&loads::key(&self.instance.name)) {
            return None;
        }
        let (eta, server) = (self.eta.as_ref()?, self.server.as_ref()?);
        eta.record(&self.instance.name, server, self.end?)
    }

    fn now(&self) -> f64 {
        self.on.uptime().as_secs_f64()
    }

    fn note(&mut self, seen: &RedisSeen) {
        if let Some(facts) = &seen.facts {
            // Once ready it writes to its last increment: the sizes of the load are those before.
            if self.eta.is_none() || self.files.is_none() {
                self.files = facts.files.clone().or(self.files.take());
            }
            self.pid = facts.server.process_id.or(self.pid);
            self.server = Some(facts.server.label());
        }
    }

    async fn progress(&self) -> Option<LoadProgress> {
        self.on.load_progress(self.pid?, self.files.as_ref()?).await.ok().flatten()
    }

    /// Bytes read and bytes to read, by the kernel or else by INFO.
    fn read(&self, progress: Option<&LoadProgress>, loading: Option<&Loading>) -> Option<(u64, u64)> {
        let total = self.files.as_ref().map(AofFiles::bytes).filter(|total| *total > 0);
        let by_kernel = progress.and_then(|progress| progress.bytes_read_total).zip(total);
        let by_info = loading.filter(|l| l.total_bytes > 0).map(|l| (l.loaded_bytes, l.total_bytes));
        by_kernel.or(by_info)
    }

    /// When the load began, if that was the start of the process: later loads are those of a replica.
    fn began(&self, seen: &RedisSeen, progress: Option<&LoadProgress>, now: f64) -> Option<f64> {
        let facts = seen.facts.as_ref()?;
        let age = self.on.now().as_millisecond() as f64 / 1e3 - facts.loading.as_ref()?.started as f64;
        let process = progress.and_then(|p| p.age_secs).unwrap_or(facts.server.uptime_secs as f64);
        ((process - age).abs() <= SAME_MOMENT).then_some(now - process)
    }

    async fn estimate(&self, seen: &RedisSeen, total: u64, began: Option<f64>, first: &Sample) -> LoadEta {
        let sizes = self.files.as_ref().map_or((total, 0), |files| (files.base_bytes(), files.incr_bytes()));
        let cost = loads::incr_cost(self.instance, seen, self.on, self.ground).await;
        let mut eta = LoadEta::new(loads::work(self.instance, sizes, seen, self.ground, cost.as_ref()));
        if let Some(seconds) = began.filter(|began| *began < first.seconds) {
            eta.feed(Sample {
                seconds,
                bytes: 0,
                cpu_secs: first.cpu_secs.map(|_| 0.0),
                runqueue_secs: first.runqueue_secs.map(|_| 0.0),
            });
        }
        eta
    }
}

fn sample(seconds: f64, bytes: u64, progress: Option<&LoadProgress>) -> Sample {
    let (cpu_secs, runqueue_secs) = progress.map_or((None, None), |p| (p.cpu_secs, p.runqueue_secs));
    Sample { seconds, bytes, cpu_secs, runqueue_secs }
}

/// `, base, 1.6 MB/s, waits for the disk`.
fn words_of(left: &Left, rate: Option<f64>) -> String {
    let mut words = match left.position {
        Position::Base => ", base".to_owned(),
        Position::Incr => ", increments".to_owned(),
    };
    if let Some(rate) = rate {
        words.push_str(&format!(", {}/s", bytes(rate as u64)));
    }
    if left.regime == Regime::Disk {
        words.push_str(", the disk is the limit");
    }
    if let Some(secs) = left.stalled {
        words.push_str(&format!(", nothing read for {secs:.0}s"));
    }
    words
}

#[cfg(test)]
#[path = "load_stall_tests.rs"]
mod stall;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::action::inventory::Inventory;
    use crate::action::redis_loaded::RedisLoaded;
    use crate::action::{Act, Item, Kept, Outcome, Sign};
    use crate::host::Facts;
    use crate::host::local::LocalHost;
    use crate::host::redis::testbed::{Testbed, write_increment};

    /// Waits for a real server as a run does; the ticks it told and what it kept.
    async fn wait_for(bed: &Testbed, kept: &Kept) -> (Vec<Tick>, Option<LoadRecord>) {
        let host = LocalHost::new(None);
        let on = crate::host::Host::as_probe(&host);
        let mut inventory = Inventory::default();
        let instance = RedisInstance::declared("bds", &bed.at().url);
        inventory.redis.insert("bds".into(), instance);
        let baseline = Facts::new(on.now(), on.uptime().as_secs_f64());
        let ground = Ground { reboots: true, ..Ground::of_a_test(&inventory, kept, &baseline, "load/1") };
        let ticks = RefCell::new(Vec::new());
        let tell = |tick| ticks.borrow_mut().push(tick);
        let item = Item::new("bds", Sign::Wait, "", "");
        let outcome = RedisLoaded::default().apply(&item, &host, &ground, &tell).await;
        let Outcome::Applied { keep, .. } = outcome else { panic!("{outcome:?}") };
        assert!(keep.iter().any(|(key, _)| key == "load/1.bds.ready"), "that it was seen ready is kept as well");
        let of_the_load = keep.into_iter().filter(|(key, _)| key == "load.bds");
        let mut record = of_the_load.map(|(_, value)| value.read().unwrap());
        (ticks.take(), record.next())
    }

    /// How often a command was sent since the server's start, by its own count.
    async fn calls(bed: &Testbed, command: &str) -> u64 {
        let redis::Value::BulkString(text) = bed.tell(&["INFO", "commandstats"]).await.unwrap() else { panic!() };
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:"))).unwrap_or_default();
        // What it answers with -LOADING it counts as rejected.
        let counts = line.split(',').filter_map(|part| part.split_once('='));
        counts.filter(|(key, _)| key.ends_with("calls")).map(|(_, n)| n.parse::<u64>().unwrap()).sum()
    }

    #[tokio::test]
    async fn info_is_sent_once_a_second_at_most_however_many_wait_and_the_end_is_seen_between_two() {
        let Some(mut bed) = Testbed::start(&[]).await else {
            return;
        };
        // It answers every 1024 commands, so many times in a second.
        write_increment(bed.dir.path(), 100_000, 20_000, 100);
        bed.boot(&["--key-load-delay", "12"]).await;
        let host = LocalHost::new(None);
        let (at, on) = (bed.at(), crate::host::Host::as_probe(&host));
        let began = on.uptime();
        let waits = async || {
            let mut looks = 0;
            while on.redis(&at).await.unwrap().door == crate::host::redis::Door::Loading {
                looks += 1;
                crate::host::Host::sleep_while_loading(&host, &at, std::time::Duration::from_millis(700)).await;
            }
            looks
        };
        let (one, two, three) = tokio::join!(waits(), waits(), waits());
        let secs = (on.uptime() - began).as_secs_f64();
        let (info, ping) = (calls(&bed, "info").await, calls(&bed, "ping").await);
        // Each of the three looks once more when the end was seen; the count itself is the last INFO.
        assert!(info as f64 <= secs + 1.0 + 3.0 + 1.0, "{info} INFO in {secs} s, {one} {two} {three}");
        assert!(secs > 2.0 && one + two + three > info, "the looks were shared: {info} INFO in {secs} s");
        assert!(ping > 2 * secs as u64, "{ping} PING in {secs} s");
    }

    #[tokio::test]
    async fn a_real_load_is_watched_and_teaches_the_next_one() {
        let Some(mut bed) = Testbed::start(&[]).await else {
            return;
        };
        let total = write_increment(bed.dir.path(), 40_000, 20_000, 100);
        bed.boot(&["--key-load-delay", "12"]).await;
        let (ticks, first) = wait_for(&bed, &Kept::new()).await;
        let told: Vec<&Tick> = ticks.iter().filter(|tick| tick.left.is_some()).collect();
        assert!(!told.is_empty(), "{ticks:?}");
        assert!(told.iter().all(|tick| tick.say.contains("increments")), "{told:?}");
        let first = first.unwrap();
        assert_eq!((first.base.bytes, first.incr.bytes), (0, total));
        assert!(first.server.contains(' ') && first.wall_secs() > 1.0 && first.incr.cpu_secs > 0.2, "{first:?}");

        let kept: Kept =
            [("load.bds".to_owned(), crate::host::json_text::JsonText::of(&first).unwrap())].into_iter().collect();
        bed.boot(&["--key-load-delay", "12"]).await;
        let (ticks, again) = wait_for(&bed, &kept).await;
        assert_eq!(again, None, "a run keeps what it has kept");
        // Not the first word: on a busy machine the first bytes of a three-second load say nothing about the rest.
        let left = ticks.iter().filter_map(|tick| tick.left).next_back().unwrap();
        assert!(left.typical < 2.0 * first.wall_secs() + 2.0, "{left:?} after {first:?}; {ticks:?}");
    }
}
