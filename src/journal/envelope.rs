//! The envelope of a record, read by its one spelling; see [`spelled`](super::spelled). Most of a record's bytes are its
//! envelope, and all of it is the same for every record but a few digits.
use serde::Deserialize;

use super::checkpoint::Checkpoint;
use super::minute::instant;
use super::record::{Entry, FORMAT, LineHash};
use super::spelled::{Otherwise, Rest};
use crate::host::shared_text::one_copy;

const _: () = assert!(FORMAT == 1, "the first words below name the format");

/// The entry that `json` is, if it is spelled as [`encode`](super::record::encode) spells it.
pub(super) fn read(json: &[u8]) -> Result<Entry, Otherwise> {
    let mut rest = Rest::of(json)?;
    rest.skip("{\"v\":1,\"run\":")?;
    let run = one_copy(rest.string()?);
    rest.skip(",\"seq\":")?;
    let seq = rest.number()?;
    rest.skip(",\"prev\":")?;
    let prev = LineHash::parse(rest.string()?).ok_or(Otherwise)?;
    rest.skip(",\"boot_id\":")?;
    let boot_id = one_copy(rest.string()?);
    rest.skip(",\"mono_ms\":")?;
    let mono_ms = rest.number()?;
    rest.skip(",\"wall\":")?;
    let wall = instant(rest.string()?).map_err(|_| Otherwise)?;
    rest.skip(",\"checkpoint\":")?;
    let checkpoint = Checkpoint::deserialize(&mut rest)?;
    rest.skip("}")?;
    rest.end()?;
    Ok(Entry { v: FORMAT, run, seq, prev, boot_id, mono_ms, wall, checkpoint })
}
