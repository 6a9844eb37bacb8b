//! `pm2_restored`: the apps that the snapshot has online are online again, group by group.
use serde::{Deserialize, Serialize};

/// Start what was online, each group the moment what it needs holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pm2Restored {
    /// The PM2 place, by its inventory name.
    pub pm2: String,
    /// How many apps start side by side.
    pub at_once: AtOnce,
}

/// How many at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtOnce {
    /// As many as the host bears, decided while running.
    #[default]
    Auto,
    /// Exactly so many; at least one.
    Fixed(u32),
}
