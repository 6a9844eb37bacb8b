//! Findings as text, in the look of rustc: a place, the lines around it, a caret, and the cure as a patch.
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};

use super::codes;
use super::diagnostic::{Diagnostic, Severity};
use crate::host::foreign::named;
use crate::host::span;

/// Renders findings about one `source` for a terminal of `width` columns, with a count at the end.
///
/// Secrets found in the source are shown as stars. The text ends with a line break, unless there is nothing to say.
#[must_use]
pub fn render(findings: &[Diagnostic], source: &str, color: bool, width: usize) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let source = masked(findings, source);
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(width.clamp(40, 400)).decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for one in findings {
        out.push_str(&renderer.render(&groups(one, &source)));
        out.push_str("\n\n");
    }
    out.push_str(&count(findings));
    out
}

/// The source with each secret replaced by stars and each harmful character by question marks, byte for byte, so that all
/// offsets stay true.
fn masked(findings: &[Diagnostic], source: &str) -> String {
    let mut text = source.to_owned();
    for one in findings.iter().filter(|one| one.code == codes::PLAIN_SECRET) {
        if text.get(one.span.clone()).is_some() {
            text.replace_range(one.span.clone(), &"*".repeat(one.span.len()));
        }
    }
    let tamed: String = text.chars().flat_map(harmless).collect();
    tamed.split_inclusive('\n').map(mask_line).collect()
}

/// A character, or as many question marks as it has bytes if a terminal would obey it or not show it.
fn harmless(c: char) -> impl Iterator<Item = char> {
    let keep = matches!(c, '\n' | '\r' | '\t') || named(c.encode_utf8(&mut [0; 4]), 1).starts_with(c);
    let (shown, times) = if keep { (c, 1) } else { ('?', c.len_utf8()) };
    std::iter::repeat_n(shown, times)
}

/// Masks what looks like a secret in a line, for texts that could not be read far enough to know.
fn mask_line(line: &str) -> String {
    let mut text = line.to_owned();
    let lower = line.to_ascii_lowercase();
    for key in ["password:", "authorization:"] {
        for (at, _) in lower.match_indices(key) {
            let value = at + key.len();
            let start = value + line[value..].len() - line[value..].trim_start().len();
            let end = start + line[start..].find([',', '}', '\n', '\r']).unwrap_or(line[start..].len());
            if !line[start..].starts_with('{') {
                text.replace_range(start..end, &"*".repeat(end - start));
            }
        }
    }
    for (at, _) in line.match_indices("://") {
        let start = at + 3;
        let host = line[start..].find(['/', '"', '\'', ' ', ',', '\n']).map_or(line.len(), |len| start + len);
        if let Some(end) = line[start..host].rfind('@').map(|len| start + len) {
            text.replace_range(start..end, &"*".repeat(end - start));
        }
    }
    text
}

fn groups<'a>(one: &'a Diagnostic, source: &'a str) -> Vec<Group<'a>> {
    let level = if one.severity == Severity::Error { Level::ERROR } else { Level::WARNING };
    let primary = AnnotationKind::Primary.span(one.span.clone());
    let primary = if one.label.is_empty() { primary } else { primary.label(one.label.as_str()) };
    let mut snippet = Snippet::source(source).path(one.file.as_str()).annotation(primary);
    if let Some(related) = &one.related {
        snippet = snippet.annotation(AnnotationKind::Context.span(related.span.clone()).label(related.label.as_str()));
    }
    let mut first = level.primary_title(one.message.as_str()).id(one.code.0).element(snippet);
    if let Some(path) = &one.path {
        first = first.element(Level::NOTE.message(format!("at `{path}`")));
    }
    if let Some(help) = &one.help {
        first = first.element(Level::HELP.message(help.as_str()));
    }
    let patch = one.patch.as_ref().map(|patch| {
        let cure = Patch::new(patch.span.clone(), patch.text.as_str());
        Level::HELP
            .secondary_title(patch.title.as_str())
            .element(Snippet::source(source).path(one.file.as_str()).patch(cure))
    });
    std::iter::once(first).chain(patch).collect()
}

/// "2 errors and 1 warning. Nothing was probed or run." and how to read on.
fn count(findings: &[Diagnostic]) -> String {
    let errors = findings.iter().filter(|one| one.severity == Severity::Error).count();
    let text = match (errors, findings.len() - errors) {
        (0, warnings) => span::count(warnings, "warning"),
        (errors, 0) => span::count(errors, "error"),
        (errors, warnings) => format!("{} and {}", span::count(errors, "error"), span::count(warnings, "warning")),
    };
    let consequence = if errors > 0 { " Nothing was probed or run." } else { "" };
    let example =
        findings.iter().find(|one| one.severity == Severity::Error || errors == 0).map_or("", |one| one.code.0);
    format!("{text}.{consequence}\nMore on one of them: runbook explain {example}\n")
}
