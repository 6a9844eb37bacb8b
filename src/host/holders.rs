//! Who holds a file open: for people who are told that something is still at work.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use super::machine;

/// Other processes that hold this file open, as `4711 sleep`, as far as this user may look (proc_pid_fd(5)); at most eight.
pub(crate) fn holders_of(file: &File) -> String {
    let Ok(wanted) = file.metadata() else { return String::new() };
    let others = machine::pids().into_iter().flatten().filter(|pid| *pid != std::process::id());
    let holds = |pid: &u32| {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.filter_map(|fd| std::fs::metadata(fd.path()).ok())
            .any(|seen| (seen.dev(), seen.ino()) == (wanted.dev(), wanted.ino()))
    };
    others.filter(holds).take(8).map(machine::named).collect::<Vec<_>>().join(", ")
}
