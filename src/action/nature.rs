//! What an action is by nature, beside what it does: one question a function, each answered for every action by name. Who asks
//! need not know which actions there are, and a new one answers here or does not compile.

use super::check::Check;
use super::pm2_as_saved::Pm2AsSaved;
use super::{Action, ActionKind};
use crate::host::programs::ProgramAsked;

impl ActionKind {
    /// Whether it brings service back.
    #[must_use]
    pub fn brings_back(self) -> bool {
        match self {
            Self::Pm2Restored | Self::UnitsActive | Self::RedisLoaded => true,
            Self::RedisCompacted | Self::Pm2Saved | Self::Pm2Stopped | Self::Pm2AsSaved => false,
            Self::UnitsEnabled | Self::UnitsStopped | Self::Command | Self::Rebooted | Self::Healthy => false,
        }
    }

    /// Whether it takes service away, item by item.
    #[must_use]
    pub fn takes_away(self) -> bool {
        match self {
            Self::Pm2Stopped | Self::UnitsStopped => true,
            Self::RedisCompacted | Self::RedisLoaded | Self::UnitsEnabled | Self::UnitsActive => false,
            Self::Pm2Saved | Self::Pm2Restored | Self::Pm2AsSaved => false,
            Self::Command | Self::Rebooted | Self::Healthy => false,
        }
    }

    /// Whether it takes the machine down.
    #[must_use]
    pub fn goes_down(self) -> bool {
        match self {
            Self::Rebooted => true,
            Self::RedisCompacted | Self::RedisLoaded | Self::UnitsEnabled | Self::UnitsActive => false,
            Self::Pm2Saved | Self::Pm2Stopped | Self::Pm2Restored | Self::Pm2AsSaved => false,
            Self::UnitsStopped | Self::Command | Self::Healthy => false,
        }
    }

    /// Whether it shows what a later step builds on.
    #[must_use]
    pub fn is_gate(self) -> bool {
        match self {
            Self::RedisLoaded | Self::UnitsActive | Self::Healthy => true,
            Self::RedisCompacted | Self::UnitsEnabled | Self::UnitsStopped => false,
            Self::Pm2Saved | Self::Pm2Stopped | Self::Pm2Restored | Self::Pm2AsSaved => false,
            Self::Command | Self::Rebooted => false,
        }
    }

    /// Whether it waits until data are loaded.
    #[must_use]
    pub fn awaits_data(self) -> bool {
        match self {
            Self::RedisLoaded => true,
            Self::RedisCompacted | Self::UnitsEnabled | Self::UnitsActive | Self::UnitsStopped => false,
            Self::Pm2Saved | Self::Pm2Stopped | Self::Pm2Restored | Self::Pm2AsSaved => false,
            Self::Command | Self::Rebooted | Self::Healthy => false,
        }
    }

    /// Whether it makes the files of data smaller.
    #[must_use]
    pub fn rewrites(self) -> bool {
        match self {
            Self::RedisCompacted => true,
            Self::RedisLoaded | Self::UnitsEnabled | Self::UnitsActive | Self::UnitsStopped => false,
            Self::Pm2Saved | Self::Pm2Stopped | Self::Pm2Restored | Self::Pm2AsSaved => false,
            Self::Command | Self::Rebooted | Self::Healthy => false,
        }
    }

    /// Whether its items are checks.
    #[must_use]
    pub fn checks(self) -> bool {
        match self {
            Self::Healthy => true,
            Self::RedisCompacted | Self::RedisLoaded | Self::UnitsEnabled | Self::UnitsActive => false,
            Self::Pm2Saved | Self::Pm2Stopped | Self::Pm2Restored | Self::Pm2AsSaved => false,
            Self::UnitsStopped | Self::Command | Self::Rebooted => false,
        }
    }

    /// Whether its items are apps of which each is started or compared, and may be missed.
    #[must_use]
    pub fn brings_apps(self) -> bool {
        match self {
            Self::Pm2Restored | Self::Pm2AsSaved => true,
            Self::RedisCompacted | Self::RedisLoaded | Self::UnitsEnabled | Self::UnitsActive => false,
            Self::Pm2Saved | Self::Pm2Stopped => false,
            Self::UnitsStopped | Self::Command | Self::Rebooted | Self::Healthy => false,
        }
    }
}

impl Action {
    /// The PM2 place whose apps it starts again.
    #[must_use]
    pub fn restores(&self) -> Option<&str> {
        match self {
            Self::Pm2Restored(wish) => Some(&wish.pm2),
            Self::RedisCompacted(_) | Self::RedisLoaded(_) | Self::UnitsEnabled(_) | Self::UnitsActive(_) => None,
            Self::Pm2Saved(_) | Self::Pm2Stopped(_) | Self::Pm2AsSaved(_) => None,
            Self::UnitsStopped(_) | Self::Command(_) | Self::Rebooted(_) | Self::Healthy(_) => None,
        }
    }

    /// The comparison of a PM2 place with its snapshot, if it is one.
    #[must_use]
    pub fn compares(&self) -> Option<&Pm2AsSaved> {
        match self {
            Self::Pm2AsSaved(wish) => Some(wish),
            Self::RedisCompacted(_) | Self::RedisLoaded(_) | Self::UnitsEnabled(_) | Self::UnitsActive(_) => None,
            Self::Pm2Saved(_) | Self::Pm2Stopped(_) | Self::Pm2Restored(_) => None,
            Self::UnitsStopped(_) | Self::Command(_) | Self::Rebooted(_) | Self::Healthy(_) => None,
        }
    }

    /// The checks that it asks.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        match self {
            Self::Healthy(healthy) => &healthy.checks,
            Self::RedisCompacted(_) | Self::RedisLoaded(_) | Self::UnitsEnabled(_) | Self::UnitsActive(_) => &[],
            Self::Pm2Saved(_) | Self::Pm2Stopped(_) | Self::Pm2Restored(_) | Self::Pm2AsSaved(_) => &[],
            Self::UnitsStopped(_) | Self::Command(_) | Self::Rebooted(_) => &[],
        }
    }

    /// The programs that it starts.
    #[must_use]
    pub fn programs(&self) -> Vec<ProgramAsked> {
        match self {
            Self::Command(wish) => wish.programs(),
            Self::Healthy(wish) => wish.programs(),
            Self::RedisCompacted(_) | Self::RedisLoaded(_) | Self::UnitsEnabled(_) | Self::UnitsActive(_) => Vec::new(),
            Self::Pm2Saved(_) | Self::Pm2Stopped(_) | Self::Pm2Restored(_) | Self::Pm2AsSaved(_) => Vec::new(),
            Self::UnitsStopped(_) | Self::Rebooted(_) => Vec::new(),
        }
    }

    /// See [`ActionKind::goes_down`].
    #[must_use]
    pub fn goes_down(&self) -> bool {
        self.kind().goes_down()
    }
}
