//! AMP version 1, the framing below PM2's sockets: encode one frame, cut a byte stream back into frames.
//!
//! A frame is one byte (high nibble: version 1, low nibble: number of arguments) and that many arguments, each a
//! big-endian `u32` length and its bytes. Nothing bounds or checks a frame as a whole, so this module does: the peer is
//! another user's process, and whatever it declares must not become our memory.

use serde_json::Value;
use thiserror::Error;

use crate::host::planted::{Bug, planted};

/// Largest frame accepted or sent, in bytes. A list of 133 apps is under 1 MB, one of 1,000 apps with 8 KiB of variables each is
/// 20 MB; an answer is read without being held (see `answer.rs`).
pub const MAX_FRAME: usize = 64 << 20;

/// Largest frame that is held as a whole: an event carries the settings of one app, or what it wrote at once.
const MAX_HELD: usize = 4 << 20;

/// Most arguments that the low nibble can announce.
pub const MAX_ARGS: usize = 15;

pub(super) const VERSION: u8 = 1;
const LENGTH_BYTES: usize = 4;

/// A byte stream that is not AMP, or not AMP that we are willing to hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AmpError {
    /// The high nibble of a frame's first byte is not 1: the peer is not PM2, or we lost step with it.
    #[error("not an AMP frame: first byte {0:#04x} (is this socket really PM2's?)")]
    Version(u8),
    /// More than [`MAX_ARGS`] arguments cannot be announced.
    #[error("{0} arguments do not fit into one AMP frame (at most 15)")]
    TooManyArgs(usize),
    /// The frame is, or says it is, larger than what is read or held of one.
    #[error("AMP frame of {0} bytes is over the limit")]
    TooLarge(usize),
}

/// One frame holding `args` in order.
///
/// # Errors
/// [`AmpError::TooManyArgs`] and [`AmpError::TooLarge`], before a byte is produced.
pub fn encode(args: &[&[u8]]) -> Result<Vec<u8>, AmpError> {
    let count = u8::try_from(args.len()).unwrap_or(u8::MAX);
    if args.len() > MAX_ARGS {
        return Err(AmpError::TooManyArgs(args.len()));
    }
    let total = args.iter().fold(1usize, |sum, arg| sum.saturating_add(LENGTH_BYTES).saturating_add(arg.len()));
    if total > MAX_FRAME {
        return Err(AmpError::TooLarge(total));
    }
    let mut frame = Vec::with_capacity(total);
    frame.push(VERSION << 4 | count);
    for arg in args {
        let length = u32::try_from(arg.len()).map_err(|_| AmpError::TooLarge(total))?;
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(arg);
    }
    Ok(frame)
}

/// Cuts a stream into frames, however the bytes arrive.
#[derive(Debug, Default)]
pub struct Decoder {
    held: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Takes bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start >= self.held.len() / 2 {
            self.held.drain(..self.start);
            self.start = 0;
        }
        self.held.extend_from_slice(bytes);
    }

    /// The arguments of the next complete frame, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`AmpError::Version`] and [`AmpError::TooLarge`], the latter as soon as a length is announced, not when that much
    /// has been read. The stream is useless afterwards: close it.
    pub fn next_frame(&mut self) -> Result<Option<Vec<Vec<u8>>>, AmpError> {
        let bytes = self.held.get(self.start..).unwrap_or_default();
        let Some(&meta) = bytes.first() else { return Ok(None) };
        if meta >> 4 != VERSION {
            return Err(AmpError::Version(meta));
        }
        let count = usize::from(meta & 0x0f);
        let mut spans = Vec::with_capacity(count);
        let mut at = 1usize;
        for _ in 0..count {
            let Some(length) = length_at(bytes, at) else {
                return Ok(None);
            };
            let from = at + LENGTH_BYTES;
            at = from.saturating_add(length);
            if at > MAX_HELD && !planted(Bug::FrameUnbounded) {
                return Err(AmpError::TooLarge(at));
            }
            spans.push(from..at);
        }
        if bytes.len() < at {
            return Ok(None);
        }
        let args = spans.into_iter().filter_map(|span| bytes.get(span)).map(<[u8]>::to_vec).collect();
        self.start += at;
        Ok(Some(args))
    }

    /// Whether the stream ended inside a frame: at an EOF the difference between a farewell and a broken answer.
    #[must_use]
    pub fn mid_frame(&self) -> bool {
        self.start < self.held.len()
    }
}

fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; LENGTH_BYTES] = bytes.get(at..at + LENGTH_BYTES)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

/// A JSON argument as amp-message writes it: `j:` and the text.
#[must_use]
pub fn json_arg(value: &Value) -> Vec<u8> {
    let mut arg = b"j:".to_vec();
    // A value is always JSON, and memory takes it. Not by `Display`, which writes piece by piece at twice the cost.
    drop(serde_json::to_writer(&mut arg, value));
    arg
}

/// A text argument: `s:` and UTF-8.
#[must_use]
pub fn text_arg(text: &str) -> Vec<u8> {
    format!("s:{text}").into_bytes()
}

/// The JSON inside an argument, without its metrics (see `trimmed.rs`); `None` when it holds something else or does not parse.
#[cfg(any(test, feature = "fuzzing"))]
#[must_use]
pub fn as_json(arg: &[u8]) -> Option<Value> {
    super::trimmed::read(json_of(arg)?)
}

/// The text of the JSON inside an argument, parsed or not.
#[must_use]
pub fn json_of(arg: &[u8]) -> Option<&[u8]> {
    arg.strip_prefix(b"j:")
}

/// The text inside an argument, or `None` when it holds something else.
#[must_use]
pub fn as_text(arg: &[u8]) -> Option<&str> {
    std::str::from_utf8(arg.strip_prefix(b"s:")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded between the 7.0.4 client and daemon: ping, its answer, a version, a refusal without a stack.
    const GOLDEN: [&[u8]; 4] = [
        b"\x12\x00\x00\x00\x2dj:{\"type\":\"call\",\"method\":\"ping\",\"args\":[{}]}\x00\x00\x00\x05s:1:0",
        b"\x12\x00\x00\x00\x1bj:{\"args\":[{\"msg\":\"pong\"}]}\x00\x00\x00\x05s:1:0",
        b"\x12\x00\x00\x00\x14j:{\"args\":[\"7.0.4\"]}\x00\x00\x00\x05s:1:0",
        b"\x12\x00\x00\x00\x2cj:{\"error\":\"method \\\"nope\\\" does not exist\"}\x00\x00\x00\x05s:1:0",
    ];

    fn stream() -> Vec<u8> {
        GOLDEN.concat()
    }

    fn frames(decoder: &mut Decoder) -> Vec<Vec<Vec<u8>>> {
        std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
    }

    #[test]
    fn golden_frames_decode_and_encode_to_the_same_bytes() {
        for golden in GOLDEN {
            let mut decoder = Decoder::default();
            decoder.push(golden);
            let args = decoder.next_frame().unwrap().unwrap();
            assert!(!decoder.mid_frame());
            assert_eq!(as_text(&args[1]), Some("1:0"));
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            assert_eq!(encode(&args).unwrap(), golden);
        }
    }

    #[test]
    fn every_split_point_gives_the_same_frames() {
        let all = stream();
        let mut whole = Decoder::default();
        whole.push(&all);
        let expected = frames(&mut whole);
        assert_eq!(expected.len(), GOLDEN.len());
        for cut in 0..=all.len() {
            let mut decoder = Decoder::default();
            decoder.push(&all[..cut]);
            let mut seen = frames(&mut decoder);
            decoder.push(&all[cut..]);
            seen.extend(frames(&mut decoder));
            assert_eq!(seen, expected, "cut at {cut}");
        }
    }

    #[test]
    fn single_bytes_give_the_same_frames() {
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        for byte in stream() {
            decoder.push(&[byte]);
            seen.extend(frames(&mut decoder));
        }
        assert_eq!(seen.len(), GOLDEN.len());
        assert!(!decoder.mid_frame());
    }

    #[test]
    fn announced_sizes_are_refused_before_they_are_read() {
        let mut decoder = Decoder::default();
        decoder.push(b"\x12\xff\xff\xff\xff");
        assert!(matches!(decoder.next_frame(), Err(AmpError::TooLarge(_))));
        let mut two = Decoder::default();
        two.push(b"\x22");
        assert_eq!(two.next_frame(), Err(AmpError::Version(0x22)));
        assert_eq!(encode(&[b"".as_slice(); 16]), Err(AmpError::TooManyArgs(16)));
        assert!(encode(&[b"".as_slice(); 15]).is_ok());
    }

    #[test]
    fn values_are_told_apart_by_their_prefix() {
        assert_eq!(as_json(&json_arg(&serde_json::json!({"a": 1}))), Some(serde_json::json!({"a": 1})));
        assert_eq!(as_text(&text_arg("x")), Some("x"));
        assert_eq!(as_json(b"s:1"), None);
        assert_eq!(as_json(b"j:{"), None);
        assert_eq!(as_text(b"s:\xff"), None);
    }
}
