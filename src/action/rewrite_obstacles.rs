//! What stands against rewriting an instance: the kernel's accounting, or that it is not the server that was meant.

use super::change::{Concern, Weight};
use super::inventory::RedisInstance;
use super::needs::role_wanted;
use crate::host::machine::MachineSeen;
use crate::host::redis::{Obstacle, Overcommit, RedisSeen, Role, RoleWanted, Severity};

/// How the kernel accounts for memory, from the same look as everything else.
pub(super) fn accounting(machine: &MachineSeen) -> Option<Overcommit> {
    let headroom = machine.commit_limit.zip(machine.committed_as).map(|(limit, used)| limit.saturating_sub(used));
    Some(Overcommit { mode: machine.overcommit_memory?, headroom })
}

/// An obstacle as a concern of the plan: what stops an optional instance is a warning.
pub(super) fn concern(instance: &RedisInstance, obstacle: Obstacle) -> Concern {
    let weight = match obstacle.severity {
        Severity::Stop if instance.required => Weight::Stop,
        _ => Weight::Warn,
    };
    Concern::new(weight, &instance.name, obstacle.seen, obstacle.cure)
}

/// An instance without an append-only file has nothing that could be rewritten, and is no obstacle: what its next start would
/// lose, or not find again by its settings, is judged where it is stopped or restarted.
pub(super) fn nothing_to_rewrite(instance: &RedisInstance, now: &RedisSeen) -> Option<Concern> {
    let facts = now.facts.as_ref()?;
    // While loading, Redis itself reports AOF as off.
    let off = facts.loading.is_none() && facts.aof.as_ref().is_some_and(|aof| !aof.enabled);
    let seen = "keeps snapshots and no append-only file: there is nothing to rewrite";
    off.then(|| Concern::new(Weight::Note, &instance.name, seen, ""))
}

/// Why this is not the instance that the runbook means, or cannot be told to be: it does not let itself be asked, or a
/// failover has given it another role. Compacting the wrong server proves nothing about the one that will be restarted.
pub(super) fn stranger(instance: &RedisInstance, now: &RedisSeen) -> Option<Concern> {
    let stop = |seen: String, cure: &str| {
        let severity = Severity::Stop;
        Some(concern(instance, Obstacle { severity, seen, cure: cure.to_owned() }))
    };
    let Some(facts) = &now.facts else {
        let why = now.unseen.first().map_or(String::new(), |unseen| format!(" ({}: {})", unseen.what, unseen.why));
        return stop(format!("redis {}{why}", now.door), now.door.cure());
    };
    let cure = "was there a failover? correct `role` in the runbook, or fail back; then plan anew";
    match (&facts.role, role_wanted(instance)?) {
        (Some(Role::Replica { master_host, master_port, .. }), RoleWanted::Master) => stop(
            format!(
                "is a replica of {master_host}:{master_port} now, and the runbook says master: nothing is rewritten"
            ),
            cure,
        ),
        (Some(Role::Master { .. }), RoleWanted::Replica) => {
            stop("is a master now, and the runbook says replica: nothing is rewritten".to_owned(), cure)
        }
        _ => None,
    }
}
