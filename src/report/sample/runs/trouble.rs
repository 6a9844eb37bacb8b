//! Runs that do not go as planned: a load that goes wrong, one that is taken up again, and the way back.

use serde_json::json;

use super::{Run, names, until_the_load, until_the_stop};
use crate::action::Tick;
use crate::host::span::Span;
use crate::journal::checkpoint::{Checkpoint as C, End, How, Outcome, PauseReason};
use crate::report::sample::{NEW_BOOT, apps};

/// Stopped by a load that went wrong.
pub(in crate::report) fn failed() -> Run {
    let mut run = until_the_load();
    let why = "redis-server@bds.service was restarted 2 times while loading (result timeout): see its log";
    run.item("load/1", "bds", Outcome::Failed { why: why.into(), causes: Vec::new() }, 600.0, None);
    for item in ["bds-r", "bull00"] {
        run.item("load/1", item, Outcome::Applied, 600.0, None);
    }
    run.fact(C::StepFailed { step: "load/1".into(), error: format!("bds: {why}") });
    run.fact(C::Paused { why: PauseReason::Failed, note: Some(format!("bds: {why}")) });
    run
}

/// Given up after the stop, in the middle of bringing everything back.
pub(in crate::report) fn backing_out() -> Run {
    let mut run = until_the_stop();
    let reason = "ann asked for it: the provider postponed the resize";
    run.fact(C::BackOut { reason: reason.into() });
    let all = apps();
    run.start("restore/1", "pm2_restored", &all);
    for (n, app) in all.iter().enumerate().take(61) {
        run.intent("restore/1", app);
        if n < 57 {
            run.pass(0.2).item("restore/1", app, Outcome::Applied, 1.8, None);
        }
    }
    run
}

/// The same to its end.
pub(in crate::report) fn backed_out() -> Run {
    let mut run = backing_out();
    for (n, app) in apps().iter().enumerate().skip(57) {
        if n >= 61 {
            run.intent("restore/1", app);
        }
        run.pass(0.2).item("restore/1", app, Outcome::Applied, 1.8, None);
    }
    run.done("restore/1", How::Applied, 26.6).start("verify/1", "pm2_as_saved", &names(&["(steady)"]));
    run.intent("verify/1", "(steady)").pass(30.0);
    run.item("verify/1", "(steady)", Outcome::Applied, 30.0, Some("watched for 30s")).done(
        "verify/1",
        How::Applied,
        30.0,
    );
    run.done("verify/2", How::AlreadySo, 0.0);
    let summary = json!({ "words": "ann asked for it: the provider postponed the resize" });
    run.fact(C::Finished { outcome: End::BackedOut, summary });
    run
}

/// Taken up again by a person after a load that went wrong.
pub(in crate::report) fn resumed() -> Run {
    let mut run = failed();
    run.pass(1_260.0).fact(C::Resumed { owner: Run::owner(), boot_id: NEW_BOOT.into(), unattended: false });
    run.start("load/1", "redis_loaded", &names(&["bds"])).intent("load/1", "bds");
    for n in 1..=6 {
        let part = f64::from(n) / 24.0;
        let left = 1560.0 * (1.0 - part);
        let left = Some(Span::secs(left, left * 1.4));
        let say = "loading, 1.6 MB/s".to_owned();
        run.word("load/1", Tick { item: "bds".into(), part: Some(part), left, say, ..Tick::default() }).pass(65.0);
    }
    run
}
