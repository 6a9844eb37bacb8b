//! The time of a rehearsal as its journal and its screens read it: that of the model, not ours.
//!
//! A model lives on the run's own task; journals stamp and screens draw elsewhere. The dial is set on each word with the
//! model and read by everybody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::host::Probe;
use crate::host::model::Model;
use crate::journal::{Clock, Stamp};

/// See the module. Copies show the same time.
#[derive(Debug, Clone)]
pub struct Dial(Arc<Mutex<Shown>>);

#[derive(Debug, Clone)]
struct Shown {
    elapsed: Duration,
    stamp: Stamp,
}

impl Dial {
    pub(super) fn of(model: &Model<'_>, boot_id: String) -> Self {
        let stamp = Stamp { boot_id, mono_ms: millis(model.uptime()), wall: model.now() };
        Self(Arc::new(Mutex::new(Shown { elapsed: model.elapsed(), stamp })))
    }

    /// Shows the model's time from now on; a new boot id only with a new boot.
    pub(super) fn turn(&self, model: &Model<'_>, boot_id: Option<String>) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.elapsed = model.elapsed();
        shown.stamp.mono_ms = millis(model.uptime());
        shown.stamp.wall = model.now();
        if let Some(boot_id) = boot_id {
            shown.stamp.boot_id = boot_id;
        }
    }

    fn shown(&self) -> Shown {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Time since the rehearsal began; unlike the machine's uptime it goes on over a boot.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shown().elapsed
    }

    /// What the clock on the wall shows.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.shown().stamp.wall
    }

    pub(super) fn boot_id(&self) -> String {
        self.shown().stamp.boot_id
    }

    /// The stamps of a journal.
    pub(super) fn stamps(&self) -> Box<dyn Clock> {
        let dial = self.clone();
        Box::new(move || dial.shown().stamp)
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
