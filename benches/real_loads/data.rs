//! Data sets of several shapes, made up but always the same, written as Redis itself keeps them.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

/// Made-up but always the same.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// Letters and digits that do not compress.
    pub fn text(&mut self, length: usize) -> Vec<u8> {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        (0..length).map(|_| LETTERS[(self.below(1 << 30) & 63) as usize]).collect()
    }
}

/// One kind of data.
#[derive(Clone, Copy, Debug)]
pub enum Data {
    /// Strings of so many bytes.
    Strings(usize),
    /// Hashes of eight short fields.
    Hashes,
    /// Sorted sets of 2000 members.
    SortedSets,
    /// Counters, over and over.
    Counters,
    /// Queues: pushed at one end, popped at the other.
    Queues,
    /// All of these in turns, as a service would write them.
    Everything,
}

/// A data set: about so many bytes of each kind, first the base, then the increments.
pub type Parts = [(Data, u64)];

/// Writes a data set into `dir` as Redis 7 keeps it, and waits until the disk has it.
pub fn write(dir: &Path, base: &Parts, incr: &Parts) -> io::Result<()> {
    let aof = dir.join("appendonlydir");
    std::fs::create_dir_all(&aof)?;
    let mut manifest = String::new();
    if !base.is_empty() {
        write_base(&aof.join("appendonly.aof.1.base.rdb"), base)?;
        manifest.push_str("file appendonly.aof.1.base.rdb seq 1 type b\n");
    }
    write_increments(&aof.join("appendonly.aof.1.incr.aof"), incr)?;
    manifest.push_str("file appendonly.aof.1.incr.aof seq 1 type i\n");
    std::fs::write(aof.join("appendonly.aof.manifest"), manifest)
}

fn write_increments(path: &Path, parts: &Parts) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut dice = Dice::new(7);
    for (data, bytes) in parts {
        let mut written = 0;
        while written < *bytes {
            let words = command(*data, &mut dice);
            let mut one = format!("*{}\r\n", words.len()).into_bytes();
            for word in words {
                one.extend(format!("${}\r\n", word.len()).bytes());
                one.extend(word);
                one.extend(b"\r\n");
            }
            out.write_all(&one)?;
            written += one.len() as u64;
        }
    }
    out.flush()?;
    out.get_ref().sync_all()
}

/// One command as a service would have sent it.
fn command(data: Data, dice: &mut Dice) -> Vec<Vec<u8>> {
    let numbered = |kind: &str, n: u64| format!("{kind}:{n}").into_bytes();
    match data {
        Data::Strings(length) => vec![b"SET".to_vec(), numbered("s", dice.below(3_000_000)), dice.text(length)],
        Data::Hashes => {
            let key = numbered("h", dice.below(300_000));
            vec![b"HSET".to_vec(), key, format!("f{}", dice.below(8)).into_bytes(), dice.text(12)]
        }
        Data::SortedSets => {
            let (set, member) = (dice.below(300), dice.below(2000));
            let score = dice.below(1_000_000_000).to_string().into_bytes();
            vec![b"ZADD".to_vec(), numbered("z", set), score, numbered("member", member)]
        }
        Data::Counters => vec![b"INCR".to_vec(), numbered("c", dice.below(200_000))],
        Data::Queues if dice.below(2) == 0 => vec![b"LPOP".to_vec(), numbered("q", dice.below(500))],
        Data::Queues => vec![b"RPUSH".to_vec(), numbered("q", dice.below(500)), dice.text(60)],
        Data::Everything => {
            const ALL: [Data; 5] = [Data::Strings(200), Data::Hashes, Data::SortedSets, Data::Counters, Data::Queues];
            command(ALL[dice.below(5) as usize], dice)
        }
    }
}

/// A base as `rdb.c` writes it (version 10), without compression, which does nothing for such data.
fn write_base(path: &Path, parts: &Parts) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    // One database, and how many keys it has: filled in at the end, in the form of 32 bits.
    out.write_all(b"REDIS0010\xfe\x00\xfb")?;
    let counted = out.stream_position()?;
    out.write_all(b"\x80\0\0\0\0\0")?;
    let mut dice = Dice::new(11);
    let mut keys = 0_u32;
    for (data, bytes) in parts {
        let (mut written, mut n) = (0, 0);
        while written < *bytes {
            let one = entry(*data, n, &mut dice);
            out.write_all(&one)?;
            written += one.len() as u64;
            (n, keys) = (n + 1, keys + 1);
        }
    }
    // A checksum of zero is one that was not taken; the reader computes its own all the same.
    out.write_all(b"\xff\0\0\0\0\0\0\0\0")?;
    out.seek(io::SeekFrom::Start(counted + 1))?;
    out.write_all(&keys.to_be_bytes())?;
    out.flush()?;
    out.get_ref().sync_all()
}

/// One key with its value.
fn entry(data: Data, n: u64, dice: &mut Dice) -> Vec<u8> {
    let mut one = Vec::new();
    let begin = |one: &mut Vec<u8>, kind: u8, name: &str| {
        one.push(kind);
        string(one, format!("{name}:{n}").as_bytes());
    };
    match data {
        Data::Strings(length) => {
            begin(&mut one, 0, "s");
            string(&mut one, &dice.text(length));
        }
        Data::Hashes => {
            begin(&mut one, 16, "h");
            let fields = (0..8).flat_map(|field| [format!("f{field}").into_bytes(), dice.text(12)]);
            string(&mut one, &listpack(&fields.collect::<Vec<_>>()));
        }
        Data::SortedSets => {
            begin(&mut one, 5, "z");
            length(&mut one, 2000);
            // The highest score first, so that each is put in at the head (rdb.c, rdbSaveObject).
            let mut scores: Vec<u64> = (0..2000).map(|_| dice.below(1_000_000_000)).collect();
            scores.sort_unstable_by(|a, b| b.cmp(a));
            for (member, score) in scores.into_iter().enumerate() {
                string(&mut one, format!("member:{member}").as_bytes());
                one.extend((score as f64).to_le_bytes());
            }
        }
        Data::Counters => {
            begin(&mut one, 0, "c");
            string(&mut one, dice.below(1_000_000).to_string().as_bytes());
        }
        Data::Queues => {
            begin(&mut one, 18, "q");
            length(&mut one, 1);
            length(&mut one, 2);
            string(&mut one, &listpack(&(0..20).map(|_| dice.text(60)).collect::<Vec<_>>()));
        }
        Data::Everything => {
            const ALL: [Data; 4] = [Data::Strings(200), Data::Hashes, Data::Counters, Data::Queues];
            one = if n.is_multiple_of(500) {
                entry(Data::SortedSets, n, dice)
            } else {
                entry(ALL[(n % 4) as usize], n, dice)
            };
        }
    }
    one
}

fn length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..64 => out.push(length as u8),
        64..16_384 => out.extend((0x4000 | length as u16).to_be_bytes()),
        _ => {
            out.push(0x80);
            out.extend((length as u32).to_be_bytes());
        }
    }
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    length(out, text.len());
    out.extend(text);
}

/// Short texts in the compact form (listpack.c).
fn listpack(texts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for text in texts {
        body.push(0x80 | text.len() as u8);
        body.extend(text);
        body.push(text.len() as u8 + 1);
    }
    let mut out = Vec::new();
    out.extend((body.len() as u32 + 7).to_le_bytes());
    out.extend((texts.len() as u16).to_le_bytes());
    out.extend(body);
    out.push(0xff);
    out
}
