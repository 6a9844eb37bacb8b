//! Records: what is read back, what is refused, and that a newer writer is noticed.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::checkpoint::{How, Loss, Outcome};
use super::super::fixture::told;
use super::*;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_checkpoint() -> impl Strategy<Value = Checkpoint> {
    let outcome = prop_oneof![
        Just(Outcome::Applied),
        ".*".prop_map(|why| Outcome::Unknown { why }),
        (".*", prop::collection::vec(".*", 0..3)).prop_map(|(why, causes)| Outcome::Failed { why, causes }),
    ];
    prop_oneof![
        (".*", ".*", any_value()).prop_map(|(step, key, value)| Checkpoint::Captured {
            step: step.as_str().into(),
            key,
            value: value.into()
        }),
        (".*", ".*", outcome, any::<u64>(), prop::option::of(".*"),).prop_map(
            |(step, item, outcome, took_ms, note)| {
                Checkpoint::ItemDone { step: step.as_str().into(), item, outcome, took_ms, note }
            }
        ),
        (".*", prop::collection::vec((".*", ".*"), 0..4)).prop_map(|(step, losses)| {
            let losses = losses.into_iter().map(|(item, why)| Loss { item, why }).collect();
            Checkpoint::StepDone { step: step.as_str().into(), how: How::WithLosses { losses }, took_ms: 1 }
        }),
        ".*".prop_map(|reason| Checkpoint::BackOut { reason }),
    ]
}

fn entry(checkpoint: Checkpoint) -> Entry {
    let (run, boot_id, prev) = ("r-1".into(), "b".into(), LineHash::default());
    Entry { v: FORMAT, run, seq: 7, prev, boot_id, mono_ms: 5, wall: Timestamp::UNIX_EPOCH, checkpoint }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_from_one_line(checkpoint in any_checkpoint(), wall in any::<i32>(), rest in any::<Vec<u8>>()) {
        let wall = Timestamp::from_second(i64::from(wall)).unwrap();
        let entry = Entry { wall, ..entry(checkpoint) };
        let mut bytes = encode(&entry).unwrap();
        let len = bytes.len();
        prop_assert_eq!(bytes.iter().position(|byte| *byte == b'\n'), Some(len - 1));
        bytes.extend(rest);
        prop_assert_eq!(decode(&bytes), Ok((entry, len)));
    }

    #[test]
    fn what_is_read_by_its_spelling_is_read_alike_by_the_reader_of_any_json(
        checkpoint in any_checkpoint(),
        at in any::<prop::sample::Index>(),
        with in prop_oneof![Just(String::new()), "[ -~]", Just("\\u0041".to_owned()), Just("\u{1}".to_owned()), Just("\"".to_owned())],
        over in 0..2_usize,
    ) {
        let json = serde_json::to_string(&entry(checkpoint)).unwrap();
        let places: Vec<usize> = json.char_indices().map(|(place, _)| place).collect();
        let place = *at.get(&places);
        let (front, back) = json.split_at(place);
        let other = format!("{front}{with}{}", back.chars().skip(over).collect::<String>());
        if let Ok(read) = envelope::read(other.as_bytes()) {
            prop_assert_eq!(serde_json::from_str::<Entry>(&other).unwrap(), read);
        }
        if let Ok(read) = envelope::read(json.as_bytes()) {
            prop_assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), read);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), digits in "RB1 [0-9+ ]{0,12}[0-9a-fA-F ]{0,10}.{0,20}") {
        prop_assert!(decode(&bytes).is_err());
        prop_assert!(decode(digits.as_bytes()).is_err());
    }
}

#[test]
fn every_record_of_a_run_is_read_by_its_spelling() {
    let (file, _) = told();
    let mut records = 0;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let json = &line[line.iter().position(|byte| *byte == b'{').unwrap()..line.len() - 1];
        // What has an escape is left to the other reader.
        assert_eq!(envelope::read(json).is_ok(), !json.contains(&b'\\'), "{}", String::from_utf8_lossy(json));
        records += 1;
    }
    assert!(records >= 20, "{records} records");
}

#[test]
fn the_header_has_one_spelling() {
    let line = String::from_utf8(encode(&entry(Checkpoint::BackOut { reason: "x".into() })).unwrap()).unwrap();
    let fields: Vec<_> = line.splitn(4, ' ').collect();
    let (len, sum, json) = (fields[1], fields[2], fields[3]);
    assert_eq!(len.parse::<usize>().unwrap() + 1, json.len());
    for (forged, why) in [
        (format!("RB1 0{len} {sum} {json}"), Refusal::Header),
        (format!("RB1 +{len} {sum} {json}"), Refusal::Header),
        (format!("RB1 {len} {} {json}", sum.to_uppercase()), Refusal::Header),
        (format!("RB1 {len} 0{sum} {json}"), Refusal::Header),
        (format!("RB1 9999999 {sum} {json}"), Refusal::TooLong { len: 9_999_999 }),
        (format!("RB7 {len} {sum} {json}"), Refusal::Version { found: 7 }),
        (format!("XB1 {len} {sum} {json}"), Refusal::NotARecord),
        (line.replace('\n', " "), Refusal::Unterminated),
    ] {
        if forged != line {
            assert_eq!(decode(forged.as_bytes()).unwrap_err(), why, "{forged}");
        }
    }
}

#[test]
fn one_flipped_bit_anywhere_is_no_record() {
    let mut line = encode(&entry(Checkpoint::BackOut { reason: "xyzxyz".into() })).unwrap();
    for byte in 0..line.len() {
        for bit in 0..8 {
            line[byte] ^= 1 << bit;
            assert!(decode(&line).is_err(), "bit {bit} of byte {byte}");
            line[byte] ^= 1 << bit;
        }
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let capture = |value: Value| entry(Checkpoint::Captured { step: "s".into(), key: "k".into(), value: value.into() });
    assert!(matches!(encode(&capture(deep)), Err(Refusal::Content(_))));
    assert!(matches!(encode(&capture(json!("x".repeat(MAX_JSON)))), Err(Refusal::TooLong { .. })));
    assert!(encode(&capture(json!("x".repeat(MAX_JSON - 500)))).is_ok());
}

#[test]
fn a_newer_field_is_refused() {
    let entry = entry(Checkpoint::BackOut { reason: "x".into() });
    let json = serde_json::to_string(&entry).unwrap().replacen("\"reason\"", "\"more\":1,\"reason\"", 1);
    let line = format!("RB1 {} {:08x} {json}\n", json.len(), crc32c::crc32c(json.as_bytes()));
    assert!(matches!(decode(line.as_bytes()), Err(Refusal::Content(_))));
}

#[test]
fn another_spelling_of_an_envelope_is_read_as_the_same() {
    let entry = Entry { run: "r-\u{e9}".into(), ..entry(Checkpoint::BackOut { reason: "x".into() }) };
    let json = serde_json::to_string(&entry).unwrap();
    let framed = |json: &str| format!("RB1 {} {:08x} {json}\n", json.len(), crc32c::crc32c(json.as_bytes()));
    assert!(envelope::read(json.as_bytes()).is_ok_and(|read| read == entry));
    let sorted = serde_json::from_str::<Value>(&json).unwrap().to_string();
    for other in [sorted, json.replace('\u{e9}', "\\u00e9"), json.replace(":7,", " : 7 ,")] {
        assert!(envelope::read(other.as_bytes()).is_err(), "{other}");
        assert_eq!(decode(framed(&other).as_bytes()).unwrap().0, entry, "{other}");
    }
    for wrong in [
        json.replace(":7,", ":07,"),
        json.replace(":7,", ":-7,"),
        json.replace("\"r-", "\"r-\u{1}"),
        format!("{json}}}"),
    ] {
        assert!(decode(framed(&wrong).as_bytes()).is_err(), "{wrong}");
    }
}
