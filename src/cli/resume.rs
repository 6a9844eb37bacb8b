//! `runbook resume`: the same loop with a journal that is not empty; by a person, by the resume unit, or as its last resort.
use std::path::Path;

use clap::Args;

use super::closing::line;
use super::prompt::{Answers, Prompt};
use super::run::{children, hold, this_host};
use super::site::{Identity, identity, stamps, who};
use super::sitting::{Sat, Sitting, resumed, tidy};
use super::{Desk, Exit, Failure, fail_open, witness};
use crate::execute::{Ending, Stop, stop};
use crate::host::foreign::named;
use crate::host::local::LocalHost;
use crate::host::notice::{self, Severity};
use crate::host::{Facts, clock};
use crate::journal::checkpoint::{Checkpoint, Ruling};
use crate::journal::ownership::{Here, may_go_on};
use crate::journal::store::{RunId, Store};
use crate::journal::{Reading, of_this_machine};
use crate::plan::Plan;
use crate::report::{call, offer};
use crate::runbook::{Runbook, load_bytes};

/// What to go on with.
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The run; there is at most one unfinished
    run: Option<String>,
    #[command(flatten)]
    answers: Answers,
    /// As the resume unit does: no terminal, and people are told when one of them is needed
    #[arg(long)]
    unattended: bool,
    /// Last resort, when the run itself cannot go on: start everything that the snapshot wants online, without any check
    #[arg(long, conflicts_with = "unattended")]
    fail_open: bool,
    /// NDJSON on the standard output, for programs
    #[arg(long)]
    pub(super) json: bool,
}

/// What a run was begun with, read back from its directory and journal.
pub(super) struct Frozen {
    pub(super) runbook: Runbook,
    pub(super) plan: Plan,
    pub(super) baseline: Facts,
}

impl Resume {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        if self.fail_open {
            return fail_open::call(desk, self.run.as_deref()).await;
        }
        if !self.unattended {
            let sat = self.go_on(desk, Stop::default()).await?;
            return Ok(sat.map_or(Exit::Done, |sat| sat.exit));
        }
        let desk = Desk { screen: desk.screen.unattended(), no_input: true, site: desk.site.clone() };
        let ended = self.go_on(&desk, Stop::default()).await;
        self.told(&desk, ended).await
    }

    /// One sitting; `None` when there is nothing to go on with.
    pub(super) async fn go_on(&self, desk: &Desk, stop: Stop) -> Result<Option<Sat>, Failure> {
        let Some(store) = desk.site.look()? else {
            let place = desk.site.state_dir.display();
            desk.screen.alert(&format!(
                "no run is unfinished: there is no {place}, and none was made. If its disk is not mounted, mount it, then: {}\n",
                call("resume")
            ));
            return Ok(None);
        };
        let Some(id) = desk.site.unfinished(&store, self.run.as_deref())? else {
            sweep(desk, &store).await?;
            return match &self.run {
                // Whoever names a run wants that one to go on.
                Some(run) => {
                    let text = format!("run {} is not unfinished, and no other one is", named(run, 64));
                    Err(Failure::say(Exit::Usage, text).hint(call("history")))
                }
                None => {
                    desk.screen.alert("no run is unfinished\n");
                    Ok(None)
                }
            };
        };
        let mut prompt = if self.unattended { Prompt::nobody(&desk.screen) } else { self.answers.prompt(desk) };
        sit(desk, &store, id, &self.answers, &mut prompt, stop, self.unattended).await.map(Some)
    }

    /// Unattended: whoever is needed is told, and only what this program itself could not do leaves a failed unit behind,
    /// because that opens the gates. A gate that says no must stay shut until somebody has looked.
    async fn told(&self, desk: &Desk, ended: Result<Option<Sat>, Failure>) -> Result<Exit, Failure> {
        let next = call("status");
        match ended {
            Ok(None) => Ok(Exit::Done),
            Ok(Some(Sat { ending, exit })) => match ending {
                Ending::Done { .. } | Ending::GivenUp { .. } => {
                    tell_log(Severity::Notice, &line(&ending));
                    Ok(exit)
                }
                Ending::BackedOut { ref trouble, .. } | Ending::OutsideWindow { backed_out: Some(ref trouble), .. }
                    if trouble.is_empty() =>
                {
                    tell_log(Severity::Notice, &line(&ending));
                    Ok(exit)
                }
                Ending::WaitingForReboot { .. } | Ending::Paused(_) => Ok(exit),
                _ => {
                    tell_people(desk, &format!("{}\nServices may be down. Next: {next}", line(&ending))).await;
                    Ok(Exit::Waiting)
                }
            },
            Err(failure) => {
                let next = failure.hint.clone().unwrap_or(next);
                tell_people(desk, &format!("the run cannot go on: {}\nNext:\n  {next}", failure.reason())).await;
                Err(failure)
            }
        }
    }
}

/// Does what a process left undone that died between the last record of its run and its own end.
pub(super) async fn sweep(desk: &Desk, store: &Store) -> Result<(), Failure> {
    let Some(run) = store.left_over()? else { return Ok(()) };
    // Whoever holds the host is about to do it.
    let Ok(_lock) = hold(&desk.site, &identity()?, run.as_str()) else { return Ok(()) };
    if store.left_over()?.is_some() {
        tidy(desk, &LocalHost::new(None)).await;
        store.sweep()?;
    }
    Ok(())
}

/// Whether the run may be gone on with here and now, and what it was begun with. It only reads: `status` asks the same, so that
/// it offers nothing that would be refused.
pub(super) fn may_take_up(
    desk: &Desk,
    store: &Store,
    id: &RunId,
    identity: &Identity,
    reading: &Reading,
    unattended: bool,
) -> Result<Frozen, Failure> {
    let here = Here {
        hostname: &identity.hostname,
        boot_id: &identity.boot_id,
        mono_ms: stamps(&identity.boot_id).stamp().mono_ms,
        now: clock::now(),
        unattended,
        witness: witness::last(&desk.site),
    };
    may_go_on(reading, &here)?;
    of_this_machine(&reading.state, &identity.machine_id)?;
    Frozen::read(store, id)
}

/// Opens the run and sits.
pub(super) async fn sit(
    desk: &Desk,
    store: &Store,
    id: RunId,
    answers: &Answers,
    prompt: &mut Prompt<'_>,
    stop: Stop,
    unattended: bool,
) -> Result<Sat, Failure> {
    let identity = identity()?;
    let _lock = hold(&desk.site, &identity, id.as_str())?;
    let reading = store.read(&id).map_err(Failure::of_run)?;
    let in_doubt = !reading.state.in_doubt().is_empty();
    let frozen = may_take_up(desk, store, &id, &identity, &reading, unattended)?;
    drop(reading);
    answers.fit(&frozen.runbook)?;
    // What is at work may be of a step that somebody has ruled done: then nobody would wait for it later.
    let run_dir = store.dir(&id)?;
    let children = children(desk, in_doubt.then(|| run_dir.path())).await?;
    let host = this_host(desk, &frozen.runbook, &children)?;
    let journal = store.resume(&id, &identity.machine_id, stamps(&identity.boot_id))?;
    // What somebody asked of an earlier sitting was heeded or has died with it.
    stop::withdraw(store.dir(&id)?.path());
    let mut opening = vec![resumed(unattended)?];
    opening.extend(answers.ignore_window.as_ref().map(|reason| Checkpoint::Decision {
        who: who(),
        what: Ruling::IgnoreWindow,
        reason: reason.clone(),
    }));
    prompt.live = desk.screen.live(&frozen.runbook, &frozen.plan);
    let sitting = Sitting {
        desk,
        store,
        id,
        runbook: &frozen.runbook,
        plan: &frozen.plan,
        baseline: frozen.baseline,
        host: &host,
        children,
        journal,
        live: prompt.live.clone(),
        approve: prompt,
        orders: answers.orders(),
        stop,
        detailed: answers.detailed_exitcode,
    };
    sitting.through(opening).await
}

impl Frozen {
    /// Reads them; the store has proven that the runbook is the one of the run.
    pub(super) fn read(store: &Store, id: &RunId) -> Result<Self, Failure> {
        let (bytes, state) = store.runbook(id).map_err(Failure::of_run)?;
        let opened = state.opened();
        let opened = opened.ok_or_else(|| Failure::say(Exit::Damaged, format!("run {id} has no first record")))?;
        let other = |what: &str, why: String| {
            let text = format!(
                "the {what} of run {id} is not understood by this version ({why}); it was begun with {}, which goes on with it",
                opened.tool_version
            );
            Failure::say(Exit::Damaged, text).hint(offer("abort --abandon --reason TEXT", "frees the host"))
        };
        let loaded = load_bytes(&bytes, "runbook.yaml")
            .map_err(|found| other("runbook", format!("{} findings", found.len())))?;
        let plan = opened.plan.read().map_err(|error| other("plan", error.to_string()))?;
        let baseline = opened.baseline.read().map_err(|error| other("baseline", error.to_string()))?;
        Ok(Self { runbook: loaded.runbook, plan, baseline })
    }
}

/// Tells everyone who is logged in, everyone who will log in, and the log. Each as well as it can.
pub(super) async fn tell_people(desk: &Desk, message: &str) {
    let text = format!("runbook: {message}");
    tell_log(Severity::Error, &text);
    if !desk.site.root {
        return;
    }
    for said in [notice::put_login_note(Path::new(notice::MOTD_DIR), &text), notice::wall(&text).await] {
        if let Err(why) = said {
            desk.screen.alert(&format!("not told: {why}\n"));
        }
    }
}

fn tell_log(severity: Severity, text: &str) {
    // The unit's own output is in the journal as well; a host without syslog loses nothing.
    let _told = notice::syslog(Path::new(notice::SYSLOG), severity, &text.replace('\n', "; "));
}
