//! See `runbook::fuzzing::checkpoints`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::checkpoints(bytes));
