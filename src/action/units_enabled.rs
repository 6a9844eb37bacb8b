//! `units_enabled`: the platform units start by themselves after a boot.
use serde::{Deserialize, Serialize};

/// Audit, and if asked repair, that every unit is enabled (or wanted by one that is).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitsEnabled {
    /// Inventory names whose units are meant (see [`super::inventory::Inventory::units_of`]); `None`: all of them.
    pub units: Option<Vec<String>>,
    /// Enable what is not, instead of failing.
    pub fix: bool,
}
