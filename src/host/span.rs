//! Lengths of time that are not known exactly, and how they are written for people.
//!
//! It lives on the ground floor because waits, the [`Model`](super::model::Model) and the plan all reckon with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A length of time with its doubt: what is typical, and what a slow night takes (about the 90th percentile).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Seconds that half of the cases stay under.
    pub typical: f64,
    /// Seconds that nine of ten cases stay under; never less than `typical`.
    pub slow: f64,
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self { typical: 0.0, slow: 0.0 };

    /// A span of `typical` seconds and `slow` seconds on a bad night; the two are put in order.
    #[must_use]
    pub fn secs(typical: f64, slow: f64) -> Self {
        let typical = if typical.is_finite() { typical.max(0.0) } else { 0.0 };
        Self { typical, slow: if slow.is_finite() { slow.max(typical) } else { typical } }
    }

    /// This span, then that one. Adding the slow ends is pessimistic on purpose: a bad night is bad throughout.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self { typical: self.typical + next.typical, slow: self.slow + next.slow }
    }

    /// Both at the same time: the longer of each.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        Self { typical: self.typical.max(other.typical), slow: self.slow.max(other.slow) }
    }

    /// The span stretched by `factor`.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self::secs(self.typical * factor, self.slow * factor)
    }

    /// The typical length as a [`Duration`].
    #[must_use]
    pub fn typically(self) -> Duration {
        Duration::from_secs_f64(self.typical.clamp(0.0, 1e9))
    }

    /// The slow length as a [`Duration`].
    #[must_use]
    pub fn at_worst(self) -> Duration {
        Duration::from_secs_f64(self.slow.clamp(0.0, 1e9))
    }
}

/// `0:07`, `12:30` or `2:05:00`: the form of the plan's columns, rounded to whole seconds.
#[must_use]
pub fn clock(length: Duration) -> String {
    let secs = length.as_secs_f64().round() as u64;
    let (h, m, s) = (secs / 3600, secs / 60 % 60, secs % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// `0.4s`, `12s`, `4m10s`, `2h05m`: the form of running text.
#[must_use]
pub fn words(length: Duration) -> String {
    let secs = length.as_secs();
    match secs {
        0..10 => format!("{:.1}s", length.as_secs_f64()),
        10..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
    }
}

/// `812 B`, `4.2 kB`, `1.9 GB`: bytes in powers of a thousand, as `ls --si` and disk makers count.
#[must_use]
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// `1 step`, `2 steps`: a number of things whose plural takes an s.
#[must_use]
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// `812, 4711`: a few numbers of processes in running text.
#[must_use]
pub fn listed(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_add_and_overlap() {
        let (a, b) = (Span::secs(10.0, 20.0), Span::secs(5.0, 40.0));
        assert_eq!(a.then(b), Span::secs(15.0, 60.0));
        assert_eq!(a.beside(b), Span::secs(10.0, 40.0));
        assert_eq!(Span::secs(9.0, 3.0).slow, 9.0, "slow is never less than typical");
        assert_eq!(Span::secs(f64::NAN, f64::INFINITY), Span::ZERO);
    }

    #[test]
    fn lengths_read_well() {
        assert_eq!(clock(Duration::from_secs(7505)), "2:05:05");
        assert_eq!(clock(Duration::from_millis(59_600)), "1:00");
        assert_eq!(words(Duration::from_millis(400)), "0.4s");
        assert_eq!(words(Duration::from_secs(250)), "4m10s");
        assert_eq!(bytes(812), "812 B");
        assert_eq!(bytes(1_900_000_000), "1.9 GB");
    }
}
