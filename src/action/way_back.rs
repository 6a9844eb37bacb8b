//! The way back: the resume unit must be in place before a run takes service away, and again before the machine goes down.

use super::change::{Item, Sign};
use super::item_id::Chore;
use crate::host::span::Span;

/// What is left to do when these faults keep the resume unit from working; nothing when there are none.
pub(super) fn item(faults: &[String]) -> Option<Item> {
    let missing = || Item::new(Chore::ResumeUnit, Sign::Add, faults.join("; "), "installed and enabled");
    (!faults.is_empty()).then(|| missing().taking(Span::secs(0.5, 2.0)))
}
