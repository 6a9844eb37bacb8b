//! Doors to the pure readers of this room, for `fuzz/`: what they make of any bytes, without a daemon.

use std::os::unix::fs::FileExt;

use serde_json::Value;

use super::amp::{Decoder, as_json};
use super::answer::read_envelope;
use super::app::App;
use super::bus::{self, BusEvent};
use super::listed::apps;
use super::recipe::Recipe;

/// What the arguments of a frame mean on the bus, and as an answer to a call.
pub(crate) fn meaning(args: &[Vec<u8>]) -> (Option<BusEvent>, Option<Result<Value, String>>) {
    (bus::read(args), args.first().and_then(|arg| as_json(arg)).map(read_envelope))
}

/// The frames of a stream, in pieces of `piece` bytes; `Err` where it stops being AMP.
pub(crate) fn frames(bytes: &[u8], piece: usize) -> (Vec<Vec<Vec<u8>>>, bool) {
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    for part in bytes.chunks(piece.max(1)) {
        decoder.push(part);
        loop {
            match decoder.next_frame() {
                Ok(Some(args)) => found.push(args),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

/// The apps of a snapshot's text, or the refusal in words.
pub(crate) fn snapshot(bytes: &[u8]) -> Result<Vec<App>, String> {
    let written = tempfile::tempfile().and_then(|file| {
        file.write_all_at(bytes, 0)?;
        Ok(file)
    });
    let file = written.map_err(|error| error.to_string())?;
    let read = super::record::read(std::path::Path::new("snapshot"), file);
    read.map(|snapshot| snapshot.apps().to_vec()).map_err(|error| error.to_string())
}

/// The apps of a list, and for each entry whether a daemon could run it, or why not.
pub(crate) fn list(entries: &[Value]) -> (Vec<App>, Vec<Result<String, String>>) {
    let recipe = |entry: &Value| match Recipe::from_pm2_env(entry.get("pm2_env").unwrap_or(&Value::Null)) {
        Ok(recipe) => Ok(format!("{recipe:?}")),
        Err(error) => Err(error.to_string()),
    };
    (apps(entries), entries.iter().map(recipe).collect())
}
