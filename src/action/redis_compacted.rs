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
use super::rewrite_gain::{Gain, secs};
use super::rewrite_obstacles::{accounting, concern, nothing_to_rewrite, stranger};
use super::{measure, process_list};
use crate::host::json_text::JsonText;
use crate::host::pm2::Status;
use crate::host::redis::eta::IncrCost;
use crate::host::redis::{
    Layout, Obstacle, Overcommit, RedisAt, RedisKind, RedisSeen, Rewrite, RewriteReply, footing, judge, overcommit,
    preflight,
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
    /// Whether services write to it now; `None` where no PM2 is declared or none answers.
    services_up: Option<bool>,
}

impl Seen {
    /// What the kernel has against forking this server.
    fn fork(&self, now: &RedisSeen) -> Option<Obstacle> {
        overcommit(now, self.kernel.as_ref()?)
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
        let (machine, services_up) = (on.machine().await?, services_up(on, ground).await);
        Ok(Seen { instances, mem_available: machine.mem_available, kernel: accounting(&machine), services_up })
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
            if let Some(nothing) = nothing_to_rewrite(instance, now) {
                change.concerns.extend(footing(now).into_iter().map(|o| concern(instance, o)));
                change.concerns.push(nothing);
                change.already += 1;
                continue;
            }
            let gain = Gain::of(instance, now, look.cost.as_ref(), ground);
            let too_little = self.too_little(&gain);
            if too_little.is_some() || self.is_done(look, ground) {
                // No rewrite, but a restart must still find these files by the settings that it will read.
                change.concerns.extend(footing(now).into_iter().map(|o| concern(instance, o)));
                change.concerns.extend(too_little.map(|why| Concern::new(Weight::Note, &instance.name, why, "")));
                change.already += 1;
                continue;
            }
            let told = format!("{}; {}", gain.told(), gain.order(seen.services_up));
            change.concerns.push(Concern::new(Weight::Note, &instance.name, told, ""));
            for obstacle in preflight(now, *free, seen.mem_available).into_iter().chain(seen.fork(now)) {
                let one = concern(instance, obstacle);
                // What is said of the kernel is said once, not for each server.
                if !change.concerns.iter().any(|said| said.seen == one.seen && said.weight == Weight::Warn) {
                    change.concerns.push(one);
                }
            }
            change.items.push(item(&instance.name, &gain));
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

    fn remember(&self, seen: &Seen) -> Option<JsonText> {
        let seqs = seen.instances.iter().map(|look| (look.instance.name.clone(), base_mark(&look.now).into()));
        Some(Value::Object(seqs.collect()).into())
    }
}

impl RedisCompacted {
    /// This step, or somebody since the run began, has rewritten it.
    fn is_done(&self, look: &Look, ground: &Ground<'_>) -> bool {
        let Look { instance, now, .. } = look;
        let at_start = match ground.at_start() {
            Some(marks) => marks.get(&instance.name).and_then(Value::as_u64),
            None => self.min_saving.is_none().then(|| ground.baseline.redis(&instance.at()).map(base_mark)).flatten(),
        };
        at_start.is_some_and(|mark| is_newer(now, mark))
    }

    /// Why a rewrite does not pay, if it does not.
    fn too_little(&self, gain: &Gain) -> Option<String> {
        let least = self.min_saving.filter(|least| gain.saving() < least.as_secs_f64())?;
        let least = measure::show_duration(least);
        Some(format!("left as it is: {}; that is less than the {least} asked for", gain.told()))
    }
}

/// The rewrite of one instance.
fn item(name: &str, gain: &Gain) -> Item {
    let Gain { base, incr, compacted, takes, .. } = gain;
    let before = format!(
        "AOF {} (base {}, increments {}, loads in {})",
        bytes(base + incr),
        bytes(*base),
        bytes(*incr),
        secs(gain.loads_in())
    );
    let after = format!("about {}; loads {} sooner", bytes(*compacted), secs(gain.saving()));
    let brief = format!("AOF {}", bytes(base + incr));
    Item::new(name, Sign::Alter, before, after).briefly(brief).taking(Span::secs(takes.typical, takes.slow))
}

/// Whether any service of any declared PM2 runs now.
async fn services_up(on: &dyn Probe, ground: &Ground<'_>) -> Option<bool> {
    let mut up = None;
    for place in ground.inventory.pm2.values() {
        if let Ok(list) = on.pm2_list(&process_list::at(place)).await {
            let online = list.apps.iter().any(|app| app.status == Status::Online);
            up = Some(up == Some(true) || online);
        }
    }
    up
}

/// Whether the base file is another one than the mark says. A sequence number grows (aof.c, `getNewBaseFileNameAndMarkPreAsHistory`);
/// an inode is any other number, often a smaller one.
fn is_newer(seen: &RedisSeen, mark: u64) -> bool {
    let now = base_mark(seen);
    let files = seen.facts.as_ref().and_then(|facts| facts.files.as_ref());
    match files.map(|files| &files.layout) {
        Some(Layout::Single { .. }) => now != mark && mark != 0,
        _ => now > mark,
    }
}

/// What identifies the base file: its sequence number, or the inode before Redis 7.
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
    let mut again = true;
    loop {
        wait_until_idle(at, item, on, tell).await?;
        let before = on.as_probe().redis(at).await.map_err(Outcome::from)?;
        match on.tell(&Deed::RewriteAof(at.clone())).await {
            Ok(Told::Rewrite(RewriteReply::AlreadyRunning)) => continue,
            // The answer was lost: the files tell whether it was heard.
            Ok(_) | Err(HostError::Unknown { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match follow(at, &before, began, item, on, tell).await {
            // Without a number in a manifest two rewrites in a moment may look like none. Another one does no harm, and tells.
            Err(_) if is_single(&before) && std::mem::take(&mut again) => {
                tell(Tick::say(&item.key, "the rewrite cannot be told from none; once more"));
            }
            ended => return ended,
        }
    }
}

/// Whether its append-only file is a single one, as before Redis 7.
fn is_single(seen: &RedisSeen) -> bool {
    let files = seen.facts.as_ref().and_then(|facts| facts.files.as_ref());
    files.is_some_and(|files| matches!(files.layout, Layout::Single { .. }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::redis::eta::Work;
    use crate::host::redis::{compacted_bytes, rewrite_secs};

    fn gain(base: u64, incr: u64, used_memory: u64) -> Gain {
        let compacted = compacted_bytes(base, incr, used_memory);
        let (now, then) = (Work::of_sizes(base, incr), Work::of_sizes(compacted, 0));
        Gain { base, incr, compacted, used_memory, now, then, takes: rewrite_secs(used_memory, None) }
    }

    #[test]
    fn a_smaller_inode_is_another_file_and_a_smaller_number_is_none() {
        use crate::host::model::sample;
        let mut seen = sample::small().redis(&sample::at(6379)).unwrap().clone();
        let number = base_mark(&seen);
        assert!(is_newer(&seen, number - 1) && !is_newer(&seen, number) && !is_newer(&seen, number + 1));
        seen.facts.as_mut().unwrap().files.as_mut().unwrap().layout = Layout::Single { inode: 7 };
        assert!(is_newer(&seen, 9) && is_newer(&seen, 5) && !is_newer(&seen, 7));
    }

    #[test]
    fn what_a_rewrite_saves_and_what_it_costs_now_and_later() {
        let gb = 1_000_000_000;
        let much = gain(2 * gb, 8 * gb, 9 * gb);
        let told = much.told();
        for words in ["10.0 GB load in 5m17s", "about 3.0 GB in 39s", "saves 7.0 GB and 4m38s", "prior, by size alone"]
        {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(much.order(Some(true)).contains("up to 6.3 GB of memory"), "{}", much.order(Some(true)));
        assert!(much.order(Some(true)).contains("after the stop"), "{}", much.order(Some(true)));
        let down = much.order(Some(false));
        assert!(down.contains("lengthen the outage") && !down.contains("more than it saves"), "{down}");
        let little = gain(2 * gb, gb / 50, 6 * gb);
        assert!(little.order(Some(false)).contains("more than it saves"), "{}", little.order(Some(false)));
        let picky = RedisCompacted { min_saving: Some(Duration::from_secs(60)), ..RedisCompacted::default() };
        assert_eq!(picky.too_little(&much), None);
        let left = picky.too_little(&little).unwrap();
        assert!(left.starts_with("left as it is: as it is") && left.contains("less than the 1m asked for"), "{left}");
        assert_eq!(RedisCompacted::default().too_little(&little), None, "asked for without a condition");
    }
}
