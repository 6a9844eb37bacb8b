//! How right past estimates were: a table for people, lines for programs. The doubt of the next plan is read off it.

use std::time::Duration;

use serde_json::json;

use super::layout::{clean, columns, fit, pad, paragraph, right};
use super::out::{Style, Tone};
use crate::host::span::clock;
use crate::journal::estimates::{Judged, Made, Score};

/// A name for many and for one, and whether an estimate is of that kind.
type Kind = (&'static str, &'static str, fn(&Judged) -> bool);

/// The kinds that are summed up each for itself, and their names.
const KINDS: [Kind; 3] = [
    ("steps, as planned", "step, as planned", |one| one.item.is_none()),
    ("instances, as planned", "instance, as planned", |one| one.item.is_some() && one.made == Made::Plan),
    ("loads, when they began", "load, when it began", |one| one.made == Made::Start),
];

/// The table; one line for each estimate, then the figures. Ends with a newline.
#[must_use]
pub fn estimate_table(judged: &[Judged], style: &Style) -> String {
    let names: Vec<(String, &str)> = judged.iter().map(name).collect();
    let intervals: Vec<String> =
        judged.iter().map(|one| format!("{} - {}", time(one.expected.low), time(one.expected.high))).collect();
    let span = intervals.iter().map(|text| columns(text)).max().unwrap_or(0).max(8);
    let width = names.iter().map(|(name, kind)| columns(name) + columns(kind)).max().unwrap_or(0);
    let width = width.min(style.columns().saturating_sub(span + 43)).clamp(18, 40);
    let (what, interval) = (pad("estimate", width), pad("interval", span));
    let mut text = format!("  {what}   expected  {interval}     took     error\n");
    let mut run = "";
    for ((one, (name, kind)), interval) in judged.iter().zip(&names).zip(&intervals) {
        if run != one.run {
            run = &one.run;
            let head = format!("{run}  {}", one.at.strftime("%F %H:%MZ"));
            text.push_str(&format!("{}\n", style.paint(Tone::Strong, &head)));
        }
        let line = format!(
            "  {}  {}  {}  {}  {:>+6.0} %",
            pad(&format!("{}{kind}", fit(name, width - columns(kind), style)), width),
            right(&time(one.expected.typical), 9),
            pad(interval, span),
            right(&time(one.actual_secs), 7),
            one.error_percent().clamp(-999.0, 9999.0),
        );
        let outside = if one.inside() { String::new() } else { format!("  {}", style.paint(Tone::Warn, "outside")) };
        text.push_str(&format!("{line}{outside}\n"));
    }
    for (many, one, of_kind) in KINDS {
        if let Some(score) = Score::of(judged.iter().filter(|one| of_kind(one))) {
            let n = score.estimates;
            let kind = if n == 1 { one } else { many };
            let figures = format!(
                "{n} {kind}: off by {:.0} % on average, {:.0} % inside their interval (80 % is what it is made for)",
                score.mape, score.coverage
            );
            paragraph(&mut text, "", &figures, style);
        }
    }
    text
}

/// One line for each estimate, then one for each kind.
#[must_use]
pub fn estimate_lines(judged: &[Judged]) -> Vec<String> {
    let line = |one: &Judged| {
        json!({
            "type": "estimate",
            "run": one.run,
            "ts": one.at,
            "step": one.step,
            "item": one.item,
            "made": one.made,
            "expected_secs": one.expected.typical,
            "low_secs": one.expected.low,
            "high_secs": one.expected.high,
            "actual_secs": one.actual_secs,
            "error_percent": one.error_percent(),
            "inside": one.inside(),
        })
        .to_string()
    };
    let sum = |(kind, _, of_kind): Kind| {
        let score = Score::of(judged.iter().filter(|one| of_kind(one)))?;
        let (n, mape, coverage) = (score.estimates, score.mape, score.coverage);
        Some(json!({ "type": "estimates", "of": kind, "estimates": n, "mape": mape, "coverage": coverage }).to_string())
    };
    judged.iter().map(line).chain(KINDS.into_iter().filter_map(sum)).collect()
}

/// What is estimated, and what is said behind it whatever has to be cut.
fn name(one: &Judged) -> (String, &'static str) {
    match (&one.item, one.made) {
        (None, _) => (clean(&one.step), ""),
        (Some(item), Made::Plan) => (clean(&format!("{} {item}", one.step)), ""),
        (Some(item), Made::Start) => (clean(&format!("{} {item}", one.step)), " (begun)"),
    }
}

/// `0.4s` where whole seconds say nothing, else `12:30`.
fn time(secs: f64) -> String {
    if secs < 10.0 { format!("{secs:.1}s") } else { clock(Duration::from_secs_f64(secs.clamp(0.0, 1e9))) }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::host::redis::eta::Expected;

    #[test]
    fn a_table_and_lines() {
        let one = |item: Option<&str>, made, typical, actual_secs| Judged {
            run: "r-20261122-101500-ab12".into(),
            at: Timestamp::UNIX_EPOCH,
            step: "load/1".into(),
            item: item.map(str::to_owned),
            made,
            expected: Expected { typical, low: typical / 2.0, high: typical * 2.0 },
            actual_secs,
        };
        let judged = [
            one(None, Made::Plan, 1980.0, 2200.0),
            one(Some("bds"), Made::Plan, 1980.0, 660.0),
            one(Some("bds"), Made::Start, 3.0, 2.5),
        ];
        insta::assert_snapshot!(estimate_table(&judged, &Style::PLAIN));
        let lines = estimate_lines(&judged);
        assert_eq!(lines.len(), 6);
        assert!(lines[1].contains("\"error_percent\":200.0") && lines[1].contains("\"inside\":false"), "{}", lines[1]);
        assert!(lines[5].contains("\"mape\":20.0") && lines[5].contains("\"coverage\":100.0"), "{}", lines[5]);
    }
}
