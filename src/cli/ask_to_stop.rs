//! What `pause` and `abort` share: a request left in the run's directory, where only the run looks. No signal is ever sent
//! by a stored process id: it could hit a stranger.
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::site::Site;
use super::{Exit, Failure};
use crate::host::small_file::read_text;
use crate::journal::lock::holder_line;
use crate::journal::store::{RunId, Store};
use crate::report::call;

/// Leaves a request.
pub(super) fn ask(store: &Store, id: &RunId, word: &str) -> Result<(), Failure> {
    Ok(store.dir(id)?.replace("request", format!("{word}\n").as_bytes())?)
}

/// Whether a process works on the run at the moment: the kernel says that the lock is held, its text for which run. Asked
/// through `/proc/locks`, because trying the lock would be in the way of whoever takes it at that moment.
pub(super) fn at_work(site: &Site, id: &RunId) -> bool {
    let Some(line) = holder_line(&site.lock) else {
        return false;
    };
    line.ends_with(&format!(" run {id}")) && held(&site.lock)
}

/// Whether somebody holds an exclusive flock(2) on a file (proc(5), `/proc/locks`: device in hexadecimal, then inode).
pub(super) fn held(path: &Path) -> bool {
    let Ok(meta) = std::fs::metadata(path) else {
        return false;
    };
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let locks = read_text(Path::new("/proc/locks"), 1 << 20).unwrap_or_default();
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        matches!(words.as_slice(), [_, "FLOCK", _, "WRITE", _, place, ..] if *place == file)
    })
}

/// The unfinished run, without which there is nothing to stop.
pub(super) fn unfinished(site: &Site, store: &Store, named: Option<&str>) -> Result<RunId, Failure> {
    let none = || Failure::say(Exit::Usage, "no run is unfinished").hint(call("history"));
    site.unfinished(store, named)?.ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FlockOperation, flock};

    #[test]
    fn a_held_lock_is_seen_and_a_free_one_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(!held(file.path()));
        flock(file.as_file(), FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(held(file.path()));
        flock(file.as_file(), FlockOperation::Unlock).unwrap();
        assert!(!held(file.path()));
    }
}
