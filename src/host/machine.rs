//! What the machine is: identity, size, load, and whether this is still the same boot.
//!
//! Everything comes from /proc and /etc, read with bounds; no process is started. A value that cannot be read is
//! `None`, never a default that looks like a measurement.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::foreign;
use crate::host::planted::{Bug, planted};
use crate::host::small_file::read_text;

/// No file that is read here comes near this size; /proc/meminfo has some 1.5 KiB.
const SMALL: u64 = 64 * 1024;

/// One look at the machine. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineSeen {
    /// New with every boot of the kernel (/proc/sys/kernel/random/boot_id).
    pub boot_id: Option<String>,
    /// The installation's identity (machine-id(5)); a clone or a restored image may share it.
    pub machine_id: Option<String>,
    /// The kernel's node name.
    pub hostname: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Processors that are on line, those beyond this process's affinity included.
    pub cpus: Option<u32>,
    /// Memory that the kernel manages.
    pub mem_total: Option<u64>,
    /// What a new process could get without swapping.
    pub mem_available: Option<u64>,
    /// All swap.
    pub swap_total: Option<u64>,
    /// Unused swap.
    pub swap_free: Option<u64>,
    /// 0 heuristic, 1 always, 2 strict. Redis needs 1 to fork for a rewrite without surprises.
    pub overcommit_memory: Option<u8>,
    /// The limit that strict overcommit enforces.
    pub commit_limit: Option<u64>,
    /// What has been promised to processes.
    pub committed_as: Option<u64>,
    /// Seconds since the boot of what /proc calls the machine (a container's own boot, with LXCFS).
    pub uptime_seconds: Option<f64>,
    /// Share of the last 10 s in which some task waited for a processor, in percent; `None` without PSI.
    pub cpu_pressure: Option<f64>,
    /// The same for memory.
    pub memory_pressure: Option<f64>,
    /// Whether this process acts as root.
    pub is_root: bool,
    /// The name of process 1; only `systemd` can be asked about units.
    pub init: Option<String>,
    /// Which kind of container this is, from /run/systemd/container or a well-known marker; `None` on a real machine.
    pub container: Option<String>,
}

impl MachineSeen {
    /// Whether systemd is process 1, hence whether units mean anything here.
    #[must_use]
    pub fn runs_systemd(&self) -> bool {
        self.init.as_deref() == Some("systemd")
    }
}

/// Looks at this machine.
#[must_use]
pub fn look() -> MachineSeen {
    look_under(Path::new("/"))
}

/// [`look`] with another root directory: recorded machines in tests.
#[must_use]
pub fn look_under(root: &Path) -> MachineSeen {
    let line = |path: &str| first_line(&root.join(path));
    let meminfo = read_text(&root.join("proc/meminfo"), SMALL).unwrap_or_default();
    let memory = |key: &str| meminfo_bytes(&meminfo, key);
    MachineSeen {
        boot_id: line("proc/sys/kernel/random/boot_id"),
        machine_id: line("etc/machine-id"),
        hostname: line("proc/sys/kernel/hostname"),
        kernel: line("proc/sys/kernel/osrelease"),
        cpus: line("sys/devices/system/cpu/online").and_then(|list| count_cpus(&list)),
        mem_total: memory("MemTotal"),
        mem_available: memory("MemAvailable"),
        swap_total: memory("SwapTotal"),
        swap_free: memory("SwapFree"),
        overcommit_memory: line("proc/sys/vm/overcommit_memory").and_then(|text| text.parse().ok()),
        commit_limit: memory("CommitLimit"),
        committed_as: memory("Committed_AS"),
        uptime_seconds: line("proc/uptime").and_then(|text| text.split(' ').next()?.parse().ok()),
        cpu_pressure: line("proc/pressure/cpu").and_then(|text| some_avg10(&text)),
        memory_pressure: line("proc/pressure/memory").and_then(|text| some_avg10(&text)),
        is_root: rustix::process::geteuid().is_root(),
        init: line("proc/1/comm"),
        container: container(root),
    }
}

fn first_line(path: &Path) -> Option<String> {
    let text = read_text(path, SMALL).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| foreign::named(line, 256))
}

/// One `Key:   123 kB` of /proc/meminfo, in bytes.
fn meminfo_bytes(meminfo: &str, key: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Counts a kernel list such as `0-3,8`.
fn count_cpus(list: &str) -> Option<u32> {
    list.split(',').try_fold(0_u32, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The first number of `some avg10=1.25 avg60=...` (kernel documentation, accounting/psi).
fn some_avg10(line: &str) -> Option<f64> {
    line.strip_prefix("some avg10=")?.split(' ').next()?.parse().ok()
}

fn container(root: &Path) -> Option<String> {
    if let Some(kind) = first_line(&root.join("run/systemd/container")) {
        return Some(kind);
    }
    [(".dockerenv", "docker"), ("run/.containerenv", "podman")]
        .into_iter()
        .find_map(|(marker, kind)| root.join(marker).exists().then(|| kind.to_owned()))
}

/// Why nobody can say whether the machine was restarted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootUnknown {
    /// The baseline carries no usable boot id.
    #[error("the boot id noted before is empty: whether the machine restarted cannot be told, look yourself")]
    NotedNone,
    /// The kernel gives none now.
    #[error("/proc/sys/kernel/random/boot_id cannot be read: whether the machine restarted cannot be told")]
    SeenNone,
}

/// Whether the kernel was started anew since `before` was noted. An unreadable id is an error, never "changed".
///
/// # Errors
/// [`BootUnknown`] when either id is missing or empty.
pub fn rebooted(before: &str, now: &MachineSeen) -> Result<bool, BootUnknown> {
    let now = now.boot_id.as_deref().map(str::trim).filter(|id| !id.is_empty()).ok_or(BootUnknown::SeenNone)?;
    let before = Some(before.trim()).filter(|id| !id.is_empty()).ok_or(BootUnknown::NotedNone)?;
    Ok(before != now || planted(Bug::BootIdUnchecked))
}

/// When a process started, in clock ticks since the boot (field 22 of /proc/PID/stat), if it exists and is not a
/// zombie. Together with the boot id this names a process for good; a pid alone is used again.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    process_stat(pid).filter(|stat| stat.alive).map(|stat| stat.start_time)
}

/// Whether the process that had this pid and start time still works. Valid within one boot.
#[must_use]
pub fn is_alive(pid: u32, started: u64) -> bool {
    start_time(pid) == Some(started)
}

/// How long ago, at most, a machine with these facts came up; `None` when /proc does not say.
#[must_use]
pub fn uptime(seen: &MachineSeen) -> Option<Duration> {
    Duration::try_from_secs_f64(seen.uptime_seconds?).ok()
}

/// The processes that this one may see; `None` without a readable /proc.
pub(crate) fn pids() -> Option<impl Iterator<Item = u32>> {
    let entries = std::fs::read_dir("/proc").ok()?;
    Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// `4711 sleep`: a process by its number and what it calls itself (proc_pid_comm(5)).
pub(crate) fn named(pid: u32) -> String {
    let comm = read_text(Path::new(&format!("/proc/{pid}/comm")), 256).unwrap_or_default();
    format!("{pid} {}", foreign::named(comm.trim(), 32))
}

/// What is needed of one /proc/PID/stat (proc(5)).
pub(in crate::host) struct ProcessStat {
    /// Not a zombie.
    pub(in crate::host) alive: bool,
    /// Waits for something that a signal may interrupt.
    pub(in crate::host) asleep: bool,
    pub(in crate::host) parent: u32,
    pub(in crate::host) group: u32,
    /// Processor time, user and system, in clock ticks.
    pub(in crate::host) ticks: u64,
    /// In clock ticks since the boot.
    pub(in crate::host) start_time: u64,
}

pub(in crate::host) fn process_stat(pid: u32) -> Option<ProcessStat> {
    parse_stat(&read_text(Path::new(&format!("/proc/{pid}/stat")), SMALL).ok()?)
}

/// The command name may hold spaces and parentheses, so fields are counted from the last `)`.
pub(in crate::host) fn parse_stat(line: &str) -> Option<ProcessStat> {
    let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let (user, system): (u64, u64) = (fields.nth(8)?.parse().ok()?, fields.next()?.parse().ok()?);
    let start_time = fields.nth(6)?.parse().ok()?;
    let (alive, asleep) = (!matches!(state, "Z" | "X" | "x"), state == "S");
    Some(ProcessStat { alive, asleep, parent, group, ticks: user.saturating_add(system), start_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_an_identity() {
        let seen = look();
        assert_eq!(seen.boot_id.as_deref().map(str::len), Some(36));
        assert!(seen.mem_total > seen.mem_available);
        assert!(seen.cpus >= Some(1));
        assert!(uptime(&seen).unwrap() > Duration::ZERO);
        assert_eq!(rebooted(seen.boot_id.as_deref().unwrap(), &seen), Ok(false));
    }

    #[test]
    fn an_empty_machine_is_all_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let seen = look_under(dir.path());
        assert_eq!((seen.boot_id, seen.mem_total, seen.cpus, seen.init), (None, None, None, None));
    }

    #[test]
    fn a_recorded_machine_reads_as_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(
            "proc/meminfo",
            "MemTotal:       131072 kB\nMemAvailable:    65536 kB\nSwapTotal: 0 kB\nHugePages_Total: 3\n",
        );
        put("proc/pressure/memory", "some avg10=1.25 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00\n");
        put("proc/sys/vm/overcommit_memory", "1\n");
        put("proc/sys/kernel/hostname", "stg\x1b[2J\n");
        put("sys/devices/system/cpu/online", "0-3,8\n");
        put("run/systemd/container", "systemd-nspawn\n");
        put("proc/1/comm", "systemd\n");
        let seen = look_under(dir.path());
        assert_eq!(seen.mem_total, Some(134_217_728));
        assert_eq!(seen.memory_pressure, Some(1.25));
        assert_eq!((seen.overcommit_memory, seen.cpus, seen.swap_total), (Some(1), Some(5), Some(0)));
        assert_eq!(seen.hostname.as_deref(), Some("stg\\u{1b}[2J"));
        assert_eq!(seen.container.as_deref(), Some("systemd-nspawn"));
        assert!(seen.runs_systemd());
    }

    #[test]
    fn unreadable_is_never_changed() {
        let mut seen = look();
        for (before, now, wanted) in [
            ("a", Some("b"), Ok(true)),
            ("a", Some("a"), Ok(false)),
            ("a\n", Some("a"), Ok(false)),
            ("", Some("b"), Err(BootUnknown::NotedNone)),
            ("a", None, Err(BootUnknown::SeenNone)),
            ("a", Some(" "), Err(BootUnknown::SeenNone)),
            ("", None, Err(BootUnknown::SeenNone)),
        ] {
            seen.boot_id = now.map(str::to_owned);
            assert_eq!(rebooted(before, &seen), wanted, "{before:?} {now:?}");
        }
    }

    #[test]
    fn a_process_is_its_pid_and_its_start() {
        let me = std::process::id();
        let started = start_time(me).unwrap();
        assert!(is_alive(me, started));
        assert!(!is_alive(me, started + 1));
        assert!(!is_alive(u32::MAX, started));
    }

    #[test]
    fn a_name_full_of_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) R (b) S 1 42 42 0 -1 4194560 1 0 0 0 30 4 0 0 20 0 1 0 987654 1 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.alive, stat.group, stat.start_time), (true, 42, 987_654));
        assert_eq!((stat.asleep, stat.parent, stat.ticks), (true, 1, 34));
        assert!(!parse_stat(&line.replace(") S ", ") Z ")).unwrap().alive);
    }
}
