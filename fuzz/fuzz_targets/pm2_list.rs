//! See `runbook::fuzzing::pm2_list`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runbook::fuzzing::pm2_list(bytes));
