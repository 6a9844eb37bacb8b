//! `pm2_stopped`: every app of a PM2 place is stopped, in reverse start order, and saved as stopped.
use serde::{Deserialize, Serialize};

/// Stop the apps so that the boot only registers them and the start order stays the runbook's. Takes service away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pm2Stopped {
    /// The PM2 place, by its inventory name.
    pub pm2: String,
}
