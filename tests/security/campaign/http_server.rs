//! An endpoint of a service that answers a health check with anything but an answer.
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::dice::Dice;
use super::server::{Say, play, tcp};
use super::site::Site;
use super::{Trap, call};
use crate::bench::hostname;
use crate::escapes;

const KINDS: usize = 44;
const BODIES: usize = 14;

pub(super) fn trap(number: usize, dice: &mut Dice, site: &mut Site) -> Trap {
    let (kind, say) = if number < KINDS { whole(number, dice) } else { mixed(dice) };
    let server = tcp(Arc::new(move |stream| {
        // A request has no body: its end is an empty line.
        let (mut last, mut byte) = ([0; 4], [0]);
        while last != *b"\r\n\r\n" && stream.read(&mut byte).is_ok_and(|count| count > 0) {
            last.rotate_left(1);
            last[3] = byte[0];
        }
        play(stream, &say);
    }));
    let scheme = if number % 10 == 9 { "https" } else { "http" };
    let wanted = *dice.pick(&[
        "status: 200",
        "status: 200, json: { \"$.status\": { eq: healthy } }",
        "json: { \"$.shards[0].up\": { ge: 2 } }",
        "status: 503",
    ]);
    let text = format!(
        "version: 1\nname: red\nhosts: [{}]\nphases:\n  - name: gate\n    steps:\n      - healthy: {{ checks: [ {{ http: {{ url: \"{scheme}://127.0.0.1:{}/x\", {wanted} }} }} ] }}\n        within: 3s\n",
        hostname(),
        server.port
    );
    let book = site.bench.file("books/http.yaml", &text);
    let calls = match number % 5 {
        0 | 3 => vec![call(&["plan", &book])],
        1 => vec![call(&["facts", &book]), call(&["plan", &book, "--json"])],
        2 => vec![call(&["run", &book, "--yes", "--progress", "plain"]), call(&["report"])],
        _ => vec![call(&["run", &book, "--yes", "--progress", "json"]), call(&["status", "--json"])],
    };
    // The step has 3 s, and a look before it as long as any check.
    Trap { kind: format!("{scheme} {kind}"), calls, waits: Duration::from_secs(8), alive: vec![Box::new(server)] }
}

fn answer(head: &str, body: &[u8]) -> Say {
    Say::Last([format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{head}\r\n", body.len()).as_bytes(), body].concat())
}

fn then(head: &str, more: Say) -> Say {
    Say::Then(head.as_bytes().to_vec(), Box::new(more))
}

fn whole(number: usize, dice: &mut Dice) -> (String, Say) {
    let ok = "HTTP/1.1 200 OK\r\n";
    let (what, say): (&str, Say) = match number {
        0 => ("hangs", Say::Hang),
        1 => ("closes", Say::Close),
        2 => ("garbage", Say::Last(dice.bytes(100_000))),
        3 => ("endless status line", then("HTTP/1.1 200 ", Say::Endless(b"A".to_vec()))),
        4 => ("endless header", then(&format!("{ok}X: "), Say::Endless(b"A".to_vec()))),
        5 => ("endless headers", then(ok, Say::Endless(b"X: y\r\n".to_vec()))),
        6 => ("20,000 headers", answer(&"X: y\r\n".repeat(20_000), b"{}")),
        7 => ("endless body", then(&format!("{ok}\r\n"), Say::Endless(b"A".to_vec()))),
        8 => (
            "giant length",
            then(&format!("{ok}Content-Length: 99999999999999999999\r\n\r\n"), Say::Endless(b"A".to_vec())),
        ),
        9 => ("negative length", Say::Last(format!("{ok}Content-Length: -5\r\n\r\nhello").into_bytes())),
        10 => {
            ("two lengths", Say::Last(format!("{ok}Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello").into_bytes()))
        }
        11 => (
            "length and chunks",
            Say::Last(
                format!("{ok}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
                    .into_bytes(),
            ),
        ),
        12 => (
            "giant chunk",
            then(&format!("{ok}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), Say::Endless(b"A".to_vec())),
        ),
        13 => (
            "endless tiny chunks",
            then(&format!("{ok}Transfer-Encoding: chunked\r\n\r\n"), Say::Endless(b"1\r\nA\r\n".to_vec())),
        ),
        14 => (
            "chunk extension without end",
            then(&format!("{ok}Transfer-Encoding: chunked\r\n\r\n1;"), Say::Endless(b"x=y;".to_vec())),
        ),
        15 => (
            "endless trailers",
            then(&format!("{ok}Transfer-Encoding: chunked\r\n\r\n0\r\n"), Say::Endless(b"X: y\r\n".to_vec())),
        ),
        16 => ("bad chunk", Say::Last(format!("{ok}Transfer-Encoding: chunked\r\n\r\nzz\r\nA\r\n").into_bytes())),
        17 => ("drips its head", Say::Drip(format!("{ok}\r\n{{}}").into_bytes(), 500)),
        18 => ("drips its body", then(&format!("{ok}Content-Length: 500\r\n\r\n"), Say::Drip(vec![b' '; 500], 200))),
        19 => (
            "redirects to itself",
            Say::Last(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ),
        20 => {
            ("redirects to a file", Say::Last(b"HTTP/1.1 301 Moved\r\nLocation: file:///etc/shadow\r\n\r\n".to_vec()))
        }
        21 => (
            "redirects to metadata",
            Say::Last(b"HTTP/1.1 307 T\r\nLocation: http://169.254.169.254/\r\n\r\n".to_vec()),
        ),
        22 => (
            "location with escapes",
            Say::Last(b"HTTP/1.1 302 F\r\nLocation: /\x1b[2J\xc2\x9b31m\r\nServer: \xe2\x80\xaex\r\n\r\n".to_vec()),
        ),
        23 => (
            "reason with escapes",
            Say::Last("HTTP/1.1 200 \u{1b}[2J\u{1b}]0;pwn\u{7}\u{202e}\r\nContent-Length: 0\r\n\r\n".into()),
        ),
        24 => ("status 0", Say::Last(b"HTTP/1.1 000 X\r\n\r\n".to_vec())),
        25 => ("status 99999", Say::Last(b"HTTP/1.1 99999 X\r\n\r\n".to_vec())),
        26 => ("status that is no number", Say::Last(b"HTTP/1.1 abc X\r\n\r\n".to_vec())),
        27 => ("continues for ever", Say::Endless(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())),
        28 => (
            "switches protocols",
            Say::Last(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x7f".to_vec()),
        ),
        29 => ("version 9.9", Say::Last(b"HTTP/9.9 200 OK\r\n\r\n".to_vec())),
        30 => ("version 0.9", Say::Last(b"{\"status\":\"healthy\"}".to_vec())),
        31 => ("zipped bomb", zipped(200 << 20)),
        32 => ("zipped garbage", answer("Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\x00garbage")),
        33 => ("unknown encoding", answer("Content-Encoding: br, zstd, gzip\r\n", b"x")),
        34 => ("headers with zeros", Say::Last(b"HTTP/1.1 200 OK\r\nX\0Y: \0\r\n\r\n".to_vec())),
        35 => ("headers folded", Say::Last(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\n\r\n".to_vec())),
        36 => ("headers without colons", Say::Last(b"HTTP/1.1 200 OK\r\nnothing\r\n: empty\r\n\r\n".to_vec())),
        37 => ("bare line feeds", Say::Last(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}".to_vec())),
        38 => ("cookies", answer(&"Set-Cookie: a=b; Path=/; Max-Age=99999999999999\r\n".repeat(50), b"{}")),
        39 => ("closes in the body", Say::Last(format!("{ok}Content-Length: 5000\r\n\r\nhalf").into_bytes())),
        40 => (
            "two answers",
            Say::Last(format!("{ok}Content-Length: 2\r\n\r\n{{}}{ok}Content-Length: 1\r\n\r\nx").into_bytes()),
        ),
        41 => ("no content with content", Say::Last(b"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\nsurprise!".to_vec())),
        42 => ("speaks TLS alerts", Say::Last(b"\x15\x03\x01\x00\x02\x02\x28".to_vec())),
        _ => ("half a TLS hello", Say::Then(b"\x16\x03\x03\xff\xff\x02\x00".to_vec(), Box::new(Say::Endless(vec![0])))),
    };
    (what.to_owned(), say)
}

fn zipped(size: usize) -> Say {
    // gzip(1) is on every host that has a shell.
    let mut zip = Command::new("gzip").arg("-1c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut plain = zip.stdin.take().unwrap();
    let writer =
        std::thread::spawn(move || (0..size >> 20).for_each(|_| plain.write_all(&vec![b' '; 1 << 20]).unwrap()));
    let packed = zip.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    answer("Content-Encoding: gzip\r\n", &packed)
}

fn body(kind: usize, dice: &mut Dice) -> (&'static str, Vec<u8>) {
    match kind {
        0 => ("deep lists", [b"[".repeat(120_000), b"]".repeat(120_000)].concat()),
        1 => ("deep objects", b"{\"status\":".repeat(25_000)),
        2 => ("a long number", format!("{{\"status\":{}}}", "9".repeat(200_000)).into_bytes()),
        3 => ("1e999999999", b"{\"status\":1e999999999,\"shards\":[{\"up\":-1e999}]}".to_vec()),
        4 => (
            "many keys",
            format!("{{{}\"status\":1}}", (0..20_000).map(|n| format!("\"k{n}\":0,")).collect::<String>()).into_bytes(),
        ),
        5 => ("equal keys", format!("{{{}\"status\":1}}", "\"status\":\"healthy\",".repeat(10_000)).into_bytes()),
        6 => (
            "escapes",
            json!({ "status": String::from_utf8_lossy(&dice.pick(&escapes::payloads()).repeat(3)) })
                .to_string()
                .into_bytes(),
        ),
        7 => ("a giant text", json!({ "status": "healthy".repeat(30_000) }).to_string().into_bytes()),
        8 => ("not text", dice.bytes(5_000)),
        9 => ("half surrogates", br#"{"status":"\ud800\udc00\ud800"}"#.to_vec()),
        10 => ("of no object", b"[1,2,3]".to_vec()),
        11 => ("empty", Vec::new()),
        12 => ("with a mark in front", b"\xef\xbb\xbf{\"status\":\"healthy\"}".to_vec()),
        _ => (
            "many megabytes",
            b"{\"status\":\"healthy\",\"x\":\"".iter().copied().chain(std::iter::repeat_n(b'x', 20 << 20)).collect(),
        ),
    }
}

/// A body of some kind behind a head of some kind, sent in some way.
fn mixed(dice: &mut Dice) -> (String, Say) {
    let (what, body) = body(dice.below(BODIES), dice);
    let (status, status_kind) = (*dice.pick(&["200", "503", "301", "418", "999", "100"]), dice.below(4));
    let noise = *dice.pick(&[
        "",
        "X-A: \u{1b}[2J\r\n",
        "Content-Type: application/json\r\n",
        "Connection: keep-alive\r\nKeep-Alive: timeout=99999\r\n",
        "Server: \u{202e}\u{9b}0m\r\n",
    ]);
    let head = format!("HTTP/1.1 {status} {}\r\n{noise}", ["OK", "", "\u{1b}]0;x\u{7}", "a b c"][status_kind]);
    let (how, say) = match dice.below(4) {
        0 => {
            let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for part in body.chunks(1 + dice.below(4_000)) {
                chunked.extend(format!("{:x}\r\n", part.len()).into_bytes());
                chunked.extend(part);
                chunked.extend(b"\r\n");
            }
            ("in chunks", Say::Last([chunked, b"0\r\n\r\n".to_vec()].concat()))
        }
        1 => ("until the end", Say::Last([format!("{head}\r\n").as_bytes(), &body].concat())),
        2 => (
            "with a length too long",
            Say::Then(
                [format!("{head}Content-Length: {}\r\n\r\n", body.len() + 5).as_bytes(), &body].concat(),
                Box::new(Say::Hang),
            ),
        ),
        _ => (
            "with its length",
            Say::Last([format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat()),
        ),
    };
    (format!("{status}, body {what} {how}, noise {noise:?}"), say)
}
