//! One call of the program as a child: its end, its time, the most memory it held, and what it said.
use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use crate::escapes;

/// The promise: whatever a neighbour does, a command ends within this, in this.
pub(super) const LONGEST: Duration = Duration::from_secs(10);
pub(super) const MOST_KIB: u64 = 64 << 10;
/// Whatever the machine does besides.
const HARD_END: Duration = Duration::from_secs(60);
/// So that a variant that breaks the promise does not take the machine along.
const ADDRESSES: u64 = 4 << 30;
/// More than any screen should say; the rest is not read.
const SAID_MAX: u64 = 8 << 20;
/// Every code of the manual but 70, which says that it is a bug, and those of signals.
const CODES: [i32; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 30, 31];

/// How a call ended.
pub(super) struct Ended {
    /// `code 5`, `signal 6`, `no end`.
    pub(super) how: String,
    code: Option<i32>,
    /// Beyond what the runbook had it wait, and what it stood in the queue for a processor that others had.
    pub(super) took: Duration,
    pub(super) peak_kib: u64,
    pub(super) out: Vec<u8>,
    pub(super) err: Vec<u8>,
}

/// Runs it in a process group of its own, at most a little longer than is promised; `told` is how long the runbook itself has it wait.
pub(super) fn run(mut command: Command, told: Duration) -> Ended {
    let began = Instant::now();
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let limit = Rlimit { current: Some(ADDRESSES), maximum: Some(ADDRESSES) };
    let _gone_already = rustix::process::prlimit(Some(pid), Resource::As, limit);
    let readers = [
        child.stdout.take().map(|from| std::thread::spawn(move || all_of(from))),
        child.stderr.take().map(|from| std::thread::spawn(move || all_of(from))),
    ];
    let process = format!("/proc/{}", child.id());
    let (mut peak_kib, mut late, mut queued, mut looks) = (0, false, Duration::ZERO, 0_u32);
    let ended = loop {
        // What is held at the very end is held for some milliseconds: a look every five misses little.
        peak_kib = peak_kib.max(high_water(&process));
        if looks.is_multiple_of(10) {
            queued = queued.max(in_queue(&process));
        }
        looks += 1;
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        if began.elapsed() > (LONGEST + told + queued).min(HARD_END) + Duration::from_secs(1) {
            late = true;
            let _gone_already = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = began.elapsed().saturating_sub(told + queued);
    let [out, err] = readers.map(|reader| reader.map(|thread| thread.join().unwrap()).unwrap_or_default());
    let how = match (late, ended.code(), ended.signal()) {
        (true, ..) => "no end".to_owned(),
        (_, Some(code), _) => format!("code {code}"),
        (_, None, signal) => format!("signal {}", signal.unwrap_or(0)),
    };
    Ended { how, code: ended.code().filter(|_| !late), took, peak_kib, out, err }
}

fn all_of(from: impl std::io::Read) -> Vec<u8> {
    let mut all = Vec::new();
    let mut from = from.take(SAID_MAX);
    let _ended = from.read_to_end(&mut all);
    all
}

/// The longest that any of its threads has waited for a processor: a busy machine is not a hostile one.
fn in_queue(process: &str) -> Duration {
    let tasks = std::fs::read_dir(format!("{process}/task")).into_iter().flatten().flatten();
    let waited = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse().ok()
    });
    Duration::from_nanos(waited.max().unwrap_or(0))
}

fn high_water(process: &str) -> u64 {
    let text = std::fs::read_to_string(format!("{process}/status")).unwrap_or_default();
    // For a moment after its start a child still shows the memory of the process that it was a copy of.
    if !text.starts_with("Name:\trunbook\n") {
        return 0;
    }
    text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

impl Ended {
    /// What was promised and not kept.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.took > LONGEST {
            broken.push(format!("took {:.1} s", self.took.as_secs_f64()));
        }
        if self.peak_kib > MOST_KIB {
            broken.push(format!("held {} MiB", self.peak_kib >> 10));
        }
        if !self.code.is_some_and(|code| CODES.contains(&code)) {
            broken.push(format!("ended with {}", self.how));
        }
        for (stream, bytes) in [("stdout", &self.out), ("stderr", &self.err)] {
            let text = String::from_utf8_lossy(bytes);
            for word in ["panicked", "RUST_BACKTRACE", "a bug of this program"] {
                if text.contains(word) {
                    broken.push(format!("{stream} says `{word}`"));
                }
            }
            if let Some(first) = escapes::harmful(bytes, false).first() {
                broken.push(format!("{stream} carries {first}"));
            }
            if bytes.len() as u64 >= SAID_MAX / 4 {
                broken.push(format!("{stream} is {} bytes long", bytes.len()));
            }
        }
        broken
    }

    pub(super) fn told(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned();
        format!(
            "{} after {:.2} s, {} MiB\n--- stdout\n{}\n--- stderr\n{}",
            self.how,
            self.took.as_secs_f64(),
            self.peak_kib >> 10,
            text(&self.out),
            text(&self.err)
        )
    }
}
