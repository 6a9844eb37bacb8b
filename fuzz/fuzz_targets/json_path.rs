//! See `runbook::fuzzing::json_path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::json_path(bytes));
