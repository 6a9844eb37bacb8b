//! `runbook pause`: from a second terminal, let what runs finish and stop at the next checkpoint.
use clap::Args;

use super::ask_to_stop::{ask, at_work, unfinished};
use super::{Desk, Exit, Failure};
use crate::report::call;

/// Which run.
#[derive(Debug, Args)]
pub(super) struct Pause {
    /// The run; there is at most one unfinished
    run: Option<String>,
}

impl Pause {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let store = desk.site.store()?;
        let id = unfinished(&desk.site, &store, self.run.as_deref())?;
        if !at_work(&desk.site, &id) {
            let status = call(&format!("status {id}"));
            desk.screen.alert(&format!("nobody is working on {id}; it stands still already\n  {status}\n"));
            return Ok(Exit::Done);
        }
        ask(&store, &id, "pause")?;
        desk.screen.alert(&format!(
            "{id} was asked to pause: running actions finish, nothing new starts\n  {}\n",
            call(&format!("status {id}"))
        ));
        Ok(Exit::Done)
    }
}
