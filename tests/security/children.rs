//! Children that flood, linger or hang, run by the real program: bounded memory and disk, nothing left behind, no zombie.
use std::time::Duration;

use super::bench::{Bench, ended, hostname, told, walk};
use super::figure;

fn book(bench: &Bench, script: &str, more: &str) -> String {
    let script = serde_json::to_string(script).unwrap();
    let text = format!(
        "version: 1\nname: child\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [/bin/sh, -c, {script}] }}\n{more}",
        hostname()
    );
    bench.file("child.yaml", &text)
}

/// The largest resident set that the kernel remembers of a process, in KiB, and its zombies.
fn size_and_zombies(pid: u32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    let zombie = |entry: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut words = stat.rsplit_once(')')?.1.split_whitespace();
        (words.next() == Some("Z") && words.next()?.parse() == Ok(pid)).then_some(())
    };
    (peak.unwrap_or(0), std::fs::read_dir("/proc").unwrap().flatten().filter_map(zombie).count())
}

#[test]
fn gigabytes_of_output_stay_bounded() {
    // Ten of them in the full tier: on a slow machine that takes minutes.
    let full = std::env::var_os("RUNBOOK_FULL").is_some();
    let size = if full { 10_000_000_000_u64 } else { 1_000_000_000 };
    let bench = Bench::new();
    let book = book(&bench, &format!("yes | head -c {size}; echo; echo the end >&2; exit 3"), "");
    let mut child = bench.start(&["run", &book, "--yes", "--progress", "plain"]);
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(size_and_zombies(child.id()).0);
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    let mut files = Vec::new();
    walk(&bench.path(""), &mut files);
    let disk: u64 =
        files.iter().map(|path| std::os::unix::fs::MetadataExt::blocks(&path.symlink_metadata().unwrap()) * 512).sum();
    figure(&format!(
        "flood: {} GB of output, peak {} MiB resident, {} KiB on disk",
        size / 1_000_000_000,
        peak / 1024,
        disk / 1024
    ));
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(bench.journal().contains("the end"), "its last words are kept: {}", told(&output));
    assert!(peak > 0 && peak < 64 * 1024 && disk < 4 << 20, "{peak} KiB, {disk} bytes");
}

#[test]
fn what_hangs_is_ended_and_nothing_is_left() {
    for (what, script, within, code) in [
        ("hangs", "echo $$ > PID; sleep 600 & sleep 600", "      within: 1s\n", 21),
        ("ignores TERM", "echo $$ > PID; trap '' TERM; while :; do sleep 1; done", "      within: 1s\n", 21),
        ("leaves a daemon that holds the pipe", "setsid sleep 5 & echo started", "", 0),
        ("reads its input", "cat; echo $?", "", 0),
    ] {
        let bench = Bench::new();
        let pid = bench.path("pid");
        let script = script.replace("PID", pid.to_str().unwrap());
        let within = if within.is_empty() { String::new() } else { within.replace("      ", "        ") };
        let book = book(&bench, &script, &within);
        let child = bench.start(&["run", &book, "--yes", "--progress", "plain"]);
        let id = child.id();
        let watching = std::thread::spawn(move || {
            (0..20)
                .map(|_| {
                    std::thread::sleep(Duration::from_millis(40));
                    size_and_zombies(id).1
                })
                .max()
        });
        let output = ended(child, Duration::from_secs(120));
        assert_eq!(output.status.code(), Some(code), "{what}: {}", told(&output));
        assert!(
            watching.join().unwrap().unwrap() <= 1,
            "{what}: a child may be unreaped while its group is watched, and no more"
        );
        if let Ok(leader) = std::fs::read_to_string(&pid) {
            let group = leader.trim();
            let alive = || {
                std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
                    let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
                    stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(2)) == Some(group)
                })
            };
            // Killed is not yet gone.
            let left = (0..100)
                .map(|_| {
                    std::thread::sleep(Duration::from_millis(50));
                    alive().count()
                })
                .find(|left| *left == 0);
            assert_eq!(left, Some(0), "{what}: the whole group is gone");
        }
    }
    figure("children: hanging, deaf, daemonising and reading ones end as they must; 0 left behind");
}
