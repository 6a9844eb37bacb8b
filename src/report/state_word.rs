//! The word in which `status` says how a run stands. One type, so that every one of them is known to `explain`.

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateWord {
    /// It has ended.
    Over,
    /// Nobody can go on with it here.
    Refused,
    /// It waits for the machine.
    Waiting,
    /// The machine is back, and nobody goes on.
    Back,
    /// A process is at work on it.
    Running,
    /// A step stands in the way.
    Failed,
    /// Nobody knows whether a step happened.
    Unknown,
    /// It turned back, and something is still down.
    NotBroughtBack,
    /// It stands still at a checkpoint.
    Paused,
    /// Its process is gone.
    Died,
    /// A person has set it aside; nobody goes on with it.
    SetAside,
}

impl StateWord {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Over,
        Self::Refused,
        Self::Waiting,
        Self::Back,
        Self::Running,
        Self::Failed,
        Self::Unknown,
        Self::NotBroughtBack,
        Self::Paused,
        Self::Died,
        Self::SetAside,
    ];

    /// As it stands on the screen.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Over => "OVER",
            Self::Refused => "REFUSED",
            Self::Waiting => "WAITING",
            Self::Back => "BACK",
            Self::Running => "RUNNING",
            Self::Failed => "FAILED",
            Self::Unknown => "UNKNOWN",
            Self::NotBroughtBack => "NOT BROUGHT BACK",
            Self::Paused => "PAUSED",
            Self::Died => "DIED",
            Self::SetAside => "SET ASIDE",
        }
    }
}
