//! How long a rewrite takes, and how large its result is. How long a load takes is in [`super::eta`].

use serde::{Deserialize, Serialize};

/// Seconds, as a range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// As likely too long as too short.
    pub typical: f64,
    /// Nine of ten are faster; plan windows with this one.
    pub slow: f64,
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
    fn rewrites() {
        let measured = rewrite_secs(1_680_000_000, None);
        assert!((28.0..52.0).contains(&measured.typical) && measured.slow > 79.0, "{measured:?}");
        assert_eq!(rewrite_secs(0, Some(50)).typical, 50.0);
        assert!(rewrite_secs(0, Some(0)).slow > 1.0);
    }
}
