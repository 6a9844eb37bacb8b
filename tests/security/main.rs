//! What must never happen, tried many times over: a secret in an output, a terminal that obeys a service, an argument that is
//! read as something else, a file that was planted, a child or a signal that ends a run in the dark.
//!
//! Each part prints the figures it has counted, as `security: ...` lines on standard error.
#![expect(clippy::disallowed_methods, reason = "tests start programs, wait, and read their own environment")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::too_many_lines, reason = "tables of cases, and one story per test")]

mod argv;
mod attacks;
#[path = "../support/pm2.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod bed;
mod bench;
mod bounds;
mod campaign;
mod canaries;
mod children;
mod escapes;
mod fakes;
mod fields;
mod files;
#[path = "../support/lab.rs"]
mod host;
mod lab;
mod limits;
mod page;
mod signals;
mod structure;

/// A figure for the record; straight to standard error, because the harness keeps what a passing test prints.
fn figure(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "security: {line}");
}
