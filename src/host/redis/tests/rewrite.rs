//! Tables for `rewrite`.

use crate::host::redis::testbed::recorded;
use crate::host::redis::*;

fn file(name: &str, seq: u64, bytes: u64) -> AofFile {
    AofFile { name: name.into(), seq, bytes }
}

fn seen(change: impl FnOnce(&mut RedisFacts)) -> RedisSeen {
    let mut facts = recorded("idle");
    facts.files = Some(AofFiles {
        dir: "/d".into(),
        layout: Layout::Manifest,
        base: Some(file("b", 1, 100)),
        incrs: vec![file("i", 1, 900)],
        missing: vec![],
    });
    facts.aof.as_mut().unwrap().rewrites = Some(4);
    change(&mut facts);
    RedisSeen { door: Door::Open, facts: Some(facts), unseen: vec![] }
}

fn aof(facts: &mut RedisFacts) -> &mut Aof {
    facts.aof.as_mut().unwrap()
}

fn rewritten(facts: &mut RedisFacts) {
    aof(facts).rewrites = Some(5);
    let files = facts.files.as_mut().unwrap();
    files.base = Some(file("b2", 2, 120));
    files.incrs = vec![file("i2", 2, 0)];
}

#[test]
fn all_conditions_hold() {
    let proven = Rewrite::Proven { bytes_before: 1000, bytes_after: 120, seq: 2 };
    assert_eq!(judge(&seen(|_| ()), &seen(rewritten)), proven);
}

#[test]
fn each_condition_alone_refuses_the_proof() {
    let before = seen(|_| ());
    let with = |change: fn(&mut RedisFacts)| {
        judge(
            &before,
            &seen(|facts| {
                rewritten(facts);
                change(facts);
            }),
        )
    };
    let failed = |why| Rewrite::Failed { why };
    assert_eq!(with(|f| aof(f).enabled = false), failed(RewriteFailure::AofOff));
    assert_eq!(with(|f| aof(f).last_bgrewrite_ok = false), failed(RewriteFailure::ForkFailed));
    assert_eq!(
        with(|f| {
            aof(f).last_bgrewrite_ok = false;
            aof(f).consecutive_failures = Some(2);
        }),
        failed(RewriteFailure::ChildFailed { failures: Some(2) })
    );
    assert_eq!(
        with(|f| f.files.as_mut().unwrap().base = Some(file("b", 1, 5))),
        failed(RewriteFailure::EndedQuietly { seq: 1 })
    );
    assert_eq!(
        with(|f| f.files.as_mut().unwrap().missing = vec!["i2".into()]),
        failed(RewriteFailure::FilesMissing { names: vec!["i2".into()] })
    );
    assert!(matches!(
        with(|f| f.server.run_id = "0123456789".into()),
        Rewrite::Failed { why: RewriteFailure::Restarted { now, .. } } if now == "01234567"
    ));
    assert!(matches!(with(|f| f.files.as_mut().unwrap().incrs.push(file("x", 3, 0))), Rewrite::Unproven { .. }));
    assert!(matches!(with(|f| f.files = None), Rewrite::Unproven { .. }));
    assert_eq!(judge(&before, &before), failed(RewriteFailure::NeverBegan));
}

#[test]
fn under_way() {
    let before = seen(|_| ());
    let running = seen(|f| {
        let aof = aof(f);
        (aof.rewrite_in_progress, aof.current_rewrite_secs) = (true, Some(9));
        (aof.save_keys_processed, aof.save_keys_total) = (Some(1), Some(4));
    });
    assert_eq!(judge(&before, &running), Rewrite::Running { done: Some(0.25), elapsed_secs: 9 });
    let scheduled = |bgsave| {
        seen(|f| {
            aof(f).rewrite_scheduled = true;
            f.rdb = f.rdb.take().map(|rdb| Rdb { bgsave_in_progress: bgsave, ..rdb });
        })
    };
    assert_eq!(judge(&before, &scheduled(true)), Rewrite::Waiting(Waiting::Bgsave));
    assert_eq!(judge(&before, &scheduled(false)), Rewrite::Waiting(Waiting::Scheduled));
}

#[test]
fn an_old_error_without_a_new_attempt_is_not_ours() {
    let old = seen(|f| {
        aof(f).last_bgrewrite_ok = false;
        aof(f).consecutive_failures = Some(3);
    });
    assert_eq!(judge(&old, &old), Rewrite::Failed { why: RewriteFailure::NeverBegan });
    let healed = judge(&old, &seen(rewritten));
    assert!(matches!(healed, Rewrite::Proven { seq: 2, .. }), "{healed:?}");
}

#[test]
fn silence_and_unreadable_files_are_unproven_with_the_reason() {
    let before = seen(|_| ());
    let silent = RedisSeen { door: Door::Refused, facts: None, unseen: vec![] };
    assert_eq!(judge(&before, &silent), Rewrite::Unproven { why: "redis nothing listens there".into() });
    let mut blind = seen(|f| {
        rewritten(f);
        f.files = None;
    });
    blind.unseen.push(Unseen { what: "files".into(), why: "Permission denied".into() });
    assert!(matches!(judge(&before, &blind), Rewrite::Unproven { why } if why.contains("Permission denied")));
}

/// Before Redis 7: one file without a number.
fn single(inode: u64, base_size: u64, secs: u64) -> RedisSeen {
    seen(|facts| {
        let aof = aof(facts);
        (aof.rewrites, aof.base_size, aof.last_rewrite_secs) = (None, base_size, Some(secs));
        let files = facts.files.as_mut().unwrap();
        (files.layout, files.base, files.incrs) = (Layout::Single { inode }, Some(file("a.aof", 0, base_size)), vec![]);
    })
}

#[test]
fn before_redis_7_another_file_is_the_proof_and_a_size_alone_is_none() {
    let before = single(9, 100, 0);
    let is_proven = |now: &RedisSeen| matches!(judge(&before, now), Rewrite::Proven { .. });
    assert!(is_proven(&single(5, 100, 0)), "another file, however small its number");
    assert!(is_proven(&single(9, 80, 1)), "two rewrites since: the first one's number again");
    assert!(matches!(judge(&before, &single(9, 80, 0)), Rewrite::Unproven { .. }), "as after DEBUG LOADAOF");
    assert!(matches!(judge(&before, &single(9, 100, 1)), Rewrite::Unproven { .. }));
    assert_eq!(judge(&before, &before), Rewrite::Failed { why: RewriteFailure::EndedQuietly { seq: 0 } });
    let mut running = single(5, 100, 0);
    running.facts.as_mut().unwrap().aof.as_mut().unwrap().rewrite_in_progress = true;
    assert!(is_proven(&running), "ours is done, whatever Redis has begun since");
    let mut same = single(9, 100, 0);
    same.facts.as_mut().unwrap().aof.as_mut().unwrap().rewrite_in_progress = true;
    assert!(matches!(judge(&before, &same), Rewrite::Running { .. }));
}
