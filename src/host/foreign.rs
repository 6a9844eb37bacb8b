//! Foreign text: everything that a service, a file or another user wrote.
//!
//! Two doors lead in. *Free text* (log lines, output, error texts of others, arguments) goes through [`tame`]: known secrets
//! are replaced ([`super::redact`]), control characters, escape sequences and direction overrides are shown as `\u{..}` instead
//! of being obeyed, and the length is bounded, in this order: a secret that is cut first is not recognised any more. What comes
//! out is [`Shown`], a type that our own text is not. *Names* (of apps, units, hosts, files, states: whatever is compared, found
//! again or counted) go through [`named`], which hides nothing: with another text in it, it would be another thing.
//!
//! Behind the doors nobody rewrites anything: no file, no screen, no report. It lives on the ground floor because the safest
//! place to tame text is the moment it enters the house. Decisions are taken on what came, before it is tamed.

use std::borrow::Cow;

use serde_json::Value;

use super::planted::{Bug, planted};
use super::redact;
pub use super::shown::{Shown, Untrusted};

/// Takes free text in: secrets hidden, at most `max` characters, one line, every control, bidi or zero-width character escaped.
#[must_use]
pub fn tame(text: &str, max: usize) -> Shown {
    let hidden = if planted(Bug::SecretsKept) { Cow::Borrowed(text) } else { redact::text(text) };
    Shown::cleaned(bounded(&hidden, max))
}

/// Takes a name in: bounded and harmless as by [`tame`], and otherwise as it came.
#[must_use]
pub fn named(text: &str, max: usize) -> String {
    if planted(Bug::NamesHidden) { tame(text, max).into() } else { bounded(text, max) }
}

fn bounded(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    match text.char_indices().nth(max) {
        None => shown_harmless(text, &mut out),
        Some((end, _)) => {
            shown_harmless(&text[..end], &mut out);
            out.push_str("...");
        }
    }
    out
}

/// Appends `text` with everything harmful shown by its number.
pub(super) fn shown_harmless(text: &str, out: &mut String) {
    let mut stacked = 0;
    for c in text.chars() {
        stacked = if combining(c) { stacked + 1 } else { 0 };
        if (harmful(c) || stacked > STACKED) && !planted(Bug::TameOff) {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
    }
}

/// More marks than this on one letter are no language, and cover the lines above.
const STACKED: u32 = 4;

fn combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// [`tame`] for bytes that need not be UTF-8: invalid ones are shown as `\xNN`.
#[must_use]
pub fn tame_bytes(bytes: &[u8], max: usize) -> Shown {
    // A key may stand a long way before the bound, and its value behind it: the text is cut last.
    let bytes = redact::bytes(bytes);
    tame(&spelled(&bytes[..bytes.len().min(max.saturating_mul(4).saturating_add(LONGEST_VALUE))]), max)
}

/// [`named`] for bytes that need not be UTF-8.
#[must_use]
pub fn named_bytes(bytes: &[u8], max: usize) -> String {
    named(&spelled(&bytes[..bytes.len().min(max.saturating_mul(4))]), max)
}

/// What may be behind the bound and still decide where a value ends.
const LONGEST_VALUE: usize = 4096;

fn spelled(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(text)
}

/// The last wall before a terminal, behind both doors: only what this program draws with passes, which is line ends, the
/// return to the beginning of a line, and the CSI sequences for colours, cursor moves and erasing (ECMA-48). Everything else
/// that a terminal obeys is shown, inside of JSON as JSON writes it.
#[must_use]
pub fn guarded(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| harmful(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let json = ["{", "[{", "[\n"].iter().any(|start| text.starts_with(start));
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let own = own_sequence(rest);
        let len = own.max(c.len_utf8());
        match c {
            _ if own > 0 || !harmful(c) => out.push_str(&rest[..len]),
            _ if json => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            _ => out.extend(c.escape_unicode()),
        }
        rest = &rest[len..];
    }
    Cow::Owned(out)
}

/// The length of a control sequence of ours at the beginning of `text`; 0 when there is none.
fn own_sequence(text: &str) -> usize {
    if text.starts_with(['\n', '\r', '\t']) {
        return 1;
    }
    let Some(body) = text.strip_prefix("\u{1b}[") else { return 0 };
    let digits = body.bytes().take(12).take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    match body.as_bytes().get(digits) {
        Some(b'm' | b'A' | b'B' | b'C' | b'D' | b'K') => 2 + digits + 1,
        _ => 0,
    }
}

/// Shows every harmful character in the strings of a document that somebody else wrote. Fields called `body` stay: they
/// are compared and never shown.
pub fn defuse(value: &mut Value) {
    match value {
        Value::String(text) if text.chars().any(harmful) => {
            let mut shown = String::new();
            shown_harmless(text, &mut shown);
            *text = shown;
        }
        Value::Array(items) => items.iter_mut().for_each(defuse),
        Value::Object(fields) => fields.iter_mut().filter(|(key, _)| *key != "body").for_each(|(_, item)| defuse(item)),
        _ => {}
    }
}

/// Characters that a terminal obeys, or that make text look like other text.
fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        // Not shown, or shown as blanks: the soft hyphen, fillers, joiners, selectors of variants, tags, musical controls.
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}')
        || matches!(c, '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(tame("a\x1b[2Jb\u{202e}c\nd", 80), "a\\u{1b}[2Jb\\u{202e}c\\u{a}d");
    }

    #[test]
    fn the_last_wall_lets_only_our_own_drawing_through() {
        for own in ["a\n", "\r\u{1b}[2K", "\u{1b}[1m\u{1b}[31mx\u{1b}[0m", "\u{1b}[12A", "\u{e4}\u{6f22}"] {
            assert_eq!(guarded(own), own);
        }
        for (foreign, shown) in [
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[2J\u{1b}[?25l", "\\u{1b}[2J\\u{1b}[?25l"),
            ("\u{9b}2J\u{202e}x\u{7f}", "\\u{9b}2J\\u{202e}x\\u{7f}"),
            ("{\"a\":\"\u{202e}\"}", "{\"a\":\"\\u202e\"}"),
        ] {
            assert_eq!(guarded(foreign), shown);
        }
    }

    #[test]
    fn documents_of_others_are_defused() {
        let mut value = serde_json::json!([{ "name": "a\u{1b}[2J", "body": "{\n}" }, 3]);
        defuse(&mut value);
        assert_eq!(value, serde_json::json!([{ "name": "a\\u{1b}[2J", "body": "{\n}" }, 3]));
    }

    #[test]
    fn long_and_broken_text_is_bounded() {
        assert_eq!(tame("abcdef", 3), "abc...");
        assert_eq!(tame_bytes(b"ok\xff\xfe", 80), "ok\\xff\\xfe");
    }
}
