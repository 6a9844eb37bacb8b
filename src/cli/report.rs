//! `runbook report`: the summary of a run as Markdown, for the wiki and the post-mortem.
use clap::{Args, ValueEnum};

use super::site::window;
use super::{Desk, Exit, Failure};
use crate::report::markdown_in;

/// Which run, and as what.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// The run; without it the unfinished one, else the latest
    run: Option<String>,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Md)]
    format: Format,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Markdown
    Md,
}

impl Report {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let none = || Failure::say(Exit::Usage, format!("there are no runs in {}", desk.site.state_dir.display()));
        let listed = desk.site.pick(self.run.as_deref())?.ok_or_else(none)?;
        let reading = listed.reading?;
        match self.format {
            Format::Md => {
                let window = window(&desk.site.store()?, &listed.id);
                desk.screen.result(&markdown_in(&reading.entries, window.as_ref()));
            }
        }
        Ok(Exit::Done)
    }
}
