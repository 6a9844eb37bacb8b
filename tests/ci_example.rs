//! The example of a dry run in CI: every command of it is carried out here as it stands, over the recorded facts.
#![expect(clippy::disallowed_methods, reason = "a test runs the example's own shell lines")]

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn the_commands_of_the_example_do_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        let to = dir.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root.join(from), to).unwrap();
    };
    copy("runbooks/restart-staging.yaml", "runbooks/restart-staging.yaml");
    copy("tests/recorded/staging.facts.json", "facts/stg-1.json");
    let text = std::fs::read_to_string(root.join("examples/ci-dry-run.yml")).unwrap();
    let workflow: Value = serde_yaml::from_str(&text).unwrap();
    let steps = workflow["jobs"]["dry-run"]["steps"].as_array().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_runbook")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut ran = 0;
    for step in steps.iter().filter(|step| step["name"] != "Install") {
        let Some(lines) = step["run"].as_str() else { continue };
        let output = Command::new("sh")
            .args(["-e", "-c", lines])
            .current_dir(dir.path())
            .env("PATH", &path)
            .env("GITHUB_STEP_SUMMARY", dir.path().join("summary.md"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {}\n{out}\n{err}", step["name"], output.status);
        ran += 1;
    }
    assert_eq!(ran, 4);
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert!(read("plan.xml").contains("<testsuites") && read("run.xml").contains("<testsuites"));
    assert!(read("by-hand.sh").contains("systemctl reboot"));
    assert!(read("report.html").contains("redis bull00 maxmemory") && read("summary.md").contains("# restart-staging"));
    let report = read("report.ndjson");
    let kinds: Vec<Value> = report.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&kinds[0]["type"], &kinds[1]["type"]), (&Value::from("version"), &Value::from("report")));
}
