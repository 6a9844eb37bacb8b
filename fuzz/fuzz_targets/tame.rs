//! See `runbook::fuzzing::taming`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::taming(bytes));
