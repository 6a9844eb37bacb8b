//! What holds a load up: the processor, others who want it, or the disk.
//!
//! A process is on a processor, in the queue for one, or waits for its disk; `/proc/PID/schedstat` tells the first two. Under
//! a quota of processor time they make up all of the time, behind a slow disk half of it. Where the disk is the limit, time
//! runs straight over the bytes and a curve of processor time misleads; behind a cheap base may wait a dear increment, so
//! the limit is taken stretch by stretch and not once for the load.

use serde::{Deserialize, Serialize};

use super::live::Sample;
use super::work::median;

/// What held a load up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// Too little seen to say.
    #[default]
    Unknown,
    /// Its own work, or others who wanted the processor.
    Cpu,
    /// The disk.
    Disk,
}

/// How wall time relates to work so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Wall seconds per processor second over the whole load so far.
    pub wall_per_cpu: f64,
    /// The same while it mostly ran: what work costs when the disk is not in the way.
    running_wall_per_cpu: f64,
    /// Bytes per second while it waited for the disk.
    disk_rate: Option<f64>,
    /// How sure it is that the disk is the limit, 0 to 1.
    disk_belief: f64,
    seen: bool,
}

/// Below this share on or in the queue for a processor, a stretch of time counts as waiting for the disk.
const BUSY: f64 = 0.7;
/// At this share of the processor a stretch counts as mostly running.
const RAN: f64 = 0.4;
/// Wall per processor second when nothing mostly ran yet.
const RUNNING: f64 = 1.3;
/// Stretches are at least this long, in seconds, and at least this share of the time so far.
const SHORTEST: f64 = 0.5;
const SHARE: f64 = 0.04;

/// So many times as long as most is a stall.
const STALL: f64 = 6.0;

/// A stretch of time between two samples.
struct Stretch {
    secs: f64,
    bytes: f64,
    cpu: f64,
    queue: Option<f64>,
}

impl Pace {
    /// From the samples so far.
    #[must_use]
    pub fn of(samples: &[Sample]) -> Self {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
            return Self::unseen();
        };
        let (secs, cpu) = (last.seconds - first.seconds, last.cpu() - first.cpu());
        if secs <= 0.0 || cpu <= 0.0 {
            return Self::unseen();
        }
        let stretches = stretches(samples, SHORTEST.max(SHARE * secs));
        let running = stretches.iter().filter(|s| s.cpu > RAN * s.secs);
        let running = running.map(|s| (s.cpu + s.queue.unwrap_or(0.0)) / s.cpu);
        let (disk_rate, disk_belief) = disk(&without_stalls(&stretches));
        Self {
            wall_per_cpu: secs / cpu,
            running_wall_per_cpu: median(running).unwrap_or(RUNNING).clamp(1.0, 3.0),
            disk_rate,
            disk_belief,
            seen: !stretches.is_empty(),
        }
    }

    fn unseen() -> Self {
        Self { wall_per_cpu: 1.0, running_wall_per_cpu: RUNNING, disk_rate: None, disk_belief: 0.0, seen: false }
    }

    /// What holds the load up.
    #[must_use]
    pub fn regime(&self) -> Regime {
        match self.disk_belief {
            _ if !self.seen => Regime::Unknown,
            belief if belief >= 0.5 => Regime::Disk,
            _ => Regime::Cpu,
        }
    }

    /// Bytes per second that the disk gives, once it was seen to be the limit.
    #[must_use]
    pub fn disk_rate(&self) -> Option<f64> {
        self.disk_rate.filter(|_| self.disk_belief > 0.0)
    }

    /// How sure it is that the disk is the limit, 0 to 1.
    pub(super) fn disk_belief(&self) -> f64 {
        self.disk_belief
    }

    /// Seconds for stretches of (processor seconds, bytes), each taking the longer of its work and its reading.
    pub(super) fn at_disk(&self, rate: f64, stretches: impl Iterator<Item = (f64, f64)>) -> f64 {
        stretches.map(|(cpu, bytes)| (cpu * self.running_wall_per_cpu).max(bytes / rate)).sum()
    }
}

/// The stretches that tell a pace: one that lasted far longer than most, because no byte came, is an accident and not the
/// rate of a disk.
fn without_stalls(stretches: &[Stretch]) -> Vec<&Stretch> {
    let usual = median(stretches.iter().map(|s| s.secs)).unwrap_or(0.0);
    stretches.iter().filter(|s| s.secs <= STALL * usual).collect()
}

fn stretches(samples: &[Sample], least: f64) -> Vec<Stretch> {
    let mut found = Vec::new();
    let mut rest = samples.iter();
    let Some(mut from) = rest.next() else { return found };
    for to in rest {
        let secs = to.seconds - from.seconds;
        if secs < least {
            continue;
        }
        found.push(Stretch {
            secs,
            bytes: to.bytes.saturating_sub(from.bytes) as f64,
            cpu: to.cpu() - from.cpu(),
            queue: to.runqueue_secs.zip(from.runqueue_secs).map(|(to, from)| to - from),
        });
        from = to;
    }
    found
}

/// The rate of the disk over the stretches that waited for it, and how sure it is that it is the limit.
fn disk(stretches: &[&Stretch]) -> (Option<f64>, f64) {
    let steady = steadier_bytes(stretches);
    let waited = |s: &&&Stretch| match s.queue {
        Some(queue) => s.cpu + queue < BUSY * s.secs,
        None => s.cpu < BUSY * s.secs,
    };
    let mut rates: Vec<(f64, f64)> = stretches.iter().filter(waited).map(|s| (s.bytes / s.secs, s.secs)).collect();
    let waiting: f64 = rates.iter().map(|(_, secs)| secs).sum();
    let all: f64 = stretches.iter().map(|s| s.secs).sum();
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum = 0.0;
    let middle = rates.iter().find(|(_, secs)| {
        sum += secs;
        sum >= waiting / 2.0
    });
    let rate = middle.map(|(rate, _)| *rate).filter(|rate| *rate > 0.0);
    let share = if all > 0.0 { waiting / all } else { 0.0 };
    let belief = ((share - 0.3) / 0.2).clamp(0.0, 1.0);
    let queue_known = stretches.iter().all(|s| s.queue.is_some());
    match rate {
        Some(_) if queue_known => (rate, belief),
        Some(_) => (rate, belief * steady),
        None => (None, 0.0),
    }
}

/// Without the run queue, a quota and a slow disk look alike but for this: the quota gives processor time evenly, the disk
/// gives bytes evenly. 1 when bytes come clearly more evenly, 0 when processor time does.
fn steadier_bytes(stretches: &[&Stretch]) -> f64 {
    if stretches.len() < 4 {
        return 0.0;
    }
    let unevenness = |rate: &dyn Fn(&Stretch) -> f64| -> f64 {
        let rates: Vec<f64> = stretches.iter().copied().map(rate).collect();
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let square = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / rates.len() as f64;
        if mean > 0.0 { square.sqrt() / mean } else { f64::INFINITY }
    };
    let (bytes, cpu) = (unevenness(&|s| s.bytes / s.secs), unevenness(&|s| s.cpu / s.secs));
    if !bytes.is_finite() || bytes + cpu <= 0.0 {
        return 0.0;
    }
    // Certain at 4 : 5 in favour of bytes, excluded at 5 : 4 against; a disk that is the limit is not fitful either.
    let steadier = ((1.25 - bytes / cpu.max(1e-9)) / (1.25 - 0.8)).clamp(0.0, 1.0);
    steadier * ((0.5 - bytes) / 0.2).clamp(0.0, 1.0)
}
