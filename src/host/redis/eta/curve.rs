//! How time runs over the bytes of one part: never a straight line, because every load slows as memory fills.

use serde::{Deserialize, Serialize};

/// Knots of a curve: at 0, 5, … 100 % of the bytes.
pub const KNOTS: usize = 21;

/// The share of a part's processor time that is spent when a share of its bytes is read. Starts at 0, ends at 1, never falls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Curve([f64; KNOTS]);

/// Measured over eight compacted bases, at 0, 10, … 100 % of the bytes; increments of one kind of command bend alike.
const BENT: [f64; 11] = [0.0, 0.084, 0.163, 0.247, 0.343, 0.448, 0.551, 0.656, 0.769, 0.884, 1.0];

impl Default for Curve {
    /// The bend that compacted bases share.
    fn default() -> Self {
        Self::bent(OF_BASE)
    }
}

/// How much of the bend is expected of a base: a quiet machine showed less of it than a contended one.
const OF_BASE: f64 = 0.7;
/// And of increments: where they write over what is there, memory soon stops to grow and they do not slow at all.
const OF_INCREMENTS: f64 = 0.4;

impl Curve {
    /// The measured bend in this strength: 0 is a straight line.
    fn bent(strength: f64) -> Self {
        let mut knots = [0.0; KNOTS];
        for (n, knot) in knots.iter_mut().enumerate() {
            let share = n as f64 / (KNOTS - 1) as f64;
            *knot = share + strength * (between(&BENT, share) - share);
        }
        Self(knots)
    }

    /// The bend that is to be expected of increments of one kind of command.
    #[must_use]
    pub fn of_increments() -> Self {
        Self::bent(OF_INCREMENTS)
    }

    /// From time against bytes: `at(share)` is the time when that share of the bytes was read. The default curve where no
    /// time passed at all.
    #[must_use]
    pub fn of(at: impl Fn(f64) -> f64) -> Self {
        let (from, to) = (at(0.0), at(1.0));
        if !(to - from).is_finite() || to <= from {
            return Self::default();
        }
        let mut knots = [0.0; KNOTS];
        let mut highest = 0.0_f64;
        for (n, knot) in knots.iter_mut().enumerate() {
            let share = (at(n as f64 / (KNOTS - 1) as f64) - from) / (to - from);
            highest = highest.max(share.clamp(0.0, 1.0));
            *knot = highest;
        }
        Self(knots)
    }

    /// The share of the time at a share of the bytes.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        between(&self.0, share)
    }

    /// The bend of increments laid over a course of costs: `costs` are relative costs of equal stretches of the bytes.
    #[must_use]
    pub fn bent_over(costs: &[f64]) -> Self {
        let total: f64 = costs.iter().sum();
        if costs.is_empty() || !total.is_finite() || total <= 0.0 {
            return Self::of_increments();
        }
        let mut sums = vec![0.0];
        let mut sum = 0.0;
        for cost in costs {
            sum += cost.max(0.0) / total;
            sums.push(sum);
        }
        let bent = Self::of_increments();
        Self::of(|share| bent.at(between(&sums, share)))
    }
}

/// The value between equally spaced knots.
fn between(knots: &[f64], share: f64) -> f64 {
    let (Some(first), Some(last)) = (knots.first(), knots.last()) else {
        return share;
    };
    if share.is_nan() || share <= 0.0 {
        return *first;
    }
    let place = share * (knots.len() - 1) as f64;
    let low = place as usize;
    match (knots.get(low), knots.get(low + 1)) {
        (Some(a), Some(b)) => a + (b - a) * (place - low as f64),
        _ => *last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_half_of_the_bytes_takes_longer() {
        let curve = Curve::default();
        assert_eq!((curve.at(0.0), curve.at(1.0)), (0.0, 1.0));
        assert!((curve.at(0.5) - 0.4636).abs() < 1e-9, "seven tenths of what was measured");
        assert!((0.47..0.49).contains(&Curve::of_increments().at(0.5)));
        for (share, wanted) in [(-1.0, 0.0), (2.0, 1.0), (f64::NAN, 0.0)] {
            assert_eq!(curve.at(share), wanted);
        }
    }

    #[test]
    fn a_change_of_workload_shows_in_the_curve() {
        // Three quarters of the bytes are cheap, the last quarter costs thirty times as much.
        let curve = Curve::bent_over(&[1.0, 1.0, 1.0, 30.0]);
        assert!(curve.at(0.75) < 0.1, "{curve:?}");
        assert_eq!(Curve::bent_over(&[]), Curve::of_increments());
        assert_eq!(Curve::of(|_| 3.0), Curve::default());
    }
}
