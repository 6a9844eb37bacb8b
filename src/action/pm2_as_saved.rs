//! `pm2_as_saved`: the process list equals the snapshot again and stays so.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::measure;

/// A gate: compare with the snapshot, by name and not by counting.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pm2AsSaved {
    /// The PM2 place, by its inventory name.
    pub pm2: String,
    /// How long the list must stay as saved, without a restart; zero looks once.
    #[serde(with = "measure::text")]
    pub steady_for: Duration,
    /// How many apps that are not optional may be missing; they are named in the outcome.
    pub tolerate: u32,
}
