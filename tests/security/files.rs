//! Files that were planted, opened up, or swapped under the program's feet: each is refused with a word on the cure, and a race
//! of ten thousand swaps never leads outside.
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::bench::{Bench, hostname, is_root, mode, told};
use super::figure;

fn book(name: &str) -> String {
    format!(
        "version: 1\nname: {name}\nhosts: [{}]\nphases:\n  - name: a\n    steps:\n      - command: {{ argv: [\"true\"], repeatable: true }}\n",
        hostname()
    )
}

fn give(path: &Path, uid: u32) {
    std::os::unix::fs::chown(path, Some(uid), None).unwrap();
}

/// The primary group of `nobody`.
fn for_group(path: &Path, bits: u32) {
    std::os::unix::fs::chown(path, None, Some(65_534)).unwrap();
    mode(path, bits);
}

fn special(path: &Path, kind: FileType, device: u64) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).unwrap();
}

/// How a runbook is planted, and whether it may be run.
type Planting = (&'static str, fn(&Path), Result<(), &'static str>);

#[test]
fn a_runbook_in_other_hands_is_not_run() {
    let mut cases: Vec<Planting> = vec![
        ("0600", |_| {}, Ok(())),
        ("0644", |p| mode(p, 0o644), Ok(())),
        ("0444", |p| mode(p, 0o444), Ok(())),
        ("0646", |p| mode(p, 0o646), Err("chmod go-w")),
        ("0666", |p| mode(p, 0o666), Err("chmod go-w")),
        ("0777", |p| mode(p, 0o777), Err("chmod go-w")),
        ("a directory for all", |p| mode(p.parent().unwrap(), 0o777), Err("chmod go-w")),
        ("a directory above for all", |p| mode(p.parent().unwrap().parent().unwrap(), 0o757), Err("chmod go-w")),
        ("a sticky directory", |p| mode(p.parent().unwrap(), 0o1777), Ok(())),
        (
            "a link",
            |p| {
                std::fs::rename(p, p.with_extension("real")).unwrap();
                symlink(p.with_extension("real"), p).unwrap();
            },
            Err("symbolic link"),
        ),
        (
            "a link to nowhere",
            |p| {
                std::fs::remove_file(p).unwrap();
                symlink("/nowhere", p).unwrap();
            },
            Err("symbolic link"),
        ),
        (
            "a link above",
            |p| {
                let dir = p.parent().unwrap();
                std::fs::rename(dir, dir.with_extension("real")).unwrap();
                symlink(dir.with_extension("real"), dir).unwrap();
            },
            Ok(()),
        ),
        (
            "a link above, to a directory for all",
            |p| {
                let dir = p.parent().unwrap();
                mode(dir, 0o777);
                std::fs::rename(dir, dir.with_extension("real")).unwrap();
                symlink(dir.with_extension("real"), dir).unwrap();
            },
            Err("chmod go-w"),
        ),
        (
            "a pipe",
            |p| {
                std::fs::remove_file(p).unwrap();
                special(p, FileType::Fifo, 0);
            },
            Err("not a regular file"),
        ),
        (
            "a directory",
            |p| {
                std::fs::remove_file(p).unwrap();
                std::fs::create_dir(p).unwrap();
            },
            Err("not a regular file"),
        ),
        (
            "a socket",
            |p| {
                std::fs::remove_file(p).unwrap();
                drop(std::os::unix::net::UnixListener::bind(p).unwrap());
            },
            Err("cannot open"),
        ),
    ];
    if is_root() {
        cases.extend([
            // A group that may write is as good as its members: root's has none besides root, the other is somebody's.
            ("for a group without members", (|p| mode(p, 0o664)) as fn(&Path), Ok(())),
            ("a directory for a group without members", |p| mode(p.parent().unwrap(), 0o770), Ok(())),
            ("for a group of somebody's", |p| for_group(p, 0o664), Err("chmod g-w")),
            ("a directory for a group of somebody's", |p| for_group(p.parent().unwrap(), 0o770), Err("chmod g-w")),
            ("of another user", |p| give(p, 65534), Err("chown root:root")),
            ("in a directory of another user", |p| give(p.parent().unwrap(), 65534), Err("chown root:root")),
            (
                "below a directory of another user",
                |p| give(p.parent().unwrap().parent().unwrap(), 65534),
                Err("chown root:root"),
            ),
            (
                "a device",
                |p| {
                    std::fs::remove_file(p).unwrap();
                    special(p, FileType::CharacterDevice, rustix::fs::makedev(1, 5));
                },
                Err("not a regular file"),
            ),
        ]);
    }
    let count = cases.len();
    for (what, change, wanted) in cases {
        let mut bench = Bench::new();
        let path = bench.file("above/books/x.yaml", &book("x"));
        for dir in ["above", "above/books"] {
            mode(&bench.path(dir), 0o755);
        }
        change(Path::new(&path));
        let output = bench.runbook(&["run", &path, "--yes", "--progress", "none"]);
        match wanted {
            Ok(()) => assert_eq!(output.status.code(), Some(0), "{what}: {}", told(&output)),
            Err(words) => {
                assert!(matches!(output.status.code(), Some(3 | 5)), "{what}: {}", told(&output));
                assert!(told(&output).contains(words), "{what}: {}", told(&output));
                assert!(bench.state_files().is_empty(), "{what}: nothing was begun");
            }
        }
    }
    figure(&format!("runbooks: {count} plantings judged right"));
}

#[test]
fn planted_state_is_refused() {
    type Change = fn(&Path);
    let mut kinds: Vec<(&str, Change, &str)> = vec![
        (
            "a pipe",
            |p| {
                std::fs::remove_file(p).unwrap();
                special(p, FileType::Fifo, 0);
            },
            "not a regular file",
        ),
        (
            "a link",
            |p| {
                std::fs::rename(p, p.with_extension("real")).unwrap();
                symlink(p.with_extension("real"), p).unwrap();
            },
            "",
        ),
        ("a hard link", |p| std::fs::hard_link(p, p.with_extension("twin")).unwrap(), "samefile"),
        (
            "a directory",
            |p| {
                std::fs::remove_file(p).unwrap();
                std::fs::create_dir(p).unwrap();
                mode(p, 0o700);
            },
            "",
        ),
        ("mode 0640", |p| mode(p, 0o640), "chmod go-rwx"),
        ("mode 0602", |p| mode(p, 0o602), "chmod go-rwx"),
        ("mode 0666", |p| mode(p, 0o666), "chmod go-rwx"),
    ];
    if is_root() {
        kinds.push(("another owner", |p| give(p, 65534), "chown 0"));
        kinds.push((
            "a device",
            |p| {
                std::fs::remove_file(p).unwrap();
                special(p, FileType::CharacterDevice, rustix::fs::makedev(1, 5));
            },
            "not a regular file",
        ));
    }
    let mut count = 0;
    for (what, change, words) in kinds {
        for file in ["journal", "head", "runbook.yaml", "pending"] {
            let mut bench = Bench::new();
            let text = book("x").replace("[\"true\"], repeatable: true", "[\"false\"]");
            let path = bench.file("x.yaml", &text);
            let began = bench.runbook(&["run", &path, "--yes", "--progress", "none"]);
            assert_eq!(began.status.code(), Some(1), "{}", told(&began));
            let found = bench.state_files().into_iter().find(|path| path.file_name().is_some_and(|name| name == file));
            change(&found.unwrap_or_else(|| panic!("no {file}")));
            let output = bench.runbook(&["resume", "--yes"]);
            assert!(matches!(output.status.code(), Some(30 | 31)), "{what} as {file}: {}", told(&output));
            assert!(told(&output).contains(words), "{what} as {file}: {}", told(&output));
            count += 1;
        }
    }
    // The directories themselves.
    for dir in ["state", "state/runs"] {
        let mut bench = Bench::new();
        let path = bench.file("x.yaml", &book("x"));
        bench.runbook(&["run", &path, "--yes", "--progress", "none"]);
        mode(&bench.path(dir), 0o777);
        let output = bench.runbook(&["run", &path, "--yes", "--progress", "none"]);
        assert!(
            matches!(output.status.code(), Some(5 | 30 | 31)) && told(&output).contains("chmod go"),
            "{dir}: {}",
            told(&output)
        );
        count += 1;
    }
    figure(&format!("state: {count} plantings refused"));
}

/// Everything that a run writes is for its owner only, whatever the umask.
#[test]
fn what_is_written_is_private() {
    let bench = Bench::new();
    let path = bench.file("x.yaml", &book("x"));
    for words in [&["run", "--yes"][..], &["plan", "--save"]] {
        let words = [&[words[0], path.as_str()], &words[1..]].concat();
        let mut shell = std::process::Command::new("sh");
        let program = bench.command(&words);
        shell.args(["-c", "umask 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_runbook")]).args(&words);
        let output = shell.envs(program.get_envs().filter_map(|(k, v)| Some((k, v?)))).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
    let files = bench.state_files();
    for path in &files {
        for (one, wanted) in [(path.as_path(), 0o600), (path.parent().unwrap(), 0o700)] {
            let mode = std::os::unix::fs::PermissionsExt::mode(&one.metadata().unwrap().permissions()) & 0o7777;
            assert_eq!(mode, wanted, "{}", one.display());
        }
    }
    figure(&format!("modes: {} files of a run and a saved plan with umask 0: all 0600 in 0700", files.len()));
}

/// A file and a directory are swapped with links to the outside ten thousand times while they are read.
#[test]
fn ten_thousand_swaps_lead_nowhere() {
    const SWAPS: usize = 10_000;
    let bench = Bench::new();
    let outside = bench.path("outside");
    std::fs::create_dir(&outside).unwrap();
    mode(&outside, 0o700);
    bench.file("outside/journal", "escaped");
    let inside = bench.path("state");
    for (dir, link) in [("sub", false), ("other", true)] {
        if link { symlink(&outside, inside.join(dir)).unwrap() } else { std::fs::create_dir(inside.join(dir)).unwrap() }
    }
    mode(&inside.join("sub"), 0o700);
    bench.file("state/sub/journal", "inside");
    bench.file("state/file", "inside");
    symlink(outside.join("journal"), inside.join("file-link")).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(AtomicUsize::new(0));
    let (stop, looked, place) = (Arc::clone(&over), Arc::clone(&seen), inside.clone());
    let swapper = std::thread::spawn(move || {
        let swap =
            |a: &str, b: &str| renameat_with(CWD, place.join(a), CWD, place.join(b), RenameFlags::EXCHANGE).unwrap();
        // On one slow core the swaps may be over before the reader has had its turn: then there are more of them.
        let mut swaps = 0;
        while swaps < SWAPS || looked.load(Ordering::Relaxed) < 1000 {
            swap("sub", "other");
            swap("file", "file-link");
            swaps += 2;
        }
        stop.store(true, Ordering::Relaxed);
        swaps
    });
    let (mut looks, mut read, mut escapes) = (0usize, 0usize, 0usize);
    let root = runbook::journal::Directory::open(&inside, 0o077).unwrap();
    while !over.load(Ordering::Relaxed) {
        looks += 1;
        seen.store(looks, Ordering::Relaxed);
        let both = [root.read("file"), root.sub("sub").and_then(|dir| dir.read("journal"))];
        for bytes in both.into_iter().flatten() {
            read += 1;
            escapes += usize::from(bytes != b"inside");
        }
    }
    let swaps = swapper.join().unwrap();
    figure(&format!("swaps: {swaps} against {looks} looks, {read} files read: {escapes} escapes"));
    assert_eq!(escapes, 0);
    assert!(read > 0);
}
