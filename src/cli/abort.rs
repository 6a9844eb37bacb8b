//! `runbook abort`: give a run up. One that is at work is asked; one that stands still is taken up once more to back out.
//!
//! With `--abandon` nothing more is done on the host. It also is the way out of a run that cannot be gone on with: a damaged
//! journal, a changed runbook, another machine, a run whose directory is gone. Such a run is set aside with a note, never
//! deleted, and whoever does it is told first what nobody can know.
use clap::Args;

use super::ask_to_stop::{ask, at_work, unfinished};
use super::journal::at_pm2;
use super::prompt::{Answers, Prompt};
use super::run::hold;
use super::site::{Identity, identity, stamps, who};
use super::sitting::tidy;
use super::{Desk, Exit, Failure, prune, resume};
use crate::execute::{Ending, Stop, Urge};
use crate::host::clock;
use crate::host::foreign::named;
use crate::host::local::LocalHost;
use crate::journal::aside::Aside;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::store::{RunId, Store, StoreError};
use crate::report;

/// Which run, and how far.
#[derive(Debug, Args)]
pub(super) struct Abort {
    /// The run; there is at most one unfinished
    run: Option<String>,
    /// Do nothing more and free the host: somebody brings it into order by hand. Works after the reboot, too
    #[arg(long, requires = "reason")]
    abandon: bool,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Abort {
    pub(super) async fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let store = desk.site.store()?;
        if self.abandon
            && let Err(error @ StoreError::Dangling { .. }) = store.unfinished()
        {
            return self.forget(desk, &store, &error);
        }
        let id = unfinished(&desk.site, &store, self.run.as_deref())?;
        if self.abandon {
            return self.abandon(desk, &store, &id).await;
        }
        if at_work(&desk.site, &id) {
            ask(&store, &id, "abort")?;
            desk.screen.alert(&format!(
                "{id} was asked to give up: it backs out if service was taken away\n  runbook status {id}\n"
            ));
            return Ok(Exit::Done);
        }
        let stop = Stop::default();
        stop.ask(Urge::Abort);
        let none = Answers { yes: false, confirm: None, step: false, ignore_window: None, detailed_exitcode: false };
        let mut nobody = Prompt::nobody(&desk.screen);
        let sat = resume::sit(desk, &store, id.clone(), &none, &mut nobody, stop, false).await?;
        match sat.ending {
            // Given up as asked is what this command is for.
            Ending::GivenUp { .. } => Ok(Exit::Done),
            Ending::BackedOut { ref trouble, .. } if trouble.is_empty() => Ok(Exit::Done),
            Ending::Paused(_) => {
                let text = format!("{id} is past the reboot or has no way back: from here it goes forward");
                let hint = format!(
                    "runbook resume {id}\n  runbook abort {id} --abandon --reason TEXT    leaves the host as it is"
                );
                Err(Failure::say(Exit::Failed, text).hint(hint))
            }
            _ => Ok(sat.exit),
        }
    }

    async fn abandon(&self, desk: &Desk, store: &Store, id: &RunId) -> Result<Exit, Failure> {
        let reason = self.given_reason()?;
        let identity = identity()?;
        let _lock = hold(&desk.site, &identity, id.as_str())?;
        let mut journal = match store.resume(id, &identity.machine_id, stamps(&identity.boot_id)) {
            Ok(journal) => journal,
            Err(error) if error.spoils_the_run() => return self.set_aside(desk, store, id, &identity, &error).await,
            Err(error) => return Err(error.into()),
        };
        journal.append(&[Checkpoint::Abandoned { who: who(), reason }])?;
        // Before the release: with the host free and the resume unit still there, the next run would be met by this one's unit.
        // Whoever dies in between is followed by a `resume` that sees the last record and sweeps.
        tidy(desk, &LocalHost::new(None)).await;
        store.release(&journal)?;
        prune::by_itself(desk, store);
        desk.screen.alert(&format!(
            "{id} is abandoned and the host is free; what it had stopped stays as it is\n  runbook report {id}\n"
        ));
        Ok(Exit::Done)
    }

    /// A reason that says something.
    fn given_reason(&self) -> Result<String, Failure> {
        let reason = self.reason.clone().unwrap_or_default();
        if reason.trim().is_empty() {
            return Err(Failure::say(Exit::Usage, "--abandon needs a reason"));
        }
        Ok(reason)
    }

    /// The run cannot be gone on with, nor can its end be written into it.
    async fn set_aside(
        &self,
        desk: &Desk,
        store: &Store,
        id: &RunId,
        identity: &Identity,
        error: &StoreError,
    ) -> Result<Exit, Failure> {
        let known = store.inspect(id).map(|seen| report::doubts(&seen, &identity.boot_id)).unwrap_or_default();
        let note = self.note(error, known)?;
        tidy(desk, &LocalHost::new(None)).await;
        store.set_aside(id, &note)?;
        prune::by_itself(desk, store);
        let by_hand = by_hand(store, id);
        let text = report::set_aside(id.as_str(), &note, desk.screen.style());
        desk.screen.alert(&format!(
            "{text}The host is free. Nothing on it was changed, nothing of the run was deleted.\n{by_hand}"
        ));
        Ok(Exit::Done)
    }

    /// `pending` names a run that somebody removed: there is nothing to look at and nothing to set aside but the name.
    fn forget(&self, desk: &Desk, store: &Store, error: &StoreError) -> Result<Exit, Failure> {
        let note = self.note(error, Vec::new())?;
        let _lock = hold(&desk.site, &identity()?, "-")?;
        store.forget_dangling(&note)?;
        desk.screen.alert(&format!(
            "{error}\nIt is forgotten and the host is free. What that run had done is not known: look at services and data.\n  \
             systemctl --failed; runbook doctor\n"
        ));
        Ok(Exit::Done)
    }

    fn note(&self, error: &StoreError, known: Vec<String>) -> Result<Aside, Failure> {
        let (reason, found) = (self.given_reason()?, named(&error.to_string(), 600));
        Ok(Aside { at: clock::now(), who: who(), reason, found, known })
    }
}

/// What a person does about a run that was set aside, as exact commands.
fn by_hand(store: &Store, id: &RunId) -> String {
    let name = store.inspect(id).ok().and_then(|seen| Some(seen.state.opened()?.runbook_name.clone()));
    let name = name.map(|name| format!(" {}", named(&name, 80))).unwrap_or_default();
    let apps: String = at_pm2(store, id).iter().map(|command| format!("             {command}\n")).collect();
    let dir = store.dir(id).map(|dir| dir.path().display().to_string()).unwrap_or_default();
    format!(
        "  Look       systemctl --failed\n{apps}             runbook doctor{name}\n  If down    runbook resume {id} --fail-open\n             \
         (starts what the snapshot wants online, without any check)\n  Evidence   runbook journal show {id}\n             {dir}\n"
    )
}
