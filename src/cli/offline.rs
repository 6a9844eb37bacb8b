//! Planning without a machine: where the runbook and the recorded facts come from then. Nothing that is read here is ever
//! acted upon, so neither has to be root's, and a checkout's own files will do.
use std::path::{Path, PathBuf};

use super::source::{Source, read};
use super::{Exit, Failure};
use crate::action::bare_body::bare_body;
use crate::action::check::{Check, HttpCheck};
use crate::cli::site::Site;
use crate::host::facts::MAX_BYTES;
use crate::host::foreign::named;
use crate::host::small_file;
use crate::host::{Facts, Probe};
use crate::runbook::Runbook;

/// The runbook that comes with the program.
pub(super) const SHIPPED: &str = "restart-staging";
const SHIPPED_RUNBOOK: &str = include_str!("../../runbooks/restart-staging.yaml");
const SHIPPED_FACTS: &str = include_str!("../../tests/recorded/staging.facts.json");

/// Finds a runbook: where every command looks, then in a checkout, then the one that comes with the program.
pub(super) fn source(site: &Site, name: &str) -> Result<Source, Failure> {
    let first = read(site, name, false);
    if first.is_ok() || name.contains('/') || site.runbooks.join(format!("{name}.yaml")).exists() {
        return first;
    }
    let checkout = PathBuf::from("runbooks");
    if checkout != site.runbooks && checkout.join(format!("{name}.yaml")).is_file() {
        return read(site, &format!("./runbooks/{name}.yaml"), false);
    }
    if name == SHIPPED {
        return Ok(Source { name: format!("{SHIPPED}.yaml"), bytes: SHIPPED_RUNBOOK.as_bytes().to_vec() });
    }
    first
}

/// Reads a facts file.
pub(super) fn facts(path: &Path) -> Result<Facts, Failure> {
    let shown = named(&path.display().to_string(), 200);
    let bytes = small_file::read(path, MAX_BYTES).map_err(|error| {
        Failure::new(Exit::Usage, anyhow::Error::new(error).context(format!("cannot read {shown}")))
    })?;
    let facts = Facts::read(&bytes);
    facts.map_err(|error| Failure::new(Exit::Invalid, anyhow::Error::new(error).context(shown)))
}

/// The facts that come with the program: a staging host of the size that its runbook is for.
pub(super) fn shipped_facts() -> Result<Facts, Failure> {
    Ok(Facts::read(SHIPPED_FACTS.as_bytes())?)
}

/// The name of the machine that facts are of.
pub(super) fn hostname(facts: &Facts) -> &str {
    facts.machine().and_then(|machine| machine.hostname.as_deref()).unwrap_or("an unknown host")
}

/// A runbook names its hosts, and facts of any other are refused.
pub(super) fn right_facts(runbook: &Runbook, facts: &Facts) -> Result<(), Failure> {
    let of = hostname(facts);
    if runbook.hosts.iter().any(|host| host == of) {
        return Ok(());
    }
    let text =
        format!("{} is for {}, and these facts are of {}", runbook.name, runbook.hosts.join(", "), named(of, 80));
    Err(Failure::say(Exit::Refused, text).hint("`hosts:` compares with the full output of `hostname`"))
}

/// When facts were recorded, for people.
pub(super) fn recorded_at(facts: &Facts) -> String {
    facts.at.strftime("%F %H:%M UTC").to_string()
}

/// Facts of a live machine as a plan of the runbook asks for them.
pub(super) async fn record(site: &Site, loaded: &crate::runbook::Loaded, host: &dyn Probe) -> Facts {
    let checks = http_checks(&loaded.runbook);
    let recorder = crate::host::recorder::Recorder::over(host).keeping(|ask, body| {
        let of_it: Vec<&HttpCheck> = checks.iter().filter(|check| check.url == ask.url).copied().collect();
        bare_body(&of_it, body)
    });
    let history = crate::plan::History::default();
    // The walk is what asks; the plan that it makes is not wanted here.
    crate::plan::rehearse(loaded, &recorder, site.nearest(), &history, host.now()).await;
    let mut facts = recorder.facts();
    // A state directory that cannot be read is no reason not to record: then nothing is known of earlier loads.
    facts.loads = site.look().ok().flatten().and_then(|store| store.loads().ok()).unwrap_or_default();
    facts
}

/// Every HTTP check of a runbook.
fn http_checks(runbook: &Runbook) -> Vec<&HttpCheck> {
    runbook.steps().flat_map(|(.., step)| step.action.checks()).filter_map(page).collect()
}

fn page(check: &Check) -> Option<&HttpCheck> {
    match check {
        Check::Http(http) => Some(http),
        Check::Redis(_) | Check::Tcp(_) | Check::Unit(_) | Check::Host(_) | Check::Command(_) | Check::Pm2(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_fits_together() {
        let loaded = crate::runbook::load(SHIPPED_RUNBOOK, "restart-staging.yaml").unwrap();
        assert_eq!(loaded.runbook.name, SHIPPED);
        assert!(right_facts(&loaded.runbook, &shipped_facts().unwrap()).is_ok());
    }
}
