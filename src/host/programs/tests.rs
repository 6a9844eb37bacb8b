//! What root may run, and every place in a command at which it may not.
use std::os::unix::fs::{PermissionsExt, chown};

use super::*;

const OTHER: u32 = 65_534;

struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    /// Two directories with a script each: root's, and another user's. `None` where nobody may give files away.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            use std::io::Write;
            drop(writeln!(std::io::stderr(), "skipped: only root gives files away"));
            return None;
        }
        // Its name must not end like one of the letters that stand for directories below.
        let bed = Self { dir: tempfile::Builder::new().suffix("-bed").tempdir().unwrap() };
        for (dir, uid) in [("ours", 0), ("theirs", OTHER)] {
            std::fs::create_dir(bed.dir.path().join(dir)).unwrap();
            bed.script(&format!("{dir}/run"), "#!/bin/sh\n", uid);
            chown(bed.dir.path().join(dir), Some(uid), Some(uid)).unwrap();
        }
        Some(bed)
    }

    fn script(&self, name: &str, text: &str, uid: u32) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        chown(&path, Some(uid), Some(uid)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Whether root may run these words, `O` and `T` being the two directories.
    fn may(&self, words: &[&str]) -> bool {
        let root = self.dir.path().to_str().unwrap();
        let dir = |word: &str| word.replace("O/", &format!("{root}/ours/")).replace("T/", &format!("{root}/theirs/"));
        let argv = words.iter().map(|word| dir(word)).collect();
        let seen = look(&ProgramAsked { argv, user: None, cwd: None });
        assert!(!seen.refused.as_ref().is_some_and(|why| why.missing), "{words:?}: {seen:?}");
        seen.refused.is_none()
    }
}

#[test]
fn a_command_in_one_word_is_taken_apart() {
    let Some(bed) = Bed::new() else { return };
    let inside = |text: &str| bed.may(&["env", "-S", text]);
    assert!(inside("sh O/run") && !inside("sh T/run") && !bed.may(&["env", "--split-string=sh T/run"]));
}

#[test]
fn what_stands_where_a_program_stands_must_be_roots() {
    let Some(bed) = Bed::new() else { return };
    for line in [
        "O/run",
        "sh O/run",
        "/bin/sh -eu O/run T/run",
        "bash -o pipefail O/run",
        "env A=b O/run T/run",
        "nice -n 5 O/run",
        "timeout 5 sh O/run",
        "cat T/run",
        "tar -cf /dev/null T/run",
        "true sh T/run",
        "perl -e 1 T/run",
        "awk 1 T/run",
        "env PATH=/usr/bin O/run",
        "sh -c true T/run",
    ] {
        assert!(bed.may(&line.split(' ').collect::<Vec<_>>()), "{line}");
    }
    for line in [
        "T/run",
        "sh T/run",
        "/bin/sh -eu T/run",
        "bash -o pipefail T/run",
        "bash --rcfile T/run O/run",
        "env A=b T/run",
        "nice -n 5 T/run",
        "timeout 5 sh T/run",
        "perl -IT/ O/run",
        "awk -f T/run",
        "env PATH=T/ true",
        "env LD_PRELOAD=T/run true",
        "flock /dev/null T/run",
        "make -C T/",
        "env --chdir=T/ true",
        "env -C T/ sh run",
        "setpriv --no-new-privs T/run",
        "find /dev/null -exec T/run ;",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] != "make" || SearchPath::of_root().find("make").is_some() {
            assert!(!bed.may(&words), "{line}");
        }
    }
    for (text, fine) in [
        ("T/run", false),
        ("exec T/run", false),
        ("true && T/run", false),
        (". T/run", false),
        ("cd T/ && ./run", false),
        ("if true; then sh -e T/run; fi", false),
        ("sh -c 'T/run'", false),
        ("PATH=T/:/bin run", false),
        ("echo 'done; T/run'", true),
        ("cat T/run > /dev/null; cp T/run /dev/null", true),
        ("cd T/ && cat run", true),
        ("O/run \"$X\"", true),
    ] {
        assert_eq!(bed.may(&["sh", "-euc", text]), fine, "{text}");
    }
}

#[test]
fn a_first_line_is_followed() {
    let Some(bed) = Bed::new() else { return };
    let theirs = bed.dir.path().join("theirs/run").to_str().unwrap().to_owned();
    for (n, (first, fine)) in [
        ("#!/usr/bin/env sh".to_owned(), true),
        ("#!/usr/bin/env -S sh -e".to_owned(), true),
        ("#! /bin/sh -e".to_owned(), true),
        ("no script at all".to_owned(), true),
        (format!("#!{theirs}"), false),
        (format!("#!/usr/bin/env {theirs}"), false),
        (format!("#!/usr/bin/env -S A=b {theirs} -x"), false),
        (format!("#!/bin/sh {theirs}"), false),
        ("#!run".to_owned(), false),
    ]
    .into_iter()
    .enumerate()
    {
        let script = bed.script(&format!("ours/s{n}"), &format!("{first}\n"), 0);
        assert_eq!(bed.may(&[&script]), fine, "{first}");
    }
    let inner = bed.script("ours/inner", &format!("#!{theirs}\n"), 0);
    let outer = bed.script("ours/outer", &format!("#!{inner}\n"), 0);
    assert!(!bed.may(&[&outer]), "an interpreter that is a script");
    let ring = bed.dir.path().join("ours/ring").to_str().unwrap().to_owned();
    bed.script("ours/ring", &format!("#!{ring}\n"), 0);
    assert!(!bed.may(&[&ring]));
}

#[test]
fn the_directory_that_root_works_in_is_roots() {
    let Some(bed) = Bed::new() else { return };
    let at = |dir: &str, user: Option<&str>| {
        let argv = vec!["true".to_owned()];
        let asked = ProgramAsked { argv, user: user.map(str::to_owned), cwd: Some(bed.dir.path().join(dir)) };
        look(&asked).refused
    };
    assert_eq!(at("ours", None), None);
    assert_eq!(at("theirs", None).unwrap().path, bed.dir.path().join("theirs"));
    assert_eq!(at("theirs", Some("root")).unwrap().path, bed.dir.path().join("theirs"));
    if passwd::user("nobody").is_ok() {
        assert_eq!(at("theirs", Some("nobody")), None, "it does not run as root");
    }
}

#[test]
fn a_name_is_looked_up_in_the_systems_directories() {
    let nowhere = ProgramAsked { argv: vec!["no-such-program".to_owned()], user: None, cwd: None };
    let why = look(&nowhere).refused.unwrap();
    assert!(why.missing && why.why.starts_with("is in none of "), "{why}");
    assert_eq!(look(&ProgramAsked { argv: vec!["sh".to_owned()], ..nowhere }).refused, None);
}
