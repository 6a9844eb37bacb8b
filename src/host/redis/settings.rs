//! What an instance would lose at its next start: the settings that CONFIG GET shows now against those of its file.
//!
//! `CONFIG SET` without `CONFIG REWRITE` lives until the restart. The list is bounded and holds what decides which data are
//! read, how much memory they may take, who may write, and who is let in; of a password only whether there is one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::seen::RedisSeen;

/// How a value is written, so that `4gb` in a file equals `4294967296` in an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it stands.
    Exact,
    /// Words without regard to case: `yes`, `everysec`, `volatile-lru`.
    Word,
    /// Bytes, with Redis's units (util.c, `memtoull`).
    Bytes,
    /// A path.
    Path,
    /// Flags in any order; `A` stands for all the classes (notify.c).
    Events,
    /// Only whether there is one.
    Secret,
}

use Form::{Bytes, Events, Exact, Path, Secret, Word};

/// Settings that are looked at, how each is written, and config.c's default where every version since 6 has the same one.
/// The first eight decide what the next start reads.
const KNOWN: [(&str, Form, Option<&str>); 47] = [
    ("appendonly", Word, Some("no")),
    ("dir", Path, None),
    ("appendfilename", Exact, Some("appendonly.aof")),
    ("appenddirname", Exact, Some("appendonlydir")),
    ("save", Exact, Some("3600 1 300 100 60 10000")),
    ("dbfilename", Exact, Some("dump.rdb")),
    ("aof-use-rdb-preamble", Word, Some("yes")),
    ("aof-load-truncated", Word, Some("yes")),
    ("appendfsync", Word, Some("everysec")),
    ("no-appendfsync-on-rewrite", Word, Some("no")),
    ("auto-aof-rewrite-percentage", Exact, Some("100")),
    ("auto-aof-rewrite-min-size", Bytes, Some("67108864")),
    ("stop-writes-on-bgsave-error", Word, Some("yes")),
    ("rdbcompression", Word, Some("yes")),
    ("maxmemory", Bytes, Some("0")),
    ("maxmemory-policy", Word, Some("noeviction")),
    ("maxmemory-samples", Exact, Some("5")),
    ("maxclients", Exact, None),
    ("replicaof", Exact, Some("")),
    ("replica-read-only", Word, Some("yes")),
    ("replica-serve-stale-data", Word, Some("yes")),
    ("replica-priority", Exact, Some("100")),
    ("min-replicas-to-write", Exact, Some("0")),
    ("min-replicas-max-lag", Exact, Some("10")),
    ("repl-backlog-size", Bytes, None),
    ("repl-diskless-sync", Word, None),
    ("repl-diskless-load", Word, Some("disabled")),
    ("port", Exact, Some("6379")),
    ("bind", Exact, None),
    ("protected-mode", Word, Some("yes")),
    ("timeout", Exact, Some("0")),
    ("tcp-keepalive", Exact, Some("300")),
    ("notify-keyspace-events", Events, Some("")),
    ("lua-time-limit", Exact, Some("5000")),
    ("hz", Exact, Some("10")),
    ("activedefrag", Word, Some("no")),
    ("lazyfree-lazy-eviction", Word, None),
    ("lazyfree-lazy-expire", Word, None),
    ("lazyfree-lazy-server-del", Word, None),
    ("lazyfree-lazy-user-del", Word, None),
    ("slowlog-log-slower-than", Exact, Some("10000")),
    ("slowlog-max-len", Exact, Some("128")),
    ("loglevel", Word, Some("notice")),
    ("logfile", Exact, Some("")),
    ("masteruser", Exact, Some("")),
    ("requirepass", Secret, Some("")),
    ("masterauth", Secret, Some("")),
];

/// What a password is shown as.
const SET: &str = "(set)";

/// Names before Redis 5, and those of other words for the same thing (config.c, the aliases).
const ALIASES: [(&str, &str); 9] = [
    ("slaveof", "replicaof"),
    ("slave-read-only", "replica-read-only"),
    ("slave-serve-stale-data", "replica-serve-stale-data"),
    ("slave-priority", "replica-priority"),
    ("min-slaves-to-write", "min-replicas-to-write"),
    ("min-slaves-max-lag", "min-replicas-max-lag"),
    ("busy-reply-threshold", "lua-time-limit"),
    ("primaryuser", "masteruser"),
    ("primaryauth", "masterauth"),
];

/// One setting that is not in the file as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// Its value now; `(set)` stands for a password.
    pub now: String,
    /// Its value after the next start; `None` where neither the file nor a default known to us says it.
    pub then: Option<String>,
}

/// What the next start of one instance would do otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unsaved {
    /// The configuration file; empty when there is none.
    pub file: String,
    /// Settings that would be lost, in the order of importance.
    pub lost: Vec<Setting>,
    /// How many were compared and are the same.
    pub same: usize,
    /// Why nothing, or not everything, could be compared. Never read as "no difference".
    pub unknown: Option<String>,
}

/// The names to ask CONFIG GET for.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, ..)| *name)
}

/// The name under which a setting is looked at; `None` for all others.
pub(super) fn known(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let name = ALIASES.iter().find(|(old, _)| *old == name).map_or(name.as_str(), |(_, new)| new);
    KNOWN.iter().find(|(known, ..)| *known == name).map(|(known, ..)| *known)
}

/// Whether a setting may be named in `may_differ`.
#[must_use]
pub fn is_setting(name: &str) -> bool {
    KNOWN.iter().any(|(known, ..)| *known == name)
}

/// Every setting with a default that all versions share.
pub(super) fn defaults() -> impl Iterator<Item = (&'static str, &'static str)> {
    KNOWN.iter().filter_map(|(name, _, default)| Some((*name, (*default)?)))
}

/// A value as it may be kept: of a password only that it is there.
pub(super) fn kept(name: &str, value: String) -> String {
    match form(name) {
        Secret if value.is_empty() => value,
        Secret => SET.to_owned(),
        _ => value,
    }
}

/// Whether two values of a setting mean the same.
pub(crate) fn same(name: &str, one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    match form(name) {
        Exact | Secret => one.split_whitespace().eq(other.split_whitespace()),
        Word => one.eq_ignore_ascii_case(other),
        Path => std::path::Path::new(one) == std::path::Path::new(other),
        Bytes => bytes(one).zip(bytes(other)).map_or(one == other, |(one, other)| one == other),
        Events => events(one) == events(other),
    }
}

fn form(name: &str) -> Form {
    KNOWN.iter().find(|(known, ..)| *known == name).map_or(Exact, |(_, form, _)| *form)
}

/// Bytes with Redis's units: `k` is 1000, `kb` is 1024, in any case.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Two values of a setting as people compare them: bytes in the largest of Redis's units that suits both.
pub(crate) fn alike(name: &str, one: &str, other: &str) -> (String, String) {
    let both = bytes(one.trim()).zip(bytes(other.trim())).filter(|_| form(name) == Bytes);
    let Some((less, more)) = both else { return (one.to_owned(), other.to_owned()) };
    let units = [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
    let suits = |(size, _): &(u64, &str)| less % size == 0 && more % size == 0;
    let (size, unit) = units.into_iter().find(suits).unwrap_or((1, ""));
    let told = |bytes: u64| if bytes == 0 { "0".to_owned() } else { format!("{}{unit}", bytes / size) };
    (told(less), told(more))
}

fn events(text: &str) -> Vec<char> {
    let mut flags: Vec<char> = text.replace('A', "g$lshzxetd").chars().filter(|c| *c != '"').collect();
    flags.sort_unstable();
    flags.dedup();
    flags
}

/// What this instance would lose if it were started again now.
#[must_use]
pub fn unsaved(seen: &RedisSeen) -> Unsaved {
    let unknown = |file: &str, why: String| Unsaved { file: file.into(), unknown: Some(why), ..Unsaved::default() };
    let Some(facts) = &seen.facts else {
        return unknown("", format!("redis {}", seen.door));
    };
    let file = facts.server.config_file.as_str();
    let why = |what: &str| seen.unseen.iter().find(|one| one.what == what).map(|one| one.why.clone());
    let Some(config) = &facts.config else {
        return unknown(file, format!("CONFIG GET: {}", why("CONFIG").unwrap_or_else(|| "was not answered".into())));
    };
    if file.is_empty() {
        return unknown(file, "it runs without a configuration file: its unit's arguments decide".into());
    }
    let Some(written) = &facts.written else {
        let why = why("config file").unwrap_or_else(|| "the file was not read: it is on another host".into());
        return unknown(file, why);
    };
    compare(file, config, written)
}

fn compare(file: &str, config: &BTreeMap<String, String>, written: &BTreeMap<String, String>) -> Unsaved {
    let mut found = Unsaved { file: file.to_owned(), ..Unsaved::default() };
    for name in names() {
        let Some(now) = config.get(name) else { continue };
        match written.get(name) {
            Some(then) if same(name, now, then) => found.same += 1,
            // Named by no file, and its default depends on the version: most likely it is that default.
            None if !SPOKEN.contains(&name) => {}
            Some(then) => {
                let (now, then) = alike(name, now, then);
                found.lost.push(Setting { key: name.into(), now, then: Some(then) });
            }
            None => found.lost.push(Setting { key: name.into(), now: now.clone(), then: None }),
        }
    }
    found
}

/// Settings without a shared default that are a question all the same when no file names them.
const SPOKEN: [&str; 1] = ["dir"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for (name, one, other, wanted) in [
            ("maxmemory", "4gb", "4294967296", true),
            ("maxmemory", "4g", "4294967296", false),
            ("maxmemory", "100MB", "104857600", true),
            ("maxmemory", "10%", "10%", true),
            ("appendonly", "YES", "yes", true),
            ("dir", "/data/", "/data", true),
            ("save", "900 1  60 10", "900 1 60 10", true),
            ("notify-keyspace-events", "KEA", "AKE", true),
            ("notify-keyspace-events", "Kx", "Ex", false),
            ("requirepass", "(set)", "(set)", true),
            ("replicaof", "10.0.0.1 6379", "", false),
        ] {
            assert_eq!(same(name, one, other), wanted, "{name} {one} {other}");
        }
    }

    #[test]
    fn two_values_are_told_in_one_unit() {
        for (name, one, other, wanted) in [
            ("maxmemory", "8589934592", "4gb", ("8gb", "4gb")),
            ("maxmemory", "0", "1610612736", ("0", "1536mb")),
            ("repl-backlog-size", "1mb", "1100", ("1048576", "1100")),
            ("maxmemory", "10%", "4gb", ("10%", "4gb")),
            ("maxclients", "1024", "4096", ("1024", "4096")),
        ] {
            assert_eq!(alike(name, one, other), (wanted.0.to_owned(), wanted.1.to_owned()), "{name} {one} {other}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_unknown_and_never_no_difference() {
        let mut seen = RedisSeen { door: super::super::Door::NoAuth, facts: None, unseen: Vec::new() };
        assert!(unsaved(&seen).unknown.unwrap().contains("wants a password"));
        let mut facts = super::super::testbed::recorded("idle");
        facts.server.config_file = "/etc/redis/a.conf".into();
        seen.facts = Some(facts.clone());
        assert!(unsaved(&seen).unknown.unwrap().contains("CONFIG GET"));
        facts.config = Some([("maxmemory".to_owned(), "5".to_owned()), ("bind".to_owned(), "*".to_owned())].into());
        seen.facts = Some(facts.clone());
        seen.unseen.push(super::super::Unseen { what: "config file".into(), why: "Permission denied".into() });
        assert_eq!(unsaved(&seen).unknown.as_deref(), Some("Permission denied"));
        facts.written = Some([("maxmemory".to_owned(), "0".to_owned())].into());
        seen.facts = Some(facts.clone());
        let lost = vec![Setting { key: "maxmemory".into(), now: "5".into(), then: Some("0".into()) }];
        assert_eq!(unsaved(&seen).lost, lost);
        facts.server.config_file.clear();
        seen.facts = Some(facts);
        assert!(unsaved(&seen).unknown.unwrap().contains("without a configuration file"));
    }

    #[test]
    fn a_password_is_kept_as_its_presence() {
        assert_eq!(kept("requirepass", "hunter2".into()), "(set)");
        assert_eq!(kept("masterauth", String::new()), "");
        assert_eq!(kept("dir", "/x".into()), "/x");
        assert_eq!(known("SLAVEOF"), Some("replicaof"));
        assert_eq!(known("rename-command"), None);
    }
}
