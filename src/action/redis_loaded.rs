//! `redis_loaded`: the instances have read their data and have their planned role.
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select, try_join_all};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::certificate;
use super::change::{Change, Item, Sign};
use super::inventory::{RedisInstance, Selector};
use super::load_damage;
use super::load_watch::LoadWatch;
use super::loads::{self, Board};
use super::needs::{is_ready, role_wanted};
use crate::host::redis::eta::{IncrCost, Work, side_by_side};
use crate::host::redis::{self, Door, RedisSeen, RoleWanted, ServerName};
use crate::host::span::{Span, bytes, words};
use crate::host::systemd::UnitSeen;
use crate::host::{Host, HostError, Probe};

/// Wait until each instance answers `PONG`, says `loading:0`, and has the planned role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RedisLoaded {
    /// Which instances; all unless told otherwise.
    pub instances: Selector,
    /// Where the loads of this step share what they know; not part of the wish.
    #[serde(skip)]
    pub board: Board,
}

/// What is so now where nothing is left to load.
pub const LOOKS_READY: &str = "looks ready";
/// Looks in a row that must agree before an instance is called ready: a replica flips back to loading when its
/// master's copy arrives.
const SAME_ANSWERS: u32 = 3;
/// Between two looks, INFO among them.
const PAUSE: Duration = Duration::from_secs(1);
/// A loading server answers in milliseconds; after so long without an answer the kernel is asked instead.
const UNANSWERED: Duration = Duration::from_secs(3);
/// Starts of the server after which a load is called a restart loop.
const RESTARTS: u64 = 2;
/// Looks in a row at a reason that waiting will not cure.
const HOPELESS_LOOKS: u32 = 10;

/// What `redis_loaded` looks at.
pub struct Seen {
    instances: Vec<(RedisInstance, Box<RedisSeen>, Option<IncrCost>)>,
    /// Processors of the machine.
    cpus: u32,
    /// When it was looked at.
    now: Timestamp,
}

impl Act for RedisLoaded {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let chosen = ground.inventory.select(&self.instances);
        let looks = chosen.into_iter().map(|one| async move {
            let seen = on.redis(&one.at()).await?;
            let cost = match is_ready(one, &seen, ground) {
                Ok(()) => None,
                Err(_) => loads::incr_cost(one, &seen, on, ground).await,
            };
            Ok::<_, HostError>((one.clone(), seen, cost))
        });
        let instances = try_join_all(looks).await?;
        let machine = on.machine().await.ok();
        let cpus = machine.and_then(|machine| machine.cpus).unwrap_or(1).max(1);
        Ok(Seen { instances, cpus, now: on.now() })
    }

    fn plan(&self, seen: &Seen, ground: &Ground<'_>) -> Change {
        let mut change = Change::default();
        let mut waits: Vec<(Item, Option<Work>)> = Vec::new();
        for (instance, now, cost) in &seen.instances {
            change.concerns.extend(certificate::ending(instance, now, seen.now));
            match is_ready(instance, now, ground) {
                Ok(()) if ground.kept.contains_key(&ready_key(ground.step, &instance.name)) => change.already += 1,
                // One look proves nothing: what looks ready must still answer the same a few times in a row.
                Ok(()) => {
                    let item = Item::new(&instance.name, Sign::Wait, LOOKS_READY, "ready, several looks in a row");
                    change.items.push(item.taking(Span::secs(f64::from(SAME_ANSWERS), f64::from(SAME_ANSWERS) + 3.0)));
                }
                Err(why) => {
                    let work = work(instance, now, ground, cost.as_ref());
                    let after = match &work {
                        Some(work) => format!("{} loaded, and ready ({})", bytes(work.bytes()), work.source()),
                        None => "loaded and ready".to_owned(),
                    };
                    let mut item = Item::new(&instance.name, Sign::Wait, why, after);
                    item.optional = !instance.required;
                    waits.push((item, work));
                }
            }
        }
        let (items, works): (Vec<Item>, Vec<Option<Work>>) = waits.into_iter().unzip();
        let spans = at_once(&works, seen.cpus);
        change.items.extend(items.into_iter().zip(spans).map(|(item, takes)| item.taking(takes)));
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
            load: LoadWatch::new(instance, on.as_probe(), ground, &self.board),
            restarts: None,
            unit_load: None,
            loading: false,
            good: 0,
            hopeless: 0,
        };
        loop {
            match watch.look(tell).await {
                Look::Ready(note) => {
                    let key = ready_key(ground.step, &item.key);
                    let news = (!ground.kept.contains_key(&key)).then_some((key, serde_json::Value::Bool(true)));
                    return match watch.outcome(note) {
                        Outcome::Applied { note, mut keep } => {
                            keep.extend(news);
                            Outcome::Applied { note, keep }
                        }
                        other => other,
                    };
                }
                Look::Lost(outcome) => return outcome,
                Look::Wait(tick) => tell(tick),
            }
            if watch.loading {
                on.sleep_while_loading(&instance.at(), PAUSE).await;
            } else {
                on.sleep(PAUSE).await;
            }
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

/// The work of an instance's files; `None` when nobody knows them.
fn work(instance: &RedisInstance, now: &RedisSeen, ground: &Ground<'_>, cost: Option<&IncrCost>) -> Option<Work> {
    let files = loads::files(instance, now, ground)?;
    let sizes = (files.base_bytes(), files.incr_bytes());
    Some(loads::work(instance, sizes, now, ground, cost))
}

/// How long each takes when all load at once on so many processors.
fn at_once(works: &[Option<Work>], cpus: u32) -> Vec<Span> {
    let known: Vec<(&Work, f64)> = works.iter().flatten().map(|work| (work, 1.0)).collect();
    let mut spans = side_by_side(&known, cpus).into_iter().map(loads::span);
    works.iter().map(|work| work.as_ref().and_then(|_| spans.next()).unwrap_or(Span::secs(2.0, 10.0))).collect()
}

/// What one look at a loading instance showed.
enum Look {
    Ready(String),
    Lost(Outcome),
    Wait(Tick),
}

/// One instance under watch: INFO at most once a second, and its end seen between two looks.
struct Watch<'a> {
    instance: &'a RedisInstance,
    on: &'a dyn Host,
    ground: &'a Ground<'a>,
    began: Duration,
    load: LoadWatch<'a>,
    /// Restarts counted by systemd at the first look.
    restarts: Option<u64>,
    /// From the start of the main process to READY=1, as the unit's own time stamps have it.
    unit_load: Option<Duration>,
    /// It said that it loads, at the last look.
    loading: bool,
    good: u32,
    hopeless: u32,
}

impl Watch<'_> {
    async fn look(&mut self, tell: Tell<'_>) -> Look {
        let on = self.on.as_probe();
        let seen = match self.answer(tell).await {
            Ok(seen) => seen,
            Err(error) => return Look::Lost(error.into()),
        };
        self.loading = seen.door == Door::Loading;
        if let Some(unit) = &self.instance.unit {
            match self.judge_unit(on.unit(unit).await) {
                Ok(()) => {}
                Err(lost) => return Look::Lost(self.with_cause(lost).await),
            }
        }
        let why = match is_ready(self.instance, &seen, self.ground) {
            Ok(()) => {
                self.good += 1;
                self.load.ready(&seen).await;
                if self.good >= SAME_ANSWERS {
                    let alarm = self.alarm(&seen).await.map_or(String::new(), |line| format!("; its log says: {line}"));
                    return Look::Ready(format!("{}{alarm}", self.note(&seen)));
                }
                return Look::Wait(Tick::say(
                    &self.instance.name,
                    format!("ready, {} of {SAME_ANSWERS} looks", self.good),
                ));
            }
            Err(why) => why,
        };
        self.good = 0;
        self.hopeless = if hopeless(self.instance, &seen) { self.hopeless + 1 } else { 0 };
        if self.hopeless >= HOPELESS_LOOKS {
            return Look::Lost(Outcome::failed(format!("{why}; waiting longer will not change that")));
        }
        Look::Wait(self.load.look(&seen, why).await)
    }

    /// What the server answers; the load is told of by the kernel's word for as long as it does not, as behind a stalled disk.
    async fn answer(&mut self, tell: Tell<'_>) -> Result<Box<RedisSeen>, HostError> {
        let (on, at) = (self.on, self.instance.at());
        if !self.load.has_begun() {
            return on.as_probe().redis(&at).await;
        }
        let asked = on.as_probe().uptime();
        let mut answer = pin!(on.as_probe().redis(&at));
        loop {
            match select(answer, on.sleep(UNANSWERED)).await {
                Either::Left((seen, _)) => return seen,
                Either::Right((_, still)) => answer = still,
            }
            if let Some(tick) = self.load.unanswered(on.as_probe().uptime().saturating_sub(asked)).await {
                tell(tick);
            }
        }
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

    /// The loss with what the server's own log says about it.
    async fn with_cause(&self, lost: Outcome) -> Outcome {
        match (lost, load_damage::cause(self.instance, self.on.as_probe(), self.ground).await) {
            (Outcome::Failed { why, causes }, Some(cause)) => {
                Outcome::Failed { why: format!("{why}; {cause}"), causes }
            }
            (lost, _) => lost,
        }
    }

    /// The end of the wait, with the load for those to come.
    fn outcome(&self, note: String) -> Outcome {
        let record = self.load.record().and_then(|load| serde_json::to_value(load).ok());
        Outcome::Applied {
            note: Some(note),
            keep: record.map(|record| (loads::key(&self.instance.name), record)).into_iter().collect(),
        }
    }

    /// What the log of this start cries out: Redis loads a file that was cut short and says so nowhere else.
    async fn alarm(&self, seen: &RedisSeen) -> Option<String> {
        let log = seen.facts.as_ref()?.config.as_ref()?.get("logfile").filter(|path| path.starts_with('/'))?;
        let lines = self.on.as_probe().log_tail(Path::new(log)).await.ok()?;
        alarming(&lines, seen.facts.as_ref()?.server.process_id?)
    }

    /// What is worth writing down of a finished load: its time against the estimate. A notifying unit knows the time even
    /// where the load was over before anybody watched.
    fn note(&self, seen: &RedisSeen) -> String {
        let watched = self.on.as_probe().uptime().saturating_sub(self.began);
        let took = self.unit_load.unwrap_or(watched);
        let size = self.load.files.as_ref().map_or(String::new(), |files| format!("{}, ", bytes(files.bytes())));
        let expected = work(self.instance, seen, self.ground, None).map(|work| loads::span(work.expected()));
        let expected = expected.map_or(String::new(), |span| format!(" (estimated {})", words(span.typically())));
        // Tile38 counts objects, and tells nobody in INFO: no number is not zero.
        let counted = seen.facts.as_ref().filter(|facts| facts.server.name != ServerName::Tile38);
        let keys: Option<u64> = counted.map(|facts| facts.keys.values().sum());
        let keys = keys.map_or(String::new(), |keys| format!(", {keys} keys"));
        format!("{size}loaded in {}{expected}{keys}", words(took))
    }
}

/// The last line that the process `pid` marked with exclamation marks (aof.c, `loadSingleAppendOnlyFile`).
fn alarming(lines: &[String], pid: u32) -> Option<String> {
    let own = format!("{pid}:");
    lines.iter().rev().find(|line| line.starts_with(&own) && line.contains("!!!")).cloned()
}

/// Reasons that time does not cure: a wrong password, another program, a wrong role with nothing loading, lost keys.
fn hopeless(instance: &RedisInstance, seen: &RedisSeen) -> bool {
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
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_cut_short_is_seen_in_the_log_of_this_start_only() {
        let lines = [
            "41:M 22 Nov 2026 02:14:01.000 # !!! Truncating the AOF a.aof at offset 99 !!!".to_owned(),
            "42:M 22 Nov 2026 02:20:01.000 # !!! Warning: short read while loading the AOF file a.aof!!!".to_owned(),
            "42:M 22 Nov 2026 02:20:01.100 * DB loaded from append only file: 1.2 seconds".to_owned(),
        ];
        assert!(alarming(&lines, 42).unwrap().contains("short read"));
        assert_eq!(alarming(&lines, 43), None);
    }

    #[test]
    fn loads_at_once_share_the_processors() {
        let works = vec![Some(Work::of_sizes(1_000_000_000, 0)); 4];
        let (one, two) = (at_once(&works[..1], 2), at_once(&works, 2));
        assert!((12.0..18.0).contains(&one[0].typical), "{one:?}");
        assert!((two[3].typical / one[0].typical) > 1.8, "{two:?}");
        assert!(one[0].slow > 2.0 * one[0].typical, "nothing is known of the instance: {one:?}");
        assert_eq!(at_once(&[None], 1)[0].typical, 2.0);
    }
}
