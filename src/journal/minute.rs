//! The minute in which a record was written, kept as it was read last: most records are of the same minute as the one before.
use std::cell::Cell;

use jiff::{SignedDuration, Timestamp};

thread_local! {
    /// The latest minute, as it is written and when it began.
    static MINUTE: Cell<([u8; WRITTEN], Timestamp)> = const { Cell::new(([0; WRITTEN], Timestamp::UNIX_EPOCH)) };
}
/// Bytes of a minute as it is written, up to its seconds.
const WRITTEN: usize = "2026-11-29T21:57:".len();

/// A point in time. RFC 3339 knows many forms; within the latest minute the one that is written needs no search.
pub(super) fn instant(text: &str) -> Result<Timestamp, jiff::Error> {
    let Some((minute, rest)) = text.as_bytes().split_first_chunk::<WRITTEN>() else { return text.parse() };
    let Some(within) = within_minute(rest).filter(|_| is_minute(minute)) else { return text.parse() };
    let (known, began) = MINUTE.get();
    if known == *minute {
        return began.checked_add(within);
    }
    let found: Timestamp = text.parse()?;
    MINUTE.set((*minute, found.checked_sub(within)?));
    Ok(found)
}

/// `YYYY-MM-DDTHH:MM:`, whatever the digits are. A year of six would be as long with an hour less.
fn is_minute(text: &[u8; WRITTEN]) -> bool {
    [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')].iter().all(|(at, mark)| text[*at] == *mark)
}

/// `SSZ`, or `SS.` and up to nine digits of a second and `Z`.
fn within_minute(text: &[u8]) -> Option<SignedDuration> {
    let (seconds, fraction) = text.strip_suffix(b"Z")?.split_first_chunk::<2>()?;
    let fraction = match fraction {
        [] => fraction,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => digits,
        _ => return None,
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i32::from(byte - b'0')))
    };
    let nanos = number(fraction)? * 10_i32.pow(9 - fraction.len() as u32);
    // A leap second is the other reader's.
    let seconds = number(seconds).filter(|seconds| *seconds < 60)?;
    Some(SignedDuration::new(i64::from(seconds), nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_that_was_kept_changes_no_reading() {
        let seconds = ["00", "07", "59", "60", "61", "5", "x1", "-1", "07.5", "07.50", "07.000000001", "07.999999999"];
        let more = ["07.1234567890", "07.", "07,5", "07.1x", "07.+1", "59.999999999"];
        let mut read = 0;
        for end in ["Z", "z", "+00:00", "+01:00", "[UTC]", ""] {
            for minute in [
                "2026-11-29T21:57:",
                "2026-11-29t21:57:",
                "2026-11-29T21:58:",
                "2026-02-30T21:57:",
                "+002026-11-29T21:",
            ] {
                for second in seconds.iter().chain(&more) {
                    let text = format!("{minute}{second}{end}");
                    let found = instant(&text).ok();
                    assert_eq!(found, text.parse().ok(), "{text}");
                    read += u32::from(found.is_some());
                }
            }
        }
        assert!(read > 50, "{read} are points in time");
    }

    #[test]
    fn every_point_in_time_is_read_as_it_was_written() {
        for nanos in [0, 1, -1, 999_999_999, 59_999_999_999, 60_000_000_000, 1_790_000_000_123_456_789, -77_000_000_100]
        {
            let at = Timestamp::from_nanosecond(nanos).unwrap();
            for _ in 0..2 {
                assert_eq!(instant(&at.to_string()).unwrap(), at);
            }
        }
    }
}
