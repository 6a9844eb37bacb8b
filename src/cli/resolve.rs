//! `runbook resolve`: a person's ruling on a step of which nobody knows whether it happened, with a name and a reason.
use clap::Args;

use super::ask_to_stop::unfinished;
use super::run::hold;
use super::site::{identity, stamps, who};
use super::{Desk, Exit, Failure};
use crate::host::foreign::tame;
use crate::journal::JournalError;
use crate::journal::checkpoint::{Checkpoint, Resolution, Ruling};
use crate::report::call;
use crate::runbook::StepId;

/// The ruling.
#[derive(Debug, Args)]
pub(super) struct Resolve {
    /// The run
    run: String,
    /// The step, such as compact/1
    step: String,
    #[command(flatten)]
    how: How,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// One of three.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct How {
    /// It has happened
    #[arg(long)]
    done: bool,
    /// It may be done once more
    #[arg(long)]
    rerun: bool,
    /// Go on without it
    #[arg(long)]
    skip: bool,
}

impl Resolve {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let store = desk.site.store()?;
        let id = unfinished(&desk.site, &store, Some(&self.run))?;
        let identity = identity()?;
        let _lock = hold(&desk.site, &identity, id.as_str())?;
        let mut journal = store.resume(&id, &identity.machine_id, stamps(&identity.boot_id))?;
        let how = match self.how {
            How { done: true, .. } => Resolution::Done,
            How { rerun: true, .. } => Resolution::Rerun,
            How { .. } => Resolution::Skip,
        };
        let step = StepId::new(&*self.step);
        let ruling =
            Checkpoint::Decision { who: who(), what: Ruling::Resolve { step, how }, reason: self.reason.clone() };
        match journal.append(&[ruling]) {
            Err(error @ JournalError::Illegal(_)) => {
                Err(Failure::new(Exit::Usage, error).hint(call(&format!("status {id}"))))
            }
            Err(error) => Err(error.into()),
            Ok(_) => {
                let word = match how {
                    Resolution::Done => "has happened",
                    Resolution::Rerun => "is done once more",
                    Resolution::Skip => "is left out",
                };
                let next = call(&format!("status {id}"));
                desk.screen.alert(&format!("{id} {}: ruled that it {word}\n  {next}\n", tame(&self.step, 80)));
                Ok(Exit::Done)
            }
        }
    }
}
