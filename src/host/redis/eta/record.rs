//! What is worth keeping of a finished load, and which earlier loads speak for the next one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Expected;
use super::curve::Curve;
use super::live::Sample;
use super::pace::{Pace, Regime};

/// Loads that count: the latest of an instance on one version of its server.
pub const LATEST: usize = 3;

/// Loads of an instance that are handed on to a run, over all versions of its server.
pub const MOST: usize = 6;

/// One part of a finished load.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PartRecord {
    /// Its bytes.
    pub bytes: u64,
    /// Processor seconds it took; wall seconds where the processor time was not known.
    pub cpu_secs: f64,
    /// Wall seconds it took.
    pub wall_secs: f64,
    /// How the processor seconds spread over the bytes.
    pub curve: Curve,
}

impl PartRecord {
    /// Something was read and it took time.
    pub(super) fn teaches(&self) -> bool {
        self.bytes > 0 && self.cpu_secs > 0.0 && self.cpu_secs.is_finite()
    }
}

/// One finished load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadRecord {
    /// The instance by its name in the runbook.
    pub instance: String,
    /// Program and version, as `redis 7.0.15`: the same file took half as long again on another version.
    pub server: String,
    /// The base.
    pub base: PartRecord,
    /// The increments.
    pub incr: PartRecord,
    /// Wall over processor seconds; `None` where the processor time was not known.
    pub wall_per_cpu: Option<f64>,
    /// What held the load up.
    pub regime: Regime,
    /// Bytes per second of the disk, when that was what held it up.
    pub disk_rate: Option<f64>,
    /// What was expected when it began, from its files as they were then.
    pub expected: Option<Expected>,
}

impl LoadRecord {
    /// Wall seconds of the whole load.
    #[must_use]
    pub fn wall_secs(&self) -> f64 {
        self.base.wall_secs + self.incr.wall_secs
    }

    /// From the samples of a load that has ended; the last sample is its end. `None` when the samples do not span the load:
    /// who came when it was half over knows too little of its first half.
    #[must_use]
    pub fn of(instance: &str, server: &str, sizes: (u64, u64), samples: &[Sample]) -> Option<Self> {
        let (base, incr) = sizes;
        let total = base + incr;
        let (first, last) = (samples.first()?, samples.last()?);
        if total == 0 || first.bytes > total / 10 || last.seconds <= first.seconds {
            return None;
        }
        let knows_cpu = samples.iter().all(|sample| sample.cpu_secs.is_some());
        let course = Course::of(samples, total);
        let part = |from: u64, bytes: u64| -> PartRecord {
            let place = |share: f64| from as f64 + share * bytes as f64;
            let spent = |of: &dyn Fn(f64) -> (f64, f64)| -> (f64, f64) {
                let ((w0, c0), (w1, c1)) = (of(place(0.0)), of(place(1.0)));
                (w1 - w0, c1 - c0)
            };
            let at = |read: f64| course.at(read);
            let (wall_secs, cpu_secs) = if bytes == 0 { (0.0, 0.0) } else { spent(&at) };
            PartRecord { bytes, cpu_secs, wall_secs, curve: Curve::of(|share| course.at(place(share)).1) }
        };
        let pace = Pace::of(samples);
        let (base, incr) = (part(0, base), part(base, incr));
        let cpu = base.cpu_secs + incr.cpu_secs;
        let wall = base.wall_secs + incr.wall_secs;
        let disk_bound = pace.regime() == Regime::Disk;
        Some(Self {
            instance: instance.to_owned(),
            server: server.to_owned(),
            wall_per_cpu: (knows_cpu && cpu > 0.0 && !disk_bound).then(|| wall / cpu),
            regime: pace.regime(),
            disk_rate: pace.disk_rate().filter(|_| disk_bound),
            expected: None,
            base,
            incr,
        })
    }
}

/// Wall and processor seconds against bytes, as read off the samples.
struct Course(Vec<(f64, f64, f64)>);

impl Course {
    fn of(samples: &[Sample], total: u64) -> Self {
        let mut points: Vec<(f64, f64, f64)> = Vec::with_capacity(samples.len());
        for sample in samples {
            let bytes = sample.bytes.min(total) as f64;
            // The first moment at which so much was read.
            if points.last().is_none_or(|last| bytes > last.0) {
                points.push((bytes, sample.seconds, sample.cpu()));
            }
        }
        // The end belongs to all bytes, whenever the last of them was seen.
        if let Some(last) = samples.last() {
            points.retain(|point| point.0 < total as f64);
            points.push((total as f64, last.seconds, last.cpu()));
        }
        Self(points)
    }

    fn at(&self, read: f64) -> (f64, f64) {
        let after = self.0.partition_point(|point| point.0 <= read);
        let (a, b) = match (after.checked_sub(1).and_then(|n| self.0.get(n)), self.0.get(after)) {
            (Some(a), Some(b)) => (a, b),
            (Some(only), None) | (None, Some(only)) => return (only.1, only.2),
            (None, None) => return (0.0, 0.0),
        };
        let share = (read - a.0) / (b.0 - a.0);
        (a.1 + (b.1 - a.1) * share, a.2 + (b.2 - a.2) * share)
    }
}

/// Finished loads by instance, oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History(BTreeMap<String, Vec<LoadRecord>>);

impl History {
    /// Adds a load that ended after those already known.
    pub fn add(&mut self, load: LoadRecord) {
        self.0.entry(load.instance.clone()).or_default().push(load);
    }

    /// Nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves no more than the latest loads of each instance that still count: those on each server version.
    pub fn forget_old(&mut self) {
        for loads in self.0.values_mut() {
            let mut kept: Vec<LoadRecord> = Vec::new();
            while let Some(load) = loads.pop() {
                if kept.len() < MOST && kept.iter().filter(|one| one.server == load.server).count() < LATEST {
                    kept.push(load);
                }
            }
            kept.reverse();
            *loads = kept;
        }
    }

    /// Every load of an instance that is known, oldest first.
    #[must_use]
    pub fn all(&self, instance: &str) -> &[LoadRecord] {
        self.0.get(instance).map_or(&[], Vec::as_slice)
    }

    /// The latest loads of an instance, oldest first: those on this server version when there are any, else on any.
    #[must_use]
    pub fn of(&self, instance: &str, server: Option<&str>) -> Vec<&LoadRecord> {
        let all = self.all(instance);
        let same: Vec<_> = all.iter().filter(|load| server.is_some_and(|s| s == load.server)).collect();
        let chosen = if same.is_empty() { all.iter().collect() } else { same };
        chosen[chosen.len().saturating_sub(LATEST)..].to_vec()
    }
}
