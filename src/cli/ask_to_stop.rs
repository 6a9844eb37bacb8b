//! What `pause` and `abort` share: a request left in the run's directory, where only the run looks. No signal is ever sent
//! by a stored process id: it could hit a stranger.
use super::site::Site;
use super::{Exit, Failure};
use crate::host::machine;
use crate::journal::lock::holder_line;
use crate::journal::store::{RunId, Store};

/// Leaves a request.
pub(super) fn ask(store: &Store, id: &RunId, word: &str) -> Result<(), Failure> {
    Ok(store.dir(id)?.replace("request", format!("{word}\n").as_bytes())?)
}

/// Whether a process works on the run at the moment, by the holder's own line: who waits for an answer should know that
/// somebody will give it. Nothing is decided by it that the kernel's lock does not decide again.
pub(super) fn at_work(site: &Site, id: &RunId) -> bool {
    let Some(line) = holder_line(&site.lock) else { return false };
    let mut words = line.split(' ');
    let mut after = |key: &str| words.by_ref().skip_while(|word| *word != key).nth(1).map(str::to_owned);
    let (pid, started) = (after("pid"), after("started"));
    let (boot, run) = (after("boot"), after("run"));
    let alive = pid.zip(started).and_then(|(pid, started)| Some(machine::is_alive(pid.parse().ok()?, started.parse().ok()?)));
    alive == Some(true) && boot == machine::look().boot_id && run.as_deref() == Some(id.as_str())
}

/// The unfinished run, without which there is nothing to stop.
pub(super) fn unfinished(site: &Site, store: &Store, named: Option<&str>) -> Result<RunId, Failure> {
    let none = || Failure::say(Exit::Usage, "no run is unfinished").hint("runbook history");
    site.unfinished(store, named)?.ok_or_else(none)
}
