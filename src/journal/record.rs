//! Records: one line per checkpoint, `RB1 <length> <crc32c> <json>\n`.
//!
//! A line stays greppable; length and checksum come first so that a reader never searches for an end in damaged bytes.
//! The JSON writer escapes every control character, so a payload cannot forge a line, and every line is bounded: an
//! over-long line of a state file that is read in pieces becomes several lines, which once gave root (CVE-2018-15686).
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::checkpoint::Checkpoint;
use super::envelope;
use crate::host::planted::{Bug, planted};
use crate::host::shared_text;

/// Version of the record format that this tool writes and the only one that it reads.
pub const FORMAT: u32 = 1;
/// Longest JSON text of one record, in bytes.
pub const MAX_JSON: usize = 8 << 20;
/// How a record of [`FORMAT`] begins.
const MAGIC: &[u8] = b"RB1 ";
/// `RB1 ` + up to seven digits + ` ` + eight hex digits + ` `.
const MAX_HEADER: usize = MAGIC.len() + 7 + 1 + 8 + 1;

/// A checkpoint in its envelope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Record format.
    pub v: u32,
    /// Run that the record belongs to.
    #[serde(with = "shared_text")]
    pub run: Arc<str>,
    /// 1, 2, 3 … without gaps.
    pub seq: u64,
    /// SHA-256 (hex) of the previous line with its newline; for the first record, of the run id.
    pub prev: LineHash,
    /// Boot in which it was written.
    #[serde(with = "shared_text")]
    pub boot_id: Arc<str>,
    /// CLOCK_BOOTTIME in milliseconds; comparable only within one boot.
    pub mono_ms: u64,
    /// Wall clock, RFC 3339. For people and windows, never for durations.
    pub wall: Timestamp,
    /// The fact.
    pub checkpoint: Checkpoint,
}

/// Why bytes are not a record, or an entry cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes end before the record does.
    #[error("the record is cut short: {have} bytes of {want}")]
    Short {
        /// Bytes there.
        have: usize,
        /// Bytes needed, as far as known.
        want: usize,
    },
    /// No record begins here.
    #[error("no record begins here (expected \"RB1 \")")]
    NotARecord,
    /// Another format version.
    #[error("record format {found} is not format {FORMAT}: use the version of the tool that wrote it")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The header is not exactly as this tool writes it.
    #[error("the header is malformed")]
    Header,
    /// Longer than [`MAX_JSON`].
    #[error("the record is {len} bytes long, more than {MAX_JSON}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// The checksum differs.
    #[error("checksum {found:08x} does not match {written:08x}")]
    Checksum {
        /// As written in the header.
        written: u32,
        /// As computed.
        found: u32,
    },
    /// No newline where the length says.
    #[error("the record does not end with a newline")]
    Unterminated,
    /// The JSON is no entry. The checksum held, so another tool wrote it.
    #[error("the record's content is not understood: {0}")]
    Content(String),
}

/// SHA-256 of a line with its newline; 64 lower-case hex digits where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineHash([u8; 32]);

impl LineHash {
    /// How many digits it is written with.
    const DIGITS: usize = 64;

    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads what [`Display`](fmt::Display) writes, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; Self::DIGITS] = text.as_bytes().try_into().ok()?;
        let (mut values, mut wrong) = ([0; Self::DIGITS], 0);
        // Arithmetic for all of them and one question at the end: every record brings one of these.
        for (value, byte) in values.iter_mut().zip(digits) {
            let (digit, letter) = (byte.wrapping_sub(b'0'), byte.wrapping_sub(b'a'));
            wrong |= u8::from(digit > 9 && letter > 5);
            *value = if digit > 9 { letter.wrapping_add(10) } else { digit };
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(values.chunks_exact(2)) {
            *byte = (pair[0] << 4) | pair[1];
        }
        (wrong == 0).then_some(Self(bytes))
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; Self::DIGITS];
        // The lengths fit, and hex digits are text.
        let _ = hex::encode_to_slice(self.0, &mut digits);
        f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl Serialize for LineHash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LineHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = LineHash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 lower-case hex digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LineHash, E> {
                LineHash::parse(text).ok_or_else(|| E::custom("a hash is 64 lower-case hex digits"))
            }
        }
        from.deserialize_str(Digits)
    }
}

/// SHA-256 in lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The line of an entry. It is read back before it is returned: what cannot be read must not be written.
///
/// # Errors
/// [`Refusal::TooLong`], or [`Refusal::Content`] for values nested deeper than the reader follows.
pub fn encode(entry: &Entry) -> Result<Vec<u8>, Refusal> {
    let json = serde_json::to_vec(entry).map_err(|error| Refusal::Content(error.to_string()))?;
    if json.len() > MAX_JSON {
        return Err(Refusal::TooLong { len: json.len() });
    }
    let mut line = header(&json).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    decode(&line)?;
    Ok(line)
}

fn header(json: &[u8]) -> String {
    format!("RB{FORMAT} {} {:08x} ", json.len(), crc32c::crc32c(json))
}

/// Reads the record at the start of `bytes`; also gives the length of its line.
///
/// # Errors
/// A [`Refusal`] with the first reason met. Nothing beyond the stated length is looked at.
pub fn decode(bytes: &[u8]) -> Result<(Entry, usize), Refusal> {
    let (len, written, start) = parse_header(bytes)?;
    let want = start + len + 1;
    let Some(line) = bytes.get(..want) else {
        return Err(Refusal::Short { have: bytes.len(), want });
    };
    let json = &line[start..want - 1];
    let found = crc32c::crc32c(json);
    if found != written && !planted(Bug::CrcUnchecked) {
        return Err(Refusal::Checksum { written, found });
    }
    if line[want - 1] != b'\n' {
        return Err(Refusal::Unterminated);
    }
    if !canonical(&line[..start]) && !planted(Bug::CrcUnchecked) {
        return Err(Refusal::Header);
    }
    let entry = parse_entry(json)?;
    Ok((entry, want))
}

/// One reading of the header only: no leading zeros, no upper-case digits. Everything else in it has one form already.
fn canonical(header: &[u8]) -> bool {
    let numbers = header.get(MAGIC.len()..).unwrap_or_default();
    let leading_zero = numbers.starts_with(b"0") && !numbers.starts_with(b"0 ");
    !leading_zero && !numbers.iter().any(u8::is_ascii_uppercase)
}

/// A newer record is called newer instead of malformed, whatever else is wrong with it.
fn parse_entry(json: &[u8]) -> Result<Entry, Refusal> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    if let Ok(entry) = envelope::read(json) {
        return Ok(entry);
    }
    let (version, entry) = match serde_json::from_slice::<Entry>(json) {
        Ok(entry) => (Some(entry.v), Ok(entry)),
        Err(error) => (serde_json::from_slice(json).ok().map(|Versioned { v }| v), Err(error)),
    };
    match version {
        Some(found) if found != FORMAT => Err(Refusal::Version { found }),
        _ => entry.map_err(|error| Refusal::Content(error.to_string())),
    }
}

/// Length, checksum and the offset of the JSON.
fn parse_header(bytes: &[u8]) -> Result<(usize, u32, usize), Refusal> {
    let head = &bytes[..bytes.len().min(MAX_HEADER)];
    let Some(rest) = head.strip_prefix(MAGIC) else {
        if let Some(found) = other_version(head) {
            return Err(Refusal::Version { found });
        }
        let torn = MAGIC.starts_with(head);
        return Err(if torn { Refusal::Short { have: bytes.len(), want: MAX_HEADER } } else { Refusal::NotARecord });
    };
    let mut fields = rest.splitn(3, |byte| *byte == b' ');
    let (length, sum) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    if fields.next().is_none() {
        let torn = bytes.len() < MAX_HEADER && rest.iter().all(|b| b.is_ascii_hexdigit() || *b == b' ');
        return Err(if torn { Refusal::Short { have: bytes.len(), want: MAX_HEADER } } else { Refusal::Header });
    }
    let len: usize = digits(length, 10).ok_or(Refusal::Header)? as usize;
    let written = digits(sum, 16).filter(|_| sum.len() == 8).ok_or(Refusal::Header)?;
    if len > MAX_JSON {
        return Err(Refusal::TooLong { len });
    }
    Ok((len, written, MAGIC.len() + length.len() + 1 + 8 + 1))
}

/// `RB<n> ` with another n.
fn other_version(head: &[u8]) -> Option<u32> {
    let rest = head.strip_prefix(b"RB")?;
    let end = rest.iter().position(|byte| *byte == b' ')?;
    digits(&rest[..end], 10).filter(|n| *n != FORMAT)
}

fn digits(text: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    // `from_str_radix` takes a sign.
    if text.starts_with('+') { None } else { u32::from_str_radix(text, radix).ok() }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
