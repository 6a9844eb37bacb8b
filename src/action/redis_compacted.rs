//! `redis_compacted`: the append-only file of each instance is as small as a rewrite makes it, or a rewrite would not pay.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::inventory::Selector;
use super::measure;

/// Rewrite append-only files until each chosen instance's rewrite is *finished*, not merely accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedisCompacted {
    /// Which instances; masters unless told otherwise.
    pub instances: Selector,
    /// How many rewrites may run side by side; each forks and writes a whole file, so one unless told otherwise.
    pub at_once: u32,
    /// Leave an instance alone when the rewrite would shorten its next load by less than this.
    #[serde(with = "measure::text_or_none")]
    pub min_saving: Option<Duration>,
}

impl Default for RedisCompacted {
    fn default() -> Self {
        Self {
            instances: Selector::Masters,
            at_once: 1,
            min_saving: None,
        }
    }
}
