//! See `runbook::fuzzing::info`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::info(bytes));
