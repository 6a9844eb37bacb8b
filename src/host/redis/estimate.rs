//! How long a rewrite takes, and what an operator's own rate says of a load.
//!
//! Bytes are a poor measure of a load (on one host the same byte took 35 times longer as a sorted-set command than as a long
//! string): estimates come from [`super::eta`]. What stays here is the rate that people know their host by.

use serde::{Deserialize, Serialize};

/// Seconds, as a range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// As likely too long as too short.
    pub typical: f64,
    /// Nine of ten are faster; plan windows with this one.
    pub slow: f64,
}

/// How fast a host loads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LoadRates {
    /// Nanoseconds of wall time per byte of base.
    pub base_ns_per_byte: f64,
    /// Nanoseconds of wall time per byte of increments.
    pub incr_ns_per_byte: f64,
    /// Slow over typical: 2.5 without history, about 1.25 with one recorded load.
    pub spread: f64,
}

/// Wall over processor seconds on a host that boots: everything starts at once.
const WALL_PER_CPU: f64 = 1.3;

impl Default for LoadRates {
    /// Without history: 10 ns of processor time per byte of base (measured 6 to 18) and 28 per byte of increments (measured
    /// 4 to 150, by kind of command), on a host that is busy with booting.
    fn default() -> Self {
        Self { base_ns_per_byte: 10.0 * WALL_PER_CPU, incr_ns_per_byte: 28.0 * WALL_PER_CPU, spread: 2.5 }
    }
}

impl LoadRates {
    /// One rate for everything, as operators know it (`90 MB per minute on this host`), with half again as much for *slow*.
    /// `None` unless it is a positive number.
    #[must_use]
    pub fn observed(bytes_per_minute: f64) -> Option<Self> {
        let ns = 60e9 / bytes_per_minute;
        (ns.is_finite() && ns > 0.0).then_some(Self { base_ns_per_byte: ns, incr_ns_per_byte: ns, spread: 1.5 })
    }
}

/// Seconds to load a base and increments of these sizes.
#[must_use]
pub fn load_secs(base_bytes: u64, incr_bytes: u64, rates: &LoadRates) -> Range {
    let typical = (base_bytes as f64 * rates.base_ns_per_byte + incr_bytes as f64 * rates.incr_ns_per_byte) / 1e9;
    Range { typical, slow: typical * rates.spread.max(1.0) }
}

/// Seconds to rewrite an instance that uses this much memory. `last_secs` is how long its last rewrite took, the better guide;
/// without it 18 to 31 ns per byte of memory were measured, and up to 47 with heavy writing.
#[must_use]
pub fn rewrite_secs(used_memory: u64, last_secs: Option<u64>) -> Range {
    match last_secs {
        // Whole seconds: a zero is anything below one.
        Some(secs) => {
            let typical = (secs as f64).max(0.5);
            Range { typical, slow: typical * 2.0 + 1.0 }
        }
        None => Range { typical: used_memory as f64 * 24e-9, slow: used_memory as f64 * 60e-9 + 1.0 },
    }
}

/// A guess at the bytes after a rewrite. The base is a rewrite's result of some earlier day, and about a third of the memory is
/// what an RDB preamble of mixed data takes; what is rewritten is never longer than what is there.
#[must_use]
pub fn compacted_bytes(base: u64, incr: u64, used_memory: u64) -> u64 {
    if incr == 0 { base } else { base.max(used_memory / 3).min(base + incr) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_observed_host_of_the_field_notes() {
        // 90 MB per minute: 3 GB in 33 minutes, 10 GB in 111.
        let rates = LoadRates::observed(90e6).unwrap();
        assert_eq!((load_secs(3_000_000_000, 0, &rates).typical / 60.0).round(), 33.0);
        assert_eq!((load_secs(2_000_000_000, 8_000_000_000, &rates).typical / 60.0).round(), 111.0);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(LoadRates::observed(bad).is_none());
        }
    }

    #[test]
    fn increments_cost_more_than_a_base_and_slow_is_never_below_typical() {
        let rates = LoadRates::default();
        let (base, incr) = (load_secs(1_000_000_000, 0, &rates), load_secs(0, 1_000_000_000, &rates));
        assert!(incr.typical > 2.0 * base.typical);
        assert!((10.0..20.0).contains(&base.typical), "{base:?}");
        let odd = LoadRates { spread: 0.1, ..rates };
        assert_eq!(load_secs(5, 5, &odd).slow, load_secs(5, 5, &odd).typical);
        assert_eq!(load_secs(0, 0, &rates), Range { typical: 0.0, slow: 0.0 });
    }

    #[test]
    fn rewrites() {
        let measured = rewrite_secs(1_680_000_000, None);
        assert!((28.0..52.0).contains(&measured.typical) && measured.slow > 79.0, "{measured:?}");
        assert_eq!(rewrite_secs(0, Some(50)).typical, 50.0);
        assert!(rewrite_secs(0, Some(0)).slow > 1.0);
    }
}
