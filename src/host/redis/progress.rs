//! How far a load is, from `/proc`: without a question to the server, and also while it does not answer.
//!
//! The open file and its position say which part is read and how much of it; `schedstat` says whether the process works,
//! queues for a processor or waits for the disk. Needs root, or the server's own account.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{AofFile, AofFiles, Layout};
use crate::host::clock;

/// A server holds one descriptor per client; beyond this many we stop looking.
const MAX_DESCRIPTORS: usize = 100_000;

/// A load in progress as the kernel sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadProgress {
    /// The process.
    pub pid: u32,
    /// The file being read; `None` between two files and outside a load.
    pub file: Option<String>,
    /// Which part of the data set that is.
    pub part: Option<Part>,
    /// Bytes read of the whole set: finished files and the position in the present one, in steps of 4 KiB. `None` with `file`.
    pub bytes_read_total: Option<u64>,
    /// Processor time of the main thread, seconds.
    pub cpu_secs: Option<f64>,
    /// Time it was ready to run and had no processor, seconds.
    pub runqueue_secs: Option<f64>,
    /// Seconds since its start, to the hundredth; INFO knows whole seconds only, which in a short load is too little.
    pub age_secs: Option<f64>,
    /// Its state letter (proc(5)): `R` runs, `S` sleeps, `D` waits for the disk.
    pub state: char,
}

/// A part of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The compacted base.
    Base,
    /// The increment at this place in the order of reading, from 1.
    Incr(u32),
    /// The one file of a server before Redis 7.
    Single,
    /// The snapshot, with AOF off.
    Snapshot,
}

/// Reads the progress of process `pid`, which loads `files`. `None` when there is no such process.
#[must_use]
pub fn load_progress(pid: u32, files: &AofFiles) -> Option<LoadProgress> {
    let process = Path::new("/proc").join(pid.to_string());
    let stat = bounded(&process.join("stat"))?;
    let state = state(&stat)?;
    let open = open_file(&process, files);
    let times = bounded(&process.join("schedstat")).and_then(|text| schedstat(&text));
    Some(LoadProgress {
        pid,
        file: open.as_ref().map(|open| open.file.name.clone()),
        part: open.as_ref().map(|open| open.part),
        bytes_read_total: open.as_ref().map(|open| open.before + open.position.min(open.file.bytes)),
        cpu_secs: times.map(|(cpu, _)| cpu),
        runqueue_secs: times.map(|(_, wait)| wait),
        age_secs: started(&stat).map(|started| (clock::boottime().as_secs_f64() - started).max(0.0)),
        state,
    })
}

struct Open<'a> {
    file: &'a AofFile,
    part: Part,
    /// Bytes of the files that come before it.
    before: u64,
    position: u64,
}

fn open_file<'a>(process: &Path, files: &'a AofFiles) -> Option<Open<'a>> {
    let dir = Path::new(&files.dir);
    for entry in fs::read_dir(process.join("fd")).ok()?.take(MAX_DESCRIPTORS) {
        let Ok(entry) = entry else { continue };
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let Ok(name) = target.strip_prefix(dir) else { continue };
        let Some((file, part, before)) = name.to_str().and_then(|name| listed(files, name)) else {
            continue;
        };
        let Some(text) = bounded(&process.join("fdinfo").join(entry.file_name())) else {
            continue;
        };
        // The increment that is written to later is open for appending: its position is not a load's.
        if let Some(position) = read_position(&text) {
            return Some(Open { file, part, before, position });
        }
    }
    None
}

/// The listed file of that name, its part, and the bytes read before it.
fn listed<'a>(files: &'a AofFiles, name: &str) -> Option<(&'a AofFile, Part, u64)> {
    let first = match files.layout {
        Layout::Manifest => Part::Base,
        Layout::Single { .. } => Part::Single,
        Layout::Snapshot => Part::Snapshot,
    };
    if let Some(base) = files.base.as_ref().filter(|base| base.name == name) {
        return Some((base, first, 0));
    }
    let mut before = files.base_bytes();
    for (n, file) in (1..).zip(&files.incrs) {
        if file.name == name {
            return Some((file, Part::Incr(n), before));
        }
        before += file.bytes;
    }
    None
}

/// `pos` of a descriptor that is open for reading only (`flags` are octal, the last two bits the access mode).
fn read_position(fdinfo: &str) -> Option<u64> {
    let field = |name: &str| fdinfo.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let flags = u64::from_str_radix(field("flags:")?, 8).ok()?;
    if flags & 3 == 0 { field("pos:")?.parse().ok() } else { None }
}

/// Nanoseconds on the processor and in the queue, as seconds.
fn schedstat(text: &str) -> Option<(f64, f64)> {
    let mut words = text.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
    let (cpu, wait) = (words.next()??, words.next()??);
    Some((cpu as f64 / 1e9, wait as f64 / 1e9))
}

/// The state follows the name, which is in parentheses and may hold any character.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Seconds from the machine's boot to the start of the process: field 22, in hundredths on every Linux (USER_HZ).
fn started(stat: &str) -> Option<f64> {
    let ticks: u64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some(ticks as f64 / 100.0)
}

fn bounded(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(4096).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> AofFiles {
        let file = |name: &str, bytes| AofFile { name: name.into(), seq: 1, bytes };
        AofFiles {
            dir: "/d".into(),
            layout: Layout::Manifest,
            base: Some(file("b", 100)),
            incrs: vec![file("i1", 10), file("i2", 20)],
            missing: vec![],
        }
    }

    #[test]
    fn finished_files_count_in_full() {
        let files = files();
        for (name, wanted) in [
            ("b", Some((Part::Base, 0))),
            ("i1", Some((Part::Incr(1), 100))),
            ("i2", Some((Part::Incr(2), 110))),
            ("x", None),
        ] {
            assert_eq!(listed(&files, name).map(|(_, part, before)| (part, before)), wanted);
        }
        let single = AofFiles { layout: Layout::Single { inode: 1 }, ..files };
        assert_eq!(listed(&single, "b").map(|(_, part, _)| part), Some(Part::Single));
    }

    #[test]
    fn kernel_texts() {
        assert_eq!(read_position("pos:\t4096\nflags:\t0100000\nmnt_id:\t1\n"), Some(4096));
        assert_eq!(read_position("pos:\t4096\nflags:\t0102001\n"), None, "open for appending");
        assert_eq!(read_position("pos:\t4096\n"), None);
        assert_eq!(schedstat("1500000000 250000000 7\n"), Some((1.5, 0.25)));
        assert_eq!(schedstat("x\n"), None);
        assert_eq!(state("12 (redis) server) D 1 2"), Some('D'));
    }

    #[test]
    fn a_process_that_loads_nothing() {
        let progress = load_progress(std::process::id(), &files()).unwrap();
        assert_eq!((progress.file, progress.bytes_read_total), (None, None));
        assert!((0.0..3600.0).contains(&progress.age_secs.unwrap()), "{:?}", progress.age_secs);
        assert!(load_progress(u32::MAX, &files()).is_none());
    }
}
