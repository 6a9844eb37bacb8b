//! What a runbook knows about the host before it looks: the Redis instances, the platform units and the PM2 places.
//!
//! Actions name entries of this inventory. The loader has checked that every name exists, that patterns are expanded
//! and that groups do not wait for each other in a circle, so nothing here can fail.
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::glob;
use crate::host::model::Ties;
use crate::host::redis::RedisAt;
pub use crate::host::redis::RedisKind;
use crate::host::secret::SecretRef;
use crate::host::tls::Tls;

/// Everything that steps may refer to, in the order of the file. A name occurs once across the three maps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// Redis instances (and servers that speak its protocol) by name.
    pub redis: IndexMap<String, RedisInstance>,
    /// Platform units beside those of Redis and PM2, by name.
    pub units: IndexMap<String, DeclaredUnits>,
    /// PM2 daemons (one per user and home) by name.
    pub pm2: IndexMap<String, Pm2Place>,
}

/// One server that speaks the Redis protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedisInstance {
    /// The name in the inventory, again, so that an instance can travel alone.
    pub name: String,
    /// `redis://host:port`, `rediss://…` or `redis+unix:///path`; never with a password in it.
    pub url: String,
    /// The ACL user; `None` is Redis' `default`.
    pub user: Option<String>,
    /// Where the password lies.
    pub password: Option<SecretRef>,
    /// The systemd unit that runs it, when it runs on this host under systemd.
    pub unit: Option<String>,
    /// The role that is planned for it.
    pub role: Role,
    /// The name of its master in the inventory (replicas only; may be missing when the master is elsewhere).
    pub of: Option<String>,
    /// Which server it is: Tile38 answers other questions than Redis.
    pub kind: RedisKind,
    /// A gate fails on a required instance and warns about another one.
    pub required: bool,
    /// Whom to trust at a `rediss://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// The role of an instance in replication, as `ROLE` and `INFO replication` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes writes.
    #[default]
    Master,
    /// Follows a master.
    Replica,
}

/// Units under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredUnits {
    /// Full unit names, braces expanded, in the order written.
    pub names: Vec<String>,
    /// A gate fails on required units and warns about others.
    pub required: bool,
}

/// One PM2 daemon: a user and a `PM2_HOME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pm2Place {
    /// The Unix user that owns the daemon.
    pub user: String,
    /// `PM2_HOME`, where `rpc.sock`, `pm2.pid` and `dump.pm2` lie.
    pub home: PathBuf,
    /// The systemd unit that resurrects it after a boot.
    pub unit: Option<String>,
    /// The `pm2` program to use; `None` leaves the search to the host.
    pub cli: Option<PathBuf>,
    /// Who starts the apps after a boot.
    #[serde(default)]
    pub boot: AtBoot,
    /// Start order: the first group whose pattern matches an app has it. Empty: one group of all apps.
    pub groups: Vec<AppGroup>,
}

/// Who starts the apps after a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtBoot {
    /// The run does, in its order: the apps were saved as stopped, so that PM2 only registers them.
    #[default]
    Registers,
    /// PM2 does, from the dump it has; the run compares afterwards and repairs.
    Resurrects,
}

/// Apps that start together, the moment what they need holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppGroup {
    /// Unique within its place.
    pub name: String,
    /// Patterns of app names: `*` is any text, `?` one character.
    pub apps: Vec<String>,
    /// What must hold before the first app of the group starts.
    pub needs: Needs,
    /// Patterns of apps in this group whose loss is a warning, not a failure.
    pub optional: Vec<String>,
}

/// What an app group waits for; all of it must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Needs {
    /// Redis instances that are loaded and have their planned role.
    pub redis: Vec<String>,
    /// Declared units that are active.
    pub units: Vec<String>,
    /// Other groups of the same place that are up.
    pub groups: Vec<String>,
    /// Single apps of other groups of the same place that are up, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<String>,
    /// So many apps of those groups, and of the apps named, may be lost in all; the group starts without them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_at_most: u32,
    /// Other PM2 places whose apps are all up.
    pub pm2: Vec<String>,
    /// Checks that hold. One that is not required holds the group up for 20 seconds at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// For fields that are left out where they say nothing.
pub(super) fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// Which Redis instances a step means.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// Those declared as master.
    Masters,
    /// Those declared as replica.
    Replicas,
    /// Every declared instance.
    #[default]
    All,
    /// These, in this order.
    Names(Vec<String>),
}

/// One systemd unit that the inventory knows, and how much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownUnit<'a> {
    /// The inventory name it comes from.
    pub from: &'a str,
    /// The full unit name.
    pub unit: &'a str,
    /// A gate fails without it.
    pub required: bool,
}

impl Inventory {
    /// The instances that `selector` means, in the order of the inventory (or of the list).
    #[must_use]
    pub fn select(&self, selector: &Selector) -> Vec<&RedisInstance> {
        let role = |role| self.redis.values().filter(|one| one.role == role).collect();
        match selector {
            Selector::Masters => role(Role::Master),
            Selector::Replicas => role(Role::Replica),
            Selector::All => self.redis.values().collect(),
            Selector::Names(names) => names.iter().filter_map(|name| self.redis.get(name)).collect(),
        }
    }

    /// The units behind inventory names (`None`: behind all of them), each unit once: platform units first, then those
    /// of Redis, then those of PM2.
    #[must_use]
    pub fn units_of(&self, names: Option<&[String]>) -> Vec<KnownUnit<'_>> {
        let wanted = |from: &str| names.is_none_or(|names| names.iter().any(|name| name == from));
        let platform = self.units.iter().flat_map(|(from, group)| {
            group.names.iter().map(move |unit| KnownUnit { from, unit, required: group.required })
        });
        let redis = self
            .redis
            .iter()
            .filter_map(|(from, one)| one.unit.as_deref().map(|unit| KnownUnit { from, unit, required: one.required }));
        let pm2 = self
            .pm2
            .iter()
            .filter_map(|(from, place)| place.unit.as_deref().map(|unit| KnownUnit { from, unit, required: true }));
        let mut found: Vec<KnownUnit<'_>> = Vec::new();
        for known in platform.chain(redis).chain(pm2).filter(|known| wanted(known.from)) {
            match found.iter_mut().find(|earlier| earlier.unit == known.unit) {
                Some(earlier) => earlier.required |= known.required,
                None => found.push(known),
            }
        }
        found
    }

    /// Which unit runs which neighbour, for a model of this host.
    #[must_use]
    pub fn ties(&self) -> Ties {
        let tie = |one: &RedisInstance| Some((one.at(), one.unit.clone()?));
        let names = self.redis.values().map(|one| (one.at(), one.name.clone()));
        Ties { redis: self.redis.values().filter_map(tie).collect(), names: names.collect() }
    }
}

impl RedisInstance {
    /// What `NAME: { url: URL }` declares: a required master, without a unit, a user or a certificate authority of its own.
    #[must_use]
    pub fn declared(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            user: None,
            password: None,
            unit: None,
            role: Role::Master,
            of: None,
            kind: RedisKind::Redis,
            required: true,
            tls: None,
        }
    }

    /// Where it is asked.
    #[must_use]
    pub fn at(&self) -> RedisAt {
        RedisAt {
            url: self.url.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            kind: self.kind,
            tls: self.tls.clone(),
        }
    }
}

impl Pm2Place {
    /// The index of the first group whose patterns match `app`.
    #[must_use]
    pub fn group_of(&self, app: &str) -> Option<usize> {
        self.groups.iter().position(|group| glob::any_matches(&group.apps, app))
    }

    /// Whether losing `app` is only a warning.
    #[must_use]
    pub fn is_optional(&self, app: &str) -> bool {
        self.group_of(app)
            .and_then(|at| self.groups.get(at))
            .is_some_and(|group| glob::any_matches(&group.optional, app))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(name: &str, role: Role, unit: Option<&str>) -> (String, RedisInstance) {
        let one = RedisInstance {
            unit: unit.map(str::to_owned),
            role,
            required: false,
            ..RedisInstance::declared(name, "redis://127.0.0.1:6379")
        };
        (name.into(), one)
    }

    #[test]
    fn selectors_follow_the_roles_and_lists_keep_their_order() {
        let redis =
            [instance("a", Role::Master, None), instance("b", Role::Replica, None), instance("c", Role::Master, None)];
        let inventory = Inventory { redis: redis.into_iter().collect(), ..Inventory::default() };
        let names = |selector| inventory.select(&selector).iter().map(|one| one.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(Selector::Masters), ["a", "c"]);
        assert_eq!(names(Selector::Replicas), ["b"]);
        assert_eq!(names(Selector::All), ["a", "b", "c"]);
        assert_eq!(names(Selector::Names(vec!["c".into(), "a".into()])), ["c", "a"]);
    }

    #[test]
    fn a_unit_declared_twice_counts_once_and_is_required_if_either_says_so() {
        let units = DeclaredUnits { names: vec!["r.service".into(), "x.service".into()], required: true };
        let inventory = Inventory {
            redis: [instance("a", Role::Master, Some("r.service"))].into_iter().collect(),
            units: [("platform".to_owned(), units)].into_iter().collect(),
            pm2: IndexMap::new(),
        };
        let known = inventory.units_of(None);
        assert_eq!(
            known.iter().map(|known| (known.unit, known.required)).collect::<Vec<_>>(),
            [("r.service", true), ("x.service", true)]
        );
        let named = inventory.units_of(Some(&["a".to_owned()]));
        assert_eq!(named.iter().map(|known| (known.unit, known.required)).collect::<Vec<_>>(), [("r.service", false)]);
    }

    #[test]
    fn the_first_matching_group_has_the_app() {
        let group = |name: &str, pattern: &str, optional: &str| AppGroup {
            name: name.into(),
            apps: vec![pattern.into()],
            needs: Needs::default(),
            optional: vec![optional.into()],
        };
        let place = Pm2Place {
            user: "deploy".into(),
            home: "/h".into(),
            unit: None,
            cli: None,
            boot: AtBoot::Registers,
            groups: vec![group("workers", "*-worker", "org-*"), group("rest", "*", "none")],
        };
        assert_eq!((place.group_of("mail-worker"), place.group_of("api")), (Some(0), Some(1)));
        assert!(place.is_optional("org-worker") && !place.is_optional("org-api"));
    }
}
