//! `runbook rehearse --runs`: the chance of ending inside the window, and when most runs have.

use std::time::Duration;

use super::out::{Style, Tone};
use crate::host::span::{count, words};
use crate::plan::Plan;
use crate::plan::chance::Chance;
use crate::runbook::Window;

/// Below this part a window is not a plan but a bet.
const GOOD: f64 = 0.9;

/// The table. Ends with a newline.
#[must_use]
pub fn chance(chance: &Chance, plan: &Plan, window: Option<&Window>, style: &Style) -> String {
    let zone = window.map_or(jiff::tz::TimeZone::UTC, |window| window.timezone.clone());
    let mut out = format!("{} drawn from the estimates, seed {}\n", count(chance.runs as usize, "run"), chance.seed);
    if let Some(inside) = chance.inside {
        let tone = if inside >= GOOD { Tone::Good } else { Tone::Bad };
        let closes = window.and_then(|window| window.closes(plan.starts_at));
        let until = closes.map_or_else(
            || "closed at that start".to_owned(),
            |at| format!("closes {}", at.to_zoned(zone.clone()).strftime("%H:%M")),
        );
        let figure = style.paint(tone, &format!("{:5.1} %", inside * 100.0));
        out.push_str(&format!("  inside the window  {figure}   ({until})\n"));
    }
    for (name, length) in ["1 in 10", "5 in 10", "9 in 10"].into_iter().zip(chance.lengths()) {
        let end = plan.starts_at.checked_add(length).unwrap_or(plan.starts_at).to_zoned(zone.clone());
        let (end, length) = (end.strftime("%H:%M %Z"), words(rounded(length)));
        out.push_str(&format!("  {name} end by     {end}, after {length}\n"));
    }
    out
}

/// To whole seconds: a drawn length has no better.
fn rounded(length: Duration) -> Duration {
    Duration::from_secs(length.as_secs_f64().round() as u64)
}
