//! See `runbook::fuzzing::runbook`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::runbook(bytes));
