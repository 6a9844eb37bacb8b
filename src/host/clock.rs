//! The three clocks of a run: the wall for windows and display, the boot clock for durations, and sleeping.
//!
//! Durations never come from the wall clock: it jumps when NTP first answers after a boot without an RTC battery.
//! CLOCK_BOOTTIME also counts suspended time, so a laptop lid cannot stretch a deadline; it restarts at zero with
//! every boot, hence a reading means something only beside its boot id.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The wall clock: for maintenance windows and for showing to people, never for measuring.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Time since the kernel started, suspends included (CLOCK_BOOTTIME). Comparable only within one boot id.
#[must_use]
pub fn boottime() -> Duration {
    let at = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
}

/// Waits without holding a thread.
#[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
pub async fn sleep(how_long: Duration) {
    tokio::time::sleep(how_long).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_boot_clock_measures_a_sleep() {
        let before = boottime();
        sleep(Duration::from_millis(30)).await;
        let took = boottime() - before;
        assert!(took >= Duration::from_millis(29) && took < Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn the_wall_clock_is_later_than_this_file() {
        assert!(now().as_second() > 1_700_000_000);
    }
}
