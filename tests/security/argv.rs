//! Arguments that look like something else arrive as they are written: at each place of a runbook where words become the
//! arguments of a program, the kernel's own record (`/proc/PID/cmdline`) is compared byte for byte.
use std::collections::BTreeSet;

use super::bench::{Bench, hostname, told};
use super::figure;

/// 500 different words that shells, printf, templates, option parsers, systemd or YAML would read as something else.
fn payloads() -> Vec<String> {
    let long = "x".repeat(4000);
    let atoms = [
        "",
        " ",
        "$(id)",
        "`id`",
        "${HOME}",
        "$HOME",
        "; rm -rf /",
        "| sh",
        "&& reboot",
        "> /etc/passwd",
        "{{ name }}",
        "{% raw %}",
        "%n",
        "%h%%",
        "%s%x",
        "-rf",
        "--help",
        "--",
        "*",
        "~root",
        "@/etc/passwd",
        "\\",
        "'",
        "\"",
        "a b  c",
        "!!",
        "#",
        "\u{e4}\u{6f22}",
        "\n",
        "no",
        "\u{1b}[2J",
        "\r\u{7}\u{8}",
        "\u{9b}\u{7f}",
        "\u{202e}",
        &long,
    ];
    let around = [
        ("", ""),
        ("'", "'"),
        ("\"", "\""),
        ("a", "b"),
        ("\\", ""),
        ("$", ""),
        ("-", ""),
        ("=", "="),
        ("\\\"", "\\'"),
        ("{", "}"),
        ("[", "]"),
        ("<", ">"),
        (" ", " "),
        ("%", "%"),
        ("!", ""),
        ("\n", "\n"),
        ("*", "*"),
        ("&", "&"),
        ("--x=", ""),
        ("\u{301}", ""),
    ];
    let all: BTreeSet<String> =
        around.iter().flat_map(|(a, b)| atoms.iter().map(move |atom| format!("{a}{atom}{b}"))).collect();
    all.into_iter().take(500).collect()
}

/// The words in a list of a runbook. Double-quoted, with everything beyond ASCII by its number (YAML 1.2, 5.7).
fn listed(words: &[String]) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        _ if u32::from(c) < 0x1_0000 => format!("\\u{:04x}", u32::from(c)),
        _ => format!("\\U{:08x}", u32::from(c)),
    };
    let quoted = |word: &String| format!("\"{}\"", word.chars().map(escaped).collect::<String>());
    words.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

#[test]
fn arguments_arrive_byte_for_byte() {
    let payloads = payloads();
    assert_eq!(payloads.len(), 500);
    let (mut wrong, mut shown) = (Vec::new(), Vec::new());
    for place in ["argv", "done_if", "check"] {
        let mut bench = Bench::new();
        let mut steps = String::new();
        for (n, words) in payloads.chunks(25).enumerate() {
            let dump =
                format!("/bin/sh, -c, 'cat /proc/$$/cmdline > {}', dump", bench.path(&format!("seen-{n}")).display());
            let words = format!("[{dump}, {}]", listed(words));
            steps += &match place {
                "argv" => format!("      - command: {{ argv: {words}, repeatable: true }}\n"),
                "done_if" => format!("      - command: {{ argv: [\"false\"], done_if: {words} }}\n"),
                _ => format!(
                    "      - healthy: {{ checks: [ {{ command: {{ argv: {words} }} }} ] }}\n        within: 30s\n"
                ),
            };
        }
        let text =
            format!("version: 1\nname: words\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n{steps}", hostname());
        let book = bench.file("words.yaml", &text);
        let output = bench.runbook(&["run", &book, "--yes", "--progress", "plain"]);
        assert_eq!(output.status.code(), Some(0), "{place}: {}", told(&output));
        let streams = [&output.stdout, &output.stderr];
        shown.extend(streams.into_iter().flat_map(|bytes| super::escapes::harmful(bytes, false)));
        for (n, words) in payloads.chunks(25).enumerate() {
            let seen = std::fs::read(bench.path(&format!("seen-{n}"))).unwrap_or_default();
            let seen: Vec<&[u8]> = seen.split(|byte| *byte == 0).skip(4).collect();
            let matched = words.iter().zip(&seen).filter(|(word, seen)| word.as_bytes() == **seen).count();
            if matched != words.len() || seen.len() != words.len() + 1 {
                wrong.push(format!("{place} {n}: {matched} of {}", words.len()));
            }
        }
    }
    // What cannot be an argument is refused before anything runs.
    let mut bench = Bench::new();
    let touched = bench.path("touched");
    let text = format!(
        "version: 1\nname: words\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [/usr/bin/touch, {}, \"\\0\"], repeatable: true }}\n",
        hostname(),
        touched.display()
    );
    let book = bench.file("bad.yaml", &text);
    let output = bench.runbook(&["run", &book, "--yes"]);
    assert!(output.status.code() == Some(3) && !touched.exists(), "{}", told(&output));
    figure(&format!(
        "argv: {} payloads x 3 places: {} not identical, {} harmful bytes shown; NUL refused",
        payloads.len(),
        wrong.len(),
        shown.len()
    ));
    assert!(shown.is_empty(), "{shown:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
