//! Whole runs over app lists that were made to be mistaken: names that spell what tells others apart, one script under many
//! names, instances and namespaces that look alike. Whatever the list, no record is illegal, and a resume goes on.

use proptest::prelude::*;

use super::bed::{Bed, Ear, small_yaml};
use crate::execute::Ending;
use crate::host::ask::{Answer, Ask};
use crate::host::model::{Faults, sample};
use crate::host::pm2::listed::apps;
use crate::host::pm2::{App, DumpEntry, DumpSeen};
use crate::host::{Deed, Down, Facts, Host};

/// The small host with another list of apps, as a daemon would hand it over.
fn host_with(list: &[Made]) -> Facts {
    let mut facts = sample::small();
    let mut pm2 = sample::pm2(&sample::place(), &[]);
    let entry = |(id, made): (u32, &Made)| {
        let (namespace, name, script, instance, online) = made;
        let mut env = serde_json::json!({
            "name": name, "namespace": namespace, "pm_exec_path": script, "pm_id": id,
            "status": if *online { "online" } else { "stopped" }, "exec_mode": "fork_mode",
        });
        if let Some(instance) = instance {
            env["NODE_APP_INSTANCE"] = (*instance).into();
        }
        serde_json::json!({ "pid": if *online { 20_000 + id } else { 0 }, "pm_id": id, "pm2_env": env })
    };
    let entries: Vec<_> = (0..).zip(list).map(entry).collect();
    pm2.apps = apps(&entries);
    let entry = |app: &App| DumpEntry {
        namespace: app.key.namespace.clone(),
        name: app.key.name.clone(),
        status: app.status.clone(),
    };
    pm2.dump = DumpSeen::Read { entries: pm2.apps.iter().map(entry).collect() };
    facts.put(Ask::Pm2(sample::place()), Answer::Pm2(Box::new(pm2)));
    facts
}

/// Namespace, name, script, instance, and whether it runs.
type Made = (String, String, String, Option<u32>, bool);

fn lists() -> impl Strategy<Value = Vec<Made>> {
    let long = "x".repeat(400);
    let odd = [
        ":",
        "",
        "(daemon)",
        "(saved list)",
        "(missing apps)",
        "(steady)",
        "daemon",
        "rest",
        "a\u{202e}b",
        "a\\u{202e}b",
        "api\nb",
        "key=s3cret",
        "key=other",
        "%2F",
        "..",
        "id-manager",
        "app/services/api",
    ];
    let mut odd: Vec<String> = odd.map(str::to_owned).into();
    odd.extend([format!("{long}1"), format!("{long}2")]);
    // What labels have been made of: a name that ends like it is taken for another app.
    let ends = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        "/1",
        "#1",
        "#1",
        " (/a)",
        " (/a, numbered)",
        " (/a, in default)",
        " [2]",
    ]);
    let crafted = (prop::sample::select(vec!["api", "api", "api", "eu:api"]), ends.clone(), ends);
    let crafted = crafted.prop_map(|(name, one, two)| format!("{name}{one}{two}"));
    let name = prop_oneof![4 => crafted, 1 => prop::sample::select(odd)];
    let namespace = prop::sample::select(vec!["eu", "", "(x", "default:", "\u{7f}"]);
    let namespace = prop_oneof![6 => Just("default"), 1 => namespace];
    let script = prop_oneof![6 => Just("/a"), 1 => prop::sample::select(vec!["/b", "", "/a, numbered"])];
    let instance = prop_oneof![4 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(1))];
    let app = (namespace, name, script, instance, prop::bool::weighted(0.8));
    let app = app.prop_map(|(namespace, name, script, instance, online)| {
        (namespace.to_owned(), name, script.to_owned(), instance, online)
    });
    prop::collection::vec(app, 1..20)
}

/// Sits until the run is over or has no way on by itself; a record that is not legal ends a sitting with an error, which the bed
/// does not let pass.
async fn whole(list: &[Made], crash_at: usize) -> (usize, usize) {
    let mut bed = Bed::on(host_with(list), &small_yaml(), Faults::default()).await;
    let before = bed.online().await;
    bed.ear = Ear { crash_at: Some(crash_at), ..Ear::default() };
    for _ in 0..8 {
        match bed.sit(None).await {
            // It may have died behind its last word.
            None if bed.state().ended().is_some() => return (before, bed.online().await),
            None => bed.ear = Ear::default(),
            Some(Ending::WaitingForReboot { .. }) => {
                assert_eq!(bed.online().await, 0, "every app was stopped");
                if !bed.model.come_back() {
                    // It crashed before it asked, and nobody asks twice.
                    bed.model.tell(&Deed::GoDown(Down::Reboot)).await.unwrap();
                    bed.model.come_back();
                }
            }
            Some(Ending::Done { losses }) => {
                assert!(losses.is_empty(), "{losses:?}");
                return (before, bed.online().await);
            }
            Some(other) => panic!("{other:?}"),
        }
        bed.model.pass(std::time::Duration::from_secs(2));
    }
    panic!("no end");
}

#[tokio::test]
async fn apps_that_are_called_like_the_labels_of_others_come_through_a_window() {
    let app = |name: &str| ("default".to_owned(), name.to_owned(), "/a".to_owned(), None, true);
    let list = ["api", "api", "api#1", "api#1 (/a)", "api#1 (/a) [2]"].map(app);
    assert_eq!(whole(&list, 40).await, (5, 5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_list_of_apps_makes_a_record_illegal(list in lists(), crash_at in 1usize..120) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (before, after) = runtime.block_on(whole(&list, crash_at));
        prop_assert_eq!(before, after, "everything that ran runs again");
    }
}
