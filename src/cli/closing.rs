//! The end of a sitting: which exit code it means, and the words that go with it.
use super::{Desk, Exit, around};
use crate::execute::{Ending, Urge};
use crate::journal::store::{RunId, Store};
use crate::report;

/// The exit code of an ending.
pub(super) fn exit(ending: &Ending, detailed: bool) -> Exit {
    match ending {
        Ending::Done { losses } if detailed && !losses.is_empty() => Exit::Losses,
        Ending::Done { .. } => Exit::Done,
        Ending::BackedOut { trouble, .. } if trouble.is_empty() => Exit::BackedOut,
        Ending::BackedOut { .. } => Exit::BackedOutLosses,
        Ending::NotBack { .. } => Exit::NotBack,
        Ending::GivenUp { .. } => Exit::Failed,
        Ending::Failed { untouched: true, .. } => Exit::Refused,
        Ending::Failed { .. } => Exit::Failed,
        Ending::Unknown { .. } | Ending::WaitingForReboot { .. } => Exit::Waiting,
        Ending::Paused(Urge::Terminate) => Exit::Terminated,
        Ending::Paused(Urge::Now) => Exit::HardStop,
        Ending::Paused(_) => Exit::Paused,
        Ending::NeedsAnswer { .. } => Exit::NeedsAnswer,
        Ending::OutsideWindow { .. } => Exit::Window,
    }
}

/// [`exit`], told from [`Exit::Done`] when the journal says that something came back differently.
pub(super) fn exit_of(ending: &Ending, detailed: bool, store: &Store, id: &RunId) -> Exit {
    let surprised = || store.read(id).is_ok_and(|reading| report::surprised(&reading.entries));
    match exit(ending, detailed) {
        Exit::Done if detailed && surprised() => Exit::Losses,
        exit => exit,
    }
}

/// Shows how the sitting ended and what to type next; on this machine that needs a look at what is around it.
pub(super) async fn show(desk: &Desk, id: &RunId, ending: &Ending, store: &Store, here: bool) {
    // What the journal does not hold is said here: a missing answer, a closed window, what is being waited for.
    if !matches!(ending, Ending::Done { .. } | Ending::GivenUp { .. } | Ending::Failed { .. } | Ending::Paused(_)) {
        desk.screen.alert(&format!("\n{}\n", line(ending)));
    }
    match store.read(id) {
        Ok(reading) => {
            let look = around::look(desk, store, id, &reading, false);
            let around =
                if here { look.await } else { report::Around { rehearsed: true, ..report::Around::default() } };
            desk.screen.alert(&report::ending(&reading.entries, &reading.state, &around, desk.screen.style()));
        }
        Err(error) => desk.screen.alert(&format!("{id}: {}\n{error}\n", line(ending))),
    }
}

/// An ending in one line.
pub(super) fn line(ending: &Ending) -> String {
    match ending {
        Ending::Done { losses } if losses.is_empty() => "done".into(),
        Ending::Done { losses } => {
            let all: Vec<String> = losses.iter().map(ToString::to_string).collect();
            format!("done, with losses: {}", all.join("; "))
        }
        Ending::BackedOut { reason, trouble } if trouble.is_empty() => {
            format!("backed out, services were brought back: {reason}")
        }
        Ending::BackedOut { reason, trouble } => {
            format!("backed out, with losses: {}: {reason}", trouble.join("; "))
        }
        Ending::NotBack { reason, trouble } => {
            format!("NOT brought back: {}; the run is not over: {reason}", trouble.join("; "))
        }
        Ending::GivenUp { reason } => format!("given up: {reason}"),
        Ending::Failed { step, error, untouched } => {
            format!("{step} failed: {error}{}", if *untouched { "; nothing was changed" } else { "" })
        }
        Ending::Unknown { step, why } => format!("nobody knows whether {step} happened: {why}"),
        Ending::Paused(_) => "paused at a checkpoint; nothing is lost".into(),
        Ending::WaitingForReboot { note } => format!("waiting for the reboot: {note}"),
        Ending::NeedsAnswer { step, how } => format!("{step} needs an answer: {how}"),
        Ending::OutsideWindow { why, backed_out: None } => {
            format!("{why}; nothing more was changed, and the run waits for the next window")
        }
        Ending::OutsideWindow { why, backed_out: Some(trouble) } if trouble.is_empty() => {
            format!("{why}; backed out, services were brought back")
        }
        Ending::OutsideWindow { why, backed_out: Some(trouble) } => {
            format!("{why}; backed out, with losses: {}", trouble.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::checkpoint::Loss;

    #[test]
    fn each_ending_has_the_exit_code_of_the_table() {
        let lost = Ending::Done { losses: vec![Loss { item: "org-a".into(), why: "gone".into() }] };
        let failed = |untouched| Ending::Failed { step: "a/1".into(), error: "no".into(), untouched };
        for (ending, detailed, code) in [
            (Ending::Done { losses: Vec::new() }, true, 0),
            (lost.clone(), false, 0),
            (lost, true, 11),
            (failed(false), false, 1),
            (failed(true), false, 5),
            (Ending::OutsideWindow { why: "closed".into(), backed_out: None }, false, 6),
            (Ending::OutsideWindow { why: "closed".into(), backed_out: Some(Vec::new()) }, false, 6),
            (Ending::NeedsAnswer { step: "a/1".into(), how: "--yes".into() }, false, 9),
            (Ending::Paused(Urge::Pause), false, 20),
            (Ending::WaitingForReboot { note: "down".into() }, false, 21),
            (Ending::Paused(Urge::Now), false, 130),
            (Ending::Paused(Urge::Terminate), false, 143),
        ] {
            assert_eq!(exit(&ending, detailed).code(), code, "{ending:?}");
        }
    }
}
