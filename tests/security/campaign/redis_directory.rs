//! A Redis directory whose owner puts something else in the place of every file.
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::Trap;
use super::dice::Dice;
use super::pm2_home::plant;
use super::resp::{Facade, Idle, calls, talk};
use super::server;
use super::site::{HOSTILE, Site, give};

/// What stands in the place of a file.
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
const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";
const PLACES: [&str; 5] = [
    MANIFEST,
    "redis.conf",
    "appendonlydir/appendonly.aof.1.base.rdb",
    "appendonlydir/appendonly.aof.1.incr.aof",
    "dump.rdb",
];

/// Manifests that are files, and lie.
const MANIFESTS: [&str; 16] = [
    "file ../../root/shadow seq 1 type b\n",
    "file /etc/shadow seq 1 type b\n",
    "file . seq 1 type b\nfile .. seq 2 type i\n",
    "file a seq 1 type b\nfile a seq 1 type b\n",
    "file a seq 18446744073709551615 type b\nfile b seq 0 type i\n",
    "file a seq -1 type b\n",
    "file \"a\\x1b[2J\" seq 1 type b\n",
    "file \u{202e}b seq 1 type b\n",
    "file a\0b seq 1 type b\n",
    "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\nfile appendonly.aof.1.incr.aof seq 1 type i\n",
    "file \"unfinished seq 1 type b\n",
    "seq seq seq type type\n",
    "file missing seq 1 type b\nfile missing2 seq 1 type i\n",
    "file fifo seq 1 type b\nfile link seq 1 type i\n",
    "\n\n\n#\n",
    "file a seq 1 type x\n",
];

/// Configuration files that are files, and lie.
const CONFIGS: [&str; 14] = [
    "include redis.conf\n",
    "include DIR/redis.conf\n",
    "include DIR/*.conf\n",
    "include /dev/zero\n",
    "include DIR/fifo\n",
    "include DIR/link\n",
    "include /proc/kmsg\n",
    "include DIR/many/*\n",
    "save \"\nunfinished\n",
    "dir ../../..\nappenddirname ../../root\nappendonly yes\n",
    "dir DIR/link\n",
    "requirepass \u{1b}[2J\nmasterauth \"\\x1b]0;x\\x07\"\n",
    "maxmemory 99999999999999999999gb\nmaxmemory -1\nport 0x\nsave 1 1 1\n",
    "include DIR/a.conf DIR/b.conf\n",
];

const NAMES: [(&str, &str); 12] = [
    ("DIR", "/dev"),
    ("DIR", "/"),
    ("DIR", "relative"),
    ("DIR", "/proc/self"),
    ("APPENDDIRNAME", ".."),
    ("APPENDDIRNAME", "../root"),
    ("APPENDDIRNAME", "/etc"),
    ("APPENDFILENAME", "../../root/shadow"),
    ("APPENDFILENAME", ""),
    ("DBFILENAME", "../root/shadow"),
    ("DBFILENAME", "/dev/zero"),
    ("APPENDONLY", "no"),
];

pub(super) fn trap(number: usize, dice: &mut Dice, site: &mut Site) -> Trap {
    let idle = Idle::new(site);
    let mut facade = Facade::new(site, idle.pid());
    let mut kind = String::new();
    honest(site);
    let (files, manifests, configs) = (FILES.len(), MANIFESTS.len(), CONFIGS.len());
    match number {
        _ if number < files => place(&mut kind, MANIFEST, FILES[number], site),
        _ if number < 2 * files => place(&mut kind, "redis.conf", FILES[number - files], site),
        _ if number < 2 * files + manifests => manifest(&mut kind, number - 2 * files, site),
        _ if number < 2 * files + manifests + configs => config(&mut kind, number - 2 * files - manifests, site),
        _ => {
            for _ in 0..1 + dice.below(3) {
                match dice.below(6) {
                    0 | 1 => place(&mut kind, dice.pick::<&str>(&PLACES), dice.pick::<&str>(&FILES), site),
                    2 => manifest(&mut kind, dice.below(manifests), site),
                    3 => config(&mut kind, dice.below(configs), site),
                    4 => random(&mut kind, dice, site),
                    _ => {
                        let (name, value) = *dice.pick(&NAMES);
                        write!(kind, "{name} is {value}, ").unwrap();
                        facade.set(name, value);
                    }
                }
            }
        }
    }
    let talk = talk(Arc::new(move |words: &[String]| facade.answer(words)));
    // Every third by a socket in the directory; every ninth with something else in its place.
    let (server, url) = if number % 3 == 2 {
        let socket = site.path("redis/redis.sock");
        let at = if number % 9 == 8 { site.path("redis/real.sock") } else { socket.clone() };
        let server = server::unix(&at, HOSTILE, talk);
        if number % 9 == 8 {
            let what = *dice.pick(&FILES);
            write!(kind, "socket: {what}, ").unwrap();
            plant(&socket, what, site, "neighbour/rpc.sock");
        }
        (server, format!("unix://{}", socket.display()))
    } else {
        let server = server::tcp(talk);
        let url = format!("redis://127.0.0.1:{}", server.port);
        (server, url)
    };
    let calls = calls(number, site, &url);
    Trap { kind, calls, waits: Duration::from_secs(8), alive: vec![Box::new(server), Box::new(idle)] }
}

/// The files of a small server, all in order, and a few things to lead to.
fn honest(site: &Site) {
    fs::create_dir_all(site.path("redis/appendonlydir")).unwrap();
    give(&site.path("redis/appendonlydir"), HOSTILE);
    site.put(
        &format!("redis/{MANIFEST}"),
        b"file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n",
    );
    site.put("redis/appendonlydir/appendonly.aof.1.base.rdb", b"REDIS0010\xfe\x00\xff");
    site.put("redis/appendonlydir/appendonly.aof.1.incr.aof", b"*1\r\n$4\r\nPING\r\n");
    let dir = site.path("redis").display().to_string();
    site.put("redis/redis.conf", format!("dir {dir}\nappendonly yes\nsave \"\"\n").as_bytes());
    plant(&site.path("redis/fifo"), "fifo", site, "");
    plant(&site.path("redis/link"), "link to root's", site, "");
}

fn place(kind: &mut String, name: &str, what: &str, site: &Site) {
    write!(kind, "{name}: {what}, ").unwrap();
    let path = site.path("redis").join(name);
    let _none_there = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    plant(&path, what, site, "neighbour/rpc.sock");
}

fn manifest(kind: &mut String, number: usize, site: &Site) {
    write!(kind, "manifest: {:?}, ", MANIFESTS[number]).unwrap();
    replace(site, MANIFEST, MANIFESTS[number].as_bytes());
    for (name, what) in [("fifo", "fifo"), ("link", "link to root's")] {
        place(&mut String::new(), &format!("appendonlydir/{name}"), what, site);
    }
}

fn config(kind: &mut String, number: usize, site: &Site) {
    write!(kind, "config: {:?}, ", CONFIGS[number]).unwrap();
    let dir = site.path("redis").display().to_string();
    replace(site, "redis.conf", CONFIGS[number].replace("DIR", &dir).as_bytes());
    if CONFIGS[number].contains("many") {
        for n in 0..200 {
            let again = format!("include {dir}/many/*\n").repeat(3);
            site.put(&format!("redis/many/{n}.conf"), again.as_bytes());
        }
    }
}

fn random(kind: &mut String, dice: &mut Dice, site: &Site) {
    let (name, long) = (*dice.pick(&[MANIFEST, "redis.conf"]), dice.below(5) == 0);
    write!(kind, "{name}: {} bytes, ", if long { "too many" } else { "random" }).unwrap();
    let line: &[u8] = if name == MANIFEST { b"file a seq 1 type i\n" } else { b"save 1 1\n" };
    let count = dice.below(20_000);
    let bytes = if long { line.repeat(300_000) } else { dice.bytes(count) };
    replace(site, name, &bytes);
}

fn replace(site: &Site, name: &str, bytes: &[u8]) {
    let path = site.path("redis").join(name);
    let _none_there =
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    site.put(&format!("redis/{name}"), bytes);
}
