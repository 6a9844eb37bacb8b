//! Foreign text: everything that a service, a file or another user wrote.
//!
//! Such bytes reach a terminal, a log or a report only through [`tame`]: control characters, escape sequences and
//! direction overrides are shown as `\u{..}` instead of being obeyed, and the length is bounded. It lives on the
//! ground floor because the safest place to tame text is the moment it enters the house.

use super::planted::{Bug, planted};

/// Shows `text` harmlessly: at most `max` characters, one line, every control, bidi or zero-width character escaped.
#[must_use]
pub fn tame(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for (n, c) in text.chars().enumerate() {
        if n == max {
            out.push_str("...");
            break;
        }
        if harmful(c) && !planted(Bug::TameOff) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// [`tame`] for bytes that need not be UTF-8: invalid ones are shown as `\xNN`.
#[must_use]
pub fn tame_bytes(bytes: &[u8], max: usize) -> String {
    let mut text = String::new();
    for chunk in bytes[..bytes.len().min(max.saturating_mul(4))].utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    tame(&text, max)
}

/// Characters that a terminal obeys, or that make text look like other text.
fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(tame("a\x1b[2Jb\u{202e}c\nd", 80), "a\\u{1b}[2Jb\\u{202e}c\\u{a}d");
    }

    #[test]
    fn long_and_broken_text_is_bounded() {
        assert_eq!(tame("abcdef", 3), "abc...");
        assert_eq!(tame_bytes(b"ok\xff\xfe", 80), "ok\\xff\\xfe");
    }
}
