//! The facts about one instance: plain values that are journaled, replayed and judged elsewhere.
//!
//! Field names of INFO are those of Redis's `genRedisInfoString` (server.c); what each is worth is said beside it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::door::Door;
use super::files::AofFiles;

/// What one look at an instance showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedisSeen {
    /// How it answers PING.
    pub door: Door,
    /// What it says of itself; `None` when INFO could not be had, and then `unseen` says why.
    pub facts: Option<RedisFacts>,
    /// What could not be seen, and why. Nothing is guessed in its place.
    pub unseen: Vec<Unseen>,
}

/// Something that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// A command (`INFO`, `CONFIG`), or `files`.
    pub what: String,
    /// Why, in the server's or the system's words.
    pub why: String,
}

/// What an instance says of itself, with its files as they lie on the disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedisFacts {
    /// Which server and which start of it.
    pub server: Server,
    /// From ROLE. A loading server calls itself master from its first millisecond: role alone proves nothing.
    pub role: Option<Role>,
    /// Present while the data set is being read.
    pub loading: Option<Loading>,
    /// A replica reads a new data set beside the old one (`repl-diskless-load swapdb`) and still serves reads.
    pub async_loading: bool,
    /// Append-only persistence; `None` for Tile38.
    pub aof: Option<Aof>,
    /// Snapshot persistence; `None` for Tile38.
    pub rdb: Option<Rdb>,
    /// A module has a forked child, which keeps Redis from forking another.
    pub module_fork: bool,
    /// Memory; `None` for Tile38.
    pub memory: Option<Memory>,
    /// Keys per database; empty databases are absent. While loading: as far as it got.
    pub keys: BTreeMap<u32, u64>,
    /// How long the last fork stopped the server, in microseconds.
    pub latest_fork_usec: Option<u64>,
    /// The settings that decide what a start reads, from CONFIG GET; `None` when not permitted.
    pub config: Option<BTreeMap<String, String>>,
    /// The same settings as the configuration file gives them to the next start; `None` without a readable file.
    pub written: Option<BTreeMap<String, String>>,
    /// Whether BGREWRITEAOF exists under that name (COMMAND INFO); it may have been renamed away.
    pub rewrite_known: Option<bool>,
    /// What the next start would read, from the disk of this host; `None` when that is not readable from here.
    pub files: Option<AofFiles>,
    /// When the certificate it showed ceases to hold; `None` where no TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certified_until: Option<Timestamp>,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The program.
    pub name: ServerName,
    /// Its version, as `7.0.15`; empty for Tile38.
    pub version: String,
    /// Forty hex digits, new at each start.
    pub run_id: String,
    /// Process id as the server sees it (its own pid namespace).
    pub process_id: Option<u32>,
    /// The user it runs as, where it is a process of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The configuration file; empty when started without one.
    pub config_file: String,
    /// Seconds since the start.
    pub uptime_secs: u64,
}

impl Server {
    /// Program and version, as loads are filed: `redis 7.0.15`.
    #[must_use]
    pub fn label(&self) -> String {
        let name = match self.name {
            ServerName::Redis => "redis",
            ServerName::Valkey => "valkey",
            ServerName::Tile38 => "tile38",
        };
        format!("{name} {}", self.version)
    }
}

/// The program that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerName {
    /// Redis or Redis Stack.
    Redis,
    /// Valkey.
    Valkey,
    /// Tile38.
    Tile38,
}

/// The role by ROLE, with the link by INFO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes writes.
    Master {
        /// Its attached replicas (at most 256 are kept).
        replicas: Vec<ReplicaOf>,
    },
    /// Follows a master.
    Replica {
        /// The master's host.
        master_host: String,
        /// The master's port.
        master_port: u16,
        /// `master_link_status:up`.
        link_up: bool,
        /// A full synchronisation is under way; the present data are the old ones.
        sync_in_progress: bool,
        /// How much of the transfer arrived, in percent; absent when the size is not known (diskless).
        master_sync_perc: Option<f64>,
    },
}

/// One attached replica as the master lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaOf {
    /// Address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Replication offset it acknowledged, in bytes.
    pub offset: u64,
}

/// A load in progress, by INFO. Bytes move in steps of 2 MiB (base) or 1024 commands (increments).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loading {
    /// Unix time of its begin, whole seconds; another value means another attempt.
    pub started: u64,
    /// Bytes to read; zero for a diskless transfer.
    pub total_bytes: u64,
    /// Bytes read.
    pub loaded_bytes: u64,
    /// Redis's own straight-line estimate, in seconds; says 1 during the first second whatever is ahead.
    pub eta_seconds: u64,
}

/// Append-only persistence, by INFO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aof {
    /// `aof_enabled`. Redis turns it off for itself while it reads an append-only file (aof.c, `loadSingleAppendOnlyFile`),
    /// so it says nothing during a load; CONFIG GET does.
    pub enabled: bool,
    /// A rewrite child runs.
    pub rewrite_in_progress: bool,
    /// A rewrite waits for another child to end.
    pub rewrite_scheduled: bool,
    /// The last rewrite did not *fail*. A child ended by SIGUSR1 leaves this true: it proves nothing.
    pub last_bgrewrite_ok: bool,
    /// Children that failed in a row (Redis 7).
    pub consecutive_failures: Option<u64>,
    /// Rewrites begun since the start (Redis 7).
    pub rewrites: Option<u64>,
    /// How long the last rewrite took, in seconds.
    pub last_rewrite_secs: Option<u64>,
    /// How long the present rewrite has run, in seconds.
    pub current_rewrite_secs: Option<u64>,
    /// Size of all files, in bytes; 0 while loading or with AOF off.
    pub current_size: u64,
    /// Size after the last rewrite, in bytes. Not the size of the base file: that one is in the manifest's files.
    pub base_size: u64,
    /// The last write reached the file. False: every write command and PING answer `-MISCONF`.
    pub last_write_ok: bool,
    /// Keys the present child has written (Redis 6.2).
    pub save_keys_processed: Option<u64>,
    /// Keys it will write.
    pub save_keys_total: Option<u64>,
    /// Memory copied on write by the present child, in bytes.
    pub cow: Option<u64>,
}

/// Snapshot persistence, by INFO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rdb {
    /// A BGSAVE child runs.
    pub bgsave_in_progress: bool,
    /// The last one succeeded.
    pub last_bgsave_ok: bool,
    /// Changes that only a save would keep.
    pub changes_since_last_save: u64,
    /// Unix time of the last save, seconds.
    pub last_save_time: u64,
}

/// Memory, by INFO; bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// `used_memory`: what the data take.
    pub used_memory: u64,
    /// Resident pages of the process.
    pub rss: u64,
    /// The configured limit; 0 is none.
    pub maxmemory: u64,
}
