//! Exhaustive damage: every truncation, every flipped bit, every swap, copy and removal of records, splices of two runs.
//! The oracle is always the same: what is accepted is exactly a prefix of what was written, and no shorter than acknowledged.
use super::bytes::OnDisk;
use super::checkpoint::{Checkpoint, Outcome};
use super::files::Directory;
use super::fixture::{RUN, figure, in_memory, intent, opened, outcome, started, story, told};
use super::head;
use super::keep::{All, Landmarks};
use super::reading::Reading;
use super::record;
use super::recover::{Reason, Tail, Walk, examine};

/// The walk standing before each record and at the end.
fn walks(file: &[u8]) -> Vec<Walk> {
    let mut walks = vec![Walk::new(RUN, All::new())];
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let mut next = walks.last().unwrap().clone();
        assert_eq!(next.by_one(line).unwrap(), None);
        walks.push(next);
    }
    walks
}

/// The lines of a journal.
fn lines(file: &[u8]) -> Vec<Vec<u8>> {
    walks(file).windows(2).map(|pair| file[pair[0].offset..pair[1].offset].to_vec()).collect()
}

#[test]
fn the_whole_story_reads_back() {
    let (file, marks) = told();
    let head = &marks.last().unwrap().1;
    let reading = examine(RUN, &file, head).unwrap();
    assert_eq!(reading.tail, Tail::Clean);
    let written: Vec<_> = story().into_iter().flat_map(|(_, batch)| batch).collect();
    let read: Vec<_> = reading.entries.iter().map(|entry| entry.checkpoint.clone()).collect();
    assert_eq!(read, written);
    assert!(reading.state.rebooted() && reading.state.ended().is_some() && reading.state.past_no_return());
    assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), written.len(), "one line per record");
    assert!((4 << 10..12 << 10).contains(&file.len()), "{} bytes", file.len());
}

#[test]
fn a_long_journal_is_judged_as_if_by_one_thread() {
    let names: Vec<String> = (0..2_500).map(|n| format!("app-{n}")).collect();
    let items: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut journal, disk, _) = in_memory(None);
    let opened = Checkpoint::Opened(std::sync::Arc::new(opened(&["stop"])));
    journal.append(&[opened, started("stop", 1, &items, true)]).unwrap();
    let pairs = items.iter().flat_map(|item| [intent("stop", item), outcome("stop", item, Outcome::Applied)]);
    journal.append(&pairs.collect::<Vec<_>>()).unwrap();
    let file = disk.0.lock().unwrap().journal.clone();
    assert!(file.len() > 5 << 18, "long enough for several pieces: {} bytes", file.len());
    let dir = tempfile::tempdir().unwrap();
    let dir = Directory::open(dir.path(), 0o022).unwrap();
    let on_disk = |file: &[u8]| {
        dir.remove("journal").unwrap();
        dir.write_new("journal", file).unwrap();
        OnDisk::open(&dir, "journal").unwrap()
    };
    let compare = |file: &[u8], about: &str| {
        let (mut from_disk, disk) = (Walk::new(RUN, All::new()), on_disk(file));
        let by_pieces = from_disk.walk_on(&disk);
        disk.close().unwrap();
        let (mut alone, mut together) = (Walk::new(RUN, All::new()), Walk::new(RUN, All::new()));
        let (by_one, by_all) = (alone.by_one(file), together.walk_on(file));
        assert!(alone.offset == together.offset && alone.prev == together.prev, "{about}");
        assert!(alone.entries == together.entries && alone.state == together.state, "{about}");
        assert!(by_all == by_pieces && from_disk.offset == together.offset, "{about}");
        assert!(from_disk.entries == together.entries && from_disk.state == together.state, "{about}");
        match (by_one, by_all) {
            (Ok(None), Ok(None)) => {}
            (Ok(Some(refusal)), Ok(Some(same))) => assert_eq!(refusal, same, "{about}"),
            (Ok(Some(refusal)), Err(damage)) => {
                assert!(matches!(damage.why, Reason::Inside { refusal: found, .. } if found == refusal), "{about}");
            }
            (one, all) => assert_eq!(one.unwrap_err(), all.unwrap_err(), "{about}"),
        }
    };
    compare(&file, "whole");
    for n in 1..12 {
        let at = file.len() * n / 12;
        compare(&file[..at], &format!("cut at {at}"));
        let mut flipped = file.clone();
        flipped[at] ^= 4;
        compare(&flipped, &format!("flipped at {at}"));
        let line = at + file[at..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
        compare(&[&file[..line], &file[..line]].concat(), &format!("told twice from {line} on"));
    }
}

#[test]
fn a_fold_is_judged_like_a_reading() {
    let (file, marks) = told();
    let lengths = walks(&file).into_iter().map(|walk| walk.offset).flat_map(|len| [len, (len + 9).min(file.len())]);
    let odd = [0, 2, u64::MAX].map(|seq| head::Mark { seq, hash: record::LineHash::of(b"another") }.encode());
    let heads: Vec<&Vec<u8>> = marks.iter().map(|(_, head)| head).chain(&odd).collect();
    let mut same = 0;
    for (len, head) in lengths.flat_map(|len| heads.iter().map(move |head| (len, *head))) {
        let read = examine(RUN, &file[..len], head);
        let fold = Walk::new(RUN, Landmarks::of(head)).finish(&file[..len], head);
        same += u32::from(read.is_ok());
        match (read, fold) {
            (Ok(read), Ok(fold)) => {
                assert!(read.state == fold.state && read.tail == fold.tail && read.good == fold.good, "{len}");
                assert_eq!((read.seq, read.hash, read.free_slot), (fold.seq, fold.hash, fold.free_slot), "{len}");
                assert_eq!(read.acknowledged, fold.acknowledged, "{len}");
            }
            (read, fold) => assert_eq!(read.unwrap_err(), fold.unwrap_err(), "{len}"),
        }
    }
    assert!(same > 20, "{same} readings");
}

/// Reads what is left of the journal under every head that ever was; gives how many were accepted and refused.
fn under_every_head(walk: &Walk, left: &[u8], len: usize, truth: &Reading, marks: &[(usize, Vec<u8>)]) -> (u32, u32) {
    let (mut accepted, mut refused) = (0, 0);
    let mut walk = walk.clone();
    let end = walk.walk_on(left);
    assert_eq!(walk.entries[..], truth.entries[..walk.entries.len()]);
    for (acknowledged, head) in marks {
        let verdict = end.clone().and_then(|refusal| walk.agrees_with(head, refusal.as_ref()));
        // Taken if and only if all that was acknowledged is there: nothing is lost in silence, nothing refused without need.
        assert_eq!(verdict.is_ok(), len >= *acknowledged, "{len} bytes, head at {acknowledged}: {verdict:?}");
        if verdict.is_ok() { accepted += 1 } else { refused += 1 }
    }
    (accepted, refused)
}

/// [`under_every_head`] for every length; `tail` says what follows the bytes that are left.
fn at_every_byte(tail: impl Fn(usize) -> usize) -> String {
    let (file, marks) = told();
    let truth = examine(RUN, &file, &marks.last().unwrap().1).unwrap();
    let walks = walks(&file);
    let (mut accepted, mut refused) = (0, 0);
    for len in 0..=file.len() {
        let walk = walks.iter().rev().find(|walk| walk.offset <= len).unwrap();
        let mut left = file[..len].to_vec();
        left.resize(len + tail(len), 0);
        let (more, less) = under_every_head(walk, &left, len, &truth, &marks);
        (accepted, refused) = (accepted + more, refused + less);
    }
    let heads = marks.len();
    format!("{} places x {heads} heads: {accepted} accepted as exact prefixes, {refused} refused", file.len() + 1)
}

#[test]
fn cut_at_every_byte_under_every_head() {
    figure(&format!("cut at {}", at_every_byte(|_| 0)));
}

#[test]
fn nul_tails_at_every_byte() {
    // What a short append would have left, or a page.
    figure(&format!("NUL tails at {}", at_every_byte(|len| if len % 64 == 0 { 4096 } else { 64 })));
}

#[test]
fn every_sector_zeroed() {
    let (file, marks) = told();
    for start in (0..file.len()).step_by(512) {
        let mut hole = file.clone();
        hole[start..(start + 512).min(file.len())].fill(0);
        assert!(examine(RUN, &hole, &marks.last().unwrap().1).is_err(), "sector at {start}");
    }
}

#[test]
fn every_bit_of_the_journal_flipped() {
    let (mut file, marks) = told();
    let head = marks.last().unwrap().1.clone();
    let walks = walks(&file);
    let mut flips = 0;
    for byte in 0..file.len() {
        // Records before the flipped one read the same every time, so the walk starts at the flipped one.
        let walk = walks.iter().rev().find(|walk| walk.offset <= byte).unwrap();
        for bit in 0..8 {
            file[byte] ^= 1 << bit;
            let verdict = walk.clone().finish(&file[..], &head);
            assert!(verdict.is_err(), "bit {bit} of byte {byte}");
            // From the very beginning, for a sample: the shortcut changes nothing.
            if (byte * 8 + bit) % 509 == 0 {
                assert_eq!(examine(RUN, &file, &head), verdict);
            }
            file[byte] ^= 1 << bit;
            flips += 1;
        }
    }
    figure(&format!("{flips} bits flipped in {} bytes: {flips} refused", file.len()));
}

#[test]
fn every_bit_of_the_head_flipped() {
    let (file, marks) = told();
    let head = marks.last().unwrap().1.clone();
    let whole = examine(RUN, &file, &head).unwrap();
    let end = walks(&file).pop().unwrap();
    let shorter = marks[marks.len() - 3].0;
    let before = walks(&file).into_iter().find(|walk| walk.offset == shorter).unwrap();
    for byte in 0..head.len() {
        for bit in 0..8 {
            let mut flipped = head.clone();
            flipped[byte] ^= 1 << bit;
            // The other slot still stands, so the whole journal is taken and one that lost two batches is not.
            let verdict = end.clone().finish(&file[..], &flipped).unwrap();
            assert_eq!(verdict.entries, whole.entries);
            assert!(before.clone().finish(&file[..shorter], &flipped).is_err());
        }
    }
    let gone = end.finish(&file[..], &vec![0; head::SIZE]).unwrap_err();
    assert_eq!(gone.why, Reason::NoHead);
    figure(&format!("{} bits flipped in the head: state unchanged", head.len() * 8));
}

#[test]
fn records_swapped_copied_removed() {
    let (file, marks) = told();
    let head = &marks.last().unwrap().1;
    let lines = lines(&file);
    let mut tried = 0;
    let mut refuse = |lines: &[Vec<u8>], what: String| {
        assert!(examine(RUN, &lines.concat(), head).is_err(), "{what}");
        tried += 1;
    };
    for i in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(i);
        refuse(&fewer, format!("removed {i}"));
        for j in 0..lines.len() {
            if i < j {
                let mut swapped = lines.clone();
                swapped.swap(i, j);
                refuse(&swapped, format!("swapped {i} and {j}"));
            }
            let mut copied = lines.clone();
            copied.insert(j, lines[i].clone());
            refuse(&copied, format!("copied {i} to {j}"));
        }
        let mut copied = lines.clone();
        copied.push(lines[i].clone());
        refuse(&copied, format!("copied {i} to the end"));
    }
    figure(&format!("{tried} re-arrangements: {tried} refused"));
}

#[test]
fn bytes_put_in_taken_out_and_written_over_at_every_place() {
    let (file, marks) = told();
    let head = &marks.last().unwrap().1;
    let walks = walks(&file);
    let mut tried = 0;
    for at in 0..file.len() {
        let walk = walks.iter().rev().find(|walk| walk.offset <= at).unwrap();
        let mut refuse = |bytes: Vec<u8>, what: &str| {
            if bytes != file {
                assert!(walk.clone().finish(&bytes[..], head).is_err(), "{what} at {at}");
                tried += 1;
            }
        };
        for byte in [0, b'\n', b' ', b'0', b'R', 0xff] {
            let mut more = file.clone();
            more.insert(at, byte);
            refuse(more, "put in");
            let mut over = file.clone();
            over[at] = byte;
            refuse(over, "written over");
        }
        for len in [1, 2, 16, 300] {
            let mut less = file.clone();
            less.drain(at..(at + len).min(file.len()));
            refuse(less, "taken out");
        }
    }
    figure(&format!("{tried} insertions, overwrites and removals of bytes: {tried} refused"));
}

#[test]
fn runs_of_records_removed_turned_round_and_moved() {
    let (file, marks) = told();
    let head = &marks.last().unwrap().1;
    let lines = lines(&file);
    let mut tried = 0;
    let mut refuse = |lines: &[Vec<u8>], what: String| {
        if lines.concat() != file {
            assert!(examine(RUN, &lines.concat(), head).is_err(), "{what}");
            tried += 1;
        }
    };
    for from in 0..lines.len() {
        for to in from + 1..=lines.len() {
            refuse(&[&lines[..from], &lines[to..]].concat(), format!("{from}..{to} removed"));
            let mut turned = lines.clone();
            turned[from..to].reverse();
            refuse(&turned, format!("{from}..{to} turned round"));
            let mut moved = lines.clone();
            moved[from..to].rotate_left(1);
            refuse(&moved, format!("{from}..{to} moved on by one"));
            let twice = [&lines[..to], &lines[from..]].concat();
            refuse(&twice, format!("{from}..{to} twice"));
        }
    }
    figure(&format!("{tried} ranges of records removed, turned round, moved, doubled: {tried} refused"));
}

/// Every head that ever was, of this run and of its twin, with both slots in every pairing, over every whole-record prefix.
#[test]
fn heads_of_other_moments_and_of_another_run() {
    let (file, marks) = told();
    let twin = told_later();
    let slots = |marks: &[(usize, Vec<u8>)]| -> Vec<(usize, Vec<u8>)> {
        marks
            .iter()
            .enumerate()
            .map(|(nth, (len, head))| {
                let slot = head.chunks(head::SLOT).nth(nth % 2).unwrap_or(&head[..head::SLOT.min(head.len())]);
                (*len, slot.to_vec())
            })
            .collect()
    };
    let (ours, theirs) = (slots(&marks), slots(&twin.1));
    let (mut accepted, mut refused) = (0, 0);
    for (len, _) in &marks {
        for (own, first) in &ours {
            for (other_len, other, is_ours) in ours
                .iter()
                .map(|(len, slot)| (len, slot, true))
                .chain(theirs.iter().map(|(len, slot)| (len, slot, false)))
            {
                let verdict = examine(RUN, &file[..*len], &[&first[..], &other[..]].concat());
                // Each slot must name a record that is there, with its hash: one of the twin's never is.
                let right = is_ours && own <= len && other_len <= len;
                assert_eq!(verdict.is_ok(), right, "journal of {len}, heads at {own} and {other_len}, ours: {is_ours}");
                if right { accepted += 1 } else { refused += 1 }
            }
        }
    }
    figure(&format!("{} pairs of head slots: {refused} refused, {accepted} name what is there", accepted + refused));
}

/// The same story under the same name, told a moment later.
fn told_later() -> (Vec<u8>, Vec<(usize, Vec<u8>)>) {
    let (mut journal, disk, boot) = in_memory(None);
    let mut marks = Vec::new();
    for (now, batch) in story() {
        *boot.lock().unwrap() = now.into();
        let stamp = super::Stamp { mono_ms: 5_000, ..super::fixture::stamp(now) };
        journal.clock = Box::new(move || stamp.clone());
        journal.append(&batch).unwrap();
        let memory = disk.0.lock().unwrap();
        marks.push((memory.journal.len(), memory.head.clone()));
    }
    let bytes = disk.0.lock().unwrap().journal.clone();
    (bytes, marks)
}

#[test]
fn two_runs_spliced_whole() {
    // Both runs told to the end; every prefix of one with every suffix of the other, under either head.
    let ((ours, our_marks), (theirs, their_marks)) = (told(), told_later());
    let (our_lines, their_lines) = (lines(&ours), lines(&theirs));
    let mut tried = 0;
    for head in [&our_marks.last().unwrap().1, &their_marks.last().unwrap().1] {
        for at in 1..=our_lines.len() {
            for from in 0..their_lines.len() {
                let spliced = [&our_lines[..at], &their_lines[from..]].concat().concat();
                assert!(examine(RUN, &spliced, head).is_err(), "ours to {at}, then theirs from {from}");
                tried += 1;
            }
        }
    }
    figure(&format!("{tried} splices of two whole runs under either head: {tried} refused"));
}

#[test]
fn two_runs_spliced() {
    let (file, marks) = told();
    let head = &marks.last().unwrap().1;
    let ours = lines(&file);
    // The same checkpoints under the same name in another boot: only the chain tells them apart. And under another name.
    let (mut journal, disk, boot) = in_memory(None);
    for (now, batch) in story().into_iter().take(11) {
        *boot.lock().unwrap() = now.into();
        journal.clock = Box::new(|| super::Stamp { mono_ms: 5_000, ..super::fixture::stamp("boot-1") });
        journal.append(&batch).unwrap();
    }
    let twin = lines(&disk.0.lock().unwrap().journal.clone());
    let foreign: Vec<_> = twin.iter().map(|line| renamed(line, "r-other")).collect();
    let mut tried = 0;
    for other in [&twin, &foreign] {
        for at in 0..other.len() {
            for from in 0..other.len() {
                let spliced = [&ours[..at], &other[from..]].concat().concat();
                assert!(examine(RUN, &spliced, head).is_err(), "ours to {at}, then theirs from {from}");
                tried += 1;
            }
        }
    }
    figure(&format!("{tried} splices: {tried} refused"));
    let alien = [&ours[..3], &foreign[3..]].concat().concat();
    assert!(matches!(examine(RUN, &alien, head).unwrap_err().why, Reason::ForeignRun { .. }));
    let chained = [&ours[..3], &twin[3..]].concat().concat();
    assert!(matches!(examine(RUN, &chained, head).unwrap_err().why, Reason::Chain { seq: 4, .. }));
    let older = examine(RUN, &twin[..2].concat(), &marks[0].1).unwrap_err();
    assert_eq!(older.why, Reason::NotAcknowledged { acknowledged: 1 });
}

/// The record in `line` under another run's name, with a valid checksum.
fn renamed(line: &[u8], run: &str) -> Vec<u8> {
    let (mut entry, _) = record::decode(line).unwrap();
    entry.run = run.into();
    record::encode(&entry).unwrap()
}

#[test]
fn newer_records_and_illegal_ones_are_refused_with_their_reason() {
    let (file, marks) = told();
    let (lines, head) = (lines(&file), &marks[0].1);
    let text = String::from_utf8(lines[1].clone()).unwrap();
    let newer = [&lines[0], text.replacen("RB1", "RB2", 1).as_bytes()].concat();
    let why = examine(RUN, &newer, head).unwrap_err();
    assert_eq!(why.to_string().split(": ").nth(1).unwrap(), "record format 2 is not format 1");
    let (mut entry, _) = record::decode(&lines[1]).unwrap();
    let json = serde_json::to_string(&entry).unwrap().replacen("\"v\":1", "\"v\":9", 1);
    let inside = format!("RB1 {} {:08x} {json}\n", json.len(), crc32c::crc32c(json.as_bytes()));
    let why = examine(RUN, &[&lines[0], inside.as_bytes()].concat(), head).unwrap_err().why;
    assert_eq!(why, Reason::Record(record::Refusal::Version { found: 9 }));
    entry.checkpoint = super::fixture::intent("save", "x");
    let illegal = [lines[0].clone(), record::encode(&entry).unwrap()].concat();
    let why = examine(RUN, &illegal, head).unwrap_err();
    assert_eq!(why.why.to_string(), "item_intent of step `save` is not allowed here: the step is not running");
    assert_eq!((why.offset, why.seq), (lines[0].len() as u64, 1));
}

#[test]
fn a_flip_in_the_last_intent_is_no_torn_tail() {
    let (file, marks) = told();
    // After batch 12 the last acknowledged record is the intent to reboot.
    let (len, head) = &marks[11];
    let mut flipped = file[..*len].to_vec();
    flipped[*len - 9] ^= 4;
    assert!(matches!(examine(RUN, &flipped, head).unwrap_err().why, Reason::AcknowledgedLost { acknowledged: 14, .. }));
    // With the head of the batch before, the same bytes are an append that never finished.
    assert!(matches!(examine(RUN, &flipped, &marks[10].1).unwrap().tail, Tail::Torn { .. }));
}
