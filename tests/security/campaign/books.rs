//! A runbook that is not one: found in a checkout, sent by mail. It is read, checked and planned, never run.
use std::time::Duration;

use serde_json::json;

use super::dice::Dice;
use super::site::Site;
use super::{Trap, call};
use crate::bench::hostname;
use crate::escapes;

const KINDS: usize = 48;

pub(super) fn trap(number: usize, dice: &mut Dice, site: &mut Site) -> Trap {
    let (kind, bytes) = if number < KINDS { book(number, site) } else { bent(dice, site) };
    let path = site.bench.file("books/red.yaml", "");
    std::fs::write(&path, bytes).unwrap();
    let calls = match number % 6 {
        0 => vec![call(&["check", &path]), call(&["plan", &path])],
        1 => vec![call(&["check", &path, "--json"]), call(&["show", &path])],
        2 => vec![call(&["plan", &path, "--json"])],
        3 => vec![call(&["plan", &path, "--by-hand"]), call(&["facts", &path])],
        4 => vec![call(&["check", &path]), call(&["doctor", &path])],
        _ => vec![call(&["run", &path, "--dry-run"]), call(&["list"])],
    };
    Trap { kind, calls, waits: Duration::ZERO, alive: Vec::new() }
}

fn good(steps: &str) -> String {
    format!("version: 1\nname: red\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n{steps}", hostname())
}

fn step(argv: &str) -> String {
    good(&format!("      - command: {{ argv: {argv}, repeatable: true }}\n"))
}

fn named(name: &str) -> String {
    step("[\"true\"]").replace("name: red", &format!("name: {}", json!(name)))
}

/// Lists that name lists that name lists.
fn aliases(width: usize, depth: usize) -> String {
    let mut text = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..depth {
        text += &format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); width].join(", "));
    }
    text
}

fn book(kind: usize, site: &Site) -> (String, Vec<u8>) {
    let many = |count: usize, one: &str| one.repeat(count);
    let (what, text): (&str, String) = match kind {
        0 => ("nothing", String::new()),
        1 => ("a billion laughs", aliases(10, 12) + &step("*l11")),
        2 => ("a few laughs", aliases(8, 5) + &step("*l4")),
        3 => (
            "many aliases of a long text",
            format!("x: &x \"{}\"\ny: [{}]\n", many(100_000, "A"), vec!["*x"; 5_000].join(", ")) + &step("[\"true\"]"),
        ),
        4 => ("an alias in itself", "a: &a [*a]\n".to_owned() + &step("[\"true\"]")),
        5 => ("merge keys", "b: &b { x: 1 }\nc: { <<: [*b, *b, *b] }\n".to_owned() + &step("[\"true\"]")),
        6 => ("deep flow lists", step(&(many(50_000, "[") + &many(50_000, "]")))),
        7 => ("deep block lists", step("") + &(0..2_000).map(|n| format!("{}- \n", " ".repeat(n))).collect::<String>()),
        8 => ("deep maps", step(&(many(20_000, "{a: ") + "1" + &many(20_000, "}")))),
        9 => ("a giant text", step(&format!("[\"{}\"]", many(3_000_000, "A")))),
        10 => ("a giant key", step("[\"true\"]") + &format!("{}: 1\n", many(900_000, "k"))),
        11 => ("a giant block text", format!("doc: |\n{}", many(60_000, "  a line of a text\n")) + &step("[\"true\"]")),
        12 => ("100,000 steps", good(&many(100_000, "      - units_active: {}\n"))),
        13 => (
            "100,000 unknown keys",
            step("[\"true\"]") + &(0..100_000).map(|n| format!("k{n}: 1\n")).collect::<String>(),
        ),
        14 => ("100,000 equal keys", step("[\"true\"]") + &many(100_000, "doc: x\n")),
        15 => ("100,000 arguments", step(&format!("[{}]", vec!["a"; 100_000].join(", ")))),
        16 => ("10,000 documents", many(10_000, "---\nversion: 1\n")),
        17 => ("a name with escapes", named("\u{1b}[2J\u{1b}]0;pwn\u{7}\u{202e}red")),
        18 => ("a name that is a path", named("../../../etc/cron.d/x")),
        19 => ("a name that is an option", named("--yes")),
        20 => ("a name that is empty", named("")),
        21 => ("a name of 100,000 letters", named(&many(100_000, "n"))),
        22 => ("a name with a zero", named("a\0b")),
        23 => ("escapes everywhere", {
            let all: Vec<String> =
                escapes::payloads().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
            step(&json!(all).to_string())
        }),
        24 => ("arguments with zeros", step("[\"tr\\0ue\"]")),
        25 => ("no arguments", step("[]")),
        26 => ("an argument that is empty", step("[\"\"]")),
        27 => ("a device for a program", step("[/dev/zero]")),
        28 => ("a directory for a program", step("[/etc]")),
        29 => ("tags", step("!!python/object/apply:os.system [\"id\"]")),
        30 => ("binary tags", step("[!!binary \"AAAA\", !!float \"x\", !<tag:x> y]")),
        31 => ("bad escapes", step("[\"\\xZZ\", \"\\U0010ffff\", \"\\ud800\"]")),
        32 => ("tabs", step("[\"true\"]").replace("    ", "\t")),
        33 => ("other line ends", step("[\"true\"]").replace('\n', "\u{2028}")),
        34 => ("a mark in front", format!("\u{feff}{}", step("[\"true\"]"))),
        35 => ("times out of range", step("[\"true\"]") + "        within: 99999999999999999999h\n"),
        36 => ("numbers out of range", step("[\"true\"]").replace("version: 1", "version: 1e400")),
        37 => (
            "a window that is none",
            step("[\"true\"]") + "window: { days: [sat], opens: \"25:99\", length: -3h, timezone: ../../etc/passwd }\n",
        ),
        38 => (
            "secrets in devices",
            format!(
                "{}redis: {{ a: {{ url: \"redis://127.0.0.1:1\", role: master, password: {{ file: /dev/zero }} }} }}\n",
                step("[\"true\"]")
            ),
        ),
        39 => ("secrets in a pipe", {
            super::pm2_home::plant(&site.path("redis/pipe"), "fifo", site, "");
            format!(
                "{}redis: {{ a: {{ url: \"redis://127.0.0.1:1\", role: master, password: {{ file: {} }} }} }}\n",
                step("[\"true\"]"),
                site.path("redis/pipe").display()
            )
        }),
        40 => (
            "addresses",
            format!(
                "{}redis: {{ a: {{ url: \"redis://u:{}@127.0.0.1:99999/0?x#y\", role: master }}, b: {{ url: \"unix:///dev/zero\", role: master }} }}\n",
                step("[\"true\"]"),
                "p".repeat(5_000)
            ),
        ),
        41 => (
            "a thousand homes",
            format!(
                "{}pm2:\n{}",
                step("[\"true\"]"),
                (0..1_000).map(|n| format!("  p{n}: {{ user: u{n}, home: /dev/zero }}\n")).collect::<String>()
            ),
        ),
        42 => (
            "homes in odd places",
            format!(
                "{}pm2: {{ a: {{ user: \"-rf\", home: \"/proc/1/root\" }}, b: {{ user: \"a\\nb\", home: \"\" }}, c: {{ user: root, home: /dev/fd/0 }} }}\n",
                step("[\"true\"]")
            ),
        ),
        43 => (
            "braces without end",
            good(&format!("      - units_active: {{ units: [\"{}\"] }}\n", many(30, "{a,b}")))
                + &format!("units: {{ r: {{ units: \"x{}.service\" }} }}\n", many(30, "{a,b,c}")),
        ),
        44 => (
            "patterns",
            format!(
                "{}pm2: {{ a: {{ user: u, home: /nowhere, groups: [ {{ name: g, apps: [\"{}b\"] }} ] }} }}\n",
                step("[\"true\"]"),
                many(500, "*a")
            ),
        ),
        45 => (
            "references in a ring",
            format!(
                "{}pm2: {{ a: {{ user: u, home: /nowhere, groups: [ {{ name: g, apps: [\"*\"], needs: {{ groups: [h] }} }}, {{ name: h, apps: [\"x\"], needs: {{ groups: [g] }} }} ] }} }}\n",
                step("[\"true\"]")
            ),
        ),
        46 => ("a document of comments", many(200_000, "# x\n")),
        _ => (
            "checks of devices",
            good(
                "      - healthy: { checks: [ { host: { disk_free: { path: /proc/self/fd/0, at_least: 99999999999TiB } } }, { tcp: { addr: \"[::::]:0\" } }, { unit: { name: \"-.mount\" } }, { http: { url: \"file:///etc/shadow\" } } ] }\n",
            ),
        ),
    };
    (what.to_owned(), text.into_bytes())
}

/// A real runbook with every key, bent in places: characters changed, lines taken out, doubled, moved in, and cut off.
fn bent(dice: &mut Dice, site: &Site) -> (String, Vec<u8>) {
    let every =
        include_str!("../../recorded/every-key.yaml").replace("hosts: [stg-1]", &format!("hosts: [{}]", hostname()));
    let every = every.replace("/var/www/app/.pm2", &site.home("").display().to_string());
    if dice.below(4) == 0 {
        let kind = dice.below(KINDS);
        let (what, mut bytes) = book(kind, site);
        if !bytes.is_empty() && bytes.len() < 1 << 20 {
            let at = dice.below(bytes.len());
            bytes[at] = *dice.pick(b"\x00\xff\x1b\"{[&*!|>%@`\t\n:");
        }
        return (format!("bent: {what}"), bytes);
    }
    let mut lines: Vec<Vec<u8>> = every.lines().map(|line| line.as_bytes().to_vec()).collect();
    let odd: [&[u8]; 16] = [
        b"*",
        b"&a",
        b"!!str",
        b"|",
        b">",
        b"{",
        b"[",
        b"\"",
        b"\x00",
        b"\xff",
        b"\x1b[2J",
        b"\xe2\x80\xae",
        b"99999999999999999999",
        b"-1",
        b"~",
        b"? :",
    ];
    let count = 1 + dice.below(6);
    for _ in 0..count {
        let at = dice.below(lines.len());
        match dice.below(6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let to = dice.below(lines.len());
                lines.swap(at, to);
            }
            3 => lines[at].splice(0..0, b"  ".iter().copied()).for_each(drop),
            4 => {
                let column = dice.below(lines[at].len() + 1);
                let word = *dice.pick(&odd);
                lines[at].splice(column..column, word.iter().copied()).for_each(drop);
            }
            _ => {
                // The value of a key becomes something else.
                let end = lines[at].iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
                lines[at].truncate(end);
                lines[at].extend_from_slice(b" ");
                let word = *dice.pick(&odd);
                lines[at].extend_from_slice(word);
            }
        }
    }
    (format!("every key, {count} changes"), lines.join(&b'\n'))
}
