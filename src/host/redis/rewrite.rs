//! Proof that a rewrite happened: pure judgement of a look before the request and a look now.
//!
//! `aof_last_bgrewrite_status:ok` is not proof: a child ended by SIGUSR1 (SHUTDOWN, `CONFIG SET appendonly no`, a full
//! synchronisation) leaves it at `ok` with nothing rewritten. What cannot lie is the sequence number of the base file in the
//! manifest, or the inode of the single file before Redis 7. The rest rules out that the proof belongs to something else.

use serde::{Deserialize, Serialize};

use super::files::{AofFiles, Layout};
use super::seen::{Aof, RedisFacts, RedisSeen};

/// How far a requested rewrite is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rewrite {
    /// The child writes.
    Running {
        /// Share of the keys written, 0 to 1; linear in time. Absent before Redis 6.2.
        done: Option<f64>,
        /// Seconds since its begin.
        elapsed_secs: u64,
    },
    /// Accepted, not begun.
    Waiting(Waiting),
    /// Every condition holds.
    Proven {
        /// Bytes a start would have read before.
        bytes_before: u64,
        /// Bytes it reads now.
        bytes_after: u64,
        /// The base's new sequence number; 0 before Redis 7.
        seq: u64,
    },
    /// It certainly did not happen, or not completely.
    Failed {
        /// Why.
        why: RewriteFailure,
    },
    /// These two looks prove neither; look again, and treat it as unknown if that never changes.
    Unproven {
        /// What is missing for a verdict.
        why: String,
    },
}

/// What an accepted rewrite waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// A BGSAVE child has to end first.
    Bgsave,
    /// Scheduled, for another reason (a module's child, the next cron tick).
    Scheduled,
}

/// Why there is no rewrite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewriteFailure {
    /// Another process answers now.
    #[error("redis was restarted meanwhile (run_id {before}, now {now}); see its log, then compact again")]
    Restarted {
        /// First digits of the run id before.
        before: String,
        /// And now.
        now: String,
    },
    /// `aof_enabled` is or was 0.
    #[error("append-only persistence is off, so the next start does not read these files; CONFIG SET appendonly yes")]
    AofOff,
    /// The child ended with an error or was killed (out of memory, disk full).
    #[error(
        "the rewrite child failed{row}; look for `No space left` or the oom killer in the redis and kernel log", row = in_a_row(*failures))]
    ChildFailed {
        /// Failures in a row; Redis counts them since version 7.
        failures: Option<u64>,
    },
    /// No child could be forked.
    #[error("redis could not fork a rewrite child; free memory or set vm.overcommit_memory=1")]
    ForkFailed,
    /// The status says ok, but the base is the old one.
    #[error(
        "the rewrite was ended without an error and without a result (base still number {seq}); somebody stopped it, compact again"
    )]
    EndedQuietly {
        /// The base's sequence number.
        seq: u64,
    },
    /// No rewrite was begun since the first look.
    #[error("no rewrite has begun since it was asked for; compact again")]
    NeverBegan,
    /// The manifest lists files that are not on the disk.
    #[error("the manifest lists files that are missing ({}); do not restart this instance", names.join(", "))]
    FilesMissing {
        /// Their names.
        names: Vec<String>,
    },
}

fn in_a_row(failures: Option<u64>) -> String {
    failures.map_or_else(String::new, |n| format!(" ({n} in a row)"))
}

/// Judges a rewrite from a look before it was requested and a look now.
///
/// Proven means all of: same `run_id`; AOF on before and now; nothing running or scheduled; last status ok and no failures in a
/// row; the base is a new one; the manifest lists that base and exactly one increment; every listed file is there.
/// If the request said *already running*, wait for that one to end and take the look before anew.
#[must_use]
pub fn judge(before: &RedisSeen, now: &RedisSeen) -> Rewrite {
    let unproven = |why: String| Rewrite::Unproven { why };
    let (Some(was), Some(is)) = (&before.facts, &now.facts) else {
        let silent = if before.facts.is_none() { before } else { now };
        return unproven(format!("redis {}", silent.door));
    };
    if was.server.run_id != is.server.run_id {
        let short = |id: &str| id.chars().take(8).collect();
        let (before, now) = (short(&was.server.run_id), short(&is.server.run_id));
        return Rewrite::Failed { why: RewriteFailure::Restarted { before, now } };
    }
    if was.loading.is_some() || is.loading.is_some() {
        return unproven("redis is loading, and reports its append-only state as off meanwhile".to_owned());
    }
    let (Some(aof_before), Some(aof)) = (&was.aof, &is.aof) else {
        return unproven("this server has no append-only fields in INFO".to_owned());
    };
    if !aof_before.enabled || !aof.enabled {
        return Rewrite::Failed { why: RewriteFailure::AofOff };
    }
    if let (Some(before), Some(now)) = (&was.files, &is.files)
        && aof.last_bgrewrite_ok
        && another_file(before, now)
    {
        // One that Redis has begun by itself since takes nothing from ours; and once that one is done, too, the number of the
        // file may be the old one again.
        return Rewrite::Proven { bytes_before: before.bytes(), bytes_after: now.bytes(), seq: 0 };
    }
    if let Some(under_way) = under_way(is, aof) {
        return under_way;
    }
    if let Some(why) = failed(aof_before, aof) {
        return Rewrite::Failed { why };
    }
    let (Some(files_before), Some(files)) = (&was.files, &is.files) else {
        let why = [before, now].iter().flat_map(|seen| &seen.unseen).find(|unseen| unseen.what == "files");
        return unproven(format!("its files cannot be read: {}", why.map_or("unknown", |unseen| unseen.why.as_str())));
    };
    judge_files((aof_before, files_before), (aof, files))
}

fn under_way(is: &RedisFacts, aof: &Aof) -> Option<Rewrite> {
    if aof.rewrite_in_progress {
        let done = match (aof.save_keys_processed, aof.save_keys_total) {
            (Some(processed), Some(total)) if total > 0 => Some((processed as f64 / total as f64).clamp(0.0, 1.0)),
            _ => None,
        };
        return Some(Rewrite::Running { done, elapsed_secs: aof.current_rewrite_secs.unwrap_or(0) });
    }
    aof.rewrite_scheduled.then(|| {
        let bgsave = is.rdb.as_ref().is_some_and(|rdb| rdb.bgsave_in_progress);
        Rewrite::Waiting(if bgsave { Waiting::Bgsave } else { Waiting::Scheduled })
    })
}

/// What the counters alone show. Order matters: an old `err` with no new attempt is not a failure of ours.
fn failed(before: &Aof, now: &Aof) -> Option<RewriteFailure> {
    let failures = now.consecutive_failures.unwrap_or(0);
    if failures > before.consecutive_failures.unwrap_or(0) {
        return Some(RewriteFailure::ChildFailed { failures: now.consecutive_failures });
    }
    if before.rewrites.is_some() && before.rewrites == now.rewrites {
        // A fork that failed is counted by some versions and not by others; the status tells.
        let fork_failed = before.last_bgrewrite_ok && !now.last_bgrewrite_ok;
        return Some(if fork_failed { RewriteFailure::ForkFailed } else { RewriteFailure::NeverBegan });
    }
    if !now.last_bgrewrite_ok {
        // Redis counts a failed child, and does not count a failed fork.
        let same = now.consecutive_failures.is_some() && now.consecutive_failures == before.consecutive_failures;
        return Some(if same {
            RewriteFailure::ForkFailed
        } else {
            RewriteFailure::ChildFailed { failures: now.consecutive_failures }
        });
    }
    (failures > 0).then_some(RewriteFailure::ChildFailed { failures: now.consecutive_failures })
}

/// Before Redis 7, whether another file lies there.
fn another_file(before: &AofFiles, now: &AofFiles) -> bool {
    match (&before.layout, &now.layout) {
        (Layout::Single { inode: old }, Layout::Single { inode: new }) => {
            old != new && *new != 0 && now.missing.is_empty()
        }
        _ => false,
    }
}

fn judge_files((aof_before, before): (&Aof, &AofFiles), (aof, now): (&Aof, &AofFiles)) -> Rewrite {
    let seq = now.base.as_ref().map_or(0, |base| base.seq);
    let new_base = match (&before.layout, &now.layout) {
        (Layout::Manifest, Layout::Manifest) => seq > before.base.as_ref().map_or(0, |base| base.seq),
        // Before Redis 7 there is no number: another file is renamed into place. A second rewrite since may have been given the
        // first one's inode again; then the size at the last rewrite and its duration have changed. The size alone proves
        // nothing: `DEBUG LOADAOF` sets it, too.
        (Layout::Single { inode: old }, Layout::Single { inode: new }) => {
            let sizes = aof_before.base_size != aof.base_size;
            let times = aof_before.last_rewrite_secs != aof.last_rewrite_secs;
            if old == new && sizes != times {
                let why = "the file is the same one, and only a part of what INFO says of the last rewrite has changed";
                return Rewrite::Unproven { why: why.to_owned() };
            }
            old != new || sizes
        }
        _ => {
            return Rewrite::Unproven { why: "the files are kept in another way than before".to_owned() };
        }
    };
    if !now.missing.is_empty() {
        return Rewrite::Failed { why: RewriteFailure::FilesMissing { names: now.missing.clone() } };
    }
    if !new_base {
        return Rewrite::Failed { why: RewriteFailure::EndedQuietly { seq } };
    }
    if now.layout == Layout::Manifest && now.incrs.len() != 1 {
        // A rewrite that Redis began by itself just now, or an older attempt's rest.
        return Rewrite::Unproven { why: format!("the manifest lists {} increments instead of one", now.incrs.len()) };
    }
    Rewrite::Proven { bytes_before: before.bytes(), bytes_after: now.bytes(), seq }
}
