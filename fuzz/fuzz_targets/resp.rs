//! See `runbook::fuzzing::resp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::resp(bytes));
