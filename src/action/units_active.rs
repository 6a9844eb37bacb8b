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
            let mut item = Item::new(&unit.id, Sign::Add, before, "active").briefly(&unit.active_state);
            item.takes = Span::secs(1.0, 10.0);
            item.optional = !required;
            change.items.push(item);
        }
        change
    }

    async fn apply(&self, item: &Item, on: &dyn Host, _: &Ground<'_>, tell: Tell<'_>) -> Outcome {
        let unit = item.key.as_str();
        let mut watch = Watch::default();
        loop {
            let seen = match on.as_probe().unit(unit).await {
                Ok(seen) => seen,
                Err(error) => return error.into(),
            };
            match watch.judge(&seen, on.as_probe().uptime()) {
                Next::Done => return watch.outcome(),
                Next::Lost(why) => {
                    let said =
                        on.last_words(unit).await.map_or(String::new(), |line| format!("; it said last: {line}"));
                    return Outcome::failed(format!("{why}{said}"));
                }
                Next::Wait(say) => tell(Tick::say(unit, say)),
                Next::Start(state) => {
                    tell(Tick::say(unit, format!("{state}; starting it")));
                    match on.tell(&Deed::StartUnit(unit.to_owned())).await {
                        // Its job may still run (a Redis that loads): the next look tells.
                        Ok(_) | Err(HostError::Unknown { .. }) => watch.started(state),
                        Err(error) => return error.into(),
                    }
                }
            }
            on.sleep(Duration::from_secs(1)).await;
        }
    }
}

/// How long a unit must stay active: `Type=simple` is active the moment its program is forked, whatever becomes of it.
const SOAK: Duration = Duration::from_secs(2);
/// Automatic restarts under our eyes after which a unit is called a restart loop.
const RESTARTS: u32 = 2;

/// What a look at a unit asks for.
enum Next {
    Done,
    Start(String),
    Wait(String),
    Lost(String),
}

/// One unit on its way up. It is started once; whether it dies then is for systemd to repair and for people to see, because
/// starting again what has just died only uses up its start limit.
#[derive(Default)]
struct Watch {
    /// The state that it was started from.
    was: Option<String>,
    /// Automatic restarts at the first look since.
    restarts: Option<u32>,
    /// The invocation that is active, and since when it is watched.
    steady: Option<(String, Duration)>,
}

impl Watch {
    fn judge(&mut self, seen: &UnitSeen, now: Duration) -> Next {
        let state = format!("{} ({})", seen.active_state, seen.sub_state);
        let more = seen.n_restarts.saturating_sub(*self.restarts.get_or_insert(seen.n_restarts));
        let log = format!("see journalctl -u {}", seen.id);
        if more >= RESTARTS {
            return Next::Lost(format!(
                "starts and dies again and again ({more} restarts, result {}); {log}",
                seen.result
            ));
        }
        match seen.active_state.as_str() {
            "active" => {
                let (invocation, since) = self.steady.get_or_insert_with(|| (seen.invocation_id.clone(), now));
                if *invocation != seen.invocation_id {
                    (*invocation, *since) = (seen.invocation_id.clone(), now);
                }
                if now.saturating_sub(*since) >= SOAK {
                    Next::Done
                } else {
                    Next::Wait("active; does it stay so?".into())
                }
            }
            "inactive" | "failed" if self.was.is_some() => {
                Next::Lost(format!("was started, and is {state} again (result {}); {log}", seen.result))
            }
            "inactive" | "failed" => Next::Start(state),
            // On its way up, or down and up again: systemd works on it already.
            _ => {
                self.steady = None;
                Next::Wait(state)
            }
        }
    }

    fn started(&mut self, state: String) {
        self.was = Some(state);
        // A start by hand begins the count anew.
        self.restarts = None;
    }

    fn outcome(&self) -> Outcome {
        self.was.as_ref().map_or_else(Outcome::applied, |was| Outcome::noted(format!("was {was}, started")))
    }
}
