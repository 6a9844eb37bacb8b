//! How long a load takes: before it, from what is known of the instance; while it runs, from what is seen.
//!
//! Pure arithmetic. The executor and the replay of recorded loads feed the same [`LoadEta`]. The parts: [`Curve`], how time
//! bends over bytes; [`Work`], a load in processor seconds, by size, by sample ([`IncrCost`]) or by earlier loads
//! ([`History`] of [`LoadRecord`]); [`Pace`], what turns work into wall time; [`finishes`], several loads on few processors.
//!
//! Redis's own `loading_eta_seconds` is a straight line over bytes in whole seconds. Against it three things are gained: the
//! bend, the different cost of base and increments, and knowing whether the processor or the disk is the limit.

use serde::{Deserialize, Serialize};

mod cost;
mod curve;
mod disk;
mod live;
mod pace;
mod record;
mod share;
mod shown;
mod windows;
mod work;

pub use cost::IncrCost;
pub use curve::{Curve, KNOTS};
pub use disk::read_rate;
pub use live::{LEAST, Left, LoadEta, Position, Sample};
pub use pace::{Pace, Regime};
pub use record::{History, LATEST, LoadRecord, MOST, PartRecord};
pub use share::{Loader, finishes, finishes_with, side_by_side};
pub use windows::sample_increments;
pub use work::{Known, PartWork, Work};

/// A length of time with the interval that should hold eight of ten cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Seconds, as likely too long as too short.
    pub typical: f64,
    /// One of ten is shorter.
    pub low: f64,
    /// One of ten is longer.
    pub high: f64,
}

/// The middle of two values that differ by a factor.
fn geometric(a: f64, b: f64) -> f64 {
    (a * b).sqrt()
}
