//! Floor 8: what people and programs are shown. Plans, progress, status, summaries.
//!
//! Everything here is a pure function of plans and checkpoints, written through one sink that cannot panic. Text that
//! came from a machine was tamed when it entered; it is tamed once more here, because this is the last door.

pub mod choose;
pub mod json;
pub mod layout;
pub mod lines;
pub mod out;
mod plan_changes;
pub mod plan_view;
mod plan_window;
mod progress;
pub mod status;
mod story;
mod telling;
#[cfg(test)]
mod sample;

pub use choose::Mode;
pub use lines::Lines;
pub use out::{Out, Streams, Style, Surroundings, Tone, When};
pub use plan_view::{Detail, plan};
