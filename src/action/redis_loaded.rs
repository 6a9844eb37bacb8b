//! `redis_loaded`: the instances have read their data and have their planned role.
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Item, Sign};
use super::inventory::{RedisInstance, Selector};
use super::needs::is_ready;
use crate::host::redis::{self, AofFiles, Door, LoadRates, RedisSeen, load_secs};
use crate::host::span::{Span, bytes, words};
use crate::host::systemd::UnitSeen;
use crate::host::{Host, HostError, Probe};

/// Wait until each instance answers `PONG`, says `loading:0`, and has the planned role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RedisLoaded {
    /// Which instances; all unless told otherwise.
    pub instances: Selector,
}

/// Looks in a row that must agree before an instance is called ready: a replica flips back to loading when its
/// master's copy arrives.
const SAME_ANSWERS: u32 = 3;
/// Starts of the server after which a load is called a restart loop.
const RESTARTS: u64 = 2;
/// Looks in a row at a reason that waiting will not cure.
const HOPELESS_LOOKS: u32 = 10;

/// What `redis_loaded` looks at.
pub struct Seen {
    instances: Vec<(RedisInstance, Box<RedisSeen>)>,
}

impl Act for RedisLoaded {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let chosen = ground.inventory.select(&self.instances);
        let looks = chosen.into_iter().map(|one| async move { Ok((one.clone(), on.redis(&one.at()).await?)) });
        Ok(Seen { instances: try_join_all(looks).await? })
    }

    fn plan(&self, seen: &Seen, ground: &Ground<'_>) -> Change {
        let mut change = Change::default();
        for (instance, now) in &seen.instances {
            match is_ready(instance, now, ground) {
                Ok(()) if ground.kept.contains_key(&ready_key(ground.step, &instance.name)) => change.already += 1,
                // One look proves nothing: what looks ready must still answer the same a few times in a row.
                Ok(()) => {
                    let item = Item::new(&instance.name, Sign::Wait, "looks ready", "ready, several looks in a row");
                    change.items.push(item.taking(Span::secs(f64::from(SAME_ANSWERS), f64::from(SAME_ANSWERS) + 3.0)));
                }
                Err(why) => {
                    let mut item = Item::new(&instance.name, Sign::Wait, why, "loaded and ready");
                    item.optional = !instance.required;
                    change.items.push(item.taking(load_span(instance, now, ground)));
                }
            }
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        let Some(instance) = ground.inventory.redis.get(&item.key) else {
            return Outcome::failed("no such instance");
        };
        let mut watch = Watch {
            instance,
            on,
            ground,
            began: on.as_probe().uptime(),
            expected: item.takes,
            files: None,
            pid: None,
            restarts: None,
            unit_load: None,
            good: 0,
            hopeless: 0,
        };
        loop {
            match watch.look().await {
                Look::Ready(note) => {
                    let key = ready_key(ground.step, &item.key);
                    let keep = (!ground.kept.contains_key(&key)).then_some((key, serde_json::Value::Bool(true)));
                    return Outcome::Applied { note: Some(note), keep: keep.into_iter().collect() };
                }
                Look::Lost(outcome) => return outcome,
                Look::Wait(tick) => tell(tick),
            }
            on.sleep(Duration::from_secs(1)).await;
        }
    }

    fn waits(&self) -> bool {
        true
    }
}

/// The key under which an instance is captured as ready.
fn ready_key(step: &str, instance: &str) -> String {
    format!("{step}.{instance}.ready")
}

/// How long the files of an instance take to load, by their size now or, while nothing answers, in the baseline.
fn load_span(instance: &RedisInstance, now: &RedisSeen, ground: &Ground<'_>) -> Span {
    let files = |seen: &RedisSeen| seen.facts.as_ref().and_then(|facts| facts.files.clone());
    let known = files(now).or_else(|| ground.baseline.redis(&instance.at()).and_then(files));
    known.map_or(Span::secs(2.0, 10.0), |files| {
        let secs = load_secs(files.base_bytes(), files.incr_bytes(), &LoadRates::default());
        Span::secs(secs.typical + 1.0, secs.slow + 3.0)
    })
}

/// What one look at a loading instance showed.
enum Look {
    Ready(String),
    Lost(Outcome),
    Wait(Tick),
}

/// One instance under watch: INFO at most once a second.
struct Watch<'a> {
    instance: &'a RedisInstance,
    on: &'a dyn Host,
    ground: &'a Ground<'a>,
    began: Duration,
    expected: Span,
    /// The files it reads, from the first look that showed them.
    files: Option<AofFiles>,
    pid: Option<u32>,
    /// Restarts counted by systemd at the first look.
    restarts: Option<u64>,
    /// From the start of the main process to READY=1, as the unit's own time stamps have it.
    unit_load: Option<Duration>,
    good: u32,
    hopeless: u32,
}

impl Watch<'_> {
    async fn look(&mut self) -> Look {
        let on = self.on.as_probe();
        let seen = match on.redis(&self.instance.at()).await {
            Ok(seen) => seen,
            Err(error) => return Look::Lost(error.into()),
        };
        if let Some(unit) = &self.instance.unit {
            match self.judge_unit(on.unit(unit).await) {
                Ok(()) => {}
                Err(lost) => return Look::Lost(lost),
            }
        }
        if let Some(facts) = &seen.facts {
            self.files = facts.files.clone().or(self.files.take());
            self.pid = facts.server.process_id.or(self.pid);
        }
        let why = match is_ready(self.instance, &seen, self.ground) {
            Ok(()) => {
                self.good += 1;
                if self.good >= SAME_ANSWERS {
                    return Look::Ready(self.note(&seen));
                }
                return Look::Wait(Tick::say(
                    &self.instance.name,
                    format!("ready, {} of {SAME_ANSWERS} looks", self.good),
                ));
            }
            Err(why) => why,
        };
        self.good = 0;
        self.hopeless = if hopeless(&seen) { self.hopeless + 1 } else { 0 };
        if self.hopeless >= HOPELESS_LOOKS {
            return Look::Lost(Outcome::failed(format!("{why}; waiting longer will not change that")));
        }
        Look::Wait(self.progress(&seen, why).await)
    }

    /// A unit that failed, is dead, or starts again and again will not load however long one waits.
    fn judge_unit(&mut self, unit: Result<Box<UnitSeen>, HostError>) -> Result<(), Outcome> {
        let Ok(unit) = unit else { return Ok(()) };
        let notifies = unit.service_type.starts_with("notify");
        if let (true, Some(began), Some(ready)) = (notifies, unit.main_started, unit.active_enter) {
            self.unit_load = Duration::try_from(ready - began).ok();
        }
        let now = u64::from(unit.n_restarts);
        let first = *self.restarts.get_or_insert(now);
        if now >= first + RESTARTS {
            let why = format!(
                "{} was restarted {} times while loading (result {}): see its log",
                unit.id,
                now - first,
                unit.result
            );
            return Err(Outcome::failed(why));
        }
        if matches!(unit.active_state.as_str(), "failed" | "inactive") {
            self.hopeless += 1;
            if self.hopeless >= HOPELESS_LOOKS {
                let why =
                    format!("{} is {} (result {}): start it, then resume", unit.id, unit.active_state, unit.result);
                return Err(Outcome::failed(why));
            }
        }
        Ok(())
    }

    async fn progress(&self, seen: &RedisSeen, why: String) -> Tick {
        let loading = seen.facts.as_ref().and_then(|facts| facts.loading.as_ref());
        let by_info = loading.filter(|l| l.total_bytes > 0).map(|l| (l.loaded_bytes, l.total_bytes));
        let by_proc = match (self.pid, &self.files) {
            (Some(pid), Some(files)) => self.on.as_probe().load_progress(pid, files).await.ok().flatten(),
            _ => None,
        };
        let total = self.files.as_ref().map(AofFiles::bytes).filter(|total| *total > 0);
        let read = by_proc.as_ref().and_then(|progress| progress.bytes_read_total).zip(total).or(by_info);
        let elapsed = self.on.as_probe().uptime().saturating_sub(self.began).as_secs_f64();
        let part = read.map(|(read, total)| (read as f64 / total as f64).clamp(0.0, 0.99));
        let left = loading.and(part).map(|part| remaining(elapsed, part, self.expected));
        let rate =
            read.filter(|_| elapsed > 0.5).map(|(read, _)| format!(", {}/s", bytes((read as f64 / elapsed) as u64)));
        Tick { item: self.instance.name.clone(), part, left, say: format!("{why}{}", rate.unwrap_or_default()) }
    }

    /// What is worth writing down of a finished load: its time against the estimate. A notifying unit knows the time even
    /// where the load was over before anybody watched.
    fn note(&self, seen: &RedisSeen) -> String {
        let watched = self.on.as_probe().uptime().saturating_sub(self.began);
        let took = self.unit_load.unwrap_or(watched);
        let size = self.files.as_ref().map_or(String::new(), |files| format!("{}, ", bytes(files.bytes())));
        let keys: u64 = seen.facts.as_ref().map_or(0, |facts| facts.keys.values().sum());
        let expected = words(load_span(self.instance, seen, self.ground).typically());
        format!("{size}loaded in {} (estimated {expected}), {keys} keys", words(took))
    }
}

/// Reasons that time does not cure: a wrong password, another program, a wrong role with nothing loading, lost keys.
fn hopeless(seen: &RedisSeen) -> bool {
    match &seen.door {
        Door::NoAuth | Door::WrongPass | Door::NoPerm { .. } | Door::NotRedis { .. } => true,
        Door::Secret { .. } | Door::BadAddress { .. } => true,
        Door::Open => seen.facts.as_ref().is_some_and(|facts| {
            let syncing = match &facts.role {
                Some(redis::Role::Replica { link_up, sync_in_progress, .. }) => !link_up || *sync_in_progress,
                _ => false,
            };
            facts.loading.is_none() && !facts.async_loading && !syncing
        }),
        _ => false,
    }
}

/// The time left: what was planned, corrected by what is seen, the more so the further it is.
fn remaining(elapsed: f64, part: f64, expected: Span) -> Span {
    let planned = (expected.typical - elapsed).max(expected.typical * (1.0 - part));
    let observed = if part > 0.01 { elapsed / part - elapsed } else { planned };
    let typical = observed * part + planned * (1.0 - part);
    let doubt = if expected.typical > 0.0 { expected.slow / expected.typical } else { 2.0 };
    Span::secs(typical, typical * (1.0 + (doubt - 1.0) * (1.0 - part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_moves_from_the_plan_to_what_is_seen() {
        let plan = Span::secs(100.0, 250.0);
        assert!((remaining(0.0, 0.0, plan).typical - 100.0).abs() < 1.0);
        let half = remaining(100.0, 0.5, plan);
        assert!((60.0..100.0).contains(&half.typical), "{half:?}");
        let late = remaining(190.0, 0.95, plan);
        assert!((5.0..15.0).contains(&late.typical) && late.slow < late.typical * 1.2, "{late:?}");
    }
}
