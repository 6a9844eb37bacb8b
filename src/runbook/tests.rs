//! The shipped runbook loads; every kind of mistake is found, at its place; nothing makes the loader panic.
use super::*;

const GOOD: &str = include_str!("../../runbooks/restart-staging.yaml");

/// A small runbook; `@` lines of a case replace or extend it.
const SMALL: &str = "version: 1
name: small
hosts: [stg-1]
redis:
  a: { url: \"redis://127.0.0.1:6379\" }
pm2:
  services: { user: deploy, home: /home/deploy/.pm2 }
phases:
  - name: look
    steps:
      - healthy: { checks: [ { redis: { instances: all } } ] }
";

fn found(text: &str) -> Vec<Diagnostic> {
    match load(text, "t.yaml") {
        Ok(loaded) => loaded.warnings,
        Err(findings) => findings,
    }
}

#[test]
fn probe() {
    let bad = [("x", SMALL.replace("hosts: [stg-1]", "hosts:"))];
    for (_, text) in bad {
        eprintln!("{}", render(&found(&text), &text, false, 100));
    }
    let r = load(GOOD, "good");
    match r {
        Ok(l) => eprintln!("{} {:?}", l.sha256, l.warnings),
        Err(e) => eprintln!("{}", render(&e, GOOD, false, 100)),
    }
}
