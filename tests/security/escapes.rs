//! Text that wants to drive the terminal, from every place where foreign text comes in, through every screen: nothing but this
//! program's own drawing reaches the terminal, and a virtual one stays as it was.
use std::fmt::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use super::bench::{Bench, hostname, told};
use super::{fakes, figure};

/// At least 300 payloads: control characters, sequences of ECMA-48 and of xterm, direction and width tricks, bytes that are no
/// UTF-8.
pub(crate) fn payloads() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (1u8..0x20).chain([0x7f]).map(|byte| vec![b'a', byte, b'b']).collect();
    all.extend((0x80u8..0xa0).map(|c| char::from(c).to_string().into_bytes()));
    let csi = [
        "2J",
        "3J",
        "H",
        "1;1H",
        "J",
        "K",
        "1K",
        "2K",
        "10A",
        "10B",
        "10C",
        "10D",
        "10E",
        "10F",
        "1G",
        "?1049h",
        "?1049l",
        "?47h",
        "?25l",
        "?25h",
        "?1000h",
        "?1002h",
        "?1003h",
        "?1006h",
        "?2004h",
        "?1h",
        "?7l",
        "?5h",
        "?3h",
        "6n",
        "5n",
        "c",
        ">c",
        "0q",
        "1;5r",
        "s",
        "u",
        "8m",
        "7m",
        "38;5;0m",
        "30;40m",
        "58;2;1;2;3m",
        "4:3m",
        "99999999A",
        "5i",
        "4i",
        "20t",
        "14t",
        "21t",
        "8;1;1t",
        "1t",
        "2t",
        "!p",
        "?2026h",
        "1L",
        "1M",
        "1P",
        "1@",
        "1X",
        "3g",
        "0 q",
        "?69h",
        ">4;2m",
        "200~",
    ];
    all.extend(csi.iter().map(|end| format!("\u{1b}[{end}").into_bytes()));
    all.extend(csi.iter().step_by(2).map(|end| format!("\u{9b}{end}").into_bytes()));
    let osc = [
        "0;owned",
        "1;icon",
        "2;title",
        "4;1;rgb:00/00/00",
        "7;file:///",
        "8;;http://evil/",
        "9;note",
        "10;?",
        "11;?",
        "12;#fff",
        "50;font",
        "52;c;ZXZpbA==",
        "52;p;?",
        "104",
        "110",
        "112",
        "133;A",
        "633;E;rm",
        "777;notify;a;b",
        "1337;File=:AA==",
        "1337;SetMark",
        "99;;x",
    ];
    for end in ["\u{7}", "\u{1b}\\", "\u{9c}", ""] {
        all.extend(osc.iter().map(|body| format!("\u{1b}]{body}{end}").into_bytes()));
    }
    for start in
        ["P$q\"p", "P+q544e", "Ptmux;\u{1b}\u{1b}[2J", "P1$r", "^private", "_Gf=24;AAAA", "Xstring", "Pq#0;2;0;0;0"]
    {
        all.push(format!("\u{1b}{start}\u{1b}\\").into_bytes());
    }
    all.extend("c78DEMHNOVWZ=><|}~".chars().map(|c| format!("\u{1b}{c}").into_bytes()));
    all.extend(
        ["#8", "%G", "%@", "(0", ")0", "*0", "+0", " F", " G", "k title\u{1b}\\"]
            .iter()
            .map(|end| format!("\u{1b}{end}").into_bytes()),
    );
    all.extend("\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{34f}\u{115f}\u{3164}\u{ffa0}\u{2800}\u{180e}\u{fe0f}\u{e0041}\u{e0100}\u{2028}\u{2029}\u{fff9}"
        .chars().map(|c| format!("user{c}root").into_bytes()));
    all.extend(
        [
            "ok\r15:29 [9/9] all is well",
            "a\r\nb",
            "a\u{b}b\u{c}c",
            "\u{8}\u{8}\u{8}done",
            "%s%n%x",
            "<script>alert(1)</script>",
            "| a | b |\n|---|",
            "=cmd|' /C calc'!A0",
            "::error::x",
            "\u{85}next",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec()),
    );
    all.push(format!("Z{}", "\u{301}".repeat(80)).into_bytes());
    all.push("\u{6f22}".repeat(300).into_bytes());
    let broken: [&[u8]; 12] = [
        b"\x9b2J",
        b"\x9d0;x\x07",
        b"\xc0\x9b2J",
        b"\xe0\x80\x9b",
        b"\xed\xa0\x80",
        b"\xff\xfe",
        b"\x90q",
        b"\xf5\x80\x80\x80",
        b"\xc2",
        b"\xf0\x9f",
        b"\x84\x85\x8d",
        b"\x1b\xff[2J",
    ];
    all.extend(broken.iter().map(|bytes| bytes.to_vec()));
    all
}

fn text(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).into_owned()
}

/// Bytes that a terminal would obey or that hide something, but for this program's own drawing.
pub(crate) fn harmful(bytes: &[u8], drawn: bool) -> Vec<String> {
    let mut found = Vec::new();
    for chunk in bytes.utf8_chunks() {
        if !chunk.invalid().is_empty() {
            found.push(format!("invalid UTF-8 {:02x?}", chunk.invalid()));
        }
        let mut rest = chunk.valid();
        while let Some(c) = rest.chars().next() {
            let own = rest.strip_prefix("\u{1b}[").filter(|_| drawn).map_or(0, |body| {
                let digits = body.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
                if body[digits..].starts_with(['m', 'A', 'B', 'C', 'D', 'K']) { digits + 3 } else { 0 }
            });
            let fine = c == '\n' || (drawn && c == '\r') || own > 0;
            let hidden = matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
            if !fine && (c.is_control() || hidden) {
                found.push(format!("{} in {:?}", c.escape_unicode(), rest.chars().take(24).collect::<String>()));
            }
            rest = &rest[own.max(c.len_utf8())..];
        }
    }
    found
}

/// What a terminal was made to do besides showing text.
#[derive(Default)]
struct Obeyed(Vec<String>);

impl vt100::Callbacks for Obeyed {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.0.push("bell".into());
    }
    fn visual_bell(&mut self, _: &mut vt100::Screen) {
        self.0.push("flash".into());
    }
    fn resize(&mut self, _: &mut vt100::Screen, to: (u16, u16)) {
        self.0.push(format!("resize {to:?}"));
    }
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.0.push(format!("title {}", text(title)));
    }
    fn set_window_icon_name(&mut self, _: &mut vt100::Screen, name: &[u8]) {
        self.0.push(format!("icon {}", text(name)));
    }
    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], _: &[u8]) {
        self.0.push("clipboard".into());
    }
    fn unhandled_control(&mut self, _: &mut vt100::Screen, byte: u8) {
        self.0.push(format!("control {byte:02x}"));
    }
}

fn on_a_terminal(bytes: &[u8]) -> Vec<String> {
    let mut parser = vt100::Parser::new_with_callbacks(50, 200, 0, Obeyed::default());
    // A pipe has no line discipline that adds the carriage return.
    let cooked: Vec<u8> =
        bytes.iter().flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] }).collect();
    parser.process(&cooked);
    let mut obeyed = std::mem::take(&mut parser.callbacks_mut().0);
    let screen = parser.screen();
    for (on, what) in [
        (screen.alternate_screen(), "alternate screen"),
        (screen.hide_cursor(), "hidden cursor"),
        (screen.application_cursor(), "application cursor"),
        (screen.application_keypad(), "application keypad"),
        (screen.bracketed_paste(), "bracketed paste"),
        (screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None, "mouse reports"),
    ] {
        if on {
            obeyed.push(what.into());
        }
    }
    obeyed
}

fn plant(bench: &mut Bench, payloads: &[Vec<u8>]) -> String {
    let home = bench.path("pm2");
    std::fs::create_dir(&home).unwrap();
    let flag = bench.path("flag");
    let list: Vec<_> = payloads
        .iter()
        .enumerate()
        .map(|(n, payload)| {
            let log = bench.path(&format!("logs-{n}.log"));
            std::fs::write(&log, [b"before\n".as_slice(), payload, b"\nafter ", payload].concat()).unwrap();
            let mut app = fakes::app(
                &format!("p{n}-{}", text(payload)),
                u32::try_from(n).unwrap(),
                log.to_str().unwrap(),
                json!({ "A": "b" }),
            );
            app["pm2_env"]["namespace"] = json!(text(payload));
            app
        })
        .collect();
    let (flagged, said) = (flag.clone(), payloads.to_vec());
    fakes::pm2(
        &home,
        Box::new(move |method, args| {
            let mut now = json!(list);
            let id = args[0]["id"].as_u64().unwrap_or(0);
            if flagged.exists() {
                for (n, app) in now.as_array_mut().unwrap().iter_mut().enumerate() {
                    app["pid"] = json!(0);
                    app["pm2_env"]["status"] = json!(if n % 6 == 0 { "errored" } else { "stopped" });
                    app["pm2_env"]["pm_uptime"] = json!(9 + method.len());
                }
                if method == "restartProcessId" && id % 6 == 0 {
                    return Ok(json!([]));
                }
            }
            fakes::daemon(method, &now, &format!("no: {}", text(&said[usize::try_from(id).unwrap()])))
        }),
    );
    let said = payloads.to_vec();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let (redis, _) = fakes::redis(move |words| {
        if words[0].eq_ignore_ascii_case(b"PING") {
            return b"+PONG\r\n".to_vec();
        }
        let n = count.fetch_add(7, std::sync::atomic::Ordering::Relaxed);
        let some = (n..n + 7).flat_map(|n| said[n % said.len()].clone()).filter(|byte| !b"\r\n".contains(byte));
        [b"-ERR ".to_vec(), some.collect(), b"\r\n".to_vec()].concat()
    });
    let body = json!({ "said": payloads.iter().map(|payload| text(payload)).collect::<Vec<_>>() }).to_string();
    let http = fakes::http(move |_| body.clone());
    let instances = (0..60).fold(String::new(), |mut out, n| {
        writeln!(out, "  r{n}: {{ url: \"redis://127.0.0.1:{redis}\", role: master, required: false }}").unwrap();
        out
    });
    let noise = payloads.chunks(6).enumerate().fold(String::new(), |mut out, (n, some)| {
        let path = bench.path(&format!("noise-{n}"));
        std::fs::write(&path, some.join(&b"\n"[..])).unwrap();
        writeln!(
            out,
            "      - command: {{ argv: [/bin/sh, -c, 'cat {0}; cat {0} >&2; exit 3'] }}\n        on_failure: continue",
            path.display()
        )
        .unwrap();
        out
    });
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let text = format!(
        "version: 1\nname: hostile\ndoc: \"a\u{202e}b\"\nhosts: [{}]\nredis:\n{instances}pm2:\n  svc: {{ user: {}, home: {} }}\nphases:\n\
         \x20 - name: save\n    steps:\n      - pm2_saved: {{ pm2: svc }}\n  - name: noise\n    steps:\n{noise}      - command: {{ argv: [/usr/bin/touch, {}], repeatable: true }}\n\
         \x20 - name: restore\n    steps:\n      - pm2_restored: {{ pm2: svc }}\n        within: 90s\n        on_failure: continue\n\
         \x20 - name: gate\n    steps:\n      - healthy:\n          checks:\n            - redis: {{ instances: all, role: master }}\n            - http: {{ url: \"http://127.0.0.1:{http}/x\", status: 503, json: {{ \"$.said[0]\": {{ eq: x }} }} }}\n        within: 3s\n",
        hostname(),
        user.trim(),
        home.display(),
        flag.display()
    );
    bench.file("hostile.yaml", &text)
}

#[test]
fn no_terminal_obeys_a_service() {
    let payloads = payloads();
    let mut bench = Bench::new();
    let book = plant(&mut bench, &payloads);
    let facts = bench.path("facts.json").to_str().unwrap().to_owned();
    let recorded = bench.runbook(&["facts", &book, "-o", &facts]);
    for words in
        [&["check"][..], &["check", "--json"], &["show"], &["plan"], &["plan", "-v"], &["plan", "--json"], &["facts"]]
    {
        bench.runbook(&[&[words[0], book.as_str()], &words[1..]].concat());
    }
    // The same screens on a file of facts that somebody else wrote, nothing in it tamed.
    let mut raw: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&facts).unwrap_or_else(|_| panic!("{}", told(&recorded)))).unwrap();
    let mut next = payloads.iter().cycle().map(|payload| text(payload));
    poison(&mut raw, &mut next);
    let evil = bench.file("evil.json", &raw.to_string());
    for mode in ["plain", "live"] {
        bench.runbook(&["plan", &book, "--offline", &evil, "-v", "--color", "always"]);
        bench.runbook(&["rehearse", &book, "--offline", &evil, "--speed", "100000", "--yes", "--progress", mode]);
    }
    let run = bench
        .command(&["run", &book, "--yes", "--progress", "live", "--color", "always"])
        .env("COLUMNS", "120")
        .output()
        .unwrap();
    bench.keep("run (live)", &run);
    assert!(bench.journal().contains("gate/1"), "{}", told(&run));
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["report"],
        &["report", "-v"],
        &["report", "--format", "md"],
        &["report", "--format", "html"],
        &["report", "--format", "json"],
        &["history"],
        &["resume", "--progress", "plain"],
        &["resume", "--progress", "json"],
    ] {
        bench.runbook(words);
    }
    // Runbooks that carry the payloads themselves.
    for (n, some) in payloads.chunks(24).enumerate() {
        let bytes = [
            b"version: 1\nname: x\n# ".to_vec(),
            some.join(&b" "[..]),
            b"\nph\x1bases: \n  - ".to_vec(),
            some[0].clone(),
        ]
        .concat();
        let path = bench.path(&format!("evil-{n}.yaml"));
        std::fs::write(&path, bytes).unwrap();
        super::bench::mode(&path, 0o600);
        bench.runbook(&["check", path.to_str().unwrap()]);
        if n % 6 == 0 {
            bench.runbook(&["show", &text(&some[0])]);
            bench.runbook(&["status", &text(&some[1 % some.len()])]);
        }
    }
    let mut bad = Vec::new();
    let (mut total, mut shown) = (0, 0);
    for (what, bytes) in &bench.said {
        let drawn = what.contains("live") || what.contains("always");
        bad.extend(harmful(bytes, drawn).into_iter().map(|found| format!("{what}: {found}")));
        bad.extend(on_a_terminal(bytes).into_iter().map(|found| format!("{what}: the terminal obeyed: {found}")));
        total += bytes.len();
        shown += text(bytes).matches("\\u{").count() + text(bytes).matches("\\\\u{").count();
    }
    figure(&format!(
        "escapes: {} payloads, {} screens ({total} bytes, {shown} shown by number): {} harmful",
        payloads.len(),
        bench.said.len(),
        bad.len()
    ));
    assert!(payloads.len() >= 300 && shown > 1000, "the payloads got there");
    assert!(bad.is_empty(), "{:#?}", &bad[..bad.len().min(20)]);
}

/// Puts a payload behind every text of the answers that is not needed to understand them.
fn poison(value: &mut serde_json::Value, payloads: &mut impl Iterator<Item = String>) {
    const FREE: [&str; 12] = [
        "description",
        "sub_state",
        "why",
        "text",
        "cgroup",
        "model",
        "kernel",
        "os",
        "load_error",
        "cwd",
        "interpreter",
        "version",
    ];
    match value {
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poison(item, payloads)),
        serde_json::Value::Object(fields) => {
            for (key, item) in fields {
                match item {
                    serde_json::Value::String(text) if FREE.contains(&key.as_str()) => {
                        text.push_str(&payloads.next().unwrap())
                    }
                    _ => poison(item, payloads),
                }
            }
        }
        _ => {}
    }
}

/// The same with a real pseudo-terminal around the program: what `script` has recorded is what a person would have got.
#[test]
fn a_real_terminal_gets_nothing_but_our_drawing() {
    let mut bench = Bench::new();
    let some: Vec<Vec<u8>> = payloads().into_iter().step_by(9).collect();
    let book = plant(&mut bench, &some);
    let program = env!("CARGO_BIN_EXE_runbook");
    let line = format!("stty cols 100 rows 40; {program} run {book} --yes");
    let command = bench.command(&[]);
    let mut script = Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .env("TERM", "xterm-256color")
        .env("LANG", "C.UTF-8");
    let Ok(output) = script.current_dir(bench.path("")).stdin(Stdio::null()).output() else {
        figure("skipped: escapes on a real terminal: no script(1)");
        return;
    };
    let bad = [harmful(&output.stdout, true), on_a_terminal(&output.stdout)].concat();
    assert!(bench.journal().contains("gate/1"), "{}", told(&output));
    figure(&format!(
        "escapes on a real terminal: {} payloads, {} bytes: {} harmful",
        some.len(),
        output.stdout.len(),
        bad.len()
    ));
    assert!(bad.is_empty(), "{:#?}", &bad[..bad.len().min(20)]);
}
