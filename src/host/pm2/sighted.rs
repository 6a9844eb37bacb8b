//! The list alone, with what only `/proc` knows of it: for those who wait for many apps at once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::app::App;
use super::hearing::Heard;
use super::procs::alive;

/// PM2's list, and which of its processes are not there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ListSeen {
    /// Every app, modules included; shared by all who wait.
    pub apps: Arc<Vec<App>>,
    /// Process ids that the list names and the kernel does not know (or knows as dead).
    pub dead: Vec<u32>,
    /// What the bus has told since apps were started over the same connection.
    #[serde(default)]
    pub heard: Vec<Heard>,
}

impl ListSeen {
    /// Looks at the processes behind a list.
    #[must_use]
    pub fn of(apps: impl Into<Arc<Vec<App>>>, heard: Vec<Heard>) -> Self {
        let apps = apps.into();
        let dead = apps.iter().filter_map(|app| app.pid).filter(|pid| !alive(*pid)).collect();
        Self { apps, dead, heard }
    }

    /// What was heard of an app of this list.
    #[must_use]
    pub fn heard_of(&self, app: &App) -> Option<&Heard> {
        self.heard.iter().find(|heard| Some(heard.pm_id) == app.pm_id)
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
