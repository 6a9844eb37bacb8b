//! `runbook list`: which runbooks there are, with the line that says what each is for.
use super::source::{names, read};
use super::{Desk, Exit, Failure};
use crate::host::span::count;
use crate::report::{self, shelf, word};

pub(super) fn call(desk: &Desk) -> Result<Exit, Failure> {
    let names = names(&desk.site);
    if names.is_empty() {
        desk.screen.talk(&format!("no runbooks in {}\n", desk.site.runbooks.display()));
        return Ok(Exit::Done);
    }
    let named = |name: String| {
        let doc = match read(&desk.site, &name, false).map(|source| source.load()) {
            Ok(Ok(loaded)) => loaded.runbook.doc,
            Ok(Err(findings)) => format!(
                "(invalid: {} names {})",
                report::call(&format!("check {}", word(&name))),
                count(findings.len(), "finding")
            ),
            Err(failure) => format!("(unreadable: {})", failure.reason()),
        };
        (name, doc)
    };
    let all: Vec<(String, String)> = names.into_iter().map(named).collect();
    desk.screen.result(&shelf(&all, &desk.screen.streams.result.style));
    Ok(Exit::Done)
}
