//! Whether a new run could begin on this host, seen by a look and told in its words: after a run was given up, nothing is called
//! free that was not looked at.
use super::ask_to_stop::held;
use super::site::identity;
use super::{Desk, Exit, resume_unit};
use crate::host::systemd::resume_unit::{FAIL_OPEN, RESUME};
use crate::host::systemd::unit_files::UNIT_DIR;
use crate::journal::lock::{CHILDREN_LOCK, ChildrenLock, LockError, holder_line};
use crate::journal::store::{Store, StoreError};
use crate::report::{call, offer, word};

/// One thing that is in the way, and what takes it away.
pub(super) struct InTheWay {
    pub(super) what: String,
    pub(super) ways: Vec<String>,
    pub(super) exit: Exit,
}

impl InTheWay {
    fn new(exit: Exit, what: String, ways: impl Into<Vec<String>>) -> Self {
        Self { what, ways: ways.into(), exit }
    }
}

/// Everything that a new run would be refused for. The caller has let go of the lock.
pub(super) fn in_the_way(desk: &Desk) -> Vec<InTheWay> {
    let mut found: Vec<InTheWay> = owner(desk).into_iter().collect();
    found.extend(locks(desk));
    if desk.site.root && resume_unit::installed(&desk.site) {
        let (dir, what) = (UNIT_DIR, format!("{RESUME} is still installed; without an unfinished run it does nothing"));
        let remove = format!("rm -f {dir}/{RESUME} {dir}/{FAIL_OPEN}");
        let ways = [format!("systemctl disable {RESUME}; {remove}; systemctl daemon-reload")];
        found.push(InTheWay::new(Exit::Failed, what, ways));
    }
    if let Err(failure) = identity() {
        let ways = [offer("doctor", "systemd-machine-id-setup makes a machine id")];
        found.push(InTheWay::new(failure.exit, failure.reason(), ways));
    }
    found
}

/// The run that owns the host, if any still does.
fn owner(desk: &Desk) -> Option<InTheWay> {
    let path = &desk.site.state_dir;
    let unfinished = match Store::open(path) {
        Ok(store) => store.unfinished(),
        Err(StoreError::File(error)) if error.is_missing() => return None,
        Err(error) => Err(error),
    };
    match unfinished {
        Ok(None) => None,
        Ok(Some(listed)) => {
            let id = listed.id;
            let ways = [
                offer(&format!("status {id}"), "where it stands"),
                offer(&format!("abort {id} --abandon --reason TEXT"), "gives it up as well"),
            ];
            Some(InTheWay::new(Exit::Held, format!("run {id} is unfinished and owns this host"), ways))
        }
        Err(error) => {
            let failure = super::Failure::from(error);
            let ways: Vec<String> =
                failure.hint.iter().flat_map(|hint| hint.lines()).map(|line| line.trim().to_owned()).collect();
            Some(InTheWay::new(failure.exit, failure.reason(), ways))
        }
    }
}

fn locks(desk: &Desk) -> Option<InTheWay> {
    let path = &desk.site.lock;
    if held(path) {
        let who = holder_line(path).unwrap_or_default();
        let what = format!("another process holds the lock of this host: {who}");
        return Some(InTheWay::new(Exit::Held, what, [call("status")]));
    }
    match ChildrenLock::take(&path.with_file_name(CHILDREN_LOCK)) {
        Err(LockError::AtWork { who, pids, .. }) => {
            let what = format!("a command of an earlier sitting is still at work ({who}): a new run waits for its end");
            let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
            let ways = if pids.is_empty() { Vec::new() } else { vec![format!("kill {}", pids.join(" "))] };
            Some(InTheWay::new(Exit::Held, what, ways))
        }
        Err(LockError::Refused { path, why }) => {
            let what = format!("lock file {} is refused: {why}", path.display());
            Some(InTheWay::new(Exit::Storage, what, [format!("rm {}", word(&path.to_string_lossy()))]))
        }
        _ => None,
    }
}

/// The same as a text, and the exit code that goes with it.
pub(super) fn told(found: &[InTheWay]) -> (String, Exit) {
    let Some(first) = found.first() else {
        return ("The host is free: a new run can begin.\n".to_owned(), Exit::Done);
    };
    let mut text = String::new();
    for one in found {
        text.push_str(&format!("NOT free yet: {}\n", one.what));
        one.ways.iter().for_each(|way| text.push_str(&format!("  {way}\n")));
    }
    (text, first.exit)
}
