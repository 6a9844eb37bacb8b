//! What the YAML parser says, in words that name the cure where the mistake is a known one.
use serde_yaml::{Error, Location};

use super::codes;
use super::diagnostic::Findings;

/// Notes the parser's error as a finding.
pub(super) fn explain(error: &Error, out: &mut Findings<'_>) {
    let source = out.source;
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let start = if location.line() == 0 { 0 } else { source.offset(location.line(), location.column()) };
    let line = source.line_at(start);
    let indent = &line[..line.len() - line.trim_start().len()];
    let column = usize::try_from(location.column()).unwrap_or(1);
    if matches!(error, Error::MultipleDocuments { .. }) {
        // The parser points at the first value behind the line with the dashes.
        let dashes = source.text[..start].rfind("\n---").map_or(start, |at| at + 1);
        let found = out.error(codes::SECOND_DOCUMENT, &(dashes..dashes + 3), "a second document in the file");
        found.label("starts here").help("one file is one runbook: remove the `---`, or make two files");
    } else if matches!(error, Error::Eof { .. }) {
        out.error(codes::EMPTY_FILE, &(0..0), "the file is empty").help("a runbook begins with `version: 1`");
    } else if is_limit(error) {
        let message = "the file asks for too much: nesting, values or aliases";
        let found = out.error(codes::TOO_MUCH, &(start..start + 1), message);
        found.label("the limit was reached here").help("at most 32 levels, 250000 values, 1000 aliases");
    } else if indent.contains('\t') || line.chars().nth(column.saturating_sub(1)) == Some('\t') {
        let at = source.line_start(start) + line.find('\t').unwrap_or(0);
        let found = out.error(codes::TAB, &(at..at + 1), "a tab in the indentation");
        found.label("YAML indents with spaces only").patch("use spaces", at..at + 1, "  ");
    } else if let Some(star) = star_in(line, column, error) {
        bare_star(source.line_start(start), star, line, out);
    } else {
        other(error, start, out);
    }
}

fn bare_star(line_start: usize, star: usize, line: &str, out: &mut Findings<'_>) {
    let end = line[star..].find([',', ']', '}', ' ', '#']).map_or(line.len(), |len| star + len);
    let (word, span) = (&line[star..end], line_start + star..line_start + end);
    let found = out.error(codes::BARE_STAR, &span, "an unquoted `*` is an alias in YAML, not a pattern");
    let quoted = format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""));
    found.label("read as the alias of an anchor").patch("quote it", span, quoted);
}

/// The parser's own words, cut to the first line and tamed.
fn other(error: &Error, start: usize, out: &mut Findings<'_>) {
    let text = error.without_snippet().to_string();
    let text = text.split(" at line ").next().unwrap_or_default().trim_start_matches("error: ");
    let text = crate::host::foreign::named(text.lines().next().unwrap_or_default(), 160);
    let found = out.error(codes::SYNTAX, &(start..start + 1), format!("not valid YAML: {text}"));
    found.label("the parser stopped here").help("look at the indentation and the quotes here and just above");
}

fn is_limit(error: &Error) -> bool {
    match error {
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => true,
        Error::AliasError { error, .. } => is_limit(error),
        other => {
            let text = other.to_string();
            text.contains("recursion limit") || text.contains("nesting")
        }
    }
}

/// The byte in `line` of a star that begins a plain scalar, when that is what the parser stumbled over.
fn star_in(line: &str, column: usize, error: &Error) -> Option<usize> {
    let unknown = matches!(error, Error::UnknownAnchor { .. }) || error.to_string().contains("alias");
    let begins = |at: usize| {
        let before = line[..at].trim_end_matches(' ');
        let gap = before.len() < at;
        before.is_empty() || before.ends_with(['[', ',', '{']) || (gap && before.ends_with([':', '-']))
    };
    let stars: Vec<usize> = line.match_indices('*').map(|(at, _)| at).filter(|&at| begins(at)).collect();
    let reached = |at: &usize| line[..*at].chars().count() < column;
    unknown.then(|| stars.iter().copied().rfind(reached).or(stars.first().copied())).flatten()
}
