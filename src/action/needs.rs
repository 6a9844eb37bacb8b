//! What an app group needs, asked of the machine: the gate in front of services is the same everywhere.

use std::cell::Cell;
use std::time::Duration;

use super::act::Ground;
use super::inventory::{Needs, RedisInstance, RedisKind, Role};
use super::process_list::{self, as_wanted};
use crate::host::Probe;
use crate::host::redis::{RedisSeen, RoleWanted, Wanted, ready};

/// Between two looks at what answers, and at what does not.
const SLOW: Duration = Duration::from_secs(1);
const QUICK: Duration = Duration::from_millis(200);

/// The share of the baseline's keys below which a data set is called lost rather than changed.
pub const KEYS_AT_LEAST: f64 = 0.9;

/// What does not hold yet, and when it is worth another look.
pub(super) struct Missing {
    /// In words.
    pub(super) what: String,
    /// A server that loads is asked once a second; whoever does not answer at all costs nothing to ask.
    pub(super) again: Duration,
}

/// The first thing that does not hold yet; `None` when everything holds.
pub(super) async fn missing(needs: &Needs, on: &dyn Probe, ground: &Ground<'_>) -> Option<Missing> {
    let answers = Cell::new(false);
    let what = first_missing(needs, on, ground, &answers).await?;
    Some(Missing { what, again: if answers.get() { SLOW } else { QUICK } })
}

/// `answers` is set when what is missing answered, and so would have to work for the next answer, too.
async fn first_missing(needs: &Needs, on: &dyn Probe, ground: &Ground<'_>, answers: &Cell<bool>) -> Option<String> {
    for name in &needs.redis {
        let instance = ground.inventory.redis.get(name)?;
        match on.redis(&instance.at()).await {
            Err(error) => return Some(error.to_string()),
            Ok(seen) => {
                if let Err(why) = is_ready(instance, &seen, ground) {
                    answers.set(seen.facts.is_some());
                    return Some(format!("redis {name}: {why}"));
                }
            }
        }
    }
    for known in ground.inventory.units_of(Some(&needs.units)).into_iter().filter(|_| !needs.units.is_empty()) {
        match on.unit(known.unit).await {
            Err(error) => return Some(error.to_string()),
            Ok(seen) if seen.active_state != "active" => {
                return Some(format!("{}: {} ({})", known.unit, seen.active_state, seen.sub_state));
            }
            Ok(_) => {}
        }
    }
    for name in &needs.pm2 {
        if let Some(why) = place_missing(name, on, ground).await {
            answers.set(true);
            return Some(format!("pm2 {name}: {why}"));
        }
    }
    None
}

async fn place_missing(name: &str, on: &dyn Probe, ground: &Ground<'_>) -> Option<String> {
    let place = process_list::place(ground, name)?;
    let snapshot = process_list::snapshot(ground, name)?;
    let list = match on.pm2_list(&process_list::at(place)).await {
        Ok(list) => list,
        Err(error) => return Some(error.to_string()),
    };
    let down = |app: &&crate::host::pm2::App| !as_wanted(app, process_list::find(&list.apps, &app.key));
    let down: Vec<_> = snapshot.apps.iter().filter(|app| !place.is_optional(&app.key.name)).filter(down).collect();
    down.first()
        .map(|first| format!("{} app(s) are not up, {} among them", down.len(), process_list::label(&first.key)))
}

/// The role that an instance must prove. A server that merely speaks the protocol is not asked for one.
pub(super) fn role_wanted(instance: &RedisInstance) -> Option<RoleWanted> {
    (instance.kind == RedisKind::Redis).then_some(match instance.role {
        Role::Master => RoleWanted::Master,
        Role::Replica => RoleWanted::Replica,
    })
}

/// Whether an instance is ready for its dependants, with its planned role and its data set; else why not.
pub(super) fn is_ready(instance: &RedisInstance, seen: &RedisSeen, ground: &Ground<'_>) -> Result<(), String> {
    let before = ground.baseline.redis(&instance.at()).and_then(|seen| seen.facts.as_ref());
    let wanted = Wanted {
        role: role_wanted(instance),
        keys_before: before.map(|facts| &facts.keys),
        keys_at_least: KEYS_AT_LEAST,
        aof: before.and_then(|facts| facts.aof.as_ref()).map(|aof| aof.enabled),
    };
    ready(seen, &wanted).map_err(|why| why.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}
