//! `runbook run`: plan, refuse or ask, write the run down, and carry it out.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::may_begin::may_begin;
use super::plan::Rehearsal;
use super::prompt::{Answers, person};
use super::saved_plan::{self, SavedPlan};
use super::site::{Identity, Site, identity, owner, stamps, who};
use super::sitting::Sitting;
use super::source::{Source, read};
use super::{Desk, Exit, Failure, around, check, plan, prune, resume_unit};
use crate::action::measure::parse_duration;
use crate::execute::{Orders, Stop};
use crate::host::clock;
use crate::host::command::adopt_orphans;
use crate::host::effect::Effect;
use crate::host::json_text::JsonText;
use crate::host::local::LocalHost;
use crate::host::span::words;
use crate::journal::checkpoint::{Checkpoint, Opened, Ruling};
use crate::journal::lock::{CHILDREN_LOCK, ChildrenLock, HostLock, LockError};
use crate::journal::record::FORMAT;
use crate::journal::store::{NewRun, Store};
use crate::plan::Plan;
use crate::report::{self, Typed, call, call_on, commands_are_of, offer, word};
use crate::runbook::{Runbook, StepId};

/// What to carry out.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The runbook: its name, or a path with a slash
    #[arg(required_unless_present = "plan")]
    name: Option<String>,
    /// Carry out a plan that `plan --save` kept, if nothing that matters to it has moved
    #[arg(long, value_name = "ID", conflicts_with_all = ["name", "dry_run"])]
    plan: Option<String>,
    /// How old that plan may be, as 30m or 12h [default: 30m]
    #[arg(long, value_name = "LENGTH", requires = "plan", value_parser = parse_duration)]
    max_age: Option<Duration>,
    #[command(flatten)]
    answers: Answers,
    /// Only plan
    #[arg(long)]
    pub(super) dry_run: bool,
    /// NDJSON on the standard output, for programs
    #[arg(long)]
    pub(super) json: bool,
}

impl Run {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let saved = self.plan.as_deref().map(|id| saved_plan::find(desk, id)).transpose()?;
        let name = saved.as_ref().map(SavedPlan::runbook).or(self.name.as_deref()).unwrap_or_default();
        commands_are_of(Typed { runbook: name.to_owned(), ..Typed::default() });
        let source = read(&desk.site, name, true)?;
        if let Some(saved) = &saved {
            saved.is_of(desk, &source)?;
        }
        let loaded = check::load(desk, &source)?;
        self.answers.fit(&loaded.runbook)?;
        if self.dry_run {
            return plan::show(desk, loaded, None, self.answers.detailed_exitcode).await;
        }
        self.can_be_answered(desk, &loaded.runbook)?;
        may_begin(desk, &loaded.runbook).await?;
        let identity = identity()?;
        let store = Store::prepare(&desk.site.state_dir)?;
        let lock = HostLock::take(&desk.site.lock, &owner(), &identity.boot_id, None)?;
        none_unfinished(desk, &store).await?;
        let children = children(desk, None).await?;
        let host = this_host(desk, &loaded.runbook, &children)?;
        let past = plan::past(Some(&store), &loaded.runbook.name)?;
        let mut rehearsal = Rehearsal::of(desk, past, loaded, &host, None).await?;
        if let Some(saved) = saved {
            saved.renew(desk, &mut rehearsal, self.max_age)?;
        }
        rehearsal.show(desk, false);
        rehearsal.allowed(self.answers.ignore_window.is_some())?;
        let mut prompt = self.answers.prompt(desk);
        let runbook = &rehearsal.loaded.runbook;
        if !prompt.start(runbook, &consequence(runbook, &rehearsal.rehearsed.plan, &identity.hostname)) {
            return Err(Failure::say(Exit::NeedsAnswer, "not started; nothing was changed"));
        }
        let (id, journal) = open(&store, &source, &rehearsal, &identity)?;
        lock.introduce(&owner(), &identity.boot_id, Some(id.as_str()))?;
        prompt.live = desk.screen.live(runbook, &rehearsal.rehearsed.plan);
        let sitting = Sitting {
            desk,
            store: &store,
            id,
            runbook,
            plan: &rehearsal.rehearsed.plan,
            baseline: rehearsal.rehearsed.facts,
            host: &host,
            children,
            journal,
            live: prompt.live.clone(),
            approve: &mut prompt,
            orders: self.answers.orders(),
            stop: Stop::default(),
            detailed: self.answers.detailed_exitcode,
        };
        let exit = sitting.sit(self.beyond_the_window().into_iter().collect()).await;
        drop(lock);
        exit
    }

    /// On record before anything else: that somebody wants the run outside of its window, and why.
    fn beyond_the_window(&self) -> Option<Checkpoint> {
        let reason = self.answers.ignore_window.clone()?;
        Some(Checkpoint::Decision { who: who(), what: Ruling::IgnoreWindow, reason })
    }

    /// Without a terminal every answer must be on the command line before anything is done.
    fn can_be_answered(&self, desk: &Desk, runbook: &Runbook) -> Result<(), Failure> {
        if person(desk) {
            return Ok(());
        }
        if self.answers.step {
            return Err(Failure::say(Exit::NeedsAnswer, "--step asks before each phase, and there is no terminal"));
        }
        let lacking = self.answers.lacking(runbook);
        if lacking.is_empty() {
            return Ok(());
        }
        let text = "this run must be confirmed, and there is no terminal to ask on; nothing was done";
        Err(Failure::say(Exit::NeedsAnswer, text).hint(self.again_with(&lacking)))
    }

    /// The same command with more answers.
    fn again_with(&self, answers: &[String]) -> String {
        let window = self.answers.ignore_window.as_ref().map(|reason| format!("--ignore-window {}", word(reason)));
        let yes = self.answers.yes.then(|| "--yes".to_owned());
        let confirm = self.answers.confirm.as_ref().map(|name| format!("--confirm {}", word(name)));
        let detailed = self.answers.detailed_exitcode.then(|| "--detailed-exitcode".to_owned());
        let flags = yes.into_iter().chain(confirm).chain(answers.iter().cloned()).chain(window).chain(detailed);
        let flags = flags.collect::<Vec<_>>().join(" ");
        match &self.plan {
            Some(id) => call(&format!("run --plan {} {flags}", word(id))),
            None => call_on("run", self.name.as_deref().unwrap_or_default(), &flags),
        }
    }
}

impl Answers {
    /// What the caller decides about a sitting.
    pub(super) fn orders(&self) -> Orders {
        Orders { ignore_window: self.ignore_window.clone(), step_by_step: self.step, who: who() }
    }
}

/// That the host is free; then what earlier runs taught is written down, so that the rest of this one need not read them all.
async fn none_unfinished(desk: &Desk, store: &Store) -> Result<(), Failure> {
    let Some(listed) = store.unfinished()? else {
        prune::learn(desk, store);
        return Ok(());
    };
    let text = format!("run {} is unfinished and owns this host", listed.id);
    let reading = match listed.reading {
        Ok(reading) => reading,
        Err(error) => {
            let failure = Failure::from(error);
            let text = format!("{text}, and cannot be gone on with: {}", failure.reason());
            return Err(Failure { hint: failure.hint, ..Failure::say(Exit::Held, text) });
        }
    };
    let around = around::look(desk, store, &listed.id, &reading, false).await;
    let mut ways = vec![offer(&format!("status {}", listed.id), "where it stands")];
    ways.extend(report::ways(&reading.entries, &reading.state, &around));
    Err(Failure::say(Exit::Held, text).hint(ways.join("\n  ")))
}

/// What users will feel, in one line.
pub(super) fn consequence(runbook: &Runbook, plan: &Plan, hostname: &str) -> String {
    let does = if runbook.reboots() { format!("reboots {hostname}") } else { format!("changes {hostname}") };
    match plan.cut_off() {
        Some(span) => {
            let (typical, slow) = (words(span.typically()), words(span.at_worst()));
            format!("This {does}. Users are cut off for {typical}, {slow} on a slow night.")
        }
        None => format!("This {does}."),
    }
}

/// Writes the run down: from here on it exists.
fn open(
    store: &Store,
    source: &Source,
    rehearsal: &Rehearsal,
    identity: &Identity,
) -> Result<(crate::journal::store::RunId, crate::journal::Journal), Failure> {
    let (runbook, plan) = (&rehearsal.loaded.runbook, &rehearsal.rehearsed.plan);
    let value = |value: Result<JsonText, serde_json::Error>| value.map_err(|error| Failure::new(Exit::Bug, error));
    let opened = Opened {
        format: FORMAT,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        runbook_name: runbook.name.clone(),
        runbook_sha256: rehearsal.loaded.sha256.clone(),
        machine_id: identity.machine_id.clone(),
        hostname: identity.hostname.clone(),
        owner: owner(),
        steps: runbook.steps().map(|(id, ..)| id).collect(),
        no_return: no_return(runbook, plan),
        plan: value(JsonText::of(plan))?,
        baseline: value(JsonText::of(&rehearsal.rehearsed.facts))?,
    };
    let text = serde_json::to_vec_pretty(plan).map_err(|error| Failure::new(Exit::Bug, error))?;
    let new = NewRun { runbook: &source.bytes, plan: &text, opened, reboots: runbook.reboots() };
    Ok(store.create(new, stamps(&identity.boot_id))?)
}

/// The first step that takes service away and has something to do; if the plan sees none, the first that could.
fn no_return(runbook: &Runbook, plan: &Plan) -> Option<StepId> {
    let planned = plan.no_return().and_then(|index| plan.steps.get(index)).map(|step| step.id.clone());
    planned.or_else(|| runbook.steps().find(|(.., step)| step.action.takes_service_away()).map(|(id, ..)| id))
}

/// Kept apart for `abort` and `resume`: the lock of the host, taken in the name of a run.
pub(super) fn hold(site: &Site, identity: &Identity, run: &str) -> Result<HostLock, Failure> {
    Ok(HostLock::take(&site.lock, &owner(), &identity.boot_id, Some(run))?)
}

/// How long a command of a killed sitting is waited for before somebody has to look.
const ORPHANS_WITHIN: Duration = Duration::from_secs(30);

/// The lock that our own children will hold, once nothing that an earlier sitting started is at work any more; and orphans
/// among our children's children become ours, so that they are seen.
///
/// What the run in `run_dir` itself has ordered is not waited for here: going on with it begins with waiting for that.
pub(super) async fn children(desk: &Desk, run_dir: Option<&Path>) -> Result<Arc<ChildrenLock>, Failure> {
    let path = desk.site.lock.with_file_name(CHILDREN_LOCK);
    let until = clock::boottime() + ORPHANS_WITHIN;
    let mut told = false;
    loop {
        match ChildrenLock::take(&path) {
            Ok(lock) => {
                adopt_orphans();
                return Ok(Arc::new(lock));
            }
            Err(LockError::AtWork { .. }) if run_dir.is_some_and(Effect::any_at_work) => {
                adopt_orphans();
                return Ok(Arc::new(ChildrenLock::share(&path)?));
            }
            Err(LockError::AtWork { who, .. }) if clock::boottime() < until => {
                if !std::mem::replace(&mut told, true) {
                    let within = words(ORPHANS_WITHIN);
                    desk.screen.alert(&format!(
                        "a command of an earlier sitting is still at work ({who}); it is waited for up to {within}\n"
                    ));
                }
                clock::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// This machine as the executor of a runbook is given it.
pub(super) fn this_host(desk: &Desk, runbook: &Runbook, children: &Arc<ChildrenLock>) -> Result<LocalHost, Failure> {
    let host = LocalHost::new(resume_unit::of(&desk.site, runbook)?).with_effects(desk.site.effects());
    Ok(host.with_children(Arc::clone(children) as _))
}
