//! Every reader of foreign bytes behind one function each, with what must hold whatever it is given. `fuzz/` calls these
//! with libFuzzer; `cargo test` replays the kept corpora through them, and mutations of those.
//!
//! The promises: no panic, no unbounded output, no byte that a terminal obeys in what may be shown, what was written reads
//! back the same, and damage is never accepted in silence.
//!
//! Below every floor that has a reader and above those that only show.

use serde_json::Value;

use crate::host::facts::Facts;
use crate::host::foreign::{named, tame, tame_bytes};
use crate::host::json_path::{JsonPath, Operator, holds};
use crate::host::pm2::amp;
use crate::host::pm2::dump::parse_dump;
use crate::host::{canned, pm2, redis};
use crate::journal;
use crate::runbook::{load_bytes, render};

/// One reader.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its corpus and of its binary in `fuzz/`.
    pub name: &'static str,
    /// Gives it one input; panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 14] = [
    Target { name: "runbook", run: runbook },
    Target { name: "journal", run: journal_bytes },
    Target { name: "checkpoints", run: checkpoints },
    Target { name: "resp", run: resp },
    Target { name: "info", run: info },
    Target { name: "manifest", run: manifest },
    Target { name: "amp", run: amp_stream },
    Target { name: "pm2_dump", run: pm2_dump },
    Target { name: "pm2_list", run: pm2_list },
    Target { name: "snapshot", run: snapshot },
    Target { name: "facts", run: facts },
    Target { name: "http", run: http },
    Target { name: "json_path", run: json_path },
    Target { name: "tame", run: taming },
];

/// Characters that a terminal obeys, or that make text look like other text. Written down here a second time on purpose.
fn obeyed(c: char) -> bool {
    let code = u32::from(c);
    let (controls, zero_width, directions) =
        (code < 0x20 || (0x7f..0xa0).contains(&code), 0x200b..=0x200f, 0x202a..=0x202e);
    controls || zero_width.contains(&code) || directions.contains(&code) || (0x2066..=0x2069).contains(&code)
}

fn assert_harmless(text: &str, what: &str) {
    assert!(!text.chars().any(obeyed), "{what} would be obeyed by a terminal: {text:?}");
}

/// Every text in a value, keys included.
fn assert_value_harmless(value: &Value, what: &str) {
    match value {
        Value::String(text) => assert_harmless(text, what),
        Value::Array(items) => items.iter().for_each(|item| assert_value_harmless(item, what)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            assert_harmless(key, what);
            assert_value_harmless(value, what);
        }),
        _ => {}
    }
}

fn assert_shown<T: serde::Serialize>(shown: &T, most: usize, what: &str) {
    let value = serde_json::to_value(shown).unwrap_or(Value::Null);
    assert_value_harmless(&value, what);
    let len = value.to_string().len();
    assert!(len <= most, "{what} is {len} bytes long");
}

/// A runbook: findings lie inside the text and can be shown; what loads is a function of the text alone.
pub fn runbook(bytes: &[u8]) {
    let first = load_bytes(bytes, "fuzz.yaml");
    let text = String::from_utf8_lossy(bytes);
    let findings = match &first {
        Ok(loaded) => {
            assert_eq!(load_bytes(bytes, "fuzz.yaml").as_ref(), Ok(loaded), "it loads differently the second time");
            let mut found = loaded.warnings.clone();
            found.extend(loaded.clock_warnings(&text, jiff::Timestamp::UNIX_EPOCH));
            found
        }
        Err(found) => {
            assert!(!found.is_empty(), "refused without a finding");
            found.clone()
        }
    };
    for one in &findings {
        assert!(one.span.start <= one.span.end && one.span.end <= bytes.len().max(1), "{one:?}");
        assert_harmless(&one.message, "a message");
    }
    // Only UTF-8 is ever shown beside its findings.
    if std::str::from_utf8(bytes).is_ok() && findings.len() < 50 {
        let shown = render::render(&findings, &text, false, 100);
        assert_harmless(&shown.replace(['\n', '\r', '\t'], " "), "a rendered finding");
    }
}

/// Any bytes as a journal and its head: what is accepted writes itself anew to the very bytes that were read.
pub fn journal_bytes(bytes: &[u8]) {
    if let Ok(reading) = journal::fuzz::raw(bytes) {
        let again: Vec<u8> =
            reading.entries.iter().flat_map(|one| journal::record::encode(one).unwrap_or_default()).collect();
        let behind_head = bytes.get(bytes.len().min(1024)..).unwrap_or_default();
        assert_eq!(behind_head.get(..again.len()), Some(&again[..]), "accepted, and not what was written");
        assert_eq!(again.len() as u64, reading.good);
    }
    let _refused = journal::record::decode(bytes).map(|(entry, len)| {
        assert_eq!(journal::record::encode(&entry).ok().as_deref(), bytes.get(..len), "one record, two spellings");
    });
}

/// Any checkpoints, as far as they are legal: what was written reads back, and one flipped bit or a cut is never accepted.
pub fn checkpoints(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let told = journal::fuzz::Told::of(&text);
    if told.entries.is_empty() {
        return;
    }
    let read = told.read(&told.journal);
    assert!(read.is_ok(), "what was written is refused: {read:?}");
    if let Ok(reading) = read {
        assert!(reading.state == told.state, "the fold of what was read is another");
        assert_eq!(reading.entries, told.entries);
    }
    // Places that depend on the input, so that over many inputs every kind of place is met.
    let salt = bytes.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let at = salt % told.journal.len();
    let mut flipped = told.journal.clone();
    if let Some(byte) = flipped.get_mut(at) {
        *byte ^= 1 << (salt % 8);
    }
    assert!(told.read(&flipped).is_err(), "bit {} of byte {at} flipped and accepted", salt % 8);
    assert!(told.read(told.journal.get(..at).unwrap_or_default()).is_err(), "cut at {at} and accepted");
}

/// The answers of a Redis: what is kept of them is bounded, harmless, and reads back.
pub fn resp(bytes: &[u8]) {
    let (seen, _answers) = redis::fuzz::conversation(bytes);
    match seen {
        Ok(seen) => assert_shown(&seen, 8 << 20, "a look at Redis"),
        Err(door) => {
            assert_shown(&door, 4096, "a door");
            assert_harmless(&door.to_string(), "a door in words");
        }
    }
}

/// The text of INFO.
pub fn info(bytes: &[u8]) {
    if let Some(facts) = redis::fuzz::info(&String::from_utf8_lossy(bytes)) {
        assert_shown(&facts, 1 << 20, "facts of INFO");
    }
}

/// A manifest: no name leads out of its directory.
pub fn manifest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match redis::fuzz::manifest(&text) {
        Ok(files) => {
            assert!(files.len() <= 4097, "{} files", files.len());
            for (name, _) in files {
                assert!(
                    !name.contains('/') && name != ".." && name != "." && !name.is_empty(),
                    "{name:?} leads elsewhere"
                );
            }
        }
        Err(why) => assert_harmless(&why, "a refusal"),
    }
    for line in text.lines().take(8) {
        let words = redis::fuzz::words(line).unwrap_or_default();
        assert!(words.iter().map(String::len).sum::<usize>() <= line.len(), "words longer than their line");
    }
}

/// A stream of AMP: the same frames however it is cut, each written back to a frame, its meaning harmless.
pub fn amp_stream(bytes: &[u8]) {
    let (piece, bytes) = bytes.split_first().map_or((1, bytes), |(first, rest)| (usize::from(*first), rest));
    let (whole, whole_good) = pm2::fuzz::frames(bytes, bytes.len());
    let (cut, cut_good) = pm2::fuzz::frames(bytes, piece);
    assert_eq!((&whole, whole_good), (&cut, cut_good), "cut into pieces of {piece} it reads differently");
    for args in &whole {
        let borrowed: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let again = amp::encode(&borrowed).unwrap_or_default();
        assert_eq!(
            pm2::fuzz::frames(&again, again.len()).0,
            std::slice::from_ref(args),
            "written back it is another frame"
        );
        let (event, answer) = pm2::fuzz::meaning(args);
        if let Some(event) = event {
            assert_harmless(&format!("{event:?}").replace("\\\\u{", ""), "an event");
        }
        if let Some(Err(refusal)) = answer {
            assert_harmless(&refusal.shown(400), "a refusal");
        }
    }
}

/// PM2's own list.
pub fn pm2_dump(bytes: &[u8]) {
    let seen = parse_dump(bytes);
    assert_shown(&seen, bytes.len().saturating_mul(8) + 4096, "a saved list");
    assert_eq!(seen.counts().values().sum::<usize>(), seen.entries().len());
}

/// A daemon's list: no environment in what may be shown, and every entry counted.
pub fn pm2_list(bytes: &[u8]) {
    let Ok(entries) = serde_json::from_slice::<Vec<Value>>(bytes) else { return };
    let (apps, recipes) = pm2::fuzz::list(&entries);
    assert_eq!(apps.len(), entries.len());
    assert_shown(&apps, entries.len().saturating_mul(40_000) + 2, "a list of apps");
    let keys: std::collections::HashSet<_> = apps.iter().map(|app| &app.key).collect();
    assert_eq!(keys.len(), apps.len(), "two apps of one key");
    for said in recipes.iter().map(|recipe| recipe.as_ref().unwrap_or_else(|error| error)) {
        assert_harmless(said, "a recipe");
    }
    let back = serde_json::to_vec(&apps).ok().and_then(|text| serde_json::from_slice::<Vec<pm2::App>>(&text).ok());
    assert_eq!(back.as_ref(), Some(&apps), "apps do not read back");
}

/// Our own record of a daemon.
pub fn snapshot(bytes: &[u8]) {
    match pm2::fuzz::snapshot(bytes) {
        Ok(apps) => assert_shown(&apps, usize::MAX, "apps of a snapshot"),
        Err(refusal) => assert_harmless(&refusal, "a refusal"),
    }
}

/// Recorded facts: what is written reads back the same.
pub fn facts(bytes: &[u8]) {
    match Facts::read(bytes) {
        Ok(facts) => {
            let text = facts.write().unwrap_or_default();
            assert_eq!(Facts::read(text.as_bytes()).as_ref(), Ok(&facts), "facts do not read back");
        }
        Err(refusal) => assert_harmless(&refusal.to_string(), "a refusal"),
    }
}

/// The answer of a web server.
pub fn http(bytes: &[u8]) {
    match canned::answer(bytes) {
        Ok(seen) => {
            assert!(seen.body.raw().len() <= 3 * 256 * 1024, "a body of {} bytes", seen.body.raw().len());
            assert_shown(&seen.headers, 16 * 1024, "headers");
            assert_harmless(&format!("{seen:?}"), "an answer in debug output");
        }
        Err(error) => assert_harmless(&error.to_string(), "an error"),
    }
}

/// Path, document and wanted value in three lines: a comparison is never true across types.
pub fn json_path(bytes: &[u8]) {
    use Operator::{Contains, Eq, Ge, Gt, Le, Lt, Ne};
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(3, '\n');
    let (path, document, wanted) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let path = match JsonPath::parse(path) {
        Ok(path) => path,
        Err(bad) => return assert_harmless(&bad.to_string(), "a bad path"),
    };
    let (Ok(document), Ok(wanted)) = (serde_json::from_str::<Value>(document), serde_json::from_str::<Value>(wanted))
    else {
        return;
    };
    let Some(seen) = path.get(&document) else { return };
    let seen = &*seen;
    let is = |operator| holds(seen, operator, &wanted).ok();
    assert_eq!(is(Ne), is(Eq).map(|equal| !equal), "ne is not the opposite of eq");
    assert_eq!(is(Ge), is(Lt).map(|less| !less), "ge is not the opposite of lt");
    assert_eq!(is(Le), is(Gt).map(|greater| !greater), "le is not the opposite of gt");
    if let (Some(true), Some(less)) = (is(Eq), is(Lt)) {
        assert!(!less, "equal and less");
    }
    let kind = |value: &Value| std::mem::discriminant(value);
    assert!(kind(seen) == kind(&wanted) || [is(Eq), is(Lt), is(Gt)] == [None; 3], "compared across types");
    let _answer = is(Contains);
}

/// Taming: one line, bounded, harmless, and plain text unchanged.
pub fn taming(bytes: &[u8]) {
    let (max, bytes) = bytes.split_first().map_or((0, bytes), |(first, rest)| (usize::from(*first), rest));
    let text = String::from_utf8_lossy(bytes);
    for tamed in [tame(&text, max), tame_bytes(bytes, max)] {
        assert_harmless(&tamed, "tamed text");
        // The longest spelling of one character is `\u{10ffff}`.
        assert!(tamed.chars().count() <= max * 10 + 3, "{} characters of at most {max}", tamed.chars().count());
    }
    if text.chars().count() <= max && text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        assert_eq!(named(&text, max), text);
    }
    let whole = tame(&text, usize::MAX);
    assert_eq!(tame(&whole, usize::MAX), whole, "tamed twice is another text");
}

#[cfg(test)]
mod tests;
