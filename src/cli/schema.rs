//! `runbook schema`: the JSON Schema of the language, so that an editor completes and checks while one types.
use clap::Args;

use super::{Desk, Exit, Failure};
use crate::runbook::SCHEMA;

/// Nothing to choose.
#[derive(Debug, Args)]
pub(super) struct Schema {}

impl Schema {
    #[expect(clippy::unnecessary_wraps, reason = "the form of every command")]
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        desk.screen.result(SCHEMA);
        Ok(Exit::Done)
    }
}
