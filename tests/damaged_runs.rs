//! A journal that somebody or some disk has spoilt, through the program: shown, verified, refused, set aside, and the host free.
#![expect(clippy::disallowed_methods, reason = "a test waits for another process")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
use std::path::PathBuf;
use std::time::Duration;

use crate::support::program::{Place, hostname};

/// A run that was killed in its second step; gives its id and its directory.
fn killed(place: &Place) -> (String, PathBuf) {
    let book = format!(
        "version: 1\nname: tiny\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [\"true\"] }}\n\
         \x20 - name: b\n    steps:\n      - command: {{ argv: [sh, \"-c\", \"while test -e {}; do sleep 0.05; done\"] }}\n        on_unknown: stop\n",
        hostname(),
        place.path("busy").display()
    );
    place.file("busy", "");
    let file = place.file("tiny.yaml", &book);
    let mut child = place.start(&["run", &file, "--yes"]);
    let run = || std::fs::read_dir(place.path("state/runs")).ok()?.next()?.ok().map(|entry| entry.path());
    let begun = |run: PathBuf| {
        let text = String::from_utf8_lossy(&std::fs::read(run.join("journal")).unwrap_or_default()).into_owned();
        text.contains("\"item_intent\":{\"step\":\"b/1\"")
    };
    for n in 0.. {
        assert!(n < 1200, "b/1 never began");
        std::thread::sleep(Duration::from_millis(50));
        if run().is_some_and(begun) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(place.path("busy")).unwrap();
    let held = || std::fs::File::open(place.path("children.lock")).unwrap().try_lock().is_err();
    while held() {
        std::thread::sleep(Duration::from_millis(20));
    }
    // Whoever carries the command out may just have been started, and writes down its end.
    let mut last = place.state();
    loop {
        std::thread::sleep(Duration::from_millis(400));
        let now = place.state();
        if now == last {
            break;
        }
        last = now;
    }
    let dir = run().unwrap();
    (dir.file_name().unwrap().to_str().unwrap().to_owned(), dir)
}

/// Flips a bit in the record of that number.
fn spoil(dir: &std::path::Path, record: usize) {
    let mut bytes = std::fs::read(dir.join("journal")).unwrap();
    let at: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(record - 1).map(<[u8]>::len).sum();
    bytes[at + 40] ^= 4;
    std::fs::write(dir.join("journal"), bytes).unwrap();
}

#[test]
fn a_sound_journal_is_shown_and_verified_and_only_looked_at() {
    let place = Place::new();
    place.runbook(&["journal", "verify"]).exits(2).says("there are no runs");
    let (run, _) = killed(&place);
    let before = place.state();
    place.runbook(&["journal", "verify"]).exits(0).says("nothing is wrong with it").says("chain");
    let shown = place.runbook(&["journal", "show", &run]);
    shown.exits(0).says("opened tiny on").says("b/1 begins").says("is about to be done");
    let json = place.runbook(&["journal", "show", "--json"]);
    let lines: Vec<serde_json::Value> =
        json.exits(0).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines[0]["type"].as_str(), lines[1]["type"].as_str()), (Some("version"), Some("record")));
    assert_eq!((lines[1]["seq"].as_u64(), lines[1]["proven"].as_bool()), (Some(1), Some(true)));
    place.runbook(&["journal", "show", "r-20200101-000000-0000"]).exits(2).says("there is no run");
    assert_eq!(place.state(), before, "looked at, and no more");
}

#[test]
fn a_damaged_run_is_refused_told_and_set_aside() {
    let place = Place::new();
    let (run, dir) = killed(&place);
    spoil(&dir, 5);
    let before = place.state();
    let verified = place.runbook(&["journal", "verify"]);
    verified.exits(30).says("DAMAGED").says("after record 4").says("were acted upon and are not proven any more");
    verified
        .says("whether a reboot was asked for is NOT known")
        .says("takes no service away")
        .says("Nothing was changed.");
    let json = place.runbook(&["journal", "verify", "--json"]);
    json.exits(30).says("\"after_record\":4").says("\"ok\":false");
    place.runbook(&["journal", "show"]).exits(0).says("DAMAGED at byte").says("what can be read behind it");
    for words in [&["resume"][..], &["status"], &["abort"], &["resolve", &run, "b/1", "--done", "--reason", "seen"]] {
        place.runbook(words).exits(30).says("runbook journal verify").says("abort --abandon --reason TEXT");
    }
    assert_eq!(place.state(), before, "nothing was changed by all that");
    let file = place.path("tiny.yaml");
    let file = file.to_str().unwrap();
    place.runbook(&["run", file, "--yes"]).exits(8).says("owns this host");
    place.runbook(&["explain", "journal"]).exits(0).says("--abandon");

    place.runbook(&["abort", "--abandon", "--reason", " "]).exits(2);
    let said = place.runbook(&["abort", "--abandon", "--reason", "disk replaced, checked by hand"]);
    said.exits(0)
        .says("SET ASIDE")
        .says("The host is free")
        .says("NOT known")
        .says("runbook doctor tiny")
        .says("--fail-open");
    assert!(dir.join("journal").exists() && dir.join("set-aside").exists(), "nothing is deleted");
    assert!(!place.path("state/pending").exists());
    place.runbook(&["status", &run]).exits(1).says("disk replaced");
    place.runbook(&["journal", "verify", &run]).exits(30).says("SET ASIDE");
    place.runbook(&["resume"]).exits(0).says("no run is unfinished");
    place.runbook(&["resume", "--fail-open", &run]).exits(0).says("0 apps, 0 units and daemons; 0 not");
    place.runbook(&["run", file, "--yes"]).exits(0);
}

#[test]
fn a_changed_runbook_and_a_removed_run_have_a_way_out_too() {
    let place = Place::new();
    let (run, dir) = killed(&place);
    let frozen = dir.join("runbook.yaml");
    std::fs::write(&frozen, std::fs::read_to_string(&frozen).unwrap().replace("0.05", "0.06")).unwrap();
    place.runbook(&["journal", "verify"]).exits(30).says("REFUSED").says("was changed");
    place.runbook(&["resume"]).exits(30).says("abort --abandon");
    place.runbook(&["abort", &run, "--abandon", "--reason", "edited by mistake"]).exits(0).says("SET ASIDE");
    for form in ["md", "html"] {
        let told = place.runbook(&["report", &run, "--format", form]);
        told.exits(0).says("SET ASIDE").says("edited by mistake");
        assert!(!told.out.contains("NOT OVER YET"), "{}", told.out);
    }

    let place = Place::new();
    let (_, dir) = killed(&place);
    std::fs::rename(&dir, place.path("elsewhere")).unwrap();
    place.runbook(&["status"]).exits(30).says("which is not there");
    place.runbook(&["abort", "--abandon", "--reason", "gone"]).exits(0).says("It is forgotten");
    assert!(!place.path("state/pending").exists());
    place.runbook(&["status"]).exits(0).says("there are no runs");
}
