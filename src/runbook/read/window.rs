//! The section `window:`.
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::Places;
use super::item::{Item, shown};
use crate::runbook::codes;
use crate::runbook::diagnostic::Findings;
use crate::runbook::window::{Day, Window};

/// Reads it.
pub(super) fn window(item: &Item<'_>, places: &mut Places, out: &mut Findings<'_>) -> Option<Window> {
    let mut fields = item.fields("the window", out)?;
    let words = Day::ALL.map(|day| (day.name(), day));
    let days = fields.get("days").map(|item| item.one_or_more(out)).unwrap_or_default();
    let days = days.iter().filter_map(|day| day.choice(&words, out)).collect();
    let opens = fields.need("opens", out).and_then(|item| {
        places.opens = item.span();
        time(&item, out)
    });
    let length = fields.need("length", out).and_then(|item| {
        places.length = item.span();
        let length = item.duration(out)?;
        let good = (60..=7 * 86_400).contains(&length.as_secs());
        if !good {
            item.error(codes::COUNT, format!("{} must be from 1m to 7d", item.what), out).label("out of range");
        }
        good.then_some(length)
    });
    let timezone = fields.need("timezone", out).and_then(|item| zone(&item, out));
    fields.close(out);
    Some(Window { days, opens: opens?, length: length?, timezone: timezone? })
}

fn time(item: &Item<'_>, out: &mut Findings<'_>) -> Option<Time> {
    let text = item.word(out)?;
    let parts: Vec<&str> = text.split(':').collect();
    let numbers: Vec<i8> = parts.iter().filter(|p| p.len() == 2).filter_map(|p| p.parse().ok()).collect();
    let time = match (parts.len(), numbers.as_slice()) {
        (2, [hour, minute]) => Time::new(*hour, *minute, 0, 0).ok(),
        _ => None,
    };
    if time.is_none() {
        let found = item.error(codes::TIME, format!("{} cannot be `{}`", item.what, shown(&text)), out);
        found.label("not a time of day").help("write it like `\"10:00\"` or `\"23:30\"`");
    }
    time
}

fn zone(item: &Item<'_>, out: &mut Findings<'_>) -> Option<TimeZone> {
    let text = item.text(out)?;
    // A name, not an offset: `+01:00` would be wrong for half of the year without anybody noticing.
    let zone = TimeZone::get(&text).ok().filter(|zone| zone.iana_name().is_some());
    if zone.is_none() {
        let found = item.error(codes::TIME, format!("there is no time zone `{}`", shown(&text)), out);
        found.label("not in the IANA database").help("write it like `Europe/Berlin` or `UTC`");
    }
    zone
}
