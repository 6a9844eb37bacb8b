//! The law of actions, on the model: once every item was applied there is nothing left to do, and applying again changes nothing.

use super::bed::{Bed, small_yaml};
use crate::action::act::start_key;
use crate::action::{Action, ActionKind, Item, Kept, Outcome};
use crate::execute::ground;
use crate::host::Host;
use crate::host::model::Faults;

/// A step for each action that the small runbook does not have.
const MORE: &str = "
  - name: more
    steps:
      - units_stopped: { units: [router] }
      - command: { argv: [/usr/bin/true], repeatable: true }
";

#[tokio::test]
async fn applied_once_nothing_is_left_and_twice_is_once() {
    let bed = Bed::new(&format!("{}{MORE}", small_yaml().trim_end()), Faults::default()).await;
    let (model, runbook, baseline, dir) = (&bed.model, &bed.loaded.runbook, &bed.rehearsed.facts, bed.model_dir());
    let mut kept = Kept::new();
    let mut walked = Vec::new();
    for (id, _, step) in runbook.steps() {
        let preview =
            step.action.preview(model.as_probe(), &ground(runbook, baseline, &dir, &kept, (step, &id))).await.unwrap();
        assert!(!preview.change.refused(), "{id}: {:?}", preview.change.concerns);
        if let Some(value) = &preview.remember {
            kept.keep(start_key(id.as_str()), value.clone());
        }
        let mut items: Vec<&Item> = preview.change.items.iter().collect();
        items.sort_by_key(|item| item.wave);
        for item in &items {
            let outcome =
                step.action.apply(item, model, &ground(runbook, baseline, &dir, &kept, (step, &id)), &|_| {}).await;
            match outcome {
                Outcome::Applied { keep, .. } => kept.extend(keep),
                Outcome::Leaving => assert!(model.come_back()),
                other => panic!("{id} {}: {other:?}", item.key),
            }
        }
        let left = step
            .action
            .preview(model.as_probe(), &ground(runbook, baseline, &dir, &kept, (step, &id)))
            .await
            .unwrap()
            .change;
        assert!(left.is_empty(), "{id}: {:?}", left.items);
        if !matches!(step.action, Action::Rebooted(_) | Action::Pm2Saved(_)) {
            for item in &items {
                let again =
                    step.action.apply(item, model, &ground(runbook, baseline, &dir, &kept, (step, &id)), &|_| {}).await;
                assert!(matches!(again, Outcome::Applied { .. }), "{id} {}: {again:?}", item.key);
            }
            let left = step
                .action
                .preview(model.as_probe(), &ground(runbook, baseline, &dir, &kept, (step, &id)))
                .await
                .unwrap()
                .change;
            assert!(left.is_empty(), "{id}, twice: {:?}", left.items);
        }
        walked.push((step.action.key(), items.len()));
    }
    let keys: std::collections::BTreeSet<&str> = walked.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys.len(), ActionKind::KEYS.len(), "every action was walked: {walked:?}");
    let done = walked.iter().filter(|(_, items)| *items > 0).count();
    assert!(done >= 11, "{walked:?}");
}
