//! A disk that fails: every call of a whole run, in every way. And a power cut in the middle of every write of the head.
use super::checkpoint::Checkpoint;
use super::fixture::{Failure, RUN, figure, in_memory, story, told};
use super::head;
use super::recover::{Tail, examine};
use super::{Journal, JournalError};

const EIO: i32 = 5;
const EROFS: i32 = 30;
const ENOSPC: i32 = 28;
const EFBIG: i32 = 27;
const EDQUOT: i32 = 122;

/// Tells the story until an append fails; gives the number of acknowledged records and the error.
fn tell(journal: &mut Journal, boot: &std::sync::Mutex<String>) -> (usize, Option<JournalError>) {
    let mut acknowledged = 0;
    for (now, batch) in story() {
        *boot.lock().unwrap() = now.into();
        match journal.append(&batch) {
            Ok(entries) => acknowledged += entries.len(),
            Err(error) => return (acknowledged, Some(error)),
        }
    }
    (acknowledged, None)
}

#[test]
fn every_call_fails_in_every_way() {
    let (mut untroubled, disk, boot) = in_memory(None);
    assert!(tell(&mut untroubled, &boot).1.is_none());
    let calls = disk.0.lock().unwrap().calls.clone();
    let written: Vec<Checkpoint> = story().into_iter().flat_map(|(_, batch)| batch).collect();
    let errnos = [EIO, EROFS, ENOSPC, EFBIG, EDQUOT].map(Failure::Errno);
    let ways: Vec<_> = errnos.into_iter().chain([Failure::Short, Failure::Liar(EIO)]).collect();
    let mut injected = 0;
    for (at, call) in calls.iter().enumerate() {
        for way in ways.iter().filter(|way| **way != Failure::Short || call.starts_with("write")) {
            let what = format!("call {at}, {call}, {way:?}");
            let (mut journal, disk, boot) = in_memory(Some((at, *way)));
            let (acknowledged, error) = tell(&mut journal, &boot);
            let error = error.unwrap_or_else(|| panic!("{what}: not noticed"));
            injected += 1;
            if *call == "reserve" {
                assert!(matches!(error, JournalError::Full { .. }), "{what}: {error}");
                assert!(disk.0.lock().unwrap().journal.is_empty(), "{what}: nothing may be written");
                continue;
            }
            assert!(matches!(error, JournalError::Storage { .. }), "{what}: {error}");
            let memory = disk.0.lock().unwrap().clone();
            assert!(!memory.calls[at + 1..].iter().any(|later| later == call && call.starts_with("sync")), "{what}");
            assert!(matches!(journal.append(&[]), Err(JournalError::Poisoned { .. })), "{what}: goes on");
            assert_eq!(disk.0.lock().unwrap().calls.len(), memory.calls.len(), "{what}: touched the disk again");
            if acknowledged == 0 {
                continue;
            }
            let reading =
                examine(RUN, &memory.journal, &memory.head).unwrap_or_else(|damage| panic!("{what}: {damage}"));
            let read: Vec<_> = reading.entries.into_iter().map(|entry| entry.checkpoint).collect();
            assert!(read.len() >= acknowledged && read[..] == written[..read.len()], "{what}");
            assert_eq!(reading.tail, Tail::Clean, "{what}: a half record was left behind");
        }
    }
    figure(&format!(
        "{injected} failures injected into {} calls: all noticed, poisoned, nothing acknowledged lost",
        calls.len()
    ));
}

#[test]
fn an_acknowledgement_is_a_write_a_sync_a_head_and_its_sync() {
    let (mut journal, disk, _) = in_memory(None);
    let mut batches = story().into_iter().map(|(_, batch)| batch);
    journal.append(&batches.next().unwrap()).unwrap();
    let first = ["reserve", "write journal", "sync journal", "write head", "sync head"];
    assert_eq!(disk.0.lock().unwrap().calls, first);
    journal.append(&batches.next().unwrap()).unwrap();
    assert_eq!(disk.0.lock().unwrap().calls[first.len()..], first[1..]);
}

#[test]
fn a_replaced_file_is_as_durable_as_its_directory() {
    use super::files::{Directory, SYNCED};
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let open = Directory::open(dir.path(), 0o077).unwrap();
    let before = SYNCED.get();
    open.replace("pending", b"r-1\n").unwrap();
    assert_eq!(SYNCED.get() - before, 1, "without this a power cut takes the rename back");
}

#[test]
fn a_full_disk_still_takes_outcomes_and_the_stop_record() {
    let (mut journal, disk, _) = in_memory(None);
    let mut batches = story().into_iter().map(|(_, batch)| batch);
    for batch in batches.by_ref().take(5) {
        journal.append(&batch).unwrap();
    }
    // The promise is used up to the reserve, and no more is to be had.
    journal.promised = Some(journal.good + super::append::RESERVE);
    let next = disk.0.lock().unwrap().calls.len();
    disk.0.lock().unwrap().fails = Some((next, Failure::Errno(ENOSPC)));
    let intents = batches.next().unwrap();
    let error = journal.append(&intents).unwrap_err();
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    let next = disk.0.lock().unwrap().calls.len();
    disk.0.lock().unwrap().fails = Some((next, Failure::Errno(ENOSPC)));
    let error = "no room".to_owned();
    journal.append(&[Checkpoint::StepFailed { step: "stop".into(), error }]).unwrap();
}

#[test]
fn an_illegal_checkpoint_writes_nothing_not_even_its_legal_neighbours() {
    let (mut journal, disk, _) = in_memory(None);
    let mut batches = story().into_iter().map(|(_, batch)| batch);
    journal.append(&batches.next().unwrap()).unwrap();
    let before = disk.0.lock().unwrap().clone();
    let mut batch = batches.next().unwrap();
    batch.push(super::fixture::intent("save", "not on the list"));
    assert!(matches!(journal.append(&batch), Err(JournalError::Illegal(_))));
    let after = disk.0.lock().unwrap().clone();
    assert_eq!((before.journal, before.calls), (after.journal, after.calls));
    batch.pop();
    journal.append(&batch).unwrap();
}

#[test]
fn power_cut_inside_every_write_of_the_head() {
    let (file, marks) = told();
    let mut states = 0;
    for pair in marks.windows(2) {
        let [(_, old), (len, new)] = pair else { continue };
        let changed = (0..head::SIZE).filter(|at| old.get(*at) != new.get(*at));
        let (first, last) = changed.fold((head::SIZE, 0), |(first, last), at| (first.min(at), last.max(at)));
        for cut in first..=last + 1 {
            for filler in [None, Some(0)] {
                // New bytes up to the cut; behind it the old ones, or NUL up to the end of the slot.
                let mut torn = new.clone();
                let slot_end = (first / head::SLOT + 1) * head::SLOT;
                for (at, byte) in torn.iter_mut().enumerate().take(slot_end).skip(cut) {
                    *byte = filler.unwrap_or_else(|| old.get(at).copied().unwrap_or(0));
                }
                let reading =
                    examine(RUN, &file[..*len], &torn).unwrap_or_else(|damage| panic!("cut at {cut}: {damage}"));
                assert_eq!(reading.good, *len as u64);
                states += 1;
            }
        }
    }
    figure(&format!("{states} torn heads: the journal was read whole under each"));
}

#[test]
fn what_comes_to_nothing_leaves_the_state_as_it_was() {
    let (mut journal, disk, boot) = in_memory(None);
    for (now, batch) in story() {
        *boot.lock().unwrap() = now.into();
        let before = journal.state().clone();
        // The second beginning is illegal everywhere; what stands in front of it was taken in for a moment.
        let doomed: Vec<_> = batch.iter().cloned().chain([story().remove(0).1.remove(0)]).collect();
        let written = disk.0.lock().unwrap().journal.len();
        assert!(matches!(journal.append(&doomed), Err(JournalError::Illegal(_))), "{batch:?}");
        assert_eq!(*journal.state(), before, "{batch:?}");
        assert_eq!(format!("{:?}", journal.state()), format!("{before:?}"), "in the same order");
        assert_eq!(disk.0.lock().unwrap().journal.len(), written, "{batch:?}");
        journal.append(&batch).unwrap();
    }
    let calls = disk.0.lock().unwrap().calls.len();
    for at in 0..calls {
        let (mut journal, _disk, boot) = in_memory(Some((at, Failure::Errno(ENOSPC))));
        for (now, batch) in story() {
            *boot.lock().unwrap() = now.into();
            let (before, seq) = (journal.state().clone(), journal.seq());
            if journal.append(&batch).is_err() {
                assert_eq!(*journal.state() == before, journal.seq() == seq, "call {at}");
                break;
            }
        }
    }
}
