//! One value with a name: every mistake is noted with its place, and reading goes on.
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::action::measure::{MeasureError, parse_duration};
use crate::host::foreign::named;
use crate::runbook::codes;
use crate::runbook::diagnostic::{Code, Diagnostic, Findings};
use crate::runbook::source::Span;
use crate::runbook::tree::{Node, Value};

/// One value with a name for messages and a place for the caret when the value itself has none.
#[derive(Clone)]
pub(super) struct Item<'n> {
    /// The value.
    pub(super) node: &'n Node,
    /// Such as "`within`".
    pub(super) what: String,
    caret: Span,
}

/// Foreign text inside a message.
pub(super) fn shown(text: &str) -> String {
    named(text, 60)
}

impl<'n> Item<'n> {
    /// A value with a name of its own.
    pub(super) fn new(node: &'n Node, what: impl Into<String>) -> Self {
        Self { node, what: what.into(), caret: node.caret().clone() }
    }

    /// A value with a name and the place of its key.
    pub(super) fn under(key: &Node, node: &'n Node, what: impl Into<String>) -> Self {
        Self { node, what: what.into(), caret: key.span.clone() }
    }

    /// Where to put the caret: on the value if one can see it, else on its key.
    pub(super) fn span(&self) -> Span {
        let invisible = matches!(self.node.value, Value::Null) || self.node.caret().is_empty();
        if invisible { self.caret.clone() } else { self.node.caret().clone() }
    }

    /// Where its key stands.
    pub(super) fn key(&self) -> Span {
        self.caret.clone()
    }

    /// Notes an error at the value.
    pub(super) fn error<'o>(&self, code: Code, message: String, out: &'o mut Findings<'_>) -> &'o mut Diagnostic {
        out.error(code, &self.span(), message)
    }

    /// Notes that the value is of another type.
    pub(super) fn wrong<'o>(&self, expected: &str, out: &'o mut Findings<'_>) -> &'o mut Diagnostic {
        let found = self.node.kind();
        let found = self.error(codes::WRONG_TYPE, format!("{} must be {expected}, found {found}", self.what), out);
        found.label(format!("expected {expected}"))
    }

    /// A list with at least one element.
    pub(super) fn list(&self, out: &mut Findings<'_>) -> Vec<Item<'n>> {
        let Value::List(elements) = &self.node.value else {
            let found = self.wrong("a list", out);
            if matches!(self.node.value, Value::Text(_)) {
                found.help("write `[...]` around it");
            }
            return Vec::new();
        };
        if elements.is_empty() {
            self.error(codes::EMPTY, format!("{} is empty", self.what), out).label("at least one is needed");
        }
        let what = format!("an element of {}", self.what);
        elements.iter().map(|node| Item { node, what: what.clone(), caret: self.caret.clone() }).collect()
    }

    /// One value, or a list of them.
    pub(super) fn one_or_more(&self, out: &mut Findings<'_>) -> Vec<Item<'n>> {
        if matches!(self.node.value, Value::List(_) | Value::Null) { self.list(out) } else { vec![self.clone()] }
    }

    /// Text that is not empty.
    pub(super) fn text(&self, out: &mut Findings<'_>) -> Option<String> {
        match &self.node.value {
            Value::Text(text) if text.trim().is_empty() => {
                self.error(codes::EMPTY, format!("{} is empty", self.what), out).label("text is needed");
                None
            }
            Value::Text(text) if text.contains(|c: char| c.is_control() && c != '\n') => {
                let message = format!("{} has a control character: `{}`", self.what, shown(text));
                self.error(codes::WRONG_TYPE, message, out).label("only what one can see");
                None
            }
            Value::Text(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => {
                let span = self.span();
                let quoted = format!("\"{}\"", out.source.slice(&span));
                self.wrong("text", out).patch("quote it", span, quoted);
                None
            }
            _ => {
                self.wrong("text", out);
                None
            }
        }
    }

    /// A word of a command line: any scalar, as written.
    pub(super) fn word(&self, out: &mut Findings<'_>) -> Option<String> {
        let word = self.node.scalar().filter(|word| !word.contains('\0')).map(str::to_owned);
        if word.is_none() {
            self.wrong("text without NUL", out);
        }
        word
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, out: &mut Findings<'_>) -> Option<bool> {
        if let Value::Bool(value) = self.node.value {
            return Some(value);
        }
        let meant = match self.node.scalar().map(str::to_ascii_lowercase).as_deref() {
            Some("yes" | "y" | "on" | "true") => "true",
            Some("no" | "n" | "off" | "false") => "false",
            _ => {
                self.wrong("`true` or `false`", out);
                return None;
            }
        };
        let written = shown(self.node.scalar().unwrap_or_default());
        let span = self.span();
        let found =
            self.error(codes::YES_NO, format!("{} must be `true` or `false`, and `{written}` is text", self.what), out);
        found.label("text in YAML 1.2").patch("write", span, meant);
        None
    }

    /// A whole number within a range.
    pub(super) fn whole(&self, range: RangeInclusive<u32>, out: &mut Findings<'_>) -> Option<u32> {
        let Value::Number(text) = &self.node.value else {
            self.wrong("a whole number", out);
            return None;
        };
        let number = text.parse::<u32>().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("{} must be a whole number from {} to {}", self.what, range.start(), range.end());
            self.error(codes::COUNT, message, out).label("out of range");
        }
        number
    }

    /// A number, with or without a fraction.
    pub(super) fn number(&self, out: &mut Findings<'_>) -> Option<f64> {
        let number = match &self.node.value {
            Value::Number(text) => text.parse::<f64>().ok().filter(|number| number.is_finite()),
            _ => None,
        };
        if number.is_none() {
            self.wrong("a number", out);
        }
        number
    }

    /// A size, share or quota.
    pub(super) fn measure<T: FromStr<Err = MeasureError>>(&self, out: &mut Findings<'_>) -> Option<T> {
        self.measured(str::parse, out)
    }

    /// A length of time.
    pub(super) fn duration(&self, out: &mut Findings<'_>) -> Option<Duration> {
        self.measured(parse_duration, out)
    }

    fn measured<T>(&self, parse: impl Fn(&str) -> Result<T, MeasureError>, out: &mut Findings<'_>) -> Option<T> {
        let Some(text) = self.node.scalar() else {
            self.wrong("a measure such as `90s`, `20%` or `128GiB`", out);
            return None;
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                let message = format!("{}: `{}` is {}", self.what, shown(text), measure_text(&error));
                self.error(codes::MEASURE, message, out).label("cannot be read").help(cure(&error));
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&'static str, T)], out: &mut Findings<'_>) -> Option<T> {
        let Some(text) = self.node.scalar() else {
            self.wrong("one word", out);
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("{} cannot be `{}`", self.what, shown(text));
            let found = self.error(codes::NOT_ONE_OF, message, out).label(format!("one of: {}", known.join(", ")));
            found.did_you_mean(text, known);
        }
        found
    }

    /// A name: letters, digits, `-`, `_`, `.`, beginning with a letter or a digit.
    pub(super) fn name(&self, out: &mut Findings<'_>) -> Option<String> {
        let name = self.text(out)?;
        is_name(&name, self, out).then_some(name)
    }

    /// An absolute path.
    pub(super) fn path(&self, out: &mut Findings<'_>) -> Option<PathBuf> {
        let text = self.text(out)?;
        if text.starts_with('/') && !text.contains('\0') {
            return Some(PathBuf::from(text));
        }
        self.error(codes::ABSOLUTE, format!("{} must be an absolute path", self.what), out)
            .label("does not begin with `/`");
        None
    }
}

/// Checks the characters of a name and notes what is wrong with it.
pub(super) fn is_name(name: &str, item: &Item<'_>, out: &mut Findings<'_>) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(inside);
    if !good {
        let found = item.error(codes::NAME, format!("{} cannot be `{}`", item.what, shown(name)), out);
        found.label("letters, digits, `-`, `_` and `.`, at most 64");
    }
    good
}

fn measure_text(error: &MeasureError) -> &'static str {
    match error {
        MeasureError::Duration => "not a length of time",
        MeasureError::NoTimeUnit => "a length of time without its unit",
        MeasureError::Size => "not a size",
        MeasureError::Percent => "not a share",
        MeasureError::TooLarge => "too large",
    }
}

fn cure(error: &MeasureError) -> &'static str {
    match error {
        MeasureError::Duration | MeasureError::NoTimeUnit => "write it like `90s`, `15m` or `2h30m`",
        MeasureError::Size => "write it like `512MiB`, `128GiB` or `10GB`",
        MeasureError::Percent => "write it like `20%`, from 0% to 100%",
        MeasureError::TooLarge => "write a smaller one",
    }
}
