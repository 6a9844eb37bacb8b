//! One finding in a runbook: what is wrong, where, and how it would be right.
use serde::{Serialize, Serializer};
use strsim::damerau_levenshtein;

use super::codes;
use super::source::{Source, Span};
use crate::host::foreign::named;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The runbook is refused.
    Error,
    /// The runbook runs, but probably not as meant.
    Warning,
}

/// The stable name of a kind of finding: `RB101`. The constants and their long texts are in [`super::codes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub &'static str);

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

/// A replacement that would cure the finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// The question in front of it, such as "did you mean `timeout`?".
    pub title: String,
    /// The bytes to replace.
    pub span: Span,
    /// What to put there.
    pub text: String,
}

/// Another place that belongs to the finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// The bytes it covers.
    pub span: Span,
    /// Its line, from 1.
    pub line: u32,
    /// Its column, from 1.
    pub col: u32,
    /// What it has to do with the finding.
    pub label: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What kind of finding.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub col: u32,
    /// The column behind the last character, on the same line.
    pub end_col: u32,
    /// The bytes, in the text without a byte order mark.
    pub span: Span,
    /// A few words to stand under the caret.
    pub label: String,
    /// The path of the innermost entry: `phases[1].steps[0]`.
    pub path: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// How it would be right.
    pub patch: Option<Patch>,
    /// Another place that belongs to it.
    pub related: Option<Related>,
}

impl Diagnostic {
    /// One without a place.
    fn bare(code: Code, severity: Severity) -> Self {
        Self {
            code,
            severity,
            message: String::new(),
            file: String::new(),
            line: 0,
            col: 0,
            end_col: 0,
            span: 0..0,
            label: String::new(),
            path: None,
            help: None,
            patch: None,
            related: None,
        }
    }

    /// Sets the words under the caret.
    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        if !self.counted() {
            self.label = label.into();
        }
        self
    }

    /// Sets the advice.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        if !self.counted() {
            self.help = Some(help.into());
        }
        self
    }

    /// Sets the cure.
    pub(crate) fn patch(&mut self, title: impl Into<String>, span: Span, text: impl Into<String>) -> &mut Self {
        if !self.counted() {
            self.patch = Some(Patch { title: title.into(), span, text: text.into() });
        }
        self
    }

    /// Offers the likeliest of `candidates` instead of `typed`, the text under the caret, and hands it out. One that cannot be
    /// shown as it is, is no cure: it may come from the runbook itself, where a hidden character in a name is a mistake of its own.
    pub(crate) fn did_you_mean<'c>(
        &mut self,
        typed: &str,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> Option<&'c str> {
        if self.counted() {
            return None;
        }
        let near = nearest(typed, candidates);
        if let Some(near) = near.filter(|one| named(one, one.len()) == *one) {
            self.patch(format!("did you mean `{near}`?"), self.span.clone(), near);
        }
        near
    }

    /// Whether it is one of those beyond the limit, which have no place and are completed by nothing: lines begin at 1.
    pub(crate) fn counted(&self) -> bool {
        self.line == 0
    }
}

/// Everything found so far in one text.
#[derive(Debug)]
pub(crate) struct Findings<'t> {
    /// The text.
    pub(crate) source: &'t Source<'t>,
    file: &'t str,
    list: Vec<Diagnostic>,
    /// Those beyond [`MOST`]: how many, the latest without its place and words, and whether one of them is an error.
    more: usize,
    latest: Option<Diagnostic>,
    more_errors: bool,
    /// Unit names that braces have become so far.
    units: usize,
}

/// Unit names that one text may come to: a brace of a few characters is 256 of them.
const MOST_UNITS: usize = 20_000;

/// Findings that are kept of one text. Nobody reads more, and a text of a hundred thousand mistakes is none by mistake.
const MOST: usize = 200;

impl<'t> Findings<'t> {
    /// Nothing found yet.
    pub(crate) fn new(source: &'t Source<'t>, file: &'t str) -> Self {
        Self { source, file, list: Vec::new(), more: 0, latest: None, more_errors: false, units: 0 }
    }

    /// Whether the text may name so many units more.
    pub(crate) fn room_for_units(&mut self, names: usize) -> bool {
        self.units = self.units.saturating_add(names);
        self.units <= MOST_UNITS
    }

    /// Notes an error and hands it out to be completed.
    pub(crate) fn error(&mut self, code: Code, span: &Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(code, Severity::Error, span, message.into())
    }

    /// Notes a warning and hands it out to be completed.
    pub(crate) fn warning(&mut self, code: Code, span: &Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(code, Severity::Warning, span, message.into())
    }

    /// Adds a second place to the finding noted last.
    pub(crate) fn related(&mut self, span: &Span, label: &str) {
        if self.more > 0 {
            return;
        }
        let (line, col) = self.source.position(span.start);
        if let Some(last) = self.list.last_mut() {
            last.related = Some(Related { span: span.clone(), line, col, label: label.to_owned() });
        }
    }

    /// Whether the text must be refused.
    pub(crate) fn any_error(&self) -> bool {
        self.more_errors || self.list.iter().any(|one| one.severity == Severity::Error)
    }

    /// All findings in the order of the text, with the path of the entry that each stands in.
    pub(crate) fn finish(mut self, path: impl Fn(usize) -> Option<String>) -> Vec<Diagnostic> {
        for one in &mut self.list {
            one.path = path(one.span.start);
            // These point at the first key of the map that they are about.
            if [codes::MISSING_KEY, codes::ONE_ACTION, codes::CHOICE].contains(&one.code) {
                one.path = one.path.take().and_then(|path| Some(path.rsplit_once('.')?.0.to_owned()));
            }
        }
        self.list.sort_by_key(|one| (one.span.start, one.code));
        if let Some(last) = self.latest.take() {
            let severity = if self.more_errors { Severity::Error } else { Severity::Warning };
            let message = format!("and {} more findings, of which this is the last", self.more);
            self.list.push(self.placed(last.code, severity, &last.span, message));
        }
        self.list
    }

    fn add(&mut self, code: Code, severity: Severity, span: &Span, message: String) -> &mut Diagnostic {
        if self.list.len() >= MOST {
            return self.count(code, severity, span);
        }
        self.list.push(self.placed(code, severity, span, message));
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// One beyond the limit: nothing is looked up, drawn or guessed for it.
    fn count(&mut self, code: Code, severity: Severity, span: &Span) -> &mut Diagnostic {
        self.more += 1;
        self.more_errors |= severity == Severity::Error;
        let latest = self.latest.get_or_insert_with(|| Diagnostic::bare(code, severity));
        (latest.code, latest.span) = (code, span.clone());
        latest
    }

    fn placed(&self, code: Code, severity: Severity, span: &Span, message: String) -> Diagnostic {
        let span = self.source.whole(span);
        let start = span.start;
        let (line, col) = self.source.position(start);
        // A span that runs over the end of its line is shown up to there.
        let rest = self.source.text[self.source.offset(line.into(), col.into())..].lines().next().map_or(0, str::len);
        let end = span.end.min(start + rest).max(start);
        let end_col = self.source.position(end).1.max(col + 1);
        let span = start..end;
        Diagnostic { message, file: self.file.to_owned(), line, col, end_col, span, ..Diagnostic::bare(code, severity) }
    }
}

/// Names that are compared for one guess: more than a runbook declares of a kind, and few enough for every finding kept.
const CANDIDATES: usize = 256;

/// The candidate that `typed` most likely was meant to be.
pub(crate) fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Distances cost time with the square of the length, and no name worth a guess is that long.
    if typed.len() > 64 {
        return None;
    }
    // A name of another length is too far away before a letter is compared, and a list is looked through only so far.
    let alike =
        |one: &&str| one.len() <= 64 && one.len().abs_diff(typed.len()) <= (one.len().max(typed.len()) / 3).max(1);
    let scored =
        candidates.into_iter().take(CANDIDATES).filter(alike).map(|candidate| (distance(typed, candidate), candidate));
    scored.min_by_key(|(far, _)| *far).filter(|(far, c)| near_enough(*far, typed.len().max(c.len()))).map(|(_, c)| c)
}

/// A third of the letters may be wrong, but never all of them.
fn near_enough(far: usize, longest: usize) -> bool {
    far <= (longest / 3).max(1) && far < longest
}

/// Edits between two names; case and the two kinds of dashes are one small edit together.
fn distance(typed: &str, candidate: &str) -> usize {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    if typed != candidate && plain(typed) == plain(candidate) { 1 } else { damerau_levenshtein(typed, candidate) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["redis_compacted", "redis_loaded", "within", "name"];
        assert_eq!(nearest("redis-compacted", names), Some("redis_compacted"));
        assert_eq!(nearest("withn", names), Some("within"));
        assert_eq!(nearest("nmae", names), Some("name"));
        assert_eq!(nearest("cluster", names), None);
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest(&"x".repeat(1000), names), None);
    }
}
