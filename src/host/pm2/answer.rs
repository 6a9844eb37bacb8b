//! A daemon's answers, read as their bytes come: AMP frames of a body and the number of the call, the body being
//! `{args:[result]}`, `{methods: by name}` or `{error: text or anything, stack?}`.
//!
//! A frame is never held. A list goes entry by entry through a [`Listing`]; everything else is small, or refused.

use std::path::PathBuf;

use serde_json::Value;

use super::amp::{AmpError, MAX_FRAME, VERSION};
use super::cutter::{Cutter, Place, Refusal};
use super::listing::{Kept, Listing, Taking};
use super::trimmed;
use crate::host::foreign::Untrusted;

/// Longest number of a call; ours are a process id and a counter.
const NUMBER_MAX: usize = 256;
/// What stands in front of JSON in an argument.
const JSON: &[u8] = b"j:";

/// What a daemon answered: a result, or its refusal in words.
pub(super) type Answer = Result<Said, Untrusted>;

/// A result.
#[derive(Debug)]
pub(super) enum Said {
    /// Anything but a list.
    Value(Value),
    /// A list of apps.
    List(Box<Listing>),
}

/// One frame, read to its end.
#[derive(Debug)]
pub(super) struct Frame {
    /// The number of the call that it answers.
    pub(super) number: Option<String>,
    /// What it says; `None` when that cannot be read.
    pub(super) answer: Option<Answer>,
}

/// Why the stream is not read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// It is no AMP.
    #[error(transparent)]
    Amp(#[from] AmpError),
    /// It is more than anybody has to say.
    #[error("{0}")]
    Refused(Refusal),
}

/// Where in a frame the next byte belongs.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// The first byte.
    Start,
    /// Bytes of the length of an argument, and how many have come.
    Length { arg: usize, had: u32, value: u32 },
    /// An argument, and how many bytes of it are to come.
    Arg { arg: usize, left: usize },
}

/// What is known of the lists of a stream beforehand.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Whose apps stand in them.
    pub(super) user: u32,
    /// A directory in which their entries are laid aside under no name, for whoever records them.
    pub(super) keep: Option<PathBuf>,
}

impl Lists {
    fn taking(&self) -> Result<Taking, Refusal> {
        let taking = Taking::of(self.user);
        let Some(dir) = &self.keep else { return Ok(taking) };
        let room = Kept::room(dir).map_err(|error| Refusal::Unwanted(format!("it cannot be written down: {error}")))?;
        Ok(taking.keeping(room))
    }
}

/// Reads one stream.
pub(super) struct Reader {
    lists: Lists,
    part: Part,
    /// Arguments of the frame.
    args: usize,
    /// Bytes of the frame, announced ones included.
    size: usize,
    body: Body,
    number: Vec<u8>,
}

impl Reader {
    /// At the beginning of a stream.
    pub(super) fn new(lists: Lists) -> Self {
        Self { lists, part: Part::Start, args: 0, size: 0, body: Body::default(), number: Vec::new() }
    }

    /// Whether the stream ended inside a frame.
    pub(super) fn mid_frame(&self) -> bool {
        !matches!(self.part, Part::Start)
    }

    /// Takes bytes as they come and hands over each frame that they complete.
    ///
    /// # Errors
    /// [`Unreadable`]: close the stream.
    pub(super) fn push(&mut self, bytes: &[u8], mut told: impl FnMut(Frame)) -> Result<(), Unreadable> {
        let mut left = bytes;
        while let Some((&byte, rest)) = left.split_first() {
            match self.part {
                Part::Start => {
                    if byte >> 4 != VERSION {
                        return Err(AmpError::Version(byte).into());
                    }
                    (self.args, self.size, self.body, left) = (usize::from(byte & 0x0f), 1, Body::default(), rest);
                    self.number.clear();
                    self.begin(0);
                }
                Part::Length { arg, had, value } => {
                    let value = value << 8 | u32::from(byte);
                    left = rest;
                    self.part = Part::Length { arg, had: had + 1, value };
                    if had == 3 {
                        self.announced(arg, usize::try_from(value).unwrap_or(usize::MAX))?;
                    }
                }
                Part::Arg { arg, left: to_come } => {
                    let (these, behind) = left.split_at(to_come.min(left.len()));
                    left = behind;
                    self.take(arg, these)?;
                    self.part = Part::Arg { arg, left: to_come - these.len() };
                }
            }
            // An argument of no bytes ends where it begins.
            while let Part::Arg { arg, left: 0 } = self.part {
                self.begin(arg + 1);
            }
            if matches!(self.part, Part::Start) {
                told(self.frame());
            }
        }
        Ok(())
    }

    fn begin(&mut self, arg: usize) {
        self.part = if arg < self.args { Part::Length { arg, had: 0, value: 0 } } else { Part::Start };
    }

    fn announced(&mut self, arg: usize, length: usize) -> Result<(), Unreadable> {
        self.size = self.size.saturating_add(length).saturating_add(4);
        if self.size > MAX_FRAME {
            return Err(AmpError::TooLarge(self.size).into());
        }
        self.part = Part::Arg { arg, left: length };
        Ok(())
    }

    fn take(&mut self, arg: usize, bytes: &[u8]) -> Result<(), Unreadable> {
        if arg + 1 == self.args {
            let room = NUMBER_MAX.saturating_sub(self.number.len()).min(bytes.len());
            self.number.extend_from_slice(&bytes[..room]);
            return Ok(());
        }
        match arg {
            0 => self.body.push(bytes, &self.lists).map_err(Unreadable::Refused),
            // Nobody sends more than two.
            _ => Ok(()),
        }
    }

    fn frame(&mut self) -> Frame {
        let number = super::amp::as_text(&self.number).map(str::to_owned);
        Frame { number, answer: std::mem::take(&mut self.body).answer() }
    }
}

/// The body of a frame.
#[derive(Default)]
enum Body {
    /// How much of [`JSON`] has come.
    #[default]
    Empty,
    /// Its first byte.
    Begun,
    /// JSON.
    Json(Box<(Cutter, Taking)>),
    /// Something else.
    Other,
}

impl Body {
    fn push(&mut self, mut bytes: &[u8], lists: &Lists) -> Result<(), Refusal> {
        while let Some((&byte, rest)) = bytes.split_first() {
            *self = match self {
                Self::Empty if byte == JSON[0] => Self::Begun,
                Self::Begun if byte == JSON[1] => Self::Json(Box::new((Cutter::new(Place::Args), lists.taking()?))),
                Self::Empty | Self::Begun => Self::Other,
                Self::Json(both) => {
                    let (cutter, taking) = &mut **both;
                    return cutter.push(bytes, |_, entry| taking.take(entry));
                }
                Self::Other => return Ok(()),
            };
            bytes = rest;
        }
        Ok(())
    }

    fn answer(self) -> Option<Answer> {
        let Self::Json(both) = self else { return None };
        let (cutter, taking) = *both;
        let (rest, listed) = cutter.finish();
        let answer = read_envelope(trimmed::read(&rest)?);
        Some(match listed {
            true => answer.map(|_| Said::List(Box::new(taking.finish()))),
            false => answer.map(Said::Value),
        })
    }
}

/// The result inside a body, or the refusal.
pub(super) fn read_envelope(mut body: Value) -> Result<Value, Untrusted> {
    match body.get_mut("error").map(Value::take) {
        Some(Value::String(message)) => return Err(Untrusted::new(message)),
        Some(Value::Null) | None => {}
        Some(other) => return Err(Untrusted::new(other.to_string())),
    }
    if let Some(methods) = body.get_mut("methods") {
        return Ok(methods.take());
    }
    Ok(body.get_mut("args").and_then(|args| args.get_mut(0)).map(Value::take).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::amp::{encode, json_arg, text_arg};
    use super::*;

    fn frames(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, Unreadable> {
        let (mut reader, mut all) = (Reader::new(Lists::default()), Vec::new());
        for part in bytes.chunks(piece) {
            reader.push(part, |frame| all.push(frame))?;
        }
        assert!(!reader.mid_frame());
        Ok(all)
    }

    fn answer(body: &[u8]) -> Vec<u8> {
        encode(&[&[JSON, body].concat(), &text_arg("7:1")]).unwrap()
    }

    #[test]
    fn answers_are_read_however_they_arrive() {
        let list = json!({ "args": [[{ "pm_id": 2, "name": "b" }, { "pm_id": 1, "name": "a" }]] });
        let mut stream = encode(&[&json_arg(&json!({ "args": [{ "msg": "pong" }] })), &text_arg("7:1")]).unwrap();
        stream.extend(encode(&[&json_arg(&list), &text_arg("7:2")]).unwrap());
        stream.extend(encode(&[&json_arg(&json!({ "error": "no" })), b"", &text_arg("7:3")]).unwrap());
        stream.extend(encode(&[b"s:text", &text_arg("7:4")]).unwrap());
        stream.push(0x10);
        for piece in [1, 2, 3, 5, 64, stream.len()] {
            let all = frames(&stream, piece).unwrap();
            let numbers: Vec<Option<&str>> = all.iter().map(|frame| frame.number.as_deref()).collect();
            assert_eq!(numbers, [Some("7:1"), Some("7:2"), Some("7:3"), Some("7:4"), None]);
            assert!(matches!(&all[0].answer, Some(Ok(Said::Value(pong))) if pong["msg"] == "pong"));
            let Some(Ok(Said::List(list))) = &all[1].answer else { panic!("{all:?}") };
            let names: Vec<&str> = list.apps.iter().map(|app| app.key.name.as_str()).collect();
            assert_eq!((names, &list.first.as_ref().unwrap()["pm_id"]), (vec!["a", "b"], &json!(2)));
            assert!(matches!(&all[2].answer, Some(Err(no)) if no.raw() == "no"));
            assert!(all[3].answer.is_none() && all[4].answer.is_none());
        }
    }

    #[test]
    fn bombs_end_the_stream_and_are_named() {
        let nested = |closed: usize| {
            format!("{{\"args\":[[{{\"a\":{}{}}}]]}}", "[".repeat(400_000), "]".repeat(closed)).into_bytes()
        };
        let cases = [
            (answer(format!("{{\"args\":[[{}0]]}}", "0,".repeat(200_000)).as_bytes()), "no app"),
            (answer(format!("{{\"args\":[[{}{{}}]]}}", "{},".repeat(20_000)).as_bytes()), "more than 3000 apps"),
            (answer(format!("{{\"args\":[[{{\"a\":[{}0]}}]]}}", "0,".repeat(60_000)).as_bytes()), "50000 values"),
            (answer(&nested(400_000)), "no JSON"),
            (answer(&b"[".repeat(5 << 20)), "beside the apps"),
            (b"\x12\xff\xff\xff\xff".to_vec(), "over the limit"),
            (b"\x22".to_vec(), "not an AMP frame"),
        ];
        for (bytes, words) in cases {
            let said = frames(&bytes, 60_000).map(|all| all.len()).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
        // What is not a list and not JSON is one answer that cannot be read.
        for broken in [b"{\"args\":[0,0".to_vec(), nested(0)] {
            let all = frames(&answer(&broken), 60_000).unwrap();
            assert!(all.len() == 1 && all[0].answer.is_none());
        }
    }
}
