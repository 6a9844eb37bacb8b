//! What the operator saw, kept in `seen/ID.txt`: the exit code, then the words. A test compares with it what the program really
//! said, so the page that is made from these files cannot say anything else. `RUNBOOK_FAULTS=write` writes them anew.
#![expect(clippy::disallowed_methods, reason = "tests read their own environment")]
#![expect(clippy::unwrap_used, reason = "a file of this folder that cannot be read or written fails the test")]
use std::path::PathBuf;

use crate::support::program::{Said, hostname};

/// Whether files are to be written instead of compared.
pub(crate) fn writing() -> bool {
    std::env::var_os("RUNBOOK_FAULTS").is_some_and(|value| value == "write")
}

/// Where the words of a fault are kept.
pub(crate) fn path(id: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/faults/seen/{id}.txt"))
}

/// Words of the program on their way into a file: what changes from run to run is replaced by what stands for it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    exit: Option<i32>,
    text: String,
}

impl Seen {
    /// What a command of the program said on its standard error, where talk and failures go.
    pub(crate) fn err(said: &Said) -> Self {
        Self { exit: Some(said.code), text: said.err.clone() }
    }

    /// What it said on both streams.
    pub(crate) fn all(said: &Said) -> Self {
        Self { exit: Some(said.code), text: said.all() }
    }

    /// Words from elsewhere: a login note, the log of a unit.
    pub(crate) fn words(exit: Option<i32>, text: &str) -> Self {
        Self { exit, text: text.to_owned() }
    }

    /// Puts `stands_for` in the place of `changing`.
    pub(crate) fn with(mut self, changing: &str, stands_for: &str) -> Self {
        if !changing.is_empty() {
            self.text = self.text.replace(changing, stands_for);
        }
        self
    }

    /// Puts `#` in the place of every run of digits behind these words.
    pub(crate) fn number_after(mut self, words: &str) -> Self {
        let mut out = String::new();
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find(words) {
            let (before, after) = rest.split_at(at + words.len());
            out.push_str(before);
            let tail = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            if tail.len() < after.len() {
                out.push('#');
            }
            rest = tail;
        }
        out.push_str(rest);
        self.text = out;
        self
    }

    /// Leaves out what follows these words on their line.
    pub(crate) fn cut_after(mut self, words: &str) -> Self {
        let cut =
            |line: &str| line.split_once(words).map_or(line.to_owned(), |(before, _)| format!("{before}{words} …"));
        self.text = self.text.lines().map(cut).collect::<Vec<_>>().join("\n");
        self
    }

    /// Puts `…` in the place of the one word behind these words.
    pub(crate) fn word_after(mut self, words: &str) -> Self {
        let mut out = String::new();
        let mut rest = self.text.as_str();
        while let Some((before, behind)) = rest.split_once(words) {
            out.push_str(&format!("{before}{words}…"));
            rest = &behind[behind.find([' ', ';', '"', '\n']).unwrap_or(behind.len())..];
        }
        out.push_str(rest);
        self.text = out;
        self
    }

    /// Keeps only lines from the first that holds `first`.
    pub(crate) fn from(mut self, first: &str) -> Self {
        let lines: Vec<&str> = self.text.lines().collect();
        let at = lines.iter().position(|line| line.contains(first));
        let at = at.unwrap_or_else(|| panic!("`{first}` is not in:\n{}", self.text));
        self.text = lines[at..].join("\n");
        self
    }

    /// Replaces what the holder of a lock is known by: user, terminal, start.
    pub(crate) fn tidy_holder(self) -> Self {
        self.number_after("started ").word_after("boot ").word_after("user ").word_after("tty ")
    }

    /// Keeps only lines up to the first that holds `end`, without it.
    pub(crate) fn until(mut self, end: &str) -> Self {
        let kept: Vec<&str> = self.text.lines().take_while(|line| !line.contains(end)).collect();
        self.text = kept.join("\n");
        self
    }

    /// Keeps the first line and the indented ones behind it.
    pub(crate) fn while_indented(mut self) -> Self {
        // A warning among others: the exit code is not about it.
        self.exit = None;
        let behind = self.text.lines().skip(1).take_while(|line| line.starts_with("  ")).count();
        self.text = self.text.lines().take(1 + behind).collect::<Vec<_>>().join("\n");
        self
    }

    /// Keeps only lines that hold one of these words.
    pub(crate) fn only(mut self, words: &[&str]) -> Self {
        let kept: Vec<&str> = self.text.lines().filter(|line| words.iter().any(|word| line.contains(word))).collect();
        self.text = kept.join("\n");
        self
    }

    /// Compares with the file of the fault, or writes it.
    #[track_caller]
    pub(crate) fn is(self, id: &str) {
        let now = self.file();
        if writing() {
            std::fs::write(path(id), &now).unwrap();
            return;
        }
        let kept = std::fs::read_to_string(path(id)).unwrap_or_default();
        assert_eq!(
            kept, now,
            "{id}: the operator sees something else than tests/faults/seen/{id}.txt; if that is meant: RUNBOOK_FAULTS=write cargo test --test faults"
        );
    }

    fn file(&self) -> String {
        let code = self.exit.map_or("none".to_owned(), |code| code.to_string());
        let text = steady(&self.text);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        format!("exit {code}\n{}\n", lines.join("\n").trim_matches('\n'))
    }
}

/// Replaces what is different on every machine and in every run: run names, this host's name, the clock in front of a line.
fn steady(text: &str) -> String {
    let host = hostname();
    let named = ["\n", " ", ",", ";", "]", ":"].iter().fold(format!("{text}\n"), |text, end| {
        let stands_for = |before: &str| (format!("{before}{host}{end}"), format!("{before}stg-1{end}"));
        [stands_for(" "), stands_for("[")].iter().fold(text, |text, (host, name)| text.replace(host, name))
    });
    let mut out = String::new();
    let mut slow = false;
    for line in named.lines() {
        // Which steps took longest is another story on every machine; the names may go on on the next line.
        slow = line.starts_with("  longest") || (slow && line.starts_with("           "));
        if !slow {
            out.push_str(&measured(&runs(without_clock(line))));
            out.push('\n');
        }
    }
    out
}

/// Spans, clocks, checksums, offsets and counts of restarts become `#`: they are measured, not said.
fn measured(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mask = |at: usize| {
        let word = words[at];
        let bare = word.trim_matches(['(', ')', ',', ';', '.']);
        let before = at.checked_sub(1).map_or("", |at| words[at]);
        let after = words.get(at + 1).copied().unwrap_or_default();
        let number = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit());
        let counted = number && (before == "byte" || after.starts_with("restart"));
        let sum = bare.len() == 8 && bare.bytes().all(|b| b.is_ascii_hexdigit());
        let day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&bare);
        if counted || sum || day || is_span(bare) || is_clock(bare) { word.replace(bare, "#") } else { word.to_owned() }
    };
    let mut out: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let shown = mask(at);
        // A column is filled up to the width of what was measured: two spaces stand for any filling.
        while shown != *word && out.len() > 3 && out.ends_with(&["".to_owned(), "".to_owned()]) {
            out.pop();
        }
        out.push(shown);
    }
    out.join(" ")
}

/// `2.6s`, `2m26s`, `1h`, `150ms`.
fn is_span(word: &str) -> bool {
    let digits = word.starts_with(|c: char| c.is_ascii_digit());
    digits && word.ends_with(['s', 'm', 'h']) && word.chars().all(|c| c.is_ascii_digit() || ".hms".contains(c))
}

/// `17:29`, `0:02`.
fn is_clock(word: &str) -> bool {
    let Some((left, right)) = word.split_once(':') else { return false };
    let number = |part: &str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
    number(left) && number(right)
}

/// `r-20261122-142912-b5c6` becomes `r-RUN`.
fn runs(line: &str) -> String {
    const LENGTH: usize = "r-20261122-142912-b5c6".len();
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("r-2") {
        let run = rest
            .get(at..at + LENGTH)
            .filter(|run| run[2..].chars().all(|c| c.is_ascii_hexdigit() || c == '-') && run.matches('-').count() == 3);
        let end = at + run.map_or(3, |_| LENGTH);
        out.push_str(&rest[..at]);
        out.push_str(if run.is_some() { "r-RUN" } else { "r-2" });
        rest = &rest[end..];
    }
    out + rest
}

/// `15:29:13 [2/9 compact] …` loses its clock.
fn without_clock(line: &str) -> &str {
    let shape =
        |line: &str| line.bytes().take(9).map(|b| if b.is_ascii_digit() { b'9' } else { b }).collect::<Vec<_>>();
    if shape(line) == b"99:99:99 " { &line[9..] } else { line }
}

#[test]
fn what_changes_is_replaced() {
    let seen = Seen::words(Some(1), "15:29:13 run r-20261122-142912-b5c6 of pid 4711: r-2 is no run \nkeep\n\n");
    assert_eq!(seen.number_after("pid ").file(), "exit 1\nrun r-RUN of pid #: r-2 is no run\nkeep\n");
    for took in ["   9.9s", "  12.4s", "1h02m3s"] {
        assert_eq!(measured(&format!("  >>  5  reboot          {took}")), "  >>  5  reboot  #");
    }
}
