//! Who holds a file open: for people who are told that something is still at work.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use super::machine;

/// Other processes that hold this file open, as far as this user may look (proc_pid_fd(5)); at most eight.
pub(crate) fn holders_of(file: &File) -> Vec<u32> {
    let Ok(wanted) = file.metadata() else { return Vec::new() };
    let others = machine::pids().into_iter().flatten().filter(|pid| *pid != std::process::id());
    let holds = |pid: &u32| {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.filter_map(|fd| std::fs::metadata(fd.path()).ok())
            .any(|seen| (seen.dev(), seen.ino()) == (wanted.dev(), wanted.ino()))
    };
    others.filter(holds).take(8).collect()
}

/// Processes for people: `4711 sleep, 4712 sh`.
pub(crate) fn named(pids: &[u32]) -> String {
    pids.iter().copied().map(machine::named).collect::<Vec<_>>().join(", ")
}
