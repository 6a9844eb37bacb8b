//! `rebooted`: the boot id differs from the one in the baseline.
use serde::{Deserialize, Serialize};

/// Leave the running kernel and come back under another boot id. Takes service away; the point of no going back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rebooted {
    /// Who brings the host down and up.
    pub how: RebootHow,
}

/// The way to the new boot id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebootHow {
    /// logind's `Reboot`.
    #[default]
    Reboot,
    /// logind's `PowerOff`; somebody resizes the machine and powers it on.
    Poweroff,
    /// The run waits until somebody has rebooted the host.
    ByHand,
}
