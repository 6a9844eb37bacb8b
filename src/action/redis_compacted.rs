//! `redis_compacted`: the append-only file of each instance is as small as a rewrite makes it, or a rewrite would not pay.
use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Wave, Weight};
use super::inventory::{RedisInstance, Selector};
use super::loads;
use super::measure;
use super::needs::role_wanted;
use crate::host::machine::MachineSeen;
use crate::host::redis::eta::IncrCost;
use crate::host::redis::{
    Layout, Obstacle, Overcommit, RedisAt, RedisKind, RedisSeen, Rewrite, RewriteReply, Role, RoleWanted, Severity,
    compacted_bytes, footing, judge, overcommit, preflight, rewrite_secs,
};
use crate::host::span::{Span, bytes, words};
use crate::host::{Deed, Host, HostError, Probe, Told};

/// Looks in a row without proof after which the outcome is called unknown.
const UNPROVEN_LOOKS: u32 = 10;

/// Rewrite append-only files until each chosen instance's rewrite is *finished*, not merely accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedisCompacted {
    /// Which instances; masters unless told otherwise.
    pub instances: Selector,
    /// How many rewrites may run side by side; each forks and writes a whole file, so one unless told otherwise.
    pub at_once: u32,
    /// Leave an instance alone when the rewrite would shorten its next load by less than this.
    #[serde(with = "measure::text_or_none")]
    pub min_saving: Option<Duration>,
}

impl Default for RedisCompacted {
    fn default() -> Self {
        Self { instances: Selector::Masters, at_once: 1, min_saving: None }
    }
}

/// One instance as it was found.
struct Look {
    instance: RedisInstance,
    now: Box<RedisSeen>,
    /// Bytes free where its files lie.
    free: Option<u64>,
    /// What its increments cost to load.
    cost: Option<IncrCost>,
}

/// What `redis_compacted` looks at.
pub struct Seen {
    instances: Vec<Look>,
    mem_available: Option<u64>,
    kernel: Option<Overcommit>,
}

impl Seen {
    /// What the kernel has against forking this server.
    fn fork(&self, now: &RedisSeen) -> Option<Obstacle> {
        overcommit(now, self.kernel.as_ref()?)
    }
}

/// How the kernel accounts for memory, from the same look as everything else.
fn accounting(machine: &MachineSeen) -> Option<Overcommit> {
    let headroom = machine.commit_limit.zip(machine.committed_as).map(|(limit, used)| limit.saturating_sub(used));
    Some(Overcommit { mode: machine.overcommit_memory?, headroom })
}

fn concern(instance: &RedisInstance, obstacle: Obstacle) -> Concern {
    let weight = match obstacle.severity {
        Severity::Stop if instance.required => Weight::Stop,
        _ => Weight::Warn,
    };
    Concern::new(weight, &instance.name, obstacle.seen, obstacle.cure)
}

/// Why this is not the instance that the runbook means, or cannot be told to be: it does not let itself be asked, or a
/// failover has given it another role. Compacting the wrong server proves nothing about the one that will be restarted.
fn stranger(instance: &RedisInstance, now: &RedisSeen) -> Option<Concern> {
    let stop = |seen: String, cure: &str| {
        let severity = Severity::Stop;
        Some(concern(instance, Obstacle { severity, seen, cure: cure.to_owned() }))
    };
    let Some(facts) = &now.facts else {
        let why = now.unseen.first().map_or(String::new(), |unseen| format!(" ({}: {})", unseen.what, unseen.why));
        return stop(format!("redis {}{why}", now.door), now.door.cure());
    };
    let cure = "was there a failover? correct `role` in the runbook, or fail back; then plan anew";
    match (&facts.role, role_wanted(instance)?) {
        (Some(Role::Replica { master_host, master_port, .. }), RoleWanted::Master) => stop(
            format!(
                "is a replica of {master_host}:{master_port} now, and the runbook says master: nothing is rewritten"
            ),
            cure,
        ),
        (Some(Role::Master { .. }), RoleWanted::Replica) => {
            stop("is a master now, and the runbook says replica: nothing is rewritten".to_owned(), cure)
        }
        _ => None,
    }
}

impl Act for RedisCompacted {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let chosen = ground.inventory.select(&self.instances);
        let looks = chosen.into_iter().map(|instance| async move {
            let seen = on.redis(&instance.at()).await?;
            let files = seen.facts.as_ref().and_then(|facts| facts.files.as_ref());
            let free = match files {
                Some(files) => on.disk(Path::new(&files.dir)).await.ok().map(|disk| disk.bytes_free),
                None => None,
            };
            let cost = loads::incr_cost(instance, &seen, on, ground).await;
            Ok::<_, HostError>(Look { instance: instance.clone(), now: seen, free, cost })
        });
        let instances = try_join_all(looks).await?;
        let machine = on.machine().await?;
        Ok(Seen { instances, mem_available: machine.mem_available, kernel: accounting(&machine) })
    }

    fn plan(&self, seen: &Seen, ground: &Ground<'_>) -> Change {
        let at_once = self.at_once.max(1) as usize;
        let mut change = Change { waves: vec![Wave { at_once, ..Wave::default() }], ..Change::default() };
        for look in &seen.instances {
            let Look { instance, now, free, .. } = look;
            if instance.kind == RedisKind::Tile38 {
                let cure = "compact it with its own AOFSHRINK if it needs that";
                change.concerns.push(Concern::new(
                    Weight::Note,
                    &instance.name,
                    "is Tile38, which has no BGREWRITEAOF",
                    cure,
                ));
                change.already += 1;
                continue;
            }
            if let Some(strange) = stranger(instance, now) {
                change.concerns.push(strange);
                continue;
            }
            let Some(item) = self.item(look, ground) else {
                // No rewrite, but a restart must still find these files by the settings that it will read.
                change.concerns.extend(footing(now).into_iter().map(|o| concern(instance, o)));
                change.already += 1;
                continue;
            };
            for obstacle in preflight(now, *free, seen.mem_available).into_iter().chain(seen.fork(now)) {
                let one = concern(instance, obstacle);
                // What is said of the kernel is said once, not for each server.
                if !change.concerns.iter().any(|said| said.seen == one.seen && said.weight == Weight::Warn) {
                    change.concerns.push(one);
                }
            }
            change.items.push(item);
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, ground: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        let Some(instance) = ground.inventory.redis.get(&item.key) else { return Outcome::failed("no such instance") };
        match compact(&instance.at(), item, on, tell).await {
            Ok(note) => Outcome::noted(note),
            Err(outcome) => outcome,
        }
    }

    fn remember(&self, seen: &Seen) -> Option<Value> {
        let seqs = seen.instances.iter().map(|look| (look.instance.name.clone(), base_mark(&look.now).into()));
        Some(Value::Object(seqs.collect()))
    }
}

impl RedisCompacted {
    /// The rewrite of one instance, unless this step has done it or it would not pay.
    fn item(&self, look: &Look, ground: &Ground<'_>) -> Option<Item> {
        let Look { instance, now, cost, .. } = look;
        let at_start = match ground.at_start() {
            Some(marks) => marks.get(&instance.name).and_then(Value::as_u64),
            None => self.min_saving.is_none().then(|| ground.baseline.redis(&instance.at()).map(base_mark)).flatten(),
        };
        if at_start.is_some_and(|mark| base_mark(now) > mark) {
            return None;
        }
        let facts = now.facts.as_ref();
        let (base, incr) =
            facts.and_then(|facts| facts.files.as_ref()).map_or((0, 0), |f| (f.base_bytes(), f.incr_bytes()));
        let used = facts.and_then(|facts| facts.memory.as_ref()).map_or(0, |memory| memory.used_memory);
        let compacted = compacted_bytes(base, incr, used);
        let load = |base, incr| loads::work(instance, (base, incr), now, ground, cost.as_ref()).expected().typical;
        let saving = (load(base, incr) - load(compacted, 0)).max(0.0);
        if self.min_saving.is_some_and(|least| saving < least.as_secs_f64()) {
            return None;
        }
        let last = facts.and_then(|facts| facts.aof.as_ref()).and_then(|aof| aof.last_rewrite_secs);
        let takes = rewrite_secs(used, last);
        let before = format!("AOF {} (base {}, increments {})", bytes(base + incr), bytes(base), bytes(incr));
        let after = format!("about {}; loads {} sooner", bytes(compacted), words(Duration::from_secs_f64(saving)));
        Some(Item::new(&instance.name, Sign::Alter, before, after).taking(Span::secs(takes.typical, takes.slow)))
    }
}

/// What identifies the base file: its sequence number, or the inode before Redis 7. Grows or changes with a rewrite.
fn base_mark(seen: &RedisSeen) -> u64 {
    let files = seen.facts.as_ref().and_then(|facts| facts.files.as_ref());
    files.map_or(0, |files| match files.layout {
        Layout::Single { inode } => inode,
        _ => files.base.as_ref().map_or(0, |base| base.seq),
    })
}

/// Asks for a rewrite until one has begun after this moment, and waits until it is proven or has failed.
async fn compact(at: &RedisAt, item: &Item, on: &dyn Host, tell: Tell<'_>) -> Result<String, Outcome> {
    let began = on.as_probe().uptime();
    loop {
        wait_until_idle(at, item, on, tell).await?;
        let before = on.as_probe().redis(at).await.map_err(Outcome::from)?;
        match on.tell(&Deed::RewriteAof(at.clone())).await {
            Ok(Told::Rewrite(RewriteReply::AlreadyRunning)) => {}
            Ok(_) => return follow(at, &before, began, item, on, tell).await,
            // The answer was lost: the files tell whether it was heard.
            Err(HostError::Unknown { .. }) => return follow(at, &before, began, item, on, tell).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// A rewrite that runs already began before our quiet point: wait for its end, then ask for another.
async fn wait_until_idle(at: &RedisAt, item: &Item, on: &dyn Host, tell: Tell<'_>) -> Result<(), Outcome> {
    loop {
        let seen = on.as_probe().redis(at).await.map_err(Outcome::from)?;
        let Some(facts) = seen.facts.as_ref() else { return Err(Outcome::failed(format!("redis {}", seen.door))) };
        let rewriting = facts.aof.as_ref().is_some_and(|aof| aof.rewrite_in_progress || aof.rewrite_scheduled);
        if !rewriting {
            return Ok(());
        }
        tell(Tick::say(&item.key, "waiting for a rewrite that began earlier; another one follows"));
        on.sleep(Duration::from_secs(1)).await;
    }
}

/// Follows a rewrite to its proof.
async fn follow(
    at: &RedisAt,
    before: &RedisSeen,
    began: Duration,
    item: &Item,
    on: &dyn Host,
    tell: Tell<'_>,
) -> Result<String, Outcome> {
    let mut silent = 0;
    loop {
        on.sleep(Duration::from_secs(1)).await;
        let now = on.as_probe().redis(at).await.map_err(Outcome::from)?;
        match judge(before, &now) {
            Rewrite::Proven { bytes_before, bytes_after, seq } => {
                let took = on.as_probe().uptime().saturating_sub(began);
                return Ok(format!(
                    "{} -> {} in {} (base {seq})",
                    bytes(bytes_before),
                    bytes(bytes_after),
                    words(took)
                ));
            }
            Rewrite::Failed { why } => return Err(Outcome::failed(why.to_string())),
            Rewrite::Running { done, .. } => {
                silent = 0;
                let elapsed = on.as_probe().uptime().saturating_sub(began).as_secs_f64();
                let left = done.filter(|done| *done > 0.02).map(|done| elapsed / done - elapsed);
                tell(Tick {
                    item: item.key.clone(),
                    part: done,
                    left: left.map(|left| Span::secs(left, left * 1.5)),
                    say: "rewriting".into(),
                    ..Tick::default()
                });
            }
            Rewrite::Waiting(_) => {
                silent = 0;
                tell(Tick::say(&item.key, "accepted, and waiting for another child to end"));
            }
            Rewrite::Unproven { why } => {
                silent += 1;
                if silent > UNPROVEN_LOOKS {
                    return Err(Outcome::Unknown { why: format!("the rewrite cannot be proven: {why}") });
                }
                tell(Tick::say(&item.key, why));
            }
        }
    }
}
