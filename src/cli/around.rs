//! What is around a run at this moment: looked at before anything is said about where it stands and what can be typed next.
//! `status`, the end of a sitting and a refused `run` all say what is seen here, so that they agree.
use std::time::Duration;

use super::resume::{Frozen, may_take_up};
use super::site::identity;
use super::{Desk, Failure, resume_unit};
use crate::execute::{Standing, stop};
use crate::host::local::LocalHost;
use crate::host::systemd::resume_unit::RESUME;
use crate::host::{Host, clock};
use crate::journal::Reading;
use crate::journal::checkpoint::Ruling;
use crate::journal::step::StepStatus;
use crate::journal::store::{RunId, Store};
use crate::report::{Around, Refused, word};
use crate::runbook::{ConfirmKind, OnUnknown};

/// How long the system's bus may take to say how the resume unit is.
const BUS_WITHIN: Duration = Duration::from_secs(2);

/// Looks; read-only. `at_work`: a process works on the run.
pub(super) async fn look(desk: &Desk, store: &Store, id: &RunId, reading: &Reading, at_work: bool) -> Around {
    let mut around = Around { at_work: Some(at_work), ..Around::default() };
    if at_work {
        around.asked = store.dir(id).ok().map(|dir| stop::requested(dir.path()));
    }
    if at_work || reading.state.ended().is_some() {
        return seen_boot(around);
    }
    let taken_up = match identity() {
        Err(failure) => Err(failure),
        Ok(identity) => may_take_up(desk, store, id, &identity, reading, false),
    };
    around = seen_boot(around);
    match taken_up {
        Err(failure) => around.refused = Some(refused(&failure)),
        Ok(frozen) => now(&mut around, &frozen, reading),
    }
    if reading.state.waiting_for_reboot().is_some() {
        around.resume_unit = unit(desk).await;
    }
    around
}

/// Which boot this is, and since when.
fn seen_boot(around: Around) -> Around {
    let since = clock::now().checked_sub(clock::boottime()).unwrap_or_default();
    Around { boot: identity().ok().map(|identity| (identity.boot_id, since)), ..around }
}

fn refused(failure: &Failure) -> Refused {
    let ways = failure.hint.iter().flat_map(|hint| hint.lines()).map(|line| line.trim().to_owned());
    Refused { why: failure.reason(), ways: ways.collect() }
}

/// What the next step would be told: by the window, and by whoever must be asked.
fn now(around: &mut Around, frozen: &Frozen, reading: &Reading) {
    let state = &reading.state;
    let standing = Standing { runbook: &frozen.runbook, plan: &frozen.plan, state };
    around.backs_out = Some(standing.backs_out());
    let Some((id, step)) = standing.next_step().filter(|_| !state.backing_out()) else { return };
    let unknown = matches!(state.status(&id), Some(StepStatus::Unknown { .. }));
    let ruled = matches!(step.on_unknown, Some(OnUnknown::Rerun | OnUnknown::Skip));
    around.settles = unknown && (step.action.repeatable() || ruled);
    if state.waiting_for_reboot().is_some() || (unknown && !around.settles) {
        return;
    }
    around.window = standing.forbids(step, &id, clock::now());
    let confirmed = |ruling: &Ruling| matches!(ruling, Ruling::Confirmed { step } if *step == id);
    if let Some(confirm) = step.confirm.as_ref().filter(|_| !state.decisions().iter().any(confirmed)) {
        around.answers.push(match confirm.kind {
            ConfirmKind::Name => format!("--confirm {}", word(&frozen.runbook.name)),
            ConfirmKind::Yes => "--yes".to_owned(),
        });
    }
}

/// How the resume unit is, where one is installed.
async fn unit(desk: &Desk) -> Option<String> {
    if !desk.site.root || !resume_unit::installed(&desk.site) {
        return None;
    }
    let host = LocalHost::new(None);
    let asked = tokio::time::timeout(BUS_WITHIN, host.as_probe().unit(RESUME)).await;
    let Ok(Ok(seen)) = asked else { return Some(format!("{RESUME} is installed, and systemd does not say how it is")) };
    Some(match (seen.active_state.as_str(), seen.result.as_str()) {
        ("failed", result) => format!("{RESUME} has failed ({result}); journalctl -b -u {RESUME} tells why"),
        ("active" | "activating" | "reloading", _) => format!("{RESUME} is {}", seen.active_state),
        _ => format!("{RESUME} is {}; journalctl -b -u {RESUME} tells why", seen.active_state),
    })
}
