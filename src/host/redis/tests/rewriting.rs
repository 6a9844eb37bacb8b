//! Rewrites on a real server: proven, failed, ended quietly, refused.

use rustix::process::Signal;

use crate::host::redis::testbed::{Testbed, signal, until};
use crate::host::redis::*;

fn aof(seen: &RedisSeen) -> &Aof {
    seen.facts.as_ref().unwrap().aof.as_ref().unwrap()
}

async fn verdict(bed: &Testbed, before: &RedisSeen) -> Rewrite {
    until("the rewrite has ended", async || match judge(before, &bed.seen().await) {
        Rewrite::Running { .. } | Rewrite::Waiting(_) | Rewrite::Unproven { .. } => None,
        ended => Some(ended),
    })
    .await
}

/// Redis 7 counts rewrites and numbers its files; before that there is one file without a number.
fn is_numbered(seen: &RedisSeen) -> bool {
    seen.facts.as_ref().unwrap().files.as_ref().unwrap().layout == Layout::Manifest
}

fn number(seen: &RedisSeen, numbered: u64) -> u64 {
    if is_numbered(seen) { numbered } else { 0 }
}

/// A server whose rewrites take two seconds: 2000 keys, a millisecond each.
async fn slow_bed() -> Option<Testbed> {
    let bed = Testbed::start(&[]).await?;
    bed.fill(2000).await;
    bed.tell(&["CONFIG", "SET", "rdb-key-save-delay", "1000"]).await.unwrap();
    Some(bed)
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
    let idle = if is_numbered(&before) { RewriteFailure::NeverBegan } else { RewriteFailure::EndedQuietly { seq: 0 } };
    assert_eq!(judge(&before, &before), Rewrite::Failed { why: idle });

    assert_eq!(request_rewrite(&bed.at()).await, Ok(RewriteReply::Started));
    assert_eq!(request_rewrite(&bed.at()).await, Ok(RewriteReply::AlreadyRunning));
    assert!(matches!(judge(&before, &bed.seen().await), Rewrite::Running { done: Some(_), .. }));
    bed.tell(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).await.unwrap();
    match verdict(&bed, &before).await {
        Rewrite::Proven { bytes_before, bytes_after, seq } => {
            assert_eq!(seq, number(&before, 2));
            assert!(bytes_before > 200_000 && bytes_after > 0, "{bytes_before} -> {bytes_after}");
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
    let why = RewriteFailure::ChildFailed { failures: is_numbered(&before).then_some(1) };
    assert_eq!(verdict(&bed, &before).await, Rewrite::Failed { why }, "{}", bed.log());
    let warned = preflight(&bed.seen().await, Some(u64::MAX), Some(u64::MAX));
    assert!(warned.iter().any(|o| o.seen.contains("the last rewrite failed")), "{warned:?}");
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
        Rewrite::Failed { why: RewriteFailure::EndedQuietly { seq: number(&before, 1) } },
        "{}",
        bed.log()
    );
    let now = bed.seen().await;
    assert!(aof(&now).last_bgrewrite_ok, "this is what makes it treacherous");
    assert_eq!(aof(&now).consecutive_failures, is_numbered(&now).then_some(0));
}

#[tokio::test]
async fn a_restart_meanwhile_is_a_failure() {
    let Some(mut bed) = slow_bed().await else { return };
    let before = bed.seen().await;
    bed.boot(&[]).await;
    let now = until("loaded", async || Some(bed.seen().await).filter(|seen| seen.door == Door::Open)).await;
    assert!(matches!(judge(&before, &now), Rewrite::Failed { why: RewriteFailure::Restarted { .. } }));
}

#[tokio::test]
async fn append_only_off_is_refused_before_redis_says_started() {
    let Some(bed) = slow_bed().await else { return };
    let before = bed.seen().await;
    bed.tell(&["CONFIG", "SET", "appendonly", "no"]).await.unwrap();
    assert_eq!(request_rewrite(&bed.at()).await, Err(RedisFault::AofOff));
    let now = bed.seen().await;
    assert_eq!(judge(&before, &now), Rewrite::Failed { why: RewriteFailure::AofOff });
    assert_eq!(preflight(&now, Some(u64::MAX), Some(u64::MAX))[0].severity, Severity::Stop);
    assert_eq!(now.facts.unwrap().files.unwrap().layout, Layout::Snapshot);
}

#[tokio::test]
async fn behind_a_bgsave_it_is_scheduled_then_proven() {
    let Some(bed) = slow_bed().await else { return };
    bed.tell(&["BGSAVE"]).await.unwrap();
    let before = bed.seen().await;
    assert!(preflight(&before, Some(u64::MAX), Some(u64::MAX)).iter().any(|o| o.seen.contains("BGSAVE")));
    assert_eq!(request_rewrite(&bed.at()).await, Ok(RewriteReply::Scheduled));
    assert_eq!(judge(&before, &bed.seen().await), Rewrite::Waiting(Waiting::Bgsave));
    bed.tell(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).await.unwrap();
    let proven = verdict(&bed, &before).await;
    assert!(matches!(proven, Rewrite::Proven { seq, .. } if seq == number(&before, 2)), "{proven:?}");
}
