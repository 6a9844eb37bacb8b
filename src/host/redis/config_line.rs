//! One line of a configuration file, split as Redis splits it (sds.c, `sdssplitargs`): blanks separate, `"…"` knows
//! escapes, `'…'` knows only `\'`, and a closing quote ends its word.

/// The words of a line; `None` when its quotes are not balanced, on which Redis refuses to start.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| blank(*c)).is_some() {}
        if chars.peek().is_none() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match chars.next() {
                None => break,
                Some(c) if blank(c) => break,
                Some('"') => {
                    double_quoted(&mut chars, &mut word)?;
                    break;
                }
                Some('\'') => {
                    single_quoted(&mut chars, &mut word)?;
                    break;
                }
                Some(c) => push(&mut word, c),
            }
        }
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

fn push(word: &mut Vec<u8>, c: char) {
    word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn double_quoted(chars: &mut Rest<'_>, word: &mut Vec<u8>) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return ends(chars),
            '\\' => match chars.next()? {
                'n' => word.push(b'\n'),
                'r' => word.push(b'\r'),
                't' => word.push(b'\t'),
                'b' => word.push(8),
                'a' => word.push(7),
                'x' => match hex(chars) {
                    Some(byte) => word.push(byte),
                    None => word.push(b'x'),
                },
                other => push(word, other),
            },
            c => push(word, c),
        }
    }
}

fn single_quoted(chars: &mut Rest<'_>, word: &mut Vec<u8>) -> Option<()> {
    loop {
        match chars.next()? {
            '\'' => return ends(chars),
            '\\' if chars.next_if_eq(&'\'').is_some() => word.push(b'\''),
            c => push(word, c),
        }
    }
}

/// Behind a closing quote comes a blank or nothing.
fn ends(chars: &mut Rest<'_>) -> Option<()> {
    chars.next_if(|c| blank(*c)).map_or_else(|| chars.peek().is_none().then_some(()), |_| Some(()))
}

/// Two hex digits, taken only when both are there.
fn hex(chars: &mut Rest<'_>) -> Option<u8> {
    let mut ahead = chars.clone();
    let (high, low) = (ahead.next()?.to_digit(16)?, ahead.next()?.to_digit(16)?);
    *chars = ahead;
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_redis_splits_them() {
        for (line, wanted) in [
            ("a  b\tc", Some(vec!["a", "b", "c"])),
            (r#"save """#, Some(vec!["save", ""])),
            (r#"dir "/a \"b\" \x41\n""#, Some(vec!["dir", "/a \"b\" A\n"])),
            (r"x 'it\'s \n'", Some(vec!["x", r"it's \n"])),
            (r#"pre"fix" y"#, Some(vec!["prefix", "y"])),
            (r#""a"b"#, None),
            (r#"dir "/a"#, None),
            ("'a", None),
            (r#""\xZZ""#, Some(vec!["xZZ"])),
            ("", Some(vec![])),
        ] {
            assert_eq!(words(line), wanted.map(|all| all.into_iter().map(str::to_owned).collect()), "{line}");
        }
    }
}
