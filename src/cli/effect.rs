//! `runbook effect` (not for people): carries out the order of a run, so that its command outlives the run that asked for it.
//! A transient unit runs it, or the run itself where process 1 is no systemd.
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure};
use crate::host::command::{self, CommandEnd};
use crate::host::effect::Taken;

/// Which order.
#[derive(Debug, Args)]
pub(super) struct RunEffect {
    /// The order's file
    order: PathBuf,
}

impl RunEffect {
    /// Runs the command and ends as it did, so that whoever waits knows its status, too.
    pub(super) async fn call(&self) -> Result<Exit, Failure> {
        let storage = |error: std::io::Error| Failure::new(Exit::Storage, error);
        let mut told = signal(SignalKind::terminate()).map_err(|error| Failure::new(Exit::Bug, error))?;
        let (taken, asked) = Taken::take(&self.order)
            .context("no order to carry out")
            .map_err(|error| Failure::new(Exit::Storage, error))?;
        command::adopt_orphans();
        taken.begin().map_err(storage)?;
        let given_up = async {
            told.recv().await;
        };
        let seen = command::run_until(asked, given_up).await;
        let kept = taken.end(&seen).map_err(storage);
        match seen.end {
            // From here on the status is the command's, whether its end could be kept or not.
            CommandEnd::Exited { code: 0 } => Ok(Exit::Done),
            CommandEnd::Exited { code } => std::process::exit(code),
            _ => kept.map(|()| Exit::Failed),
        }
    }
}
