//! Real children: hanging, deaf, flooding, daemonising, missing.

use std::time::Duration;

use super::*;

const SOON: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str, deadline: Duration) -> CommandAsked {
    CommandAsked::new(&["/bin/sh", "-c", script], deadline)
}

#[tokio::test]
async fn ends_of_its_own_are_told_apart() {
    for (script, wanted) in [
        ("exit 0", CommandEnd::Exited { code: 0 }),
        ("exit 7", CommandEnd::Exited { code: 7 }),
        ("kill -USR1 $$", CommandEnd::Killed { signal: 10 }),
    ] {
        let seen = run(shell(script, LONG)).await;
        assert_eq!(seen.end, wanted, "{script}");
    }
    assert!(run(shell("true", LONG)).await.succeeded());
}

#[tokio::test]
async fn what_cannot_start_was_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "not a program").unwrap();
    let plain = plain.to_str().unwrap();
    for argv in [&["/nowhere/at-all"][..], &["no-such-program-here"], &["./sh"], &[""], &[], &["/tmp"], &[plain]] {
        let seen = run(CommandAsked::new(argv, LONG)).await;
        assert!(matches!(seen.end, CommandEnd::NotBegun { .. }), "{argv:?}: {:?}", seen.end);
    }
    let stranger = CommandAsked { user: Some("no-such-user".into()), ..shell("true", LONG) };
    assert!(matches!(run(stranger).await.end, CommandEnd::NotBegun { .. }));
}

#[tokio::test]
async fn a_hanging_command_is_ended_by_term() {
    let seen = run(shell("sleep 600 & sleep 600", SOON)).await;
    assert_eq!(seen.end, CommandEnd::TimedOut { forced: false });
    assert!(seen.took < Duration::from_secs(20), "{:?}", seen.took);
}

#[tokio::test]
async fn a_deaf_command_takes_kill() {
    let deaf = CommandAsked { grace: SOON, ..shell("trap '' TERM; while :; do sleep 1; done", SOON) };
    assert_eq!(run(deaf).await.end, CommandEnd::TimedOut { forced: true });
}

#[tokio::test]
async fn a_deaf_child_of_a_deaf_command_is_ended_too() {
    // Bounded, so that it ends by itself should nobody end it.
    let deaf = "trap '' TERM; i=0; while [ $i -lt 20 ]; do sleep 1; i=$((i+1)); done";
    let both = CommandAsked { grace: SOON, ..shell(&format!("({deaf}) & {deaf}"), SOON) };
    assert_eq!(run(both).await.end, CommandEnd::TimedOut { forced: true });
}

#[tokio::test]
async fn fifty_megabytes_stay_bounded() {
    let flood =
        CommandAsked { keep: 8192, ..shell("head -c 52428800 /dev/zero | tr '\\0' x; echo; echo end >&2", LONG) };
    let seen = run(flood).await;
    assert!(seen.succeeded());
    assert_eq!(seen.stdout.total, 52_428_801);
    let kept: usize = seen.stdout.lines().map(str::len).sum();
    assert!(kept <= 8192, "{kept}");
    assert_eq!(seen.stdout.skipped, 52_428_801 - 8192);
    assert_eq!(seen.stderr.head, ["end"]);
}

#[tokio::test]
async fn a_daemon_that_holds_the_pipe_does_not_hold_us() {
    let seen = run(shell("echo started; setsid sleep 8 & exit 0", LONG)).await;
    assert!(seen.succeeded());
    assert!(seen.took < Duration::from_secs(6), "{:?}", seen.took);
    assert_eq!(seen.stdout.head, ["started"]);
}

#[tokio::test]
async fn what_stays_in_the_group_is_counted() {
    let seen = run(shell("sleep 3 >/dev/null 2>&1 & exit 0", LONG)).await;
    assert!(seen.succeeded());
    assert_eq!(seen.left_behind, 1);
}

#[tokio::test]
async fn arguments_and_environment_arrive_literally_and_nothing_else() {
    let words = ["$(id)", "; rm -rf /", "%n", "'\"\\", "a b", ""];
    let argv: Vec<_> = ["/usr/bin/printf", "%s|"].into_iter().chain(words).collect();
    let seen = run(CommandAsked::new(&argv, LONG)).await;
    assert_eq!(seen.stdout.head, [format!("{}|", words.join("|"))]);

    let asked = CommandAsked { env: vec![("A".into(), "1".into())], ..CommandAsked::new(&["env"], LONG) };
    let mut names: Vec<_> =
        run(asked).await.stdout.head.iter().map(|l| l.split('=').next().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["A", "LANG", "PATH"]);
}

#[tokio::test]
async fn standard_input_is_fed_or_empty() {
    let fed = CommandAsked { stdin: Some(b"hello".to_vec()), ..CommandAsked::new(&["cat"], LONG) };
    assert_eq!(run(fed).await.stdout.head, ["hello"]);
    assert_eq!(run(CommandAsked::new(&["cat"], LONG)).await.stdout.total, 0);
}

#[tokio::test]
async fn another_identity_is_complete_and_leaves_ours_alone() {
    if !rustix::process::geteuid().is_root() || passwd_user("nobody").is_none() {
        println_skipped("not root, or no user nobody");
        return;
    }
    let script = "id -u; id -g; id -G; pwd; echo $HOME; grep CapEff /proc/self/status";
    let seen = run(CommandAsked { user: Some("nobody".into()), ..shell(script, LONG) }).await;
    let nobody = passwd_user("nobody").unwrap();
    let groups: Vec<_> = nobody.groups.iter().map(ToString::to_string).collect();
    let wanted = [
        nobody.uid.to_string(),
        nobody.gid.to_string(),
        groups.join(" "),
        "/".into(),
        nobody.home.display().to_string(),
        "CapEff:\t0000000000000000".replace('\t', "\\u{9}"),
    ];
    assert_eq!(seen.stdout.head, wanted, "{seen:?}");
    assert!(rustix::process::geteuid().is_root());
    assert_eq!(run(CommandAsked::new(&["id", "-u"], LONG)).await.stdout.head, ["0"]);
}

#[tokio::test]
async fn dropping_the_future_kills_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("pid");
    let script = format!("echo $$ > {}; sleep 600", mark.display());
    let gave_up = tokio::time::timeout(Duration::from_millis(700), run(shell(&script, LONG))).await;
    assert!(gave_up.is_err());
    let pid: u32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
    for _ in 0..100 {
        if crate::host::machine::start_time(pid).is_none() {
            return;
        }
        clock::sleep(Duration::from_millis(20)).await;
    }
    panic!("{pid} still lives");
}

#[test]
fn debug_output_hides_values() {
    let asked = CommandAsked { env: vec![("TOKEN".into(), "s3cret".into())], ..shell("true", LONG) };
    let text = format!("{asked:?}");
    assert!(text.contains("TOKEN") && !text.contains("s3cret"), "{text}");
}

fn passwd_user(name: &str) -> Option<crate::host::passwd::User> {
    crate::host::passwd::user(name).ok()
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn println_skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// In a process of its own, because being a subreaper is for the whole process, and other tests have children.
#[test]
#[expect(clippy::disallowed_methods, reason = "this test program is started again")]
fn what_left_the_group_is_ended_with_it_and_reaped() {
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "host::command::tests::the_process_that_adopts", "--test-threads=1", "--ignored"]);
    let output = again.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn the_process_that_adopts() {
    adopt_orphans();
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("pid");
    // A grandchild in a session of its own, whose parent is gone: the group alone would never find it.
    let stray = format!("(setsid sh -c 'echo $$ >{}; exec sleep 60' &) ; sleep 60", mark.display());
    let seen = run(shell(&stray, Duration::from_secs(2))).await;
    assert_eq!(seen.end, CommandEnd::TimedOut { forced: false });
    let pid: u32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
    let gone = || crate::host::machine::start_time(pid).is_none();
    // One that is left behind by a command that ended is seen, and stays.
    let daemon =
        format!("(setsid sh -c 'echo $$ >{}; exec sleep 60 >/dev/null 2>&1' &); sleep 0.5; exit 0", mark.display());
    let left = run(shell(&daemon, LONG)).await;
    assert_eq!((left.end, left.left_behind), (CommandEnd::Exited { code: 0 }, 1));
    assert!(gone(), "{pid} was ended and is no zombie");
    let daemon: u32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
    let later = run(shell("sleep 60", SOON)).await;
    assert_eq!(later.end, CommandEnd::TimedOut { forced: false });
    assert!(crate::host::machine::start_time(daemon).is_some(), "a daemon of an earlier command is not touched");
    let daemon = rustix::process::Pid::from_raw(i32::try_from(daemon).unwrap()).unwrap();
    rustix::process::kill_process(daemon, rustix::process::Signal::KILL).unwrap();
}
