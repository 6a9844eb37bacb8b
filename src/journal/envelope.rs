//! The envelope of a record, read by the one spelling in which this tool writes it.
//!
//! Most of a record's bytes are its envelope, and a reader of any JSON asks of each name in it which of eight it is. Here
//! they stand where they must. Whatever is spelled otherwise (an escape, another order, another version) is no mistake yet:
//! it is left to the reader of any JSON, which takes it or says what is wrong with it.
use jiff::Timestamp;
use serde::Deserialize;

use super::checkpoint::Checkpoint;
use super::record::{Entry, FORMAT, LineHash, one_copy};

/// The first words of a record's JSON.
const VERSION: &str = "{\"v\":1,\"run\":\"";
const _: () = assert!(FORMAT == 1, "the words above name the format");
/// Digits of a number that surely fits 64 bits.
const MOST_DIGITS: usize = 18;

/// The entry that `json` is, if it is spelled as [`encode`](super::record::encode) spells it.
pub(super) fn read(json: &[u8]) -> Option<Entry> {
    let mut rest = Rest(std::str::from_utf8(json).ok()?);
    rest.skip(VERSION)?;
    let run = rest.text()?;
    rest.skip(",\"seq\":")?;
    let seq = rest.number()?;
    rest.skip(",\"prev\":\"")?;
    let prev = LineHash::parse(rest.take(LineHash::DIGITS)?)?;
    rest.skip("\"")?;
    rest.skip(",\"boot_id\":\"")?;
    let boot_id = rest.text()?;
    rest.skip(",\"mono_ms\":")?;
    let mono_ms = rest.number()?;
    rest.skip(",\"wall\":\"")?;
    let wall: Timestamp = rest.text()?.parse().ok()?;
    rest.skip(",\"checkpoint\":")?;
    // By hand instead of `from_str`, which would move what was read once more.
    let mut json = serde_json::Deserializer::from_str(rest.0.strip_suffix('}')?);
    let checkpoint = Checkpoint::deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(Entry { v: FORMAT, run: one_copy(run), seq, prev, boot_id: one_copy(boot_id), mono_ms, wall, checkpoint })
}

/// What is left to read.
struct Rest<'j>(&'j str);

impl<'j> Rest<'j> {
    fn skip(&mut self, words: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(words)?;
        Some(())
    }

    fn take(&mut self, bytes: usize) -> Option<&'j str> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// A text that was begun, and its closing quote.
    fn text(&mut self) -> Option<&'j str> {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
        let end = self.0.as_bytes().iter().position(special)?;
        let text = self.take(end)?;
        self.skip("\"")?;
        Some(text)
    }

    /// A number as JSON writes it, without a sign.
    fn number(&mut self) -> Option<u64> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let number = self.take(digits)?;
        let spelled_so = digits <= MOST_DIGITS && (digits == 1 || !number.starts_with('0'));
        if spelled_so { number.parse().ok() } else { None }
    }
}
