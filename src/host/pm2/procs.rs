//! What `/proc` knows about a home: its daemons, and processes that outlived one.
//!
//! Apps in fork mode survive the death of their daemon, and a resurrect then runs a second copy of each. They are found
//! by the environment that PM2 gave them, because nothing else points at them any more.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::request::PmId;
use super::trimmed::Small;
use crate::host::foreign::named_bytes;
use crate::host::{clock, machine};

const PROCESSES_MAX: usize = 65_536;
const CMDLINE_MAX: u64 = 4 << 10;
/// 52 numbers and a name; the fields that are read here stand in the first half.
const STAT_MAX: usize = 2 << 10;
const ENVIRON_MAX: u64 = 1 << 20;
const ORPHANS_MAX: usize = 1_000;

/// A process that a former daemon started and left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// Process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Start time in clock ticks since boot: with the pid, a name that is not reused.
    pub started: u64,
    /// App name, tamed.
    pub name: String,
    /// Number in the former daemon.
    pub pm_id: Option<PmId>,
}

/// Both findings of one pass over `/proc`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Processes titled as PM2 daemons of this home, run by its owner or by root.
    pub daemons: Vec<u32>,
    /// See [`Orphan`]; needs root or the same user; an app may run as another user than its daemon.
    pub orphans: Vec<Orphan>,
}

struct Process {
    pid: u32,
    parent: u32,
    uid: u32,
    started: u64,
}

/// Whether a process exists and is not a zombie.
#[must_use]
pub fn alive(pid: u32) -> bool {
    machine::start_time(pid).is_some()
}

/// How long a process has lived; `None` where it does not exist or is a zombie. `/proc` counts starts in hundredths of a
/// second of CLOCK_BOOTTIME (proc(5), field 22; `USER_HZ` is 100).
#[must_use]
pub fn age(pid: u32) -> Option<Duration> {
    let started = machine::start_time(pid)?;
    Some(clock::boottime().saturating_sub(Duration::from_millis(started.saturating_mul(10))))
}

/// A PM2 daemon of any user, as its title and the kernel tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningDaemon {
    /// Process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its `PM2_HOME`, tamed.
    pub home: String,
}

/// Every daemon of this machine that carries PM2's usual title, at most a thousand. Blocking.
#[must_use]
pub fn every_daemon() -> Vec<RunningDaemon> {
    let titled = |process: &Process| {
        let cmdline = read(process.pid, "cmdline", CMDLINE_MAX);
        let home = named_bytes(god_home(&cmdline)?, 300);
        Some(RunningDaemon { pid: process.pid, uid: process.uid, home })
    };
    let mut all: Vec<RunningDaemon> = processes().values().filter_map(titled).take(ORPHANS_MAX).collect();
    all.sort_by_key(|daemon| daemon.pid);
    all
}

/// Resolves when a process has come to rest: asleep, and no processor time used between two looks. So is one that has
/// booted and listens, and one that waits for a server; one that still boots on a busy machine is runnable. Also when it
/// is gone. The file stays open: a look is one call, and never at a stranger who got the number later.
pub async fn at_rest(pid: u32) {
    let Ok(file) = File::open(format!("/proc/{pid}/stat")) else { return };
    let look = || {
        let mut bytes = [0; STAT_MAX];
        let length = file.read_at(&mut bytes, 0).ok()?;
        machine::parse_stat(&String::from_utf8_lossy(bytes.get(..length)?))
    };
    let mut before: Option<u64> = None;
    loop {
        let Some(now) = look().filter(|stat| stat.alive) else { return };
        if now.asleep && before == Some(now.ticks) {
            return;
        }
        before = now.asleep.then_some(now.ticks);
        super::beat(super::BEAT / 2).await;
    }
}

/// One pass over `/proc` for `home`, owned by `owner`; `serving` is the daemon that answered on the socket. Blocking.
#[must_use]
pub fn scan(home: &Path, owner: u32, serving: Option<u32>) -> Scan {
    let processes = processes();
    let homes = [home.to_owned(), home.canonicalize().unwrap_or_else(|_| home.to_owned())];
    let is_home = |text: &[u8]| homes.iter().any(|home| home.as_os_str().as_encoded_bytes() == text);
    let mut daemons = Vec::new();
    let mut found: HashMap<u32, Orphan> = HashMap::new();
    for process in processes.values() {
        // Apps of the daemon that serves: neither daemons nor left over, and most of what runs here.
        if descends_from(process.pid, &processes, |pid| Some(pid) == serving) {
            continue;
        }
        let cmdline = read(process.pid, "cmdline", CMDLINE_MAX);
        if [owner, 0].contains(&process.uid) && god_home(&cmdline).is_some_and(is_home) {
            daemons.push(process.pid);
        } else if Some(process.pid) != serving
            && found.len() < ORPHANS_MAX
            && let Some(orphan) = launched_from(process, &is_home)
        {
            found.insert(process.pid, orphan);
        }
    }
    let mut living: HashSet<u32> = daemons.iter().copied().collect();
    living.extend(serving);
    // A descendant of a living daemon is no orphan; a descendant of another candidate is that one's child.
    let kept = |pid: u32| living.contains(&pid) || found.contains_key(&pid);
    let alone = |orphan: &&Orphan| !descends_from(orphan.pid, &processes, kept);
    let mut orphans: Vec<Orphan> = found.values().filter(alone).cloned().collect();
    daemons.sort_unstable();
    orphans.sort_by_key(|orphan| orphan.pid);
    Scan { daemons, orphans }
}

/// Whether one of its ancestors is such a process.
fn descends_from(pid: u32, processes: &HashMap<u32, Process>, such: impl Fn(u32) -> bool) -> bool {
    const DEPTH_MAX: usize = 64;
    let parent_of = |pid: &u32| processes.get(pid).map(|process| process.parent).filter(|parent| *parent > 0);
    std::iter::successors(parent_of(&pid), parent_of).take(DEPTH_MAX).any(such)
}

fn processes() -> HashMap<u32, Process> {
    let own_namespace = std::fs::read_link("/proc/self/ns/pid").ok();
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten().take(PROCESSES_MAX);
    names
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            // A container's daemon may name the same path; it is another machine as far as we are concerned.
            let namespace = std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
            if namespace.is_some() && namespace != own_namespace {
                return None;
            }
            let uid = entry.metadata().ok()?.uid();
            let stat = machine::process_stat(pid)?;
            Some((pid, Process { pid, parent: stat.parent, uid, started: stat.start_time }))
        })
        .collect()
}

/// The home in a daemon's title, `PM2 vX.Y.Z: God Daemon (HOME)`.
fn god_home(cmdline: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b": God Daemon (";
    if !cmdline.starts_with(b"PM2 v") {
        return None;
    }
    let at = cmdline.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let rest = cmdline.get(at..)?;
    rest.get(..rest.iter().rposition(|byte| *byte == b')')?)
}

/// Fork mode flattens the settings into the environment; cluster mode passes them as one JSON text, `pm2_env`.
fn launched_from(process: &Process, is_home: &impl Fn(&[u8]) -> bool) -> Option<Orphan> {
    let environ = read(process.pid, "environ", ENVIRON_MAX);
    let value = |key: &[u8]| {
        environ.split(|byte| *byte == 0).find_map(|pair| pair.strip_prefix(key)?.strip_prefix(b"=".as_slice()))
    };
    if !is_home(value(b"PM2_HOME")?) {
        return None;
    }
    let whole: Option<Whole> = value(b"pm2_env").and_then(|json| serde_json::from_slice(json).ok());
    let number = value(b"pm_id").and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
    let pm_id = number.or_else(|| PmId::try_from(whole.as_ref()?.pm_id.0.as_u64()?).ok())?;
    let named = whole.as_ref().and_then(|all| all.name.0.as_str()).map(str::as_bytes);
    let name = named_bytes(value(b"name").or(named).unwrap_or_default(), 200);
    Some(Orphan { pid: process.pid, uid: process.uid, started: process.started, name, pm_id: Some(pm_id) })
}

/// What is read of the settings of an app in cluster mode.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Whole {
    pm_id: Small,
    name: Small,
}

fn read(pid: u32, what: &str, max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/{what}"));
    // A process may end while it is read; what came until then is what there is.
    drop(file.and_then(|file| file.take(max).read_to_end(&mut bytes)));
    bytes
}

/// The cgroup of a process (the unit it belongs to), tamed.
#[must_use]
pub fn cgroup(pid: u32) -> Option<String> {
    let bytes = read(pid, "cgroup", CMDLINE_MAX);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let unified = lines.iter().find_map(|line| line.strip_prefix("0::"));
    let named = || lines.iter().find_map(|line| line.split_once(":name=systemd:").map(|(_, path)| path));
    unified.filter(|path| *path != "/").or_else(named).or(unified).map(|path| crate::host::foreign::named(path, 300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemon_titles_name_their_home() {
        let cases: [(&[u8], Option<&[u8]>); 4] = [
            (b"PM2 v7.0.4: God Daemon (/home/a b/(x)/.pm2)\0\0", Some(b"/home/a b/(x)/.pm2")),
            (b"PM2 v4.5.6: God Daemon (/root/.pm2)   ", Some(b"/root/.pm2")),
            (b"node\0/srv/app.js\0", None),
            (b"PM2 v7.0.4: God Daemon (", None),
        ];
        for (title, home) in cases {
            assert_eq!(god_home(title), home, "{}", String::from_utf8_lossy(title));
        }
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "a process of the test's own")]
    async fn who_sleeps_or_has_gone_is_at_rest() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let soon = Duration::from_secs(20);
        tokio::time::timeout(soon, at_rest(child.id())).await.expect("it sleeps");
        child.kill().unwrap();
        tokio::time::timeout(soon, at_rest(child.id())).await.expect("it is a zombie");
        child.wait().unwrap();
        tokio::time::timeout(soon, at_rest(child.id())).await.expect("it is gone");
    }

    #[test]
    fn this_process_is_alive_and_no_orphan() {
        assert!(alive(std::process::id()));
        assert!(!alive(u32::MAX));
        let nothing = scan(Path::new("/no/such/home"), rustix::process::geteuid().as_raw(), None);
        assert_eq!(nothing, Scan::default());
    }
}
