//! A load behind a disk that stops giving: a made-up host whose server falls silent, and what is told meanwhile.
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::Poll;

use jiff::Timestamp;

use super::*;
use crate::action::inventory::Inventory;
use crate::action::redis_loaded::RedisLoaded;
use crate::action::{Act, Item, Kept, Sign};
use crate::host::model::sample::{self, Data};
use crate::host::redis::eta::LEAST;
use crate::host::redis::{Door, RedisKind};
use crate::host::{Answer, Ask, Deed, Facts, Host, HostError, Pending, Told};

const GB: u64 = 1_000_000_000;
/// It reads 20 MB a second; from here to there the disk gives nothing and the server does not answer.
const STALLS: f64 = 20.0;
const GOES_ON: f64 = 50.0;
const ENDS: f64 = 70.0;

struct Stalling {
    clock: Cell<f64>,
}

impl Stalling {
    /// Seconds in which it read.
    fn worked(&self) -> f64 {
        let now = self.clock.get();
        now.min(STALLS) + (now - GOES_ON).max(0.0)
    }

    fn redis(&self) -> RedisSeen {
        let mut seen = sample::redis("bds", RedisKind::Redis, None, Data { base: GB, incr: 0, used: GB, keys: 1000 });
        seen.door = Door::Loading;
        if let Some(facts) = &mut seen.facts {
            let loaded_bytes = (self.worked() * 20e6) as u64;
            facts.loading = Some(Loading { started: 1_800_000_000, total_bytes: GB, loaded_bytes, eta_seconds: 1 });
            facts.server.uptime_secs = self.clock.get() as u64;
        }
        seen
    }

    fn progress(&self, pid: u32) -> LoadProgress {
        LoadProgress {
            pid,
            file: Some("base".into()),
            part: None,
            bytes_read_total: Some((self.worked() * 20e6) as u64),
            cpu_secs: Some(self.worked() * 0.9),
            runqueue_secs: Some(0.0),
            age_secs: Some(self.clock.get()),
            state: 'D',
        }
    }

    fn silent(&self) -> bool {
        (STALLS..GOES_ON).contains(&self.clock.get())
    }
}

impl Probe for Stalling {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Answer, HostError>> {
        Box::pin(poll_fn(move |_| match ask {
            Ask::Redis(_) if self.clock.get() >= ENDS => Poll::Ready(Err(HostError::unreachable("bds", "enough seen"))),
            Ask::Redis(_) if self.silent() => Poll::Pending,
            Ask::Redis(_) => Poll::Ready(Ok(Answer::Redis(Box::new(self.redis())))),
            Ask::LoadProgress { pid, .. } => Poll::Ready(Ok(Answer::LoadProgress(Some(self.progress(*pid))))),
            _ => Poll::Ready(Err(HostError::unreachable("this", "not asked for"))),
        }))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + self.clock.get() as i64).unwrap()
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs_f64(self.clock.get())
    }
}

impl Host for Stalling {
    fn tell<'a>(&'a self, _: &'a Deed) -> Pending<'a, Result<Told, HostError>> {
        Box::pin(async { Err(HostError::unreachable("this", "does nothing")) })
    }

    fn sleep(&self, length: Duration) -> Pending<'_, ()> {
        Box::pin(async move { self.clock.set(self.clock.get() + length.as_secs_f64()) })
    }

    fn as_probe(&self) -> &dyn Probe {
        self
    }
}

#[tokio::test]
async fn a_stall_is_told_while_it_lasts_and_the_estimate_outlives_it() {
    let mut inventory = Inventory::default();
    let instance = RedisInstance::declared("bds", "redis://127.0.0.1:6379");
    inventory.redis.insert("bds".into(), instance);
    let host = Stalling { clock: Cell::new(0.0) };
    let (baseline, kept) = (Facts::new(host.now(), 0.0), Kept::new());
    let ground = Ground { reboots: true, ..Ground::of_a_test(&inventory, &kept, &baseline, "load/1") };
    let ticks = RefCell::new(Vec::new());
    let tell = |tick: Tick| ticks.borrow_mut().push((host.clock.get(), tick));
    RedisLoaded::default().apply(&Item::new("bds", Sign::Wait, "", ""), &host, &ground, &tell).await;
    let ticks = ticks.take();
    let during = |from: f64, to: f64| ticks.iter().filter(move |(at, _)| (from..to).contains(at)).map(|(_, tick)| tick);
    let left = |tick: &Tick| tick.left.unwrap().typical;
    let before = during(15.0, STALLS).next_back().unwrap();
    assert!(!before.say.contains("nothing read"), "{before:?}");
    // Ten seconds without a byte are a stall; told every three seconds, though the server has not said a word.
    assert!(during(STALLS, GOES_ON).count() >= 8, "{ticks:?}");
    for tick in during(STALLS + 14.0, GOES_ON) {
        assert!(tick.say.contains("no answer for") && tick.say.contains("nothing read for"), "{tick:?}");
        assert!((left(tick) / left(before) - 1.0).abs() < 0.25, "the end moves away with the stall: {tick:?}");
    }
    // At its pace it needs 20 s more, and 40 s if it stalls again as it did.
    let after = during(GOES_ON + 10.0, ENDS).next().unwrap();
    assert!(!after.say.contains("nothing read") && (15.0..60.0).contains(&left(after)), "{after:?}");
    assert!(ticks.iter().filter(|(_, tick)| tick.left.is_some()).all(|(_, tick)| left(tick) >= LEAST), "{ticks:?}");
}
