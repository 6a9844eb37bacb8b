//! See `runbook::fuzzing::snapshot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::snapshot(bytes));
