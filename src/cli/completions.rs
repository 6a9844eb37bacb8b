//! `runbook completions`: what a shell needs to complete commands and flags.
use clap::Args;
use clap_complete::Shell;

use super::{Desk, Exit, Failure};

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "runbook", &mut text);
        desk.screen.result(&String::from_utf8_lossy(&text));
        Ok(Exit::Done)
    }
}
