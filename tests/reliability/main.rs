//! What the program promises when it is killed, cut off, lied to and raced: against the real program, on a real file system,
//! with effects counted in a ledger that it cannot edit.
//!
//! `RUNBOOK_HARD=quick cargo test --test reliability -- --nocapture` is a sample of about a minute, `RUNBOOK_HARD=full` does
//! everything; both need root and `tests/lab/need.sh hard`. Without the variable nothing is done.
//!
//! A failure names its point (and seed): `RUNBOOK_HARD=full RUNBOOK_HARD_ONLY='fsync#10 of sitting 0'` does that one alone.
//!
//! Each worker lives among mounts and processes of its own (`fixtures/sandbox.sh`): an ext4 in a loop device as the state
//! directory's disk, a boot id and a process 1 of our making, and a bus with systemd and logind on it that note what they do.
#![expect(clippy::disallowed_methods, reason = "tests start programs of their own and wait for them")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
mod bus;
mod campaign;
mod cuts;
mod errnos;
mod full_disk;
mod kills;
mod locks;
mod one_shots;
mod points;
mod random;
mod rig;
mod shots;
mod tier;
mod worker;
mod world;
