//! Plans that outlive the command that made them: `plan --save` keeps one with its facts, `run --plan ID` holds it to them.
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::plan::Rehearsal;
use super::site::{identity, stamps};
use super::source::Source;
use super::{Desk, Exit, Failure};
use crate::host::Facts;
use crate::host::foreign::named;
use crate::host::span::words;
use crate::journal::Directory;
use crate::journal::plans::{PLANS_KEPT, PlanId};
use crate::journal::record::sha256_hex;
use crate::journal::store::Store;
use crate::plan::drift::{Drift, MAX_AGE, carried, drift};
use crate::plan::{FORMAT, Plan, Rehearsed};
use crate::report::{call, call_on, drift_lines, drifted, offer};

/// Where a saved plan comes from: `origin.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    /// The format of the plan beside it.
    format: u32,
    /// Version of the program that saved it.
    tool_version: String,
    /// The runbook's absolute path.
    runbook: String,
}

/// A saved plan, read back.
pub(super) struct SavedPlan {
    id: PlanId,
    origin: Origin,
    rehearsed: Rehearsed,
}

/// Keeps a plan that may be run, and says under which name.
pub(super) fn save(desk: &Desk, source: &Source, rehearsal: &Rehearsal) -> Result<(), Failure> {
    let bug = |error: serde_json::Error| Failure::new(Exit::Bug, error);
    let path = std::path::absolute(&source.name).map_err(|error| Failure::new(Exit::Storage, error))?;
    let origin = Origin {
        format: FORMAT,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        runbook: path.display().to_string(),
    };
    let origin = serde_json::to_vec_pretty(&origin).map_err(bug)?;
    let plan = serde_json::to_vec_pretty(&rehearsal.rehearsed.plan).map_err(bug)?;
    let facts = serde_json::to_vec(&rehearsal.rehearsed.facts).map_err(bug)?;
    let files: [(&str, &[u8]); 4] =
        [("origin.json", &origin), ("plan.json", &plan), ("facts.json", &facts), ("runbook.yaml", &source.bytes)];
    let store = Store::prepare(&desk.site.state_dir)?;
    let id = store.save_plan(&files, &stamps(&identity()?.boot_id).stamp())?;
    // Housekeeping: a plan that cannot be removed takes nothing away from the one that was saved.
    if let Err(error) = store.prune_plans(PLANS_KEPT) {
        desk.screen.alert(&format!("old saved plans stay: {error}\n"));
    }
    if desk.screen.json {
        desk.screen.lines([serde_json::json!({ "type": "saved", "plan": id.as_str() }).to_string()]);
    } else {
        desk.screen.result(&format!(
            "\nSaved as {id}, good for {} while nothing that matters to it moves:\n  {}\n",
            words(MAX_AGE),
            call(&format!("run --plan {id}"))
        ));
    }
    Ok(())
}

/// Finds and reads a saved plan.
pub(super) fn find(desk: &Desk, name: &str) -> Result<SavedPlan, Failure> {
    let none = || {
        let text = format!("there is no saved plan {} in {}", named(name, 40), desk.site.state_dir.display());
        Failure::say(Exit::Usage, text).hint(offer("list", "names the runbooks; `plan --save` keeps a plan of one"))
    };
    let id = PlanId::parse(name).ok_or_else(none)?;
    let dir = desk.site.look()?.ok_or_else(none)?.saved_plan(&id)?.ok_or_else(none)?;
    let origin: Origin = part(&dir, &id, "origin.json")?;
    if origin.format != FORMAT {
        let why = format!("its format is {}, this program writes {FORMAT}", origin.format);
        return Err(unusable(&id, &origin, &why));
    }
    let (plan, facts): (Plan, Facts) = (part(&dir, &id, "plan.json")?, part(&dir, &id, "facts.json")?);
    Ok(SavedPlan { id, origin, rehearsed: Rehearsed { plan, facts } })
}

fn part<T: DeserializeOwned>(dir: &Directory, id: &PlanId, name: &str) -> Result<T, Failure> {
    serde_json::from_slice(&dir.read(name)?).map_err(|error| {
        let text = format!("{name} of the saved plan {id} is not understood: {error}");
        Failure::say(Exit::Stale, text).hint(offer("list", "names the runbooks; `plan --save` keeps a plan of one"))
    })
}

fn unusable(id: &PlanId, origin: &Origin, why: &str) -> Failure {
    let text = format!("the plan {id}, saved by version {}, cannot be used: {why}", named(&origin.tool_version, 40));
    Failure::say(Exit::Stale, text).hint(call_on("plan", &origin.runbook, "--save"))
}

impl SavedPlan {
    /// The runbook's path.
    pub(super) fn runbook(&self) -> &str {
        &self.origin.runbook
    }

    /// Refuses when the runbook is not the one that was planned: cheaper than asking the machine first.
    pub(super) fn is_of(&self, desk: &Desk, source: &Source) -> Result<(), Failure> {
        let (planned, now) = (&self.rehearsed.plan.sha256, sha256_hex(&source.bytes));
        if *planned == now {
            return Ok(());
        }
        Err(self.stale(desk, &[Drift::of_all("runbook", "sha256", planned, now)]))
    }

    /// Holds the plan to what the machine looks like now, and puts it in place of the new one.
    pub(super) fn renew(self, desk: &Desk, now: &mut Rehearsal, max_age: Option<Duration>) -> Result<(), Failure> {
        let moved = drift(&now.loaded.runbook, &self.rehearsed, &now.rehearsed, max_age.unwrap_or(MAX_AGE));
        if !moved.is_empty() {
            return Err(self.stale(desk, &moved));
        }
        now.rehearsed.plan = carried(self.rehearsed.plan, now.rehearsed.plan.clone());
        Ok(())
    }

    fn stale(&self, desk: &Desk, moved: &[Drift]) -> Failure {
        if desk.screen.json {
            desk.screen.lines(drift_lines(self.id.as_str(), moved));
        } else {
            desk.screen.alert(&drifted(moved, desk.screen.style()));
        }
        let what = if moved.len() == 1 { "a fact has".to_owned() } else { format!("{} facts have", moved.len()) };
        let text = format!("the plan {} is out of date: {what} moved since it was saved; nothing was done", self.id);
        let only_age = moved.iter().all(|one| one.about == "plan" && one.fact == "age");
        let again = call_on("plan", self.runbook(), "--save");
        let hint = if only_age { format!("{again}\n  --max-age LENGTH takes an older one") } else { again };
        Failure::say(Exit::Stale, text).hint(hint)
    }
}
