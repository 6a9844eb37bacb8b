//! The simple commands in the text of a shell, as far as they are plain words. Not a shell: what depends on a variable, a
//! pattern or a substitution is unknown, and text behind a here-document is left alone. What is found is certain to stand where a
//! command stands, so nothing that merely looks like a program is refused.

use super::Word;

/// Words after which a command begins.
const BEFORE_A_COMMAND: [&str; 11] = ["if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "exec"];

/// Splits a text into commands and these into words.
pub(super) fn commands(text: &str) -> Vec<Vec<Word>> {
    let mut reader = Reader::default();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => reader.quoted(|| chars.next().filter(|c| *c != '\'')),
            '"' => {
                reader.begin();
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    match c {
                        '$' | '`' => reader.unknown(),
                        '\\' => reader.extend(chars.next()),
                        _ => reader.push(c),
                    }
                }
            }
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(c) => reader.push(c),
            },
            ' ' | '\t' => reader.end_word(),
            '#' if reader.word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            '<' if chars.peek() == Some(&'<') => break,
            '<' | '>' => {
                // `2>&1`: the number is no word of the command.
                if reader.word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
                    reader.word = None;
                }
                reader.end_word();
                while chars.next_if(|c| matches!(c, '>' | '&' | '|')).is_some() {}
                reader.skip_next = true;
            }
            ';' | '&' | '|' | '\n' | '(' | ')' => reader.end_command(),
            '$' | '`' | '*' | '?' | '[' | '~' => reader.unknown(),
            _ => reader.push(c),
        }
    }
    reader.end_command();
    reader.commands
}

#[derive(Default)]
struct Reader {
    commands: Vec<Vec<Word>>,
    command: Vec<Word>,
    word: Option<String>,
    /// The word holds something that only a shell knows.
    is_unknown: bool,
    /// The next word is where something is redirected.
    skip_next: bool,
}

impl Reader {
    fn begin(&mut self) {
        self.word.get_or_insert_default();
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn extend(&mut self, c: Option<char>) {
        c.into_iter().for_each(|c| self.push(c));
    }

    fn quoted(&mut self, mut next: impl FnMut() -> Option<char>) {
        self.begin();
        while let Some(c) = next() {
            self.push(c);
        }
    }

    fn unknown(&mut self) {
        self.begin();
        self.is_unknown = true;
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        let unknown = std::mem::take(&mut self.is_unknown);
        if std::mem::take(&mut self.skip_next) {
            return;
        }
        let starts = self.command.is_empty();
        if !unknown && starts && BEFORE_A_COMMAND.contains(&word.as_str()) {
            return;
        }
        self.command.push((!unknown).then_some(word));
    }

    fn end_command(&mut self) {
        self.end_word();
        self.skip_next = false;
        if !self.command.is_empty() {
            self.commands.push(std::mem::take(&mut self.command));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_where_they_stand() {
        let plain = |text: &str| -> Vec<String> {
            let joined = |words: &Vec<Word>| {
                words.iter().map(|word| word.as_deref().unwrap_or("?")).collect::<Vec<_>>().join(" ")
            };
            commands(text).iter().map(joined).collect()
        };
        for (text, wanted) in [
            ("/a/b c", &["/a/b c"][..]),
            ("set -e; /a & /b || ! /c && (/d)", &["set -e", "/a", "/b", "/c", "/d"]),
            ("if /a; then /b; else /c; fi", &["/a", "/b", "/c", "fi"]),
            ("echo '; /a' \"&& /b\" \\; /c", &["echo ; /a && /b ; /c"]),
            ("/a >/dev/null 2>&1 < /in b", &["/a b"]),
            ("X=1 /a \"$B\" $C/d *.sh", &["X=1 /a ? ? ?"]),
            ("/a # ; /b\n/c", &["/a", "/c"]),
            ("cat <<END\n/a\nEND", &["cat"]),
            ("", &[]),
        ] {
            assert_eq!(plain(text), wanted, "{text}");
        }
    }
}
