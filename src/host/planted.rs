//! Safeguards that a test can take away one at a time, to prove that some test would notice.
//!
//! Without the cargo feature `planted-bugs` the question is a constant *no* that the compiler removes; the feature does not
//! compile into a release. With it, `RUNBOOK_PLANTED=NAME` plants one bug for the life of the process. `tests/planted.sh`
//! plants each and runs the test that must fail.

/// A safeguard taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A record is acknowledged without fdatasync of the journal.
    NoDataSync,
    /// The head is written and not synced.
    NoHeadSync,
    /// A replaced file's directory is not synced.
    NoDirSync,
    /// A failed sync is taken for a good one.
    SyncFailureIgnored,
    /// The checksum of a record is not compared.
    CrcUnchecked,
    /// The chain of hashes is not followed.
    PrevUnchecked,
    /// The head is not asked how far the journal was acknowledged.
    HeadUnchecked,
    /// A held host lock is taken all the same.
    LockSkipped,
    /// The state's owner, mode and links are not looked at.
    LooseFiles,
    /// New files are readable by everybody.
    OpenMode,
    /// A journal of another machine is resumed.
    MachineUnchecked,
    /// The frozen runbook may have been changed.
    FrozenUnchecked,
    /// A pending run is resumed by itself however old.
    StaleResumed,
    /// A state directory that went back in time is believed.
    RollbackBelieved,
    /// Boots in a row in which nothing is achieved are not counted.
    BootLoopUnseen,
    /// The effect begins before its intent is written.
    EffectFirst,
    /// An unknown outcome is written as applied.
    UnknownIsDone,
    /// A non-repeatable item in doubt is applied again.
    DoubtRepeated,
    /// Work on an order is not seen by its lock.
    OrderUnlocked,
    /// Any boot id proves a reboot.
    BootIdUnchecked,
    /// A second reboot intent is legal.
    SecondReboot,
    /// Foreign text is passed on as it is.
    TameOff,
    /// Free text keeps the secrets in it.
    SecretsKept,
    /// Names are filtered for secrets like free text.
    NamesHidden,
    /// A secret shows itself in debug output.
    SecretShown,
    /// A time-out ends the leader alone.
    GroupSurvives,
    /// PM2 apps are told apart by name alone.
    NameOnly,
    /// A snapshot of fewer apps than were saved is taken.
    PartialSave,
    /// An empty list of apps is a snapshot.
    EmptySave,
    /// A loading Redis is ready.
    LoadingReady,
    /// Lost keys are no reason to wait.
    KeysIgnored,
    /// A clock that was set back opens the window.
    ClockBack,
    /// Size limits of frames are not kept.
    FrameUnbounded,
}

/// Whether this bug is planted: never in a normal build.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("planted bugs are for tests: they are never built into a release");

/// Whether this bug is planted.
#[cfg(feature = "planted-bugs")]
#[expect(clippy::disallowed_methods, reason = "which bug is the driver's wish")]
pub(crate) fn planted(bug: Bug) -> bool {
    static WANTED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let wanted = WANTED.get_or_init(|| std::env::var("RUNBOOK_PLANTED").unwrap_or_default());
    !wanted.is_empty() && format!("{bug:?}") == *wanted
}
