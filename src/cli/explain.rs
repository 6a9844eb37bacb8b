//! `runbook explain`: the long text behind a code that `check` prints.
use clap::Args;

use super::{Desk, Exit, Failure};
use crate::host::foreign::tame;
use crate::runbook::codes;

/// What to explain.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A code such as RB101, or `journal`; without one, every code with its title
    code: Option<String>,
}

const JOURNAL: &str = "A journal that is refused\n\n\
    Each line of `runs/RUN/journal` carries its length, a checksum and the hash of the line before; `head` says how far it was\n\
    acknowledged. Only a torn last line that was never acknowledged is dropped, after a copy. Anything else that does not fit\n\
    means that the file was changed, cut or damaged by its disk, and that nobody can say what was done: the run is refused and\n\
    nothing is changed. The host stays owned by it until a person has looked.\n\n\
    1. runbook journal verify RUN    where the damage begins, what was lost, whether a reboot was asked for, whether services\n\
    \x20                                may be down. It only reads; exit 30 on damage.\n\
    2. runbook journal show RUN      every record before the damage, and what can still be read behind it, unproven.\n\
    3. If services are down: runbook resume RUN --fail-open starts everything that the run's snapshot wants online, without any\n\
    \x20  check. After a boot the fail-open unit has done that already.\n\
    4. runbook abort RUN --abandon --reason TEXT sets the run aside: a note in its directory says who did it, why, and what was\n\
    \x20  not known; the resume unit goes and the host is free. Nothing is moved and nothing is deleted: keep the directory for\n\
    \x20  the post-mortem.\n";

impl Explain {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let Some(code) = &self.code else {
            for one in codes::ALL {
                desk.screen.result(&format!("{}  {}\n", one.code.0, one.title));
            }
            return Ok(Exit::Done);
        };
        if code.eq_ignore_ascii_case("journal") {
            desk.screen.result(JOURNAL);
            return Ok(Exit::Done);
        }
        let unknown =
            || Failure::say(Exit::Usage, format!("there is no code {}", tame(code, 40))).hint("runbook explain");
        let one = codes::explain(code).ok_or_else(unknown)?;
        desk.screen.result(&format!("{}: {}\n\n{}\n", one.code.0, one.title, one.text));
        Ok(Exit::Done)
    }
}
