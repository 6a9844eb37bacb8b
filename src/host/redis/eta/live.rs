//! The estimate while a load runs: what was expected, corrected by what is seen.
//!
//! Samples come once a second or so, from `/proc` or INFO. Work is counted in processor seconds against the expected course;
//! the ratio of the two, over the whole load and over its latest stretch, scales what is left. Then the pace turns work into
//! wall time. Short windows are avoided throughout: a disk that stalls for nine seconds must not look like the end of progress.

use serde::{Deserialize, Serialize};

use super::pace::{Pace, Regime};
use super::record::LoadRecord;
use super::shown::Shown;
use super::work::{Known, PartWork, Work};

/// One look at a loading server.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the server's start, or since any fixed moment.
    pub seconds: f64,
    /// Bytes of all its files that it has read.
    pub bytes: u64,
    /// Processor seconds of its main thread.
    pub cpu_secs: Option<f64>,
    /// Seconds it was ready to run and had no processor.
    pub runqueue_secs: Option<f64>,
}

impl Sample {
    /// Processor seconds; wall time stands in where they are not known.
    pub(super) fn cpu(&self) -> f64 {
        self.cpu_secs.unwrap_or(self.seconds)
    }
}

/// Which part is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The base.
    Base,
    /// The increments.
    Incr,
}

/// What is left of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    /// Seconds, as likely too long as too short.
    pub typical: f64,
    /// At least so many seconds, in nine of ten loads.
    pub low: f64,
    /// At most so many seconds, in nine of ten loads.
    pub high: f64,
    /// Processor seconds of it.
    pub cpu_secs: f64,
    /// Share of the work that is done, 0 to 1.
    pub done: f64,
    /// Which part is being read.
    pub position: Position,
    /// What holds it up.
    pub regime: Regime,
    /// No byte was read for so many seconds, far longer than it usually takes.
    pub stalled: Option<f64>,
}

/// The live estimate of one load.
#[derive(Debug, Clone)]
pub struct LoadEta {
    work: Work,
    /// Samples at which bytes had been read since the one before; the first is where counting begins.
    samples: Vec<Sample>,
    shown: Shown,
}

/// More samples than this are thinned to half; the curve keeps its form.
const MAX_SAMPLES: usize = 2048;
/// Bytes by which two counts of the same moment may differ.
const READ_AHEAD: u64 = 8 << 20;
/// The latest stretch: this share of the time so far.
const LATEST: f64 = 0.3;
/// Weight of the latest stretch against the whole.
const LATEST_WEIGHT: f64 = 0.5;
/// How much of the base's deviation the increments share: part of it is the host, part the data.
const SHARED: f64 = 0.5;
/// Below so many seconds nothing is promised while a load still reads.
pub const LEAST: f64 = 2.0;

/// How many seconds of observation the prior is worth, as a share of the whole work.
fn weight(known: Known) -> f64 {
    match known {
        Known::BySize | Known::BySample => 0.005,
        Known::ByLoad => 0.1,
    }
}

/// For how long the plan still speaks after the start, as a share of its length.
fn plan_weight(known: Known) -> f64 {
    match known {
        Known::BySize => 0.0005,
        Known::BySample => 0.005,
        Known::ByLoad => 0.01,
    }
}

impl LoadEta {
    /// Before the first look.
    #[must_use]
    pub fn new(mut work: Work) -> Self {
        // Of increments known by size alone, a byte may cost 35 times another. Too short an estimate is off by its own
        // length at most, too long a one by any factor; so until some are read they pass for base.
        if work.incr.known == Known::BySize && work.base.bytes > 0 && work.incr.bytes > 0 {
            let as_base = Work::of_sizes(work.incr.bytes, 0);
            work.incr.cpu_secs = as_base.base.cpu_secs;
        }
        Self { work, samples: Vec::new(), shown: Shown::default() }
    }

    /// A look at the server. One that has read less than before has begun anew, and so does the estimate.
    pub fn feed(&mut self, sample: Sample) {
        if !sample.seconds.is_finite() || sample.cpu_secs.is_some_and(|cpu| !cpu.is_finite()) {
            return;
        }
        if let Some(last) = self.samples.last() {
            // The sources of the byte count differ by a read-ahead; a new attempt begins far lower.
            let anew = sample.bytes.saturating_add(READ_AHEAD) < last.bytes || sample.cpu_secs < last.cpu_secs;
            // A source that comes or goes breaks the count of processor time.
            let other = sample.cpu_secs.is_some() != last.cpu_secs.is_some();
            if anew || other {
                self.samples.clear();
                self.shown = Shown::default();
            } else if sample.bytes <= last.bytes || sample.seconds <= last.seconds {
                return;
            }
        }
        if self.samples.len() >= MAX_SAMPLES {
            let mut n = 0;
            self.samples.retain(|_| {
                n += 1;
                n % 2 == 1
            });
        }
        self.samples.push(sample);
    }

    /// What is left at a moment, in the samples' time; `None` before the first sample. What it says is meant to be shown: it
    /// moves no faster than what was seen justifies.
    pub fn left(&mut self, now: f64) -> Option<Left> {
        let left = self.reckon(now)?;
        Some(self.shown.steady(now, left))
    }

    /// A record of the load, which ended at `end`. `None` when too little of it was seen.
    #[must_use]
    pub fn record(&self, instance: &str, server: &str, end: Sample) -> Option<LoadRecord> {
        let mut samples = self.samples.clone();
        let last = *samples.last()?;
        let cpu_secs = match (last.cpu_secs, end.cpu_secs) {
            (None, _) => None,
            (Some(last), Some(end)) => Some(end.max(last)),
            // The end was not measured: it went on as it went before.
            (Some(cpu), None) => {
                Some(cpu + (end.seconds - last.seconds).max(0.0) / Pace::of(&samples).wall_per_cpu.max(1.0))
            }
        };
        samples.push(Sample { cpu_secs, ..end });
        let mut load = LoadRecord::of(instance, server, (self.work.base.bytes, self.work.incr.bytes), &samples)?;
        load.expected = Some(self.work.expected());
        Some(load)
    }

    /// The sizes it reckons with: base and increments.
    #[must_use]
    pub fn sizes(&self) -> (u64, u64) {
        (self.work.base.bytes, self.work.incr.bytes)
    }

    /// Processor seconds since the first sample.
    #[must_use]
    pub fn cpu_used(&self) -> f64 {
        self.since_first(Sample::cpu)
    }

    /// Seconds from the first sample to the last.
    #[must_use]
    pub fn elapsed(&self) -> f64 {
        self.since_first(|sample| sample.seconds)
    }

    fn since_first(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        match (self.samples.first(), self.samples.last()) {
            (Some(first), Some(last)) => of(last) - of(first),
            _ => 0.0,
        }
    }

    fn reckon(&self, now: f64) -> Option<Left> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        let work = &self.work;
        let total = work.bytes() as f64;
        let read = (last.bytes as f64).min(total);
        let (base_scale, incr_scale) = self.scales();
        let (base_done, incr_done) = work.at(read);
        let base_left = (work.base.cpu_secs - base_done).max(0.0) * base_scale;
        let incr_left = (work.incr.cpu_secs - incr_done).max(0.0) * incr_scale;
        let cpu_secs = base_left + incr_left;
        let pace = Pace::of(&self.samples);
        let used = last.cpu() - first.cpu();
        let wall_per_cpu = if used > 0.0 { pace.wall_per_cpu } else { work.wall_per_cpu() };
        let mut wall = cpu_secs * wall_per_cpu;
        if let Some(rate) = pace.disk_rate() {
            let at_disk = self.at_disk(&pace, rate, (base_scale, incr_scale));
            wall += (at_disk - wall) * pace.disk_belief();
        }
        let wall =
            self.drawn_to_plan(wall, last.seconds - first.seconds, read / total.max(1.0), (base_done, incr_done));
        // Between two steps of the byte count time goes on; in a stall the end moves away instead.
        let step = (last.seconds - first.seconds) / (self.samples.len() - 1).max(1) as f64;
        let still = (now - last.seconds).max(0.0);
        let typical = (wall - still.min(2.0 * step)).max(wall * 0.05);
        let done = if used + cpu_secs > 0.0 { used / (used + cpu_secs) } else { 0.0 };
        let typical = typical.max(LEAST);
        let doubt = |part: &PartWork, left: f64| {
            part.known.doubt().powf((left / part.cpu_secs.max(1e-9)).clamp(0.0, 1.0).sqrt())
        };
        let share = |left: f64| if cpu_secs > 0.0 { left / cpu_secs } else { 0.0 };
        let spread = (share(base_left) * doubt(&work.base, base_left / base_scale)
            + share(incr_left) * doubt(&work.incr, incr_left / incr_scale))
        .max(1.1);
        Some(Left {
            typical,
            low: typical / spread,
            high: typical * spread,
            cpu_secs,
            done,
            position: if last.bytes < work.base.bytes { Position::Base } else { Position::Incr },
            regime: pace.regime(),
            stalled: (still > (8.0 * step).max(10.0)).then_some(still),
        })
    }

    /// The seconds left, drawn to what was expected before the load as long as little time has gone: the first second of a
    /// load says next to nothing about a pace.
    fn drawn_to_plan(&self, wall: f64, elapsed: f64, read: f64, (base_done, incr_done): (f64, f64)) -> f64 {
        let work = &self.work;
        let expected = work.expected().typical;
        let by_work = (base_done + incr_done) / work.cpu_secs().max(1e-9);
        let done = if work.disk_bound() { read } else { by_work };
        let planned = expected * (1.0 - done).clamp(0.0, 1.0);
        if wall <= 0.0 || planned <= 0.0 {
            return wall;
        }
        let seen = elapsed / (elapsed + plan_weight(work.known()) * expected);
        wall.powf(seen) * planned.powf(1.0 - seen)
    }

    /// Seconds left when the disk is the limit wherever work does not take longer, in the measure of how well that explains
    /// the time so far.
    fn at_disk(&self, pace: &Pace, rate: f64, (base_scale, incr_scale): (f64, f64)) -> f64 {
        const STRETCHES: usize = 40;
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else {
            return 0.0;
        };
        let between = |from: f64, to: f64| -> f64 {
            let place = |n: usize| from + (to - from) * n as f64 / STRETCHES as f64;
            let stretches = (0..STRETCHES).map(|n| {
                let ((b0, i0), (b1, i1)) = (self.work.at(place(n)), self.work.at(place(n + 1)));
                (base_scale * (b1 - b0) + incr_scale * (i1 - i0), place(n + 1) - place(n))
            });
            pace.at_disk(rate, stretches)
        };
        let read = last.bytes as f64;
        let left = between(read, (self.work.bytes() as f64).max(read));
        let explained = between(first.bytes as f64, read);
        let elapsed = last.seconds - first.seconds;
        let prior = 0.2 * (explained + left);
        left * (elapsed + prior) / (explained + prior).max(1e-9)
    }

    /// The first sample of the latest stretch.
    fn latest(&self) -> Option<&Sample> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        let from = last.seconds - LATEST * (last.seconds - first.seconds);
        let after = self.samples.partition_point(|sample| sample.seconds <= from);
        self.samples.get(after.saturating_sub(1))
    }

    /// Actual over expected processor time of what is left of the base and of the increments.
    fn scales(&self) -> (f64, f64) {
        let (Some(first), Some(last), Some(latest)) = (self.samples.first(), self.samples.last(), self.latest()) else {
            return (1.0, 1.0);
        };
        let work = &self.work;
        let (base, incr) = (&work.base, &work.incr);
        // Where both parts are known from a load, what deviates is the host, and it does so in both.
        if work.known() == Known::ByLoad {
            let done = |sample: &Sample| {
                let (base, incr) = work.at(sample.bytes as f64);
                base + incr
            };
            let scale = blend(first, latest, last, done, weight(Known::ByLoad) * work.cpu_secs(), 1.0);
            return (scale, scale);
        }
        let in_base = |sample: &Sample| work.at(sample.bytes as f64).0;
        if last.bytes < base.bytes {
            let scale = blend(first, latest, last, in_base, weight(base.known) * base.cpu_secs, 1.0);
            return (scale, scale.powf(SHARED));
        }
        // The increments are reckoned from where they begin.
        let begin = self.samples.iter().find(|sample| sample.bytes >= base.bytes).unwrap_or(first);
        let base_expected = in_base(begin) - in_base(first);
        let base_scale = if base_expected > 0.2 * base.cpu_secs && base.bytes > 0 {
            (begin.cpu() - first.cpu()) / base_expected
        } else {
            1.0
        };
        let prior = base_scale.max(0.01).powf(SHARED);
        let latest = if latest.seconds < begin.seconds { begin } else { latest };
        let in_incr = |sample: &Sample| work.at(sample.bytes as f64).1;
        let scale = blend(begin, latest, last, in_incr, weight(incr.known) * incr.cpu_secs, prior);
        (base_scale, scale)
    }
}

/// Actual over expected work. The whole is drawn to `prior` as if `weight` processor seconds of work had gone at that
/// ratio, the latest stretch likewise to the whole: a short stretch says little.
fn blend(
    first: &Sample,
    latest: &Sample,
    last: &Sample,
    done: impl Fn(&Sample) -> f64,
    weight: f64,
    prior: f64,
) -> f64 {
    let weight = weight.max(1e-9);
    let since = |from: &Sample, prior: f64| {
        let (spent, expected) = (last.cpu() - from.cpu(), done(last) - done(from));
        (spent.max(0.0) + weight * prior) / (expected.max(0.0) + weight)
    };
    let whole = since(first, prior);
    (1.0 - LATEST_WEIGHT) * whole + LATEST_WEIGHT * since(latest, whole)
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
