//! What rewriting one append-only file gains: a shorter load, for a price that depends on the moment.

use std::time::Duration;

use super::act::Ground;
use super::inventory::RedisInstance;
use super::loads;
use crate::host::redis::eta::{IncrCost, Work};
use crate::host::redis::{Layout, Range, RedisFacts, RedisSeen, compacted_bytes, rewrite_secs};
use crate::host::span::{bytes, words};

/// What a rewrite of one instance would change about its next load, and what it costs.
pub(super) struct Gain {
    pub(super) base: u64,
    pub(super) incr: u64,
    pub(super) compacted: u64,
    pub(super) used_memory: u64,
    /// The load as the files are, and as compacted ones.
    pub(super) now: Work,
    pub(super) then: Work,
    pub(super) takes: Range,
}

impl Gain {
    /// Of an instance as it was seen, with what its increments cost if that was sampled.
    pub(super) fn of(instance: &RedisInstance, seen: &RedisSeen, cost: Option<&IncrCost>, ground: &Ground<'_>) -> Self {
        let facts = seen.facts.as_ref();
        let (base, incr) = facts.map_or((0, 0), parts);
        let used_memory = facts.and_then(|facts| facts.memory.as_ref()).map_or(0, |memory| memory.used_memory);
        let compacted = compacted_bytes(base, incr, used_memory);
        let work = |base, incr| loads::work(instance, (base, incr), seen, ground, cost);
        let last = facts.and_then(|facts| facts.aof.as_ref()).and_then(|aof| aof.last_rewrite_secs);
        let (now, then, takes) = (work(base, incr), work(compacted, 0), rewrite_secs(used_memory, last));
        Self { base, incr, compacted, used_memory, now, then, takes }
    }

    pub(super) fn loads_in(&self) -> f64 {
        self.now.expected().typical
    }

    pub(super) fn would_load_in(&self) -> f64 {
        self.then.expected().typical
    }

    /// Seconds by which the next load is shorter.
    pub(super) fn saving(&self) -> f64 {
        (self.loads_in() - self.would_load_in()).max(0.0)
    }

    /// Both ways beside each other, and where the figures come from.
    pub(super) fn told(&self) -> String {
        format!(
            "as it is {} load in {}, compacted about {} in {}: a rewrite saves {} and {} of loading ({})",
            bytes(self.base + self.incr),
            secs(self.loads_in()),
            bytes(self.compacted),
            secs(self.would_load_in()),
            bytes((self.base + self.incr).saturating_sub(self.compacted)),
            secs(self.saving()),
            self.now.source()
        )
    }

    /// What it costs now, and what it would cost at the other moment.
    pub(super) fn order(&self, services_up: Option<bool>) -> String {
        let takes = secs(self.takes.typical);
        match services_up {
            Some(false) => {
                let more = if self.takes.typical > self.saving() { ", more than it saves" } else { "" };
                format!(
                    "the services are down: nothing is written meanwhile, but its {takes} lengthen the outage{more}"
                )
            }
            _ => format!(
                "while services are up it costs no outage, but up to {} of memory for pages that they change, and what they \
                 write meanwhile is replayed on top; after the stop it would cost neither, and {takes} of outage",
                bytes(self.used_memory / 10 * 7)
            ),
        }
    }
}

/// Bytes of base and of increments. Before Redis 7 both are one file: how much of it is base the server knows once it has
/// rewritten it, and until then the memory gives a guess. Taking all of it for a base would call every rewrite useless.
fn parts(facts: &RedisFacts) -> (u64, u64) {
    let Some(files) = &facts.files else { return (0, 0) };
    let Layout::Single { .. } = files.layout else { return (files.base_bytes(), files.incr_bytes()) };
    let rewritten = facts.aof.as_ref().filter(|aof| aof.last_rewrite_secs.is_some()).map(|aof| aof.base_size);
    let guess = || facts.memory.as_ref().map_or(u64::MAX, |memory| memory.used_memory / 3);
    let base = rewritten.unwrap_or_else(guess).min(files.bytes());
    (base, files.bytes() - base)
}

/// Seconds in words.
pub(super) fn secs(secs: f64) -> String {
    words(Duration::from_secs_f64(secs.clamp(0.0, 1e9)))
}
