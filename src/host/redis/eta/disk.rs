//! How fast the disk gives the files that a start will read: asked for on purpose only, because it takes the disk's time.
//!
//! It reads what is there and writes nothing. The cache is told to forget each stretch first, or memory would be measured.

use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Advice, fadvise};

use crate::host::clock;
use crate::host::redis::AofFiles;
use crate::host::safe_file::{self, Trust};

/// Bytes and time that one probe takes at most.
const MOST: u64 = 256 << 20;
const LONGEST: Duration = Duration::from_secs(3);
/// Read at once, as a load reads: one stretch after the other.
const BLOCK: usize = 1 << 20;
/// Less than this says nothing about a disk.
const LEAST: u64 = 8 << 20;

/// Bytes per second of a cold read of the base, then of the increments. `None` where they are too small or cannot be read.
/// Blocks on the file system, for three seconds or little more.
#[must_use]
pub fn read_rate(files: &AofFiles) -> Option<f64> {
    let (began, mut read) = (clock::boottime(), 0_u64);
    let mut block = vec![0; BLOCK];
    for file in files.base.iter().chain(&files.incrs) {
        let path = Path::new(&files.dir).join(&file.name);
        let Ok(open) = safe_file::open(&path, Trust::Counted) else { continue };
        if fadvise(&open, 0, NonZeroU64::new(MOST), Advice::DontNeed).is_err() {
            return None;
        }
        let mut place = 0;
        while read < MOST && clock::boottime().saturating_sub(began) < LONGEST {
            match open.read_at(&mut block, place) {
                Ok(0) | Err(_) => break,
                Ok(n) => (place, read) = (place + n as u64, read + n as u64),
            }
        }
    }
    let secs = clock::boottime().saturating_sub(began).as_secs_f64();
    (read >= LEAST && secs > 0.0).then(|| read as f64 / secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::redis::{AofFile, Layout};

    #[test]
    fn a_file_is_read_and_what_is_small_or_gone_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("base"), vec![7; 12 << 20]).unwrap();
        let files = |bytes| AofFiles {
            dir: dir.path().display().to_string(),
            layout: Layout::Manifest,
            base: Some(AofFile { name: "base".into(), seq: 1, bytes }),
            incrs: vec![AofFile { name: "gone".into(), seq: 1, bytes: 5 }],
            missing: vec![],
        };
        assert!(read_rate(&files(12 << 20)).is_some_and(|rate| rate > 1e5));
        std::fs::write(dir.path().join("base"), vec![7; 1 << 20]).unwrap();
        assert_eq!(read_rate(&files(1 << 20)), None);
    }
}
