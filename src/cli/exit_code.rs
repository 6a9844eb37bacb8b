//! How the program exits: one number for one meaning, in one table.

/// Exit codes; a code is never given a second meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; a plan fits.
    Done = 0,
    /// A step or gate failed; the journal is intact.
    Failed = 1,
    /// Wrong command line (clap's own code).
    Usage = 2,
    /// The runbook is invalid.
    Invalid = 3,
    /// A probe failed, so the plan is incomplete.
    Unforeseen = 4,
    /// A check before the first change said no.
    Refused = 5,
    /// Outside the window, or too long for it.
    Window = 6,
    /// The saved plan is out of date.
    Stale = 7,
    /// Another run holds the host.
    Held = 8,
    /// An answer is needed and nobody is there to give it.
    NeedsAnswer = 9,
    /// There are changes; only with `--detailed-exitcode`.
    Changes = 10,
    /// Done with tolerated losses, or with something that came back differently; only with `--detailed-exitcode`.
    Losses = 11,
    /// Backed out, and everything was brought back.
    BackedOut = 12,
    /// Backed out, with named losses or doubts.
    BackedOutLosses = 13,
    /// Backing out has not brought services back; the run is not over.
    NotBack = 14,
    /// Paused on request.
    Paused = 20,
    /// Waiting for a reboot or an operator.
    Waiting = 21,
    /// The journal is damaged or refused.
    Damaged = 30,
    /// The state directory cannot be read or written.
    Storage = 31,
    /// A bug of this program.
    Bug = 70,
    /// Left at the second Ctrl-C.
    HardStop = 130,
    /// Terminated after a checkpoint.
    Terminated = 143,
}

impl Exit {
    /// Every code with its meaning, for the long help and the man page.
    pub const TABLE: [(Self, &'static str); 22] = [
        (Self::Done, "done; plan: fits"),
        (Self::Failed, "a step or gate failed; the journal is intact, `resume` possible"),
        (Self::Usage, "wrong command line"),
        (Self::Invalid, "invalid runbook"),
        (Self::Unforeseen, "a probe failed, so the plan is incomplete"),
        (Self::Refused, "a preflight check said no; nothing was changed"),
        (Self::Window, "outside the window, or too long for it"),
        (Self::Stale, "the saved plan is stale"),
        (Self::Held, "another run holds the host"),
        (Self::NeedsAnswer, "needs an answer, and there is no terminal"),
        (Self::Changes, "only with --detailed-exitcode: there are changes"),
        (
            Self::Losses,
            "only with --detailed-exitcode: done, with tolerated losses, or with something that came back differently",
        ),
        (Self::BackedOut, "backed out: services were brought back, nothing is missing"),
        (Self::BackedOutLosses, "backed out, with losses or doubts, which are named"),
        (Self::NotBack, "backing out has NOT brought services back; `resume` goes on with it"),
        (Self::Paused, "paused on request"),
        (Self::Waiting, "waiting for a reboot or an operator"),
        (Self::Damaged, "journal damaged or refused"),
        (Self::Storage, "storage failed"),
        (Self::Bug, "a bug of this program"),
        (Self::HardStop, "hard stop by the second Ctrl-C"),
        (Self::Terminated, "terminated after a checkpoint"),
    ];

    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The table as text.
    #[must_use]
    pub fn table() -> String {
        let line = |(exit, meaning): &(Self, &str)| format!("{:>5}  {meaning}\n", exit.code());
        format!("Exit codes:\n{}", Self::TABLE.iter().map(line).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_table_once_and_in_order() {
        let codes: Vec<u8> = Exit::TABLE.iter().map(|(exit, _)| exit.code()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        assert!(Exit::table().contains("   21  waiting for a reboot"));
    }
}
