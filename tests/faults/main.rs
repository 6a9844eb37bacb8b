//! Faults, one by one: what goes wrong, and what the operator sees then. `table.yaml` names every fault with the tests that prove
//! it; each test writes down what the operator saw (`seen.rs`), and `docs/faults.md` is put together from both (`page.rs`).
mod lab;
mod local;
mod page;
mod recorded;
mod redis;
mod seen;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod support;
