//! INFO texts of a real 7.0.15 in each state.

use crate::host::redis::testbed::{recorded, recording};
use crate::host::redis::*;

#[test]
fn recordings_of_7_0_15() {
    let idle = recorded("idle");
    assert_eq!((idle.server.name, idle.server.version.as_str()), (ServerName::Redis, "7.0.15"));
    assert_eq!(idle.server.config_file, "/etc/redis/redis.conf");
    assert_eq!(idle.keys, [(0, 81_234), (3, 1)].into());
    assert!(idle.loading.is_none() && idle.latest_fork_usec.is_some());
    let loading = recorded("loading").loading.unwrap();
    assert_eq!((loading.total_bytes, loading.loaded_bytes, loading.eta_seconds), (67_944_473, 3_331_113, 38));
    let rewriting = recorded("rewriting").aof.unwrap();
    assert!(rewriting.enabled && rewriting.rewrite_in_progress && rewriting.last_bgrewrite_ok);
    assert_eq!((rewriting.save_keys_total, rewriting.rewrites), (Some(81_235), Some(2)));
    assert!(!recorded("misconf").rdb.unwrap().last_bgsave_ok);
    assert!(recording("replica").contains("master_link_status:down"));
}
