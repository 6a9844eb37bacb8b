//! Secrets in every form, whole and cut. Values are unique to each test: what is learnt stays learnt for the whole process.

use super::*;
use crate::host::foreign::{named, tame};

const ODD: &str = "r3d-Odd'\"\\$`!/ &<>|%+\u{e4}\n\tz7";

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let sum = group.iter().chain([0, 0].iter()).take(3).fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        for n in 0..4 {
            let digit = usize::try_from(sum >> (18 - 6 * n) & 63).unwrap();
            out.push(if n <= group.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    out
}

#[test]
fn every_form_is_hidden() {
    learn(ODD);
    let json = serde_json::to_string(ODD).unwrap();
    let percent: String = ODD.bytes().map(|b| format!("%{b:02X}")).collect();
    let shell = format!("'{}'", ODD.replace('\'', "'\\''"));
    let basic = [0, 1, 2].map(|n| base64(format!("{}{ODD}", "u".repeat(n)).as_bytes()));
    let twice = serde_json::to_string(&json).unwrap();
    for form in [ODD, &json, &percent, &shell, &twice, &basic[0], &basic[1], &basic[2], &format!("{ODD:?}")] {
        let shown = text(form).into_owned();
        assert!(shown.contains(MARK), "{form} -> {shown}");
        assert!(!shown.contains("Odd") && !shown.contains("z7"), "{form} -> {shown}");
    }
    assert!(tame(&format!("said {ODD} loudly"), 80).contains(MARK), "at the door");
    let wide = format!("{}{ODD}", "x".repeat(70));
    assert!(!tame(&wide, 76).contains("r3d-"), "hidden before it is cut");
}

#[test]
fn at_the_end_of_a_text_half_a_secret_counts() {
    learn("Cut-By-A-Bound-91");
    for (text_, shown) in [
        ("x Cut-By-A-Bound-91Cut-By-A-Bound-91 y", format!("x {MARK}{MARK} y")),
        ("x Cut-By-A-B", format!("x {MARK}")),
        ("x Cut-By", "x Cut-By".to_owned()),
        ("x Cut-By-A-B y", "x Cut-By-A-B y".to_owned()),
    ] {
        assert_eq!(text(text_), shown);
    }
}

#[test]
fn what_the_runbook_resolved_counts_at_any_length() {
    // As whole words where they are too short to be anything else.
    learn("q7");
    assert_eq!(text("denied: q7, (q7) 'q7' aq7 q7b q7"), format!("denied: {MARK}, ({MARK}) '{MARK}' aq7 q7b {MARK}"));
    learn("\u{20ac}");
    assert_eq!(text("\u{20ac} 5\u{20ac}"), format!("{MARK} 5\u{20ac}"));
    learn("zqj4x");
    assert_eq!(text("azqj4xb"), format!("a{MARK}b"));
    learn("-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7\nshort\n-----END KEY-----\n");
    assert_eq!(text("  | MIIEpAIBAAKCAQEA7 |"), format!("  | {MARK} |"));
    assert_eq!(text(MARK), MARK, "what was replaced stays");
}

#[test]
fn an_environment_gives_its_secrets_and_keeps_its_words() {
    learn_apps(
        7,
        &[serde_json::json!({ "name": "svc", "pm2_env": {
        "name": "keyword-service", "API_KEY_NAME": "keyword-service", "NODE_ENV": "production-env",
        "args": ["--db-password", "arg-Pass-word-3", "--mode", "long-mode-name"], "node_args": "--x --token=arg-Tok-en-4",
        "env": { "DB_PASSWORD": "env-Pass-word-1", "DATABASE_URL": "pg://u:url-Pass-2@h/x", "PORT_KEY": "3005",
                 "A_TOKEN": "FAILED", "B_TOKEN": "Production", "C_SECRET": "se7en-7",
                 "HOME": "/home/deploy-env", "opaque": "Zk3xQ9mT7vB2nL5pR8wY1", "INVOCATION_ID": "0123456789abcdef0123456789abcdef" } } })],
    );
    for hidden in ["env-Pass-word-1", "url-Pass-2", "Zk3xQ9mT7vB2nL5pR8wY1", "arg-Pass-word-3", "arg-Tok-en-4"] {
        assert_eq!(text(hidden), MARK, "{hidden}");
    }
    for shown in [
        "keyword-service",
        "production-env",
        "/home/deploy-env",
        "long-mode-name",
        "0123456789abcdef0123456789abcdef",
        "it FAILED in production",
        "se7en-7 by itself",
    ] {
        assert_eq!(text(shown), shown);
    }
    assert_eq!(text("C_SECRET=se7en-7 A_TOKEN: FAILED"), format!("C_SECRET={MARK} A_TOKEN: {MARK}"));
}

#[test]
fn names_are_taken_in_as_they_are() {
    learn("4f2c-machine-id-of-ours");
    assert_eq!(named("4f2c-machine-id-of-ours\u{1b}", 80), "4f2c-machine-id-of-ours\\u{1b}");
    assert_eq!(tame("4f2c-machine-id-of-ours\u{1b}", 80), "[redacted]\\u{1b}");
}

#[test]
fn colours_between_a_key_and_its_value_hide_nothing() {
    for coloured in [
        "{ password: \u{1b}[32m'inspect0001'\u{1b}[39m }",
        "\u{1b}[32mpassword\u{1b}[39m: inspect0001",
        "token \u{1b}[1m=\u{1b}[0m inspect0001",
        "password=\0inspect0001",
    ] {
        let shown = text(coloured);
        assert!(shown.contains(MARK) && !shown.contains("inspect0001"), "{shown:?}");
    }
    assert_eq!(text("\u{1b}[31mred\u{1b}[0m and \u{1b}]0;t"), "\u{1b}[31mred\u{1b}[0m and \u{1b}]0;t");
}

fn learn_apps(user: u32, entries: &[serde_json::Value]) {
    let mut learner = Learner::default();
    entries.iter().for_each(|entry| learner.see(entry));
    learner.learn(user);
}
