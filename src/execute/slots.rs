//! How many items may be in flight: a number between bounds that follows the machine's pressure. Pure.
//!
//! Apps that wait (for a database, for each other) leave the processors idle and profit from many slots; apps that boot
//! are bound by the processors, gain nothing from more than a few, and only take longer each, until they miss their own
//! time-outs. So slots double while all are taken and processors idle, and fall back while tasks queue for them; memory
//! brakes hardest, because what starts then makes everything slower.

use std::time::Duration;

use crate::action::Slots;
use crate::host::pressure::PressureSeen;

/// Between two looks at the pressure.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Share of time with a task waiting for memory above which slots are halved.
const MEMORY_BRAKES: f64 = 0.10;
/// Share of time with a task waiting for a processor above which slots become fewer.
const CPU_BRAKES: f64 = 0.90;
/// Share below which there are processors to spare.
const CPU_SPARE: f64 = 0.50;

/// The number of now, and what it is reckoned from.
#[derive(Debug)]
pub(super) struct Throttle {
    slots: Slots,
    now: usize,
    before: Option<(Duration, PressureSeen)>,
}

impl Throttle {
    pub(super) fn new(slots: Slots) -> Self {
        let slots = Slots { least: slots.least.max(1), most: slots.most.max(slots.least).max(1), ..slots };
        // What is started first comes to rest together, and until then nothing follows it: half as many more keep the
        // processors busy meanwhile.
        Self { slots, now: (slots.least + slots.least / 2).min(slots.most), before: None }
    }

    /// Items that may be in flight now.
    pub(super) fn now(&self) -> usize {
        self.now
    }

    /// Whether looking at the pressure can change anything.
    pub(super) fn adapts(&self) -> bool {
        self.slots.least < self.slots.most
    }

    /// Takes in a look at time `at`; `taken` when every slot is in use and items wait for one.
    pub(super) fn felt(&mut self, at: Duration, seen: Option<PressureSeen>, taken: bool) {
        let Some(seen) = seen else {
            self.now = self.slots.fixed.clamp(self.slots.least, self.slots.most);
            self.before = None;
            return;
        };
        let Some((since, before)) = self.before.replace((at, seen)) else { return };
        let span = at.saturating_sub(since).as_secs_f64() * 1e6;
        if span <= 0.0 {
            return;
        }
        let share = |now: u64, then: u64| now.saturating_sub(then) as f64 / span;
        let (cpu, memory) = (share(seen.cpu, before.cpu), share(seen.memory, before.memory));
        let next = if memory > MEMORY_BRAKES {
            self.now / 2
        } else if cpu > CPU_BRAKES {
            self.now - self.now.div_ceil(8)
        } else if cpu < CPU_SPARE && taken {
            self.now * 2
        } else {
            self.now
        };
        self.now = next.clamp(self.slots.least, self.slots.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: Slots = Slots { least: 8, fixed: 32, most: 64 };

    /// Feeds shares of cpu and memory pressure in percent, one per look.
    fn played(looks: &[(u64, u64)], taken: bool) -> Vec<usize> {
        let mut throttle = Throttle::new(SLOTS);
        let (mut at, mut seen) = (Duration::from_secs(100), PressureSeen { cpu: 7, memory: 9 });
        throttle.felt(at, Some(seen), taken);
        let mut all = vec![throttle.now()];
        for (cpu, memory) in looks {
            at += LOOK_EVERY;
            seen = PressureSeen { cpu: seen.cpu + cpu * 2_500, memory: seen.memory + memory * 2_500 };
            throttle.felt(at, Some(seen), taken);
            all.push(throttle.now());
        }
        all
    }

    #[test]
    fn idle_processors_open_slots_and_queues_for_them_close_some() {
        assert_eq!(played(&[(0, 0), (10, 0), (0, 0), (0, 0)], true), [12, 24, 48, 64, 64]);
        assert_eq!(played(&[(0, 0), (0, 0)], false), [12, 12, 12], "slots that nobody wants do not multiply");
        assert_eq!(played(&[(99, 0), (99, 0)], true), [12, 10, 8], "plain apps come down to the least");
        assert_eq!(played(&[(0, 0), (0, 0), (99, 0), (70, 0), (99, 0)], true), [12, 24, 48, 42, 42, 36]);
        assert_eq!(played(&[(0, 0), (0, 0), (0, 0), (0, 20), (0, 20)], true), [12, 24, 48, 64, 32, 16]);
    }

    #[test]
    fn without_a_measure_the_number_is_fixed() {
        let mut throttle = Throttle::new(SLOTS);
        throttle.felt(Duration::from_secs(1), None, true);
        assert_eq!(throttle.now(), 32);
        let one = Throttle::new(Slots { least: 0, fixed: 0, most: 0 });
        assert!(!one.adapts() && one.now() == 1);
    }
}
