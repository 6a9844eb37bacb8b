//! The estimate of loads, held to its figures on recorded loads: see `examples/eta_replay.rs`.
use std::path::Path;

use crate::support::replay::{Clock, Load, Row, errors, read, table};

#[expect(clippy::unwrap_used, reason = "part of the tests")]
fn loads() -> Vec<Load> {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/aof-loads.json.gz")).unwrap()
}

#[expect(clippy::unwrap_used, reason = "part of the tests")]
fn row<'a>(rows: &'a [Row], set: &str) -> &'a Row {
    rows.iter().find(|row| row.set == set).unwrap()
}

#[test]
fn with_one_earlier_load_the_error_is_a_third_of_that_of_redis() {
    let rows = table(&loads(), Clock::Cpu20, true, |_| true);
    for (set, most) in [("all", 14.0), ("mixed", 12.0), ("base", 14.0), ("incr", 14.0), ("quiet", 14.0)] {
        let row = row(&rows, set);
        assert!(row.ours_mape <= most, "{row:?}");
        assert!(row.ours_mape < row.redis_mape, "{row:?}");
        assert!(row.least_shown >= 2.0, "{row:?}");
    }
    let all = row(&rows, "all");
    assert!((75.0..=95.0).contains(&all.interval_coverage), "{all:?}");
}

#[test]
fn any_other_load_teaches_as_well_as_the_one_before() {
    let mut backwards = loads();
    backwards.reverse();
    let rows = table(&backwards, Clock::Cpu20, true, |_| true);
    for (set, most) in [("all", 14.0), ("mixed", 12.0)] {
        let row = row(&rows, set);
        assert!(row.ours_mape <= most && (75.0..=95.0).contains(&row.interval_coverage), "{row:?}");
    }
}

#[test]
fn without_history_it_is_never_worse_than_redis() {
    for row in table(&loads(), Clock::Cpu20, false, |_| true) {
        assert!(row.ours_mape <= row.redis_mape, "{row:?}");
        assert!(row.least_shown >= 2.0, "{row:?}");
    }
}

#[test]
fn behind_a_slow_disk_the_straight_line_is_known_to_be_right() {
    let loads = loads();
    let slow = || loads.iter().enumerate().filter(|(_, load)| load.tag.starts_with("io"));
    for history in [false, true] {
        for (n, load) in slow() {
            let all = errors(&loads, n, Clock::Wall, history);
            let mean =
                |of: &dyn Fn(&(f64, f64)) -> f64| all.iter().map(|e| of(e).abs()).sum::<f64>() / all.len() as f64;
            let (redis, ours) = (mean(&|e| e.0), mean(&|e| e.1));
            assert!(ours <= (1.2 * redis).max(6.0), "{} {}: redis {redis:.1} ours {ours:.1}", load.name, load.tag);
        }
    }
    let rows = table(&loads, Clock::Wall, true, |load| load.tag.starts_with("io"));
    assert_eq!(row(&rows, "disk").loads, slow().count());
}

#[test]
fn on_a_noisy_clock_it_never_promises_an_end_that_is_not_near() {
    let rows = table(&loads(), Clock::Wall, true, |_| true);
    assert!(rows.iter().all(|row| row.least_shown >= 2.0), "{rows:?}");
    let all = row(&rows, "all");
    assert!(all.ours_mape < all.redis_mape, "{all:?}");
}

/// Loads of the benchmark on a quiet machine: other shapes, other sizes, two servers; see `tests/recorded/aof-loads.md`.
#[expect(clippy::unwrap_used, reason = "part of the tests")]
fn benched() -> Vec<Load> {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/aof-loads-bench.json.gz")).unwrap()
}

#[test]
fn other_shapes_on_other_servers_keep_the_bars_of_the_benchmark() {
    for clock in [Clock::Cpu20, Clock::Wall] {
        for (history, most) in [(false, 0.7), (true, 0.5)] {
            let rows = table(&benched(), clock, history, |_| true);
            for set in ["all", "base", "incr", "mixed"] {
                let row = row(&rows, set);
                assert!(row.ours_mape <= most * row.redis_mape && row.least_shown >= 2.0, "{row:?}");
            }
        }
    }
    // And without the files, by their sizes alone.
    let mut unsampled = benched();
    unsampled.iter_mut().for_each(|load| load.counted = None);
    let rows = table(&unsampled, Clock::Cpu20, false, |_| true);
    for set in ["all", "base", "incr", "mixed"] {
        let row = row(&rows, set);
        assert!(row.ours_mape <= row.redis_mape, "{row:?}");
    }
}

#[test]
fn who_loads_beside_others_is_no_worse_than_redis() {
    for history in [false, true] {
        let rows = table(&loads(), Clock::Wall, history, |load| load.tag.starts_with("multi"));
        let together = row(&rows, "together");
        assert!(together.ours_mape <= together.redis_mape, "{together:?}");
    }
}
