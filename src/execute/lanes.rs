//! The bookkeeping of waves: which gates to ask, which items have a slot, which will never start. Pure.

use std::collections::VecDeque;

use crate::action::{Change, Item};

/// One wave's queue.
#[derive(Debug, Default)]
struct Lane {
    name: String,
    after: Vec<usize>,
    gated: bool,
    at_once: usize,
    regardless: bool,
    soft: Vec<usize>,
    lost_at_most: usize,
    waiting: VecDeque<Item>,
    flying: Vec<Item>,
    /// Started, and still to prove themselves: they are in flight and hold no slot.
    proving: Vec<Item>,
    state: Gate,
    /// Required items that failed here, by name: what comes after must not start, unless it can do without them.
    lost: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Gate {
    #[default]
    Shut,
    Asked,
    Open,
    Closed,
}

impl Lane {
    fn ended(&self) -> bool {
        self.waiting.is_empty() && self.flying.is_empty() && self.proving.is_empty()
    }
}

/// The queues of all waves of a change.
#[derive(Debug)]
pub(super) struct Lanes(Vec<Lane>);

impl Lanes {
    /// Sorts the items of a change into their waves.
    pub(super) fn new(change: &Change) -> Self {
        let count = change.waves.len().max(1);
        let mut lanes: Vec<Lane> = (0..count)
            .map(|index| {
                let wave = change.wave(index);
                Lane {
                    name: wave.name,
                    after: wave.after,
                    gated: wave.gated,
                    at_once: wave.at_once,
                    regardless: wave.regardless,
                    soft: wave.soft,
                    lost_at_most: wave.lost_at_most,
                    ..Lane::default()
                }
            })
            .collect();
        for item in &change.items {
            if let Some(lane) = lanes.get_mut(item.wave.min(count - 1)) {
                lane.waiting.push_back(item.clone());
            }
        }
        Self(lanes)
    }

    /// Waves whose predecessors have ended; their gates are to be asked now. Ungated ones open by themselves.
    pub(super) fn ask_next(&mut self) -> Vec<usize> {
        let mut ask = Vec::new();
        for index in 0..self.0.len() {
            let ready = self.0[index].state == Gate::Shut
                && !self.0[index].waiting.is_empty()
                && self.0[index].after.iter().all(|w| self.over(*w));
            if ready {
                let lane = &mut self.0[index];
                lane.state = if lane.gated { Gate::Asked } else { Gate::Open };
                if lane.gated {
                    ask.push(index);
                }
            }
        }
        ask
    }

    /// Whether a wave and everything that it comes after has ended; a wave without items hands its predecessors on.
    fn over(&self, index: usize) -> bool {
        self.0.get(index).is_none_or(|lane| lane.ended() && lane.after.iter().all(|w| self.over(*w)))
    }

    /// Waves that cannot start any more because one they come after is broken, with the reason.
    pub(super) fn unreachable(&self) -> Vec<(usize, String)> {
        let waits = |(_, lane): &(usize, &Lane)| lane.state == Gate::Shut && !lane.waiting.is_empty();
        let shut = self.0.iter().enumerate().filter(waits);
        shut.filter_map(|(index, lane)| {
            let culprit = self.culprit(lane)?;
            let who = match culprit.lost.as_slice() {
                [] => format!("`{}`", culprit.name),
                [one] if *one == culprit.name => format!("`{one}`"),
                [one] => format!("{one} of `{}`", culprit.name),
                [one, more @ ..] => format!("{one} of `{}` (and {} more of it)", culprit.name, more.len()),
            };
            Some((index, format!("{who} before it did not come up")))
        })
        .collect()
    }

    /// The wave before this one whose losses keep it shut, however far back.
    fn culprit<'l>(&'l self, lane: &'l Lane) -> Option<&'l Lane> {
        if lane.regardless {
            return None;
        }
        let before = |w: &usize| self.0.get(*w);
        let lost: usize = lane.soft.iter().filter_map(before).map(|before| before.lost.len()).sum();
        if lost > lane.lost_at_most {
            return lane.soft.iter().filter_map(before).find(|before| !before.lost.is_empty());
        }
        lane.after.iter().filter(|w| !lane.soft.contains(w)).filter_map(before).find_map(|before| {
            let broken = !before.lost.is_empty() || before.state == Gate::Closed;
            if broken { Some(before) } else { self.culprit(before) }
        })
    }

    /// The gate of a wave holds.
    pub(super) fn open(&mut self, index: usize) {
        if let Some(lane) = self.0.get_mut(index) {
            lane.state = Gate::Open;
        }
    }

    /// A wave will never start: hands out its items.
    pub(super) fn close(&mut self, index: usize) -> Vec<Item> {
        let Some(lane) = self.0.get_mut(index) else {
            return Vec::new();
        };
        lane.state = Gate::Closed;
        let never: Vec<Item> = lane.waiting.drain(..).collect();
        lane.lost.extend(never.iter().filter(|item| !item.optional).map(|item| item.key.clone()));
        never
    }

    /// Items that have a slot now; they count as flying from here on. `budget` is the number of slots that all limited
    /// waves share; without it each has its own.
    pub(super) fn take_ready(&mut self, budget: Option<usize>) -> Vec<Item> {
        let mut ready = Vec::new();
        let mut left = budget.map(|budget| budget.saturating_sub(self.limited_flying()));
        for lane in self.0.iter_mut().filter(|lane| lane.state == Gate::Open) {
            let slots = match (lane.at_once, left.as_mut()) {
                (0, _) => usize::MAX,
                (at_once, None) => at_once.saturating_sub(lane.flying.len()),
                (_, Some(left)) => {
                    let mine = (*left).min(lane.waiting.len());
                    *left -= mine;
                    mine
                }
            };
            let count = slots.min(lane.waiting.len());
            for item in lane.waiting.drain(..count) {
                lane.flying.push(item.clone());
                ready.push(item);
            }
        }
        ready
    }

    fn limited_flying(&self) -> usize {
        self.0.iter().filter(|lane| lane.at_once > 0).map(|lane| lane.flying.len()).sum()
    }

    /// Whether items of an open wave wait although `budget` slots are in use.
    pub(super) fn crowded(&self, budget: usize) -> bool {
        let waits = |lane: &Lane| lane.state == Gate::Open && lane.at_once > 0 && !lane.waiting.is_empty();
        self.limited_flying() >= budget && self.0.iter().any(waits)
    }

    /// An item in flight needs its slot no longer.
    pub(super) fn free_slot(&mut self, key: &str) {
        for lane in &mut self.0 {
            if let Some(at) = lane.flying.iter().position(|item| item.key == key) {
                lane.proving.push(lane.flying.swap_remove(at));
            }
        }
    }

    /// An item has landed; `failed` when it was required and did not come about.
    pub(super) fn land(&mut self, item: &Item, failed: bool) {
        let last = self.0.len().saturating_sub(1);
        if let Some(lane) = self.0.get_mut(item.wave.min(last)) {
            lane.flying.retain(|flying| flying.key != item.key);
            lane.proving.retain(|proving| proving.key != item.key);
            // One of our own chores is what its wave is called after.
            let name = if item.is_chore() { &lane.name } else { &item.key };
            lane.lost.extend(failed.then(|| name.clone()));
        }
    }

    /// What is in flight, with or without a slot.
    pub(super) fn flying(&self) -> impl Iterator<Item = &Item> {
        self.0.iter().flat_map(|lane| lane.flying.iter().chain(&lane.proving))
    }

    /// Waves that still have items waiting.
    pub(super) fn with_waiting(&self) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, lane)| !lane.waiting.is_empty()).map(|(index, _)| index).collect()
    }

    /// Nothing waits and nothing flies.
    pub(super) fn empty(&self) -> bool {
        self.0.iter().all(Lane::ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Sign, Wave};

    fn change(waves: Vec<Wave>, items: &[(&str, usize)]) -> Change {
        let item = |(key, wave): &(&str, usize)| Item::new(*key, Sign::Add, "", "").in_wave(*wave);
        Change { waves, items: items.iter().map(item).collect(), ..Change::default() }
    }

    fn keys(items: &[Item]) -> Vec<&str> {
        items.iter().map(|item| item.key.as_str()).collect()
    }

    #[test]
    fn slots_are_refilled_as_items_land() {
        let mut lanes =
            Lanes::new(&change(vec![Wave { at_once: 2, ..Wave::default() }], &[("a", 0), ("b", 0), ("c", 0)]));
        assert!(lanes.take_ready(None).is_empty(), "a wave opens only when asked");
        assert!(lanes.ask_next().is_empty(), "an ungated wave opens by itself");
        let first = lanes.take_ready(None);
        assert_eq!(keys(&first), ["a", "b"]);
        assert!(lanes.take_ready(None).is_empty());
        lanes.land(&first[0], false);
        assert_eq!(keys(&lanes.take_ready(None)), ["c"]);
        assert!(!lanes.empty());
    }

    #[test]
    fn an_item_that_proves_itself_holds_no_slot_and_still_holds_its_followers() {
        let limited = Wave { at_once: 1, ..Wave::default() };
        let after = Wave { after: vec![0], at_once: 1, ..Wave::default() };
        let mut lanes = Lanes::new(&change(vec![limited.clone(), limited, after], &[("a", 0), ("b", 1), ("c", 2)]));
        lanes.ask_next();
        let first = lanes.take_ready(Some(1));
        assert_eq!(keys(&first), ["a"], "all waves share the slots");
        assert!(lanes.crowded(1) && !lanes.crowded(2));
        lanes.free_slot("a");
        assert_eq!(keys(&lanes.take_ready(Some(1))), ["b"]);
        assert!(lanes.ask_next().is_empty() && lanes.flying().count() == 2);
        lanes.land(&first[0], false);
        lanes.free_slot("b");
        lanes.ask_next();
        assert_eq!(keys(&lanes.take_ready(Some(1))), ["c"], "once the first is proven, what comes after it starts");
    }

    #[test]
    fn a_broken_wave_keeps_its_followers_shut() {
        let after = |w| Wave { name: format!("w{w}"), after: vec![w], ..Wave::default() };
        let first = Wave { name: "ids".into(), ..Wave::default() };
        let mut lanes = Lanes::new(&change(vec![first, after(0), Wave::default()], &[("a", 0), ("b", 1), ("c", 2)]));
        lanes.ask_next();
        let ready = lanes.take_ready(None);
        assert_eq!(keys(&ready), ["a", "c"]);
        lanes.land(&ready[0], true);
        let (index, why) = lanes.unreachable().pop().unwrap();
        assert_eq!((index, why.as_str()), (1, "a of `ids` before it did not come up"));
        assert_eq!(keys(&lanes.close(1)), ["b"]);
        lanes.land(&ready[1], false);
        assert!(lanes.empty());
    }

    #[test]
    fn a_chore_that_failed_is_told_by_the_name_of_its_wave() {
        let daemon = Wave { name: "daemon".into(), ..Wave::default() };
        let apps = Wave { after: vec![0], ..Wave::default() };
        let mut changed = change(vec![daemon, apps], &[("a", 1)]);
        changed.items.push(Item::new(crate::action::Chore::Daemon, Sign::Add, "", ""));
        let mut lanes = Lanes::new(&changed);
        lanes.ask_next();
        let ready = lanes.take_ready(None);
        lanes.land(&ready[0], true);
        assert_eq!(lanes.unreachable()[0].1, "`daemon` before it did not come up");
    }

    #[test]
    fn a_soft_need_starts_without_as_many_as_it_can_do_without() {
        let first = Wave { name: "ids".into(), ..Wave::default() };
        let soft = Wave { after: vec![0], soft: vec![0], lost_at_most: 1, ..Wave::default() };
        let hard = Wave { after: vec![0], ..Wave::default() };
        let mut lanes = Lanes::new(&change(vec![first, soft, hard], &[("a", 0), ("b", 0), ("s", 1), ("h", 2)]));
        lanes.ask_next();
        let ready = lanes.take_ready(None);
        lanes.land(&ready[0], true);
        assert_eq!(lanes.unreachable().len(), 1, "only the hard one");
        assert!(lanes.ask_next().is_empty(), "those before it have not ended");
        lanes.land(&ready[1], true);
        let told: Vec<String> = lanes.unreachable().into_iter().map(|(index, why)| format!("{index} {why}")).collect();
        let why = "a of `ids` (and 1 more of it) before it did not come up";
        assert_eq!(told, [format!("1 {why}"), format!("2 {why}")], "one too many");
    }

    #[test]
    fn an_empty_wave_hands_its_predecessors_on() {
        let after = |w: usize| Wave { name: format!("after {w}"), after: vec![w], ..Wave::default() };
        let first = Wave { name: "unit".into(), ..Wave::default() };
        let mut lanes = Lanes::new(&change(vec![first, after(0), after(1)], &[("unit", 0), ("app", 2)]));
        lanes.ask_next();
        let ready = lanes.take_ready(None);
        assert_eq!(keys(&ready), ["unit"], "the app waits although the wave before it is empty");
        lanes.land(&ready[0], true);
        assert_eq!(lanes.unreachable().len(), 1, "and does not start when the unit failed");
    }

    #[test]
    fn a_gate_is_asked_once_and_opens_later() {
        let mut lanes = Lanes::new(&change(vec![Wave { gated: true, ..Wave::default() }], &[("a", 0)]));
        assert_eq!(lanes.ask_next(), [0]);
        assert!(lanes.ask_next().is_empty() && lanes.take_ready(None).is_empty());
        lanes.open(0);
        assert_eq!(keys(&lanes.take_ready(None)), ["a"]);
    }
}
