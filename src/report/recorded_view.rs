//! `runbook facts`: how much was recorded, and what gave no answer.

use std::collections::BTreeMap;

use super::layout::{clean, labelled};
use super::out::{Style, Tone};
use crate::host::span::count;

/// How many answers there are. Ends with a newline.
#[must_use]
pub fn recorded(answers: usize) -> String {
    format!("{} recorded\n", count(answers, "answer"))
}

/// What is missing: each question with the reason. Ends with a newline unless nothing is.
#[must_use]
pub fn unanswered(all: &BTreeMap<String, String>, style: &Style) -> String {
    let mut out = String::new();
    for (about, why) in all {
        let text = format!("{}: {}", clean(about), clean(why));
        labelled(&mut out, "no answer  ", "no answer", Tone::Warn, &text, style);
    }
    out
}
