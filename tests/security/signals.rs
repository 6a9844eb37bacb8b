//! Signals and lost terminals, on the real program in the middle of a command: it pauses, leaves, terminates or goes on as
//! documented, with its own exit code, and the journal says what is known.
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::bench::{Bench, ended, hostname, told};
use super::figure;

const LONG: Duration = Duration::from_secs(120);

/// Two commands, of which the first takes a while.
fn slow(bench: &Bench, seconds: &str) -> String {
    let text = format!(
        "version: 1\nname: slow\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [sleep, \"{seconds}\"], repeatable: true }}\n      - command: {{ argv: [/usr/bin/touch, {}], repeatable: true }}\n",
        hostname(),
        bench.path("second").display()
    );
    bench.file("slow.yaml", &text)
}

fn signal(child: &std::process::Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn each_signal_has_its_ending() {
    // What is sent; whether a second one follows; exit code; whether the second command ran; words of the journal.
    for (what, first, again, code, went_on, words) in [
        ("Ctrl-C", Signal::INT, None, 20, false, "\"asked\""),
        ("Ctrl-C twice", Signal::INT, Some(Signal::INT), 130, false, "unknown"),
        ("Ctrl-Z", Signal::TSTP, None, 20, false, "\"asked\""),
        ("SIGTERM", Signal::TERM, None, 143, false, "\"signal\""),
        ("SIGHUP", Signal::HUP, None, 0, true, "finished"),
    ] {
        let mut bench = Bench::new();
        let book = slow(&bench, if again.is_some() { "60" } else { "4" });
        let child = bench.start(&["run", &book, "--yes", "--progress", "plain"]);
        bench.until_journaled("item_intent");
        std::thread::sleep(Duration::from_millis(300));
        signal(&child, first);
        if let Some(again) = again {
            std::thread::sleep(Duration::from_millis(500));
            signal(&child, again);
        }
        let output = ended(child, LONG);
        assert_eq!(output.status.code(), Some(code), "{what}: {}", told(&output));
        assert_eq!(bench.path("second").exists(), went_on, "{what}: {}", told(&output));
        assert!(bench.journal().contains(words), "{what}: {}", bench.journal());
        if code == 20 || code == 143 {
            let resumed = bench.runbook(&["resume", "--yes", "--progress", "plain"]);
            assert_eq!(resumed.status.code(), Some(0), "{what}: {}", told(&resumed));
            let slept = bench.journal().matches("\"item_intent\"").count();
            assert_eq!(slept, 2, "{what}: the first command is not run again");
        }
    }
    figure("signals: Ctrl-C once 20, twice 130, Ctrl-Z 20, SIGTERM 143, SIGHUP goes on: as documented");
}

/// Nobody reads what it says any more: both pipes closed, in every way of showing progress.
#[test]
fn a_run_outlives_its_readers() {
    for mode in ["plain", "live", "json", "none"] {
        let bench = Bench::new();
        let book = slow(&bench, "1");
        let mut child = bench.start(&["run", &book, "--yes", "--progress", mode]);
        bench.until_journaled("item_intent");
        drop((child.stdout.take(), child.stderr.take()));
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{mode}: {status}");
        assert!(bench.journal().contains("\"finished\"") && bench.path("second").exists(), "{mode}");
    }
    figure("closed pipes: 4 ways of showing progress, all runs went on to their end");
}

/// The terminal goes away in the middle: the pseudo-terminal's other end is killed, so that there is a SIGHUP and then EIO.
#[test]
fn a_run_outlives_its_terminal() {
    for mode in ["auto", "plain"] {
        let bench = Bench::new();
        let book = slow(&bench, "3");
        let line = format!("exec {} run {book} --yes --progress {mode}", env!("CARGO_BIN_EXE_runbook"));
        let program = bench.command(&[]);
        let mut script = Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .envs(program.get_envs().filter_map(|(k, v)| Some((k, v?))))
            .env("TERM", "xterm");
        script.current_dir(bench.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut child) = script.spawn() else {
            figure("skipped: lost terminal: no script(1)");
            return;
        };
        bench.until_journaled("item_intent");
        child.kill().unwrap();
        child.wait().unwrap();
        bench.until_journaled("\"finished\"");
        assert!(bench.path("second").exists(), "{mode}");
    }
    figure("lost terminal: live and plain runs went on to their end");
}

/// The shell's limit on file sizes is an error of the disk, not a death (SIGXFSZ).
#[test]
fn a_limit_on_files_is_a_failure_of_storage() {
    let mut bench = Bench::new();
    let book = slow(&bench, "0");
    let program = bench.command(&[]);
    let mut seen = Vec::new();
    for limit in ["0", "1", "4", "16", "unlimited"] {
        let line = format!("ulimit -f {limit}; exec \"$0\" run \"$1\" --yes --progress plain");
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &line, env!("CARGO_BIN_EXE_runbook"), &book])
            .envs(program.get_envs().filter_map(|(k, v)| Some((k, v?))));
        let output = shell.current_dir(bench.path("")).stdin(Stdio::null()).output().unwrap();
        seen.push(format!("{limit}: {:?}", output.status.code()));
        let wanted: &[i32] = if limit == "unlimited" { &[0] } else { &[31, 8, 0] };
        assert!(output.status.code().is_some_and(|code| wanted.contains(&code)), "{limit}: {}", told(&output));
        if limit == "0" {
            assert_eq!(output.status.code(), Some(31), "{}", told(&output));
        }
        bench.runbook(&["abort"]);
    }
    figure(&format!("SIGXFSZ: never killed by it; exit codes by `ulimit -f` {}", seen.join(", ")));
}
