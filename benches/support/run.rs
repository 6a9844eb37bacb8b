//! What a run needs beside its runbook: somebody who says yes, an owner and a first record.
use runbook::execute::{Approve, Question, Reply};
use runbook::journal::checkpoint::{Opened, Owner, StepId};
use runbook::journal::record::FORMAT;
use serde_json::Value;

/// The machine that every benchmark runs on, as its journals name it.
pub const MACHINE_ID: &str = "5d0c1e2f3a4b4c5d8e9f0a1b2c3d4e5f";

/// Says yes to everything.
pub struct Yes;

impl Approve for Yes {
    fn ask(&mut self, _: &Question) -> Reply {
        Reply::Yes
    }
}

/// Who runs it.
pub fn owner() -> Owner {
    Owner { pid: std::process::id(), uid: 0, user: "root".into(), sudo_user: None, tty: None, started: 0 }
}

/// The first record of a run of `runbook_name`.
pub fn opened(runbook_name: &str, steps: Vec<StepId>, plan: Value, baseline: Value) -> Opened {
    Opened {
        format: FORMAT,
        tool_version: "bench".into(),
        runbook_name: runbook_name.into(),
        runbook_sha256: String::new(),
        machine_id: MACHINE_ID.into(),
        hostname: "here".into(),
        owner: owner(),
        steps,
        no_return: None,
        plan: plan.into(),
        baseline: baseline.into(),
    }
}
