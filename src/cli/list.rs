//! `runbook list`: which runbooks there are, with the line that says what each is for.
use super::source::{names, read};
use super::{Desk, Exit, Failure};

pub(super) fn call(desk: &Desk) -> Result<Exit, Failure> {
    let names = names(&desk.site);
    if names.is_empty() {
        desk.screen.talk(&format!("no runbooks in {}\n", desk.site.runbooks.display()));
        return Ok(Exit::Done);
    }
    let width = names.iter().map(String::len).max().unwrap_or(0);
    for name in names {
        let doc = match read(&desk.site, &name, false).map(|source| source.load()) {
            Ok(Ok(loaded)) => loaded.runbook.doc,
            Ok(Err(findings)) => format!("(invalid: {} findings; runbook check {name})", findings.len()),
            Err(failure) => format!("(unreadable: {})", failure.reason()),
        };
        desk.screen.result(format!("{name:width$}  {doc}").trim_end());
        desk.screen.result("\n");
    }
    Ok(Exit::Done)
}
