//! What changes while the fan is out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Tally;
use super::outcomes::once_each;
use crate::action::Change;
use crate::execute::ExecuteError;
use crate::execute::lanes::Lanes;
use crate::execute::slots::Throttle;
use crate::execute::stop::Urge;
use crate::host::pressure::PressureSeen;
use crate::journal::checkpoint::Checkpoint;

/// See the module.
pub(super) struct Work {
    pub(super) lanes: Lanes,
    pub(super) tally: Tally,
    /// The last word on each item: shown when it has to be given up.
    pub(super) said: BTreeMap<String, String>,
    /// Slots that follow the machine's pressure.
    pub(super) throttle: Option<Throttle>,
    /// The journal has no room for new intents.
    pub(super) full: Option<ExecuteError>,
    /// Outcomes that wait for the sync of the next intents, and whether a time for them is running.
    pub(super) held: Vec<Checkpoint>,
    pub(super) timed: bool,
    /// The first required failure was seen, and a time for those that fail with it is running.
    pub(super) gathering: bool,
}

impl Work {
    pub(super) fn new(change: &Change) -> Self {
        let throttle = change.slots.map(Throttle::new);
        let (said, held) = (BTreeMap::new(), Vec::new());
        Self {
            lanes: Lanes::new(change),
            tally: Tally::default(),
            said,
            throttle,
            full: None,
            held,
            timed: false,
            gathering: false,
        }
    }

    /// Whether outcomes may wait for company: only in a fan of hundreds, and only while others are in flight.
    pub(super) fn may_hold(&self) -> bool {
        let goes_on = self.tally.stopped == Urge::None && self.full.is_none();
        self.throttle.is_some() && goes_on && self.lanes.flying().next().is_some()
    }

    /// The outcomes held back, to be written now.
    pub(super) fn release(&mut self) -> Vec<Checkpoint> {
        let mut held = std::mem::take(&mut self.held);
        once_each(&mut held);
        held
    }

    /// Whether a first required failure has just been seen; once.
    pub(super) fn gathers(&mut self) -> bool {
        let first = !self.gathering && self.in_vain().is_some();
        self.gathering |= first;
        first
    }

    /// Why what is still waited for is waited for in vain.
    pub(super) fn in_vain(&self) -> Option<String> {
        let lost = self.tally.lost.iter().find(|loss| !loss.optional)?;
        Some(format!("no longer waited for, because {} cannot come", lost.key))
    }

    pub(super) fn felt(&mut self, at: Duration, seen: Option<PressureSeen>) {
        if let Some(throttle) = &mut self.throttle {
            let taken = self.lanes.crowded(throttle.now());
            throttle.felt(at, seen, taken);
        }
    }

    /// Nothing is in flight, and nothing will start any more.
    pub(super) fn over(&self) -> bool {
        let idle = self.lanes.flying().next().is_none();
        idle && (self.lanes.empty() || self.tally.leaving || self.tally.stopped != Urge::None || self.full.is_some())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::action::{Item, Sign, Slots, Wave};
    use crate::journal::checkpoint::StepId;

    #[test]
    fn outcomes_wait_only_in_a_wide_fan_that_goes_on() {
        let wave = Wave { at_once: 1, ..Wave::default() };
        let items = vec![Item::new("a", Sign::Add, "", "")];
        let wide = Change {
            waves: vec![wave],
            items,
            slots: Some(Slots { least: 1, fixed: 1, most: 4 }),
            ..Change::default()
        };
        let narrow = Change { slots: None, ..wide.clone() };
        let begun = |change: &Change| {
            let mut work = Work::new(change);
            work.lanes.ask_next();
            let ready = work.lanes.take_ready(Some(1));
            (work, ready)
        };
        assert!(!begun(&narrow).0.may_hold(), "an effect of its own kind is on record at once");
        let (mut work, ready) = begun(&wide);
        assert!(work.may_hold());
        work.tally.stopped = Urge::Pause;
        assert!(!work.may_hold(), "whoever stops wants to know where everything stands");
        work.tally.stopped = Urge::None;
        work.lanes.land(&ready[0], false);
        assert!(!work.may_hold(), "nobody is left whose sync could be shared");
    }

    #[test]
    fn what_is_held_is_given_once_and_kept_values_once() {
        let mut work = Work::new(&Change::default());
        let kept =
            |value: u32| Checkpoint::Captured { step: StepId::new("p/1"), key: "k".into(), value: json!(value).into() };
        work.held = vec![kept(1), kept(2)];
        assert_eq!(work.release(), [kept(1)], "what is captured is write-once");
        assert!(work.release().is_empty());
    }
}
