//! How long tasks of this machine have waited for a processor or for memory (PSI, Documentation/accounting/psi.rst in the
//! kernel's sources): the counters, from which a share of any span can be reckoned, instead of the kernel's own averages
//! over 10 s, which are too slow to steer by.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::small_file::read_text;

/// The files have two lines of some 80 characters.
const SMALL: u64 = 4 * 1024;

/// Both counters at one moment, in microseconds since the boot in which some task had to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PressureSeen {
    /// For a processor.
    pub cpu: u64,
    /// For memory: reclaim, refaults, swap.
    pub memory: u64,
}

/// Reads the counters; `None` where the kernel keeps none.
#[must_use]
pub fn look() -> Option<PressureSeen> {
    look_under(Path::new("/proc/pressure"))
}

fn look_under(dir: &Path) -> Option<PressureSeen> {
    let total = |name: &str| some_total(&read_text(&dir.join(name), SMALL).ok()?);
    Some(PressureSeen { cpu: total("cpu")?, memory: total("memory")? })
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=4711`.
fn some_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_and_their_absence_is_no_measurement() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look_under(dir.path()), None);
        let text = |total| format!("some avg10=1.00 avg60=0.50 avg300=0.00 total={total}\nfull avg10=0.00 total=3\n");
        std::fs::write(dir.path().join("cpu"), text(4711)).unwrap();
        assert_eq!(look_under(dir.path()), None);
        std::fs::write(dir.path().join("memory"), text(12)).unwrap();
        assert_eq!(look_under(dir.path()), Some(PressureSeen { cpu: 4711, memory: 12 }));
        std::fs::write(dir.path().join("cpu"), "nonsense").unwrap();
        assert_eq!(look_under(dir.path()), None);
    }
}
