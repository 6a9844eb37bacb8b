//! The house rules that the compiler does not know: who imports whom, and where processes, clock, environment and screen
//! may be touched. Comments and test modules are left out of the reading.
#![expect(clippy::unwrap_used, reason = "a source that cannot be read fails the test")]
use std::path::{Path, PathBuf};

/// Where printing is allowed at all.
const PRINTERS: [&str; 2] = ["report", "cli"];
/// Where processes, clock, sleep and environment are allowed.
const TOUCHERS: [&str; 2] = ["host", "cli"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Module names in the order of `lib.rs`.
fn floors() -> Vec<String> {
    let text = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    let name = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    text.lines().filter_map(name).collect()
}

/// Every file of a floor with its text, without comments and without what follows `#[cfg(test)]`.
fn files(floor: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let single = source().join(format!("{floor}.rs"));
    if single.is_file() {
        found.push(single);
    }
    walk(&source().join(floor), &mut found);
    assert!(!found.is_empty(), "floor {floor} has no file");
    found.into_iter().filter(|path| !is_test(path)).map(|path| (path.clone(), code(&path))).collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Files, or directories above them, that their parent declares below `#[cfg(test)]`.
fn is_test(path: &Path) -> bool {
    let within = path.ancestors().take_while(|part| *part != source());
    within.filter(|part| part.file_name().is_some_and(|name| name != "mod.rs")).any(declared_as_test)
}

fn declared_as_test(path: &Path) -> bool {
    let (stem, parent) = (path.file_stem().unwrap().to_str().unwrap(), path.parent().unwrap());
    let mut declares = vec![parent.with_extension("rs")];
    walk_one(parent, &mut declares);
    let wanted = ["mod", "pub(crate)mod", "pub(super)mod"].map(|word| format!("#[cfg(test)]{word}{stem};"));
    let by_path = format!("#[cfg(test)]#[path=\"{stem}.rs\"]");
    declares.iter().filter_map(|file| std::fs::read_to_string(file).ok()).any(|text| {
        let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        dense.contains(&by_path) || wanted.iter().any(|one| dense.contains(one))
    })
}

fn walk_one(dir: &Path, found: &mut Vec<PathBuf>) {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    found.extend(files.filter(|path| path.extension().is_some_and(|end| end == "rs")));
}

fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let mut out = String::new();
    let mut after_cfg_test = false;
    for line in text.lines() {
        let line = line.trim_start();
        if line == "#[cfg(test)]" {
            after_cfg_test = true;
            continue;
        }
        // A test module stands at the end of its file; a declaration of one is a single line.
        if after_cfg_test && line.contains("mod ") && line.ends_with('{') {
            break;
        }
        after_cfg_test = after_cfg_test && line.starts_with("#[");
        if !line.starts_with("//") {
            out.push_str(line.split(" // ").next().unwrap_or_default());
            out.push('\n');
        }
    }
    out
}

/// Names after `crate::`, groups such as `crate::{a, b::c}` included.
fn imports(code: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = |text: &str| text.trim().chars().take_while(|c| is_name(*c)).collect::<String>();
    let mut found = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        // `$crate` and `some_crate::` are other things.
        if code[..at].ends_with(|c: char| is_name(c) || c == '$') {
            continue;
        }
        let rest = &code[at + word.len()..];
        match rest.strip_prefix('{') {
            None => found.push(first(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut start = 0;
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            found.push(first(&group[start..i]));
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.push(first(&group[start..i]));
                            start = i + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn a_module_imports_only_what_is_declared_above_it() {
    let floors = floors();
    assert_eq!(floors.first().map(String::as_str), Some("host"));
    assert_eq!(floors.last().map(String::as_str), Some("cli"));
    let mut wrong = Vec::new();
    for (level, floor) in floors.iter().enumerate() {
        for (path, code) in files(floor) {
            for name in imports(&code) {
                let Some(other) = floors.iter().position(|one| *one == name) else {
                    continue;
                };
                if other > level {
                    wrong.push(format!("{}: {floor} imports {name}, which is declared below it", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines with one of the words, outside the floors that may use them.
fn trespassers(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let floors = floors().into_iter().filter(|floor| !allowed.contains(&floor.as_str()));
    let mut wrong = Vec::new();
    for (path, code) in floors.flat_map(|floor| files(&floor)) {
        let lines = code.lines().filter(|line| words.iter().any(|word| line.contains(word)));
        wrong.extend(lines.map(|line| format!("{}: {line}", path.display())));
    }
    wrong
}

#[test]
fn printing_lives_in_report_and_cli() {
    let macros = ["println!", "eprintln!", "print!(", "eprint!(", "dbg!", "io::stdout()", "io::stderr()"];
    assert_eq!(trespassers(&macros, &PRINTERS), Vec::<String>::new());
    // Even there no macro is used: it panics on a dead terminal.
    assert_eq!(trespassers(&["println!", "eprintln!", "dbg!"], &[]), Vec::<String>::new());
}

#[test]
fn processes_clock_sleep_and_environment_live_in_host_and_cli() {
    let words = [
        "process::Command",
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "thread::sleep",
        "time::sleep",
        "env::var",
        "process::exit",
    ];
    assert_eq!(trespassers(&words, &TOUCHERS), Vec::<String>::new());
}

#[test]
fn anyhow_is_known_to_the_front_door_alone_and_every_file_says_what_it_is_for() {
    assert_eq!(trespassers(&["anyhow"], &["cli"]), Vec::<String>::new());
    for floor in floors() {
        for (path, _) in files(&floor) {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{} does not open with a word on what lives there", path.display());
        }
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::host::{Probe};\nuse crate::{action::Act, plan};\nlet x = crate::event::Event;\n$crate::no();\nnotcrate::no();";
    assert_eq!(imports(code), ["host", "action", "plan", "event"]);
}

/// Where Rust's own notation is written on purpose, none of it for people: it is compared with a variable of a test.
const DEBUG_ALLOWED: [&str; 1] = ["host/planted.rs"];

/// What a person reads is in words: `Some("a")`, `2.5s` of a duration and names of types are none. Implementations of `Debug` are
/// for programmers and left out, and so is what only tests and fuzzers see.
#[test]
fn nothing_that_is_shown_is_written_in_rusts_own_notation() {
    let mut wrong = Vec::new();
    for (path, code) in floors().iter().filter(|floor| *floor != "fuzzing").flat_map(|floor| files(floor)) {
        let name = path.strip_prefix(source()).unwrap().to_str().unwrap().to_owned();
        if DEBUG_ALLOWED.contains(&name.as_str()) || name.ends_with("/fuzz.rs") {
            continue;
        }
        wrong.extend(in_debug(&without_debug_impls(&code)).into_iter().map(|line| format!("{name}: {line}")));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Lines with a placeholder such as `{x:?}`, `{0:#?}` or `{:>8?}`, or with `dbg!`.
fn in_debug(code: &str) -> Vec<String> {
    let placeholder = |line: &str| {
        let plain = line.replace("{{", "").replace("}}", "");
        let opened = plain.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        opened.map(|(inner, _)| inner).any(|inner| inner.contains(':') && inner.ends_with('?'))
    };
    code.lines().filter(|line| placeholder(line) || line.contains("dbg!")).map(str::to_owned).collect()
}

/// The code without the bodies of `impl Debug for …`.
fn without_debug_impls(code: &str) -> String {
    let mut out = String::new();
    let mut inside: Option<usize> = None;
    for line in code.lines() {
        let begins = line.starts_with("impl") && line.contains("Debug for ");
        if begins {
            inside = Some(0);
        }
        let Some(depth) = inside.as_mut() else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        *depth = (*depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
        if *depth == 0 {
            inside = None;
        }
    }
    out
}

#[test]
fn rusts_own_notation_is_found_in_every_form() {
    let code = "format!(\"{x:?}\");\nformat!(\"{:#?} {}\", a, b);\n#[error(\"{0:>4?}\")]\nf(\"${{A:?}}/{b}\");\nlet y = { a::b()? };\ndbg!(x);";
    assert_eq!(in_debug(code).len(), 4, "{:?}", in_debug(code));
    let with = "fn a() {}\nimpl fmt::Debug for X {\nfn fmt() {\nwrite!(f, \"{:?}\", 1)\n}\n}\nfn b() {}\n";
    assert_eq!(without_debug_impls(with), "fn a() {}\nfn b() {}\n");
}

/// A next command is made by one function, which quotes it and repeats what was typed in front of it. These speak of commands in
/// general: what a word means, the title of a page for a CI server, and what a file says that is no result.
const SPEAK_OF_COMMANDS: [&str; 10] = [
    "cli/explain.rs",
    "cli/mod.rs",
    "host/facts.rs",
    "report/by_hand/mod.rs",
    "report/calls.rs",
    "report/findings.rs",
    "report/junit.rs",
    "report/report_forms.rs",
    "runbook/codes.rs",
    "runbook/render.rs",
];

#[test]
fn commands_of_this_program_are_made_in_one_place() {
    let commands = "list show check plan facts rehearse run resume status attach pause abort resolve journal history report doctor";
    let mut wrong = Vec::new();
    for (path, code) in floors().iter().filter(|floor| *floor != "fuzzing").flat_map(|floor| files(floor)) {
        let name = path.strip_prefix(source()).unwrap().to_str().unwrap().to_owned();
        let spoken = |line: &&str| {
            commands
                .split(' ')
                .any(|one| line.contains(&format!("runbook {one} ")) || line.contains(&format!("runbook {one}\"")))
        };
        if !SPEAK_OF_COMMANDS.contains(&name.as_str()) {
            wrong.extend(code.lines().filter(spoken).map(|line| format!("{name}: {line}")));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
