//! Against a real, private redis-server: what the pure tables cannot know. Skipped, with a word, where there is none.

use rustix::process::Signal;

use super::testbed::{Testbed, pause, recorded, recording, signal, until, write_increment};
use super::*;
use crate::host::secret::SecretRef;

const ANY: Wanted<'static> = Wanted {
    role: None,
    keys_before: None,
    keys_at_least: 0.9,
    aof: None,
};

fn aof(seen: &RedisSeen) -> &Aof {
    seen.facts.as_ref().unwrap().aof.as_ref().unwrap()
}

async fn verdict(bed: &Testbed, before: &RedisSeen) -> Rewrite {
    until("the rewrite has ended", async || {
        match judge(before, &bed.seen().await) {
            Rewrite::Running { .. } | Rewrite::Waiting(_) | Rewrite::Unproven { .. } => None,
            ended => Some(ended),
        }
    })
    .await
}

/// A server whose rewrites take a second or more: 2000 keys, half a millisecond each.
async fn slow_bed() -> Option<Testbed> {
    let bed = Testbed::start(&["--enable-debug-command", "yes"]).await?;
    bed.tell(&["DEBUG", "POPULATE", "2000", "key", "50"]).await.unwrap();
    bed.tell(&["CONFIG", "SET", "rdb-key-save-delay", "500"]).await.unwrap();
    Some(bed)
}

#[test]
fn recordings_of_7_0_15() {
    let idle = recorded("idle");
    assert_eq!(
        (idle.server.name, idle.server.version.as_str()),
        (ServerName::Redis, "7.0.15")
    );
    assert_eq!(idle.server.config_file, "/etc/redis/redis.conf");
    assert_eq!(idle.keys, [(0, 81_234), (3, 1)].into());
    assert!(idle.loading.is_none() && idle.latest_fork_usec.is_some());
    let loading = recorded("loading").loading.unwrap();
    assert_eq!(
        (loading.total_bytes, loading.loaded_bytes, loading.eta_seconds),
        (67_944_473, 3_331_113, 38)
    );
    let rewriting = recorded("rewriting").aof.unwrap();
    assert!(rewriting.enabled && rewriting.rewrite_in_progress && rewriting.last_bgrewrite_ok);
    assert_eq!((rewriting.save_keys_total, rewriting.rewrites), (Some(81_235), Some(2)));
    assert!(!recorded("misconf").rdb.unwrap().last_bgsave_ok);
    assert!(recording("replica").contains("master_link_status:down"));
}

#[tokio::test]
async fn a_rewrite_is_proven() {
    let Some(bed) = slow_bed().await else { return };
    for n in 0..200 {
        bed.tell(&["SET", "same", &"x".repeat(1000 + n)]).await.unwrap();
    }
    let before = bed.seen().await;
    assert_eq!(before.door, Door::Open);
    assert!(before.unseen.is_empty(), "{:?}", before.unseen);
    let facts = before.facts.as_ref().unwrap();
    assert_eq!(facts.rewrite_known, Some(true));
    assert_eq!(facts.config.as_ref().unwrap()["appendonly"], "yes");
    assert!(matches!(&facts.role, Some(Role::Master { replicas }) if replicas.is_empty()));
    assert_eq!(
        judge(&before, &before),
        Rewrite::Failed {
            why: RewriteFailure::NeverBegan
        }
    );

    assert_eq!(request_rewrite(&bed.at()).await, Ok(RewriteReply::Started));
    assert_eq!(request_rewrite(&bed.at()).await, Ok(RewriteReply::AlreadyRunning));
    assert!(matches!(
        judge(&before, &bed.seen().await),
        Rewrite::Running { done: Some(_), .. }
    ));
    bed.tell(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).await.unwrap();
    match verdict(&bed, &before).await {
        Rewrite::Proven {
            bytes_before,
            bytes_after,
            seq,
        } => {
            assert_eq!(seq, 2);
            assert!(
                bytes_before > 200_000 && bytes_after > 0,
                "{bytes_before} -> {bytes_after}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_killed_child_is_a_failure() {
    let Some(bed) = slow_bed().await else { return };
    let before = bed.seen().await;
    assert_eq!(request_rewrite(&bed.at()).await, Ok(RewriteReply::Started));
    signal(bed.forked().await, Signal::KILL);
    let why = RewriteFailure::ChildFailed { failures: 1 };
    assert_eq!(verdict(&bed, &before).await, Rewrite::Failed { why }, "{}", bed.log());
    let warned = preflight(&bed.seen().await, Some(u64::MAX), Some(u64::MAX));
    assert!(
        warned.iter().any(|o| o.seen.contains("failed (1 in a row)")),
        "{warned:?}"
    );
}

#[tokio::test]
async fn a_child_ended_politely_is_a_failure_although_the_status_is_ok() {
    let Some(bed) = slow_bed().await else { return };
    let before = bed.seen().await;
    assert_eq!(request_rewrite(&bed.at()).await, Ok(RewriteReply::Started));
    signal(bed.forked().await, Signal::USR1);
    let ended = verdict(&bed, &before).await;
    assert_eq!(
        ended,
        Rewrite::Failed {
            why: RewriteFailure::EndedQuietly { seq: 1 }
        },
        "{}",
        bed.log()
    );
    let now = bed.seen().await;
    assert!(aof(&now).last_bgrewrite_ok, "this is what makes it treacherous");
    assert_eq!(aof(&now).consecutive_failures, Some(0));
}

#[tokio::test]
async fn a_restart_meanwhile_is_a_failure() {
    let Some(mut bed) = slow_bed().await else { return };
    let before = bed.seen().await;
    bed.boot(&[]).await;
    let now = until("loaded", async || {
        Some(bed.seen().await).filter(|seen| seen.door == Door::Open)
    })
    .await;
    assert!(matches!(
        judge(&before, &now),
        Rewrite::Failed {
            why: RewriteFailure::Restarted { .. }
        }
    ));
}

#[tokio::test]
async fn append_only_off_is_refused_before_redis_says_started() {
    let Some(bed) = slow_bed().await else { return };
    let before = bed.seen().await;
    bed.tell(&["CONFIG", "SET", "appendonly", "no"]).await.unwrap();
    assert_eq!(request_rewrite(&bed.at()).await, Err(RedisFault::AofOff));
    let now = bed.seen().await;
    assert_eq!(
        judge(&before, &now),
        Rewrite::Failed {
            why: RewriteFailure::AofOff
        }
    );
    assert_eq!(
        preflight(&now, Some(u64::MAX), Some(u64::MAX))[0].severity,
        Severity::Stop
    );
    assert_eq!(now.facts.unwrap().files.unwrap().layout, Layout::Snapshot);
}

#[tokio::test]
async fn behind_a_bgsave_it_is_scheduled_then_proven() {
    let Some(bed) = slow_bed().await else { return };
    bed.tell(&["BGSAVE"]).await.unwrap();
    let before = bed.seen().await;
    assert!(
        preflight(&before, Some(u64::MAX), Some(u64::MAX))
            .iter()
            .any(|o| o.seen.contains("BGSAVE"))
    );
    assert_eq!(request_rewrite(&bed.at()).await, Ok(RewriteReply::Scheduled));
    assert_eq!(judge(&before, &bed.seen().await), Rewrite::Waiting(Waiting::Bgsave));
    bed.tell(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).await.unwrap();
    assert!(matches!(verdict(&bed, &before).await, Rewrite::Proven { seq: 2, .. }));
}

#[tokio::test]
async fn the_doors_of_a_server_with_passwords() {
    let Some(bed) = Testbed::start(&["--requirepass", "hunter2"]).await else {
        return;
    };
    let secret = |name: &str, text: &str| {
        use std::os::unix::fs::OpenOptionsExt;
        let path = bed.path(name);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        Some(SecretRef::File(path))
    };
    let open = RedisAt {
        password: secret("right", "hunter2\n"),
        ..bed.at()
    };
    assert_eq!(look(&bed.at()).await.door, Door::NoAuth);
    assert_eq!(
        request_rewrite(&bed.at()).await,
        Err(RedisFault::NoAuth { door: Door::NoAuth })
    );
    let wrong = RedisAt {
        password: secret("wrong", "hunter3"),
        ..bed.at()
    };
    let seen = look(&wrong).await;
    assert_eq!((seen.door, seen.facts), (Door::WrongPass, None));
    assert_eq!(
        request_rewrite(&wrong).await,
        Err(RedisFault::NoAuth { door: Door::WrongPass })
    );
    let missing = RedisAt {
        password: Some(SecretRef::File(bed.path("none"))),
        ..bed.at()
    };
    assert!(matches!(look(&missing).await.door, Door::Secret { text } if text.contains("No such file")));

    let seen = look(&open).await;
    assert_eq!(seen.door, Door::Open);
    let json = serde_json::to_string(&(&seen, &open)).unwrap();
    assert!(!json.contains("hunter2") && !format!("{seen:?} {open:?}").contains("hunter2"));
    assert_eq!(
        serde_json::from_str::<(RedisSeen, RedisAt)>(&json).unwrap(),
        (seen, open)
    );
}

#[tokio::test]
async fn what_an_acl_forbids_is_named() {
    let Some(bed) = Testbed::start(&["--user", "ops on >hunter2 ~* +@all -ping -config -bgrewriteaof"]).await else {
        return;
    };
    let path = bed.path("p");
    std::fs::write(&path, "hunter2").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let ops = RedisAt {
        user: Some("ops".into()),
        password: Some(SecretRef::File(path)),
        ..bed.at()
    };
    let seen = look(&ops).await;
    assert_eq!(seen.door, Door::NoPerm { command: "PING".into() });
    let facts = seen.facts.as_ref().unwrap();
    assert!(facts.config.is_none() && facts.files.is_none() && facts.role.is_some());
    assert!(
        seen.unseen
            .iter()
            .any(|u| u.what == "CONFIG" && u.why.contains("NOPERM")),
        "{:?}",
        seen.unseen
    );
    let refused = request_rewrite(&ops).await.unwrap_err();
    assert_eq!(
        refused,
        RedisFault::NoPerm {
            command: "BGREWRITEAOF".into()
        }
    );
    assert!(refused.to_string().contains("+bgrewriteaof"));
    assert_eq!(
        ready(&seen, &ANY).unwrap_err()[0].to_string(),
        "redis does not permit this user PING"
    );
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
    assert!(
        matches!(&seen.door, Door::Misconf { text } if text.contains("RDB")),
        "{:?}",
        seen.door
    );
    assert!(
        ready(&seen, &ANY).unwrap_err()[0]
            .to_string()
            .starts_with("redis cannot persist: ")
    );
}

#[tokio::test]
async fn a_load_is_seen_from_inside_and_from_outside() {
    let Some(mut bed) = Testbed::start(&[]).await else {
        return;
    };
    let keys = std::collections::BTreeMap::from([(0, 20_000)]);
    let total = write_increment(bed.dir.path(), 500_000, 20_000, 100);
    assert!(total > 60_000_000, "{total}");
    // Microseconds for each command: slow enough to be watched, whatever the machine.
    bed.boot(&["--key-load-delay", "5"]).await;
    let wanted = Wanted {
        role: Some(RoleWanted::Master),
        keys_before: Some(&keys),
        ..ANY
    };
    let seen = until("it loads", async || {
        Some(bed.seen().await).filter(|seen| {
            seen.facts
                .as_ref()
                .unwrap()
                .loading
                .as_ref()
                .is_some_and(|loading| loading.loaded_bytes > 0)
        })
    })
    .await;
    assert_eq!(seen.door, Door::Loading);
    let facts = seen.facts.as_ref().unwrap();
    let loading = facts.loading.as_ref().unwrap();
    assert_eq!(loading.total_bytes, total);
    let reasons = ready(&seen, &wanted).unwrap_err();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(
        reasons[0].to_string().starts_with("loading ") && reasons[0].to_string().ends_with("MB)"),
        "{}",
        reasons[0]
    );
    assert_eq!(
        request_rewrite(&bed.at()).await,
        Err(RedisFault::Refused { door: Door::Loading })
    );
    assert_eq!(
        preflight(&seen, Some(u64::MAX), Some(u64::MAX))[0].seen,
        "redis is loading its data set"
    );

    let files = facts.files.as_ref().unwrap();
    assert_eq!((files.bytes(), files.missing.len()), (total, 0));
    let first = load_progress(bed.pid(), files).unwrap();
    assert_eq!(
        (first.part, first.file.as_deref()),
        (Some(Part::Incr(1)), Some("appendonly.aof.1.incr.aof"))
    );
    let read = first.bytes_read_total.unwrap();
    assert!(
        read >= loading.loaded_bytes && read <= total,
        "{read} of {total}, INFO {}",
        loading.loaded_bytes
    );
    pause(300).await;
    let second = load_progress(bed.pid(), files).unwrap();
    assert!(second.bytes_read_total > first.bytes_read_total, "{first:?} {second:?}");
    assert!(second.cpu_secs > first.cpu_secs, "{first:?} {second:?}");

    bed.boot(&[]).await;
    let seen = until("it is loaded", async || {
        Some(bed.seen().await).filter(|seen| ready(seen, &wanted).is_ok())
    })
    .await;
    assert_eq!(seen.facts.as_ref().unwrap().keys, keys);
    assert_eq!(
        load_progress(bed.pid(), files).unwrap().file,
        None,
        "the increment is open for appending now"
    );
}

#[tokio::test]
async fn an_empty_instance_is_not_the_one_that_was_saved() {
    let Some(mut bed) = Testbed::start(&[]).await else {
        return;
    };
    bed.tell(&["SET", "a", "b"]).await.unwrap();
    let keys = bed.seen().await.facts.unwrap().keys;
    std::fs::remove_file(bed.path("appendonlydir/appendonly.aof.manifest")).unwrap();
    bed.boot(&[]).await;
    let seen = bed.seen().await;
    assert_eq!(seen.door, Door::Open, "healthy, a master, and empty");
    let wanted = Wanted {
        keys_before: Some(&keys),
        ..ANY
    };
    assert_eq!(
        ready(&seen, &wanted).unwrap_err()[0].to_string(),
        "db0 has 0 keys, 1 before"
    );
}

#[tokio::test]
async fn a_replica_without_its_master() {
    let Some(bed) = Testbed::start(&["--replicaof", "127.0.0.1 1"]).await else {
        return;
    };
    let seen = bed.seen().await;
    assert!(matches!(
        seen.facts.as_ref().unwrap().role,
        Some(Role::Replica {
            master_port: 1,
            link_up: false,
            ..
        })
    ));
    let text = |role| {
        let wanted = Wanted {
            role: Some(role),
            ..ANY
        };
        ready(&seen, &wanted).unwrap_err()[0].to_string()
    };
    assert_eq!(text(RoleWanted::Replica), "link to master 127.0.0.1:1 is down");
    assert_eq!(
        text(RoleWanted::Master),
        "role is replica of 127.0.0.1:1, wanted master"
    );
    bed.tell(&["CONFIG", "SET", "replica-serve-stale-data", "no"])
        .await
        .unwrap();
    assert_eq!(bed.seen().await.door, Door::MasterDown);
}

mod strangers {
    //! Listeners that are not Redis.

    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::*;
    use crate::host::secret::SecretRef;

    const SHORT: Patience = Patience {
        connect: Duration::from_secs(1),
        answer: Duration::from_millis(300),
    };

    /// Answers everybody with these bytes, and keeps the connection or not. Returns what it heard first, too.
    async fn stranger(says: &'static [u8], stays: bool) -> (RedisAt, tokio::sync::mpsc::Receiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (heard, hear) = tokio::sync::mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                        let _ = heard.try_send(buffer[..n].to_vec());
                        if stream.write_all(says).await.is_err() || !stays {
                            break;
                        }
                    }
                });
            }
        });
        (
            RedisAt {
                url,
                user: None,
                password: None,
                kind: RedisKind::Redis,
            },
            hear,
        )
    }

    #[tokio::test]
    async fn doors_of_strangers() {
        let tame = |text: &str| Door::NotRedis { text: text.to_owned() };
        for (says, stays, wanted) in [
            (
                &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
                true,
                tame("HTTP/1.1 400 Bad Request\\u{d}\\u{a}\\u{d}\\u{a}"),
            ),
            (b"SSH-2.0-x\x1b[2J\r\n", false, tame("SSH-2.0-x\\u{1b}[2J\\u{d}\\u{a}")),
            (b"", false, Door::Reset),
            (b"", true, Door::TimedOut { connected: true }),
            (b"$100\r\nendless", true, Door::TimedOut { connected: true }),
        ] {
            let (at, _hear) = stranger(says, stays).await;
            assert_eq!(look_with(&at, SHORT).await.door, wanted);
            let refused = request_rewrite_with(&at, SHORT).await.unwrap_err();
            assert!(
                matches!(refused, RedisFault::NotRedis { .. } | RedisFault::Unreachable { .. }),
                "{refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn nobody_is_told_the_password_but_redis() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        std::fs::write(&path, "hunter2").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let (at, mut hear) = stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).await;
        let at = RedisAt {
            password: Some(SecretRef::File(path)),
            ..at
        };
        assert!(matches!(look_with(&at, SHORT).await.door, Door::NotRedis { .. }));
        let heard = String::from_utf8(hear.recv().await.unwrap()).unwrap();
        assert!(heard.contains("PING") && !heard.contains("hunter2"), "{heard}");
    }

    #[tokio::test]
    async fn a_flood_is_cut() {
        static FLOOD: [u8; 5 << 20] = {
            let mut flood = [b'x'; 5 << 20];
            let head = b"$90000000\r\n";
            let mut n = 0;
            while n < head.len() {
                flood[n] = head[n];
                n += 1;
            }
            flood
        };
        let (at, _hear) = stranger(&FLOOD, true).await;
        let patient = Patience {
            answer: Duration::from_secs(20),
            ..SHORT
        };
        assert!(matches!(look_with(&at, patient).await.door, Door::Odd { text } if text.contains("more than 4 MiB")));
    }

    #[tokio::test]
    async fn nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        drop(listener);
        let at = RedisAt {
            url,
            user: None,
            password: None,
            kind: RedisKind::Redis,
        };
        assert_eq!(look(&at).await.door, Door::Refused);
        assert_eq!(
            request_rewrite(&at).await,
            Err(RedisFault::Unreachable { door: Door::Refused })
        );
        let socket = RedisAt {
            url: "unix:///nonexistent/s".into(),
            ..at.clone()
        };
        assert_eq!(look(&socket).await.door, Door::Refused);
        let wrong = RedisAt {
            url: "redis://:hunter2@h".into(),
            ..at
        };
        assert!(matches!(look(&wrong).await.door, Door::BadAddress { text } if !text.contains("hunter2")));
    }

    #[tokio::test]
    async fn tile38_is_judged_by_its_door_and_role_only() {
        let (at, _hear) = stranger(b"+PONG\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", true).await;
        let at = RedisAt {
            kind: RedisKind::Tile38,
            ..at
        };
        let seen = look_with(&at, SHORT).await;
        assert_eq!(seen.door, Door::Open);
        let wanted = Wanted {
            role: Some(RoleWanted::Master),
            keys_before: None,
            keys_at_least: 0.9,
            aof: Some(true),
        };
        assert_eq!(ready(&seen, &wanted), Ok(()));
        assert_eq!(request_rewrite_with(&at, SHORT).await, Err(RedisFault::UnknownCommand));
        let (old, _hear) = stranger(
            b"$30\r\n{\"ok\":true,\"ping\":\"pong\",\"e\":1}\r\n-ERR unknown command 'role'\r\n",
            true,
        )
        .await;
        let seen = look_with(
            &RedisAt {
                kind: RedisKind::Tile38,
                ..old
            },
            SHORT,
        )
        .await;
        assert_eq!((seen.door.clone(), seen.unseen.len()), (Door::Open, 1));
        assert_eq!(ready(&seen, &Wanted { role: None, ..wanted }), Ok(()));
    }
}
