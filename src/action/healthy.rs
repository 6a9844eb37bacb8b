//! `healthy`: a gate of checks, all of which must hold for a while.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::Check;
use super::measure;

/// Poll the checks until every required one holds without a break for `steady_for`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Healthy {
    /// At least one.
    pub checks: Vec<Check>,
    /// How long they must hold together; zero looks once.
    #[serde(with = "measure::text")]
    pub steady_for: Duration,
}
