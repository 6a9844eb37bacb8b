//! Values that are no secrets, whatever the name of the variable that holds them.
//!
//! An owner of an app may put any word into a variable that sounds secret. Words of this list stay readable in what services
//! say; as a password each of them falls to the first guess. Shorter values than [`super::SHORTEST`] never count by value.

/// In lower case, sorted.
const COMMON: [&str; 84] = [
    "127.0.0.1",
    "abandoned",
    "activating",
    "administrator",
    "allkeys-lru",
    "anonymous",
    "application",
    "application/json",
    "authenticated",
    "authentication",
    "authorization",
    "bgrewriteaof",
    "cannot find module",
    "changeme",
    "cluster_mode",
    "completed",
    "configuration",
    "connected",
    "connection",
    "container",
    "credentials",
    "critical",
    "database",
    "deactivating",
    "debugging",
    "deployment",
    "developer",
    "development",
    "disabled",
    "disconnected",
    "eaddrinuse",
    "econnrefused",
    "econnreset",
    "elasticsearch",
    "emergency",
    "etimedout",
    "exception",
    "external",
    "finished",
    "fork_mode",
    "hostname",
    "inactive",
    "information",
    "integration",
    "internal",
    "interrupted",
    "keepalive",
    "launching",
    "listening",
    "localhost",
    "localhost.localdomain",
    "maintenance",
    "memcached",
    "microservice",
    "module_not_found",
    "not-found",
    "notification",
    "optional",
    "password",
    "permission",
    "pm2 is being killed",
    "postgres",
    "postgresql",
    "preproduction",
    "production",
    "protected",
    "rabbitmq",
    "reachable",
    "readonly",
    "rebooted",
    "required",
    "restored",
    "scheduled",
    "shutdown",
    "starting",
    "stopping",
    "succeeded",
    "terminated",
    "undefined",
    "unexpected",
    "unreachable",
    "username",
    "waiting restart",
    "websocket",
];

/// Whether a value is a word of everyday, in any case of letters.
pub(super) fn is_common(value: &str) -> bool {
    COMMON.binary_search(&value.to_ascii_lowercase().as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_in_lower_case() {
        assert!(COMMON.is_sorted());
        assert!(COMMON.iter().all(|word| *word == word.to_ascii_lowercase()));
        assert!(is_common("Production") && !is_common("production-7f3a"));
    }
}
