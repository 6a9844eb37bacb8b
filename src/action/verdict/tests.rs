//! What a check makes of a host, and when it gives up: on a made-up host whose answers are known.

use super::*;
use crate::action::act::Kept;
use crate::action::inventory::{AtBoot, Inventory};
use crate::host::model::{Model, sample};
use crate::host::pm2::DaemonSeen;
use crate::host::{Answer, Ask, Facts};

/// The small host whose first app has restarted so often, under a daemon with this process number.
fn host(restarts: u64, daemon: u32) -> Facts {
    let mut facts = sample::small();
    for (ask, answer) in &mut facts.answers {
        let (Ask::Pm2(_), Answer::Pm2(seen)) = (ask, answer) else { continue };
        seen.apps[0].restarts = restarts;
        let DaemonSeen::Up(up) = &mut seen.daemon else { panic!("no daemon") };
        up.pid = Some(daemon);
    }
    facts
}

#[tokio::test]
async fn restarts_are_counted_from_the_daemon_that_counts_them() {
    let at = sample::place();
    let place = Pm2Place {
        user: at.user,
        home: at.home,
        unit: at.unit,
        cli: at.cli,
        boot: AtBoot::Registers,
        groups: Vec::new(),
    };
    let mut inventory = Inventory::default();
    inventory.pm2.insert("services".into(), place);
    let (baseline, kept) = (host(3, 2_001), Kept::new());
    let ground = Ground::of_a_test(&inventory, &kept, &baseline, "verify/1");
    let check = Pm2Check {
        pm2: "services".into(),
        apps: Vec::new(),
        online_at_least: None,
        restarts_at_most: Some(4),
        restarts_in_all_at_most: None,
        required: true,
    };
    for (restarts, daemon, holds) in [(7, 2_001, true), (8, 2_001, false), (4, 9_000, true), (5, 9_000, false)] {
        let seen = pm2_holds(&check, &Model::of(host(restarts, daemon)), &ground).await;
        assert_eq!(seen.is_ok(), holds, "{restarts} restarts under {daemon}");
    }
}
