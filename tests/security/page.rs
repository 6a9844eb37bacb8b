//! `docs/security.md`, held against the sources: each line names a test, and each test that it names exists.
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            all.push(path);
        }
    }
}

/// The names of all tests: functions right below an attribute that says so.
fn tests() -> Vec<String> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    sources(&root().join("tests"), &mut files);
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if line.starts_with("#[") || line.starts_with("//") {
                marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            } else {
                all.extend(function.filter(|_| marked).and_then(|rest| Some(rest.split_once('(')?.0.to_owned())));
                marked = false;
            }
        }
    }
    all
}

#[test]
fn each_line_of_the_page_names_tests_that_exist() {
    let page = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let known = tests();
    let (mut lines, mut named) = (0, 0);
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| proven by |"));
    for row in rows {
        let (_, proofs) = row.trim_end_matches([' ', '|']).rsplit_once(" | ").unwrap();
        let names: Vec<&str> = proofs.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in &names {
            assert!(known.iter().any(|one| one == name), "there is no test `{name}`: {row}");
        }
        (lines, named) = (lines + 1, named + names.len());
    }
    assert!(lines >= 20 && named >= 25, "{lines} lines, {named} tests");
}

#[test]
fn the_common_words_of_the_page_are_those_of_the_program() {
    let page = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let source = std::fs::read_to_string(root().join("src/host/redact/common.rs")).unwrap();
    let (_, list) = source.split_once("const COMMON").unwrap();
    let words: Vec<&str> = list.split_once("];").unwrap().0.split('"').skip(1).step_by(2).collect();
    let (_, told) = page.split_once("falls to the first guess.\n\n").unwrap();
    let told: Vec<&str> = told.split("\n\n").next().unwrap().split('`').skip(1).step_by(2).collect();
    assert_eq!(told, words);
}
