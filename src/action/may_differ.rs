//! The patterns of `may_differ`: which differences after a run its author has announced.
//!
//! A path leads from the general to the particular: `machine/memory`, `units/x.service/enabled`, `redis/bds/maxmemory`,
//! `pm2/services/api/1/status`. A pattern covers what it matches and everything below that.

use super::glob;
use super::inventory::Inventory;
use crate::host::redis::is_setting;

/// Facts of the machine that a pattern of `may_differ` can name.
pub const MACHINE: [&str; 6] = ["kernel", "boot", "cpus", "memory", "swap", "hostname"];
/// Facts of a unit.
pub const UNIT: [&str; 2] = ["enabled", "state"];
/// Facts of a Redis instance beside its settings.
pub const REDIS: [&str; 7] = ["answer", "version", "role", "link", "replicas", "keys", "aof"];

/// Whether a pattern of `may_differ` covers a path: the path itself, or anything below it.
#[must_use]
pub fn covers(pattern: &str, path: &str) -> bool {
    glob::matches(pattern, path) || glob::matches(&format!("{pattern}/*"), path)
}

/// Why a pattern of `may_differ` can cover nothing in this inventory; `None` when it may. Apps are not known beforehand.
#[must_use]
pub fn dangling(pattern: &str, inventory: &Inventory) -> Option<String> {
    let (kind, rest) = pattern.split_once('/').unwrap_or((pattern, "*"));
    let (name, fact) = rest.split_once('/').map_or((rest, None), |(name, fact)| (name, Some(fact)));
    let none = |what: &str, known: &[&str]| {
        (!known.iter().any(|one| glob::matches(name, one))).then(|| format!("no {what} is called so"))
    };
    let fact_of = |known: &[&str], more: fn(&str) -> bool| {
        let fact = fact?;
        let good = more(fact) || fact.contains(['*', '?']) || known.contains(&fact);
        (!good).then(|| format!("`{fact}` is not compared; these are: {}", known.join(", ")))
    };
    // `*` reaches over slashes, so `r*/aof` may mean anything.
    if kind.contains(['*', '?']) {
        return None;
    }
    let units: Vec<&str> = inventory.units_of(None).into_iter().map(|known| known.unit).collect();
    let redis: Vec<&str> = inventory.redis.keys().map(String::as_str).collect();
    let pm2: Vec<&str> = inventory.pm2.keys().map(String::as_str).collect();
    match kind {
        "machine" => none("fact of the machine", &MACHINE),
        "units" => none("unit", &units).or_else(|| fact_of(&UNIT, |_| false)),
        "redis" => none("redis instance", &redis).or_else(|| fact_of(&REDIS, is_setting)),
        "pm2" => none("pm2 place", &pm2),
        _ => Some("it begins with machine/, units/, redis/ or pm2/".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_its_path_and_what_is_below() {
        for (pattern, path, wanted) in [
            ("redis/bds/maxmemory", "redis/bds/maxmemory", true),
            ("redis/bds/maxmemory", "redis/bds/maxmemory-policy", false),
            ("redis/bds", "redis/bds/role", true),
            ("redis/bds", "redis/bds-r/role", false),
            ("pm2/services/org-*", "pm2/services/org-a/1/status", true),
            ("pm2/services/api", "pm2/services/api/1/status", true),
            ("pm2/services/api", "pm2/services/apis/status", false),
            ("*", "machine/kernel", true),
        ] {
            assert_eq!(covers(pattern, path), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_that_can_cover_nothing_is_told_why() {
        let mut inventory = Inventory::default();
        let units = super::super::inventory::DeclaredUnits { names: vec!["router.service".into()], required: true };
        inventory.units.insert("router".into(), units);
        for (pattern, wrong) in [
            ("machine/memory", None),
            ("machine/colour", Some("no fact of the machine")),
            ("units/router.service", None),
            ("units/router.service/state", None),
            ("units/router.service/mood", Some("`mood` is not compared")),
            ("units/rooter.service", Some("no unit")),
            ("units/*/enabled", None),
            ("redis/bds/maxmemory", Some("no redis instance")),
            ("pm2/services/x", Some("no pm2 place")),
            ("apps/x", Some("begins with")),
        ] {
            let found = dangling(pattern, &inventory);
            assert_eq!(found.is_some(), wrong.is_some(), "{pattern} {found:?}");
            assert!(found.unwrap_or_default().contains(wrong.unwrap_or_default()), "{pattern}");
        }
    }
}
