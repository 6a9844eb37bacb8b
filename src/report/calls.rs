//! Commands of this program as somebody has to type them next: with the state directory where one was named on the command
//! line, and in the words of a shell.
use std::path::Path;
use std::sync::OnceLock;

use super::by_hand::quote::word;

/// What stands between the program's name and the command.
static STATE_DIR: OnceLock<String> = OnceLock::new();

/// From here on every command names this state directory. To be said once, before anything is printed.
pub fn commands_name(state_dir: &Path) {
    // Only the first word counts: a process works on one state directory.
    let _said = STATE_DIR.set(format!(" --state-dir {}", word(&state_dir.to_string_lossy())));
}

/// A command of this program, such as `runbook status`.
#[must_use]
pub fn call(command: &str) -> String {
    format!("runbook{} {command}", STATE_DIR.get().map_or("", String::as_str))
}

/// A command, and behind it what it does.
#[must_use]
pub fn offer(command: &str, what: &str) -> String {
    let command = call(command);
    if what.is_empty() { command } else { format!("{command}    {what}") }
}
