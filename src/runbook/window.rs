//! When a runbook may run: days, a time of day, a length, and the time zone in which the first two are meant.
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::action::measure;

/// A recurring maintenance window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The days on which it opens; empty: every day.
    pub days: Vec<Day>,
    /// The local time at which it opens.
    pub opens: Time,
    /// How long it stays open: time that passes, whatever the clock on the wall does in that night. At most seven days.
    #[serde(with = "measure::text")]
    pub length: Duration,
    /// Where the clock on the wall hangs.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub timezone: TimeZone,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// One occurrence of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The first moment in it.
    pub opens: Timestamp,
    /// The first moment behind it.
    pub closes: Timestamp,
}

/// A night in which the opening time is missing or comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockChange {
    /// The local date.
    pub date: Date,
    /// Missing (the clock goes forward) rather than twice (it goes back).
    pub missing: bool,
}

impl Day {
    /// Its name in a runbook.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::Tue => "tue",
            Self::Wed => "wed",
            Self::Thu => "thu",
            Self::Fri => "fri",
            Self::Sat => "sat",
            Self::Sun => "sun",
        }
    }

    /// All days, from Monday.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];
}

impl Opening {
    /// Whether `at` lies in it.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.opens <= at && at < self.closes
    }

    /// The time left at `at`; zero outside.
    #[must_use]
    pub fn left(&self, at: Timestamp) -> Duration {
        if self.contains(at) {
            Duration::try_from(self.closes.duration_since(at)).unwrap_or_default()
        } else {
            Duration::ZERO
        }
    }
}

impl Window {
    /// Whether the window is open at `at`.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.current_or_next(at).is_some_and(|opening| opening.contains(at))
    }

    /// The occurrence that is open at `at`, else the next one; `None` only at the end of the calendar.
    #[must_use]
    pub fn current_or_next(&self, at: Timestamp) -> Option<Opening> {
        let back = i64::try_from(self.length.as_secs() / 86_400 + 2).ok()?;
        let mut date = at.to_zoned(self.timezone.clone()).date().checked_sub(back.days()).ok()?;
        // A week ahead has every day; one day more for the clock's changes.
        for _ in 0..back + 9 {
            if let Some(opening) = self.opening_on(date).filter(|opening| at < opening.closes) {
                return Some(opening);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// When the window that is open at `at` closes.
    #[must_use]
    pub fn closes(&self, at: Timestamp) -> Option<Timestamp> {
        self.current_or_next(at).filter(|opening| opening.contains(at)).map(|opening| opening.closes)
    }

    /// The nights of the `years` after `from` in which the opening time is missing or comes twice.
    #[must_use]
    pub fn clock_changes(&self, from: Timestamp, years: u32) -> Vec<ClockChange> {
        let until =
            from.checked_add(SignedDuration::from_hours(i64::from(years.min(100)) * 8766)).unwrap_or(Timestamp::MAX);
        let nights = self.timezone.following(from).map(|change| change.timestamp()).take_while(|at| *at <= until);
        let mut found = Vec::new();
        for night in nights {
            let date = night.to_zoned(self.timezone.clone()).date();
            // The change is an hour or so wide, so it may begin or end on the day before.
            for date in [date.yesterday().ok(), Some(date)].into_iter().flatten() {
                let ambiguous = self.timezone.to_ambiguous_timestamp(date.to_datetime(self.opens)).offset();
                let missing = matches!(ambiguous, AmbiguousOffset::Gap { .. });
                let change = ClockChange { date, missing };
                let hit = missing || matches!(ambiguous, AmbiguousOffset::Fold { .. });
                if hit && self.opens_on(date) && found.last() != Some(&change) {
                    found.push(change);
                }
            }
        }
        found
    }

    fn opens_on(&self, date: Date) -> bool {
        let index = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        self.days.is_empty() || self.days.contains(&Day::ALL[index.min(6)])
    }

    /// The occurrence that opens on a date. A missing time is taken an hour later, of two equal ones the first.
    fn opening_on(&self, date: Date) -> Option<Opening> {
        if !self.opens_on(date) {
            return None;
        }
        let opens = self.timezone.to_zoned(date.to_datetime(self.opens)).ok()?.timestamp();
        let length = SignedDuration::try_from(self.length).ok()?;
        Some(Opening { opens, closes: opens.checked_add(length).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Day], opens: &str, hours: u64, zone: &str) -> Window {
        Window {
            days: days.to_vec(),
            opens: opens.parse().unwrap(),
            length: Duration::from_secs(hours * 3600),
            timezone: TimeZone::get(zone).unwrap(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn saturdays_in_berlin() {
        let window = window(&[Day::Sat], "10:00", 3, "Europe/Berlin");
        // 2026-11-21 is a Saturday; Berlin is at +01.
        for (moment, open) in [
            ("2026-11-21T08:59:59Z", false),
            ("2026-11-21T09:00:00Z", true),
            ("2026-11-21T11:59:59Z", true),
            ("2026-11-21T12:00:00Z", false),
            ("2026-11-22T10:00:00Z", false),
            ("2026-07-04T08:00:00Z", true),
        ] {
            assert_eq!(window.contains(at(moment)), open, "{moment}");
        }
        let next = window.current_or_next(at("2026-11-21T12:00:00Z")).unwrap();
        assert_eq!(next.opens, at("2026-11-28T09:00:00Z"));
        assert_eq!(window.closes(at("2026-11-21T09:30:00Z")), Some(at("2026-11-21T12:00:00Z")));
        assert_eq!(window.closes(at("2026-11-21T13:30:00Z")), None);
        assert_eq!(next.left(at("2026-11-28T11:30:00Z")), Duration::from_secs(1800));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_opens() {
        let window = window(&[Day::Sat], "23:00", 4, "UTC");
        assert!(window.contains(at("2026-11-22T02:59:00Z")) && !window.contains(at("2026-11-21T02:59:00Z")));
        let long = Window { length: Duration::from_secs(7 * 86_400), ..window };
        assert!(long.contains(at("2026-11-25T00:00:00Z")));
    }

    #[test]
    fn length_is_time_that_passes() {
        // The night of 2026-10-25 has 25 hours in Berlin: 01:30 + 3 h is 03:30 on the wall.
        let opening = window(&[], "01:30", 3, "Europe/Berlin").current_or_next(at("2026-10-24T23:30:00Z")).unwrap();
        assert_eq!((opening.opens, opening.closes), (at("2026-10-24T23:30:00Z"), at("2026-10-25T02:30:00Z")));
    }

    #[test]
    fn nights_without_the_hour_and_with_two_of_it() {
        let daily = window(&[], "02:30", 1, "Europe/Berlin");
        let changes = daily.clock_changes(at("2026-01-01T00:00:00Z"), 1);
        let shown: Vec<_> = changes.iter().map(|one| (one.date.to_string(), one.missing)).collect();
        assert_eq!(shown, [("2026-03-29".to_owned(), true), ("2026-10-25".to_owned(), false)]);
        let saturdays = window(&[Day::Sat], "02:30", 1, "Europe/Berlin");
        assert!(saturdays.clock_changes(at("2026-01-01T00:00:00Z"), 9).is_empty(), "clocks change on Sundays there");
        assert!(window(&[], "02:30", 1, "UTC").clock_changes(at("2026-01-01T00:00:00Z"), 9).is_empty());
    }

    #[test]
    fn it_travels_as_text() {
        let window = window(&[Day::Sat, Day::Sun], "10:00", 3, "Europe/Berlin");
        let json = serde_json::to_string(&window).unwrap();
        assert_eq!(json, r#"{"days":["sat","sun"],"opens":"10:00:00","length":"3h","timezone":"Europe/Berlin"}"#);
        assert_eq!(serde_json::from_str::<Window>(&json).unwrap(), window);
    }
}
