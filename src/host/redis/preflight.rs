//! May this instance be compacted? Pure judgement of one look, before anything is asked of the instance.

use serde::{Deserialize, Serialize};

use super::files::Layout;
use super::seen::{RedisFacts, RedisSeen};
use super::settings;
use super::size::bytes;

/// More increments than this are the rests of rewrites that failed; each failure leaves one.
const USUAL_INCRS: usize = 2;
/// What a rewrite needs beside the new base: the increment of its own run and some air.
const AIR: u64 = 1 << 30;
/// Settings without which the next start would not read the data of now.
const MUST: [&str; 4] = ["appendonly", "appendfilename", "appenddirname", "dir"];
/// All that decide what a start reads.
const READ: [&str; 8] = [
    "appendonly",
    "appendfilename",
    "appenddirname",
    "dir",
    "save",
    "dbfilename",
    "aof-use-rdb-preamble",
    "aof-load-truncated",
];

/// Something in the way of a rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Whether it forbids the rewrite.
    pub severity: Severity,
    /// What was seen, with figures.
    pub seen: String,
    /// What to do.
    pub cure: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// May go on; the operator should know.
    Warn,
    /// Must not go on.
    Stop,
}

/// The kernel's memory accounting (proc(5), `/proc/sys/vm/overcommit_memory`, `/proc/meminfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overcommit {
    /// 0 heuristic, 1 always, 2 strict.
    pub mode: u8,
    /// `CommitLimit - Committed_AS`, bytes; counts in mode 2 only.
    pub headroom: Option<u64>,
}

impl Overcommit {
    /// Reads it from `/proc`; `None` where that is not possible.
    #[must_use]
    pub fn read() -> Option<Self> {
        let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").ok()?.trim().parse().ok()?;
        let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
        let field = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        let headroom = field("CommitLimit").zip(field("Committed_AS")).map(|(limit, used)| limit.saturating_sub(used));
        Some(Self { mode, headroom })
    }
}

/// Everything that speaks against a rewrite now, worst first. `disk_free` on the filesystem of the append-only files and
/// `mem_available` (`MemAvailable`, or what the cgroup leaves) in bytes; `None` is not judged, only warned about.
#[must_use]
pub fn preflight(seen: &RedisSeen, disk_free: Option<u64>, mem_available: Option<u64>) -> Vec<Obstacle> {
    let mut found = Found(Vec::new());
    match &seen.facts {
        None => found.stop(format!("redis {}", seen.door), "make it answer INFO to this user first".to_owned()),
        Some(facts) if facts.aof.is_none() => {
            found.stop(
                "this server has no append-only fields in INFO".to_owned(),
                "leave it out of the compaction".to_owned(),
            );
        }
        Some(facts) => {
            permitted(&mut found, seen, facts);
            settings(&mut found, facts);
            busy(&mut found, facts);
            disk(&mut found, facts, disk_free);
            memory(&mut found, facts, mem_available);
            history(&mut found, facts);
        }
    }
    found.0.sort_by_key(|obstacle| std::cmp::Reverse(obstacle.severity));
    found.0
}

/// What the kernel's accounting has against a fork. Mode 2 refuses it when the whole image does not fit the limit; mode 0
/// lets it through on kernels since 5.2 and leaves the rest to the oom killer.
#[must_use]
pub fn overcommit(seen: &RedisSeen, kernel: &Overcommit) -> Option<Obstacle> {
    let rss = seen.facts.as_ref()?.memory.as_ref()?.rss;
    let mut found = Found(Vec::new());
    match (kernel.mode, kernel.headroom) {
        (2, Some(headroom)) if headroom < rss => found.stop(
            format!("vm.overcommit_memory=2 leaves {}, a fork of redis counts {}", bytes(headroom), bytes(rss)),
            "sysctl vm.overcommit_memory=1, and keep it in /etc/sysctl.d".to_owned(),
        ),
        (0, _) => found.warn(
            "vm.overcommit_memory=0: a fork may be refused or the child killed when memory is short".to_owned(),
            "sysctl vm.overcommit_memory=1, and keep it in /etc/sysctl.d".to_owned(),
        ),
        _ => {}
    }
    found.0.pop()
}

/// What speaks against restarting this instance whether or not a rewrite pays: files and settings that cannot be seen, and
/// settings that decide which files the next start reads and that it would not find again.
#[must_use]
pub fn footing(seen: &RedisSeen) -> Vec<Obstacle> {
    let mut found = Found(Vec::new());
    if let Some(facts) = &seen.facts {
        unseen(&mut found, seen);
        differences(&mut found, facts);
    }
    found.0.retain(|obstacle| obstacle.severity == Severity::Stop);
    found.0
}

struct Found(Vec<Obstacle>);

impl Found {
    fn stop(&mut self, seen: String, cure: String) {
        self.0.push(Obstacle { severity: Severity::Stop, seen, cure });
    }

    fn warn(&mut self, seen: String, cure: String) {
        self.0.push(Obstacle { severity: Severity::Warn, seen, cure });
    }
}

fn permitted(found: &mut Found, seen: &RedisSeen, facts: &RedisFacts) {
    if facts.rewrite_known == Some(false) {
        found.stop(
            "the server knows no command BGREWRITEAOF".to_owned(),
            "remove its rename-command from the configuration, or leave the instance out".to_owned(),
        );
    }
    unseen(found, seen);
}

fn unseen(found: &mut Found, seen: &RedisSeen) {
    for unseen in &seen.unseen {
        let (seen, why) = (&unseen.what, &unseen.why);
        match seen.as_str() {
            "CONFIG" => found.stop(format!("CONFIG GET: {why}"), "ACL SETUSER NAME +config|get".to_owned()),
            // Without the manifest a rewrite cannot be proven.
            "files" => found.stop(
                format!("the append-only files cannot be read: {why}"),
                "run this on the host of the instance, as root or as the owner of its files".to_owned(),
            ),
            _ => found.warn(format!("{seen}: {why}"), "make it readable to this user".to_owned()),
        }
    }
}

/// What CONFIG GET says now against what the file says to the next start.
fn settings(found: &mut Found, facts: &RedisFacts) {
    // While loading, Redis itself reports AOF as off; that is said by `busy`.
    if facts.loading.is_none() && facts.aof.as_ref().is_some_and(|aof| !aof.enabled) {
        found.stop(
            "append-only persistence is off; the next start reads the last snapshot".to_owned(),
            "BGSAVE before the restart, or CONFIG SET appendonly yes and CONFIG REWRITE".to_owned(),
        );
    }
    if facts.server.config_file.is_empty() {
        found.warn(
            "redis runs without a configuration file".to_owned(),
            "make sure that its unit passes appendonly and dir on the command line".to_owned(),
        );
    }
    differences(found, facts);
}

fn differences(found: &mut Found, facts: &RedisFacts) {
    let (Some(config), Some(written)) = (&facts.config, &facts.written) else {
        return;
    };
    for key in READ {
        let (Some(now), Some(file)) = (config.get(key), written.get(key)) else { continue };
        if settings::same(key, now, file) {
            continue;
        }
        let severity = if MUST.contains(&key) { Severity::Stop } else { Severity::Warn };
        found.0.push(not_in_file(severity, key, now, file, &facts.server.config_file));
    }
}

/// What the next start would read otherwise, as an obstacle.
fn not_in_file(severity: Severity, key: &str, now: &str, file: &str, path: &str) -> Obstacle {
    Obstacle {
        severity,
        seen: format!("{key} is \"{now}\" now, but \"{file}\" in {path}"),
        cure: "CONFIG REWRITE, or correct the file; else the next start does something else".to_owned(),
    }
}

/// What a restart must not be risked with: the next start would not read the data that are there now.
#[must_use]
pub fn restart_obstacles(seen: &RedisSeen) -> Vec<Obstacle> {
    let (Some(facts), unsaved) = (&seen.facts, settings::unsaved(seen)) else { return Vec::new() };
    let stop = |one: &settings::Setting| {
        let then = one.then.as_deref().filter(|_| MUST.contains(&one.key.as_str()))?;
        Some(not_in_file(Severity::Stop, &one.key, &one.now, then, &facts.server.config_file))
    };
    unsaved.lost.iter().filter_map(stop).collect()
}

fn busy(found: &mut Found, facts: &RedisFacts) {
    let wait = || "wait until it has ended, then look again".to_owned();
    if facts.loading.is_some() || facts.async_loading {
        found.stop("redis is loading its data set".to_owned(), wait());
    }
    if facts.aof.as_ref().is_some_and(|aof| aof.rewrite_in_progress || aof.rewrite_scheduled) {
        found.warn("a rewrite is running or scheduled; what is written since it began is not in it".to_owned(), wait());
    }
    if facts.rdb.as_ref().is_some_and(|rdb| rdb.bgsave_in_progress) {
        found.warn("a BGSAVE is running, so a rewrite would only be scheduled".to_owned(), wait());
    }
    if facts.module_fork {
        found.warn("a module has forked a child, so a rewrite would only be scheduled".to_owned(), wait());
    }
}

/// The old files stay until the new ones are complete.
fn disk(found: &mut Found, facts: &RedisFacts, free: Option<u64>) {
    let used = facts.memory.as_ref().map_or(0, |memory| memory.used_memory);
    let base =
        facts.files.as_ref().filter(|files| files.layout == Layout::Manifest).map_or(0, |files| files.base_bytes());
    let need = share(base.max(share(used, 0.6)), 1.2).saturating_add(AIR);
    match free {
        Some(free) if free < need => found.stop(
            format!("{} free on the disk of the append-only files, a rewrite may need {}", bytes(free), bytes(need)),
            "free space there, or move other files away".to_owned(),
        ),
        Some(_) => {}
        None => found.warn(
            "the free space on the disk of the append-only files is not known".to_owned(),
            format!("make sure that {} are free", bytes(need)),
        ),
    }
}

/// Pages that change during the rewrite are copied: nothing when idle, 60 to 70 % of the resident set under random writes.
fn memory(found: &mut Found, facts: &RedisFacts, available: Option<u64>) {
    let Some(rss) = facts.memory.as_ref().map(|memory| memory.rss) else {
        return;
    };
    match available {
        Some(available) if available < share(rss, 0.1) => found.stop(
            format!("{} of memory available, redis holds {}", bytes(available), bytes(rss)),
            "free memory first; the oom killer would end the child or the server".to_owned(),
        ),
        Some(available) if available < share(rss, 0.7) => found.warn(
            format!("{} of memory available, heavy writing may copy {}", bytes(available), bytes(share(rss, 0.7))),
            "stop the writers before the rewrite".to_owned(),
        ),
        Some(_) => {}
        None => found.warn(
            "the available memory is not known".to_owned(),
            format!("make sure that {} are available, or stop the writers first", bytes(share(rss, 0.7))),
        ),
    }
}

fn history(found: &mut Found, facts: &RedisFacts) {
    if let Some(aof) = &facts.aof {
        if !aof.last_write_ok {
            found.stop(
                "the last write to the append-only file failed; redis refuses writes".to_owned(),
                "look at its log and the disk (space, read-only mount, quota)".to_owned(),
            );
        }
        if !aof.last_bgrewrite_ok || aof.consecutive_failures.is_some_and(|n| n > 0) {
            let row = aof.consecutive_failures.map_or(String::new(), |n| format!(" ({n} in a row)"));
            found.warn(
                format!("the last rewrite failed{row}"),
                "find the reason in its log; the next may fail too".to_owned(),
            );
        }
    }
    if facts.rdb.as_ref().is_some_and(|rdb| !rdb.last_bgsave_ok) {
        found.warn("the last BGSAVE failed".to_owned(), "find the reason in its log: disk or memory".to_owned());
    }
    let Some(files) = &facts.files else { return };
    if files.incrs.len() > USUAL_INCRS {
        let seen = format!("the manifest lists {} increments, the rests of failed rewrites", files.incrs.len());
        found.warn(seen, "find the reason in its log; a rewrite that succeeds cleans up".to_owned());
    }
    if facts.aof.as_ref().is_some_and(|aof| aof.enabled) && !files.missing.is_empty() {
        // The data are in memory, so a rewrite is the cure; a restart would be the end.
        found.warn(
            format!("files are missing on the disk: {}", files.missing.join(", ")),
            "compact now and do not restart before that is proven".to_owned(),
        );
    }
}

fn share(bytes: u64, factor: f64) -> u64 {
    (bytes as f64 * factor) as u64
}
