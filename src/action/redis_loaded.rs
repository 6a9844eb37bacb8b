//! `redis_loaded`: the instances have read their data and have their planned role.
use serde::{Deserialize, Serialize};

use super::inventory::Selector;

/// Wait until each instance answers `PONG`, says `loading:0`, and has the planned role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RedisLoaded {
    /// Which instances; all unless told otherwise.
    pub instances: Selector,
}
