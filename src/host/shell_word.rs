//! Words for a POSIX shell. Every foreign value in a command that is printed passes here: what is not plain stands in single
//! quotes, in which a shell obeys nothing at all.
use std::path::Path;

/// The value as exactly one word of a command.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '%' | '+' | ':' | ',' | '.' | '/' | '-');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A path as one word.
#[must_use]
pub fn path_word(path: &Path) -> String {
    word(&path.to_string_lossy())
}
