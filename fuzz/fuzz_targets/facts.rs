//! See `runbook::fuzzing::facts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::facts(bytes));
