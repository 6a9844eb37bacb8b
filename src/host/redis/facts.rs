//! From replies to facts: INFO text, the ROLE array, CONFIG GET pairs.

use std::collections::BTreeMap;

use redis::Value;

use super::info::Fields;
use super::odd::odd;
use super::seen::{Aof, Loading, Memory, Rdb, RedisFacts, ReplicaOf, Role, Server, ServerName};
use super::settings;
use crate::host::foreign::{Shown, named, named_bytes};

const MAX_REPLICAS: usize = 256;

/// Facts from INFO; `None` when the fields that every Redis sends are missing, so that absence is never read as *no*.
pub(super) fn facts(info: &Fields) -> Option<RedisFacts> {
    let loading_now = info.flag("loading")?;
    Some(RedisFacts {
        server: server(info)?,
        role: None,
        loading: loading_now.then(|| loading(info)),
        async_loading: info.flag("async_loading").unwrap_or(false),
        aof: aof(info),
        rdb: rdb(info),
        module_fork: info.flag("module_fork_in_progress").unwrap_or(false),
        memory: memory(info),
        keys: info.keys(),
        latest_fork_usec: info.number("latest_fork_usec"),
        config: None,
        written: None,
        rewrite_known: None,
        files: None,
        certified_until: None,
    })
}

/// Tile38's facts: its name and, if it told, its role. Nothing else of its INFO means the same.
pub(super) fn tile38(role: Option<Role>) -> RedisFacts {
    let server = Server {
        name: ServerName::Tile38,
        version: String::new(),
        run_id: String::new(),
        process_id: None,
        uid: None,
        config_file: String::new(),
        uptime_secs: 0,
    };
    RedisFacts {
        server,
        role,
        loading: None,
        async_loading: false,
        aof: None,
        rdb: None,
        module_fork: false,
        memory: None,
        keys: BTreeMap::new(),
        latest_fork_usec: None,
        config: None,
        written: None,
        rewrite_known: None,
        files: None,
        certified_until: None,
    }
}

fn server(info: &Fields) -> Option<Server> {
    // Valkey keeps `redis_version:7.2.4` for old clients and adds its own.
    let (name, version) = match info.text("valkey_version") {
        Some(version) => (ServerName::Valkey, version),
        None => (ServerName::Redis, info.text("redis_version")?),
    };
    Some(Server {
        name,
        version: named(version, 40),
        run_id: named(info.text("run_id")?, 64),
        process_id: info.number("process_id").and_then(|pid| u32::try_from(pid).ok()),
        uid: None,
        config_file: named(info.text("config_file").unwrap_or_default(), 4096),
        uptime_secs: info.number("uptime_in_seconds").unwrap_or(0),
    })
}

fn loading(info: &Fields) -> Loading {
    Loading {
        started: info.number("loading_start_time").unwrap_or(0),
        total_bytes: info.number("loading_total_bytes").unwrap_or(0),
        loaded_bytes: info.number("loading_loaded_bytes").unwrap_or(0),
        eta_seconds: info.number("loading_eta_seconds").unwrap_or(0),
    }
}

fn aof(info: &Fields) -> Option<Aof> {
    Some(Aof {
        enabled: info.flag("aof_enabled")?,
        rewrite_in_progress: info.flag("aof_rewrite_in_progress")?,
        rewrite_scheduled: info.flag("aof_rewrite_scheduled")?,
        last_bgrewrite_ok: info.is_ok("aof_last_bgrewrite_status")?,
        consecutive_failures: info.number("aof_rewrites_consecutive_failures"),
        rewrites: info.number("aof_rewrites"),
        last_rewrite_secs: info.number("aof_last_rewrite_time_sec"),
        current_rewrite_secs: info.number("aof_current_rewrite_time_sec"),
        current_size: info.number("aof_current_size").unwrap_or(0),
        base_size: info.number("aof_base_size").unwrap_or(0),
        last_write_ok: info.is_ok("aof_last_write_status")?,
        save_keys_processed: info.number("current_save_keys_processed"),
        save_keys_total: info.number("current_save_keys_total"),
        cow: info.number("current_cow_size"),
    })
}

fn rdb(info: &Fields) -> Option<Rdb> {
    Some(Rdb {
        bgsave_in_progress: info.flag("rdb_bgsave_in_progress")?,
        last_bgsave_ok: info.is_ok("rdb_last_bgsave_status")?,
        changes_since_last_save: info.number("rdb_changes_since_last_save")?,
        last_save_time: info.number("rdb_last_save_time")?,
    })
}

fn memory(info: &Fields) -> Option<Memory> {
    Some(Memory {
        used_memory: info.number("used_memory")?,
        rss: info.number("used_memory_rss")?,
        maxmemory: info.number("maxmemory").unwrap_or(0),
    })
}

/// The role: ROLE decides which, INFO adds the state of a replica's link. `Err` holds the odd answer.
pub(super) fn role(answer: &Value, info: &Fields) -> Result<Role, Shown> {
    let strange = || odd(Some(answer));
    let Value::Array(items) = answer else { return Err(strange()) };
    match (items.first().and_then(text).as_deref(), items.get(1..)) {
        (Some("master"), Some(rest)) => Ok(Role::Master { replicas: replicas(rest.get(1)) }),
        (Some("slave" | "replica"), Some([host, port, state, ..])) => Ok(Role::Replica {
            master_host: text(host).ok_or_else(strange)?,
            master_port: number(port).and_then(|port| u16::try_from(port).ok()).ok_or_else(strange)?,
            // `connected` in ROLE comes before the link is called up; INFO is asked in the same breath. Without INFO
            // (Tile38) the state is all there is.
            link_up: info
                .text("master_link_status")
                .map_or_else(|| text(state).as_deref() == Some("connected"), |s| s == "up"),
            sync_in_progress: info.flag("master_sync_in_progress").unwrap_or(false),
            master_sync_perc: info
                .decimal("master_sync_perc")
                .filter(|_| info.number("master_sync_total_bytes").is_some_and(|total| total > 0)),
        }),
        _ => Err(strange()),
    }
}

fn replicas(list: Option<&Value>) -> Vec<ReplicaOf> {
    let Some(Value::Array(list)) = list else {
        return Vec::new();
    };
    list.iter()
        .take(MAX_REPLICAS)
        .filter_map(|entry| match entry {
            Value::Array(parts) => Some(ReplicaOf {
                host: text(parts.first()?)?,
                port: number(parts.get(1)?).and_then(|port| u16::try_from(port).ok())?,
                offset: number(parts.get(2)?)?,
            }),
            _ => None,
        })
        .collect()
}

/// CONFIG GET pairs, only the settings we asked for. Values that are not plain text are shown tamed, and so never used as a path.
pub(super) fn settings(answer: &Value) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    match answer {
        Value::Array(items) => {
            for pair in items.chunks_exact(2) {
                keep(&mut found, &pair[0], &pair[1]);
            }
        }
        Value::Map(pairs) => pairs.iter().for_each(|(key, value)| keep(&mut found, key, value)),
        _ => return None,
    }
    Some(found)
}

fn keep(found: &mut BTreeMap<String, String>, key: &Value, value: &Value) {
    if let (Some(key), Some(value)) = (text(key), text(value))
        && let Some(name) = settings::known(&key)
    {
        found.insert(name.to_owned(), settings::kept(name, value));
    }
}

/// Any textual reply, tamed.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(named_bytes(bytes, 4096)),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(named(text, 4096)),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(n) => u64::try_from(*n).ok(),
        other => text(other)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn roles() {
        let up = Fields::parse("master_link_status:up\nmaster_sync_in_progress:0\n");
        let syncing = Fields::parse(
            "master_link_status:down\nmaster_sync_in_progress:1\nmaster_sync_total_bytes:10\nmaster_sync_perc:40.00\n",
        );
        let master = Value::Array(vec![
            bulk("master"),
            Value::Int(99),
            Value::Array(vec![Value::Array(vec![bulk("10.0.0.2"), bulk("6381"), bulk("42")])]),
        ]);
        let replica = |state: &str| {
            Value::Array(vec![bulk("slave"), bulk("127.0.0.1"), Value::Int(6379), bulk(state), Value::Int(-1)])
        };
        assert_eq!(
            role(&master, &up),
            Ok(Role::Master { replicas: vec![ReplicaOf { host: "10.0.0.2".into(), port: 6381, offset: 42 }] })
        );
        for (info, state, link_up, sync_in_progress, perc) in [
            (&up, "connected", true, false, None),
            (&syncing, "sync", false, true, Some(40.0)),
            (&syncing, "connected", false, true, Some(40.0)),
            (&Fields::default(), "connected", true, false, None),
        ] {
            let wanted = Role::Replica {
                master_host: "127.0.0.1".into(),
                master_port: 6379,
                link_up,
                sync_in_progress,
                master_sync_perc: perc,
            };
            assert_eq!(role(&replica(state), info), Ok(wanted));
        }
        assert!(role(&Value::Array(vec![bulk("sentinel"), Value::Array(vec![])]), &up).is_err());
        assert!(role(&Value::Nil, &up).is_err());
    }

    #[test]
    fn without_the_loading_field_there_are_no_facts() {
        assert_eq!(facts(&Fields::parse("redis_version:7.0.15\nrun_id:a\nasync_loading:0\n")), None);
    }

    #[test]
    fn valkey_is_known_by_its_own_version() {
        let info = Fields::parse("redis_version:7.2.4\nvalkey_version:8.1.8\nrun_id:a\nloading:0\n");
        let server = facts(&info).unwrap().server;
        assert_eq!((server.name, server.version.as_str()), (ServerName::Valkey, "8.1.8"));
    }

    #[test]
    fn only_the_settings_asked_for_are_kept() {
        let words = ["dir", "/data", "requirepass", "hunter2", "proc-title-template", "x", "save"];
        let answer = Value::Array(words.map(bulk).into());
        let pairs = [("dir", "/data"), ("requirepass", "(set)")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(settings(&answer), Some(BTreeMap::from(pairs)), "of a password only that there is one");
        assert_eq!(settings(&Value::Nil), None);
    }
}
