//! What actions know of Redis loads: the work ahead of an instance, the loads it has had, and who loads beside whom.
//!
//! The estimate itself is in [`crate::host::redis::eta`]; here it meets the machine and what the run has captured.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::act::Ground;
use super::inventory::RedisInstance;
use crate::host::Probe;
use crate::host::json_text::JsonText;
use crate::host::redis::eta::{
    Expected, History, IncrCost, LEAST, Left, LoadEta, LoadRecord, Loader, Regime, Work, finishes,
};
use crate::host::redis::{AofFiles, RedisSeen};
use crate::host::span::Span;

/// Increments below this load within a second or two whatever they hold.
const WORTH_SAMPLING: u64 = 16 << 20;

/// The key under which a finished load of an instance is captured.
#[must_use]
pub fn key(instance: &str) -> String {
    format!("{KEY}{instance}")
}

const KEY: &str = "load.";

/// A captured value as the load that it is; `None` for every other value.
#[must_use]
pub fn record_of(key: &str, value: &JsonText) -> Option<LoadRecord> {
    let instance = key.strip_prefix(KEY)?;
    value.read::<LoadRecord>().ok().filter(|load| load.instance == instance)
}

/// The loads known to a run, oldest first: those that earlier runs measured, then its own.
fn known(ground: &Ground<'_>) -> History {
    let mut history = ground.baseline.loads.clone();
    ground.kept.iter().filter_map(|(key, value)| record_of(key, value)).for_each(|load| history.add(load));
    history
}

/// The files that the next start of an instance reads: as seen now or, while nothing answers, in the baseline.
pub(super) fn files<'a>(instance: &RedisInstance, now: &'a RedisSeen, ground: &Ground<'a>) -> Option<&'a AofFiles> {
    let of = |seen: &'a RedisSeen| seen.facts.as_ref().and_then(|facts| facts.files.as_ref());
    of(now).or_else(|| ground.baseline.redis(&instance.at()).and_then(of))
}

/// What the increments of an instance cost, asked only where the answer matters and its own loads do not tell it better.
pub(super) async fn incr_cost(
    instance: &RedisInstance,
    now: &RedisSeen,
    on: &dyn Probe,
    ground: &Ground<'_>,
) -> Option<IncrCost> {
    let files = files(instance, now, ground)?;
    let learned = known(ground).of(&instance.name, None).iter().any(|load| load.incr.bytes > 0);
    if learned || files.incr_bytes() < WORTH_SAMPLING {
        return None;
    }
    on.incr_cost(files).await.ok().flatten()
}

/// The work of loading so many bytes of base and increments.
pub(super) fn work(
    instance: &RedisInstance,
    sizes: (u64, u64),
    now: &RedisSeen,
    ground: &Ground<'_>,
    cost: Option<&IncrCost>,
) -> Work {
    let before = ground.baseline.redis(&instance.at());
    let facts = now.facts.as_ref().or_else(|| before.and_then(|seen| seen.facts.as_ref()));
    let server = facts.map(|facts| facts.server.label());
    let mut work = Work::of_sizes(sizes.0, sizes.1).on_disk(ground.baseline.disk_rate);
    if let Some(cost) = cost {
        work = work.sampled(cost);
    }
    work.learned(&known(ground).of(&instance.name, server.as_deref()))
}

/// As a span, with what a start costs beside reading.
pub(super) fn span(expected: Expected) -> Span {
    Span::secs(expected.typical + 1.0, expected.high + 3.0)
}

/// Where the loads of one step tell each other how much they still have to do. Not part of the wish: two wishes with
/// different boards are equal, and a board is neither written nor read.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<String, Posted>>>);

impl PartialEq for Board {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Board {}

/// What one load has posted.
#[derive(Debug, Clone, Copy)]
struct Posted {
    heard: Duration,
    /// When counting began.
    began: Duration,
    /// Processor seconds since then, and still to go.
    used: f64,
    left: f64,
    done: bool,
}

impl Posted {
    fn loader(&self, now: Duration) -> Loader {
        let elapsed = now.saturating_sub(self.began).as_secs_f64();
        Loader { cpu_left: self.left, processors: if elapsed > 0.0 { self.used / elapsed } else { 0.0 } }
    }
}

/// A load that has not been heard of for so long is no longer watched.
const HEARD: Duration = Duration::from_secs(15);

impl Board {
    /// Posts what an instance still has to do and returns its estimate with the others taken into account: they share the
    /// processors with it now, and will be out of the way later. What those had that are done is there for the rest.
    pub fn beside(&self, instance: &str, now: Duration, left: Left, eta: &LoadEta) -> Left {
        let (used, elapsed) = (eta.cpu_used(), eta.elapsed());
        let posted = Posted {
            heard: now,
            began: now.saturating_sub(Duration::from_secs_f64(elapsed.clamp(0.0, 1e9))),
            used,
            left: left.cpu_secs,
            done: false,
        };
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.insert(instance.to_owned(), posted);
        board.retain(|_, posted| posted.done || now.saturating_sub(posted.heard) < HEARD);
        let own = posted.loader(now);
        if board.len() < 2 || own.processors <= 0.0 || left.regime != Regime::Cpu || left.cpu_secs <= 0.0 {
            return left;
        }
        let loaders: Vec<Loader> = board.values().map(|posted| posted.loader(now)).collect();
        let place = board.keys().position(|name| name == instance);
        let Some(together) = place.and_then(|place| finishes(&loaders).get(place).copied()) else {
            return left;
        };
        let ratio = together / (left.cpu_secs / own.processors);
        let typical = (left.typical * ratio).max(LEAST);
        Left { typical, low: (left.low * ratio).min(typical), high: (left.high * ratio).max(typical), ..left }
    }

    /// An instance is loaded. When it was the last one, all of them are forgotten.
    pub fn done(&self, instance: &str) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(posted) = board.get_mut(instance) {
            posted.done = true;
            posted.left = 0.0;
        }
        if board.values().all(|posted| posted.done) {
            board.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::redis::eta::{Position, Sample};

    #[test]
    fn a_captured_load_comes_back() {
        let sample = |seconds: f64, bytes| Sample {
            seconds,
            bytes,
            cpu_secs: Some(seconds / 2.0),
            runqueue_secs: Some(seconds / 2.0),
        };
        let samples = [sample(0.0, 0), sample(5.0, 500), sample(10.0, 1000)];
        let load = LoadRecord::of("bds", "redis 7.0.15", (1000, 0), &samples).unwrap();
        let kept = BTreeMap::from([
            (key("bds"), JsonText::of(&load).unwrap()),
            (key("other"), JsonText::of(&load).unwrap()),
            ("load".to_owned(), true.into()),
        ]);
        let records: Vec<_> = kept.iter().map(|(key, value)| record_of(key, value)).collect();
        assert_eq!(records, [None, Some(load), None], "filed under another's name is filed nowhere");
    }

    #[test]
    fn the_long_load_is_told_that_the_short_one_will_be_gone() {
        // Each has had a quarter of a processor for 100 seconds.
        let eta = |seconds: f64| {
            let mut eta = LoadEta::new(Work::of_sizes(1000, 0));
            for (seconds, bytes) in [(0.0, 0), (seconds, 500)] {
                eta.feed(Sample { seconds, bytes, cpu_secs: Some(seconds / 4.0), runqueue_secs: None });
            }
            eta
        };
        let board = Board::default();
        let left = |cpu_secs: f64, wall: f64| Left {
            typical: wall,
            low: wall / 2.0,
            high: wall * 2.0,
            cpu_secs,
            done: 0.5,
            position: Position::Base,
            regime: Regime::Cpu,
            stalled: None,
        };
        let now = Duration::from_secs(500);
        let long = |now| board.beside("long", now, left(30.0, 120.0), &eta(100.0)).typical.round();
        assert_eq!(long(now), 120.0, "alone so far");
        assert_eq!(board.beside("short", now, left(10.0, 40.0), &eta(100.0)).typical, 40.0);
        assert_eq!(long(now), 80.0);
        board.done("short");
        assert_eq!(long(now), 60.0, "it has the half processor to itself");
        board.done("long");
        assert_eq!(long(now), 120.0, "another day");
    }

    /// Four loads that share one processor evenly: at some moments, what the longest is told is left and what really is, and
    /// what it would be told alone.
    fn four_at_once() -> Vec<(f64, f64, f64)> {
        let needs = [10.0, 20.0, 30.0, 60.0_f64];
        let works = needs.map(|secs| Work::of_sizes((secs * 1e8) as u64, 0));
        let mut etas = works.clone().map(LoadEta::new);
        let (board, mut used, mut said) = (Board::default(), [0.0; 4], Vec::new());
        for second in 0..120_u32 {
            let now = f64::from(second);
            for n in 0..4 {
                if used[n] >= needs[n] - 1e-6 {
                    board.done(&n.to_string());
                    continue;
                }
                let bytes = works[n].bytes_at(used[n] / needs[n]);
                let (cpu_secs, runqueue_secs) = (Some(used[n]), Some(now - used[n]));
                etas[n].feed(Sample { seconds: now, bytes, cpu_secs, runqueue_secs });
                let alone = etas[n].left(now).unwrap();
                let left = board.beside(&n.to_string(), Duration::from_secs_f64(now), alone, &etas[n]);
                assert!(left.typical >= LEAST, "{left:?}");
                if n == 3 && [12, 30, 60, 90].contains(&second) {
                    said.push((left.typical, 120.0 - now, alone.typical));
                }
            }
            let active = (0..4).filter(|n| used[*n] < needs[*n] - 1e-6).count() as f64;
            (0..4)
                .filter(|n| used[*n] < needs[*n] - 1e-6)
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|n| used[n] += 1.0 / active);
        }
        said
    }

    #[test]
    fn the_last_of_four_loads_on_one_processor_knows_that_it_will_have_it_to_itself() {
        let said = four_at_once();
        for (told, left, _) in &said {
            assert!((told / left - 1.0).abs() < 0.15, "{said:?}");
        }
        let (_, left, alone) = said[0];
        assert!(alone > 1.5 * left, "without the others it would be told far more: {said:?}");
    }
}
