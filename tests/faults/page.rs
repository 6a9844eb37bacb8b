//! The table of faults, held against the sources, and the page that is made from it: `docs/faults.md`.
#![expect(clippy::unwrap_used, reason = "a table that cannot be read fails the test")]
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::seen;

/// How many faults there are, and how many of them must be automated.
const FAULTS: (usize, usize) = (111, 80);

/// One fault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    id: String,
    star: bool,
    fault: String,
    #[serde(default)]
    proofs: BTreeMap<String, String>,
    /// What the operator sees where there is nothing to quote.
    told: Option<String>,
    /// What differs from the usual, and why.
    note: Option<String>,
    /// Why it is not automated.
    not: Option<String>,
}

/// Where a fault is really produced, the most real first, with its name on the page.
const WHERE: [(&str, &str); 6] = [
    ("host", "real host in the lab"),
    ("redis", "real Redis"),
    ("pm2", "real PM2"),
    ("injection", "fault injection"),
    ("program", "this program"),
    ("model", "recorded or played"),
];

const FAMILIES: [(&str, &str); 6] = [
    ("redis", "Redis"),
    ("pm2", "PM2"),
    ("systemd", "systemd"),
    ("reboot", "Reboot and boot"),
    ("operator", "Operators"),
    ("tool", "This program and its machine"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table() -> BTreeMap<String, Vec<Fault>> {
    let text = std::fs::read_to_string(root().join("tests/faults/table.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// The words that the operator saw, and the exit code in front of them.
fn kept(id: &str) -> Option<(String, String)> {
    let read = |name: &str| std::fs::read_to_string(seen::path(name)).ok();
    let text = read(id).or_else(|| read(&format!("{id}-host")))?;
    let (first, words) = text.split_once('\n')?;
    Some((first.trim_start_matches("exit ").to_owned(), words.trim_end().to_owned()))
}

fn page(table: &BTreeMap<String, Vec<Fault>>) -> String {
    let all = || table.values().flatten();
    let count = |wanted: &dyn Fn(&Fault) -> bool| all().filter(|fault| wanted(fault)).count();
    let automated = |fault: &Fault| !fault.proofs.is_empty();
    let mut out = String::from(
        "# Faults, and what the operator sees\n\n\
         Made from `tests/faults/table.yaml` and from what the tests saw (`tests/faults/seen/`), by\n\
         `RUNBOOK_FAULTS=write cargo test --test faults page`; a test holds this page to both. Each fault is produced by the tests named\n\
         below it, where it says; `RUNBOOK_FAULTS=write` with `RUNBOOK_LAB=1` takes the words down anew, those of the lab included.\n\
         What changes from run to run stands as `#`, `…`, `r-RUN`, `/srv`. A star marks what must be automated.\n\n",
    );
    writeln!(
        out,
        "| | faults | automated | on a real host |\n|---|---:|---:|---:|\n| all | {} | {} | {} |\n| with a star | {} | {} | {} |\n",
        count(&|_| true),
        count(&automated),
        count(&|fault| fault.proofs.contains_key("host")),
        count(&|fault| fault.star),
        count(&|fault| fault.star && automated(fault)),
        count(&|fault| fault.star && fault.proofs.contains_key("host")),
    )
    .unwrap();
    for (key, title) in FAMILIES {
        writeln!(out, "## {title}\n").unwrap();
        for fault in &table[key] {
            one(&mut out, fault);
        }
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

fn one(out: &mut String, fault: &Fault) {
    let star = if fault.star { " ★" } else { "" };
    writeln!(out, "### {}{star} {}\n", fault.id, fault.fault).unwrap();
    if let Some(why) = &fault.not {
        writeln!(out, "Not automated yet: {why}.\n").unwrap();
        return;
    }
    for (key, name) in WHERE {
        if let Some(test) = fault.proofs.get(key) {
            writeln!(out, "- {name}: `{test}`").unwrap();
        }
    }
    out.push('\n');
    if let Some(note) = &fault.note {
        writeln!(out, "{note}\n").unwrap();
    }
    match (&fault.told, kept(&fault.id)) {
        (None, Some((exit, words))) => {
            if exit != "none" {
                writeln!(out, "Exit code {exit}:\n").unwrap();
            }
            writeln!(out, "```text\n{words}\n```\n").unwrap();
        }
        (Some(told), _) => writeln!(out, "{told}\n").unwrap(),
        (None, None) => panic!("{}: neither words that were seen nor `told`", fault.id),
    }
}

#[test]
fn the_table_is_whole_and_names_only_tests_that_exist() {
    let table = table();
    let all: Vec<&Fault> = FAMILIES.iter().flat_map(|(key, _)| &table[*key]).collect();
    let ids: BTreeSet<&str> = all.iter().map(|fault| fault.id.as_str()).collect();
    assert_eq!((ids.len(), all.iter().filter(|fault| fault.star).count()), FAULTS);
    for fault in &all {
        assert_ne!(fault.not.is_some(), !fault.proofs.is_empty(), "{}: either proofs or a reason", fault.id);
        for (key, test) in &fault.proofs {
            assert!(WHERE.iter().any(|(known, _)| known == key), "{}: {key}?", fault.id);
            let (path, name) = test.split_once("::").unwrap_or_else(|| panic!("{}: {test}", fault.id));
            let source =
                std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{}: {path}: {e}", fault.id));
            assert!(is_test(&source, name), "{}: there is no test {test}", fault.id);
            assert_eq!(key == "host", name.starts_with("lab_"), "{}: {test} is not of that kind", fault.id);
        }
    }
    let automated = all.iter().filter(|fault| !fault.proofs.is_empty()).count();
    let hosts = all.iter().filter(|fault| fault.proofs.contains_key("host")).count();
    assert!(automated >= 60 && hosts >= 20, "{automated} automated, {hosts} on a real host");
}

/// Whether the source has a function of this name right below `#[test]` or `#[tokio::test]`.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let named = |line: &str| line.strip_prefix("async ").unwrap_or(line).starts_with(&format!("fn {name}("));
    let above =
        |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    lines.iter().enumerate().any(|(at, line)| named(line) && above(at).any(|line| line.contains("test")))
}

#[test]
fn no_words_are_kept_of_a_fault_that_is_not_in_the_table() {
    let table = table();
    let known: BTreeSet<String> = table.values().flatten().map(|fault| fault.id.clone()).collect();
    for entry in std::fs::read_dir(root().join("tests/faults/seen")).unwrap() {
        let name = entry.unwrap().path();
        let stem = name.file_stem().unwrap().to_str().unwrap().trim_end_matches("-host").to_owned();
        assert!(known.contains(&stem), "{}", name.display());
    }
}

#[test]
fn the_page_is_up_to_date() {
    let path: PathBuf = root().join("docs/faults.md");
    let now = page(&table());
    if seen::writing() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, now).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "docs/faults.md is out of date: RUNBOOK_FAULTS=write cargo test --test faults page");
}
