//! The forms in which a secret travels: as it is, and as the encodings write it that stand between a program and a log.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::KEY;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Every form of `secret`, without repetitions. Of a secret of less than four bytes only those that somebody would write by
/// hand: its digits in base64 or hexadecimal are everywhere.
pub(super) fn of(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut texts: BTreeSet<String> = BTreeSet::from([secret.to_owned()]);
    texts.extend(percent(secret));
    texts.extend(json(secret));
    texts.extend(shell(secret));
    texts.extend(markup(secret));
    texts.extend([secret.escape_debug().collect(), secret.escape_default().collect(), tamed(secret)]);
    if secret.len() < KEY {
        return texts.into_iter().map(String::into_bytes).filter(|form| !form.is_empty()).collect();
    }
    let upper: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    texts.extend([hex::encode(secret), upper]);
    let mut all: BTreeSet<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    all.extend([STANDARD, URL_SAFE].into_iter().flat_map(|alphabet| base64(secret.as_bytes(), alphabet)));
    all.retain(|form| form.len() >= KEY);
    all
}

/// RFC 4648, also in the middle of something longer (`user:password` of basic authentication): the digits that only the
/// secret decides, for each of the three offsets that it can have there. Whole groups with padding contain these.
fn base64(secret: &[u8], alphabet: &[u8; 64]) -> Vec<Vec<u8>> {
    let at_offset = |offset: usize| {
        let bits = |n: usize| {
            let byte = n.checked_sub(8 * offset).and_then(|n| secret.get(n / 8)).copied().unwrap_or(0);
            (byte >> (7 - n % 8)) & 1
        };
        let (first, last) = ((8 * offset).div_ceil(6), 8 * (offset + secret.len()) / 6);
        (first..last)
            .map(|digit| alphabet[usize::from((0..6).fold(0, |sum, n| sum << 1 | bits(6 * digit + n)))])
            .collect()
    };
    (0..3).map(at_offset).collect()
}

/// RFC 3986: reserved characters only, with the few that JavaScript's `encodeURIComponent` leaves, everything, forms; both
/// cases of the digits.
fn percent(secret: &str) -> Vec<String> {
    let encode = |keep: &dyn Fn(u8) -> bool| {
        let one = |byte: u8| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        secret.bytes().map(one).collect::<String>()
    };
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let script = |byte: u8| unreserved(byte) || b"!*'()".contains(&byte);
    let userinfo = |byte: u8| script(byte) || b"$&+,;=".contains(&byte);
    let upper = [encode(&unreserved), encode(&script), encode(&userinfo), encode(&|_| false)];
    let plus = encode(&|byte| unreserved(byte) || byte == b' ').replace(' ', "+");
    let lower = |text: &String| {
        let mut parts = text.split('%');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (digits, rest) = part.split_at(part.len().min(2));
            let _infallible = write!(out, "%{}{rest}", digits.to_ascii_lowercase());
        }
        out
    };
    let mut all: Vec<String> = upper.iter().map(lower).collect();
    all.extend(upper);
    all.extend([lower(&plus), plus]);
    all
}

/// RFC 8259 as serde_json and JavaScript write it, with escaped slashes, in ASCII only, safe for HTML, and JSON inside JSON.
fn json(secret: &str) -> Vec<String> {
    let body = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap_or_default();
        quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
    };
    let plain = body(secret);
    let ascii = |upper: bool, html: bool| {
        let mut out = String::new();
        let mut units = [0; 2];
        for c in plain.chars() {
            if c.is_ascii() && !(html && "<>&'".contains(c)) && c != '\u{7f}' {
                out.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut units) {
                let _infallible = if upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
            }
        }
        out
    };
    let mut all = vec![ascii(false, false), ascii(true, false), ascii(false, true), ascii(true, true)];
    all.push(plain.replace('/', "\\/"));
    all.push(body(&plain));
    all.push(plain);
    all
}

/// POSIX quoting: inside single quotes both ways, inside double quotes, and with backslashes as `printf %q` does it.
fn shell(secret: &str) -> Vec<String> {
    let escaped = |special: &dyn Fn(char) -> bool| {
        let one = |c: char| if special(c) { format!("\\{c}") } else { c.to_string() };
        secret.chars().map(one).collect::<String>()
    };
    let word = |c: char| c.is_ascii_alphanumeric() || "_-.,/:=+@%".contains(c) || !c.is_ascii();
    vec![
        secret.replace('\'', "'\\''"),
        secret.replace('\'', "'\"'\"'"),
        escaped(&|c| "$`\"\\".contains(c)),
        escaped(&|c| "$`\"\\!".contains(c)),
        escaped(&|c| !word(c)),
        escaped(&|c| !c.is_ascii_alphanumeric() && c.is_ascii() && c != '_'),
        escaped(&|c| c == '\'' || c == '\\'),
    ]
}

/// XML and HTML (JUnit reports), and Markdown.
fn markup(secret: &str) -> Vec<String> {
    let base = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let quotes = |text: &str, apostrophe: &str| text.replace('"', "&quot;").replace('\'', apostrophe);
    vec![
        quotes(&base, "&apos;"),
        quotes(&base, "&#39;"),
        quotes(&base, "&#x27;"),
        base.replace('"', "&quot;"),
        secret.replace('|', "\\|"),
        base,
    ]
}

/// As [`crate::host::foreign::tame`] spells it.
fn tamed(secret: &str) -> String {
    let mut out = String::new();
    crate::host::foreign::shown_harmless(secret, &mut out);
    out
}
