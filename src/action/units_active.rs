//! `units_active`: the platform units run.
use serde::{Deserialize, Serialize};

/// Start what is not active and wait until it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitsActive {
    /// Inventory names whose units are meant (see [`super::inventory::Inventory::units_of`]); `None`: all of them.
    pub units: Option<Vec<String>>,
}
