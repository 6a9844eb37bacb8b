//! Which words of the sheet can be typed: all are quoted for a POSIX shell, and what was escaped on its way here is none any more.

use crate::host::foreign::named;
pub(super) use crate::host::shell_word::word;

/// Whether a name or path from outside can be typed and is still what the machine calls it: what was escaped or cut on its way
/// here ([`named`]) is not, and a line end in it would begin a line of the sheet.
pub(super) fn is_exact(name: &str) -> bool {
    let tamed = named(name, usize::MAX);
    tamed == name
        && !(name.contains("\\u{") || name.contains("\\x") || (name.ends_with("...") && name.chars().count() > 60))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a real shell is the judge of quoting")]
    use std::process::{Command, Stdio};

    use super::*;

    /// Half a thousand values that have broken shells before: every ASCII character alone, in front, behind and doubled,
    /// and what people put into names to see what happens.
    fn hostile() -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for c in (1u8..=127).map(char::from) {
            all.extend([format!("{c}"), format!("{c}a"), format!("a{c}"), format!("{c}{c}'{c}")]);
        }
        let known = [
            "",
            " ",
            "$(id)",
            "`id`",
            "${HOME}",
            "$HOME",
            "a;b",
            "a&&b",
            "a|b",
            "a>b",
            "a<b",
            "a\nb",
            "a\r\nb",
            "*",
            "?",
            "[a]",
            "~",
            "~root",
            "!!",
            "!x",
            "#x",
            "-rf",
            "--",
            "=x",
            "x=y",
            "{a,b}",
            "a\\",
            "\\'",
            "'\\''",
            "\"'\"",
            "'; rm -rf /tmp/nothing; '",
            "$'a'",
            "\u{fc}",
            "\u{6f22}",
            "\u{1f600}",
            "\u{202e}x",
            "%s%n",
            "a\tb",
            "'",
            "''",
            "'''",
        ];
        all.extend(known.map(str::to_owned));
        all
    }

    #[test]
    fn a_real_shell_hands_every_value_on_byte_by_byte() {
        let values = hostile();
        assert!(values.len() > 500, "{}", values.len());
        let words: Vec<String> = values.iter().map(|value| word(value)).collect();
        let script = format!("printf '%s\\0' {}\n", words.join(" "));
        for shell in ["sh", "bash"] {
            let run = Command::new(shell).args(["-eu", "-c", &script]).stdin(Stdio::null()).output();
            let Ok(output) = run else { continue };
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
            let wanted: Vec<u8> = values.iter().flat_map(|value| [value.as_bytes(), b"\0"].concat()).collect();
            assert_eq!(output.stdout, wanted, "{shell}");
        }
    }

    #[test]
    fn plain_words_stay_readable_and_tamed_ones_are_known() {
        assert_eq!(word("redis-server@bull00.service"), "redis-server@bull00.service");
        assert_eq!(word("a b"), "'a b'");
        assert!(is_exact("api") && !is_exact("a\\u{a}b") && !is_exact("\\xff"));
        assert!(!is_exact(&format!("{}...", "a".repeat(80))));
        assert!(!is_exact("/home/a/\n# ==== part 2") && !is_exact("a\u{1b}[2J") && !is_exact("a\u{202e}b"));
    }
}
