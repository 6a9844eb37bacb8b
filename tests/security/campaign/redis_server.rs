//! A server that speaks Redis, or nearly.
use std::sync::Arc;
use std::time::Duration;

use super::Trap;
use super::dice::Dice;
use super::resp::{Facade, Idle, array, bulk, calls, talk};
use super::server::{Say, Talk, play, tcp};
use super::site::Site;

/// How a connection goes, whatever is asked.
const CONNECTIONS: [&str; 14] = [
    "hangs",
    "closes",
    "garbage",
    "endless line",
    "endless zeros",
    "drips",
    "http",
    "giant bulk",
    "negative bulk",
    "giant array",
    "deep arrays",
    "endless array",
    "half an answer",
    "floods OK",
];

/// What one command is answered with.
const ANSWERS: [&str; 30] = [
    "-LOADING Redis is loading the dataset in memory\r\n",
    "-NOAUTH Authentication required.\r\n",
    "-MOVED 1 10.0.0.1:6379\r\n",
    "-MASTERDOWN Link with MASTER is down\r\n",
    "-NOPERM no\r\n",
    "-BUSY script\r\n",
    "-MISCONF \u{1b}[2J\u{202e}\r\n",
    "-ERR \u{9b}31m\r\n",
    "-\r\n",
    "+\r\n",
    "+\u{1b}]0;pwn\u{7}\r\n",
    ":-9223372036854775808\r\n",
    ":99999999999999999999999\r\n",
    ":NaN\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "$0\r\n\r\n",
    ",inf\r\n",
    ",-nan\r\n",
    "#t\r\n",
    "(349999999999999999999999999999999999999999\r\n",
    "_\r\n",
    "%1\r\n+a\r\n+b\r\n",
    "~1\r\n+a\r\n",
    ">2\r\n+invalidate\r\n*0\r\n+OK\r\n",
    "=15\r\ntxt:Some string\r\n",
    "!21\r\nSYNTAX invalid syntax\r\n",
    "|1\r\n+ttl\r\n:3\r\n+OK\r\n",
    "*3\r\n$6\r\nmaster\r\n",
];
const COMMANDS: [&str; 6] = ["PING", "INFO", "ROLE", "COMMAND", "CONFIG", "CLIENT"];

/// What is done to a line of INFO.
const VALUES: [&str; 22] = [
    "",
    "-1",
    "99999999999999999999999999",
    "1e308",
    "NaN",
    "0x10",
    "1,5",
    "yes",
    "\u{1b}[2J",
    "\u{202e}ko",
    "ok\r",
    "18446744073709551615",
    "9223372036854775807",
    "0",
    "1",
    "../../etc",
    "%s%n",
    "\u{9b}31m",
    "err",
    "up:down:up",
    "18446744073709551616",
    " ",
];
const FIELDS: [&str; 26] = [
    "redis_version",
    "run_id",
    "process_id",
    "config_file",
    "uptime_in_seconds",
    "loading",
    "async_loading",
    "aof_enabled",
    "aof_rewrite_in_progress",
    "aof_rewrite_scheduled",
    "aof_last_bgrewrite_status",
    "aof_last_write_status",
    "aof_current_size",
    "aof_base_size",
    "aof_rewrites",
    "rdb_bgsave_in_progress",
    "rdb_last_bgsave_status",
    "rdb_last_save_time",
    "used_memory",
    "used_memory_rss",
    "maxmemory",
    "role",
    "master_link_status",
    "master_sync_perc",
    "latest_fork_usec",
    "current_save_keys_total",
];
const INFOS: [&str; 10] = [
    "giant",
    "one long line",
    "many databases",
    "no line ends",
    "twice",
    "not text",
    "loading for ever",
    "negative keys",
    "changing role",
    "changing process",
];

pub(super) fn trap(number: usize, dice: &mut Dice, site: &mut Site) -> Trap {
    let idle = Idle::new(site);
    let facade = Facade::new(site, idle.pid());
    let (connections, answers, infos) = (CONNECTIONS.len(), 14, INFOS.len());
    let (kind, conversation) = match number {
        _ if number < connections => connection(CONNECTIONS[number], dice, facade),
        _ if number < connections + answers => answered(number, dice, facade),
        _ if number < connections + answers + infos => info(INFOS[number - connections - answers], dice, facade),
        _ => match dice.below(5) {
            0 => answered(number, dice, facade),
            1 => info(dice.pick::<&str>(&INFOS), dice, facade),
            2 => connection(dice.pick::<&str>(&CONNECTIONS), dice, facade),
            3 => fuzzed(dice, facade),
            _ => fields(dice, facade),
        },
    };
    let server = tcp(conversation);
    let url = format!("redis://127.0.0.1:{}", server.port);
    let calls = calls(number, site, &url);
    Trap { kind, calls, waits: Duration::from_secs(8), alive: vec![Box::new(server), Box::new(idle)] }
}

type Made = (String, Arc<Talk>);

fn connection(what: &'static str, dice: &mut Dice, facade: Facade) -> Made {
    let say = match what {
        "hangs" => Say::Hang,
        "closes" => Say::Close,
        "garbage" => Say::Last(dice.bytes(1 << 18)),
        "endless line" => Say::Endless(b"+AAAAAAAA".to_vec()),
        "endless zeros" => Say::Endless(vec![0]),
        "http" => Say::Last(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        "giant bulk" => Say::Then(b"$536870000\r\n".to_vec(), Box::new(Say::Endless(b"A".to_vec()))),
        "negative bulk" => Say::Bytes(b"$-99999999999\r\n".to_vec()),
        "giant array" => Say::Then(b"*2147483647\r\n".to_vec(), Box::new(Say::Endless(b":1\r\n".to_vec()))),
        "deep arrays" => Say::Endless(b"*1\r\n".to_vec()),
        "endless array" => Say::Then(b"*100000000\r\n".to_vec(), Box::new(Say::Endless(b"$-1\r\n".to_vec()))),
        "half an answer" => Say::Then(b"$20\r\nabc".to_vec(), Box::new(Say::Hang)),
        "floods OK" => Say::Endless(b"+OK\r\n".to_vec()),
        _ => {
            let script = move |words: &[String]| match facade.answer(words) {
                Say::Bytes(bytes) => Say::Drip(bytes, 300),
                other => other,
            };
            return (format!("connection: {what}"), talk(Arc::new(script)));
        }
    };
    (
        format!("connection: {what}"),
        Arc::new(move |stream| {
            let mut first = [0];
            let _begun = stream.read(&mut first);
            while play(stream, &say) {
                let mut more = [0; 4096];
                if !stream.read(&mut more).is_ok_and(|count| count > 0) {
                    return;
                }
            }
        }),
    )
}

/// One command has an odd answer, the others none.
fn answered(number: usize, dice: &mut Dice, facade: Facade) -> Made {
    let command = COMMANDS[if number < 28 { number % COMMANDS.len() } else { dice.below(COMMANDS.len()) }];
    let answer = *dice.pick(&ANSWERS);
    // As Redis would send them: an answer is bytes, and a lone C1 byte is no text.
    let bytes = answer.replace('\u{9b}', "\u{fffd}").into_bytes();
    let script = move |words: &[String]| {
        if words.first().is_some_and(|word| word == command) { Say::Bytes(bytes.clone()) } else { facade.answer(words) }
    };
    (format!("{command} answers {answer:?}"), talk(Arc::new(script)))
}

fn info(what: &'static str, dice: &mut Dice, facade: Facade) -> Made {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let bytes = match what {
        "giant" => [facade.info.as_bytes(), &b"x:y\r\n".repeat(4_000_000)].concat(),
        "one long line" => [facade.info.as_bytes(), b"redis_mode:", &b"z".repeat(30_000_000), b"\r\n"].concat(),
        "many databases" => {
            let lines: String = (0..400_000).map(|n| format!("db{n}:keys=1,expires=0,avg_ttl=0\r\n")).collect();
            (facade.info.clone() + &lines).into_bytes()
        }
        "no line ends" => facade.info.replace("\r\n", " ").into_bytes(),
        "twice" => facade.info.repeat(2).replacen("loading:0", "loading:1", 1).into_bytes(),
        "not text" => [facade.info.as_bytes(), &dice.bytes(100_000)].concat(),
        "loading for ever" => facade.info.replace("loading:0", "loading:1\r\nloading_start_time:1\r\nloading_total_bytes:0\r\nloading_loaded_bytes:18446744073709551615\r\nloading_eta_seconds:-1").into_bytes(),
        "negative keys" => (facade.info.clone() + "db0:keys=-5,expires=99999999999999999999\r\ndb-1:keys=1\r\ndb99999999999:keys=,\r\n").into_bytes(),
        _ => Vec::new(),
    };
    let script = move |words: &[String]| {
        let look = looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match (words.first().map(String::as_str), what) {
            (Some("INFO"), "changing process") => {
                Say::Bytes(bulk(facade.info.replace("process_id:", &format!("process_id:{}", look % 3)).as_bytes()))
            }
            (Some("ROLE"), "changing role") if look % 2 == 1 => {
                Say::Bytes(b"*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:99999999\r\n$9\r\nconnected\r\n:-1\r\n".to_vec())
            }
            (Some("INFO"), other) if other != "changing role" => Say::Bytes(bulk(&bytes)),
            _ => facade.answer(words),
        }
    };
    (format!("INFO: {what}"), talk(Arc::new(script)))
}

/// Lines of INFO with other values, and settings that nobody set.
fn fields(dice: &mut Dice, mut facade: Facade) -> Made {
    let mut kind = "fields:".to_owned();
    for _ in 0..1 + dice.below(4) {
        let (field, value) = (*dice.pick(&FIELDS), *dice.pick(&VALUES));
        let mut lines: Vec<String> = facade.info.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with(&format!("{field}:")) || dice.below(8) == 0);
        lines.push(format!("{field}:{value}"));
        facade.info = lines.join("\r\n") + "\r\n";
        kind += &format!(" {field}={value:?}");
    }
    for _ in 0..dice.below(3) {
        let name = *dice.pick(&[
            "DIR",
            "APPENDONLY",
            "APPENDFILENAME",
            "APPENDDIRNAME",
            "DBFILENAME",
            "SAVE",
            "MAXMEMORY",
            "REQUIREPASS",
        ]);
        let value = *dice.pick(&[
            "",
            "/",
            "..",
            "../../root",
            "\u{1b}[2J",
            "/proc/self/fd",
            "a\0b",
            "-1",
            "yes",
            "/dev",
            "$(id)",
            "a\nb",
        ]);
        facade.set(name, value);
        kind += &format!(" {name}={value:?}");
    }
    (kind, talk(Arc::new(move |words: &[String]| facade.answer(words))))
}

/// Answers with bytes changed, and a setting that is answered for another.
fn fuzzed(dice: &mut Dice, facade: Facade) -> Made {
    let seed = dice.below(1 << 30);
    let turns = std::sync::atomic::AtomicUsize::new(0);
    let script = move |words: &[String]| {
        let mut dice = Dice::new("turn", seed + turns.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        if dice.below(12) == 0 {
            return Say::Bytes(array(&[b"dir", b"/", b"dir"]));
        }
        match facade.answer(words) {
            Say::Bytes(mut bytes) if dice.below(3) == 0 => {
                for _ in 0..1 + dice.below(3) {
                    let at = dice.below(bytes.len());
                    match dice.below(3) {
                        0 => bytes[at] = *dice.pick(b"$*+-:\r\n09\x00\xff\x1b"),
                        1 => drop(bytes.drain(at..)),
                        _ => bytes.insert(at, *dice.pick(b"$*+-:\r\n9")),
                    }
                    if bytes.is_empty() {
                        break;
                    }
                }
                Say::Bytes(bytes)
            }
            other => other,
        }
    };
    (format!("fuzzed answers {seed}"), talk(Arc::new(script)))
}
