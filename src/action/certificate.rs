//! A certificate that ceases to hold while the host is down: nothing that asks the server behind it would get an answer.

use std::time::Duration;

use jiff::Timestamp;

use super::change::{Concern, Weight};
use super::inventory::RedisInstance;
use crate::host::redis::RedisSeen;

/// Longer than any window: within a day somebody renews it in daylight, or nobody does.
const SOON: Duration = Duration::from_secs(24 * 3600);

/// The warning about an instance whose certificate ends soon after `now`.
pub(super) fn ending(instance: &RedisInstance, seen: &RedisSeen, now: Timestamp) -> Option<Concern> {
    let until = seen.facts.as_ref()?.certified_until?;
    let soon = now.checked_add(SOON).is_ok_and(|soon| until <= soon);
    soon.then(|| {
        let told = format!("its certificate ends at {until}; from then on nothing that verifies it gets an answer");
        Concern::new(Weight::Warn, &instance.name, told, "renew it before the window")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_within_a_day_is_told() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let instance = RedisInstance::declared("bds", "rediss://127.0.0.1:6390");
        let mut facts = crate::host::redis::testbed::recorded("idle");
        for (until, told) in
            [(None, false), (Some("2026-11-23T09:00:00Z"), true), (Some("2026-12-22T10:00:00Z"), false)]
        {
            facts.certified_until = until.map(|until| until.parse().unwrap());
            let seen =
                RedisSeen { door: crate::host::redis::Door::Open, facts: Some(facts.clone()), unseen: Vec::new() };
            let concern = ending(&instance, &seen, now);
            assert_eq!(concern.is_some_and(|one| one.seen.contains("2026-11-23T09:00:00Z")), told, "{until:?}");
        }
    }
}
