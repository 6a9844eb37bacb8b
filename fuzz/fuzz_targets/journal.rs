//! See `runbook::fuzzing::journal_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::journal_bytes(bytes));
