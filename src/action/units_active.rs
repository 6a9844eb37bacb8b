//! `units_active`: the platform units run.
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::act::{Act, Ground, Outcome, Tell, Tick};
use super::change::{Change, Item, Sign};
use crate::host::span::Span;
use crate::host::systemd::UnitSeen;
use crate::host::{Deed, Host, HostError, Probe};

/// Start what is not active and wait until it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitsActive {
    /// Inventory names whose units are meant (see [`super::inventory::Inventory::units_of`]); `None`: all of them.
    pub units: Option<Vec<String>>,
}

/// What `units_active` looks at.
pub struct Seen {
    units: Vec<(Box<UnitSeen>, bool)>,
}

impl Act for UnitsActive {
    type Seen = Seen;

    async fn probe(&self, on: &dyn Probe, ground: &Ground<'_>) -> Result<Seen, HostError> {
        let known = ground.inventory.units_of(self.units.as_deref());
        let looks = known.into_iter().map(|known| async move { Ok((on.unit(known.unit).await?, known.required)) });
        Ok(Seen { units: try_join_all(looks).await? })
    }

    fn plan(&self, seen: &Seen, _: &Ground<'_>) -> Change {
        let mut change = Change::default();
        for (unit, required) in &seen.units {
            if unit.active_state == "active" {
                change.already += 1;
                continue;
            }
            let before = format!("{} ({})", unit.active_state, unit.sub_state);
            let mut item = Item::new(&unit.id, Sign::Add, before, "active").taking(Span::secs(1.0, 10.0));
            item.optional = !required;
            change.items.push(item);
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, _: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        let unit = item.key.as_str();
        loop {
            let seen = match on.as_probe().unit(unit).await {
                Ok(seen) => seen,
                Err(error) => return error.into(),
            };
            let state = format!("{} ({})", seen.active_state, seen.sub_state);
            match seen.active_state.as_str() {
                "active" => return Outcome::applied(),
                "inactive" | "failed" => {
                    tell(Tick::say(unit, format!("{state}; starting it")));
                    match on.tell(&Deed::StartUnit(unit.to_owned())).await {
                        Ok(_) => return Outcome::noted(format!("was {state}, started")),
                        // Its job still runs (a Redis that loads): the next look tells.
                        Err(HostError::Unknown { .. }) => {}
                        Err(error) => return error.into(),
                    }
                }
                // On its way up, or down and up again: systemd works on it already.
                _ => tell(Tick::say(unit, state)),
            }
            on.sleep(Duration::from_secs(1)).await;
        }
    }
}
