//! This process among others: it keeps secrets, so nobody may look into it, and a full disk must not kill it.

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// No core file, no ptrace(2) and no look at its memory by the same user (`PR_SET_DUMPABLE`, prctl(2)): it knows passwords.
/// The hard limit stays, so that what it starts may have core files again.
pub fn keep_private() {
    // A kernel that refuses one of the two leaves the other, and neither is a reason not to restart a host.
    let _refused = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let maximum = getrlimit(Resource::Core).maximum;
    let _refused = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
}

/// A write beyond `RLIMIT_FSIZE` fails with `EFBIG` instead of killing the process in the middle of a record (SIGXFSZ,
/// setrlimit(2)). Call it inside the runtime; it holds until the end.
///
/// # Errors
/// The signal cannot be taken over.
pub fn survive_file_limit() -> std::io::Result<()> {
    // The handler stays installed when the listener is dropped; nobody needs to hear it.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
