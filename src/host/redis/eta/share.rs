//! Several servers that load at once on too few processors: when each of them is done.
//!
//! After a boot they all start together. Each knows its own work, none knows that the others will soon be out of the way, so
//! the longest one would promise far too late a finish all along. A small simulation of a shared supply settles it.

use super::Expected;
use super::work::Work;

/// One server that loads beside others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loader {
    /// Processor seconds it still needs.
    pub cpu_left: f64,
    /// Processors it has had so far: 1 is a whole one.
    pub processors: f64,
}

/// Seconds until each is done, in their order, when what they had together goes on being shared evenly among those who still
/// load, no one getting more than one processor.
#[must_use]
pub fn finishes(loaders: &[Loader]) -> Vec<f64> {
    let supply: f64 = loaders.iter().map(|one| one.processors.max(0.0)).sum();
    finishes_with(if supply > 0.0 { supply } else { loaders.len() as f64 }, loaders)
}

/// The same with a known supply, in processors.
#[must_use]
pub fn finishes_with(supply: f64, loaders: &[Loader]) -> Vec<f64> {
    let mut done = vec![0.0; loaders.len()];
    let mut order: Vec<(usize, f64)> = loaders.iter().map(|one| one.cpu_left.max(0.0)).enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut now, mut given) = (0.0, 0.0);
    for (place, (index, left)) in order.iter().enumerate() {
        let active = (order.len() - place) as f64;
        let speed = (supply / active).clamp(1e-6, 1.0);
        now += (left - given) / speed;
        given = *left;
        if let Some(slot) = done.get_mut(*index) {
            *slot = now;
        }
    }
    done
}

/// What is left of loads that run at once on so many processors, each with the share of its time that is still to go.
#[must_use]
pub fn side_by_side(loads: &[(&Work, f64)], cpus: u32) -> Vec<Expected> {
    let loader = |(work, share): &(&Work, f64)| Loader { cpu_left: work.cpu_secs() * share, processors: 0.0 };
    let loaders: Vec<Loader> = loads.iter().map(loader).collect();
    let ends = finishes_with(f64::from(cpus.max(1)), &loaders);
    let left = |((work, share), end): (&(&Work, f64), f64)| {
        let alone = work.expected();
        // The wall time of an earlier load holds what the others took from it then; it is not to be counted twice.
        let stretch = if work.loads() > 0 { 1.0 } else { work.wall_per_cpu() };
        let typical = (alone.typical * share).max(end * stretch);
        let ratio = if alone.typical > 0.0 { typical / alone.typical } else { 0.0 };
        Expected { typical, low: alone.low * ratio, high: alone.high * ratio }
    };
    loads.iter().zip(ends).map(left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_loads_than_processors_take_longer_each_and_no_more_are_not_held_up() {
        let work = Work::of_sizes(1_000_000_000, 0);
        let alone = work.expected().typical;
        let all = |n: usize, cpus| side_by_side(&vec![(&work, 1.0); n], cpus)[n - 1].typical;
        assert!((all(2, 2) - alone).abs() < 1e-6);
        assert!((all(4, 2) - 2.0 * alone).abs() < 1e-6);
        let half = side_by_side(&[(&work, 0.5), (&work, 1.0)], 1);
        assert!((half[0].typical - alone).abs() < 1e-6 && (half[1].typical - 1.5 * alone).abs() < 1e-6, "{half:?}");
        assert!(half[0].low < half[0].typical && half[0].typical < half[0].high);
    }

    fn loader(cpu_left: f64, processors: f64) -> Loader {
        Loader { cpu_left, processors }
    }

    #[test]
    fn the_last_one_runs_alone_in_the_end() {
        // Half a processor for two: they share it until the short one is done, then the long one has it alone.
        let done = finishes(&[loader(10.0, 0.25), loader(30.0, 0.25)]);
        assert!((done[0] - 40.0).abs() < 1e-9 && (done[1] - 80.0).abs() < 1e-9, "{done:?}");
    }

    #[test]
    fn nobody_runs_on_two_processors() {
        assert_eq!(finishes(&[loader(5.0, 1.0), loader(7.0, 1.0)]), vec![5.0, 7.0]);
        assert_eq!(finishes_with(8.0, &[loader(5.0, 0.0)]), vec![5.0]);
        assert!(finishes(&[]).is_empty());
    }
}
