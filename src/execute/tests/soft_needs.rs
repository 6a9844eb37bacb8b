//! What one lost app holds back: as much as the runbook says, and no more; and the plan has said it.

use super::bed::{Bed, small_yaml};
use crate::execute::Ending;
use crate::host::model::Faults;
use crate::journal::checkpoint::Outcome;

/// The small runbook with other needs of its last group; the restore is judged by itself.
fn yaml(needs: &str) -> String {
    let small = small_yaml();
    let (small, _) = small.split_once("  - name: verify\n").unwrap();
    let small = small.replace("back_out: [restore, verify]", "back_out: [restore]");
    let all = small.replace("needs: { redis: [bds, bull00], groups: [ids] }", needs);
    assert_ne!(all, small);
    all
}

/// Restores with a lost app: the end, how many are up, and why the first of the last group was not begun, if it was not.
async fn restored(needs: &str, lost: &[&str]) -> (String, usize, Option<String>, String) {
    let faults = Faults { lost_apps: lost.iter().map(|&name| name.to_owned()).collect(), ..Faults::default() };
    let mut bed = Bed::new(&yaml(needs), faults).await;
    let plan = crate::report::plan(
        &bed.rehearsed.plan,
        &bed.loaded.runbook,
        &crate::plan::verdict::judge(&bed.rehearsed.plan, bed.loaded.runbook.window.as_ref()),
        crate::report::Detail::Full,
        &crate::report::Style::PLAIN,
    );
    bed.sit(None).await.unwrap();
    bed.model.come_back();
    let Some(Ending::Failed { error, .. }) = bed.sit(None).await else { panic!("an app is lost") };
    let state = bed.state();
    let why = match &state.steps()[&crate::journal::checkpoint::StepId::new("restore/1")]
        .items
        .get("api-0")
        .and_then(|item| item.outcome.clone())
    {
        Some(Outcome::Failed { why, .. }) => Some(why.clone()),
        _ => None,
    };
    (error, bed.online().await, why, plan.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn a_group_that_can_do_without_one_app_starts_without_it() {
    let hard = "needs: { redis: [bds, bull00], groups: [ids] }";
    let (_, online, why, plan) = restored(&format!("{hard} "), &["id-manager-1"]).await;
    assert_eq!((online, why.as_deref()), (13, Some("not begun: id-manager-1 of `ids` before it did not come up")));
    assert!(plan.contains("if one of 2 in `ids` fails, 20 wait"), "{plan}");

    let soft = "needs: { groups: [ids], lost_at_most: 1 }";
    let (error, online, why, plan) = restored(soft, &["id-manager-1"]).await;
    assert_eq!((online, why), (33, None), "everything but the lost one is up");
    assert!(error.starts_with("id-manager-1"), "{error}");
    assert!(plan.contains("if 2 of 2 in `ids` fail, 20 wait"), "{plan}");

    let (_, online, why, _) = restored(soft, &["id-manager-0", "id-manager-1"]).await;
    assert_eq!(online, 12, "two are one too many");
    assert!(why.unwrap().contains("(and 1 more of it) before it did not come up"));
}

#[tokio::test]
async fn a_group_that_needs_one_app_waits_for_that_one_and_not_for_its_group() {
    let named = "needs: { apps: [id-manager-0] }";
    let (_, online, why, plan) = restored(named, &["id-manager-1"]).await;
    assert_eq!((online, why), (33, None), "its neighbour is nobody's need");
    assert!(plan.contains("if `id-manager-0` fails, 20 wait") && !plan.contains("in `ids`"), "{plan}");
    let (_, online, why, _) = restored(named, &["id-manager-0"]).await;
    assert_eq!((online, why.as_deref()), (13, Some("not begun: `id-manager-0` before it did not come up")));
}

#[tokio::test]
async fn an_app_that_is_needed_and_was_not_saved_running_is_told_and_waited_for_by_nobody() {
    let named = "needs: { apps: [org-0, nowhere] }";
    let text = yaml(named)
        .replace("{ name: ids,     apps: [\"id-manager*\"]", "{ name: ids, apps: [\"id-manager*\", org-0, nowhere]");
    let mut bed = Bed::new(&text, Faults::default()).await;
    let told: Vec<String> = bed
        .rehearsed
        .plan
        .steps
        .iter()
        .flat_map(|step| &step.change.concerns)
        .filter(|concern| concern.seen.contains("is needed by other apps"))
        .map(|concern| concern.about.clone())
        .collect();
    assert!(told.contains(&"org-0".to_owned()) && told.contains(&"nowhere".to_owned()), "{told:?}");
    bed.sit(None).await.unwrap();
    bed.model.come_back();
    assert_eq!(bed.sit(None).await, Some(Ending::Done { losses: vec![] }));
}
