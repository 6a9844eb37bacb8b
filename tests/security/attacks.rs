//! What somebody who owns nothing but a PM2 home or a Redis directory has tried against root, on a real host: `attacks/*.sh`,
//! each in every case that it names, ends with HELD, within the bounds that `attacks/lib.sh` holds each command to.
use std::path::Path;
use std::time::Instant;

use super::bench::told;
use super::figure;
use super::host::Lab;

/// Each attack and its cases.
const ATTACKS: [(&str, &[&str]); 6] = [
    ("redacted-identity", &["machine", "host", "path"]),
    ("linked-socket", &[""]),
    ("foreign-node", &[""]),
    ("list-bomb", &["hang", "memory"]),
    ("manifest-fifo", &["manifest", "config"]),
    ("censor", &[""]),
];

#[test]
fn lab_every_attack_in_every_case_is_held() {
    let Some(lab) = Lab::up("security_attacks") else { return };
    let inside = lab.path("/opt/attacks");
    std::fs::create_dir_all(&inside).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/security/attacks");
    for entry in std::fs::read_dir(scripts).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap().to_str().unwrap();
        let known =
            name == "lib.sh" || !name.ends_with(".sh") || ATTACKS.iter().any(|(one, _)| name == format!("{one}.sh"));
        assert!(known, "{name} is not in the table");
        std::fs::copy(&from, inside.join(name)).unwrap();
    }
    let mut broken = Vec::new();
    for (attack, case) in ATTACKS.iter().flat_map(|(attack, cases)| cases.iter().map(move |case| (attack, case))) {
        let began = Instant::now();
        let set = if case.is_empty() { "LANG=C".to_owned() } else { format!("CASE={case}") };
        let output = lab.run_within(120, &["env", &set, "bash", &format!("/opt/attacks/{attack}.sh")]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = said.lines().last().unwrap_or_default().to_owned();
        let took = began.elapsed().as_secs_f64();
        for line in said.lines().filter_map(|line| line.strip_prefix("figure: ")) {
            figure(&format!("attack {attack} {case}: {line}"));
        }
        figure(&format!("attack {attack} {case}: {last} ({took:.1} s in all)"));
        if !(output.status.success() && last.starts_with("HELD: ")) {
            broken.push(format!("{attack} {case}: {}", told(&output)));
        }
    }
    assert!(broken.is_empty(), "{} attacks succeed:\n{}", broken.len(), broken.join("\n"));
}
