//! `runbook effect` (not for people): what a transient unit runs, so that a command outlives the run that asked for it.
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{Exit, Failure};
use crate::host::command::{self, CommandEnd};
use crate::host::effect::Effect;

/// Which order.
#[derive(Debug, Args)]
pub(super) struct RunEffect {
    /// The order's file
    order: PathBuf,
}

impl RunEffect {
    /// Runs the command and ends as it did, so that systemd knows its status, too.
    pub(super) async fn call(&self) -> Result<Exit, Failure> {
        let storage = |error: std::io::Error| Failure::new(Exit::Storage, error);
        let (effect, asked) = Effect::take(&self.order)
            .context("no order to carry out")
            .map_err(|error| Failure::new(Exit::Storage, error))?;
        let seen = command::run(asked).await;
        let kept = effect.keep(&seen).map_err(storage);
        match seen.end {
            CommandEnd::Exited { code: 0 } => kept.map(|()| Exit::Done),
            CommandEnd::Exited { code } => std::process::exit(code),
            _ => kept.map(|()| Exit::Failed),
        }
    }
}
