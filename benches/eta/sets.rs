//! The data sets that are loaded: each long enough that whole seconds are not what the comparison is about.

use crate::real_loads::data::{Data, Parts};

/// One data set.
pub struct Set {
    pub name: &'static str,
    /// `base`, `incr` or `mixed`.
    pub kind: &'static str,
    pub base: &'static Parts,
    pub incr: &'static Parts,
}

const MB: u64 = 1_000_000;

const fn set(name: &'static str, kind: &'static str, base: &'static Parts, incr: &'static Parts) -> Set {
    Set { name, kind, base, incr }
}

/// All of them.
pub const SETS: [Set; 14] = [
    set("strings", "base", &[(Data::Strings(100), 1500 * MB)], &[]),
    set("counters", "base", &[(Data::Counters, 300 * MB)], &[]),
    set("sorted sets", "base", &[(Data::SortedSets, 800 * MB)], &[]),
    set("everything", "base", &[(Data::Everything, 1600 * MB)], &[]),
    set("SET", "incr", &[], &[(Data::Strings(100), 1000 * MB)]),
    set("HSET", "incr", &[], &[(Data::Hashes, 450 * MB)]),
    set("ZADD", "incr", &[], &[(Data::SortedSets, 180 * MB)]),
    set("INCR", "incr", &[], &[(Data::Counters, 500 * MB)]),
    set("all commands", "incr", &[], &[(Data::Everything, 500 * MB)]),
    set("SET 1k, then ZADD", "incr", &[], &[(Data::Strings(1000), 600 * MB), (Data::SortedSets, 140 * MB)]),
    set("strings + ZADD", "mixed", &[(Data::Strings(100), 700 * MB)], &[(Data::SortedSets, 110 * MB)]),
    set("sorted sets + SET 1k", "mixed", &[(Data::SortedSets, 500 * MB)], &[(Data::Strings(1000), 1500 * MB)]),
    set("hashes + HSET", "mixed", &[(Data::Hashes, 800 * MB)], &[(Data::Hashes, 250 * MB)]),
    set("strings + all commands", "mixed", &[(Data::Strings(100), 700 * MB)], &[(Data::Everything, 250 * MB)]),
];
