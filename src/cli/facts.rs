//! `runbook facts`: what a plan sees on this machine, as a file that `plan --offline` and `rehearse --offline` read anywhere.
use std::path::PathBuf;

use clap::Args;

use super::plan::right_host;
use super::source::{names, read};
use super::{Desk, Exit, Failure, check, offline, resume_unit};
use crate::host::foreign::named;
use crate::host::local::LocalHost;
use crate::host::small_file;
use crate::report::{Typed, commands_are_of, recorded, unanswered};

/// What to record.
#[derive(Debug, Args)]
pub(super) struct RecordFacts {
    /// The runbook whose questions are asked: its name, or a path with a slash; may be left out where there is only one
    name: Option<String>,
    /// The file to write, readable by you alone [default: the standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl RecordFacts {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let name = self.runbook(desk)?;
        commands_are_of(Typed { runbook: name.clone(), ..Typed::default() });
        let source = read(&desk.site, &name, true)?;
        let loaded = check::load(desk, &source)?;
        right_host(&loaded.runbook)?;
        let host = LocalHost::new(resume_unit::of(&desk.site, &loaded.runbook)?);
        let facts = offline::record(&desk.site, &loaded, &host).await;
        let text = facts.write().map_err(|error| Failure::new(Exit::Bug, error))?;
        match &self.output {
            Some(path) => {
                let path = std::path::absolute(path).map_err(|error| Failure::new(Exit::Usage, error))?;
                small_file::write_whole(&path, text.as_bytes(), 0o600).map_err(|error| {
                    let shown = named(&path.display().to_string(), 200);
                    Failure::new(Exit::Storage, anyhow::Error::new(error).context(format!("cannot write {shown}")))
                })?;
            }
            None => desk.screen.result(&text),
        }
        desk.screen.talk(&recorded(facts.answers.len()));
        desk.screen.alert(&unanswered(&facts.unanswered, desk.screen.style()));
        Ok(if facts.unanswered.is_empty() { Exit::Done } else { Exit::Unforeseen })
    }

    /// The runbook that is meant.
    fn runbook(&self, desk: &Desk) -> Result<String, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let mut all = names(&desk.site);
        match (all.pop(), all.len()) {
            (Some(only), 0) => Ok(only),
            (found, _) => {
                let text = if found.is_some() { "there is more than one runbook" } else { "there is no runbook" };
                Err(Failure::say(Exit::Usage, format!("{text} in {}: name one", desk.site.runbooks.display())))
            }
        }
    }
}
