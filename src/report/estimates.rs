//! How right past estimates were: a table for people, lines for programs. The doubt of the next plan is read off it.

use std::time::Duration;

use serde_json::json;

use super::layout::{clean, columns, pad, right};
use crate::host::span::clock;
use crate::journal::estimates::{Judged, Made, Score};

/// A name, and whether an estimate is of that kind.
type Kind = (&'static str, fn(&Judged) -> bool);

/// The kinds that are summed up each for itself, and their names.
const KINDS: [Kind; 3] = [
    ("steps, as planned", |one| one.item.is_none()),
    ("instances, as planned", |one| one.item.is_some() && one.made == Made::Plan),
    ("loads, when they began", |one| one.made == Made::Start),
];

/// The table; one line for each estimate, then the figures. Ends with a newline.
#[must_use]
pub fn estimate_table(judged: &[Judged]) -> String {
    let names: Vec<String> = judged.iter().map(name).collect();
    let width = names.iter().map(|name| columns(name)).max().unwrap_or(0).clamp(8, 40);
    let (what, took) = (pad("estimate", width), right("took", 7));
    let mut text = format!("  {what}   expected  {}  {took}     error\n", pad("interval", 19));
    let mut run = "";
    for (one, name) in judged.iter().zip(&names) {
        if run != one.run {
            run = &one.run;
            text.push_str(&format!("{run}  {}\n", one.at.strftime("%F %H:%MZ")));
        }
        let length = |secs: f64| time(secs);
        let interval = format!("{} - {}", length(one.expected.low), length(one.expected.high));
        text.push_str(&format!(
            "  {}  {}  {}  {}  {:>+6.0} %{}\n",
            pad(&clean(name), width),
            right(&length(one.expected.typical), 9),
            pad(&interval, 19),
            right(&length(one.actual_secs), 7),
            one.error_percent().clamp(-999.0, 9999.0),
            if one.inside() { "" } else { "  outside" }
        ));
    }
    for (kind, of_kind) in KINDS {
        if let Some(score) = Score::of(judged.iter().filter(|one| of_kind(one))) {
            let n = score.estimates;
            text.push_str(&format!(
                "{n} {kind}: off by {:.0} % on average, {:.0} % inside their interval (80 % is what it is made for)\n",
                score.mape, score.coverage
            ));
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
    let sum = |(kind, of_kind): (&str, fn(&Judged) -> bool)| {
        let score = Score::of(judged.iter().filter(|one| of_kind(one)))?;
        let (n, mape, coverage) = (score.estimates, score.mape, score.coverage);
        Some(json!({ "type": "estimates", "of": kind, "estimates": n, "mape": mape, "coverage": coverage }).to_string())
    };
    judged.iter().map(line).chain(KINDS.into_iter().filter_map(sum)).collect()
}

fn name(one: &Judged) -> String {
    match (&one.item, one.made) {
        (None, _) => one.step.clone(),
        (Some(item), Made::Plan) => format!("{} {item}", one.step),
        (Some(item), Made::Start) => format!("{} {item} (at its start)", one.step),
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
        insta::assert_snapshot!(estimate_table(&judged));
        let lines = estimate_lines(&judged);
        assert_eq!(lines.len(), 6);
        assert!(lines[1].contains("\"error_percent\":200.0") && lines[1].contains("\"inside\":false"), "{}", lines[1]);
        assert!(lines[5].contains("\"mape\":20.0") && lines[5].contains("\"coverage\":100.0"), "{}", lines[5]);
    }
}
