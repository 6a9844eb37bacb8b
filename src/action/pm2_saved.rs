//! `pm2_saved`: the exact process list of a PM2 place is captured, once, before anything is stopped.
use serde::{Deserialize, Serialize};

/// Take and keep an own snapshot of the process list; what was online comes back online, what was stopped stays so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pm2Saved {
    /// The PM2 place, by its inventory name.
    pub pm2: String,
    /// Accept a list with fewer online apps than PM2's own last dump; otherwise that is refused as a likely mishap.
    pub allow_fewer: bool,
}
