//! `runbook abort`: give a run up. One that is at work is asked; one that stands still is taken up once more to back out.
//!
//! With `--abandon` nothing more is done on the host; see [`abandon`].
use clap::Args;

use super::ask_to_stop::{ask, at_work, unfinished};
use super::prompt::{Answers, Prompt};
use super::{Desk, Exit, Failure, abandon, resume};
use crate::execute::{Ending, Stop, Urge};
use crate::report::{call, offer};

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
        if self.abandon {
            return abandon::call_it(desk, self.run.as_deref(), self.reason.as_deref()).await;
        }
        let store = desk.site.store()?;
        let id = unfinished(&desk.site, &store, self.run.as_deref())?;
        if at_work(&desk.site, &id) {
            ask(&store, &id, "abort")?;
            desk.screen.alert(&format!(
                "{id} was asked to give up: it backs out if service was taken away\n  {}\n",
                call(&format!("status {id}"))
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
                let leave = offer(&format!("abort {id} --abandon --reason TEXT"), "leaves the host as it is");
                let hint = format!("{}\n  {leave}", call(&format!("resume {id}")));
                Err(Failure::say(Exit::Failed, text).hint(hint))
            }
            _ => Ok(sat.exit),
        }
    }
}
