//! `runbook report`: the summary of a run, for the wiki, the post-mortem and programs.
use clap::{Args, ValueEnum};

use super::site::window;
use super::{Desk, Exit, Failure};
use crate::host::clock;
use crate::report::{html, markdown_in, report_junit, report_lines};

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
    /// One HTML file that needs nothing else
    Html,
    /// NDJSON: the version line, then the whole run as one object
    Json,
    /// JUnit XML: a suite per phase, a case per step
    Junit,
}

impl Report {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let none = || Failure::say(Exit::Usage, format!("there are no runs in {}", desk.site.state_dir.display()));
        let listed = desk.site.pick(self.run.as_deref())?.ok_or_else(none)?;
        let reading = listed.reading?;
        let entries = &reading.entries;
        let store = desk.site.store()?;
        let (window, aside) = (window(&store, &listed.id), store.aside(&listed.id));
        match self.format {
            Format::Md => desk.screen.result(&markdown_in(entries, window.as_ref(), aside.as_ref())),
            Format::Html => desk.screen.result(&html(entries, window.as_ref(), aside.as_ref(), clock::now())),
            Format::Json => desk.screen.lines(report_lines(entries)),
            Format::Junit => {
                let xml = report_junit(entries).map_err(|error| Failure::new(Exit::Bug, error))?;
                desk.screen.result(&xml);
            }
        }
        Ok(Exit::Done)
    }
}
