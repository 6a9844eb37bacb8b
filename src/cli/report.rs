//! `runbook report`: the summary of a run, for the wiki, the post-mortem and programs.
use clap::{Args, ValueEnum};

use super::site::window;
use super::{Desk, Exit, Failure};
use crate::host::clock;
use crate::journal::aside::Aside;
use crate::report::{aside_line, html, markdown_in, report_junit, report_lines, set_aside, version_line};

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
        let store = desk.site.store()?;
        let (window, aside) = (window(&store, &listed.id), store.aside(&listed.id));
        let reading = match (listed.reading, &aside) {
            (Ok(reading), _) => reading,
            (Err(_), Some(note)) => return self.only_the_note(desk, listed.id.as_str(), note),
            (Err(error), None) => return Err(error.into()),
        };
        let entries = &reading.entries;
        match self.format {
            Format::Md => desk.screen.result(&markdown_in(entries, window.as_ref(), aside.as_ref())),
            Format::Html => desk.screen.result(&html(entries, window.as_ref(), aside.as_ref(), clock::now())),
            Format::Json => desk.screen.lines(report_lines(entries, aside.as_ref())),
            Format::Junit => {
                let xml = report_junit(entries, aside.as_ref()).map_err(|error| Failure::new(Exit::Bug, error))?;
                desk.screen.result(&xml);
            }
        }
        Ok(Exit::Done)
    }

    /// Of a run that cannot be read, what the person knew who set it aside.
    fn only_the_note(&self, desk: &Desk, run: &str, note: &Aside) -> Result<Exit, Failure> {
        match self.format {
            Format::Md | Format::Html => {
                desk.screen.result(&set_aside(run, note, &desk.screen.streams.result.style));
            }
            Format::Json => desk.screen.lines([version_line(), aside_line(run, note)]),
            Format::Junit => {
                let xml = report_junit(&[], Some(note)).map_err(|error| Failure::new(Exit::Bug, error))?;
                desk.screen.result(&xml);
            }
        }
        Ok(Exit::Done)
    }
}
