//! Loads on the model: each takes what the work model of [`eta`](crate::host::redis::eta) reckons for its files, its samples
//! and its earlier loads; those that run at once share the processors, and each end makes room for the rest.

use std::time::Duration;

use super::world::{Happening, World};
use crate::host::redis::eta::{Work, side_by_side};
use crate::host::redis::{RedisAt, RedisFacts};
use crate::host::{Answer, Ask};

/// How long a server needs beside its files, in seconds.
const STARTS_IN: f64 = 0.2;

/// One instance that reads its files. Times are of the model's clock.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) at: RedisAt,
    work: Work,
    /// So many times slower than reckoned.
    slow: f64,
    began: Duration,
    /// The share of its time that was left when it was last reckoned, and when that was.
    left: f64,
    since: Duration,
    /// When it is over if nobody comes or goes.
    pub(super) ends: Duration,
}

impl Load {
    /// The share of its time that is left.
    fn left(&self, now: Duration) -> f64 {
        let (whole, passed) = (self.ends.saturating_sub(self.since), now.saturating_sub(self.since));
        if whole.is_zero() {
            return 0.0;
        }
        self.left * (1.0 - passed.as_secs_f64() / whole.as_secs_f64()).clamp(0.0, 1.0)
    }
}

impl World {
    /// An instance begins to read its files; their bytes, and how long it takes if nobody else comes or goes.
    pub(super) fn begin_load(&mut self, at: &RedisAt, facts: &RedisFacts, now: Duration) -> (u64, Duration) {
        let work = self.work_of(at, facts);
        let (bytes, slow) = (work.bytes(), self.faults.slowness(at));
        self.loads.retain(|load| load.at != *at);
        self.loads.push(Load { at: at.clone(), work, slow, began: now, left: 1.0, since: now, ends: now });
        self.plan(now, Duration::ZERO, Happening::Loaded(at.clone()));
        self.reckon_loads(now);
        let ends = self.loads.last().map_or(now, |load| load.ends);
        (bytes, ends.saturating_sub(now))
    }

    /// An instance has read its files: the others have its processor.
    pub(super) fn end_load(&mut self, at: &RedisAt, now: Duration) {
        self.loads.retain(|load| load.at != *at);
        self.reckon_loads(now);
    }

    fn work_of(&self, at: &RedisAt, facts: &RedisFacts) -> Work {
        let Some(files) = &facts.files else { return Work::of_sizes(0, 0) };
        let mut work = Work::of_sizes(files.base_bytes(), files.incr_bytes()).on_disk(self.facts.disk_rate);
        if let Some(Answer::IncrCost(Some(cost))) = self.facts.get(&Ask::IncrCost(files.clone())) {
            work = work.sampled(cost);
        }
        match self.ties.name_of(at) {
            Some(name) => work.learned(&self.facts.loads.of(name, Some(&facts.server.label()))),
            None => work,
        }
    }

    /// Shares the processors anew and moves every end to where it is now.
    fn reckon_loads(&mut self, now: Duration) {
        let cpus = self.facts.machine().and_then(|machine| machine.cpus).unwrap_or(1);
        for load in &mut self.loads {
            // One that has just begun has no end yet.
            if load.since < now {
                load.left = load.left(now);
                load.since = now;
            }
        }
        let shares: Vec<(&Work, f64)> = self.loads.iter().map(|load| (&load.work, load.left)).collect();
        let left = side_by_side(&shares, cpus);
        for (load, left) in self.loads.iter_mut().zip(left) {
            let secs = left.typical * load.slow + STARTS_IN * load.left;
            load.ends = now + Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX / 4);
            for due in self.due.iter_mut().filter(|due| due.what == Happening::Loaded(load.at.clone())) {
                due.at = load.ends;
            }
        }
    }

    /// Bytes that an instance has read; `None` when it does not load.
    pub(super) fn bytes_read(&self, at: &RedisAt, now: Duration) -> Option<u64> {
        let load = self.loads.iter().find(|load| load.at == *at)?;
        Some(load.work.bytes_at(1.0 - load.left(now)))
    }

    /// Seconds since an instance began to load, which is when its process began.
    pub(super) fn load_age(&self, at: &RedisAt, now: Duration) -> Option<f64> {
        self.loads.iter().find(|load| load.at == *at).map(|load| now.saturating_sub(load.began).as_secs_f64())
    }

    /// Seconds on a processor and in the queue for one since an instance began to load.
    pub(super) fn processor_time(&self, at: &RedisAt, now: Duration) -> Option<(f64, f64)> {
        let load = self.loads.iter().find(|load| load.at == *at)?;
        let passed = now.saturating_sub(load.began).as_secs_f64();
        let cpu = (load.work.cpu_secs() * (1.0 - load.left(now))).min(passed);
        Some((cpu, if load.work.disk_bound() { 0.0 } else { passed - cpu }))
    }
}
