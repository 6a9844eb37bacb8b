//! Findings in runbooks for programs: a JSON line each, or annotations that GitHub shows beside the lines of a change.
//!
//! The form of an annotation is GitHub's workflow command (`::error file=…::text`, docs.github.com, "Workflow commands for
//! GitHub Actions"); values are escaped as its runner undoes it (actions/toolkit, core/src/command.ts). GitHub shows ten
//! annotations of a level per step and drops the rest without a word, so the tenth here is the count of the others.

use serde_json::{Value, json};

use crate::runbook::codes::explain;
use crate::runbook::{Diagnostic, Severity};

/// So many findings are annotated one by one.
const SHOWN: usize = 9;

/// A finding as a JSON line.
#[must_use]
pub fn finding_line(finding: &Diagnostic) -> String {
    let mut line = json!({ "type": "finding" });
    if let (Some(line), Ok(Value::Object(finding))) = (line.as_object_mut(), serde_json::to_value(finding)) {
        line.extend(finding);
    }
    line.to_string()
}

/// What is shown beside a line, or beside a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    severity: Severity,
    file: String,
    /// Line, column, and the column behind the end.
    place: Option<(u32, u32, u32)>,
    title: String,
    message: String,
}

impl Annotation {
    /// A file that cannot be checked at all.
    pub fn of_file(file: impl Into<String>, why: impl Into<String>) -> Self {
        let title = "runbook check".to_owned();
        Self { severity: Severity::Error, file: file.into(), place: None, title, message: why.into() }
    }

    fn command(&self) -> String {
        let level = if self.severity == Severity::Error { "error" } else { "warning" };
        let mut properties = vec![format!("file={}", property(self.file.strip_prefix("./").unwrap_or(&self.file)))];
        if let Some((line, col, end)) = self.place {
            // GitHub's last column belongs to the place; ours is the one behind it.
            properties
                .push(format!("line={line},endLine={line},col={col},endColumn={}", end.saturating_sub(1).max(col)));
        }
        properties.push(format!("title={}", property(&self.title)));
        format!("::{level} {}::{}", properties.join(","), data(&self.message))
    }
}

impl From<&Diagnostic> for Annotation {
    fn from(finding: &Diagnostic) -> Self {
        let title = explain(finding.code.0).map_or("", |explained| explained.title);
        let mut message = finding.message.clone();
        let cure = finding.patch.as_ref().map(|patch| patch.title.trim_end().to_owned());
        for more in cure.iter().chain(&finding.help) {
            message.push_str(&format!("\n{more}"));
        }
        Self {
            severity: finding.severity,
            file: finding.file.clone(),
            place: Some((finding.line, finding.col, finding.end_col)),
            title: format!("{}: {title}", finding.code.0),
            message,
        }
    }
}

/// One workflow command per line: errors first, at most nine, then how many more there are.
#[must_use]
pub fn annotations(mut all: Vec<Annotation>) -> Vec<String> {
    all.sort_by_key(|one| one.severity);
    let mut lines: Vec<String> = all.iter().take(SHOWN).map(Annotation::command).collect();
    let rest = all.get(SHOWN..).unwrap_or_default();
    if let Some(worst) = rest.first() {
        let level = if worst.severity == Severity::Error { "error" } else { "warning" };
        let s = if rest.len() == 1 { "" } else { "s" };
        lines.push(format!("::{level} title=runbook check::{} more finding{s}, see the log of this step", rest.len()));
    }
    lines
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runbook::load;

    fn found(text: &str, file: &str) -> Vec<Diagnostic> {
        load(text, file).unwrap_err()
    }

    const BAD: &str =
        "version: 1\nname: bad\nhosts: [x]\nphases:\n  - name: a\n    steps:\n      - comand: { argv: [\"true\"] }\n";

    #[test]
    fn a_finding_for_programs() {
        let lines: Vec<String> = found(BAD, "bad.yaml").iter().map(finding_line).collect();
        insta::assert_snapshot!("finding_json", lines.join("\n"));
    }

    #[test]
    fn an_annotation_is_escaped() {
        let lines = annotations(found(BAD, "./a,b:100%.yaml").iter().map(Annotation::from).collect());
        insta::assert_snapshot!("finding_github", lines.join("\n"));
        let whole = annotations(vec![Annotation::of_file("a.yaml", "cannot read\r\n100%")]);
        assert_eq!(whole, ["::error file=a.yaml,title=runbook check::cannot read%0D%0A100%25"]);
    }

    #[test]
    fn the_tenth_annotation_counts_the_others_and_errors_come_first() {
        let warning = Annotation { severity: Severity::Warning, ..Annotation::of_file("w.yaml", "odd") };
        let error = |n: u32| Annotation { place: Some((n, 1, 5)), ..Annotation::of_file("e.yaml", "bad") };
        let all: Vec<Annotation> = std::iter::once(warning.clone()).chain((1..=10).map(error)).collect();
        let lines = annotations(all);
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "::error file=e.yaml,line=1,endLine=1,col=1,endColumn=4,title=runbook check::bad");
        assert_eq!(lines[9], "::error title=runbook check::2 more findings, see the log of this step");
        assert_eq!(annotations((1..=9).map(error).collect()).len(), 9);
        let lines = annotations((1..=9).map(error).chain([warning]).collect());
        assert_eq!(lines[9], "::warning title=runbook check::1 more finding, see the log of this step");
    }
}
