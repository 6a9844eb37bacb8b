//! A session of its own for what runs as another user beside a terminal.
//!
//! A process that shares root's terminal can type into it (`TIOCSTI`, which kernels before 6.2 always allow), and root's shell
//! reads that as soon as we are gone. Safe Rust has no word between fork and exec, so setsid(1) says it; a unit of systemd has
//! no terminal, and where we have none there is nothing to keep away.

use std::path::PathBuf;

use crate::host::programs::SearchPath;
use crate::host::root_owned;

/// The program to start it by; it must not be the leader of a group then, so that setsid(1) becomes it and does not fork.
pub(in crate::host) fn own_session() -> Option<PathBuf> {
    std::fs::File::open("/dev/tty").ok()?;
    SearchPath::of_root().find("setsid").filter(|path| root_owned::judge(path).is_ok())
}
