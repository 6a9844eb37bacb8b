//! The kept corpora of `fuzz/`, replayed through the same functions on the stable compiler, and mutations of them.
//! `RUNBOOK_HARD=quick` and `RUNBOOK_HARD=full` try more of those.

use std::path::PathBuf;

use super::{TARGETS, Target};

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[expect(clippy::disallowed_methods, reason = "how hard to try is the caller's wish")]
fn tries() -> usize {
    match std::env::var("RUNBOOK_HARD").as_deref() {
        Ok("full") => 20_000,
        Ok("quick") => 2_000,
        _ => 250,
    }
}

/// Says which input it was, because a panic inside a reader does not know.
struct Blame<'a>(&'a str, &'a [u8]);

impl Drop for Blame<'_> {
    #[expect(clippy::print_stdout, reason = "the input of a finding is for whoever runs the test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("target {}, input {:?}", self.0, String::from_utf8_lossy(self.1));
        }
    }
}

fn feed(target: &Target, input: &[u8]) {
    let _blame = Blame(target.name, input);
    (target.run)(input);
}

#[test]
fn every_kept_input_keeps_every_promise() {
    let (mut inputs, mut bytes) = (0, 0);
    for target in &TARGETS {
        let corpus = corpus(target);
        assert!(corpus.len() >= 4, "{} has a corpus of {}", target.name, corpus.len());
        for (_, input) in corpus {
            feed(target, &input);
            (inputs, bytes) = (inputs + 1, bytes + input.len());
        }
    }
    assert!(bytes < 2 << 20, "the corpora have grown to {bytes} bytes: minimise them");
    figure(&format!("{inputs} kept inputs, {bytes} bytes, {} readers: clean", TARGETS.len()));
}

#[expect(clippy::print_stdout, reason = "figures are for whoever runs the test")]
fn figure(text: &str) {
    println!("{text}");
}

/// xorshift64*: the same mutations on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }
}

const ODD: [&[u8]; 14] = [
    b"\0",
    b"\xff",
    b"\x1b[2J",
    b"\n",
    b"\r\n",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"\"",
    b"\\u0000",
    b"{",
    b"[",
    b": ",
    "\u{202e}".as_bytes(),
];

fn mutate(seed: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(input.len() + 1);
        let upto = (at + 1 + dice.roll(16)).min(input.len());
        match dice.roll(6) {
            0 if at < input.len() => input[at] ^= 1 << dice.roll(8),
            1 => drop(input.drain(at..upto.max(at))),
            2 => drop(input.splice(at..at, ODD[dice.roll(ODD.len())].iter().copied())),
            3 => {
                let copy = input[at.min(upto)..upto].to_vec();
                drop(input.splice(at..at, copy));
            }
            4 => {
                let from = dice.roll(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.truncate(at.max(1)),
        }
    }
    input
}

#[test]
fn mutations_of_the_kept_inputs_keep_them_too() {
    let mut dice = Dice(0x5eed_0042);
    let tries = tries();
    for target in &TARGETS {
        let corpus = corpus(target);
        for _ in 0..tries {
            let (seed, other) = (dice.roll(corpus.len()), dice.roll(corpus.len()));
            feed(target, &mutate(&corpus[seed].1, &corpus[other].1, &mut dice));
        }
    }
    figure(&format!("{tries} mutations for each of {} readers: clean", TARGETS.len()));
}

#[test]
fn every_reader_has_a_binary() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap();
    for target in &TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
        assert!(dir.join("fuzz_targets").join(format!("{}.rs", target.name)).is_file(), "{}", target.name);
    }
}
