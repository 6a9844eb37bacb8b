//! `runbook check`: everything that is wrong with runbooks, at once and with places. No service is asked. On a host of the
//! runbook root is told, too, what a plan would refuse because others may change it: files are looked at for that, no more.
use clap::Args;
use serde_json::json;

use super::site::identity;
use super::source::{Source, names, read};
use super::{Desk, Exit, Failure};
use crate::action::change::Weight;
use crate::action::programs;
use crate::host::programs::look;
use crate::report::{Annotation, annotations, finding_line};
use crate::runbook::{Diagnostic, Loaded, Runbook, Severity, render};

/// What to check.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Names or files; without any, every runbook that `list` shows
    #[arg(value_name = "NAME|FILE")]
    runbooks: Vec<String>,
    /// Warnings are refused, too
    #[arg(long)]
    strict: bool,
    /// NDJSON on the standard output, for programs
    #[arg(long)]
    pub(super) json: bool,
    /// Annotations for GitHub on the standard output: at most nine, then a count
    #[arg(long, conflicts_with = "json")]
    github: bool,
}

impl Check {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let all = if self.runbooks.is_empty() { names(&desk.site) } else { self.runbooks.clone() };
        if all.is_empty() {
            let text = format!("there are no runbooks in {}", desk.site.runbooks.display());
            return Err(Failure::say(Exit::Usage, text).hint("name a file: check ./FILE.yaml"));
        }
        let mut exit = Exit::Done;
        let mut found = Vec::new();
        for name in &all {
            if !self.one(desk, name, &mut found) {
                exit = Exit::Invalid;
            }
        }
        if self.github {
            desk.screen.lines(annotations(found));
        }
        Ok(exit)
    }

    /// Whether a runbook can be used; what was found in it is shown and added to `found`.
    fn one(&self, desk: &Desk, name: &str, found: &mut Vec<Annotation>) -> bool {
        let source = match read(&desk.site, name, false) {
            Ok(source) => source,
            Err(failure) => {
                found.push(Annotation::of_file(name, failure.reason()));
                desk.screen.failure(&failure);
                return false;
            }
        };
        let loaded = source.load();
        let findings = findings(&loaded);
        show(desk, &source, findings);
        found.extend(findings.iter().map(Annotation::from));
        let good = loaded.as_ref().is_ok_and(|loaded| loaded.warnings.is_empty() || !self.strict);
        let (phases, steps) =
            loaded.as_ref().map_or((0, 0), |loaded| (loaded.runbook.phases.len(), loaded.runbook.steps().count()));
        if desk.screen.json {
            let errors = findings.iter().filter(|one| one.severity == Severity::Error).count();
            let warnings = findings.len() - errors;
            let line = json!({
                "type": "checked", "file": source.name, "ok": good, "errors": errors, "warnings": warnings,
                "phases": phases, "steps": steps,
            });
            desk.screen.lines([line.to_string()]);
        } else if loaded.is_ok() {
            let text = format!("{}: ok ({phases} phases, {steps} steps)\n", source.name);
            // What GitHub reads holds nothing but annotations.
            if self.github {
                desk.screen.talk(&text)
            } else {
                desk.screen.result(&text)
            }
            if let Ok(loaded) = &loaded {
                for_root(desk, name, &loaded.runbook).iter().for_each(|line| desk.screen.alert(line));
            }
        }
        good
    }
}

/// What root would be refused on this host.
fn for_root(desk: &Desk, name: &str, runbook: &Runbook) -> Vec<String> {
    let here = identity().is_ok_and(|here| runbook.hosts.contains(&here.hostname));
    if !desk.site.root || !here {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if let Err(failure) = read(&desk.site, name, true) {
        lines.push(format!("warning: {}; a plan refuses it\n", failure.reason()));
    }
    for (id, _, step) in runbook.steps() {
        let asked = step.action.programs();
        let told = asked.iter().flat_map(|asked| programs::told(asked, &look(asked)));
        for one in told.filter(|one| one.weight == Weight::Stop) {
            lines.push(format!("warning: {id}: {}; cure: {}\n", one.seen, one.cure));
        }
    }
    lines
}

fn findings(loaded: &Result<Loaded, Vec<Diagnostic>>) -> &[Diagnostic] {
    match loaded {
        Ok(loaded) => &loaded.warnings,
        Err(findings) => findings,
    }
}

/// Shows what was found: as talk for people, as results for programs.
fn show(desk: &Desk, source: &Source, findings: &[Diagnostic]) {
    if desk.screen.json {
        return desk.screen.lines(findings.iter().map(finding_line));
    }
    let style = desk.screen.style();
    desk.screen.alert(&render(findings, &source.text(), style.color, style.columns()));
}

/// Loads a runbook and shows what was found in it.
pub(super) fn load(desk: &Desk, source: &Source) -> Result<Loaded, Failure> {
    let loaded = source.load();
    show(desk, source, findings(&loaded));
    loaded.map_err(|_| Failure::say(Exit::Invalid, format!("{} is refused", source.name)))
}
