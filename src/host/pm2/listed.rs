//! The list alone, with what only `/proc` knows of it: for those who wait for many apps at once.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::app::App;

/// PM2's list, and which of its processes are not there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListSeen {
    /// Every app, modules included.
    pub apps: Vec<App>,
    /// Process ids that the list names and the kernel does not know (or knows as dead).
    pub dead: Vec<u32>,
}

impl ListSeen {
    /// Looks at the processes behind a list.
    #[must_use]
    pub fn of(apps: Vec<App>) -> Self {
        let dead = apps.iter().filter_map(|app| app.pid).filter(|pid| !lives(*pid)).collect();
        Self { apps, dead }
    }
}

/// Whether a process is there and not a zombie.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(PathBuf::from("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_no_process_has_the_largest_number() {
        assert!(lives(std::process::id()));
        assert!(!lives(u32::MAX));
    }
}
