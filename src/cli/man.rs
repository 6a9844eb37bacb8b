//! `runbook man`: the manual pages, one per command.
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{Desk, Exit, Failure};

/// Where to.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// An existing directory
    dir: PathBuf,
}

impl Man {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let written = clap_mangen::generate_to(super::command(), &self.dir);
        let written = written.with_context(|| format!("cannot write manual pages to {}", self.dir.display()));
        written.map_err(|error| Failure::new(Exit::Storage, error))?;
        desk.screen.talk(&format!("manual pages written to {}\n", self.dir.display()));
        Ok(Exit::Done)
    }
}
