//! How much work a load is, in processor seconds: the unit in which a quiet boot teaches something about a busy one.
//!
//! Bytes are a poor unit. On one host a byte of sorted-set commands took 35 times as long as a byte of long strings, and a
//! byte behind a large base twice as long as the same byte on an empty server.

use super::cost::IncrCost;
use super::curve::Curve;
use super::record::LoadRecord;
use super::{Expected, geometric};

/// Processor seconds per byte of a compacted base; 6 to 18 ns were measured on one machine.
const BASE_SECS_PER_BYTE: f64 = 10e-9;
/// Processor seconds per byte of increments; 4 to 150 ns were measured, by kind of command, and this is about their middle.
const INCR_SECS_PER_BYTE: f64 = 28e-9;
/// Wall over processor seconds of a host that boots: everything starts at once. 1.0 to 3 were measured.
const BOOT_WALL_PER_CPU: f64 = 1.3;

/// What a part's cost is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Its size alone.
    BySize,
    /// Commands counted in samples of the file.
    BySample,
    /// An earlier load of this instance.
    ByLoad,
}

impl Known {
    /// Slow over typical before anything is seen: nine of ten loads stay inside.
    pub(super) fn doubt(self) -> f64 {
        match self {
            Self::BySize | Self::BySample => 2.5,
            Self::ByLoad => 1.21,
        }
    }
}

/// The work of one part of a data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartWork {
    /// Its bytes.
    pub bytes: u64,
    /// Processor seconds it should take.
    pub cpu_secs: f64,
    /// How they spread over the bytes.
    pub curve: Curve,
    /// Where the figures come from.
    pub known: Known,
}

impl PartWork {
    fn sized(bytes: u64, secs_per_byte: f64, curve: Curve) -> Self {
        Self { bytes, cpu_secs: bytes as f64 * secs_per_byte, curve, known: Known::BySize }
    }

    /// Processor seconds spent once so many of its bytes are read.
    pub(super) fn at(&self, read: f64) -> f64 {
        if self.bytes == 0 {
            return 0.0;
        }
        self.cpu_secs * self.curve.at(read / self.bytes as f64)
    }
}

/// The work of one load: the base, then the increments.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The compacted base, or the one file of an old server, or the snapshot.
    pub base: PartWork,
    /// All increments, as one.
    pub incr: PartWork,
    /// Wall seconds per processor second on this host at boot.
    wall_per_cpu: f64,
    /// Bytes per second of its disk, when an earlier load was held up by it.
    disk_rate: Option<f64>,
    /// Slow over typical, when earlier estimates have shown it.
    learned_doubt: Option<f64>,
    /// Earlier loads that taught something.
    loads: usize,
}

impl Work {
    /// From sizes alone.
    #[must_use]
    pub fn of_sizes(base_bytes: u64, incr_bytes: u64) -> Self {
        Self {
            base: PartWork::sized(base_bytes, BASE_SECS_PER_BYTE, Curve::default()),
            incr: PartWork::sized(incr_bytes, INCR_SECS_PER_BYTE, Curve::of_increments()),
            wall_per_cpu: BOOT_WALL_PER_CPU,
            disk_rate: None,
            learned_doubt: None,
            loads: 0,
        }
    }

    /// With what boots of this host have shown: wall seconds per processor second, all instances together.
    #[must_use]
    pub fn on_host(mut self, wall_per_cpu: f64) -> Self {
        if wall_per_cpu.is_finite() && wall_per_cpu >= 1.0 {
            self.wall_per_cpu = wall_per_cpu;
        }
        self
    }

    /// With what a probe of the disk has shown, in bytes per second; what earlier loads showed weighs more.
    #[must_use]
    pub fn on_disk(mut self, rate: Option<f64>) -> Self {
        self.disk_rate = rate.filter(|rate| rate.is_finite() && *rate > 0.0);
        self
    }

    /// With what samples of the increments showed.
    #[must_use]
    pub fn sampled(mut self, cost: &IncrCost) -> Self {
        if self.incr.known == Known::BySize && self.incr.bytes > 0 && cost.secs_per_byte > 0.0 {
            self.incr.cpu_secs = self.incr.bytes as f64 * cost.secs_per_byte;
            self.incr.curve = Curve::bent_over(&cost.course);
            self.incr.known = Known::BySample;
        }
        self
    }

    /// With what earlier loads of the instance showed, oldest first: the middle rate of each part, its latest curve.
    #[must_use]
    pub fn learned(mut self, loads: &[&LoadRecord]) -> Self {
        for (part, of) in [
            (&mut self.base, (|load| &load.base) as fn(&LoadRecord) -> &super::PartRecord),
            (&mut self.incr, |load| &load.incr),
        ] {
            let told: Vec<_> = loads.iter().map(|load| of(load)).filter(|part| part.teaches()).collect();
            let Some(latest) = told.last() else { continue };
            if let Some(rate) = median(told.iter().map(|part| part.cpu_secs / part.bytes as f64)) {
                part.cpu_secs = part.bytes as f64 * rate;
                part.curve = latest.curve;
                part.known = Known::ByLoad;
            }
        }
        let stretches = loads.iter().filter_map(|load| load.wall_per_cpu);
        self.wall_per_cpu = median(stretches).unwrap_or(self.wall_per_cpu);
        self.disk_rate = median(loads.iter().filter_map(|load| load.disk_rate)).or(self.disk_rate);
        self.learned_doubt = doubt_of(loads);
        self.loads = loads.len();
        self
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.base.bytes.saturating_add(self.incr.bytes)
    }

    /// Processor seconds of the whole load.
    #[must_use]
    pub fn cpu_secs(&self) -> f64 {
        self.base.cpu_secs + self.incr.cpu_secs
    }

    /// What the least known part that has any bytes is known by.
    #[must_use]
    pub fn known(&self) -> Known {
        let parts = [&self.base, &self.incr].into_iter().filter(|part| part.bytes > 0);
        parts.map(|part| part.known).min().unwrap_or(Known::BySize)
    }

    /// So many earlier loads of this instance on this host speak for every part of it; 0 when a part is reckoned without.
    #[must_use]
    pub fn loads(&self) -> usize {
        if self.known() == Known::ByLoad { self.loads } else { 0 }
    }

    /// Where the figures come from, for people.
    #[must_use]
    pub fn source(&self) -> String {
        match (self.known(), self.loads) {
            (Known::ByLoad, 1) => "from 1 earlier load on this host".to_owned(),
            (Known::ByLoad, loads) => format!("from {loads} earlier loads on this host"),
            (Known::BySample, _) => "prior, with the commands counted in samples".to_owned(),
            (Known::BySize, _) => "prior, by size alone".to_owned(),
        }
    }

    /// Bytes read when this share of the whole time is over, if nothing but its own work holds it up.
    #[must_use]
    pub fn bytes_at(&self, share: f64) -> u64 {
        let (bytes, whole) = (self.bytes(), self.cpu_secs());
        if self.disk_bound() || whole <= 0.0 {
            return (bytes as f64 * share.clamp(0.0, 1.0)) as u64;
        }
        // Work never falls over the bytes, so halving finds the place; 40 times is below one byte of a terabyte.
        let (mut low, mut high) = (0.0, bytes as f64);
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            let (base, incr) = self.at(middle);
            if base + incr < share * whole { low = middle } else { high = middle }
        }
        if share >= 1.0 { bytes } else { high as u64 }
    }

    /// Processor seconds of base and increments once so many bytes are read.
    pub(super) fn at(&self, read: f64) -> (f64, f64) {
        let base = self.base.bytes as f64;
        (self.base.at(read.min(base)), self.incr.at((read - base).max(0.0)))
    }

    /// Slow over typical before the load begins.
    pub(super) fn doubt(&self) -> f64 {
        match self.known() {
            Known::ByLoad => self.learned_doubt.unwrap_or(Known::ByLoad.doubt()),
            known => known.doubt(),
        }
    }

    /// Wall seconds per processor second that the host is expected to take.
    pub(super) fn wall_per_cpu(&self) -> f64 {
        self.wall_per_cpu
    }

    fn by_cpu(&self) -> f64 {
        self.cpu_secs() * self.wall_per_cpu
    }

    fn by_disk(&self) -> f64 {
        self.disk_rate.map_or(0.0, |rate| self.bytes() as f64 / rate.max(1.0))
    }

    /// The disk was the limit before, and will be again.
    #[must_use]
    pub fn disk_bound(&self) -> bool {
        self.by_disk() > self.by_cpu()
    }

    /// Before the load: how long it takes, and the interval that should hold eight of ten loads.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let typical = self.by_cpu().max(self.by_disk());
        let doubt = self.doubt();
        Expected { typical, low: typical / doubt, high: typical * doubt }
    }
}

/// The middle of what is there.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite() && *value > 0.0).collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied()?;
    let lower = values.get((values.len() - 1) / 2).copied()?;
    Some(geometric(lower, upper))
}

/// Slow over typical by the errors of earlier estimates; three are the least that say anything.
fn doubt_of(loads: &[&LoadRecord]) -> Option<f64> {
    let errors: Vec<f64> = loads
        .iter()
        .filter_map(|load| Some((load.wall_secs() / load.expected?.typical).ln()))
        .filter(|error| error.is_finite())
        .collect();
    if errors.len() < 3 {
        return None;
    }
    let square = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    Some((1.28 * square.sqrt()).exp().clamp(1.15, 4.0))
}
