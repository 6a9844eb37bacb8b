//! `runbook abort`: give a run up. One that is at work is asked; one that stands still is taken up once more to back out.
use clap::Args;

use super::ask_to_stop::{ask, at_work, unfinished};
use super::prompt::{Answers, Prompt};
use super::run::hold;
use super::site::{identity, stamps, who};
use super::sitting::tidy;
use super::{Desk, Exit, Failure, resume};
use crate::execute::{Ending, Stop, Urge};
use crate::host::local::LocalHost;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::store::{RunId, Store};

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
        let reason = self.reason.clone().unwrap_or_default();
        if reason.trim().is_empty() {
            return Err(Failure::say(Exit::Usage, "--abandon needs a reason"));
        }
        let identity = identity()?;
        let _lock = hold(&desk.site, &identity, id.as_str())?;
        let mut journal = store.resume(id, &identity.machine_id, stamps(&identity.boot_id))?;
        journal.append(&[Checkpoint::Abandoned { who: who(), reason }])?;
        store.release(&journal)?;
        tidy(desk, &LocalHost::new(None)).await;
        desk.screen.alert(&format!(
            "{id} is abandoned and the host is free; what it had stopped stays as it is\n  runbook report {id}\n"
        ));
        Ok(Exit::Done)
    }
}
