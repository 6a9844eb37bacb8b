//! The start that `--at` names: one moment, or the question which of two is meant.
use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};

use super::{Exit, Failure};
use crate::host::foreign::named;
use crate::report::call_on;
use crate::runbook::Runbook;

/// The start that `--at` means.
pub(super) fn start(text: &str, now: Timestamp, runbook: &Runbook) -> Result<Timestamp, Failure> {
    let zone = runbook.window.as_ref().map_or_else(TimeZone::system, |window| window.timezone.clone());
    parse_start(text, now, &zone).map_err(|error| {
        let hint = error.cure(&runbook.name);
        Failure::say(Exit::Usage, format!("--at {}: {error}", named(text, 40))).hint(hint)
    })
}

/// Why a text is not one moment.
#[derive(Debug, PartialEq, thiserror::Error)]
enum NoStart {
    #[error("not a time")]
    NotATime,
    /// The clock on the wall skips it, or shows it twice; both readings, the earlier first.
    #[error("{what} in {zone}: it may mean {one} or {other}",
            what = if *.missing { "that hour is missing" } else { "that hour comes twice" },
            one = .readings[0].strftime("%F %H:%M:%S %:z"), other = .readings[1].strftime("%F %H:%M:%S %:z"))]
    TwoReadings { missing: bool, zone: String, readings: Box<[Zoned; 2]> },
}

impl NoStart {
    fn cure(&self, runbook: &str) -> String {
        match self {
            Self::NotATime => "10:15, 2026-11-28T10:15 or 2026-11-28T10:15:00Z".into(),
            Self::TwoReadings { readings, .. } => {
                let [one, other] = readings.each_ref().map(|reading| reading.timestamp());
                [one, other].map(|at| call_on("plan", runbook, &format!("--at {at}"))).join("\n  ")
            }
        }
    }
}

fn parse_start(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, NoStart> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    // Before the time of day, which would take the time out of a date.
    if let Ok(at) = text.parse::<DateTime>() {
        return reading(at, zone, None);
    }
    let time = text.parse::<Time>().map_err(|_| NoStart::NotATime)?;
    let today = now.to_zoned(zone.clone()).date();
    match reading(today.to_datetime(time), zone, Some(now)) {
        Ok(at) if at < now => {
            let tomorrow = today.checked_add(1.day()).map_err(|_| NoStart::NotATime)?;
            reading(tomorrow.to_datetime(time), zone, None)
        }
        other => other,
    }
}

/// The moment of a local time. Where the clock is changed it has two readings, and which of them is meant nobody can
/// guess, unless only one of them still lies ahead.
fn reading(at: DateTime, zone: &TimeZone, from: Option<Timestamp>) -> Result<Timestamp, NoStart> {
    let ambiguous = zone.to_ambiguous_timestamp(at);
    let missing = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => return ambiguous.compatible().map_err(|_| NoStart::NotATime),
        AmbiguousOffset::Gap { .. } => true,
        AmbiguousOffset::Fold { .. } => false,
    };
    let (one, other) = (ambiguous.earlier(), ambiguous.later());
    let (one, other) = one.and_then(|one| Ok((one, other?))).map_err(|_| NoStart::NotATime)?;
    let (one, other) = (one.min(other), one.max(other));
    if from.is_some_and(|from| one < from) {
        return Ok(other);
    }
    let zone_name = zone.iana_name().unwrap_or("this time zone").to_owned();
    let readings = Box::new([one, other].map(|reading| reading.to_zoned(zone.clone())));
    Err(NoStart::TwoReadings { missing, zone: zone_name, readings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_in_the_windows_time_zone() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-11-28T08:00:00Z".parse().unwrap();
        for (text, wanted) in [
            ("10:15", Some("2026-11-28T09:15:00Z")),
            ("08:15", Some("2026-11-29T07:15:00Z")),
            ("2026-12-05T10:00", Some("2026-12-05T09:00:00Z")),
            ("2026-12-05T10:00:00Z", Some("2026-12-05T10:00:00Z")),
            ("soon", None),
        ] {
            let read = parse_start(text, now, &zone).ok().map(|at| at.to_string());
            assert_eq!(read.as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn an_hour_that_is_missing_or_comes_twice_is_asked_back() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let before: Timestamp = "2026-10-24T22:00:00Z".parse().unwrap();
        for (text, now, words, readings) in [
            ("2026-10-25T02:30", before, "that hour comes twice", ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]),
            ("02:30", before, "that hour comes twice", ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]),
            ("2026-03-29T02:30", before, "that hour is missing", ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]),
        ] {
            let error = parse_start(text, now, &zone).unwrap_err();
            assert!(error.to_string().contains(words), "{text}: {error}");
            assert!(readings.iter().all(|one| error.cure("x").contains(one)), "{text}: {}", error.cure("x"));
        }
        // Between the two of them only the second is left, and after both it is tomorrow's.
        for (now, wanted) in
            [("2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"), ("2026-10-25T02:00:00Z", "2026-10-26T01:30:00Z")]
        {
            let read = parse_start("02:30", now.parse().unwrap(), &zone).unwrap();
            assert_eq!(read.to_string(), wanted);
        }
    }
}
