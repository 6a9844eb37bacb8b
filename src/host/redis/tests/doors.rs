//! The doors of a real server: passwords, access lists, MISCONF.

use crate::host::redis::testbed::{Testbed, until};
use crate::host::redis::*;
use crate::host::secret::SecretRef;

const ANY: Wanted<'static> = Wanted { role: None, keys_before: None, keys_at_least: 0.9, aof: None };

#[tokio::test]
async fn the_doors_of_a_server_with_passwords() {
    let Some(bed) = Testbed::start(&["--requirepass", "hunter2"]).await else {
        return;
    };
    let secret = |name: &str, text: &str| {
        use std::os::unix::fs::OpenOptionsExt;
        let path = bed.path(name);
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        Some(SecretRef::File(path))
    };
    let open = RedisAt { password: secret("right", "hunter2\n"), ..bed.at() };
    assert_eq!(look(&bed.at()).await.door, Door::NoAuth);
    assert_eq!(request_rewrite(&bed.at()).await, Err(RedisFault::NoAuth { door: Door::NoAuth }));
    let wrong = RedisAt { password: secret("wrong", "hunter3"), ..bed.at() };
    let seen = look(&wrong).await;
    assert_eq!((seen.door, seen.facts), (Door::WrongPass, None));
    assert_eq!(request_rewrite(&wrong).await, Err(RedisFault::NoAuth { door: Door::WrongPass }));
    let missing = RedisAt { password: Some(SecretRef::File(bed.path("none"))), ..bed.at() };
    assert!(matches!(look(&missing).await.door, Door::Secret { text } if text.contains("No such file")));

    let seen = look(&open).await;
    assert_eq!(seen.door, Door::Open);
    let json = serde_json::to_string(&(&seen, &open)).unwrap();
    assert!(!json.contains("hunter2") && !format!("{seen:?} {open:?}").contains("hunter2"));
    assert_eq!(serde_json::from_str::<(RedisSeen, RedisAt)>(&json).unwrap(), (seen, open));
}

#[tokio::test]
async fn what_an_acl_forbids_is_named() {
    let Some(bed) = Testbed::start(&[]).await else { return };
    let rules = "on >hunter2 ~* +@all -ping -config -bgrewriteaof";
    let user: Vec<&str> = ["ACL", "SETUSER", "ops"].into_iter().chain(rules.split(' ')).collect();
    bed.tell(&user).await.unwrap();
    let path = bed.path("p");
    std::fs::write(&path, "hunter2").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let ops = RedisAt { user: Some("ops".into()), password: Some(SecretRef::File(path)), ..bed.at() };
    let seen = look(&ops).await;
    assert_eq!(seen.door, Door::NoPerm { command: "PING".into() });
    let facts = seen.facts.as_ref().unwrap();
    assert!(facts.config.is_none() && facts.files.is_none() && facts.role.is_some());
    assert!(seen.unseen.iter().any(|u| u.what == "CONFIG" && u.why.contains("NOPERM")), "{:?}", seen.unseen);
    let refused = request_rewrite(&ops).await.unwrap_err();
    assert_eq!(refused, RedisFault::NoPerm { command: "BGREWRITEAOF".into() });
    assert!(refused.to_string().contains("+bgrewriteaof"));
    assert_eq!(ready(&seen, &ANY).unwrap_err()[0].to_string(), "redis does not permit this user PING");
}

#[tokio::test]
async fn misconf_is_a_door_of_its_own() {
    let Some(bed) = Testbed::start(&["--save", "3600 1"]).await else {
        return;
    };
    std::fs::create_dir_all(bed.path("dump.rdb/in-the-way")).unwrap();
    bed.tell(&["SET", "a", "b"]).await.unwrap();
    bed.tell(&["BGSAVE"]).await.unwrap();
    let seen = until("the save failed", async || {
        Some(bed.seen().await).filter(|seen| !seen.facts.as_ref().unwrap().rdb.as_ref().unwrap().last_bgsave_ok)
    })
    .await;
    assert!(matches!(&seen.door, Door::Misconf { text } if text.contains("RDB")), "{:?}", seen.door);
    assert!(ready(&seen, &ANY).unwrap_err()[0].to_string().starts_with("redis cannot persist: "));
}

#[tokio::test]
async fn a_renamed_command_is_unknown() {
    let Some(bed) = Testbed::start(&["--rename-command", "BGREWRITEAOF", "hidden"]).await else {
        return;
    };
    let seen = bed.seen().await;
    assert_eq!(seen.facts.as_ref().unwrap().rewrite_known, Some(false));
    assert!(preflight(&seen, Some(u64::MAX), Some(u64::MAX))[0].seen.contains("knows no command BGREWRITEAOF"));
    assert_eq!(request_rewrite(&bed.at()).await, Err(RedisFault::UnknownCommand));
}

#[tokio::test]
async fn a_setting_that_the_file_does_not_have_is_lost_at_the_next_start() {
    let Some(mut bed) = Testbed::start(&[]).await else {
        return;
    };
    std::fs::write(bed.path("conf"), "save \"\"\nappendfilename appendonly.aof\n").unwrap();
    bed.boot(&[]).await;
    let seen = bed.seen().await;
    assert!(seen.unseen.is_empty(), "{:?}", seen.unseen);
    // The first AOF may still be in the making: that is a warning, and not the point here.
    let mut found = preflight(&seen, Some(u64::MAX), Some(u64::MAX));
    found.retain(|obstacle| obstacle.severity == Severity::Stop);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].seen.starts_with("appendonly is \"yes\" now, but \"no\" in "), "{found:?}");
    bed.tell(&["CONFIG", "REWRITE"]).await.unwrap();
    assert_eq!(preflight(&bed.seen().await, Some(u64::MAX), Some(u64::MAX)), []);
}
