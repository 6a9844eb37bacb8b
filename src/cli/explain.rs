//! `runbook explain`: the long text behind every code, word and exit status that the program prints.
use clap::Args;

use super::{Desk, Exit, Failure};
use crate::host::foreign::named;
use crate::report::call;
use crate::runbook::codes;

/// What to explain.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A code such as RB101, a word of a screen such as `refused`, `?` or `differs`, or an exit code; without one, all of them
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

/// Words of screens, each with the others that lead to it.
const WORDS: [(&[&str], &str); 16] = [
    (&["journal"], JOURNAL),
    (
        &["refused", "stop", "incomplete"],
        "REFUSED: the run would fail or do harm as things are\n\n\
         The line names the step, what was seen and the cure. Nothing was changed, and `run` does not start while one is left (exit\n\
         code 5). The usual ones: a unit that is masked, missing or will not come back after the boot; a start time-out shorter than\n\
         the load; an append-only file that is on at runtime and off in the configuration file, so that the next start would read\n\
         something else; too little disk or memory for a rewrite; a PM2 list that is empty, partial or of a dying daemon; somebody\n\
         who inhibits the shutdown; a state directory that would not survive the boot. Mend the cause and plan again.\n\
         As the state of a run: it cannot be gone on with here (another machine, a damaged journal); `runbook status` says why and\n\
         how to get out. INCOMPLETE: a step could not be looked at, see `runbook explain ?`.\n",
    ),
    (
        &["?", "unforeseen", "unseen"],
        "?: nobody knows, which is not the same as no change\n\n\
         A probe failed, a fact is not recorded, or only a process could tell and a plan starts none. A step marked `?` is not\n\
         foreseen (exit code 4): `runbook doctor` says what cannot be reached. A command or a command check is known only when the\n\
         run gets there. A Redis instance marked `?` may lose settings at the restart or may not: its file or CONFIG GET could not be\n\
         read. After a run, `?` is what could not be seen before or after it.\n",
    ),
    (
        &["unknown"],
        "UNKNOWN: begun, and nobody knows whether it happened\n\n\
         The intent is in the journal and the outcome is not: a crash, a lost answer, a time-out that is not proven dead. The step is\n\
         never done again by guess. Look at the host, then `runbook resolve`: done, rerun or skip. A repeatable step settles itself.\n",
    ),
    (
        &["failed"],
        "FAILED: it did not happen, and that is known\n\n\
         The step can be tried again with `runbook resume`, or left out with `runbook resolve … --skip`, which makes it a loss with a\n\
         name and a reason. `runbook status` says which of them is possible now.\n",
    ),
    (
        &["paused", "pending", "died", "waiting", "back", "unfinished"],
        "PAUSED, WAITING, BACK, DIED: the run is not over, and no process is at work on it\n\n\
         It was asked to stop, waits for the reboot or for an answer, the machine is BACK and nothing has gone on, or its process\n\
         is gone (DIED). Everything up to the last checkpoint is\n\
         on record; `runbook status` names the reason and the next command, `runbook resume` goes on.\n",
    ),
    (
        &["running", "in work", "ok", "already so"],
        "RUNNING: a process is at work on it\n\n\
         `runbook attach` follows it, `runbook pause` and `runbook abort` ask it to stop at the next checkpoint. Of its steps, `ok` has\n\
         happened, `already so` needed nothing, `>>` is in work.\n",
    ),
    (
        &["set aside", "unreadable"],
        "SET ASIDE: a person has taken the run off this host, and nobody goes on with it\n\n\
         Its journal was damaged or of another machine. What was done until then is in its directory; what is in doubt stays so. The\n\
         host is free. `runbook journal show RUN` shows what can still be read, also of a run that is unreadable.\n",
    ),
    (
        &["backing out", "on its way back"],
        "BACKING OUT: the run has turned back and brings the services back\n\n\
         A failure or an abort after service was taken away, and before the reboot. It is over when a look shows that everything is\n\
         back; a pause in it is gone on with by `runbook resume`.\n",
    ),
    (
        &["fits", "does not fit", "closed", "window"],
        "FITS, DOES NOT FIT, CLOSED: the plan held against the window\n\n\
         It fits when the slow end lies before the window closes. CLOSED: the window is not open at the planned start; `--at` plans\n\
         for another one. A run that does not fit is refused (exit code 6) unless `--ignore-window` gives a reason.\n",
    ),
    (
        &["not brought back", "not back"],
        "NOT BROUGHT BACK: the run turned back, and services may still be down\n\n\
         A step of the way back failed, or a look afterwards found something down again. The run is not over: repair what is named,\n\
         then `runbook resume`. A step that cannot succeed any more is left out with `runbook resolve … --skip`.\n",
    ),
    (
        &[
            "over",
            "done",
            "done, losses",
            "done, with losses",
            "backed out",
            "backed out, losses",
            "backed out, in doubt",
            "backed out, losses, in doubt",
            "given up",
            "abandoned",
        ],
        "OVER: the run has ended, and the host is free for another one\n\n\
         Done, done with losses, backed out (whole or with losses), given up before anything was taken away, or abandoned by a person.\n\
         `runbook report` says what happened, `runbook history` lists the runs.\n",
    ),
    (
        &["warn", "warning", "note"],
        "warn, note: good to know, and the run goes on\n\n\
         What was seen and its cure stand on the line; notes are shown with -v. The session report repeats the warnings.\n",
    ),
    (
        &["lost", "losses", "tolerated", "skipped", "left out"],
        "lost: it did not come back, or a step was left out, and the run went on\n\n\
         An app that is declared `optional`, or one of as many as `tolerate` allows; a step that failed under `on_failure: continue`,\n\
         or that somebody has left out with `runbook resolve … --skip`. Each is named with its reason and the end of its log; the run\n\
         is done, with losses (exit code 11 with --detailed-exitcode).\n",
    ),
    (
        &["differs", "differ", "may_differ", "since"],
        "differs: it came back, and not as it was\n\n\
         At its end a run asks everything anew and holds it against the moment it began: kernel, memory, units, Redis (role, link,\n\
         keys, append-only file, settings), PM2's list and its saved list. What the run was for, and what `may_differ` in the runbook\n\
         allows, is only counted; the rest is named, and makes exit code 11 with --detailed-exitcode. Paths are those of the report\n\
         with slashes: `may_differ: [machine/memory, redis/bds/maxmemory, \"pm2/services/org-*\"]`.\n",
    ),
    (
        &["drift", "stale"],
        "stale: a saved plan whose facts have moved\n\n\
         `run --plan ID` looks again and refuses (exit code 7) when something that matters to a step left to do is not as it was; each\n\
         such fact is named. Plan again. What an earlier run of the same plan has done already is no drift.\n",
    ),
];

impl Explain {
    pub(super) fn call(&self, desk: &Desk) -> Result<Exit, Failure> {
        let Some(code) = &self.code else {
            desk.screen.result(&index());
            return Ok(Exit::Done);
        };
        let unknown =
            || Failure::say(Exit::Usage, format!("there is no code {}", named(code, 40))).hint(call("explain"));
        desk.screen.result(&text(code).ok_or_else(unknown)?);
        Ok(Exit::Done)
    }
}

/// Everything that can be explained, a line each.
fn index() -> String {
    let codes = codes::ALL.iter().map(|one| format!("{}  {}\n", one.code.0, one.title));
    let words = WORDS.iter().filter_map(|(words, text)| {
        Some(format!("{:<10} {}\n", words.first()?, text.lines().next().unwrap_or_default()))
    });
    codes.chain(words).collect::<String>() + &Exit::table()
}

/// The long text of a code, a word or an exit status, in any case.
fn text(code: &str) -> Option<String> {
    if let Some(one) = codes::explain(code) {
        return Some(format!("{}: {}\n\n{}\n", one.code.0, one.title, one.text));
    }
    let named = |(words, _): &&(&[&str], &str)| words.iter().any(|word| word.eq_ignore_ascii_case(code));
    if let Some((_, text)) = WORDS.iter().find(named) {
        return Some((*text).to_owned());
    }
    let number = code.strip_prefix("exit ").unwrap_or(code).trim();
    let (exit, meaning) = Exit::TABLE.iter().find(|(exit, _)| exit.code().to_string() == number)?;
    Some(format!("exit code {}: {meaning}\n\n{}", exit.code(), exit_more(*exit)))
}

/// What to do about an exit code.
fn exit_more(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "Nothing is left to do.\n",
        Exit::Failed | Exit::Unforeseen | Exit::Waiting | Exit::Paused | Exit::Terminated | Exit::HardStop => {
            "`runbook status` says where the run stands and what to type next; `runbook doctor` what cannot be reached.\n"
        }
        Exit::BackedOut => "The run is over; `runbook report` says why it turned back.\n",
        Exit::BackedOutLosses => "The run is over; `runbook report` names what is missing or not known.\n",
        Exit::NotBack => {
            "Services may be down and the run is not over: repair what `runbook status` names, then `runbook resume`; or\n\
             `runbook resolve … --skip` for a step that cannot succeed any more.\n"
        }
        Exit::Usage => "`runbook help COMMAND` shows the flags.\n",
        Exit::Invalid => "Every finding has its code: `runbook explain RB101`.\n",
        Exit::Refused => "`runbook explain refused` says what stands behind the line that is marked so.\n",
        Exit::Window => {
            "`--at TIME` plans for another start; `--ignore-window REASON` runs all the same and is on record.\n"
        }
        Exit::Stale => "`runbook explain stale`; then plan again with `--save`.\n",
        Exit::Held => "`runbook status` names the run and whether a process is at work on it.\n",
        Exit::NeedsAnswer => {
            "The message names the flag that answers: `--yes`, `--confirm NAME`, or `runbook resolve`.\n"
        }
        Exit::Changes => "The plan is in order and would change something.\n",
        Exit::Losses => "`runbook report` names them; `runbook explain lost` and `runbook explain differs` say more.\n",
        Exit::Damaged => "`runbook explain journal`: nothing is done on a journal that cannot be trusted.\n",
        Exit::Storage => "Nothing may be done that cannot be written down: look at the disk of the state directory.\n",
        Exit::Bug => "Please report it with the command and what it said.\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_word_and_exit_status_is_explained() {
        for one in codes::ALL {
            assert!(text(one.code.0).is_some_and(|text| text.contains(one.title)), "{}", one.code.0);
        }
        for (exit, meaning) in Exit::TABLE {
            let text = text(&exit.code().to_string());
            assert!(text.is_some_and(|text| text.contains(meaning) && text.lines().count() > 2), "{}", exit.code());
        }
        for word in ["REFUSED", "?", "UNKNOWN", "warn", "note", "lost", "differs", "since", "journal", "STOP"] {
            assert!(text(word).is_some_and(|text| text.len() > 100), "{word}");
        }
        assert!(text("RB999").is_none() && text("999").is_none() && text("").is_none());
        for (words, text) in WORDS {
            assert!(index().contains(words[0]));
            assert!(text.lines().all(|line| line.chars().count() <= 130) && text.ends_with('\n'), "{words:?}");
        }
    }

    /// Every code that stands anywhere in the program's source is one that is explained.
    #[test]
    fn no_source_file_prints_a_code_that_is_not_explained() {
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let source = std::fs::read_to_string(&path).unwrap_or_default();
                for (at, _) in source.match_indices("\"RB") {
                    let code: String = source[at + 1..].chars().take_while(char::is_ascii_alphanumeric).collect();
                    if code.len() == 5 && code != "RB999" {
                        assert!(text(&code).is_some(), "{code} in {}", path.display());
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 50, "{seen}");
    }
}
