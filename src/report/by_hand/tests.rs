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
