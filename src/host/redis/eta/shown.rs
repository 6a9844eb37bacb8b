//! How fast a shown finish may move: people plan by it, so it drifts with the evidence and jumps only when it was wrong.

use super::live::Left;

/// The finish as it was last shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown {
    /// When, and which finish, in the samples' time.
    last: Option<(f64, f64)>,
}

/// A change below this share of what is left is not worth a movement.
const STILL: f64 = 0.02;
/// The shown finish follows within this share of the time that is left.
const FOLLOWS: f64 = 0.02;
/// A change beyond this share of what is left corrects an error and is shown at once.
const WRONG: f64 = 0.15;

impl Shown {
    /// The estimate with a finish that moved no further than it had to.
    pub(super) fn steady(&mut self, now: f64, left: Left) -> Left {
        let wanted = now + left.typical;
        let finish = match self.last {
            Some((at, shown)) if (shown - wanted).abs() < WRONG * left.typical => {
                let follow = 1.0 - (-(now - at).max(0.0) / (FOLLOWS * left.typical).max(1.0)).exp();
                let off = wanted - shown;
                if off.abs() < STILL * left.typical { shown } else { shown + off * follow }
            }
            _ => wanted,
        };
        self.last = Some((now, finish));
        // A finish that is shown must not come nearer than the floor of the estimate.
        let typical = (finish - now).max(left.typical.min(super::live::LEAST));
        Left { typical, low: left.low.min(typical), high: left.high.max(typical), ..left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::redis::eta::{Position, Regime};

    fn left(typical: f64) -> Left {
        Left {
            typical,
            low: typical * 0.8,
            high: typical * 1.25,
            cpu_secs: typical,
            done: 0.5,
            position: Position::Base,
            regime: Regime::Cpu,
            stalled: None,
        }
    }

    #[test]
    fn small_doubts_do_not_move_the_finish_and_errors_do() {
        let mut shown = Shown::default();
        assert_eq!(shown.steady(0.0, left(100.0)).typical, 100.0);
        assert_eq!(shown.steady(1.0, left(100.0)).typical, 99.0, "a second later it is a second nearer");
        let drift = shown.steady(2.0, left(110.0)).typical;
        assert!(drift > 98.0 && drift < 104.0, "{drift}");
        assert_eq!(shown.steady(3.0, left(300.0)).typical, 300.0, "it was wrong");
    }
}
