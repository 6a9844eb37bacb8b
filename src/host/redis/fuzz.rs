//! Doors to the pure readers of this room, for `fuzz/`: what they make of any bytes, without a server.

use std::io::Read;

use redis::Value;

use super::door::Door;
use super::info::Fields;
use super::look::understand;
use super::seen::RedisSeen;
use super::{facts, files};

/// The whole conversation of a look, with `bytes` as all answers. Also gives how many answers could be read.
pub(crate) fn conversation(mut bytes: &[u8]) -> (Result<RedisSeen, Door>, usize) {
    let mut answers: Vec<Value> = Vec::new();
    let mut parser = redis::Parser::new();
    while !bytes.is_empty() && answers.len() < 64 {
        match parser.parse_value(bytes.by_ref()) {
            Ok(value) => answers.push(value),
            Err(error) if answers.is_empty() => return (Err(Door::of_break(&error, bytes)), 0),
            Err(_) => break,
        }
    }
    (understand(&answers), answers.len())
}

/// What INFO alone says, and a ROLE that is not there.
pub(crate) fn info(text: &str) -> Option<serde_json::Value> {
    let fields = Fields::parse(text);
    let facts = facts::facts(&fields)?;
    serde_json::to_value(facts).ok()
}

/// The names in a manifest with their numbers, the base first.
pub(crate) fn manifest(text: &str) -> Result<Vec<(String, u64)>, String> {
    let (base, incrs) = files::parse(text)?;
    Ok(base.into_iter().chain(incrs).map(|one| (one.name, one.seq)).collect())
}

/// The words of a line of a manifest or a configuration file.
pub(crate) fn words(line: &str) -> Option<Vec<String>> {
    files::words(line)
}
