//! Waits that can no longer come true: what is seen of them, and how long it must be seen before the wait ends.
//!
//! Nothing here takes a thing for dead that somebody is about to start: a unit with a job in systemd's queue, one that waits for
//! its restart, one that a socket or a timer starts. What ends one look after another is told at the first, by name and with its
//! own last words; whoever repairs it in time finds the wait going on.
use std::time::Duration;

use super::act::Ground;
use super::inventory::{RedisInstance, Role};
use super::load_damage;
use super::needs::role_wanted;
use super::process_list;
use crate::host::redis::{self, Door, RedisSeen, RoleWanted};
use crate::host::systemd::UnitSeen;
use crate::host::{Host, Probe};

/// What waiting will not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeadEnd {
    /// A unit does not run and nobody is about to start it.
    Unit {
        /// The unit.
        unit: String,
        /// Its state in words.
        is: String,
        /// systemd has given it up; otherwise it was never started or was stopped.
        failed: bool,
        /// The instance that runs it, where it is known, for its own log.
        instance: Option<String>,
    },
    /// The master that a replica waits for.
    Master {
        /// Its name in the inventory.
        name: String,
        /// Its unit.
        unit: String,
        /// In words.
        is: String,
    },
    /// The server answers, and the answer is none that time cures.
    Answer,
    /// So many keys, and nothing that loads any.
    Keys(u64),
}

impl DeadEnd {
    /// How long it must be seen without a break. A failed unit is certain; somebody may still start one that only was not
    /// started, and a replica without a master may be given another one (Sentinel takes half a minute to decide).
    fn proven_after(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Unit { failed: true, .. } => 2,
            Self::Unit { .. } | Self::Answer => 9,
            Self::Keys(_) => 30,
            Self::Master { .. } => 60,
        })
    }

    fn unit(&self) -> Option<&str> {
        match self {
            Self::Unit { unit, .. } | Self::Master { unit, .. } => Some(unit),
            Self::Answer | Self::Keys(_) => None,
        }
    }

    /// What is in the way, given why the wait does not hold.
    fn told(&self, why: &str, said: &str) -> String {
        match self {
            Self::Unit { unit, is, .. } => format!("{unit} is {is}{said}"),
            Self::Master { name, unit, is } => format!("{why}: its master {name} is down ({unit} is {is}{said})"),
            Self::Answer => why.to_owned(),
            Self::Keys(_) => format!("{why}, and nothing loads"),
        }
    }

    /// What a person can do.
    fn cure(&self) -> &'static str {
        match self {
            Self::Unit { failed: true, .. } | Self::Master { .. } => "repair and start it, then resume",
            Self::Unit { .. } => "nothing is starting it: start it, then resume",
            Self::Answer | Self::Keys(_) => "waiting longer will not change that",
        }
    }
}

/// Looks in a row that found the same thing in the way.
#[derive(Debug, Default)]
pub(super) struct Patience {
    seen: Option<(DeadEnd, Duration)>,
    looks: u32,
    said: String,
}

/// Looks that a dead end must be seen at, however long they take.
const LOOKS: u32 = 3;

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It may still come true.
    Open,
    /// It will not, unless somebody helps: to be told.
    Blocked(String),
    /// It has not for so long that the wait ends.
    Ended(String),
}

impl Patience {
    /// Takes one look in: what it found in the way (`None`: nothing), and in words why the wait does not hold.
    pub(super) async fn judge(&mut self, end: Option<DeadEnd>, why: &str, on: &dyn Host, ground: &Ground<'_>) -> Way {
        let now = on.as_probe().uptime();
        let Some(end) = end else {
            *self = Self::default();
            return Way::Open;
        };
        if self.seen.as_ref().is_none_or(|(before, _)| *before != end) {
            let said = last_words(&end, on, ground).await;
            *self = Self { seen: Some((end.clone(), now)), looks: 0, said };
        }
        self.looks += 1;
        let since = self.seen.as_ref().map_or(now, |(_, since)| *since);
        let told = end.told(why, &self.said);
        if self.looks >= LOOKS && now.saturating_sub(since) >= end.proven_after() {
            return Way::Ended(format!("{told}; {}", end.cure()));
        }
        if end.unit().is_some() { Way::Blocked(told) } else { Way::Open }
    }
}

/// What the server says in its own log, else what the unit has said in the system's.
async fn last_words(end: &DeadEnd, on: &dyn Host, ground: &Ground<'_>) -> String {
    let name = match end {
        DeadEnd::Unit { instance, .. } => instance.as_ref(),
        DeadEnd::Master { name, .. } => Some(name),
        DeadEnd::Answer | DeadEnd::Keys(_) => None,
    };
    if let Some(instance) = name.and_then(|name| ground.inventory.redis.get(name))
        && let Some(cause) = load_damage::cause(instance, on.as_probe(), ground).await
    {
        return format!("; {cause}");
    }
    let Some(unit) = end.unit() else { return String::new() };
    on.last_words(unit).await.map_or(String::new(), |line| format!("; it said last: {line}"))
}

/// The state of a unit that is left down, in words.
pub(super) fn left_down(seen: &UnitSeen) -> Option<String> {
    if !seen.is_left_down() {
        return None;
    }
    Some(match (seen.load_state.as_str(), seen.result.as_str()) {
        ("loaded" | "", "success" | "") => seen.active_state.clone(),
        ("loaded" | "", result) => format!("{} ({result})", seen.active_state),
        (load, _) => format!("{} ({load})", seen.active_state),
    })
}

/// Whether a unit is left down.
pub(super) async fn of_unit(unit: &str, on: &dyn Probe) -> Option<DeadEnd> {
    of_seen(&*on.unit(unit).await.ok()?)
}

/// Whether a unit that was looked at is left down.
pub(super) fn of_seen(seen: &UnitSeen) -> Option<DeadEnd> {
    let is = left_down(seen)?;
    Some(DeadEnd::Unit { unit: seen.id.clone(), is, failed: seen.active_state == "failed", instance: None })
}

/// Whether the daemon of a PM2 place is gone and its unit left down.
pub(super) async fn of_place(name: &str, on: &dyn Probe, ground: &Ground<'_>) -> Option<DeadEnd> {
    let place = process_list::place(ground, name)?;
    if on.pm2_list(&process_list::at(place)).await.is_ok() {
        return None;
    }
    of_unit(place.unit.as_deref()?, on).await
}

/// Whether an instance that is not ready can still become so: by its unit while it does not answer, by its answer otherwise.
pub(super) async fn of_instance(
    instance: &RedisInstance,
    seen: &RedisSeen,
    on: &dyn Probe,
    ground: &Ground<'_>,
) -> Option<DeadEnd> {
    if is_silent(seen) {
        let end = of_unit(instance.unit.as_deref()?, on).await?;
        return Some(match end {
            DeadEnd::Unit { unit, is, failed, .. } => {
                DeadEnd::Unit { unit, is, failed, instance: Some(instance.name.clone()) }
            }
            other => other,
        });
    }
    if answer_stays(instance, seen) {
        return Some(DeadEnd::Answer);
    }
    of_master(instance, seen, on, ground).await
}

/// Nobody answers where the server should.
fn is_silent(seen: &RedisSeen) -> bool {
    let nobody = matches!(
        seen.door,
        Door::Refused | Door::Reset | Door::Unreachable { .. } | Door::TimedOut { connected: false }
    );
    nobody && seen.facts.is_none()
}

/// A replica whose link is down while the master that it follows is left down. A replica of somebody else's, or one that has been
/// given another master, waits for that one.
pub(super) async fn of_master(
    instance: &RedisInstance,
    seen: &RedisSeen,
    on: &dyn Probe,
    ground: &Ground<'_>,
) -> Option<DeadEnd> {
    let waits = match &seen.door {
        Door::MasterDown => true,
        _ => link_is_down(seen),
    };
    if !waits || instance.role != Role::Replica {
        return None;
    }
    let master = ground.inventory.redis.get(instance.of.as_ref()?)?;
    let unit = master.unit.as_deref()?;
    if !follows(seen, master) || !is_silent(&*on.redis(&master.at()).await.ok()?) {
        return None;
    }
    match of_unit(unit, on).await? {
        DeadEnd::Unit { unit, is, .. } => Some(DeadEnd::Master { name: master.name.clone(), unit, is }),
        _ => None,
    }
}

fn link_is_down(seen: &RedisSeen) -> bool {
    let role = seen.facts.as_ref().and_then(|facts| facts.role.as_ref());
    matches!(role, Some(redis::Role::Replica { link_up: false, sync_in_progress: false, .. }))
}

/// Whether the master that a replica names is the declared one, by its port: hosts have many names. Where it does not say, it is.
fn follows(seen: &RedisSeen, master: &RedisInstance) -> bool {
    let role = seen.facts.as_ref().and_then(|facts| facts.role.as_ref());
    match role {
        Some(redis::Role::Replica { master_port, .. }) => {
            master.url.trim_end_matches('/').ends_with(&format!(":{master_port}"))
        }
        _ => true,
    }
}

/// Reasons that time does not cure: a wrong password, another program, a wrong role with nothing loading, lost keys.
fn answer_stays(instance: &RedisInstance, seen: &RedisSeen) -> bool {
    match &seen.door {
        Door::NoAuth | Door::WrongPass | Door::NoPerm { .. } | Door::NotRedis { .. } => true,
        Door::Secret { .. } | Door::BadAddress { .. } => true,
        Door::Open => seen.facts.as_ref().is_some_and(|facts| {
            // A replica that is meant to be one gets its time; no copy of somebody's data makes it the master it should be.
            let syncing = match &facts.role {
                Some(redis::Role::Replica { link_up, sync_in_progress, .. }) => {
                    role_wanted(instance) != Some(RoleWanted::Master) && (!link_up || *sync_in_progress)
                }
                _ => false,
            };
            facts.loading.is_none() && !facts.async_loading && !syncing
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
