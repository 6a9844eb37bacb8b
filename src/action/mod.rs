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
pub mod item_id;
mod kept;
mod kinds;
mod load_damage;
mod load_watch;
pub mod loads;
pub mod may_differ;
pub mod measure;
mod nature;
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
pub use item_id::{Chore, ItemId};
use kinds::kinds;

kinds! {
    /// One wish. The YAML key is also the name of the file that defines it.
    Action, ActionKind;
    /// Append-only files are small.
    RedisCompacted(redis_compacted::RedisCompacted) = "redis_compacted",
    /// Instances are loaded.
    RedisLoaded(redis_loaded::RedisLoaded) = "redis_loaded",
    /// The process list is captured.
    Pm2Saved(pm2_saved::Pm2Saved) = "pm2_saved",
    /// The apps are stopped.
    Pm2Stopped(pm2_stopped::Pm2Stopped) = "pm2_stopped",
    /// The apps are up again.
    Pm2Restored(pm2_restored::Pm2Restored) = "pm2_restored",
    /// The process list is as captured.
    Pm2AsSaved(pm2_as_saved::Pm2AsSaved) = "pm2_as_saved",
    /// Units start by themselves.
    UnitsEnabled(units_enabled::UnitsEnabled) = "units_enabled",
    /// Units run.
    UnitsActive(units_active::UnitsActive) = "units_active",
    /// Units do not run.
    UnitsStopped(units_stopped::UnitsStopped) = "units_stopped",
    /// A program has run.
    Command(command::Command) = "command",
    /// The kernel is a new one.
    Rebooted(rebooted::Rebooted) = "rebooted",
    /// Checks hold.
    Healthy(healthy::Healthy) = "healthy",
    /// Forgotten everywhere on purpose: see `tests/forgotten.sh`.
    #[cfg(feature = "forgotten-kinds")]
    Forgotten(command::Command) = "forgotten",
}

/// What the items of an action are. Equal keys of equal subjects name one thing, whichever step speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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
        assert_eq!(wishes.len(), ActionKind::ALL.len());
        for (wish, kind) in wishes.iter().zip(ActionKind::ALL) {
            let key = kind.key();
            assert_eq!((wish.key(), ActionKind::of_key(key)), (key, Some(*kind)));
            assert_eq!(serde_json::to_value(kind).unwrap(), key);
            let value = serde_json::to_value(wish).unwrap();
            assert!(value.get(key).is_some(), "{value}");
            assert_eq!(&serde_json::from_value::<Action>(value).unwrap(), wish);
        }
    }
}
