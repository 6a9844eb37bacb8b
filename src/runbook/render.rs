//! Findings as text, in the look of rustc: a place, the lines around it, a caret, and the cure as a patch.
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};

use super::codes;
use super::diagnostic::{Diagnostic, Severity};
use super::source::Span;
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
    // Each byte is covered once: what stands inside of a covered value is not looked at again.
    let mut text = line.as_bytes().to_vec();
    let mut covered = 0;
    let lower = line.to_ascii_lowercase();
    for key in ["password:", "authorization:"] {
        for (at, _) in lower.match_indices(key) {
            let value = at + key.len();
            if at < covered {
                continue;
            }
            let start = value + line[value..].len() - line[value..].trim_start().len();
            if !line[start..].starts_with('{') {
                let end = start + line[start..].find([',', '}', '\n', '\r']).unwrap_or(line[start..].len());
                text[start..end].fill(b'*');
                covered = end;
            }
        }
        covered = 0;
    }
    for (at, _) in line.match_indices("://") {
        let start = at + 3;
        let host = line[start..].find(['/', '"', '\'', ' ', ',', '\n']).map_or(line.len(), |len| start + len);
        if let Some(end) = line[start..host].rfind('@').map(|len| start + len) {
            text[start..end].fill(b'*');
        }
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Bytes beyond which a second place is not drawn together with the first.
const FAR: usize = 64 << 10;

/// Lines that are longer than this together are not drawn, only named: a line of a megabyte says nothing under a caret, and drawing
/// it for two hundred findings takes minutes.
const DRAWN: usize = 16 << 10;

/// The lines around a finding. The drawing library goes through all of a source for each finding, and a long source may have many.
struct Window<'a> {
    text: &'a str,
    /// The first byte and the first line, counted from 1.
    start: usize,
    line: usize,
}

impl<'a> Window<'a> {
    fn of(one: &Diagnostic, source: &'a str, others: &[&Span]) -> Self {
        let spans = || others.iter().copied().chain([&one.span]);
        let clamp = |at: usize| at.min(source.len());
        let first = clamp(spans().map(|span| span.start).min().unwrap_or(0));
        let last = clamp(spans().map(|span| span.end).max().unwrap_or(0));
        // One line more on both sides, so that the first and the last look as in the middle of a text.
        let before = |at: usize| source.get(..at).and_then(|text| text.rfind('\n')).unwrap_or(0);
        let begin = before(before(first));
        let start = if begin == 0 { 0 } else { begin + 1 };
        let after =
            |at: usize| source.get(at..).and_then(|text| text.find('\n')).map_or(source.len(), |len| at + len + 1);
        let end = after(clamp(after(last)));
        let text = source.get(start..end).unwrap_or(source);
        let start = if text.len() == source.len() { 0 } else { start };
        let above = source.get(start..clamp(one.span.start)).map_or(0, |text| text.matches('\n').count());
        Self { text, start, line: usize::try_from(one.line).unwrap_or(1).saturating_sub(above).max(1) }
    }

    fn span(&self, span: &Span) -> Span {
        span.start.saturating_sub(self.start)..span.end.saturating_sub(self.start)
    }

    fn snippet<T: Clone>(&self, file: &'a str) -> Snippet<'a, T> {
        Snippet::source(self.text).line_start(self.line).path(file)
    }
}

fn groups<'a>(one: &'a Diagnostic, source: &'a str) -> Vec<Group<'a>> {
    let level = if one.severity == Severity::Error { Level::ERROR } else { Level::WARNING };
    let related = one.related.as_ref().filter(|other| other.span.start.abs_diff(one.span.start) < FAR);
    let seconds: Vec<&Span> = related.iter().map(|other| &other.span).collect();
    let window = Window::of(one, source, &seconds);
    let primary = AnnotationKind::Primary.span(window.span(&one.span));
    let primary = if one.label.is_empty() { primary } else { primary.label(one.label.as_str()) };
    if window.text.len() > 2 * FAR || Window::of(one, source, &[]).text.len() > DRAWN {
        let place = Origin::path(one.file.as_str()).line(one.line as usize).char_column(one.col as usize);
        return vec![words(one, level.primary_title(one.message.as_str()).id(one.code.0).element(place))];
    }
    let mut snippet = window.snippet(one.file.as_str()).annotation(primary);
    if let Some(related) = related {
        let second = AnnotationKind::Context.span(window.span(&related.span));
        snippet = snippet.annotation(second.label(related.label.as_str()));
    }
    let first = words(one, level.primary_title(one.message.as_str()).id(one.code.0).element(snippet));
    let patch = one.patch.as_ref().map(|patch| {
        let window = Window::of(one, source, &[&patch.span]);
        let cure = Patch::new(window.span(&patch.span), patch.text.as_str());
        let snippet = window.snippet(one.file.as_str()).patch(cure);
        Level::HELP.secondary_title(patch.title.as_str()).element(snippet)
    });
    std::iter::once(first).chain(patch).collect()
}

/// The path and the advice below a finding.
fn words<'a>(one: &'a Diagnostic, mut first: Group<'a>) -> Group<'a> {
    if let Some(path) = &one.path {
        first = first.element(Level::NOTE.message(format!("at `{path}`")));
    }
    if let Some(help) = &one.help {
        first = first.element(Level::HELP.message(help.as_str()));
    }
    first
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
