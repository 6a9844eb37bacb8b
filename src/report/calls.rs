//! Commands of this program as somebody has to type them next: with what was typed before it (the state directory, the runbook's
//! path, the recorded facts), and in the words of a shell. Every command on every screen is made here.
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::host::shell_word::{path_word, word};

/// What stands between the program's name and the command.
static STATE_DIR: OnceLock<String> = OnceLock::new();
/// How this process was told which runbook it is about.
static TYPED: OnceLock<Typed> = OnceLock::new();

/// A runbook as it was named on the command line.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// Its name or path. The name inside the file may be another one, and leads nowhere.
    pub runbook: String,
    /// The recorded facts that stand for the machine.
    pub facts: Option<PathBuf>,
    /// It is planned for a later start.
    pub later: bool,
}

/// From here on every command names this state directory. To be said once, before anything is printed.
pub fn commands_name(state_dir: &Path) {
    // Only the first word counts: a process works on one state directory.
    let _said = STATE_DIR.set(format!(" --state-dir {}", path_word(state_dir)));
}

/// From here on every command about a runbook names it like this. To be said once, when it is known.
pub fn commands_are_of(typed: Typed) {
    let _said = TYPED.set(typed);
}

/// How the runbook was named, where one was.
pub(super) fn typed() -> Option<&'static Typed> {
    TYPED.get()
}

/// A command of this program, such as `runbook status`.
#[must_use]
pub fn call(command: &str) -> String {
    format!("runbook{} {command}", STATE_DIR.get().map_or("", String::as_str))
}

/// A command about another state directory than this process's own.
#[must_use]
pub fn call_in(state_dir: &Path, command: &str) -> String {
    format!("runbook {command} --state-dir {}", path_word(state_dir))
}

/// A command, and behind it what it does.
#[must_use]
pub fn offer(command: &str, what: &str) -> String {
    let command = call(command);
    if what.is_empty() { command } else { format!("{command}    {what}") }
}

/// A command about a runbook, such as `runbook plan ./a.yaml --save`; `name` is what it is called where nobody has typed one.
#[must_use]
pub fn call_on(verb: &str, name: &str, flags: &str) -> String {
    call(&of_runbook(typed(), verb, name, flags))
}

fn of_runbook(typed: Option<&Typed>, verb: &str, name: &str, flags: &str) -> String {
    let name = match typed.map(|typed| typed.runbook.as_str()) {
        // A path that begins like a flag.
        Some(path) if path.starts_with('-') && path.contains('/') => word(&format!("./{path}")),
        Some(path) => word(path),
        None => word(name),
    };
    let facts = typed.and_then(|typed| typed.facts.as_deref()).filter(|_| matches!(verb, "plan" | "rehearse"));
    let facts = facts.map(|path| format!(" --offline {}", path_word(path))).unwrap_or_default();
    let flags = if flags.is_empty() { String::new() } else { format!(" {flags}") };
    format!("{verb} {name}{facts}{flags}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_runbook_as_it_was_typed() {
        let typed = |runbook: &str| Typed { runbook: runbook.to_owned(), facts: None, later: false };
        assert_eq!(of_runbook(None, "run", "tiny", ""), "run tiny");
        assert_eq!(
            of_runbook(Some(&typed("./my books/it's.yaml")), "run", "tiny", ""),
            r"run './my books/it'\''s.yaml'"
        );
        assert_eq!(of_runbook(Some(&typed("-x/a.yaml")), "plan", "tiny", "--save"), "plan ./-x/a.yaml --save");
        let elsewhere = Typed { facts: Some("a b.json".into()), ..typed("tiny") };
        assert_eq!(
            of_runbook(Some(&elsewhere), "plan", "tiny", "--at 10:15"),
            "plan tiny --offline 'a b.json' --at 10:15"
        );
        assert_eq!(of_runbook(Some(&elsewhere), "doctor", "tiny", ""), "doctor tiny");
    }
}
