//! The program `runbook`: parse, call the command, turn its failure into an exit code.
fn main() {}
