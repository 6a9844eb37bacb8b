//! The process group of a command: ending it and proving that it is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal};

use super::offspring::descendants;

use crate::host::clock;
use crate::host::machine::{self, ProcessStat, process_stat};
use crate::host::planted::{Bug, planted};

const POLL: Duration = Duration::from_millis(25);
/// A process that survives KILL this long sits in the kernel (state D) and cannot be helped.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A group whose leader is our own child and has not been reaped, so that its number cannot belong to a stranger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group(pub(super) Pid);

impl Group {
    /// Members that still work, and descendants that have left the group; zombies do not count. Without a readable /proc
    /// nothing is proven: the leader is named.
    fn members(self) -> Vec<u32> {
        self.living().map_or_else(|| vec![self.number()], |living| living.into_keys().collect())
    }

    /// `None` without a readable /proc.
    fn living(self) -> Option<BTreeMap<u32, ProcessStat>> {
        let wanted = self.number();
        let pids = machine::pids()?;
        let alive = |pid| process_stat(pid).filter(|stat| stat.alive).map(|stat| (pid, stat));
        let mut living: BTreeMap<u32, ProcessStat> = pids.filter_map(alive).collect();
        let below = descendants(wanted, &living);
        living.retain(|pid, stat| stat.group == wanted || below.contains(pid));
        Some(living)
    }

    fn number(self) -> u32 {
        u32::try_from(self.0.as_raw_pid()).unwrap_or(0)
    }

    pub(super) fn count(self) -> u32 {
        u32::try_from(self.members().len()).unwrap_or(u32::MAX)
    }

    /// Sends KILL without waiting.
    pub(super) fn kill(self) {
        if planted(Bug::GroupSurvives) {
            return;
        }
        self.signal(Signal::KILL);
    }

    /// To the group at once, and to each that has left it.
    fn signal(self, signal: Signal) {
        let _gone_already = kill_process_group(self.0, signal);
        for (pid, stat) in self.living().unwrap_or_default().into_iter().filter(|(_, stat)| stat.group != self.number())
        {
            let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
            // Held before the second look, so that the signal reaches what was seen and no other process with its number.
            let Ok(held) = pidfd_open(raw, PidfdFlags::empty()) else { continue };
            if process_stat(pid).is_some_and(|now| now.start_time == stat.start_time) {
                let _gone_already = pidfd_send_signal(&held, signal);
            }
        }
    }

    /// TERM, `grace`, KILL, proof. `Ok(true)` when it took KILL.
    ///
    /// # Errors
    /// Names what is still there.
    pub(super) async fn end(self, grace: Duration) -> Result<bool, String> {
        self.signal(Signal::TERM);
        if self.empties_within(grace).await {
            return Ok(false);
        }
        self.kill();
        if self.empties_within(KILL_WAIT).await {
            return Ok(true);
        }
        let left: Vec<_> = self.members().into_iter().take(8).map(machine::named).collect();
        Err(format!("processes survive KILL, probably waiting in the kernel: {}", left.join(", ")))
    }

    /// TERM to the leader alone, which ends what it has started.
    pub(super) fn ask_leader(self) {
        let _gone_already = kill_process(self.0, Signal::TERM);
    }

    /// Waits for the end of all, and kills what is left then.
    pub(super) async fn gone_within(self, limit: Duration) {
        if !self.empties_within(limit).await {
            self.kill();
            self.empties_within(KILL_WAIT).await;
        }
    }

    async fn empties_within(self, limit: Duration) -> bool {
        let until = clock::boottime() + limit;
        loop {
            if self.members().is_empty() {
                return true;
            }
            if clock::boottime() >= until {
                return false;
            }
            clock::sleep(POLL).await;
        }
    }
}
