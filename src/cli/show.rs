//! `runbook show`: what a runbook does, in the order in which it does it, without looking at the machine.
use clap::Args;

use super::source::read;
use super::{Desk, Exit, Failure, check};
use crate::report::script;

/// What to show.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its name, or a path with a slash
    name: String,
}

impl Show {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let source = read(&desk.site, &self.name, false)?;
        let loaded = check::load(desk, &source)?;
        let style = desk.screen.streams.result.style;
        desk.screen.result(&script(&loaded.runbook, &source.name, &loaded.sha256, &style));
        Ok(Exit::Done)
    }
}
