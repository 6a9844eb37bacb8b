//! Secrets that stand beside a word which says so: `PASSWORD=x`, `"token": "x"`, `--password x`, `Authorization: Bearer x`,
//! `scheme://user:x@host`. That hides values of any length which nobody could tell by themselves.
//!
//! A wrong guess costs a word of a sentence of somebody else, never a word of ours: only outside text comes here.

use super::MARK;

/// Parts of keys that say so wherever they stand in the key.
const TELLING: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "private_key",
    "credential",
    "masterauth",
];
/// Keys that say so if they are the last part (`DB_PASS`, `redis.auth`).
const LAST: [&str; 7] = ["pass", "auth", "key", "jwt", "cookie", "requirepass", "dsn"];
/// Whole keys that look telling and name a directory or a count.
const HARMLESS: [&str; 4] = ["pwd", "oldpwd", "tokens", "max_tokens"];
/// Schemes of `Authorization:` (RFC 9110, 11.4), whose value is the next word.
const SCHEMES: [&str; 5] = ["bearer", "basic", "digest", "token", "negotiate"];
/// How tamed text writes what a terminal would obey; a value ends there as at the character itself.
const ESCAPE: &str = "\\u{";

/// The text without such values; `None` when there are none.
pub(super) fn hide(text: &str) -> Option<String> {
    let mut out: Option<String> = None;
    let (mut kept, mut at) = (0, 0);
    while let Some((start, end)) = next(text, at) {
        out.get_or_insert_default().push_str(&text[kept..start]);
        out.get_or_insert_default().push_str(MARK);
        (kept, at) = (end, end);
    }
    let mut out = out?;
    out.push_str(&text[kept..]);
    Some(out)
}

/// The secrets in the arguments of a program: behind keys inside of one argument, and each argument that follows a telling
/// option.
pub(super) fn in_arguments<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (n, argument) in arguments.iter().enumerate() {
        let mut at = 0;
        while let Some((start, end)) = next(argument, at) {
            found.push(&argument[start..end]);
            at = end;
        }
        let name = argument.trim_start_matches('-');
        let option = name.len() < argument.len() && name.bytes().all(in_key) && tells(name);
        found.extend(arguments.get(n + 1).filter(|value| option && !value.starts_with('-')));
    }
    found
}

/// Where the next value that must be hidden stands, from `at` on.
fn next(text: &str, mut at: usize) -> Option<(usize, usize)> {
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("://") {
            if let Some(found) = user_part(text, at + 3) {
                return Some(found);
            }
            at += 3;
            continue;
        }
        let word = rest.bytes().take_while(|byte| in_key(*byte)).count();
        if word == 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        if let Some(found) = value_of(text, at, at + word) {
            return Some(found);
        }
        at += word;
    }
    None
}

fn in_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

/// The value beside the word from `start` to `end`, if the word says that it is a secret.
fn value_of(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let word = &text[start..end];
    let name = word.trim_start_matches('-');
    if name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("proxy-authorization") {
        let from = assigned(text, end)?;
        let scheme = text[from..].bytes().take_while(|byte| in_key(*byte)).count();
        let known = SCHEMES.iter().any(|one| text[from..from + scheme].eq_ignore_ascii_case(one));
        let blanks = text[from + scheme..].bytes().take_while(|byte| *byte == b' ').count();
        return cut(text, if known && blanks > 0 { from + scheme + blanks } else { from });
    }
    if name.eq_ignore_ascii_case("bearer") {
        // Without a header around it, it could be a sentence about bearers: only what looks like a key counts.
        let blanks = text[end..].bytes().take_while(|byte| *byte == b' ').count();
        let found = cut(text, end + blanks).filter(|_| blanks > 0)?;
        return Some(found)
            .filter(|(from, to)| to - from >= 12 && text[*from..*to].bytes().any(|b| b.is_ascii_digit()));
    }
    if !tells(name) {
        return None;
    }
    if let Some(from) = assigned(text, end) {
        return cut(text, from);
    }
    let from = (word.len() > name.len()).then(|| argument(text, end))??;
    cut(text, from)
}

/// Behind `=` or `:`, with blanks and closing quotes before it; no second one may follow (`a::b`, `==`).
fn assigned(text: &str, end: usize) -> Option<usize> {
    let rest = text[end..].trim_start_matches(['"', '\'', '\\']);
    let rest = rest.trim_start_matches(' ');
    let rest = rest.strip_prefix(['=', ':'])?;
    (!rest.starts_with([':', '=', '/'])).then(|| text.len() - rest.trim_start_matches(' ').len())
}

/// The next word of a command line, written with blanks or as a list of quoted words; an option is none.
fn argument(text: &str, end: usize) -> Option<usize> {
    let rest = &text[end..];
    let inner = rest.trim_start_matches(['"', '\'', '\\', ',', ' ']);
    let apart = &rest[..rest.len() - inner.len()];
    (apart.contains([' ', ',']) && !inner.starts_with('-')).then(|| {
        // The opening quote belongs to the value: it decides where that ends.
        let quote = apart.ends_with(['"', '\'']) && !apart.ends_with("\\\"");
        text.len() - inner.len() - usize::from(quote)
    })
}

/// From the beginning of a value to its end: the closing quote, or the end of the word.
fn cut(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let open = rest.len() - rest.trim_start_matches('\\').len();
    let quote = rest[open..].chars().next().filter(|c| matches!(c, '"' | '\''));
    let from = from + if quote.is_some() { open + 1 } else { 0 };
    let value = &text[from..];
    if value.starts_with(MARK) {
        return None;
    }
    let closed = quote.and_then(|quote| quoted(value, quote, open > 0));
    let len = closed.unwrap_or_else(|| {
        let ends = |c: char| c.is_whitespace() || c.is_control() || "&,;)}]\"'|<>".contains(c);
        let len = value.find(ends).unwrap_or(value.len());
        value[..len].find(ESCAPE).unwrap_or(len)
    });
    (len > 0).then_some((from, from + len))
}

/// The length of a quoted value; `None` if the quote is not closed on this line. In a document inside of a document the closing
/// quote has a backslash before it, too.
fn quoted(value: &str, quote: char, inner: bool) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in value.char_indices() {
        match c {
            _ if c.is_control() || value[at..].starts_with(ESCAPE) => return None,
            _ if c == quote && escaped == inner => return Some(at - usize::from(escaped)),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

/// `user:PASSWORD@` or `TOKEN@` behind `://`.
fn user_part(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let ends = |c: char| c.is_whitespace() || c.is_control() || "/?#\"'<>`".contains(c);
    let authority = &rest[..rest.find(ends).unwrap_or(rest.len())];
    let authority = &authority[..authority.find(ESCAPE).unwrap_or(authority.len())];
    let (user, _) = authority.rsplit_once('@')?;
    let skip = user.find(':').map_or(0, |colon| colon + 1);
    let secret = &user[skip..];
    (!secret.is_empty() && !secret.starts_with(MARK)).then_some((from + skip, from + user.len()))
}

/// Whether a key says that its value is a secret.
fn tells(name: &str) -> bool {
    if !(3..=80).contains(&name.len()) || HARMLESS.iter().any(|one| name.eq_ignore_ascii_case(one)) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let last = name.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let ends = LAST.contains(&last) && (last != "key" || name.len() > last.len());
    ends || TELLING.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> String {
        hide(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn a_key_gives_its_value_away_whatever_its_length() {
        for (text, shown) in [
            ("PASSWORD=x", "PASSWORD=[redacted]"),
            ("env DB_PASS=ab1 node", "env DB_PASS=[redacted] node"),
            ("node s.js --password x --port 80", "node s.js --password [redacted] --port 80"),
            ("--token=x,y", "--token=[redacted],y"),
            ("['--password', 'x y', '--port']", "['--password', '[redacted]', '--port']"),
            (r#"["--token","x"]"#, r#"["--token","[redacted]"]"#),
            (r#"{"password":"a\"b","n":1}"#, r#"{"password":"[redacted]","n":1}"#),
            (r#"{\"apiKey\":\"k1\",\"n\":1}"#, r#"{\"apiKey\":\"[redacted]\",\"n\":1}"#),
            ("password: 'it is'; user: a", "password: '[redacted]'; user: a"),
            ("redis://:pw@h:6379 redis://app:p@w@h/0", "redis://:[redacted]@h:6379 redis://app:[redacted]@h/0"),
            ("https://tok@github.com/x", "https://[redacted]@github.com/x"),
            ("Authorization: Bearer x", "Authorization: Bearer [redacted]"),
            ("authorization=abc", "authorization=[redacted]"),
            ("-H 'Authorization: Basic dTpw'", "-H 'Authorization: Basic [redacted]'"),
            ("curl Bearer abcdef012345", "curl Bearer [redacted]"),
            ("/x?token=abc&page=2", "/x?token=[redacted]&page=2"),
            ("tokenUrl=a password=b", "tokenUrl=[redacted] password=[redacted]"),
        ] {
            assert_eq!(hidden(text), shown);
            assert_eq!(hidden(shown), shown, "twice");
        }
    }

    #[test]
    fn arguments_give_their_secrets_one_by_one() {
        let arguments = ["--port", "80", "--db-password", "it is", "--token=abc", "pg://u:pw@h", "--secret", "--pass"];
        assert_eq!(in_arguments(&arguments), ["it is", "abc", "pw"]);
    }

    #[test]
    fn sentences_and_structure_stay() {
        for text in [
            "SyntaxError: Unexpected token } in JSON at position 4",
            "https://registry.npmjs.org/@scope/pkg http://[::1]:80/a@b",
            "PWD=/srv/app OLDPWD=/ tokens: 12 key=7 --password",
            "the bearer is missing, wrong password given",
            "std::token::of(x) a == b password=\\u{a}next",
            "--password --port 80",
            "",
        ] {
            assert_eq!(hide(text), None, "{text}");
        }
    }
}
