//! The shipped runbook loads; every kind of mistake is found, at its place; nothing makes the loader panic.
mod cases;

use self::cases::{CASES, Case, SMALL};
use super::*;
use crate::action::check::Check;

const GOOD: &str = include_str!("../../../runbooks/restart-staging.yaml");

/// The text of a case.
fn text_of(case: &Case) -> String {
    let Case(name, what, by, _) = case;
    match *name {
        name if name.starts_with("whole") => (*by).to_owned(),
        "empty phases" => SMALL.split("phases:").next().unwrap().to_owned() + by,
        name => {
            assert!(SMALL.contains(what), "{name}");
            SMALL.replacen(what, by, 1)
        }
    }
}

fn found(text: &str) -> Vec<Diagnostic> {
    match load(text, "t.yaml") {
        Ok(loaded) => loaded.warnings,
        Err(findings) => findings,
    }
}

#[test]
fn every_mistake_is_found_at_its_place() {
    assert_eq!(found(SMALL), []);
    for case in CASES {
        let text = text_of(case);
        let places: Vec<_> = found(&text).iter().map(|one| (one.code.0, one.line, one.col)).collect();
        assert_eq!(places, case.3, "{}", case.0);
    }
}

#[test]
fn a_group_may_need_checks() {
    let with = |checks: &str| {
        SMALL.replacen("needs: { groups: [ids] }", &format!("needs: {{ groups: [ids], checks: [ {checks} ] }}"), 1)
    };
    let text = with("{ tcp: { addr: \"127.0.0.1:5432\" } }, { unit: { names: [router, b] } }");
    let Ok(loaded) = load(&text, "t.yaml") else { panic!("{:?}", found(&text)) };
    let needs = &loaded.runbook.inventory.pm2["apps"].groups[1].needs;
    let [Check::Tcp(_), Check::Unit(unit)] = needs.checks.as_slice() else { panic!("{needs:?}") };
    assert_eq!(unit.units, ["router.service", "r@b.service"]);
    for (checks, code) in [
        ("{ tpc: { addr: \"127.0.0.1:5432\" } }", codes::UNKNOWN_ACTION),
        ("{ http: { url: \"http://h/\", headers: { a: { env: TOKEN } } } }", codes::ENV_SECRET),
        ("{ pm2: { pm2: app, online_at_least: 1 } }", codes::UNKNOWN_PM2),
    ] {
        let codes: Vec<_> = found(&with(checks)).iter().map(|one| one.code.0).collect();
        assert_eq!(codes, [code.0], "{checks}");
    }
}

#[test]
fn a_byte_order_mark_and_foreign_line_ends_move_nothing() {
    for case in CASES.iter().filter(|case| !["hidden escape", "lost quote"].contains(&case.0)) {
        let text = format!("\u{feff}{}", text_of(case).replace('\n', "\r\n"));
        let places: Vec<_> = found(&text).iter().map(|one| (one.code.0, one.line, one.col)).collect();
        assert_eq!(places, case.3, "{}", case.0);
    }
}

#[test]
fn mistakes_look_like_this() {
    let shown = [
        "tab",
        "two documents",
        "one space too few",
        "bare star with text",
        "duplicate key",
        "unknown keys",
        "missing key",
        "no",
        "bare number of minutes",
        "two actions",
        "unknown action",
        "unit without suffix",
        "password in the file",
        "environment over a reboot",
        "unknown phase",
        "circle of groups",
        "longer than the window",
        "unconfirmed",
    ];
    insta::with_settings!({ snapshot_path => "../../../tests/snapshots", prepend_module_to_snapshot => false }, {
        for name in shown {
            let case = CASES.iter().find(|case| case.0 == name).unwrap();
            let text = text_of(case);
            insta::assert_snapshot!(format!("finding {name}").replace(' ', "_"), render(&found(&text), &text, false, 100));
        }
    });
}

#[test]
fn many_mistakes_are_found_at_once() {
    let text = SMALL.replace("15m", "15").replace("at_once: auto", "atonce: 2").replace("name: small", "nam: small");
    let text = text.replace("pm2_saved: { pm2: apps }", "pm2_saved: { pm2: apps, allow_fewer: yes, fast: 1 }");
    let codes: Vec<_> = found(&text).iter().map(|one| one.code.0).collect();
    assert_eq!(codes, ["RB102", "RB101", "RB106", "RB101", "RB108", "RB101"]);
}

#[test]
fn patches_cure() {
    let curable =
        ["bare star", "bare star with text", "unknown key", "number for text", "no", "bare word", "not one of"];
    for case in CASES.iter().filter(|case| curable.contains(&case.0)) {
        let mut text = text_of(case);
        let patch = found(&text)[0].patch.clone().unwrap();
        text.replace_range(patch.span, &patch.text);
        assert_eq!(found(&text), [], "{}: {text}", case.0);
    }
}

#[test]
fn secrets_are_never_shown() {
    for case in CASES.iter().filter(|case| text_of(case).contains("hunter2")) {
        let text = text_of(case);
        let findings = found(&text);
        let shown = render(&findings, &text, true, 100) + &serde_json::to_string(&findings).unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn the_shipped_runbook_loads() {
    let loaded =
        load(GOOD, "runbooks/restart-staging.yaml").unwrap_or_else(|e| panic!("{}", render(&e, GOOD, false, 100)));
    assert_eq!(loaded.warnings, []);
    let runbook = loaded.runbook;
    let ids: Vec<_> = runbook.steps().map(|(id, _, step)| format!("{id} {}", step.action.key())).collect();
    let expected = [
        "preflight/1 units_enabled",
        "preflight/2 healthy",
        "compact/1 redis_compacted",
        "save/1 pm2_saved",
        "stop/1 pm2_stopped",
        "stop/compact-again redis_compacted",
        "reboot/1 rebooted",
        "load/1 redis_loaded",
        "load/2 units_active",
        "gate/1 healthy",
        "restore/1 pm2_restored",
        "verify/1 pm2_as_saved",
        "verify/2 healthy",
    ];
    assert_eq!(ids, expected);
    let inventory = &runbook.inventory;
    assert_eq!(inventory.units["bull"].names, ["redis-server@bull01.service", "redis-server@bull02.service"]);
    assert_eq!(inventory.redis["bds-r"].of.as_deref(), Some("bds"));
    assert_eq!(inventory.units_of(None).len(), 8);
    let reboot = runbook.step(&StepId::new("reboot/1")).unwrap();
    assert_eq!(reboot.confirm.as_ref().map(|confirm| confirm.kind), Some(ConfirmKind::Name));
    assert_eq!(
        GOOD.lines().nth(reboot.line as usize - 1).map(str::trim_start).map(|line| &line[..10]),
        Some("- rebooted")
    );
    let json = serde_json::to_string(&runbook).unwrap();
    assert_eq!(serde_json::from_str::<Runbook>(&json).unwrap(), runbook, "it travels");
}

#[test]
fn plain_aliases_are_allowed() {
    let text = SMALL.replace("within: 15m", "within: &long 15m").replace("within: 1h", "within: *long");
    let loaded = load(&text, "t.yaml").unwrap();
    let within = loaded.runbook.step(&StepId::new("restore/1")).and_then(|step| step.within);
    assert_eq!(within, Some(Duration::from_secs(900)));
    assert_eq!(loaded.sha256.len(), 64);
}

#[test]
fn oversized_deep_and_foreign_files_are_refused() {
    let codes = |found: Vec<Diagnostic>| found.iter().map(|one| one.code.0).collect::<Vec<_>>();
    assert_eq!(codes(found(&"# x\n".repeat(300_000))), ["RB002"]);
    assert_eq!(codes(found(&"[".repeat(100_000))), ["RB007"]);
    assert_eq!(codes(found(&"- ".repeat(100_000))), ["RB007"]);
    assert_eq!(codes(found(&format!("a: [{}]", "x,".repeat(300_000)))), ["RB007"]);
    let refused = load_bytes(b"version: 1\nname: caf\xe9\n", "t.yaml").unwrap_err();
    assert_eq!((refused[0].code.0, refused[0].line, refused[0].col), ("RB001", 2, 10));
    assert!(load_bytes(SMALL.as_bytes(), "t.yaml").is_ok());
}

#[test]
fn hostile_characters_are_shown_and_not_obeyed() {
    let text = SMALL.replace("name: small", "name: small one # \u{202e}\u{1b}[2J\u{9b}2J");
    let shown = render(&found(&text), &text, false, 100);
    assert!(!shown.contains(['\u{202e}', '\u{1b}', '\u{9b}']), "{shown:?}");
    // The parser stops in front of a wide character, and a caret of one byte would split it.
    let wide = found("version: 1\n ü\u{202e}: x\n");
    assert_eq!(wide.iter().map(|one| (one.code.0, one.line)).collect::<Vec<_>>(), [("RB003", 2)]);
}

#[test]
fn a_name_with_a_hidden_character_is_offered_to_nobody() {
    let text =
        SMALL.replacen("back_out: [restore]", "back_out: [verifx]", 1) + "  - name: \u{202e}verifx\n    steps: []\n";
    let findings = found(&text);
    let unknown = findings.iter().find(|one| one.code.0 == "RB204").unwrap();
    assert!(unknown.patch.as_ref().is_none_or(|patch| !patch.title.contains('\u{202e}')), "{unknown:?}");
    assert!(!render::render(&findings, &text, false, 100).contains('\u{202e}'));
}

#[test]
fn nights_with_a_changed_clock_are_warned_about() {
    let text =
        SMALL.replace("days: [sat], opens: \"10:00\"", "days: [sun], opens: \"02:30\"").replace("UTC", "Europe/Berlin");
    let loaded = load(&text, "t.yaml").unwrap();
    let warnings = loaded.clock_warnings(&text, "2026-11-22T00:00:00Z".parse().unwrap());
    let shown: Vec<_> = warnings.iter().map(|one| (one.code.0, one.line, one.message.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("RB310", 4, "02:30 does not exist on 2027-03-28 in Europe/Berlin"),
            ("RB311", 4, "02:30 comes twice on 2027-10-31 in Europe/Berlin"),
        ]
    );
}

#[test]
fn waits_grow_up_to_their_limit() {
    let seconds = Duration::from_secs;
    let retry = Retry { times: 9, wait: seconds(5), factor: 2.0, max: seconds(30) };
    assert_eq!([1, 2, 3, 4, 4_000_000_000].map(|n| retry.wait_before(n)), [5, 10, 20, 30, 30].map(seconds));
}

/// What people and editors leave behind.
const SCRAPS: [&str; 24] = [
    "",
    "\n",
    "  ",
    "\t",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "*",
    "&a ",
    "*a",
    "#",
    "|",
    "!!int ",
    "<<: ",
    "---\n",
    "null",
    "ü\u{202e}",
    "\u{0}",
    "999999999999999999999",
];

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}|[-:{}\\[\\]*&!|>'\"#%@`,?a-z0-9 \n\t]{0,400}") {
        let findings = found(&text);
        let _ = render(&findings, &text, true, 80);
    }

    #[test]
    fn any_slip_in_a_good_runbook_is_answered(
        slips in proptest::collection::vec((0..GOOD.len(), 0..12_usize, 0..SCRAPS.len()), 1..4),
    ) {
        let mut text = GOOD.to_owned();
        for (at, cut, scrap) in slips {
            let floor = |mut at: usize| { at = at.min(text.len()); while !text.is_char_boundary(at) { at -= 1 } at };
            let (start, end) = (floor(at), floor(at + cut));
            text.replace_range(start..end, SCRAPS[scrap]);
        }
        let findings = found(&text);
        for one in &findings {
            proptest::prop_assert!(one.span.end <= text.len() && text.is_char_boundary(one.span.start), "{one:?}");
        }
        let _ = render(&findings, &text, false, 80);
    }
}
