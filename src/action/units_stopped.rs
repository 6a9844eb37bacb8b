//! `units_stopped`: the named units are stopped. Takes service away.
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Concern, Item, Sign, Weight};
use crate::host::span::Span;
use crate::host::systemd::UnitSeen;
use crate::host::{Deed, Host, HostError, Probe};

/// Stop units, in the order given. There is no "all" here: stopping must name what it stops.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitsStopped {
    /// Inventory names whose units are meant (see [`super::inventory::Inventory::units_of`]); at least one.
    pub units: Vec<String>,
}

/// What `units_stopped` looks at.
pub struct Seen {
    units: Vec<UnitSeen>,
}

impl Act for UnitsStopped {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let known = ground.inventory.units_of(Some(&self.units));
        let looks = known.into_iter().map(|known| async move { Ok(*on.unit(known.unit).await?) });
        Ok(Seen { units: try_join_all(looks).await? })
    }

    fn plan(&self, seen: &Seen, _: &Ground<'_>) -> Change {
        let mut change = Change::default();
        for unit in &seen.units {
            if matches!(unit.active_state.as_str(), "inactive" | "failed") {
                change.already += 1;
                continue;
            }
            let item =
                Item::new(&unit.id, Sign::Remove, format!("{} ({})", unit.active_state, unit.sub_state), "stopped");
            change.items.push(item.briefly(&unit.active_state).taking(Span::secs(1.0, 10.0)));
            if !unit.triggered_by.is_empty() {
                let seen = format!("may be started again by {}", unit.triggered_by.join(", "));
                change.concerns.push(Concern::new(Weight::Warn, &unit.id, seen, "stop that as well"));
            }
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, _: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        tell(Tick::say(&item.key, "stopping"));
        match on.tell(&Deed::StopUnit(item.key.clone())).await {
            Ok(_) => Outcome::applied(),
            Err(error) => error.into(),
        }
    }

    fn takes_service_away(&self) -> bool {
        true
    }
}
