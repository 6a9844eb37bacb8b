//! Root executes only what nobody else can change: said by the plan, refused before the first effect.
#![expect(clippy::print_stdout, reason = "a skipped test says why")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::support::program::{Place, hostname};

const OTHER: u32 = 65_534;

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: only root gives files away");
    }
    root
}

/// A script that leaves a mark, of this owner.
fn script(place: &Place, name: &str, uid: u32) -> String {
    let path = place.path(name);
    std::fs::write(&path, format!("#!/bin/sh\necho ran >> {}\n", place.path("mark").display())).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    chown(&path, Some(uid), Some(uid)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Two steps: one that root may run, and the given one.
fn runbook(place: &Place, step: &str) -> String {
    let first = script(place, "first", 0);
    place.file(
        "r.yaml",
        &format!(
            "version: 1\nname: exec\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [\"{first}\"], repeatable: true }}\n      - {step}\n",
            hostname()
        ),
    )
}

const RUN: [&str; 5] = ["--yes", "--confirm", "exec", "--progress", "plain"];

fn run(place: &Place, book: &str) -> crate::support::program::Said {
    place.runbook(&[&["run", book][..], &RUN].concat())
}

#[test]
fn root_executes_nothing_that_others_may_write_and_says_so_before_the_first_effect() {
    if !root() {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.path("theirs")).unwrap();
    let theirs = script(&place, "theirs/run", OTHER);
    chown(place.path("theirs"), Some(OTHER), Some(OTHER)).unwrap();
    let open = script(&place, "open", 0);
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o757)).unwrap();
    symlink("/bin/true", place.path("theirs/link")).unwrap();
    let (link, dir) = (place.path("theirs/link"), place.path("theirs"));
    let (link, dir) = (link.display(), dir.display());
    for step in [
        format!("command: {{ argv: [\"{theirs}\"], repeatable: true }}"),
        format!("command: {{ argv: [\"{open}\"], repeatable: true }}"),
        format!("command: {{ argv: [\"{link}\"], repeatable: true }}"),
        format!("command: {{ argv: [sh, \"{theirs}\"], repeatable: true }}"),
        format!("command: {{ argv: [sh, -c, \"true; {theirs} x\"], repeatable: true }}"),
        format!("command: {{ argv: [\"true\"], done_if: [\"{theirs}\"], repeatable: true }}"),
        format!("command: {{ argv: [\"true\"], cwd: \"{dir}\", repeatable: true }}"),
        format!("healthy: {{ checks: [ {{ command: {{ argv: [\"{theirs}\"] }} }} ] }}"),
    ] {
        let book = runbook(&place, &step);
        place.runbook(&["check", &book]).exits(0).says("warning: a/2: root would execute what others may change");
        for said in [place.runbook(&["plan", &book]), run(&place, &book)] {
            said.exits(5).says("root would execute what others may change").says("nothing was changed");
            said.says(&place.path("").display().to_string()).says("user:");
        }
        assert!(!place.path("mark").exists(), "{step}");
        let sheet = place.runbook(&["plan", &book, "--by-hand"]);
        sheet.exits(5).says("REFUSED");
        let typed: Vec<&str> = sheet.out.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(!typed.iter().any(|line| line.contains("theirs") || line.contains(&open)), "{step}: {}", sheet.out);
    }
}

#[test]
fn the_same_file_is_run_as_its_owner() {
    if !root() || std::fs::read_to_string("/etc/passwd").is_ok_and(|text| !text.contains("\nnobody:")) {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.path("theirs")).unwrap();
    std::fs::set_permissions(place.path(""), PermissionsExt::from_mode(0o711)).unwrap();
    let theirs = script(&place, "theirs/run", OTHER);
    std::fs::write(&theirs, "#!/bin/sh\n[ \"$(id -un)\" = nobody ]\n").unwrap();
    chown(place.path("theirs"), Some(OTHER), Some(OTHER)).unwrap();
    let step = format!("command: {{ argv: [\"{theirs}\"], user: nobody, repeatable: true }}");
    let book = runbook(&place, &step);
    run(&place, &book).exits(0);
}

/// A check of another user's, asked while root sits at a terminal, cannot type into that.
#[test]
#[expect(clippy::disallowed_methods, reason = "script(1) is the terminal")]
fn what_runs_as_another_user_has_no_terminal() {
    if !root() || std::fs::read_to_string("/etc/passwd").is_ok_and(|text| !text.contains("\nnobody:")) {
        return;
    }
    let place = Place::new();
    let check = |user: &str, shell: &str| {
        let argv = format!("argv: [sh, -c, \"{shell}\"], user: {user}");
        let book = runbook(&place, &format!("healthy: {{ checks: [ {{ command: {{ {argv} }} }} ] }}"));
        let mut words = vec![env!("CARGO_BIN_EXE_runbook").to_owned(), "run".into(), book];
        words.extend(RUN.map(str::to_owned));
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &format!("exec timeout 20 {}", words.join(" ")), "/dev/null"]);
        script.env("RUNBOOK_STATE_DIR", place.path("state")).env("RUNBOOK_LOCK", place.path("lock"));
        script.stdin(std::process::Stdio::null()).output()
    };
    let Ok(control) = check("root", "(exec 3</dev/tty)") else {
        println!("skipped: no script(1)");
        return;
    };
    assert!(control.status.success(), "the terminal is one: {}", String::from_utf8_lossy(&control.stdout));
    let seen = check("nobody", "! (exec 3</dev/tty)").unwrap();
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stdout));
}

/// What changes hands between the plan and the step is not run either.
#[test]
fn it_is_judged_again_right_before_it_is_started() {
    if !root() {
        return;
    }
    let place = Place::new();
    let second = script(&place, "second", 0);
    let gives_away = format!(
        "command: {{ argv: [chmod, o+w, \"{second}\"], repeatable: true }}\n      - command: {{ argv: [\"{second}\"], repeatable: true }}"
    );
    let book = runbook(&place, &gives_away);
    let said = run(&place, &book);
    said.says("root").says("can be written by everybody");
    assert_ne!(said.code, 0);
    let marks = std::fs::read_to_string(place.path("mark")).unwrap();
    assert_eq!(marks.lines().count(), 1, "only the first step ran: {marks}");
}

#[test]
fn a_runbook_is_judged_with_every_link_on_its_way() {
    if !root() {
        return;
    }
    let place = Place::new();
    let book = runbook(&place, "command: { argv: [\"true\"], repeatable: true }");
    place.runbook(&["plan", &book]).exits(0);
    let link = |name: &str, uid: u32| -> PathBuf {
        let at = place.path(name);
        symlink(Path::new(&book).parent().unwrap(), &at).unwrap();
        std::os::unix::fs::lchown(&at, Some(uid), Some(uid)).unwrap();
        at.join("r.yaml")
    };
    place.runbook(&["plan", link("ours", 0).to_str().unwrap()]).exits(0);
    place
        .runbook(&["plan", link("theirs", OTHER).to_str().unwrap()])
        .exits(5)
        .says("is a link of user")
        .says("chown -h");
}
