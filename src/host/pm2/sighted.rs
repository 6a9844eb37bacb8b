//! The list alone, with what only `/proc` knows of it: for those who wait for many apps at once.

use serde::{Deserialize, Serialize};

use super::app::App;
use super::procs::alive;

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
        let dead = apps.iter().filter_map(|app| app.pid).filter(|pid| !alive(*pid)).collect();
        Self { apps, dead }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_no_process_has_the_largest_number() {
        assert!(alive(std::process::id()));
        assert!(!alive(u32::MAX));
    }
}
