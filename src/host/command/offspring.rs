//! Everything that descends from this process: its own children, and the orphans it takes in as a subreaper (prctl(2),
//! `PR_SET_CHILD_SUBREAPER`), so that a program that left its process group can still be found, ended and reaped.
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};

use crate::host::machine::{ProcessStat, process_stat};

/// What a child holds for as long as it lives because it was given it at its start: an inherited lock.
pub trait Lend: std::fmt::Debug + Send + Sync {
    /// Calls `start` while the thing is inheritable.
    ///
    /// # Errors
    /// It cannot be made inheritable; then nothing was started.
    fn lend(&self, start: &mut dyn FnMut()) -> io::Result<()>;

    /// Where it can be had by name, for those who take it for themselves: an effect outlives whoever would lend it.
    fn path(&self) -> Option<&Path> {
        None
    }
}

/// Children that somebody waits for; whoever else is our child was taken in. Held while one is started, so that no child is
/// taken for an orphan in between.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
static ADOPTING: AtomicBool = AtomicBool::new(false);

/// A child that somebody waits for, until this is dropped.
#[derive(Debug)]
pub(in crate::host) struct Own(u32);

impl Drop for Own {
    fn drop(&mut self) {
        OWN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
        reap_orphans();
    }
}

/// Starts a child of our own; `pid` says which it is.
pub(in crate::host) fn start<C, E>(
    spawn: impl FnOnce() -> Result<C, E>,
    pid: impl FnOnce(&C) -> Option<u32>,
) -> Result<(C, Own), E> {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let child = spawn()?;
    let pid = pid(&child).unwrap_or(0);
    own.insert(pid);
    Ok((child, Own(pid)))
}

/// From now on orphans among the descendants of this process become its children.
pub fn adopt_orphans() {
    // A kernel that does not know it leaves them to process 1, as ever.
    ADOPTING.store(set_child_subreaper(Some(getpid())).is_ok(), Ordering::Relaxed);
}

/// Collects orphans that have ended. Without it each would stay a zombie until this process ends.
fn reap_orphans() {
    if !ADOPTING.load(Ordering::Relaxed) {
        return;
    }
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    for pid in children().filter(|pid| !own.contains(pid)) {
        let dead = process_stat(pid).is_some_and(|stat| !stat.alive);
        if let Some(pid) = Pid::from_raw(i32::try_from(pid).unwrap_or(0)).filter(|_| dead) {
            let _gone = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }
}

/// Children of all threads of this process (proc_pid_task_children(5)); nothing where the kernel does not tell.
fn children() -> impl Iterator<Item = u32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
}

/// Living descendants of `leader` among the living, outside of its process group too; and orphans that were taken in since it
/// was started while no other child of ours was at work, which must then be its own.
pub(super) fn descendants(leader: u32, living: &BTreeMap<u32, ProcessStat>) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([leader]);
    if ADOPTING.load(Ordering::Relaxed)
        && let Some(began) = process_stat(leader).map(|stat| stat.start_time)
    {
        let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |pid: &u32| living.get(pid).is_some_and(|stat| stat.start_time >= began);
        if own.len() == 1 && own.contains(&leader) {
            found.extend(children().filter(|pid| !own.contains(pid)).filter(since));
        }
    }
    loop {
        let below = |(pid, stat): (&u32, &ProcessStat)| found.contains(&stat.parent).then_some(*pid);
        let more: Vec<u32> = living.iter().filter_map(below).filter(|pid| !found.contains(pid)).collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    found.retain(|pid| living.contains_key(pid));
    found
}
