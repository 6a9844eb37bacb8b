//! What `doctor` found: a line each, with the cure below where something is missing.

use super::layout::{clean, labelled, pad, paragraph};
use super::out::{Style, Tone};

/// Columns of the names; a longer one pushes its own line only.
const NAMES: usize = 16;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosed {
    /// What was looked at.
    pub about: String,
    /// What was seen there.
    pub seen: String,
    /// `None` is fine, else what to do; may be empty where nobody can do anything.
    pub cure: Option<String>,
    /// Worth knowing; nothing that a run would miss.
    pub advice: bool,
}

/// The whole list. Ends with a newline.
#[must_use]
pub fn diagnosis(all: &[Diagnosed], style: &Style) -> String {
    let mut out = String::new();
    for one in all {
        let (tone, word) = match one.cure {
            _ if one.advice => (Tone::Warn, "note"),
            None => (Tone::Good, "ok  "),
            Some(_) => (Tone::Bad, "MISS"),
        };
        let about = pad(&clean(&one.about), NAMES);
        labelled(&mut out, &format!("{word} {about} "), word, tone, &clean(&one.seen), style);
        if let Some(cure) = one.cure.as_deref().filter(|cure| !cure.is_empty()) {
            paragraph(&mut out, "       ", &clean(cure), style);
        }
    }
    out
}
