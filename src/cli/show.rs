//! `runbook show`: what a runbook does, in the order in which it does it, without looking at the machine.
use clap::Args;

use super::source::read;
use super::{Desk, Exit, Failure, check};
use crate::host::span::words;
use crate::runbook::{ConfirmKind, Runbook, Step};

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
        desk.screen.result(&text(&loaded.runbook, &source.name, &loaded.sha256));
        Ok(Exit::Done)
    }
}

fn text(runbook: &Runbook, file: &str, sha256: &str) -> String {
    let mut out = format!("{}   {file}   sha256 {sha256:.12}\n", runbook.name);
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(runbook.doc.clone());
    line(format!("hosts     {}", runbook.hosts.join(", ")));
    if let Some(window) = &runbook.window {
        let days: Vec<&str> = window.days.iter().map(|day| day.name()).collect();
        let zone = window.timezone.iana_name().unwrap_or("its time zone");
        let opens = window.opens.strftime("%H:%M");
        line(format!("window    {} {opens} for {}, {zone}", days.join(", "), words(window.length)));
    }
    if !runbook.back_out.is_empty() {
        line(format!("back out  {}", runbook.back_out.join(", ")));
    }
    let inventory = &runbook.inventory;
    line(format!(
        "knows     {} redis, {} units, {} pm2",
        inventory.redis.len(),
        inventory.units_of(None).len(),
        inventory.pm2.len()
    ));
    let first_taker = runbook.steps().find(|(.., step)| step.action.takes_service_away()).map(|(id, ..)| id);
    let mut phase_before = "";
    for (id, phase, step) in runbook.steps() {
        if phase.name != phase_before {
            line(String::new());
            line(phase.name.clone());
            phase_before = &phase.name;
        }
        if Some(&id) == first_taker.as_ref() {
            line("  ---- point of no return: from here on users notice ----".into());
        }
        line(format!("  {:<28} {}", id.as_str(), described(step)));
    }
    out
}

/// The action and the limits around it.
fn described(step: &Step) -> String {
    let mut parts = vec![step.action.key().to_owned()];
    parts.extend(step.within.map(|within| format!("within {}", words(within))));
    parts.extend(step.retry.map(|retry| format!("{} retries", retry.times)));
    parts.extend(step.confirm.as_ref().map(|confirm| match confirm.kind {
        ConfirmKind::Name => "asks for the typed name".to_owned(),
        ConfirmKind::Yes => "asks".to_owned(),
    }));
    parts.join(", ")
}
