//! A PM2 home whose owner puts something else in the place of every file, and whose daemon answers as it likes.
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mkdirat, mknodat};
use serde_json::{Value, json};

use super::amp::{self, answer, frame, raw, usual};
use super::dice::Dice;
use super::server::{self, Say};
use super::site::{HOSTILE, NEIGHBOUR, STRANGER, Site, give};
use super::{Trap, call, pm2_list};
use crate::bench::{hostname, mode};

/// What stands where a file should be.
const FILES: [&str; 16] = [
    "nothing",
    "empty",
    "fifo",
    "directory",
    "socket",
    "link to root's",
    "link to nowhere",
    "link to itself",
    "link to a directory",
    "link to /dev/zero",
    "link to /dev/full",
    "link to the neighbour",
    "another's",
    "no rights",
    "sparse giant",
    "garbage",
];

/// What listens at `rpc.sock`.
const DAEMONS: [&str; 30] = [
    "hangs",
    "closes",
    "garbage",
    "half a frame",
    "empty frames",
    "giant length",
    "endless body",
    "drips",
    "answers another call",
    "errors",
    "hangs at the list",
    "odd version",
    "version that is no text",
    "giant report",
    "no JSON",
    "not even text",
    "deep JSON",
    "answers twice",
    "floods without being asked",
    "of a stranger",
    "of the neighbour",
    "of root",
    "many arguments",
    "deaf",
    "error with escapes",
    "closes at the list",
    "half a list",
    "drips a list",
    "a new version with methods",
    "endless small frames",
];

/// Its other files.
const SIDES: [&str; 5] = ["dump.pm2", "pm2.pid", "pub.sock", "logs/a-error.log", "pids/a-0.pid"];

pub(super) fn trap(number: usize, dice: &mut Dice, site: &mut Site) -> Trap {
    let mut kind = String::new();
    let mut alive: Vec<Box<dyn std::any::Any>> = Vec::new();
    let (files, daemons) = (FILES.len(), DAEMONS.len());
    let rpc = site.home("rpc.sock");
    // One trick at a time first: what listens, then what stands in its place, then the files beside it.
    let side = (number >= daemons + files).then(|| dice.below(SIDES.len()));
    if number < daemons {
        say(&mut kind, "rpc", DAEMONS[number]);
        alive.push(listen(site, DAEMONS[number], dice, &rpc));
    } else if number < daemons + files {
        say(&mut kind, "rpc", FILES[number - daemons]);
        plant(&rpc, FILES[number - daemons], site, "neighbour/rpc.sock");
    } else {
        let what = if dice.below(3) == 0 { *dice.pick(&DAEMONS) } else { "usual" };
        say(&mut kind, "rpc", what);
        alive.push(listen(site, what, dice, &rpc));
    }
    for (at, name) in SIDES.iter().enumerate() {
        if side.is_some_and(|side| side == at || dice.below(3) == 0) {
            let what = if at == 0 && dice.below(2) == 0 { "a list" } else { *dice.pick(&FILES) };
            say(&mut kind, name, what);
            let path = site.home(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            give(path.parent().unwrap(), HOSTILE);
            if what == "a list" {
                site.put(&format!("mallory/.pm2/{name}"), &pm2_list::list(dice.below(pm2_list::KINDS), dice, site).1);
            } else {
                plant(&path, what, site, "neighbour/rpc.sock");
            }
        } else if *name == "pub.sock" && dice.below(2) == 0 {
            let how = dice.pick(&[Say::Hang, Say::Close, Say::Endless(vec![0x10]), Say::Endless(dice_noise())]).clone();
            let path = site.home("pub.sock");
            alive.push(Box::new(server::unix(
                &path,
                HOSTILE,
                Arc::new(move |stream| while server::play(stream, &how) {}),
            )));
        }
    }
    if number >= 2 * (daemons + files) && dice.below(6) == 0 {
        let what = *dice.pick(&["link to the neighbour", "another's", "no rights", "link to itself"]);
        say(&mut kind, "home", what);
        let home = site.path("mallory/.pm2");
        fs::rename(&home, site.path("mallory/moved")).unwrap();
        plant_directory(&home, what, site);
    }
    let calls = calls(number, dice, site);
    Trap { kind, calls, waits: Duration::from_secs(10), alive }
}

fn say(kind: &mut String, what: &str, how: &str) {
    write!(kind, "{}{what}: {how}", if kind.is_empty() { "" } else { ", " }).unwrap();
}

fn dice_noise() -> Vec<u8> {
    let event =
        json!({ "event": "online", "manually": false, "process": { "name": "\u{1b}[2J", "pm_id": 0 } }).to_string();
    frame(&[b"s:process:event", format!("j:{event}").as_bytes()])
}

/// Puts something that is no honest file at `path`, as its hostile owner would.
pub(super) fn plant(path: &Path, what: &str, site: &Site, neighbours: &str) {
    let (name, owned) = (path.to_owned(), site.path("root"));
    let link = |to: &Path| symlink(to, path).unwrap();
    match what {
        "nothing" => {}
        "empty" => fs::write(path, "").unwrap(),
        "fifo" => mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap(),
        "directory" => mkdirat(CWD, path, Mode::from_raw_mode(0o777)).unwrap(),
        "socket" => drop(server::acting_as(HOSTILE, move || UnixListener::bind(name).unwrap())),
        "link to root's" => link(&owned.join("shadow")),
        "link to nowhere" => link(&owned.join("cron.d/planted")),
        "link to itself" => link(path),
        "link to a directory" => link(&owned),
        "link to /dev/zero" => link(Path::new("/dev/zero")),
        "link to /dev/full" => link(Path::new("/dev/full")),
        "link to the neighbour" => link(&site.path(neighbours)),
        "another's" => {
            fs::write(path, "[]").unwrap();
            give(path, STRANGER);
        }
        "no rights" => {
            fs::write(path, "[]").unwrap();
            mode(path, 0);
        }
        "sparse giant" => fs::File::create(path).unwrap().set_len(1 << 33).unwrap(),
        _ => fs::write(path, "\u{1b}[2J\0\u{202e}\u{9b}2J".repeat(1000)).unwrap(),
    }
    if !matches!(what, "nothing" | "another's") {
        give(path, HOSTILE);
    }
}

fn plant_directory(home: &Path, what: &str, site: &Site) {
    let owner = if what == "another's" { STRANGER } else { HOSTILE };
    match what {
        "link to the neighbour" => symlink(site.path("neighbour"), home).unwrap(),
        "link to itself" => symlink(home, home).unwrap(),
        other => {
            fs::create_dir(home).unwrap();
            mode(home, if other == "no rights" { 0 } else { 0o755 });
        }
    }
    give(home, owner);
}

fn listen(site: &Site, what: &str, dice: &mut Dice, rpc: &Path) -> Box<dyn std::any::Any> {
    let owner = match what {
        "of a stranger" => STRANGER,
        "of the neighbour" => NEIGHBOUR,
        "of root" => 0,
        _ => HOSTILE,
    };
    if owner != HOSTILE {
        // Whoever binds there must be able to.
        mode(&site.home(""), 0o777);
    }
    let list = pm2_list::honest(site);
    let (what, noise) = (what.to_owned(), dice.bytes(1 << 16));
    let script = move |method: &str, _: &Value, id: &[u8]| tricks(&what, method, id, &list, &noise);
    let (server, _) = amp::daemon(rpc, owner, Arc::new(script));
    mode(rpc, 0o777);
    mode(&site.home(""), 0o755);
    Box::new(server)
}

fn tricks(what: &str, method: &str, id: &[u8], list: &[u8], noise: &[u8]) -> Say {
    let at_the_list = method == "getMonitorData";
    match (what, method) {
        ("hangs" | "deaf", _) => Say::Hang,
        ("closes", _) => Say::Close,
        ("garbage", _) => Say::Last(noise.to_vec()),
        ("half a frame", _) => Say::Then(vec![0x12, 0, 0, 0, 40, b'j', b':'], Box::new(Say::Hang)),
        ("empty frames", _) => Say::Endless(vec![0x10]),
        ("giant length", _) => Say::Then(vec![0x12, 0xff, 0xff, 0xff, 0xff], Box::new(Say::Endless(vec![b'A'; 4096]))),
        ("endless body", _) => Say::Then(vec![0x12, 0x03, 0xff, 0xff, 0], Box::new(Say::Endless(b"j:[0,".to_vec()))),
        ("drips", _) => match usual(method, id, list) {
            Say::Bytes(bytes) => Say::Drip(bytes, 700),
            other => other,
        },
        ("answers another call", _) => usual(method, b"no such call", list),
        ("errors", _) => Say::Bytes(frame(&[br#"j:{"error":{"message":"no","stack":[[[]]],"code":-1}}"#, id])),
        ("hangs at the list", _) if at_the_list => Say::Hang,
        ("closes at the list", _) if at_the_list => Say::Close,
        ("odd version", "getVersion") => answer(id, &json!("9999999999999999999999.\u{1b}[2J-\u{202e}")),
        ("version that is no text", "getVersion") => answer(id, &json!([{ "major": [6] }])),
        ("giant report", "getReport") => {
            answer(id, &json!({ "argv": vec!["x".repeat(1000); 20_000], "node_version": 7 }))
        }
        ("no JSON", _) => raw(id, b"{\"args\":[}]nul"),
        ("not even text", _) => raw(id, b"\"\xff\xfe\x00\xed\xa0\x80\""),
        ("deep JSON", _) => raw(id, &[b"[".repeat(200_000), b"]".repeat(200_000)].concat()),
        ("answers twice", _) => match usual(method, id, list) {
            Say::Bytes(bytes) => Say::Bytes(bytes.repeat(3)),
            other => other,
        },
        ("floods without being asked", _) => Say::Endless(frame(&[b"j:{\"args\":[1]}", b"another"])),
        ("many arguments", _) => Say::Bytes(frame(&[b"j:{}".as_slice(); 15])),
        ("error with escapes", _) => {
            let text = json!({ "error": "\u{1b}[2J\u{1b}]0;pwn\u{7}\u{9b}31m\u{202e}\r\nok: all is well" });
            Say::Bytes(frame(&[format!("j:{text}").as_bytes(), id]))
        }
        ("half a list", _) if at_the_list => raw(id, &list[..list.len() / 2]),
        ("drips a list", _) if at_the_list => match raw(id, list) {
            Say::Bytes(bytes) => Say::Drip(bytes, 40),
            other => other,
        },
        ("a new version with methods", "getVersion") => answer(id, &json!("8.0.0")),
        ("a new version with methods", "methods") => {
            raw(id, format!("{{{}\"x\":1}}", "\"ping\":{},".repeat(200_000)).as_bytes())
        }
        ("endless small frames", _) => Say::Endless(frame(&[b"s:", b"s:"])),
        _ => usual(method, id, list),
    }
}

/// The calls of a variant, and the runbooks for them.
pub(super) fn calls(number: usize, dice: &mut Dice, site: &mut Site) -> Vec<Vec<String>> {
    site.invited = dice.below(4) == 0;
    let place = |name: &str, home: &Path| {
        format!("  {name}: {{ user: {name}, home: {}, cli: {} }}\n", home.display(), site.path("bin/pm2").display())
    };
    let mut places = place("mallory", &site.home(""));
    if site.invited {
        places += &place("neighbour", &site.path("neighbour"));
    }
    let neighbours = if site.invited {
        "      - pm2_saved: { pm2: neighbour, allow_fewer: true }\n        within: 2s\n"
    } else {
        ""
    };
    let head = format!("version: 1\nname: red\nhosts: [{}]\npm2:\n{places}phases:\n", hostname());
    let saved = format!(
        "  - name: save\n    steps:\n      - pm2_saved: {{ pm2: mallory, allow_fewer: true }}\n        within: 4s\n{neighbours}"
    );
    let check = "  - name: gate\n    steps:\n      - healthy: { checks: [ { pm2: { pm2: mallory, apps: [\"*\"], online_at_least: 1 } } ] }\n        within: 2s\n";
    let restart = "  - name: stop\n    steps:\n      - pm2_stopped: { pm2: mallory }\n        within: 2s\n  - name: restore\n    steps:\n      - pm2_restored: { pm2: mallory }\n        within: 2s\n";
    let look = site.bench.file("books/look.yaml", &format!("{head}{saved}{check}"));
    let all = site.bench.file("books/all.yaml", &format!("{head}{saved}{restart}"));
    match number % 8 {
        0 | 3 => vec![call(&["plan", &all])],
        1 => vec![call(&["plan", &look, "--json"]), call(&["doctor", &look])],
        2 => vec![call(&["facts", &look])],
        4 => vec![call(&["run", &look, "--yes", "--progress", "plain"]), call(&["status"])],
        5 => vec![call(&["plan", &all, "-v"]), call(&["plan", &all, "--by-hand"])],
        6 => vec![call(&["run", &all, "--yes", "--progress", "json"]), call(&["status", "--json"])],
        _ => vec![call(&["run", &look, "--yes", "--progress", "none"]), call(&["report"])],
    }
}
