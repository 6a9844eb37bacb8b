//! Sizes and counts as people read them, for the short sentences of this module.

/// Bytes with two digits or more: `812 B`, `64.0 MB`, `1.9 GB` (decimal units, as disks and Redis's documentation use).
pub(super) fn bytes(n: u64) -> String {
    let (value, unit) = scaled(n, n);
    if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") }
}

/// A part of a whole in the whole's unit: `1.2 of 1.9 GB`.
pub(super) fn part_of(part: u64, whole: u64) -> String {
    let (part, unit) = scaled(part, whole);
    let (whole, _) = scaled(whole, whole);
    if unit == "B" { format!("{part:.0} of {whole:.0} B") } else { format!("{part:.1} of {whole:.1} {unit}") }
}

/// A count with separators: `81,234`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn scaled(n: u64, scale: u64) -> (f64, &'static str) {
    let n = n as f64;
    match scale {
        0..1_000 => (n, "B"),
        1_000..1_000_000 => (n / 1e3, "kB"),
        1_000_000..1_000_000_000 => (n / 1e6, "MB"),
        1_000_000_000..1_000_000_000_000 => (n / 1e9, "GB"),
        _ => (n / 1e12, "TB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown() {
        assert_eq!((bytes(812).as_str(), bytes(1_940_000_000).as_str()), ("812 B", "1.9 GB"));
        assert_eq!(part_of(1_200_000_000, 1_900_000_000), "1.2 of 1.9 GB");
        assert_eq!(part_of(0, 1_500_000), "0.0 of 1.5 MB");
        assert_eq!(
            (count(7).as_str(), count(81_234).as_str(), count(1_000_000).as_str()),
            ("7", "81,234", "1,000,000")
        );
    }
}
