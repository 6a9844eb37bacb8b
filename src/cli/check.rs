//! `runbook check`: everything that is wrong with runbooks, at once and with places. Nothing is probed.
use clap::Args;

use super::source::{Source, names, read};
use super::{Desk, Exit, Failure};
use crate::runbook::{Loaded, render};

/// What to check.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Names or files; without any, every runbook that `list` shows
    #[arg(value_name = "NAME|FILE")]
    runbooks: Vec<String>,
    /// Warnings are refused, too
    #[arg(long)]
    strict: bool,
}

impl Check {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let all = if self.runbooks.is_empty() { names(&desk.site) } else { self.runbooks.clone() };
        if all.is_empty() {
            let text = format!("there are no runbooks in {}", desk.site.runbooks.display());
            return Err(Failure::say(Exit::Usage, text).hint("name a file: runbook check ./FILE.yaml"));
        }
        let mut exit = Exit::Done;
        for name in &all {
            if !self.one(desk, name) {
                exit = Exit::Invalid;
            }
        }
        Ok(exit)
    }

    /// Whether a runbook can be used.
    fn one(&self, desk: &Desk, name: &str) -> bool {
        let source = match read(&desk.site, name, false) {
            Ok(source) => source,
            Err(failure) => {
                desk.screen.failure(&failure);
                return false;
            }
        };
        match load(desk, &source) {
            Ok(loaded) => {
                let phases = loaded.runbook.phases.len();
                let steps = loaded.runbook.steps().count();
                desk.screen.result(&format!("{}: ok ({phases} phases, {steps} steps)\n", source.name));
                loaded.warnings.is_empty() || !self.strict
            }
            Err(_) => false,
        }
    }
}

/// Loads a runbook and shows what was found in it.
pub(super) fn load(desk: &Desk, source: &Source) -> Result<Loaded, Failure> {
    let show = |findings: &[_]| {
        let style = desk.screen.style();
        desk.screen.alert(&render(findings, &source.text(), style.color, style.columns()));
    };
    match source.load() {
        Ok(loaded) => {
            show(&loaded.warnings);
            Ok(loaded)
        }
        Err(findings) => {
            show(&findings);
            Err(Failure::say(Exit::Invalid, format!("{} is refused", source.name)))
        }
    }
}
