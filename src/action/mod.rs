//! Floor 2: wishes. One file per action, named like its YAML key; each says what should be so, not what to do.
//!
//! The loader hands out only wishes whose references exist in the [`inventory`]: a name in an action can be looked up
//! without asking again.
use serde::{Deserialize, Serialize};

pub mod act;
pub mod bare_body;
mod certificate;
pub mod change;
pub mod check;
pub mod command;
mod dead_end;
pub mod glob;
pub mod healthy;
pub mod inventory;
mod kept;
mod load_damage;
mod load_watch;
pub mod loads;
pub mod may_differ;
pub mod measure;
pub mod needs;
pub mod pm2_as_saved;
mod pm2_before;
mod pm2_ghosts;
#[cfg(test)]
mod pm2_matrix;
pub mod pm2_restored;
mod pm2_return;
pub mod pm2_saved;
pub mod pm2_stopped;
pub mod process_list;
pub mod programs;
pub mod rebooted;
pub mod redis_compacted;
pub mod redis_loaded;
mod redis_wait;
mod restless;
mod rewrite_gain;
mod rewrite_obstacles;
pub mod units_active;
pub mod units_enabled;
pub mod units_stopped;
mod verdict;
mod way_back;

pub use act::{Act, Ground, Kept, Outcome, Preview, Settled, Tell, Tick};
pub use change::{Change, Item, Sign, Slots, Wave};

/// One wish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Append-only files are small.
    RedisCompacted(redis_compacted::RedisCompacted),
    /// Instances are loaded.
    RedisLoaded(redis_loaded::RedisLoaded),
    /// The process list is captured.
    Pm2Saved(pm2_saved::Pm2Saved),
    /// The apps are stopped.
    Pm2Stopped(pm2_stopped::Pm2Stopped),
    /// The apps are up again.
    Pm2Restored(pm2_restored::Pm2Restored),
    /// The process list is as captured.
    Pm2AsSaved(pm2_as_saved::Pm2AsSaved),
    /// Units start by themselves.
    UnitsEnabled(units_enabled::UnitsEnabled),
    /// Units run.
    UnitsActive(units_active::UnitsActive),
    /// Units do not run.
    UnitsStopped(units_stopped::UnitsStopped),
    /// A program has run.
    Command(command::Command),
    /// The kernel is a new one.
    Rebooted(rebooted::Rebooted),
    /// Checks hold.
    Healthy(healthy::Healthy),
}

impl Action {
    /// Every YAML key, in the order in which a help text shows them.
    pub const KEYS: [&'static str; 12] = [
        "redis_compacted",
        "redis_loaded",
        "pm2_saved",
        "pm2_stopped",
        "pm2_restored",
        "pm2_as_saved",
        "units_enabled",
        "units_active",
        "units_stopped",
        "command",
        "rebooted",
        "healthy",
    ];

    /// The YAML key, which is also the name of the file that defines the wish.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::RedisCompacted(_) => "redis_compacted",
            Self::RedisLoaded(_) => "redis_loaded",
            Self::Pm2Saved(_) => "pm2_saved",
            Self::Pm2Stopped(_) => "pm2_stopped",
            Self::Pm2Restored(_) => "pm2_restored",
            Self::Pm2AsSaved(_) => "pm2_as_saved",
            Self::UnitsEnabled(_) => "units_enabled",
            Self::UnitsActive(_) => "units_active",
            Self::UnitsStopped(_) => "units_stopped",
            Self::Command(_) => "command",
            Self::Rebooted(_) => "rebooted",
            Self::Healthy(_) => "healthy",
        }
    }
}

/// What the items of an action are. Equal keys of equal subjects name one thing, whichever step speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Declared Redis instances.
    Redis,
    /// Units of systemd.
    Unit,
    /// Apps of the PM2 place with this name.
    Apps(String),
    /// Nothing that another step could mean: the checks of one gate, a command, the machine.
    #[default]
    Step,
}

impl Action {
    /// Whether it brings service back.
    #[must_use]
    pub fn brings_back(&self) -> bool {
        match self {
            Self::Pm2Restored(_) | Self::UnitsActive(_) | Self::RedisLoaded(_) => true,
            Self::RedisCompacted(_)
            | Self::Pm2Saved(_)
            | Self::Pm2Stopped(_)
            | Self::Pm2AsSaved(_)
            | Self::UnitsEnabled(_)
            | Self::UnitsStopped(_)
            | Self::Command(_)
            | Self::Rebooted(_)
            | Self::Healthy(_) => false,
        }
    }

    /// What its items are.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let apps = |place: &String| Subject::Apps(place.clone());
        match self {
            Self::RedisCompacted(_) | Self::RedisLoaded(_) => Subject::Redis,
            Self::UnitsEnabled(_) | Self::UnitsActive(_) | Self::UnitsStopped(_) => Subject::Unit,
            Self::Pm2Saved(one) => apps(&one.pm2),
            Self::Pm2Stopped(one) => apps(&one.pm2),
            Self::Pm2Restored(one) => apps(&one.pm2),
            Self::Pm2AsSaved(one) => apps(&one.pm2),
            Self::Command(_) | Self::Rebooted(_) | Self::Healthy(_) => Subject::Step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_serialised_tag_and_the_value_comes_back() {
        let wishes = [
            Action::RedisCompacted(Default::default()),
            Action::RedisLoaded(Default::default()),
            Action::Pm2Saved(Default::default()),
            Action::Pm2Stopped(Default::default()),
            Action::Pm2Restored(Default::default()),
            Action::Pm2AsSaved(Default::default()),
            Action::UnitsEnabled(Default::default()),
            Action::UnitsActive(Default::default()),
            Action::UnitsStopped(Default::default()),
            Action::Command(Default::default()),
            Action::Rebooted(Default::default()),
            Action::Healthy(Default::default()),
        ];
        for (wish, key) in wishes.iter().zip(Action::KEYS) {
            assert_eq!(wish.key(), key);
            let value = serde_json::to_value(wish).unwrap();
            assert!(value.get(key).is_some(), "{value}");
            assert_eq!(&serde_json::from_value::<Action>(value).unwrap(), wish);
        }
    }
}
