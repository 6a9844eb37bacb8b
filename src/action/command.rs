//! `command`: the way out for what no other action covers. No shell: a list of words.
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Run one program to its end and require exit status 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments; the program is an absolute path or looked up in the host's fixed path.
    pub argv: Vec<String>,
    /// Whether running it twice does no harm; otherwise it runs at most once, and *unknown* is settled by a person.
    pub repeatable: bool,
    /// A read-only program whose exit status 0 proves that the wish already holds.
    pub done_if: Option<Vec<String>>,
    /// The Unix user to run as; `None`: the one that runs the program.
    pub user: Option<String>,
    /// The working directory; `None`: `/`.
    pub cwd: Option<PathBuf>,
}
