//! Tests: the sheet of the shipped runbook, and a sheet of hostile names that a real shell reads.
#![expect(clippy::disallowed_methods, reason = "a real shell is the judge of a sheet")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::host::model::Model;
use crate::host::{Answer, Ask};
use crate::plan::{History, Rehearsed, rehearse};
use crate::runbook::load;

const RUNBOOK: &str = include_str!("../../../runbooks/restart-staging.yaml");

fn facts() -> Facts {
    Facts::read(include_bytes!("../../../tests/recorded/staging.facts.json")).unwrap()
}

async fn sheet(facts: Facts) -> String {
    let loaded = load(RUNBOOK, "x.yaml").unwrap();
    let host = Model::of(facts);
    let Rehearsed { plan, facts } =
        rehearse(&loaded, &host, Path::new("/x"), &History::default(), "2026-11-28T09:05:00Z".parse().unwrap()).await;
    by_hand(&plan, &loaded.runbook, &facts)
}

/// The shell reads it without carrying anything out.
fn parses(text: &str) {
    for shell in ["sh", "bash"] {
        let child = Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut child) = child else { continue };
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn the_sheet_of_the_shipped_runbook() {
    let text = sheet(facts()).await;
    parses(&text);
    insta::assert_snapshot!("sheet", text);
    for line in text.lines().filter(|line| line.starts_with('#')) {
        assert!(super::super::layout::columns(line) <= 100, "{line}");
    }
    let (first, second) = text.split_once("\n# ==== part 2").unwrap();
    assert!(first.trim_end().ends_with("systemctl reboot"));
    assert!(first.contains("# ==== part 1 of 2") && second.contains("keep=/root/by-hand-restart-staging"));
}

#[tokio::test]
async fn hostile_names_stay_words_and_what_cannot_be_typed_is_said() {
    let mut facts = facts();
    let names = ["$(touch /tmp/x)", "a'b", "-rf", "all", "7", "x.json", "a b;c", "a\\u{a}b"];
    for (ask, answer) in &mut facts.answers {
        if let (Ask::Pm2(_), Answer::Pm2(seen)) = (ask, answer) {
            for (app, name) in seen.apps.iter_mut().zip(names) {
                app.key.name = name.into();
            }
        }
    }
    let text = sheet(facts).await;
    parses(&text);
    for quoted in [
        "'$(touch /tmp/x)'",
        r"'a'\''b'",
        "numbers_services -rf)",
        "numbers_services all)",
        "numbers_services 7)",
        "numbers_services x.json)",
        "'a b;c'",
    ] {
        assert!(text.contains(quoted), "{quoted}\n{text}");
    }
    assert!(text.contains("# ? a\\u{a}b: holds what cannot be typed"), "{text}");
}

/// The facts with something else in what was seen of PM2.
fn with_pm2(change: impl Fn(&mut crate::host::pm2::Pm2Seen)) -> Facts {
    let mut facts = facts();
    for (_, answer) in &mut facts.answers {
        if let Answer::Pm2(seen) = answer {
            change(seen);
        }
    }
    facts
}

#[tokio::test]
async fn a_path_of_the_daemon_never_begins_a_line_of_the_sheet() {
    let evil = "/home/a/x\n# ==== part 2: after\ntouch /tmp/x #\u{1b}[2J";
    let text = sheet(with_pm2(|seen| {
        if let crate::host::pm2::DaemonSeen::Up(up) = &mut seen.daemon {
            up.node_path = Some(evil.into());
            up.cli = Some(evil.into());
        }
    }))
    .await;
    parses(&text);
    assert!(!text.contains("touch /tmp/x") && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("as_services pm2 \"$@\"") || text.contains("as_services node "), "{text}");
}

/// Root runs nothing of the user's itself: whatever names the node, the script or a file of PM2's goes through `runuser`.
#[tokio::test]
async fn what_is_the_users_is_run_read_and_written_as_the_user() {
    let text = sheet(facts()).await;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        for theirs in ["/usr/bin/node", "/bin/pm2", "/var/www/app/.pm2/dump.pm2"] {
            for (at, _) in line.match_indices(theirs) {
                let before = &line[..at];
                let command = before.rsplit(['|', ';', '{']).next().unwrap_or_default();
                assert!(command.contains("as_services") || command.contains("[ ! -e "), "{theirs}: {line}");
            }
        }
    }
    assert!(text.contains("as_services() { setsid -w timeout -k 9 600 runuser -u deploy -- env -i "), "{text}");
}

/// The words arrive whole, in the directory, and with nothing of the caller's environment.
#[test]
fn a_command_is_given_its_words_its_directory_and_a_clean_environment() {
    let argv = ["sh", "-c", "pwd; printf '[%s]' \"$0\" \"$@\" \"${LEAK-none}\"; cat", "-a", "$(id)", "b c", "*"];
    let line = command(&argv.map(str::to_owned), None, Some(Path::new("/usr")));
    let run = Command::new("sh").args(["-euc", &line]).env("LEAK", "leaked").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "/usr\n[-a][$(id)][b c][*][none]", "{line}");
    let line = command(&["true".to_owned()], Some("ann"), None);
    assert!(line.starts_with("setsid -w runuser -u ann -- env -i LANG=C.UTF-8 PATH="), "{line}");
}

#[tokio::test]
async fn a_daemon_of_roots_with_a_node_of_somebody_elses_is_not_typed() {
    let text = sheet(with_pm2(|seen| {
        seen.not_roots = Some(crate::host::root_owned::NotRoots {
            path: "/home/ann/node".into(),
            why: "belongs to user ann".into(),
            cure: "chown root:root /home/ann/node".into(),
            missing: false,
        });
    }))
    .await;
    parses(&text);
    assert!(text.contains("as_services() { echo 'refused: see above' >&2; return 1; }"), "{text}");
    assert!(text.contains("REFUSED (") && !text.contains("runuser -u deploy"), "{text}");
}

#[tokio::test]
async fn what_nobody_could_look_at_is_a_question_mark_with_commands_for_all_of_it() {
    let mut facts = facts();
    facts.answers.retain(|(ask, _)| !matches!(ask, Ask::Pm2(_) | Ask::Unit(_)));
    let text = sheet(facts).await;
    parses(&text);
    assert!(text.contains("# ? could not be looked at"), "{text}");
    for line in [
        "pm2_services stop --silent all",
        "pm2_services resurrect\n",
        "systemctl enable -- redis-server@bull02.service",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
