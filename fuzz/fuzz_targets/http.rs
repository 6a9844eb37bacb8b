//! See `runbook::fuzzing::http`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::http(bytes));
