//! An honest socket with a hostile list behind it: what `getMonitorData` and `dump.pm2` may hold.
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::amp::{self, usual};
use super::dice::Dice;
use super::site::{HOSTILE, Site};
use super::{Trap, pm2_home};
use crate::{escapes, fakes};

pub(super) const KINDS: usize = 48;

/// Names that are something else to a shell, a path, a browser or a spreadsheet.
const NAMES: [&str; 28] = [
    "../../etc/cron.d/x",
    "/etc/shadow",
    "a\nb",
    "",
    " ",
    ".",
    "..",
    "/",
    "--force",
    "-rf",
    "$(id)",
    "`id`",
    "*",
    "[a-z]",
    "{{x}}",
    "|pipe|md|",
    "%s%n",
    "<script>alert(1)</script>",
    "=cmd|calc",
    "n\0ul",
    "\u{202e}gnp.exe",
    "\u{2028}x",
    "~root",
    "a;reboot",
    "r-20261130-000000-aaaa",
    "default",
    "__proto__",
    "constructor",
];
const FIELDS: [&str; 30] = [
    "name",
    "namespace",
    "env",
    "pm_exec_path",
    "pm_cwd",
    "exec_mode",
    "exec_interpreter",
    "pm_out_log_path",
    "pm_err_log_path",
    "pm_pid_path",
    "status",
    "pm_id",
    "instances",
    "created_at",
    "pm_uptime",
    "restart_time",
    "unstable_restarts",
    "autorestart",
    "node_args",
    "watch",
    "exit_code",
    "cron_restart",
    "instance_var",
    "NODE_APP_INSTANCE",
    "wait_ready",
    "listen_timeout",
    "min_uptime",
    "kill_timeout",
    "username",
    "args",
];

/// The list of a daemon without tricks.
pub(super) fn honest(site: &Site) -> Vec<u8> {
    let log = site.home("logs/a-error.log").display().to_string();
    json!([fakes::app("a", 0, &log, json!({ "LEDGER": "x" })), fakes::app("b", 1, &log, json!({}))])
        .to_string()
        .into_bytes()
}

pub(super) fn trap(number: usize, dice: &mut Dice, site: &mut Site) -> Trap {
    let (mut kind, mut bytes) = list(if number < KINDS { number } else { dice.below(KINDS) }, dice, site);
    // Later ones are bent at random, too: some bytes changed, a piece taken out or doubled.
    if number >= 2 * KINDS && !bytes.is_empty() && bytes.len() < 1 << 20 {
        kind.push_str(", bent");
        for _ in 0..1 + dice.below(6) {
            let (at, end) = (dice.below(bytes.len()), dice.below(bytes.len()));
            match dice.below(3) {
                0 => bytes[at] = *dice.pick(b"\"\\{}[],:0-e\x00\xff\x1bn"),
                1 if at < end => drop(bytes.drain(at..end.min(at + 40))),
                _ => bytes.insert(at, *dice.pick(b"\"{}[],9")),
            }
        }
    }
    let script = move |method: &str, _: &Value, id: &[u8]| usual(method, id, &bytes);
    let (server, _) = amp::daemon(&site.home("rpc.sock"), HOSTILE, Arc::new(script));
    let calls = pm2_home::calls(number, dice, site);
    Trap { kind, calls, waits: Duration::from_secs(10), alive: vec![Box::new(server)] }
}

/// A list of this kind: what it is, and its text.
pub(super) fn list(kind: usize, dice: &mut Dice, site: &Site) -> (String, Vec<u8>) {
    let text = |value: &Value| value.to_string().into_bytes();
    let app = |name: &str, id: u32| fakes::app(name, id, "/srv/log", json!({}));
    let with = |field: &str, value: Value| {
        let mut app = app("a", 0);
        app["pm2_env"][field] = value;
        text(&json!([app]))
    };
    let (what, bytes): (&str, Vec<u8>) = match kind {
        0 => ("200,000 numbers", format!("[{}0]", "0,".repeat(199_999)).into_bytes()),
        1 => ("4 MB of numbers", format!("[{}0]", "0,".repeat(2_000_000)).into_bytes()),
        2 => ("60 MB of numbers", format!("[{}0]", "0,".repeat(30_000_000)).into_bytes()),
        3 => ("many empty objects", format!("[{}{{}}]", "{},".repeat(500_000)).into_bytes()),
        4 => ("many empty lists", format!("[{}[]]", "[],".repeat(500_000)).into_bytes()),
        5 => ("deep lists", [b"[".repeat(100_000), b"]".repeat(100_000)].concat()),
        6 => (
            "deep objects",
            [b"[".to_vec(), b"{\"a\":".repeat(50_000), b"1".to_vec(), b"}".repeat(50_000), b"]".to_vec()].concat(),
        ),
        7 => ("depth below the limit", [b"[".repeat(120), b"]".repeat(120)].concat()),
        8 => ("an object", b"{\"0\":{}}".to_vec()),
        9 => ("a number", b"1e999".to_vec()),
        10 => ("null", b"null".to_vec()),
        11 => ("nothing", Vec::new()),
        12 => ("a giant name", text(&json!([app(&"A".repeat(8_000_000), 0)]))),
        13 => ("many giant names", text(&Value::Array((0..60).map(|n| app(&"B".repeat(500_000), n)).collect()))),
        14 => ("20,000 apps", text(&Value::Array((0..20_000).map(|n| app(&format!("a{n}"), n)).collect()))),
        15 => ("3,000 equal apps", text(&Value::Array((0..3_000).map(|_| app("same", 7)).collect()))),
        16 => ("odd names", text(&Value::Array((0..).zip(NAMES).map(|(n, name)| app(name, n)).collect()))),
        17 => {
            let named = |(n, bytes): (u32, &Vec<u8>)| app(&String::from_utf8_lossy(bytes), n);
            ("names with escapes", text(&Value::Array((0..).zip(&escapes::payloads()).map(named).collect())))
        }
        18 => ("negative id", with("pm_id", json!(-1))),
        19 => ("giant id", with("pm_id", json!(1e300))),
        20 => ("id as text", with("pm_id", json!("00000000000000000007"))),
        21 => ("status unknown", with("status", json!("\u{1b}[31monline"))),
        22 => ("status giant", with("status", json!("online".repeat(100_000)))),
        23 => ("log is root's", with("pm_err_log_path", json!(site.path("root/shadow")))),
        24 => ("log is /dev/zero", with("pm_err_log_path", json!("/dev/zero"))),
        25 => ("log climbs", with("pm_out_log_path", json!(site.home("../../root/shadow")))),
        26 => ("pid file is root's", with("pm_pid_path", json!(site.path("root/shadow")))),
        27 => ("directory of the neighbour", with("pm_cwd", json!(site.path("neighbour")))),
        28 => ("variable of a megabyte", with("env", json!({ "A": "x".repeat(1 << 20) }))),
        29 => {
            let variables: serde_json::Map<String, Value> =
                (0..50_000).map(|n| (format!("V{n}"), json!("some value"))).collect();
            ("50,000 variables", with("env", Value::Object(variables)))
        }
        30 => {
            ("variables that are no texts", with("env", json!({ "A": [1, { "b": null }], "": {}, "X\0": "y", "=": 1 })))
        }
        31 => (
            "variables of the loader",
            with("env", json!({ "LD_PRELOAD": "/tmp/evil.so", "NODE_OPTIONS": "--require /tmp/evil.js" })),
        ),
        32 => (
            "variables that are common words",
            with("env", json!({ "A_TOKEN": "FAILED", "B": "ok", "C": "plan", "D": "\"type\":", "E": "version" })),
        ),
        33 => ("env is a list", with("env", json!([1, 2, 3]))),
        34 => ("settings are a number", b"[{\"pm2_env\":5,\"pm_id\":0,\"name\":\"a\"}]".to_vec()),
        35 => ("no settings", b"[{},{\"name\":null},{\"pm2_env\":{}}]".to_vec()),
        36 => (
            "equal keys",
            br#"[{"pm2_env":{"name":"a","name":"b","__proto__":{"status":"online"},"pm_id":0,"pm_id":1}}]"#.to_vec(),
        ),
        37 => ("processes of others", {
            let apps = [1_u64, 2, u64::from(std::process::id()), u64::MAX, 4_194_304].map(|pid| {
                let mut app = app("p", u32::try_from(pid % 1000).unwrap());
                app["pid"] = json!(pid);
                app
            });
            text(&json!(apps))
        }),
        38 => ("times out of range", with("pm_uptime", json!(-9.0e18))),
        39 => ("created in the far future", with("created_at", json!(9_223_372_036_854_775_807_i64))),
        40 => ("restarts without end", with("restart_time", json!(u64::MAX))),
        41 => ("half surrogates", br#"[{"pm2_env":{"name":"\ud800","status":"online","pm_id":0}}]"#.to_vec()),
        42 => ("raw control bytes", b"[{\"pm2_env\":{\"name\":\"a\x1b[2J\",\"pm_id\":0}}]".to_vec()),
        43 => ("modules", with("pmx_module", json!(true))),
        44 => ("node arguments", with("node_args", json!(["--eval", "process.exit()", "\u{1b}]0;x\u{7}"]))),
        45 => ("uid of root", with("uid", json!(0))),
        46 => (
            "the path of the state",
            with("env", json!({ "X_TOKEN": site.path("state"), "Y_SECRET": crate::bench::hostname() })),
        ),
        _ => {
            let odd = [
                json!(null),
                json!([]),
                json!({}),
                json!(-1),
                json!(1e308),
                json!(true),
                json!("\u{202e}"),
                json!("x".repeat(70_000)),
                json!([[[]]]),
            ];
            let mut all = Vec::new();
            for n in 0..1 + dice.below(20) {
                let mut one = app(dice.pick::<&str>(&NAMES), u32::try_from(n).unwrap());
                for _ in 0..1 + dice.below(8) {
                    let field = *dice.pick(&FIELDS);
                    one["pm2_env"][field] = dice.pick(&odd).clone();
                }
                all.push(one);
            }
            ("fields of wrong types", text(&json!(all)))
        }
    };
    (format!("list: {what}"), bytes)
}
