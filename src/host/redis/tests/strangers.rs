//! Listeners that are not Redis.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::host::redis::*;
use crate::host::secret::SecretRef;

const SHORT: Patience = Patience { connect: Duration::from_secs(1), answer: Duration::from_millis(300) };

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
    (RedisAt { url, user: None, password: None, kind: RedisKind::Redis, tls: None }, hear)
}

#[tokio::test]
async fn doors_of_strangers() {
    let tame = |text: &str| Door::NotRedis { text: crate::host::foreign::tame(text, 200) };
    for (says, stays, wanted) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], true, tame("HTTP/1.1 400 Bad Request\\u{d}\\u{a}\\u{d}\\u{a}")),
        (b"SSH-2.0-x\x1b[2J\r\n", false, tame("SSH-2.0-x\\u{1b}[2J\\u{d}\\u{a}")),
        (b"", false, Door::Reset),
        (b"", true, Door::TimedOut { connected: true }),
        (b"$100\r\nendless", true, Door::TimedOut { connected: true }),
        (b"*2000000000\r\n", true, Door::TimedOut { connected: true }),
    ] {
        let (at, _hear) = stranger(says, stays).await;
        assert_eq!(look_with(&at, SHORT).await.door, wanted);
        let refused = request_rewrite_with(&at, SHORT).await.unwrap_err();
        assert!(matches!(refused, RedisFault::NotRedis { .. } | RedisFault::Unreachable { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn nobody_is_told_the_password_but_redis() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p");
    std::fs::write(&path, "hunter2").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (at, mut hear) = stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).await;
    let at = RedisAt { password: Some(SecretRef::File(path)), ..at };
    assert!(matches!(look_with(&at, SHORT).await.door, Door::NotRedis { .. }));
    let heard = String::from_utf8(hear.recv().await.unwrap()).unwrap();
    assert!(heard.contains("PING") && !heard.contains("hunter2"), "{heard}");
}

/// Plays Redis: one answer for each request it reads, then silence or the end.
async fn scripted(answers: &'static [&'static str], stays: bool) -> RedisAt {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 1 << 16];
        for answer in answers {
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        let _ = stream.read(&mut buffer).await;
        while stays && matches!(stream.read(&mut buffer).await, Ok(1..)) {}
    });
    RedisAt { url, user: None, password: None, kind: RedisKind::Redis, tls: None }
}

#[tokio::test]
async fn a_lost_answer_leaves_it_open_whether_the_rewrite_began() {
    const INFO: &str = "$51\r\nloading:0\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\n";
    for (stays, door) in [(false, Door::Reset), (true, Door::TimedOut { connected: true })] {
        let at = scripted(&[INFO], stays).await;
        assert_eq!(request_rewrite_with(&at, SHORT).await, Err(RedisFault::AnswerLost { door }));
    }
    let at = scripted(&[INFO, "+OK\r\n"], true).await;
    assert!(matches!(request_rewrite_with(&at, SHORT).await, Err(RedisFault::AnswerLost { door: Door::Odd { .. } })));
    let at = scripted(&[], false).await;
    assert_eq!(request_rewrite_with(&at, SHORT).await, Err(RedisFault::Unreachable { door: Door::Reset }));
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
    let patient = Patience { answer: Duration::from_secs(20), ..SHORT };
    assert!(matches!(look_with(&at, patient).await.door, Door::Odd { text } if text.contains("more than 1 MiB")));
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    drop(listener);
    let at = RedisAt { url, user: None, password: None, kind: RedisKind::Redis, tls: None };
    assert_eq!(look(&at).await.door, Door::Refused);
    assert_eq!(request_rewrite(&at).await, Err(RedisFault::Unreachable { door: Door::Refused }));
    let socket = RedisAt { url: "unix:///nonexistent/s".into(), ..at.clone() };
    assert_eq!(look(&socket).await.door, Door::Refused);
    let wrong = RedisAt { url: "redis://:hunter2@h".into(), ..at };
    assert!(matches!(look(&wrong).await.door, Door::BadAddress { text } if !text.contains("hunter2")));
}

#[tokio::test]
async fn tile38_is_judged_by_its_door_and_role_only() {
    let (at, _hear) = stranger(b"+PONG\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", true).await;
    let at = RedisAt { kind: RedisKind::Tile38, ..at };
    let seen = look_with(&at, SHORT).await;
    assert_eq!(seen.door, Door::Open);
    let wanted = Wanted { role: Some(RoleWanted::Master), keys_before: None, keys_at_least: 0.9, aof: Some(true) };
    assert_eq!(ready(&seen, &wanted), Ok(()));
    assert_eq!(request_rewrite_with(&at, SHORT).await, Err(RedisFault::UnknownCommand));
    let (old, _hear) =
        stranger(b"$31\r\n{\"ok\":true,\"ping\":\"pong\",\"e\":1}\r\n-ERR unknown command 'role'\r\n", true).await;
    let seen = look_with(&RedisAt { kind: RedisKind::Tile38, ..old }, SHORT).await;
    assert_eq!((seen.door.clone(), seen.unseen.len()), (Door::Open, 1));
    assert_eq!(ready(&seen, &Wanted { role: None, ..wanted }), Ok(()));
}
