//! See `runbook::fuzzing::amp_stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::amp_stream(bytes));
