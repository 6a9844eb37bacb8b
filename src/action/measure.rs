//! Sizes, shares and lengths of time as an operator writes them: `128GiB`, `20%`, `1h 30m`.
//!
//! Each has one parser and one way to be shown, so that a value printed by the program can be pasted into a runbook.
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a measure could not be read; the text fits behind "`within`: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeasureError {
    /// Not a length of time.
    #[error("not a length of time, write it like `90s`, `15m` or `2h30m`")]
    Duration,
    /// A number without its unit: guessing seconds or minutes would be dangerous.
    #[error("a length of time needs its unit, like `90s`, `15m` or `2h30m`")]
    NoTimeUnit,
    /// Not a size in bytes.
    #[error("not a size, write it like `512MiB`, `128GiB` or `10GB`")]
    Size,
    /// Not a share between 0% and 100%.
    #[error("not a share, write it like `20%`")]
    Percent,
    /// Too large to count.
    #[error("too large")]
    TooLarge,
}

/// Bytes; written with binary (`KiB` to `PiB`) or decimal (`kB` to `PB`) units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u64);

/// A share of a whole, between 0 and 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Percent(pub f64);

/// A size, absolute or as a share of the whole (`memory_free: 20%` or `memory_free: 10GiB`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// At least so many bytes.
    Bytes(Bytes),
    /// At least this share of the total.
    Percent(Percent),
}

/// A count, absolute or as a share of the baseline (`keys_at_least: 90%` or `keys_at_least: 100000`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// So many.
    Count(u64),
    /// This share of what the baseline recorded.
    Percent(Percent),
}

impl Amount {
    /// The bytes asked for, given the whole in bytes.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.0,
            Self::Percent(share) => share.of(whole),
        }
    }
}

impl Quota {
    /// The count asked for, given the count in the baseline.
    #[must_use]
    pub fn of(self, baseline: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Percent(share) => share.of(baseline),
        }
    }
}

impl Percent {
    /// This share of `whole`, rounded up: "at least 90% of 11" is 10.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        // Thousandths of a percent in whole numbers: no rounding surprise at large counts.
        let mille = (self.0 * 1000.0).round() as u128;
        u64::try_from((u128::from(whole) * mille).div_ceil(100_000)).unwrap_or(u64::MAX)
    }
}

const BINARY: [(&str, u64); 5] =
    [("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL: [(&str, u64); 6] = [
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = MeasureError;

    fn from_str(text: &str) -> Result<Self, MeasureError> {
        let text = text.trim();
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or(MeasureError::Size)?;
        let (number, unit) = text.split_at(split);
        let unit = unit.trim_start();
        let factor = BINARY.iter().chain(&DECIMAL).find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let factor = factor.ok_or(MeasureError::Size)?.1;
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(factor).map(Self).ok_or(MeasureError::TooLarge);
        }
        let number: f64 = number.parse().map_err(|_| MeasureError::Size)?;
        let bytes = number * factor as f64;
        if bytes < u64::MAX as f64 { Ok(Self(bytes as u64)) } else { Err(MeasureError::TooLarge) }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Exact in the unit that needs the fewest digits, binary first: `128GiB`, but `10GB`.
        let whole = |(_, factor): &&(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        let (unit, factor) = BINARY.iter().chain(&DECIMAL).filter(whole).max_by_key(|(_, f)| *f).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl FromStr for Percent {
    type Err = MeasureError;

    fn from_str(text: &str) -> Result<Self, MeasureError> {
        let number = text.trim().strip_suffix('%').ok_or(MeasureError::Percent)?.trim_end();
        let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let share = number.parse::<f64>().ok().filter(|share| plain && *share <= 100.0);
        share.map(Self).ok_or(MeasureError::Percent)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Amount {
    type Err = MeasureError;

    fn from_str(text: &str) -> Result<Self, MeasureError> {
        if text.trim_end().ends_with('%') { text.parse().map(Self::Percent) } else { text.parse().map(Self::Bytes) }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Percent(share) => share.fmt(f),
        }
    }
}

impl FromStr for Quota {
    type Err = MeasureError;

    fn from_str(text: &str) -> Result<Self, MeasureError> {
        text.trim().parse().map(Self::Count).or_else(|_| text.parse().map(Self::Percent))
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(share) => share.fmt(f),
        }
    }
}

/// Reads `90s`, `15m`, `2h30m`, `1h 30m`, `500ms`, `1d`. A bare number is refused: it hides its unit.
///
/// # Errors
/// [`MeasureError`] when the text is not a length of time, has no unit, or exceeds a thousand years.
pub fn parse_duration(text: &str) -> Result<Duration, MeasureError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(MeasureError::Duration);
    }
    let (mut total, mut smallest) = (Duration::ZERO, u64::MAX);
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit()).ok_or(MeasureError::NoTimeUnit)?;
        let (number, tail) = rest.split_at(split);
        let number: u64 = number.parse().map_err(|_| MeasureError::Duration)?;
        let tail = tail.trim_start();
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let millis = match &tail[..end] {
            "ms" => 1,
            "s" | "sec" | "secs" | "second" | "seconds" => 1000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return Err(MeasureError::Duration),
        };
        // Larger units first and each once, as people write it: `30m 2h` is more likely a slip than a sum.
        if millis >= smallest {
            return Err(MeasureError::Duration);
        }
        smallest = millis;
        let part = Duration::from_millis(number.checked_mul(millis).ok_or(MeasureError::TooLarge)?);
        total = total.checked_add(part).ok_or(MeasureError::TooLarge)?;
        rest = tail[end..].trim_start();
    }
    if total > Duration::from_secs(1000 * 366 * 86_400) { Err(MeasureError::TooLarge) } else { Ok(total) }
}

/// The inverse of [`parse_duration`]: `2h30m`, `90s` as `1m30s`, to the millisecond.
#[must_use]
pub fn show_duration(length: Duration) -> String {
    let mut millis = length.as_millis();
    let mut out = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if millis >= size {
            out.push_str(&format!("{}{unit}", millis / size));
            millis %= size;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

macro_rules! as_text {
    ($($measure:ty),*) => {$(
        impl Serialize for $measure {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $measure {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}
as_text!(Bytes, Percent);

/// `#[serde(with = "measure::text")]`: a `Duration` as `2h30m`.
pub mod text {
    use super::{Deserialize, Deserializer, Duration, Serializer, de, parse_duration, show_duration};

    /// Writes the length as [`show_duration`] does.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show_duration(*length))
    }

    /// Reads what [`parse_duration`] reads.
    ///
    /// # Errors
    /// When the text is not a length of time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// `#[serde(with = "measure::text_or_none")]`: the same for an `Option<Duration>`.
pub mod text_or_none {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, de, parse_duration, show_duration};

    /// Writes the length as [`show_duration`] does, or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(length: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        length.map(show_duration).serialize(serializer)
    }

    /// Reads what [`parse_duration`] reads, or nothing.
    ///
    /// # Errors
    /// When there is a text that is not a length of time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse_duration(&text).map_err(de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        for (text, seconds, shown) in [
            ("90s", 90, "1m30s"),
            ("1h 30m", 5400, "1h30m"),
            ("2h30m", 9000, "2h30m"),
            ("5 min", 300, "5m"),
            ("1d", 86_400, "1d"),
            ("0s", 0, "0s"),
        ] {
            let length = parse_duration(text).unwrap();
            assert_eq!((length.as_secs(), show_duration(length).as_str()), (seconds, shown), "{text}");
            assert_eq!(parse_duration(shown), Ok(length));
        }
        assert_eq!(parse_duration("30"), Err(MeasureError::NoTimeUnit));
        for bad in ["", "soon", "5x", "-5m", "30m 2h", "5m5m", "1.5h", "m"] {
            assert_eq!(parse_duration(bad), Err(MeasureError::Duration), "{bad}");
        }
        assert_eq!(parse_duration("9999999999999999d"), Err(MeasureError::TooLarge));
    }

    #[test]
    fn sizes_and_shares_are_read_and_shown() {
        assert_eq!("128GiB".parse(), Ok(Bytes(128 << 30)));
        assert_eq!("1.5 gib".parse(), Ok(Bytes(3 << 29)));
        assert_eq!("10GB".parse(), Ok(Bytes(10_000_000_000)));
        for shown in ["128GiB", "10GB", "1025B", "0B"] {
            assert_eq!(shown.parse::<Bytes>().unwrap().to_string(), shown);
        }
        for bad in ["", "12", "GiB", "1.2.3GiB", "-1GiB", "5 apples"] {
            assert_eq!(bad.parse::<Bytes>(), Err(MeasureError::Size), "{bad}");
        }
        assert_eq!("99999999PiB".parse::<Bytes>(), Err(MeasureError::TooLarge));
        assert_eq!("20%".parse(), Ok(Amount::Percent(Percent(20.0))));
        for bad in ["101%", "-1%", "%", "nan%", "1e1%"] {
            assert_eq!(bad.parse::<Percent>(), Err(MeasureError::Percent), "{bad}");
        }
        assert_eq!("90%".parse::<Quota>().unwrap().of(11), 10);
        assert_eq!("7".parse::<Quota>().unwrap().of(11), 7);
        assert_eq!(Percent(100.0).of(u64::MAX), u64::MAX);
    }
}
