//! What increments cost, by counting the commands in samples of their bytes.
//!
//! A sample begins anywhere, so it is first brought into step: a command begins with `*N`, `$len` and its name (the Redis
//! protocol, RESP2, as aof.c writes it). What then follows is skipped argument by argument, never parsed in full.

use serde::{Deserialize, Serialize};

/// What samples of the increments showed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct IncrCost {
    /// Processor seconds per byte.
    pub secs_per_byte: f64,
    /// The same for equal stretches in the order of reading: a workload that changes shows here.
    pub course: Vec<f64>,
}

/// Processor seconds to read one byte of commands.
const SECS_PER_BYTE: f64 = 3.6e-9;

/// Processor seconds per command, between what a contended and a quiet machine took; the level is good to a factor of 2.5, the
/// ratios are better.
fn secs_of(name: &[u8]) -> f64 {
    let micros = match name.to_ascii_uppercase().as_slice() {
        b"SET" => 1.2,
        b"HSET" | b"HMSET" => 1.5,
        b"INCR" | b"INCRBY" | b"DECR" => 0.8,
        b"ZADD" => 6.8,
        b"SELECT" | b"MULTI" | b"EXEC" => 0.2,
        _ => 1.5,
    };
    micros * 1e-6
}

impl IncrCost {
    /// From samples of equal stretches, in the order of reading. `None` when no command was found in them.
    #[must_use]
    pub fn of(samples: &[Vec<u8>]) -> Option<Self> {
        let costs: Vec<Option<f64>> = samples.iter().map(|sample| secs_per_byte(sample)).collect();
        let known: Vec<f64> = costs.iter().flatten().copied().collect();
        if known.is_empty() {
            return None;
        }
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        Some(Self { secs_per_byte: mean, course: costs.into_iter().map(|cost| cost.unwrap_or(mean)).collect() })
    }
}

/// Processor seconds per byte of the commands in one sample.
fn secs_per_byte(sample: &[u8]) -> Option<f64> {
    let mut at = in_step(sample, 0)?;
    let (mut bytes, mut secs) = (0_usize, 0.0);
    while let Some((name, end)) = command(sample, at) {
        // A long value may end beyond the sample; it still says how many bytes one command is.
        bytes += end - at;
        secs += secs_of(name);
        if end >= sample.len() {
            break;
        }
        at = if sample[end] == b'*' { end } else { in_step(sample, end)? };
    }
    (bytes > 0).then(|| SECS_PER_BYTE + secs / bytes as f64)
}

/// The next place at which a command begins.
fn in_step(sample: &[u8], from: usize) -> Option<usize> {
    (from..sample.len()).find(|&at| {
        let fresh = at == 0 || sample[..at].ends_with(b"\r\n");
        fresh && sample[at] == b'*' && command(sample, at).is_some()
    })
}

/// The name of the command at a place, and where it ends (perhaps beyond the sample).
fn command(sample: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (count, mut next) = number(sample, at, b'*')?;
    let (length, begin) = number(sample, next, b'$')?;
    let name = sample.get(begin..begin.checked_add(length)?)?;
    if length == 0 || length > 32 || count == 0 || !name.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    next = begin + length + 2;
    for _ in 1..count {
        match number(sample, next, b'$') {
            Some((length, begin)) => next = begin.checked_add(length)?.checked_add(2)?,
            // Either the sample is over, or this was no command after all.
            None if next >= sample.len().saturating_sub(16) => return Some((name, next.max(sample.len()))),
            None => return None,
        }
    }
    Some((name, next))
}

/// The number of a line such as `$12\r\n`, and where the next line begins.
fn number(sample: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    let line = sample.get(at..sample.len().min(at.saturating_add(16)))?;
    if *line.first()? != mark {
        return None;
    }
    let end = line.windows(2).position(|pair| pair == b"\r\n")?;
    let digits = std::str::from_utf8(&line[1..end]).ok()?;
    Some((digits.parse().ok()?, at + end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(name: &str, value: usize, count: usize) -> Vec<u8> {
        let one = format!("*3\r\n${}\r\n{name}\r\n$3\r\nkey\r\n${value}\r\n{}\r\n", name.len(), "x".repeat(value));
        one.repeat(count).into_bytes()
    }

    #[test]
    fn long_strings_are_cheap_and_sorted_sets_dear() {
        let cost = |bytes: Vec<u8>| IncrCost::of(&[bytes]).unwrap().secs_per_byte * 1e9;
        let (long, short) = (cost(commands("SET", 1024, 30)), cost(commands("SET", 100, 300)));
        let sets = cost(commands("ZADD", 40, 300));
        assert!((4.0..7.0).contains(&long), "{long}");
        assert!((10.0..20.0).contains(&short), "{short}");
        assert!((80.0..200.0).contains(&sets), "{sets}");
    }

    #[test]
    fn a_sample_begins_and_ends_anywhere() {
        let bytes = commands("SET", 100, 300);
        let whole = secs_per_byte(&bytes).unwrap();
        for cut in [1, 7, 50, 131] {
            let part = secs_per_byte(&bytes[cut..bytes.len() - cut]).unwrap();
            assert!((part / whole - 1.0).abs() < 0.03, "{cut}: {part} {whole}");
        }
        // A value that looks like a command, inside a command that says how long it is.
        let sly = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$14\r\n*1\r\n$4\r\nPING\r\n\r\n".repeat(50);
        assert!(secs_per_byte(&sly).is_some());
    }

    #[test]
    fn what_holds_no_commands_says_nothing() {
        for bytes in [&b""[..], b"REDIS0011\xfa", b"*9\r\n", b"*99999999999999999999\r\n", &[b'*'; 4096]] {
            assert_eq!(IncrCost::of(&[bytes.to_vec()]), None);
        }
    }
}
