//! `redis_loaded`: the instances have read their data and have their planned role.
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell};
use super::certificate;
use super::change::{Change, Item, Sign};
use super::inventory::{RedisInstance, Selector};
use super::loads::{self, Board};
use super::needs::is_ready;
use super::redis_wait::{Look, SAME_ANSWERS, Watch};
use crate::host::redis::RedisSeen;
use crate::host::redis::eta::{IncrCost, Work, side_by_side};
use crate::host::span::{Span, bytes};
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
const LOOKS_READY: &str = "looks ready";
/// Between two looks, INFO among them.
const PAUSE: Duration = Duration::from_secs(1);
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
                    let item = Item::new(&instance.name, Sign::Wait, LOOKS_READY, "ready, several looks in a row")
                        .confirming();
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
        let mut watch = Watch::new(instance, on, ground, &self.board);
        loop {
            match watch.look(tell).await {
                Look::Ready(note) => {
                    let key = ready_key(ground.step, &item.key);
                    let news = (!ground.kept.contains_key(&key)).then_some((key, true.into()));
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

    fn all_or_nothing(&self) -> bool {
        true
    }
}

/// The key under which an instance is captured as ready.
fn ready_key(step: &str, instance: &str) -> String {
    format!("{step}.{instance}.ready")
}

/// The work of an instance's files; `None` when nobody knows them.
pub(super) fn work(
    instance: &RedisInstance,
    now: &RedisSeen,
    ground: &Ground<'_>,
    cost: Option<&IncrCost>,
) -> Option<Work> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
