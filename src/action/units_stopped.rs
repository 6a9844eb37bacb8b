//! `units_stopped`: the named units are stopped. Takes service away.
use serde::{Deserialize, Serialize};

/// Stop units, in the order given. There is no "all" here: stopping must name what it stops.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitsStopped {
    /// Inventory names whose units are meant (see [`super::inventory::Inventory::units_of`]); at least one.
    pub units: Vec<String>,
}
