//! Several servers that load at once on too few processors: when each of them is done.
//!
//! After a boot they all start together. Each knows its own work, none knows that the others will soon be out of the way, so
//! the longest one would promise far too late a finish all along. A small simulation of a shared supply settles it.

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

#[cfg(test)]
mod tests {
    use super::*;

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
