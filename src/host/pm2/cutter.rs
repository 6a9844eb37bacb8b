//! Cuts the objects of one long list out of JSON as its bytes come, so that nobody has to hold the list.
//!
//! A daemon's list, its saved list and our own record of it are one document of many apps, each with its environment twice.
//! Held as a tree they take many times their bytes, and whoever writes the document decides how many that are. So the list is
//! never held: each of its objects is handed over once it is whole, and forgotten. What stands around the list is kept and is
//! small. Work is linear in the bytes, memory is one object.

use std::fmt;

/// Largest object of a list, in bytes. The system starts no program with more than 2 MiB of variables and arguments, and an app's
/// variables are listed twice.
pub(super) const ENTRY_MAX: usize = 4 << 20;
/// Most objects of a list. Hosts that were seen have some hundred apps; a plan over so many stays under 64 MiB.
pub(super) const ENTRIES_MAX: usize = 3_000;
/// What may stand around a list, or be an answer without one.
const REST_MAX: usize = 4 << 20;

/// Why a document is not read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// More objects than [`ENTRIES_MAX`].
    TooMany,
    /// An object of more than [`ENTRY_MAX`] bytes.
    TooLong,
    /// More around the list than is believed.
    TooMuch,
    /// Something in the list is no object.
    NoObject,
    /// What reads the objects has had enough, for the reason given.
    Unwanted(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "a list of more than {ENTRIES_MAX} apps"),
            Self::TooLong => write!(f, "an app of more than {} MiB", ENTRY_MAX >> 20),
            Self::TooMuch => write!(f, "an answer of more than {} MiB beside the apps", REST_MAX >> 20),
            Self::NoObject => f.write_str("a list with an entry that is no app"),
            Self::Unwanted(why) => f.write_str(why),
        }
    }
}

/// Which list of a document is cut.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// The document is the list.
    Whole,
    /// `{"args":[[ … ]]}`: what a daemon answers.
    Args,
    /// `{…,"entries":[ … ]}`: our own record.
    Entries,
}

impl Place {
    /// Whether the list begins behind `before`, at this depth.
    fn begins(self, depth: u32, before: &[u8]) -> bool {
        let bare = |most: usize| before.iter().rev().filter(|byte| !byte.is_ascii_whitespace()).take(most);
        match self {
            Self::Whole => depth == 1 && bare(2).count() == 1,
            Self::Args => depth == 3 && bare(11).eq(b"{\"args\":[[".iter().rev()),
            Self::Entries => depth == 2 && bare(11).eq(b"\"entries\":[".iter().rev()),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cutter {
    place: Place,
    /// What is no object of the list.
    rest: Vec<u8>,
    /// The object under way.
    entry: Vec<u8>,
    depth: u32,
    /// The depth inside of the list, while it is open.
    list: Option<u32>,
    /// The list has been there.
    found: bool,
    text: bool,
    escaped: bool,
    entries: usize,
}

impl Cutter {
    /// For a document whose list is at `place`.
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            rest: Vec::new(),
            entry: Vec::new(),
            depth: 0,
            list: None,
            found: false,
            text: false,
            escaped: false,
            entries: 0,
        }
    }

    /// Takes bytes as they come and hands each object over that they complete, with where it ends in them.
    ///
    /// # Errors
    /// [`Refusal`]: the rest of the document is not worth reading.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(usize, &[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut left = bytes;
        while !left.is_empty() {
            // Up to the next byte that means anything: texts are by far the most.
            let plain = left.iter().position(|byte| self.matters(*byte)).unwrap_or(left.len());
            self.copy(&left[..plain])?;
            let Some(byte) = left.get(plain) else { return Ok(()) };
            left = &left[plain + 1..];
            self.step(*byte, bytes.len() - left.len(), &mut take)?;
        }
        Ok(())
    }

    /// What stood around the list, the list being empty in it; and whether there was one.
    pub(super) fn finish(self) -> (Vec<u8>, bool) {
        (self.rest, self.found && self.list.is_none())
    }

    fn matters(&self, byte: u8) -> bool {
        match self.text {
            true => self.escaped || byte == b'"' || byte == b'\\',
            false => matches!(byte, b'"' | b'{' | b'}' | b'[' | b']') || self.between(),
        }
    }

    /// Inside of the list and of none of its objects.
    fn between(&self) -> bool {
        self.list == Some(self.depth)
    }

    fn copy(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let (into, most, error) = match self.list {
            Some(_) => (&mut self.entry, ENTRY_MAX, Refusal::TooLong),
            None => (&mut self.rest, REST_MAX, Refusal::TooMuch),
        };
        if into.len() + bytes.len() > most {
            return Err(error);
        }
        into.extend_from_slice(bytes);
        Ok(())
    }

    fn step(
        &mut self,
        byte: u8,
        ends: usize,
        take: &mut impl FnMut(usize, &[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if self.text {
            match (self.escaped, byte) {
                (true, _) => self.escaped = false,
                (false, b'\\') => self.escaped = true,
                (false, _) => self.text = false,
            }
            return self.copy(&[byte]);
        }
        if self.between() {
            return self.next(byte);
        }
        self.copy(&[byte])?;
        match byte {
            b'"' => self.text = true,
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                if byte == b'[' && !self.found && self.place.begins(self.depth, &self.rest) {
                    (self.list, self.found) = (Some(self.depth), true);
                }
            }
            _ => {
                self.depth = self.depth.saturating_sub(1);
                if self.between() {
                    let taken = take(ends, &self.entry);
                    self.entry.clear();
                    // One long entry must not keep its room from the others.
                    self.entry.shrink_to(ENTRY_MAX >> 6);
                    return taken;
                }
            }
        }
        Ok(())
    }

    /// A byte between two objects of the list.
    fn next(&mut self, byte: u8) -> Result<(), Refusal> {
        match byte {
            b',' | b' ' | b'\t' | b'\r' | b'\n' => Ok(()),
            b']' => {
                self.list = None;
                self.depth -= 1;
                self.copy(b"]")
            }
            b'{' if self.entries == ENTRIES_MAX => Err(Refusal::TooMany),
            b'{' => {
                self.entries += 1;
                self.depth += 1;
                self.copy(b"{")
            }
            _ => Err(Refusal::NoObject),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is cut out of `json` in pieces of `piece` bytes, and what is left.
    fn cut(place: Place, json: &[u8], piece: usize) -> Result<(Vec<String>, String, bool), Refusal> {
        let (mut cutter, mut found) = (Cutter::new(place), Vec::new());
        for part in json.chunks(piece) {
            cutter.push(part, |_, entry| {
                found.push(String::from_utf8_lossy(entry).into_owned());
                Ok(())
            })?;
        }
        let (rest, whole) = cutter.finish();
        Ok((found, String::from_utf8_lossy(&rest).into_owned(), whole))
    }

    #[test]
    fn objects_are_cut_out_however_the_bytes_arrive() {
        let apps = r#"{"a":"]},{\"[","b":[{},[1]]} , {} ,{"c":{"d":"\\"}}"#;
        let cases = [
            (Place::Args, format!(r#"{{ "args":[[{apps}]],"x":[1]}}"#), r#"{ "args":[[]],"x":[1]}"#),
            (Place::Entries, format!(r#"{{"format":1,"m":{{"entries":2}},"entries":[{apps}]}}"#), ""),
            (Place::Whole, format!("\n[{apps}]\n"), "\n[]\n"),
        ];
        for (place, json, rest) in cases {
            for piece in [1, 2, 3, 7, json.len()] {
                let (found, left, whole) = cut(place, json.as_bytes(), piece).unwrap();
                assert_eq!(found, [r#"{"a":"]},{\"[","b":[{},[1]]}"#, "{}", r#"{"c":{"d":"\\"}}"#], "{json}");
                assert!(whole && (rest.is_empty() || left == rest), "{left}");
            }
        }
    }

    #[test]
    fn other_answers_are_left_as_they_are() {
        for json in [r#"{"args":[{"msg":"pong"}]}"#, r#"{"args":["5.4.3"]}"#, r#"{"error":"[["}"#, "{\"args\":[[", "7"]
        {
            let (found, rest, whole) = cut(Place::Args, json.as_bytes(), 1).unwrap();
            assert!(found.is_empty() && rest == json && !whole, "{rest}");
        }
    }

    #[test]
    fn bombs_are_refused_while_they_come() {
        let args = |inside: &str| format!("{{\"args\":[[{inside}");
        let bombs = [
            (args("0,0,0"), Refusal::NoObject),
            (args("[[[["), Refusal::NoObject),
            (args("\"a\""), Refusal::NoObject),
            (args(&"{},".repeat(ENTRIES_MAX + 1)), Refusal::TooMany),
            (args(&format!("{{\"a\":\"{}", "x".repeat(ENTRY_MAX))), Refusal::TooLong),
            (args(&format!("{{\"a\":{}", "[".repeat(ENTRY_MAX))), Refusal::TooLong),
            (" ".repeat(REST_MAX + 1), Refusal::TooMuch),
            ("[".repeat(REST_MAX + 1), Refusal::TooMuch),
        ];
        for (bomb, refusal) in bombs {
            assert_eq!(cut(Place::Args, bomb.as_bytes(), 60_000), Err(refusal), "{}", &bomb[..20]);
        }
        assert_eq!(cut(Place::Args, args(&"{},".repeat(ENTRIES_MAX)).as_bytes(), 999).unwrap().0.len(), ENTRIES_MAX);
    }
}
