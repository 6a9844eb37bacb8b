//! Why a server that does not come up does not, in the words of its log, and what may be tried without losing more.
//!
//! A damaged append-only file is never repaired from here: `redis-check-aof --fix` cuts off everything behind the damage,
//! and only a person can say whether that, a replica or a backup loses least.
use std::path::Path;

use super::act::Ground;
use super::inventory::RedisInstance;
use crate::host::Probe;
use crate::host::ask::LogOf;
use crate::host::foreign::Untrusted;

/// What aof.c and rdb.c write before they leave.
const FATAL: [&str; 7] = [
    "Bad file format",
    "Unexpected end of file",
    "Fatal error loading",
    "Wrong signature",
    "Wrong RDB checksum",
    "Internal error in RDB",
    "Error reading from the AOF",
];

/// The last fatal line of the instance's log with what to do about it; `None` where the log says nothing of the kind. Its files
/// are known from the baseline, because the server itself can no longer be asked.
pub(super) async fn cause(instance: &RedisInstance, on: &dyn Probe, ground: &Ground<'_>) -> Option<String> {
    let facts = ground.baseline.redis(&instance.at())?.facts.as_ref()?;
    let config = facts.config.as_ref()?;
    let log = config.get("logfile").filter(|path| path.starts_with('/'))?;
    let lines = on.log_tail(Path::new(log), LogOf::User(facts.server.uid?)).await.ok()?;
    let line = last_starts(&lines).iter().rev().find(|line| FATAL.iter().any(|word| line.raw().contains(word)))?;
    let line = line.line();
    let dir = facts.files.as_ref().map(|files| files.dir.clone())?;
    let name = config.get("appendfilename").map_or("appendonly.aof", String::as_str);
    // Behind the time stamp, and without Redis's own advice to cut the file at once.
    let said = line.rsplit("# ").next().unwrap_or(&line).split(": make a backup").next().unwrap_or(&line);
    Some(format!(
        "its log says: {said}; nothing was repaired. Copy first: cp -a {dir} {dir}.damaged; \
         then look: redis-check-aof {dir}/{name}.manifest (--fix cuts off everything behind the damage)"
    ))
}

/// What the log says of this start and of the one before it: the server that systemd has just started again has not come to
/// what ended the last one, and what ended one of last week is none of this.
fn last_starts(lines: &[Untrusted]) -> &[Untrusted] {
    let starts =
        lines.iter().enumerate().filter(|(_, line)| line.raw().contains("Redis is starting")).map(|(at, _)| at);
    &lines[starts.rev().nth(1).unwrap_or(0)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_the_start_before_is_told_and_what_ended_older_ones_is_not() {
        let text = "Redis is starting|Bad file format: of last week|Redis is starting|Bad file format: now|Redis is starting|Loading";
        let lines: Vec<Untrusted> = text.split('|').map(|line| Untrusted::new(line.into())).collect();
        assert_eq!(last_starts(&lines), &lines[2..]);
        assert_eq!(last_starts(&lines[4..]), &lines[4..]);
        assert!(last_starts(&[]).is_empty());
    }
}
