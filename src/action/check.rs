//! What a `healthy` gate can ask. A required check that fails closes the gate, another one only warns.
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::inventory::{Role, Selector};
use super::kinds::kinds;
use super::measure::{Amount, Bytes, Quota};
use crate::host::redis::{RedisAt, RedisKind};
use crate::host::secret::SecretRef;
use crate::host::tls::Tls;

kinds! {
    /// One question with the answer that is expected.
    Check, CheckKind;
    /// Redis answers, and as expected.
    Redis(RedisCheck) = "redis",
    /// Something accepts a TCP connection.
    Tcp(TcpCheck) = "tcp",
    /// An HTTP endpoint answers, and as expected.
    Http(HttpCheck) = "http",
    /// systemd units are active (or are not).
    Unit(UnitCheck) = "unit",
    /// The machine has room.
    Host(HostCheck) = "host",
    /// A read-only program ends with status 0.
    Command(CommandCheck) = "command",
    /// Apps of a PM2 place are online.
    Pm2(Pm2Check) = "pm2",
    /// Forgotten everywhere on purpose: see `tests/forgotten.sh`.
    #[cfg(feature = "forgotten-kinds")]
    Forgotten(TcpCheck) = "forgotten",
}

impl Check {
    /// Whether the gate fails with it.
    #[must_use]
    pub fn required(&self) -> bool {
        match self {
            Self::Redis(check) => check.required,
            Self::Tcp(check) => check.required,
            Self::Http(check) => check.required,
            Self::Unit(check) => check.required,
            Self::Host(check) => check.required,
            Self::Command(check) => check.required,
            Self::Pm2(check) => check.required,
        }
    }
}

/// `redis: { instances: masters, role: master, keys_at_least: 90% }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedisCheck {
    /// Whom to ask.
    pub target: RedisTarget,
    /// The role that it must have.
    pub role: Option<Role>,
    /// The state of a replica's link to its master (`master_link_status`).
    pub link: Option<Link>,
    /// So many keys over all databases, or this share of the baseline (which only declared instances have).
    pub keys_at_least: Option<Quota>,
    /// Whether an instance that is still loading passes; no unless told otherwise.
    pub loading: bool,
    /// Whether the gate fails with it.
    pub required: bool,
}

/// Whom a Redis check asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisTarget {
    /// Declared instances.
    Instances(Selector),
    /// Any address, such as that of a router in front of Redis.
    Address(RedisAddress),
}

/// An address outside the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisAddress {
    /// As in [`super::inventory::RedisInstance::url`]; never with a password in it.
    pub url: String,
    /// The ACL user.
    pub user: Option<String>,
    /// Where the password lies.
    pub password: Option<SecretRef>,
    /// Whom to trust at a `rediss://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl RedisAddress {
    /// Where it is asked; what answers is taken for Redis.
    #[must_use]
    pub fn at(&self) -> RedisAt {
        let (url, user, password) = (self.url.clone(), self.user.clone(), self.password.clone());
        RedisAt { url, user, password, kind: RedisKind::Redis, tls: self.tls.clone() }
    }
}

/// `master_link_status` of `INFO replication`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Connected to its master.
    Up,
    /// Not connected.
    Down,
}

/// `tcp: { addr: "127.0.0.1:5432" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpCheck {
    /// `host:port` or `[v6]:port`.
    pub addr: String,
    /// Whether the gate fails with it.
    pub required: bool,
}

/// `http: { url: …, status: 200, json: { "$.status": { eq: healthy } } }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// `http://` or `https://`.
    pub url: String,
    /// The status code expected; 200 unless told otherwise.
    pub status: u16,
    /// Request headers.
    pub headers: IndexMap<String, HeaderValue>,
    /// What the JSON body must say: path (`$.a.b[0]`) to comparison.
    pub json: IndexMap<String, Comparison>,
    /// Whether the gate fails with it.
    pub required: bool,
    /// Whom to trust at an `https://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How long an answer may take. Absent: half of the gate's `within`, from 5 to 60 seconds; 5 seconds in a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers_within: Option<Duration>,
}

/// The value of a request header: as written, or a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderValue {
    /// Not secret.
    Text(String),
    /// Read when it is sent.
    Secret(SecretRef),
}

/// One comparison of a JSON value with a constant. Values of different types are never equal and never ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Equal.
    Eq(serde_json::Value),
    /// Not equal (a missing value is an error, not "not equal").
    Ne(serde_json::Value),
    /// Less than.
    Lt(f64),
    /// At most.
    Le(f64),
    /// Greater than.
    Gt(f64),
    /// At least.
    Ge(f64),
    /// A text holds this text, or a list this element.
    Contains(serde_json::Value),
}

/// `unit: { name: router, active: true }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitCheck {
    /// Full unit names: inventory names are replaced by their units, braces expanded.
    pub units: Vec<String>,
    /// Active, or not active; active unless told otherwise.
    pub active: bool,
    /// Whether the gate fails with it.
    pub required: bool,
}

/// `host: { memory_free: 20%, disk_free: { path: /var/lib/redis, at_least: 20GiB } }`; at least one question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostCheck {
    /// `MemAvailable`, absolute or as a share of `MemTotal`.
    pub memory_free: Option<Amount>,
    /// The size of the machine: proves that a resize happened. Compare with a little tolerance, the kernel keeps some.
    pub memory_at_least: Option<Bytes>,
    /// Processors online.
    pub cpus_at_least: Option<u32>,
    /// Room on the file systems behind these paths.
    pub disk_free: Vec<DiskFree>,
    /// Whether the gate fails with it.
    pub required: bool,
}

/// Room on one file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskFree {
    /// Any path on it.
    pub path: PathBuf,
    /// What an unprivileged process may still use (`f_bavail`).
    pub at_least: Amount,
}

/// `command: { argv: [/usr/local/bin/check, --fast] }`: like the action, but it must only read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandCheck {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The Unix user to run as.
    pub user: Option<String>,
    /// The working directory; `None`: `/`.
    pub cwd: Option<PathBuf>,
    /// Whether the gate fails with it.
    pub required: bool,
}

/// `pm2: { pm2: services, apps: ["api*"], online_at_least: 95%, restarts_at_most: 3 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pm2Check {
    /// The PM2 place, by its inventory name.
    pub pm2: String,
    /// Patterns of the apps that are asked about; empty: all of them.
    pub apps: Vec<String>,
    /// How many must be online; a share counts from the apps asked about.
    pub online_at_least: Option<Quota>,
    /// No app asked about has restarted more often since the run began; where PM2's daemon is another one since, since that began.
    pub restarts_at_most: Option<u32>,
    /// No app asked about has restarted more often in all: PM2's own counter (`pm2_env.restart_time`).
    #[serde(default)]
    pub restarts_in_all_at_most: Option<u32>,
    /// Whether the gate fails with it.
    pub required: bool,
}
