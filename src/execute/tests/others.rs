//! After the reboot one place that does not come back keeps no other down.

use super::bed::{Bed, small_yaml};
use crate::execute::Ending;
use crate::host::model::{Faults, sample};
use crate::host::pm2::Pm2At;
use crate::host::{Answer, Ask, Probe};

fn other() -> Pm2At {
    let unit = Some("pm2-anna.service".to_owned());
    Pm2At { user: "anna".into(), home: "/home/anna/.pm2".into(), unit, cli: None }
}

/// The small runbook with a second place, restored behind the first, and without the comparison that would name losses later.
fn two_places() -> String {
    let small = small_yaml();
    let (small, _) = small.split_once("  - name: verify\n").unwrap();
    small
        .replace("back_out: [restore, verify]", "back_out: [restore]")
        .replace(
            "phases:\n",
            "  other:\n    user: anna\n    home: /home/anna/.pm2\n    unit: pm2-anna.service\n    groups:\n      - { name: all, apps: [\"*\"] }\nphases:\n",
        )
        .replace("- pm2_saved: { pm2: services }", "- pm2_saved: { pm2: services }\n      - pm2_saved: { pm2: other }")
        .replace("- pm2_stopped: { pm2: services }", "- pm2_stopped: { pm2: services }\n      - pm2_stopped: { pm2: other }")
        + "      - command: { argv: [/usr/bin/true], done_if: [/usr/bin/false] }\n      - pm2_restored: { pm2: other }\n        within: 10m\n"
}

async fn bed(lost: &[&str]) -> Bed {
    let mut facts = sample::small();
    let apps: Vec<(String, bool)> = (0..5).map(|n| (format!("anna-{n}"), true)).collect();
    facts.put(Ask::Pm2(other()), Answer::Pm2(Box::new(sample::pm2(&other(), &apps))));
    let unit = sample::unit("pm2-anna.service", true, false);
    facts.put(Ask::Unit("pm2-anna.service".into()), Answer::Unit(Box::new(unit)));
    let faults = Faults { lost_apps: lost.iter().map(|&name| name.to_owned()).collect(), ..Faults::default() };
    Bed::on(facts, &two_places(), faults).await
}

async fn annas(bed: &Bed) -> usize {
    let on: &dyn Probe = &bed.model;
    on.pm2_list(&other()).await.map_or(0, |list| list.apps.iter().filter(|app| app.pid.is_some()).count())
}

#[tokio::test]
async fn a_restore_that_fails_lets_the_other_place_come_back() {
    let mut bed = bed(&["api-3"]).await;
    bed.sit(None).await.unwrap();
    bed.model.come_back();
    let ending = bed.sit(None).await.unwrap();
    let Ending::Failed { step, error, .. } = ending else { panic!("{ending:?}") };
    assert!(step.as_str() == "restore/1" && error.starts_with("api-3"), "{step} {error}");
    assert_eq!(annas(&bed).await, 5, "the other place is up");
    let state = bed.state();
    let done: Vec<bool> =
        state.steps().iter().filter(|(id, _)| id.as_str().starts_with("restore/")).map(|(_, s)| s.is_done()).collect();
    assert_eq!(done, [false, false, true], "nothing else of what follows was begun");
    // The resume tries what failed again, and then goes on where it stopped.
    let ending = bed.sit(None).await.unwrap();
    assert!(matches!(&ending, Ending::Failed { step, .. } if step.as_str() == "restore/1"), "{ending:?}");
    assert_eq!(annas(&bed).await, 5);
}

#[tokio::test]
async fn both_reasons_are_told_when_both_fail() {
    let mut bed = bed(&["api-3", "anna-1"]).await;
    bed.sit(None).await.unwrap();
    bed.model.come_back();
    let ending = bed.sit(None).await.unwrap();
    let Ending::Failed { step, error, .. } = ending else { panic!("{ending:?}") };
    assert!(step.as_str() == "restore/1" && error.contains("restore/3: anna-1"), "{step} {error}");
    assert_eq!(annas(&bed).await, 4);
}
