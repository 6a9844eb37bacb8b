//! Recorded loads played to the live estimate, as the executor would have fed it: used by the example and by the test.
//!
//! At each point the estimate sees the sizes of the files and the samples up to then. With history it sees one whole earlier
//! load of the same shape and server. On the clock `cpu20` a wall second is a twentieth of a processor second: a host that
//! gives the server an even five per cent, with the noise of the recording machine gone.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use runbook::action::loads::Board;
use runbook::host::redis::eta::{IncrCost, Left, LoadEta, LoadRecord, Sample, Work};
use serde::{Deserialize, Serialize};

/// One recorded load; see `tests/recorded/aof-loads.md`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) run: String,
    pub(crate) name: String,
    pub(crate) tag: String,
    pub(crate) base: u64,
    pub(crate) incr: u64,
    pub(crate) ready: f64,
    pub(crate) cpu: f64,
    pub(crate) pts: Vec<(f64, u64, f64, u64, f64)>,
    /// What samples of its increments showed, where the recorder had the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counted: Option<IncrCost>,
}

/// gzip(1) is on every host that has a shell; no library is locked in for two recordings.
#[expect(clippy::disallowed_methods, reason = "a tool of the tests, not of the program")]
fn gzip(how: &str) -> Command {
    let mut command = Command::new("gzip");
    command.arg(how);
    command
}

/// Reads the recording.
pub(crate) fn read(path: &Path) -> Result<Vec<Load>, Box<dyn std::error::Error>> {
    let told = gzip("-dc").stdin(std::fs::File::open(path)?).output()?;
    if !told.status.success() {
        return Err(format!("gzip: {}", String::from_utf8_lossy(&told.stderr)).into());
    }
    Ok(serde_json::from_slice(&told.stdout)?)
}

/// Keeps loads in the same form.
pub(crate) fn keep(path: &Path, loads: &[Load]) -> Result<(), Box<dyn std::error::Error>> {
    let mut child = gzip("-9nc").stdin(Stdio::piped()).stdout(std::fs::File::create(path)?).spawn()?;
    let file = child.stdin.take().ok_or("no pipe to gzip")?;
    serde_json::to_writer(file, loads)?;
    if child.wait()?.success() { Ok(()) } else { Err("gzip failed".into()) }
}

/// Which seconds count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Clock {
    /// Processor seconds times 20.
    Cpu20,
    /// As recorded.
    Wall,
}

const STRETCH: f64 = 20.0;

/// The predictions at one moment.
pub(crate) struct Point {
    /// Of the whole time, 0 to 1.
    pub(crate) at: f64,
    pub(crate) actual: f64,
    pub(crate) redis: f64,
    pub(crate) ours: Left,
}

/// One load as it was predicted.
pub(crate) struct Played {
    pub(crate) points: Vec<Point>,
    /// The interval given before the load holds its time.
    pub(crate) held: bool,
    /// The least that was shown while more than 5 % of the time was left.
    pub(crate) least: f64,
}

impl Load {
    fn server(&self) -> &str {
        match &self.tag {
            tag if tag.starts_with("vk") || tag.starts_with("rd") => tag,
            _ => "redis 7.0.15",
        }
    }

    fn samples(&self, clock: Clock) -> Vec<Sample> {
        let sample = |&(seconds, bytes, cpu, _, queue): &(f64, u64, f64, u64, f64)| match clock {
            Clock::Cpu20 => Sample {
                seconds: cpu * STRETCH,
                bytes,
                cpu_secs: Some(cpu),
                runqueue_secs: Some(cpu * (STRETCH - 1.0)),
            },
            Clock::Wall => {
                Sample { seconds, bytes, cpu_secs: Some(cpu), runqueue_secs: (queue >= 0.0).then_some(queue) }
            }
        };
        self.pts.iter().map(sample).collect()
    }

    /// The time from start to ready.
    fn end(&self, clock: Clock) -> f64 {
        match clock {
            Clock::Cpu20 => self.cpu * STRETCH,
            Clock::Wall => self.ready,
        }
    }

    /// What is kept of this load once it is over.
    fn record(&self, clock: Clock) -> Option<LoadRecord> {
        let mut eta = self.estimate(clock, None);
        for sample in self.samples(clock) {
            eta.feed(sample);
        }
        let end = Sample {
            seconds: self.end(clock),
            bytes: self.base + self.incr,
            cpu_secs: Some(self.cpu),
            runqueue_secs: None,
        };
        eta.record(&self.name, self.server(), end)
    }

    fn work(&self, clock: Clock, earlier: Option<&Load>) -> Work {
        let sizes = Work::of_sizes(self.base, self.incr);
        let sizes = match &self.counted {
            Some(cost) => sizes.sampled(cost),
            None => sizes,
        };
        let on_host = match clock {
            Clock::Cpu20 => sizes.on_host(STRETCH),
            Clock::Wall => sizes,
        };
        match earlier.and_then(|load| load.record(clock)) {
            Some(record) => on_host.learned(&[&record]),
            None => on_host,
        }
    }

    fn estimate(&self, clock: Clock, earlier: Option<&Load>) -> LoadEta {
        let mut eta = LoadEta::new(self.work(clock, earlier));
        // The start of the process is known, and nothing is read then.
        eta.feed(Sample { cpu_secs: Some(0.0), runqueue_secs: Some(0.0), ..Sample::default() });
        eta
    }

    /// Plays the load and asks at these shares of its time.
    pub(crate) fn play(
        &self,
        clock: Clock,
        earlier: Option<&Load>,
        mut beside: Option<Companion<'_>>,
        shares: &[f64],
    ) -> Played {
        let (end, total) = (self.end(clock), self.base + self.incr);
        let mut eta = self.estimate(clock, earlier);
        let mut least = f64::INFINITY;
        let mut points = Vec::new();
        let mut asks = shares.iter().copied().peekable();
        let samples = self.samples(clock);
        for (n, (sample, recorded)) in samples.iter().zip(&self.pts).enumerate() {
            eta.feed(*sample);
            let until = samples.get(n + 1).map_or(end, |next| next.seconds);
            while let Some(at) = asks.next_if(|at| at * end < until) {
                let now = (at * end).max(sample.seconds);
                let Some(alone) = eta.left(now) else { continue };
                let ours = match &mut beside {
                    Some(companion) => companion.beside(self, now, alone, &eta),
                    None => alone,
                };
                let redis = match clock {
                    Clock::Cpu20 => own_estimate(now, sample.bytes, total),
                    Clock::Wall => recorded.3 as f64,
                };
                points.push(Point { at, actual: end - now, redis, ours });
            }
            if let Some(left) = eta.left(sample.seconds).filter(|_| end - sample.seconds > 0.05 * end) {
                least = least.min(left.typical);
            }
        }
        let expected = self.work(clock, earlier).expected();
        Played { points, held: (expected.low..=expected.high).contains(&end), least }
    }

    /// Which parts it has.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.base > 0, self.incr > 0) {
            (true, true) => "mixed",
            (true, false) => "base",
            _ => "incr",
        }
    }

    /// The sets that a load belongs to.
    pub(crate) fn sets(&self) -> Vec<String> {
        let kind = self.kind();
        let conditions = match self.tag.as_str() {
            "" => "quiet",
            tag if tag.starts_with("io") => "disk",
            tag if tag.starts_with('q') => "quota",
            tag if tag.starts_with("multi") => "together",
            tag if tag.starts_with("poll") => "polled",
            _ => "other-servers",
        };
        vec!["all".into(), kind.into(), conditions.into(), format!("shape:{}", self.name)]
    }
}

/// Redis's own estimate (replication and persistence INFO): a straight line over bytes, in whole seconds, 1 in the first.
fn own_estimate(seconds: f64, bytes: u64, total: u64) -> f64 {
    match seconds as u64 {
        0 => 1.0,
        elapsed => (elapsed * total.saturating_sub(bytes) / (bytes + 1)) as f64,
    }
}

/// The load before this one of the same shape on the same server.
pub(crate) fn earlier(loads: &[Load], n: usize) -> Option<&Load> {
    let load = &loads[n];
    loads[..n].iter().rev().find(|one| one.name == load.name && one.server() == load.server())
}

/// A load that ran at the same time on the same machine, as far as it was recorded, and the board they share.
pub(crate) struct Companion<'a> {
    load: &'a Load,
    eta: LoadEta,
    samples: std::iter::Peekable<std::vec::IntoIter<Sample>>,
    end: f64,
    board: Board,
}

impl<'a> Companion<'a> {
    fn of(loads: &'a [Load], n: usize, clock: Clock, history: bool) -> Option<Self> {
        let load = loads.get(n)?;
        let at = loads.iter().position(|other| {
            let same = |load: &Load| load.run.rsplit('_').next().map(str::to_owned);
            load.tag.starts_with("multi")
                && other.tag == load.tag
                && same(other) == same(load)
                && other.name != load.name
        })?;
        let other = loads.get(at).filter(|_| clock == Clock::Wall)?;
        Some(Self {
            load: other,
            eta: other.estimate(clock, if history { earlier(loads, at) } else { None }),
            samples: other.samples(clock).into_iter().peekable(),
            end: other.end(clock),
            board: Board::default(),
        })
    }

    fn beside(&mut self, load: &Load, now: f64, alone: Left, eta: &LoadEta) -> Left {
        while let Some(sample) = self.samples.next_if(|sample| sample.seconds <= now) {
            self.eta.feed(sample);
        }
        let moment = std::time::Duration::from_secs_f64(now);
        match self.eta.left(now).filter(|_| now < self.end) {
            Some(left) => {
                self.board.beside(&self.load.name, moment, left, &self.eta);
            }
            None => self.board.done(&self.load.name),
        }
        self.board.beside(&load.name, moment, alone, eta)
    }
}

/// The errors in percent at each asked moment: Redis's and ours.
pub(crate) fn errors(loads: &[Load], n: usize, clock: Clock, history: bool) -> Vec<(f64, f64)> {
    let load = &loads[n];
    let before = if history { earlier(loads, n) } else { None };
    let error = |point: &Point, said: f64| 100.0 * (said - point.actual) / point.actual;
    let played = load.play(clock, before, Companion::of(loads, n, clock, history), shares(load, clock));
    let of = |point: &Point| (error(point, point.redis), error(point, point.ours.typical));
    played.points.iter().map(of).collect()
}

/// One row of the table.
#[derive(Serialize, Debug, Clone)]
pub(crate) struct Row {
    pub(crate) set: String,
    pub(crate) clock: Clock,
    pub(crate) history: bool,
    pub(crate) loads: usize,
    pub(crate) redis_mape: f64,
    pub(crate) ours_mape: f64,
    pub(crate) interval_coverage: f64,
    /// The least that was shown while more than 5 % of the time was left, in seconds.
    pub(crate) least_shown: f64,
}

/// The shares of the time at which the error is taken; behind a slow disk the start is left out.
pub(crate) fn shares(load: &Load, clock: Clock) -> &'static [f64] {
    match clock {
        Clock::Wall if load.tag.starts_with("io") => &[0.25, 0.5, 0.75],
        _ => &[0.05, 0.10, 0.25, 0.5, 0.75],
    }
}

/// Plays everything on one clock and sums up by set.
pub(crate) fn table(loads: &[Load], clock: Clock, history: bool, wanted: impl Fn(&Load) -> bool) -> Vec<Row> {
    let mut sums: BTreeMap<String, Row> = BTreeMap::new();
    for (n, load) in loads.iter().enumerate().filter(|(_, load)| wanted(load)) {
        let before = if history { earlier(loads, n) } else { None };
        if history && before.is_none() {
            continue;
        }
        let played = load.play(clock, before, Companion::of(loads, n, clock, history), shares(load, clock));
        let mean = |of: &dyn Fn(&Point) -> f64| -> f64 {
            let errors = played.points.iter().map(|point| (of(point) - point.actual).abs() / point.actual);
            100.0 * errors.sum::<f64>() / played.points.len() as f64
        };
        for set in load.sets() {
            let row = sums.entry(set.clone()).or_insert(Row {
                set,
                clock,
                history,
                loads: 0,
                redis_mape: 0.0,
                ours_mape: 0.0,
                interval_coverage: 0.0,
                least_shown: f64::INFINITY,
            });
            row.loads += 1;
            row.redis_mape += mean(&|point| point.redis);
            row.ours_mape += mean(&|point| point.ours.typical);
            row.interval_coverage += if played.held { 100.0 } else { 0.0 };
            row.least_shown = row.least_shown.min(played.least);
        }
    }
    let round = |value: f64| (value * 10.0).round() / 10.0;
    let mut rows: Vec<Row> = sums.into_values().collect();
    for row in &mut rows {
        let loads = row.loads as f64;
        row.redis_mape = round(row.redis_mape / loads);
        row.ours_mape = round(row.ours_mape / loads);
        row.interval_coverage = round(row.interval_coverage / loads);
        row.least_shown = round(row.least_shown);
    }
    let order = ["all", "mixed", "base", "incr", "quiet", "disk"];
    rows.sort_by_key(|row| (order.iter().position(|set| *set == row.set).unwrap_or(order.len()), row.set.clone()));
    rows
}
