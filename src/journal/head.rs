//! The head: a side file that remembers how far the journal was acknowledged.
//!
//! It closes one hole. A flipped bit in the last acknowledged record looks exactly like a torn tail; dropping it would forget
//! an intent and let an effect happen twice. Two slots are written in turn, each in its own sector and under its own
//! checksum, so that a torn write of one leaves the other.
use std::fmt::Write as _;

use super::record::LineHash;

/// Bytes of a slot: one sector, the unit that a disk writes whole.
pub(super) const SLOT: usize = 512;
/// Bytes of the file.
#[cfg(test)]
pub(super) const SIZE: usize = 2 * SLOT;

/// What a slot says: everything up to `seq` was acknowledged, and the line of that record has this hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Sequence number of the last acknowledged record.
    pub(super) seq: u64,
    /// SHA-256 (hex) of its line.
    pub(super) hash: LineHash,
}

impl Mark {
    /// `RBH1 <seq> <hash> <crc32c>\n`, filled up with spaces: one possible text for each mark, so that any flipped bit shows.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = format!("RBH1 {} {}", self.seq, self.hash);
        let sum = crc32c::crc32c(text.as_bytes());
        // Writing to a string cannot fail.
        let _ = writeln!(text, " {sum:08x}");
        let mut slot = text.into_bytes();
        slot.resize(SLOT, b' ');
        slot
    }

    fn decode(slot: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(slot).ok()?.lines().next()?;
        let mut fields = line.split(' ');
        let (_magic, seq, hash) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?);
        // A slot torn behind its number has a tail of any length here; only a hash is one.
        let mark = Self { seq, hash: LineHash::parse(hash)? };
        (mark.encode() == slot).then_some(mark)
    }
}

/// The readable slots of a head file, the newer one last, with their indices.
pub(super) fn marks(file: &[u8]) -> Vec<(usize, Mark)> {
    let slots = file.chunks(SLOT).take(2).enumerate();
    let mut marks: Vec<_> = slots.filter_map(|(index, slot)| Mark::decode(slot).map(|mark| (index, mark))).collect();
    marks.sort_by_key(|(_, mark)| mark.seq);
    marks
}
