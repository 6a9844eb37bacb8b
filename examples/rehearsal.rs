//! A rehearsal through the library: the shipped runbook on its recorded facts, told by a reporter of a few lines.
//!
//! `cargo run --example rehearsal` needs nothing but this checkout and touches nothing but a temporary directory.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use runbook::event::{Event, Reporter};
use runbook::execute::dress::{DressRehearsal, Sat, Script, memory_demanded};
use runbook::execute::{Approve, Ending, Orders, Question, Reply, Stop};
use runbook::host::Facts;
use runbook::host::model::{Faults, Pace};
use runbook::journal::checkpoint::{Checkpoint, Owner};
use runbook::journal::state::RunState;

/// Tells the end of each step.
struct Ends;

impl Reporter for Ends {
    fn on(&mut self, event: &Event<'_>, _: &RunState) {
        let Event::Durable(entry) = event else { return };
        if let Checkpoint::StepDone { step, took_ms, .. } = &entry.checkpoint {
            println!("{}  {step} ({} s)", entry.wall.strftime("%T"), took_ms / 1000);
        }
    }
}

/// Nothing is at stake.
struct Yes;

impl Approve for Yes {
    fn ask(&mut self, _: &Question) -> Reply {
        Reply::Yes
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let source = include_str!("../runbooks/restart-staging.yaml");
    let loaded = runbook::runbook::load(source, "restart-staging.yaml").map_err(|found| format!("{found:?}"))?;
    let facts = Facts::read(include_bytes!("../tests/recorded/staging.facts.json"))?;
    let faults = Faults { memory_after_boot: memory_demanded(&loaded.runbook), ..Faults::default() };
    let script = Script { faults, ..Script::default() };
    let mut rehearsal = DressRehearsal::prepare(&loaded, facts, script).await?.at_pace(Pace::Times(300.0));
    let dir = tempfile::tempdir()?;
    let owner =
        Owner { pid: std::process::id(), uid: 0, user: "example".into(), sudo_user: None, tty: None, started: 0 };
    rehearsal.open(dir.path(), source.as_bytes(), owner)?;
    loop {
        match rehearsal.sit(&mut Ends, &mut Yes, Stop::default(), Orders::default()).await? {
            Sat::Ended(Ending::WaitingForReboot { note }) if rehearsal.come_back() => println!("          {note}"),
            sat => {
                println!("{sat:?}");
                return Ok(());
            }
        }
    }
}
