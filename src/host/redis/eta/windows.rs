//! Samples of the increments, read from their files: a few megabytes whatever their size.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::cost::IncrCost;
use crate::host::redis::AofFiles;
use crate::host::safe_file::{self, Trust};

/// Windows over all increments together, and bytes of each: 4 MB at most.
const WINDOWS: u64 = 128;
const WINDOW: usize = 32 * 1024;

/// Reads windows spread evenly over the increments and counts what they hold. `None` without increments or when none can be
/// read. Blocks on the file system, for as long as 4 MB take.
#[must_use]
pub fn sample_increments(files: &AofFiles) -> Option<IncrCost> {
    let total = files.incr_bytes();
    if total == 0 {
        return None;
    }
    let windows = WINDOWS.min(total.div_ceil(WINDOW as u64));
    let dir = Path::new(&files.dir);
    let (mut samples, mut before, mut next) = (Vec::new(), 0, 0);
    for file in &files.incrs {
        let open = safe_file::open(&dir.join(&file.name), Trust::Counted).ok();
        while next < windows {
            let place = total / windows * next;
            if place >= before + file.bytes {
                break;
            }
            if let Some(open) = &open {
                samples.push(window(open, place - before));
            }
            next += 1;
        }
        before += file.bytes;
    }
    IncrCost::of(&samples)
}

/// One window; what cannot be read is empty and counts as not known.
fn window(file: &File, place: u64) -> Vec<u8> {
    let mut bytes = vec![0; WINDOW];
    let mut have = 0;
    while let Some(free) = bytes.get_mut(have..).filter(|free| !free.is_empty()) {
        match file.read_at(free, place + have as u64) {
            Ok(0) | Err(_) => break,
            Ok(n) => have += n,
        }
    }
    bytes.truncate(have);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::redis::{AofFile, Layout};

    #[test]
    fn the_course_of_two_increments() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, command: &str, value: usize| {
            let one =
                format!("*3\r\n${}\r\n{command}\r\n$1\r\nk\r\n${value}\r\n{}\r\n", command.len(), "v".repeat(value));
            let text = one.repeat(3_000_000 / one.len());
            std::fs::write(dir.path().join(name), &text).unwrap();
            AofFile { name: name.into(), seq: 1, bytes: text.len() as u64 }
        };
        let files = AofFiles {
            dir: dir.path().display().to_string(),
            layout: Layout::Manifest,
            base: None,
            incrs: vec![write("a", "SET", 1000), write("b", "ZADD", 40)],
            missing: vec![],
        };
        let cost = sample_increments(&files).unwrap();
        assert_eq!(cost.course.len(), 128);
        let (early, late) = (cost.course[10], cost.course[120]);
        assert!(late > 20.0 * early, "{early} {late}");
        let gone = AofFiles { dir: "/nowhere".into(), ..files };
        assert_eq!(sample_increments(&gone), None);
    }
}
