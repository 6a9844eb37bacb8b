//! Waits that end and waits that must not: on a host that is what a script says of the second.

use std::cell::{Cell, RefCell};

use jiff::Timestamp;

use super::*;
use crate::action::inventory::{Inventory, Needs};
use crate::action::redis_loaded::RedisLoaded;
use crate::action::{Act, Item, Kept, Outcome, Sign};
use crate::host::foreign::tame;
use crate::host::model::sample::{self, Data};
use crate::host::redis::RedisKind;
use crate::host::shown::Shown;
use crate::host::{Answer, Ask, Deed, Facts, HostError, Pending, Told};

/// A host whose units and servers are what a script says of the second.
struct Scripted {
    clock: Cell<f64>,
    unit: fn(f64, &mut UnitSeen),
    redis: fn(f64, &str, &mut RedisSeen),
    asked_for_words: RefCell<Vec<String>>,
}

impl Scripted {
    fn new(unit: fn(f64, &mut UnitSeen), redis: fn(f64, &str, &mut RedisSeen)) -> Self {
        Self { clock: Cell::new(0.0), unit, redis, asked_for_words: RefCell::default() }
    }
}

impl Probe for Scripted {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Answer, HostError>> {
        let now = self.clock.get();
        let answer = match ask {
            Ask::Unit(name) => {
                let mut unit = sample::unit(name, true, true);
                (self.unit)(now, &mut unit);
                Ok(Answer::Unit(Box::new(unit)))
            }
            Ask::Redis(at) => {
                let of = at.url.ends_with('1').then_some(6379);
                let mut seen = sample::redis("a", RedisKind::Redis, of, Data { base: 9, incr: 0, used: 9, keys: 10 });
                (self.redis)(now, &at.url, &mut seen);
                Ok(Answer::Redis(Box::new(seen)))
            }
            other => Err(HostError::unreachable(other.about(), "not scripted")),
        };
        Box::pin(std::future::ready(answer))
    }
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn uptime(&self) -> Duration {
        Duration::from_secs_f64(self.clock.get())
    }
}

impl Host for Scripted {
    fn tell<'a>(&'a self, _: &'a Deed) -> Pending<'a, Result<Told, HostError>> {
        Box::pin(std::future::ready(Ok(Told::Done)))
    }
    fn sleep(&self, length: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            self.clock.set(self.clock.get() + length.as_secs_f64());
            assert!(self.clock.get() < 900.0, "it waits for ever");
        })
    }
    fn last_words<'a>(&'a self, unit: &'a str) -> Pending<'a, Option<Shown>> {
        self.asked_for_words.borrow_mut().push(unit.to_owned());
        Box::pin(std::future::ready(Some(tame("Bad directive", 80))))
    }
    fn as_probe(&self) -> &dyn Probe {
        self
    }
}

fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    for (name, port, role) in [("a", 6379, Role::Master), ("r", 6371, Role::Replica)] {
        let mut one = RedisInstance::declared(name, &format!("redis://127.0.0.1:{port}"));
        one.unit = Some(format!("{name}.service"));
        (one.role, one.of) = (role, (role == Role::Replica).then(|| "a".to_owned()));
        inventory.redis.insert(name.into(), one);
    }
    inventory
}

/// Waits for an instance to load; how it ended, after how many seconds, and what was told on the way.
async fn load(name: &str, on: &Scripted) -> (Outcome, f64, Vec<String>) {
    let (inventory, kept, baseline) = (inventory(), Kept::new(), Facts::new(Timestamp::UNIX_EPOCH, 0.0));
    let ground = Ground::of_a_test(&inventory, &kept, &baseline, "load/1");
    let told = RefCell::new(Vec::new());
    let tell = |tick: crate::action::Tick| told.borrow_mut().push(tick.say);
    let item = Item::new(name, Sign::Wait, "", "");
    let outcome = RedisLoaded::default().apply(&item, on, &ground, &tell).await;
    (outcome, on.clock.get(), told.into_inner())
}

fn refused(_: f64, _: &str, seen: &mut RedisSeen) {
    (seen.door, seen.facts) = (Door::Refused, None);
}

fn fails(_: f64, unit: &mut UnitSeen) {
    (unit.active_state, unit.result) = ("failed".into(), "exit-code".into());
}

fn why(outcome: &Outcome) -> &str {
    let Outcome::Failed { why, .. } = outcome else { panic!("{outcome:?}") };
    why
}

#[tokio::test]
async fn a_wait_for_a_failed_unit_ends_at_once_with_its_last_words() {
    let on = Scripted::new(fails, refused);
    let (outcome, took, told) = load("a", &on).await;
    assert!(took <= 5.0, "{took}");
    let why = why(&outcome);
    assert!(why.contains("a.service is failed (exit-code)") && why.contains("it said last: Bad directive"), "{why}");
    assert!(told[0].contains("a.service is failed (exit-code)") && told[0].contains("Bad directive"), "{told:?}");
    assert_eq!(on.asked_for_words.borrow().len(), 1, "the journal is asked once, not at each look");
}

#[tokio::test]
async fn a_unit_that_somebody_is_about_to_start_is_waited_for() {
    let states: [fn(f64, &mut UnitSeen); 6] = [
        |_, unit| (unit.active_state, unit.sub_state) = ("activating".into(), "auto-restart".into()),
        |_, unit| (unit.active_state, unit.sub_state) = ("failed".into(), "failed-before-auto-restart".into()),
        |_, unit| (unit.active_state, unit.job) = ("inactive".into(), 17),
        |_, unit| (unit.active_state, unit.job) = ("failed".into(), 17),
        |_, unit| unit.active_state = "deactivating".into(),
        |_, unit| (unit.active_state, unit.triggered_by) = ("inactive".into(), vec!["a.socket".into()]),
    ];
    for (n, unit) in states.into_iter().enumerate() {
        let comes = |now: f64, url: &str, seen: &mut RedisSeen| {
            if now < 300.0 {
                refused(now, url, seen)
            }
        };
        let (outcome, took, _) = load("a", &Scripted::new(unit, comes)).await;
        assert!(matches!(outcome, Outcome::Applied { .. }) && took >= 300.0, "{n}: {outcome:?} after {took}");
    }
}

#[tokio::test]
async fn one_that_is_repaired_in_time_is_looked_at_again_and_one_that_was_never_started_ends_a_little_later() {
    let repaired = |now: f64, unit: &mut UnitSeen| {
        if now < 2.0 {
            fails(now, unit);
        } else {
            unit.active_state = "activating".into();
        }
    };
    let comes = |now: f64, url: &str, seen: &mut RedisSeen| {
        if now < 30.0 {
            refused(now, url, seen)
        }
    };
    let (outcome, _, told) = load("a", &Scripted::new(repaired, comes)).await;
    assert!(matches!(outcome, Outcome::Applied { .. }) && told[0].contains("failed"), "{outcome:?} {told:?}");
    let inactive = |_: f64, unit: &mut UnitSeen| unit.active_state = "inactive".into();
    let (outcome, took, _) = load("a", &Scripted::new(inactive, refused)).await;
    assert!(why(&outcome).contains("nothing is starting it"), "{outcome:?}");
    assert!((8.0..=14.0).contains(&took), "{took}");
}

#[tokio::test]
async fn a_replica_ends_with_its_master_and_not_while_another_one_may_take_over() {
    fn lonely(now: f64, url: &str, seen: &mut RedisSeen) {
        if url.ends_with('9') {
            return refused(now, url, seen);
        }
        if let Some(redis::Role::Replica { link_up, .. }) = seen.facts.as_mut().and_then(|facts| facts.role.as_mut()) {
            *link_up = false;
        }
    }
    let fails_alone = |now: f64, unit: &mut UnitSeen| {
        if unit.id == "a.service" {
            fails(now, unit)
        }
    };
    let (outcome, took, told) = load("r", &Scripted::new(fails_alone, lonely)).await;
    assert!(why(&outcome).contains("its master a is down (a.service is failed (exit-code)"), "{outcome:?}");
    assert!((60.0..70.0).contains(&took) && told[0].contains("its master a is down"), "{took} {told:?}");
    // Sentinel gives it another master meanwhile.
    let other = |now: f64, url: &str, seen: &mut RedisSeen| {
        lonely(now, url, seen);
        let role = seen.facts.as_mut().and_then(|facts| facts.role.as_mut());
        if let Some(redis::Role::Replica { master_port, link_up, .. }) = role.filter(|_| now > 40.0) {
            (*master_port, *link_up) = (6399, now > 100.0);
        }
    };
    let (outcome, _, _) = load("r", &Scripted::new(fails_alone, other)).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
}

#[tokio::test]
async fn what_a_group_needs_ends_its_wait_the_same() {
    let (inventory, kept, baseline) = (inventory(), Kept::new(), Facts::new(Timestamp::UNIX_EPOCH, 0.0));
    let ground = Ground::of_a_test(&inventory, &kept, &baseline, "load/1");
    let on = Scripted::new(fails, refused);
    let needs = Needs { redis: vec!["a".into()], ..Needs::default() };
    let mut patience = Patience::default();
    let ended = loop {
        let missing = crate::action::needs::missing(&needs, &on, &ground, Duration::ZERO).await.unwrap();
        match patience.judge(missing.end.clone(), &missing.what, &on, &ground).await {
            Way::Ended(why) => break why,
            Way::Blocked(why) => assert!(why.contains("a.service is failed"), "{why}"),
            Way::Open => panic!("not blocked"),
        }
        missing.wait(&on).await;
    };
    assert!(on.clock.get() <= 5.0 && ended.contains("repair and start it, then resume"), "{ended}");
}
