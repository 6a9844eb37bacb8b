//! What a unit has said last, by the system's own journal: one short-lived `journalctl`, asked for the lines of that unit in this
//! boot alone. Whoever may not read the journal has no line, which is never an error.
use std::time::Duration;

use crate::host::command::{Captured, CommandAsked, run};
use crate::host::shown::Shown;

/// Lines that are looked through.
const LINES: &str = "--lines=60";
/// How long it may take: the reason of a failure is worth no longer wait.
const DEADLINE: Duration = Duration::from_secs(3);

/// The last complaint of what `unit` runs.
pub(super) async fn last_words(unit: &str) -> Option<Shown> {
    let (own, about) = (format!("_SYSTEMD_UNIT={unit}"), format!("UNIT={unit}"));
    let argv = ["journalctl", "--no-pager", "--quiet", "--boot", "--output=cat", LINES, &own, "+", &about];
    let seen = run(CommandAsked { grace: Duration::from_secs(1), ..CommandAsked::new(&argv, DEADLINE) }).await;
    if seen.succeeded() { complaint(unit, &seen.stdout) } else { None }
}

/// Words of those who say why they give up.
const COMPLAINS: [&str; 14] = [
    "error",
    "fail",
    "fatal",
    "cannot",
    "can't",
    "could not",
    "denied",
    "no such",
    "bad ",
    "refus",
    "panic",
    "unable",
    "invalid",
    "wrong",
];

/// What systemd says of every unit that comes and goes; its result is known without it.
fn is_of_systemd(unit: &str, line: &str) -> bool {
    let begins = ["Starting ", "Started ", "Stopping ", "Stopped ", "Failed to start "];
    let own = line.strip_prefix(unit).and_then(|rest| rest.strip_prefix(": "));
    let usual = [
        "Main process exited",
        "Control process exited",
        "Failed with result",
        "Scheduled restart job",
        "Start request repeated",
        "Consumed ",
        "Deactivated ",
    ];
    begins.iter().any(|word| line.starts_with(word))
        || own.is_some_and(|rest| usual.iter().any(|word| rest.starts_with(word)))
}

fn complaint(unit: &str, said: &Captured) -> Option<Shown> {
    let lines: Vec<&Shown> = said.head.iter().chain(&said.tail).filter(|line| !line.trim().is_empty()).collect();
    let own = || lines.iter().rev().filter(|line| !is_of_systemd(unit, line));
    let complains = |line: &&&Shown| {
        let line = line.to_lowercase();
        COMPLAINS.iter().any(|word| line.contains(word))
    };
    own().find(complains).or_else(|| own().next()).map(|line| (*line).clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::foreign::tame;

    #[test]
    fn the_last_complaint_is_the_servers_own_and_not_systemds() {
        let said = |lines: &[&str]| {
            let head = lines.iter().map(|line| tame(line, 200)).collect();
            complaint("a.service", &Captured { head, ..Captured::default() }).map(|line| line.to_string())
        };
        let usual = ["a.service: Main process exited, code=exited, status=1/FAILURE", "Failed to start A."];
        assert_eq!(said(&usual), None, "the result is told by the unit itself");
        let config = ["*** FATAL CONFIG FILE ERROR ***", ">>> 'foo'", "Bad directive or wrong number of arguments"];
        assert_eq!(said(&[&config[..], &usual].concat()).unwrap(), config[2]);
        assert_eq!(said(&["listening", "bye", usual[0]]).unwrap(), "bye", "without a complaint the last line");
        assert_eq!(said(&["cannot open db", "bye"]).unwrap(), "cannot open db");
        let program = "a.service: Failed to locate executable /no/such: No such file or directory";
        assert_eq!(said(&[program, usual[0]]).unwrap(), program, "systemd alone knows of a program that is not there");
    }
}
