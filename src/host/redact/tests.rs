//! Secrets in every form, whole and cut, and documents that stay documents. Values are unique to each test: what is learnt
//! stays learnt for the whole process.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde::Deserialize;

use super::*;

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
    assert!(crate::host::foreign::tame(&format!("said {ODD} loudly"), 80).contains(MARK), "at the door");
    let wide = format!("{}{ODD}", "x".repeat(70));
    assert!(!crate::host::foreign::tame(&wide, 76).contains("r3d-"), "hidden before it is cut");
}

#[test]
fn a_secret_cut_by_writes_is_hidden_at_every_place_it_can_be_cut() {
    let secret = "Cut-By-Writes-91";
    learn(secret);
    let whole = format!("before {secret} after Cut- {secret}{secret} Cut-By");
    let wanted = format!("before {MARK} after Cut- {MARK}{MARK} Cut-By");
    for first in 0..=whole.len() {
        for second in [first, (first + 1).min(whole.len()), whole.len()] {
            let mut sieve = Sieve::default();
            let mut out = Vec::new();
            for part in [&whole[..first], &whole[first..second], &whole[second..]] {
                sieve.push(part.as_bytes(), &mut out);
            }
            sieve.finish(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted, "cut at {first} and {second}");
        }
    }
}

#[test]
fn a_flush_lets_little_go_and_byte_by_byte_nothing_tells() {
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    learn("flushed-Secret-55");
    let seen = Shared::default();
    let mut to = Sieved::new(seen.clone());
    for byte in b"a flushed-Secret-55 b flu" {
        to.write_all(&[*byte]).unwrap();
        to.flush().unwrap();
    }
    assert_eq!(String::from_utf8(seen.0.lock().unwrap().clone()).unwrap(), format!("a flu{MARK} b flu"));
    to.write_all(b"shed-Secre").unwrap();
    drop(to);
    assert_eq!(String::from_utf8(seen.0.lock().unwrap().clone()).unwrap(), format!("a flu{MARK} b flu{MARK}"));
}

#[test]
fn documents_stay_documents() {
    learn("71717171");
    let document = br#"{"at":71717171,"said":"code 71717171","list":["71717171"]}"#;
    let clean: Value = serde_json::from_slice(&json(document)).unwrap();
    assert_eq!(clean, serde_json::json!({ "at": 71_717_171, "said": "code [redacted]", "list": ["[redacted]"] }));
    assert!(matches!(json(b"{\"at\":1}"), Cow::Borrowed(_)));
}

#[test]
fn what_must_be_read_back_can_be_read_back() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Tag {
        TaggedAsSecret,
    }
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Record {
        tag: Tag,
        note: String,
    }
    learn("tagged-as-secret");
    let record = Record { tag: Tag::TaggedAsSecret, note: "it said tagged-as-secret twice".into() };
    let clean = checked(&record).unwrap();
    assert_eq!(clean, Record { tag: Tag::TaggedAsSecret, note: "it said [redacted] twice".into() });
    assert_eq!(
        checked(&Record { tag: Tag::TaggedAsSecret, note: "nothing".into() }).map(|r| r.note),
        Some("nothing".into())
    );
}

#[test]
fn lines_of_a_long_secret_count_and_short_ones_do_not() {
    learn("-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7\nshort\n-----END KEY-----\n");
    assert_eq!(text("  | MIIEpAIBAAKCAQEA7 |"), format!("  | {MARK} |"));
    learn("abcde");
    assert_eq!(text("abcde is guessed in a second"), "abcde is guessed in a second");
}

#[test]
fn an_environment_gives_its_secrets_and_keeps_its_words() {
    learn_all(&[serde_json::json!({ "name": "svc", "pm2_env": {
        "name": "keyword-service", "API_KEY_NAME": "keyword-service", "NODE_ENV": "production-env",
        "env": { "DB_PASSWORD": "env-Pass-word-1", "DATABASE_URL": "pg://u:url-Pass-2@h/x", "PORT_KEY": "3005",
                 "HOME": "/home/deploy-env", "opaque": "Zk3xQ9mT7vB2nL5pR8wY1", "INVOCATION_ID": "0123456789abcdef0123456789abcdef" } } })]);
    for hidden in ["env-Pass-word-1", "url-Pass-2", "Zk3xQ9mT7vB2nL5pR8wY1"] {
        assert_eq!(text(hidden), MARK, "{hidden}");
    }
    for shown in ["keyword-service", "production-env", "/home/deploy-env", "0123456789abcdef0123456789abcdef"] {
        assert_eq!(text(shown), shown);
    }
}

#[test]
fn who_an_app_is_stays_in_the_record_whatever_its_variables_hold() {
    let app = |name: &str, token: &str| serde_json::json!({ "pm2_env": { "name": name, "pm_exec_path": format!("/srv/{name}.js"), "env": { "ROUTING_KEY": token } } });
    // One carries its own name in a variable that sounds secret, the other one's is a part of a script's path.
    learn_all(&[app("billing-mail-7", "billing-mail-7"), app("billing-sms", "billing-mail-7.js")]);
    assert_eq!(text("/srv/billing-mail-7.js"), "/srv/billing-mail-7.js");

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Record {
        step: String,
        items: Vec<String>,
        why: String,
    }
    // A password that is also the name of a phase: what is said is filtered, what is found again by its name is not.
    learn("restore-weak-password");
    let record = Record {
        step: "restore-weak-password/1".into(),
        items: vec!["restore-weak-password".into()],
        why: "AUTH restore-weak-password".into(),
    };
    let clean = checked(&record).unwrap();
    assert_eq!((clean.step, clean.items), (record.step, record.items));
    assert_eq!(clean.why, format!("AUTH {MARK}"));
}

fn learn_all(entries: &[serde_json::Value]) {
    let mut learner = Learner::default();
    entries.iter().for_each(|entry| learner.see(entry));
    learner.learn();
}
