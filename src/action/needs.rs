//! What an app group needs, asked of the machine: the gate in front of services is the same everywhere.

use std::time::Duration;

use super::act::Ground;
use super::dead_end::{self, DeadEnd};
use super::inventory::{Needs, RedisInstance, RedisKind, Role};
use super::process_list::{self, as_wanted};
use super::verdict::{ask, questions};
use crate::host::redis::{Door, RedisAt, RedisSeen, RoleWanted, Wanted, ready};
use crate::host::{Host, Probe};

/// Between two looks at what answers, and at what does not.
const SLOW: Duration = Duration::from_secs(1);
const QUICK: Duration = Duration::from_millis(200);

/// The share of the baseline's keys below which a data set is called lost rather than changed.
pub const KEYS_AT_LEAST: f64 = 0.9;

/// How long a check that is not required holds a group up.
const OPTIONAL_WITHIN: Duration = Duration::from_secs(20);

/// What does not hold yet, and when it is worth another look.
pub(super) struct Missing {
    /// In words.
    pub(super) what: String,
    /// Why it will not come by waiting, as far as this look tells.
    pub(super) end: Option<DeadEnd>,
    again: Again,
}

/// When to look again.
enum Again {
    /// It does not answer at all, which costs nothing to ask.
    Soon,
    /// It answers, and would have to work for the next answer, too.
    Later,
    /// The moment that this instance has loaded; else later.
    Loaded(RedisAt),
}

impl Missing {
    fn soon(what: impl Into<String>) -> Self {
        Self { what: what.into(), end: None, again: Again::Soon }
    }

    fn later(what: impl Into<String>) -> Self {
        Self { what: what.into(), end: None, again: Again::Later }
    }

    fn with(self, end: Option<DeadEnd>) -> Self {
        Self { end, ..self }
    }

    /// Waits until another look is worth it.
    pub(super) async fn wait(&self, on: &dyn Host) {
        match &self.again {
            Again::Soon => on.sleep(QUICK).await,
            Again::Later => on.sleep(SLOW).await,
            Again::Loaded(at) => on.sleep_while_loading(at, SLOW).await,
        }
    }
}

/// The first thing that does not hold after so long a wait; `None` when everything holds.
pub(super) async fn missing(needs: &Needs, on: &dyn Host, ground: &Ground<'_>, waited: Duration) -> Option<Missing> {
    let probe = on.as_probe();
    for name in &needs.redis {
        let instance = ground.inventory.redis.get(name)?;
        if let Some(missing) = redis_missing(instance, probe, ground).await {
            return Some(missing);
        }
    }
    for known in ground.inventory.units_of(Some(&needs.units)).into_iter().filter(|_| !needs.units.is_empty()) {
        match probe.unit(known.unit).await {
            Err(error) => return Some(Missing::soon(error.to_string())),
            Ok(seen) if seen.active_state != "active" => {
                let what = format!("{}: {} ({})", known.unit, seen.active_state, seen.sub_state);
                return Some(Missing::soon(what).with(dead_end::of_seen(&seen)));
            }
            Ok(_) => {}
        }
    }
    for name in &needs.pm2 {
        if let Some(why) = place_missing(name, probe, ground).await {
            let end = dead_end::of_place(name, probe, ground).await;
            return Some(Missing::later(format!("pm2 {name}: {why}")).with(end));
        }
    }
    for question in questions(&needs.checks, ground) {
        let counts = question.required() || waited < OPTIONAL_WITHIN;
        if counts && let Err(why) = ask(&question, on, ground).await {
            let end = if question.required() { question.dead_end(probe, ground).await } else { None };
            return Some(Missing::later(format!("{}: {why}", question.key())).with(end));
        }
    }
    None
}

async fn redis_missing(instance: &RedisInstance, on: &dyn Probe, ground: &Ground<'_>) -> Option<Missing> {
    let seen = match on.redis(&instance.at()).await {
        Ok(seen) => seen,
        Err(error) => return Some(Missing::soon(error.to_string())),
    };
    let why = is_ready(instance, &seen, ground).err()?;
    let again = match (&seen.door, &seen.facts) {
        (Door::Loading, _) => Again::Loaded(instance.at()),
        (_, Some(_)) => Again::Later,
        (_, None) => Again::Soon,
    };
    let end = dead_end::of_instance(instance, &seen, on, ground).await;
    Some(Missing { what: format!("redis {}: {why}", instance.name), end, again })
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

#[cfg(test)]
mod tests {

    use super::super::act::Kept;
    use super::super::check::TcpCheck;
    use super::super::inventory::Inventory;
    use super::*;
    use crate::action::check::Check;
    use crate::host::Facts;
    use crate::host::local::LocalHost;

    #[tokio::test]
    async fn a_check_holds_a_group_until_it_holds_and_an_optional_one_not_for_ever() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let host = LocalHost::new(None);
        let (inventory, kept) = (Inventory::default(), Kept::new());
        let baseline = Facts::new(host.now(), 0.0);
        let ground = Ground::of_a_test(&inventory, &kept, &baseline, "restore/1");
        let needs = |required| Needs {
            checks: vec![Check::Tcp(TcpCheck { addr: addr.clone(), required })],
            ..Needs::default()
        };
        let secs = Duration::from_secs;
        assert!(missing(&needs(true), &host, &ground, secs(0)).await.is_none(), "somebody listens");
        drop(listener);
        let why = missing(&needs(true), &host, &ground, secs(3_600)).await.map(|missing| missing.what);
        assert_eq!(why, Some(format!("tcp {addr}: nothing listens there")));
        assert!(missing(&needs(false), &host, &ground, secs(1)).await.is_some(), "given a chance");
        assert!(missing(&needs(false), &host, &ground, OPTIONAL_WITHIN).await.is_none(), "and then left");
    }
}
