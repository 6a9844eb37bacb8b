//! `runbook facts`: how much was recorded, and what gave no answer.

use std::collections::BTreeMap;

use super::layout::{clean, paragraph};
use super::out::{Style, Tone};

/// How many answers there are. Ends with a newline.
#[must_use]
pub fn recorded(answers: usize) -> String {
    if answers == 1 { "1 answer recorded\n".to_owned() } else { format!("{answers} answers recorded\n") }
}

/// What is missing: each question with the reason. Ends with a newline unless nothing is.
#[must_use]
pub fn unanswered(all: &BTreeMap<String, String>, style: &Style) -> String {
    let mut out = String::new();
    for (about, why) in all {
        let mut text = String::new();
        paragraph(&mut text, "no answer  ", &format!("{}: {}", clean(about), clean(why)), style);
        out.push_str(&text.replacen("no answer", &style.paint(Tone::Warn, "no answer"), 1));
    }
    out
}
