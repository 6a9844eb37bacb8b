//! The state directory: who owns a host, what a run leaves behind, and what is refused before it is read.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::{Arc, Mutex};

use super::super::checkpoint::{Checkpoint as C, PauseReason};
use super::super::durations::Durations;
use super::super::fixture::{clock, figure, intent, opened, resumed, still, story};
use super::super::recover::Reason;
use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::prepare(&dir.path().join("state")).unwrap();
    (dir, store)
}

fn new_run<'a>() -> NewRun<'a> {
    let opened = opened(&["save", "stop", "reboot", "restore"]);
    NewRun { runbook: b"version: 1\n", plan: b"{}", opened, reboots: false }
}

fn path(store: &Store, id: &RunId, name: &str) -> PathBuf {
    store.dir(id).unwrap().path().join(name)
}

fn append_raw(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// Creates a run and tells the story up to, not including, batch `until`.
fn told(store: &Store, until: usize) -> (RunId, Journal) {
    let boot = Arc::new(Mutex::new("boot-1".to_owned()));
    let (id, mut journal) = store.create(new_run(), clock(&boot)).unwrap();
    assert!(journal.path().is_file(), "{}: what messages name is there", journal.path().display());
    for (now, batch) in story().into_iter().take(until).skip(1) {
        *boot.lock().unwrap() = now.into();
        journal.append(&batch).unwrap();
    }
    (id, journal)
}

#[test]
fn a_run_owns_the_host_until_its_end_is_durable() {
    let (_dir, store) = store();
    assert!(store.unfinished().unwrap().is_none());
    let (id, journal) = told(&store, 17);
    assert!(id.as_str().starts_with("r-20261122-101500-") && id.as_str().len() == 22, "{id}");
    let (_, half) = {
        store.release(&journal).unwrap();
        assert!(store.unfinished().unwrap().is_none());
        told(&store, 4)
    };
    assert!(matches!(store.release(&half), Err(StoreError::Unfinished { .. })));
    let error = store.create(new_run(), still()).unwrap_err().to_string();
    assert!(error.contains(&format!("run {} is unfinished and owns this host", half.run())), "{error}");
    // Taking the pointer away does not free the host.
    std::fs::remove_file(store.root.path().join(PENDING)).unwrap();
    assert_eq!(store.unfinished().unwrap().unwrap().id.as_str(), half.run());
    assert_eq!(store.list().unwrap().len(), 2);
    let durations = store.durations("restart-staging").unwrap();
    assert_eq!(durations.steps[&"stop".into()], [2_500]);
    let items: Vec<_> = durations.items[&"stop".into()].iter().collect();
    assert_eq!(items, [(&"api".to_owned(), &vec![1_200])], "only what was applied");
    assert!(!durations.steps.contains_key(&"restore".into()), "had nothing to do");
    assert_eq!(store.durations("other").unwrap(), Durations::default());
}

#[test]
fn everything_is_private() {
    let (_dir, store) = store();
    let (id, _journal) = told(&store, 3);
    let mut modes = Vec::new();
    for name in ["journal", "head", "runbook.yaml", "plan.json", "snapshot", "."] {
        modes.push((name, std::fs::metadata(path(&store, &id, name)).unwrap().permissions().mode() & 0o7777));
    }
    for (name, mode) in modes {
        assert_eq!(mode, if matches!(name, "snapshot" | ".") { 0o700 } else { 0o600 }, "{name}");
    }
}

#[test]
fn resume_goes_on_where_the_journal_ends() {
    let (_dir, store) = store();
    let (id, journal) = told(&store, 6);
    assert!(matches!(store.resume(&id, "m-1", still()), Err(StoreError::Journal(JournalError::InUse { .. }))));
    let seq = journal.seq();
    drop(journal);
    let mut journal = store.resume(&id, "m-1", still()).unwrap();
    assert_eq!((journal.seq(), journal.state().in_doubt().len()), (seq, 2));
    let too_early = journal.append(&[C::Paused { why: PauseReason::Asked, note: None }]);
    assert!(matches!(too_early, Err(JournalError::Illegal(_))));
    journal.append(&[resumed("boot-1")]).unwrap();
    assert_eq!(store.read(&id).unwrap().entries.len() as u64, seq + 1);
}

#[test]
fn a_ruling_right_after_a_crash_reads_back() {
    use super::super::checkpoint::{Resolution, Ruling};
    for how in [Resolution::Done, Resolution::Rerun, Resolution::Skip] {
        let (_dir, store) = store();
        let (id, journal) = told(&store, 6);
        // The process dies with two intents open; nobody resumes before somebody rules.
        drop(journal);
        let mut journal = store.resume(&id, "m-1", still()).unwrap();
        let what = Ruling::Resolve { step: "stop".into(), how };
        journal.append(&[C::Decision { who: "ann".into(), what, reason: "looked".into() }]).unwrap();
        let live = journal.state().clone();
        assert_eq!(store.read(&id).unwrap().state, live, "{how:?}");
        assert!(matches!(journal.append(&[intent("stop", "api")]), Err(JournalError::Illegal(_))), "still at rest");
        drop(journal);
        store.resume(&id, "m-1", still()).unwrap().append(&[resumed("boot-1")]).unwrap();
    }
}

#[test]
fn a_torn_tail_is_copied_cut_and_noted_and_reading_repairs_nothing() {
    let (_dir, store) = store();
    let (id, journal) = told(&store, 6);
    drop(journal);
    let file = path(&store, &id, "journal");
    let good = std::fs::read(&file).unwrap();
    for (n, tail) in [(1, &b"RB1 300 0badcafe {\"v\":1,"[..]), (2, &[0; 700][..])] {
        append_raw(&file, tail);
        let torn = std::fs::read(&file).unwrap();
        assert_eq!(store.read(&id).unwrap().tail, crate::journal::Tail::Torn { bytes: tail.len() as u64 });
        assert_eq!(std::fs::read(&file).unwrap(), torn, "reading changed the file");
        let journal = store.resume(&id, "m-1", still()).unwrap();
        let copy = path(&store, &id, &format!("journal.broken-{n}"));
        assert_eq!(std::fs::read(&copy).unwrap(), torn);
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(journal);
        let reading = store.read(&id).unwrap();
        assert_eq!(reading.tail, crate::journal::Tail::Clean);
        let last = reading.entries.last().unwrap().checkpoint.clone();
        assert_eq!(last, C::Recovered { dropped_bytes: tail.len() as u64, copy: format!("journal.broken-{n}") });
        assert!(std::fs::read(&file).unwrap().starts_with(&good));
    }
}

#[test]
fn acknowledged_data_that_is_gone_is_refused_and_left_alone() {
    let (_dir, store) = store();
    let (id, journal) = told(&store, 6);
    drop(journal);
    let file = path(&store, &id, "journal");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    let error = store.resume(&id, "m-1", still()).unwrap_err();
    let StoreError::Journal(JournalError::Damaged { damage, .. }) = &error else { panic!("{error}") };
    assert!(matches!(damage.why, Reason::AcknowledgedLost { acknowledged: 7, .. }), "{error}");
    assert!(error.to_string().contains("is refused at byte"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), whole[..whole.len() - 5]);
    // A damaged run still owns the host.
    assert!(store.unfinished().unwrap().unwrap().reading.is_err());
    assert!(matches!(store.create(new_run(), still()), Err(StoreError::Unfinished { .. })));
}

#[test]
fn another_machine_or_another_runbook_is_refused() {
    let (_dir, store) = store();
    let (id, journal) = told(&store, 4);
    drop(journal);
    let error = store.resume(&id, "m-2", still()).unwrap_err().to_string();
    assert!(error.contains("belongs to machine m-1, and this is m-2"), "{error}");
    std::fs::write(path(&store, &id, "runbook.yaml"), "version: 1\n# edited\n").unwrap();
    assert!(matches!(store.resume(&id, "m-1", still()), Err(StoreError::RunbookChanged { .. })));
}

#[test]
fn links_loose_modes_and_pipes_are_refused() {
    let (dir, store) = store();
    let (id, journal) = told(&store, 4);
    drop(journal);
    let file = path(&store, &id, "journal");
    let refused = |what: &str| {
        let error = store.read(&id).unwrap_err();
        assert!(matches!(error, StoreError::Journal(JournalError::File(_)) | StoreError::File(_)), "{what}: {error}");
        error.to_string()
    };
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(refused("mode").contains("mode 0640"));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    std::fs::hard_link(&file, &elsewhere).unwrap();
    assert!(refused("hard link").contains("2 names"));
    std::fs::remove_file(&file).unwrap();
    symlink(&elsewhere, &file).unwrap();
    refused("symbolic link");
    std::fs::remove_file(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(refused("pipe").contains("not a regular file"));
    let run = store.dir(&id).unwrap().path().to_owned();
    std::fs::set_permissions(&run, PermissionsExt::from_mode(0o755)).unwrap();
    refused("directory");
    let link = dir.path().join("link");
    symlink(dir.path().join("state"), &link).unwrap();
    assert!(matches!(Store::open(&link), Err(StoreError::File(_))));
    std::fs::set_permissions(dir.path().join("state"), PermissionsExt::from_mode(0o777)).unwrap();
    assert!(matches!(Store::open(&dir.path().join("state")), Err(StoreError::File(_))));
}

#[test]
fn a_crash_while_creating_leaves_nothing_behind_that_counts() {
    let (_dir, store) = store();
    let (id, journal) = told(&store, 1);
    drop(journal);
    let runs = store.root.path().join("runs");
    // As if the power had failed just before the rename.
    std::fs::rename(runs.join(id.as_str()), runs.join(draft_of(&id))).unwrap();
    assert!(store.unfinished().unwrap().is_none() && store.list().unwrap().is_empty());
    let (other, journal) = told(&store, 1);
    assert_ne!(other, id);
    drop(journal);
    // A run that was removed by hand is another matter.
    std::fs::remove_dir_all(runs.join(other.as_str())).unwrap();
    assert!(matches!(store.unfinished(), Err(StoreError::Dangling { .. })));
}

#[test]
fn what_a_dead_process_left_after_the_end_is_swept_away_and_nothing_else() {
    let (_dir, store) = store();
    let (id, mut journal) = told(&store, 4);
    assert_eq!(store.left_over().unwrap(), None, "an unfinished run owns the host");
    store.sweep().unwrap();
    assert!(store.root.path().join(PENDING).exists());
    let abandoned = C::Abandoned { who: "test".into(), reason: "enough".into() };
    journal.append(&[abandoned]).unwrap();
    drop(journal);
    assert_eq!(store.left_over().unwrap(), Some(id));
    store.sweep().unwrap();
    assert!(!store.root.path().join(PENDING).exists() && store.left_over().unwrap().is_none());
}

#[test]
fn a_run_with_a_reboot_needs_a_place_that_survives_it() {
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else {
        figure("skipped: no /dev/shm");
        return;
    };
    let store = Store::prepare(&dir.path().join("state")).unwrap();
    let error = store.create(NewRun { reboots: true, ..new_run() }, still()).unwrap_err().to_string();
    assert!(error.contains("which a reboot or a clean-up empties"), "{error}");
    assert!(store.create(new_run(), still()).is_ok());
}

#[test]
fn run_ids_are_safe_file_names() {
    for (text, fits) in [
        ("r-20261122-101500-ab12", true),
        ("", false),
        ("..", false),
        ("a/b", false),
        ("A", false),
        (&"a".repeat(64), true),
        (&"a".repeat(65), false),
        (".new-x", false),
    ] {
        assert_eq!(RunId::parse(text).is_some(), fits, "{text}");
    }
}
