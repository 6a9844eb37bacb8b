//! What a command leaves behind when it cannot do its work: an exit code, the reason, and the next thing to type.
use super::Exit;
use super::failure_of::abandon;
use crate::journal::store::StoreError;
use crate::report::offer;

/// Why a command ends without its result.
#[derive(Debug)]
pub struct Failure {
    /// How the program exits.
    pub exit: Exit,
    /// The reason.
    pub error: anyhow::Error,
    /// What to do about it, as something to type where possible.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with its reason.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), hint: None }
    }

    /// A failure whose reason is a sentence.
    pub fn say(exit: Exit, text: impl Into<String>) -> Self {
        Self::new(exit, anyhow::Error::msg(text.into()))
    }

    /// What is wrong with one run, told with the way out of it.
    pub(super) fn of_run(error: StoreError) -> Self {
        match error {
            StoreError::File(error) if error.is_of_the_file() => Self::spoilt(error),
            error => error.into(),
        }
    }

    /// A file of a run is missing, refused or none: the run cannot be gone on with as it lies there.
    pub(super) fn spoilt(error: impl Into<anyhow::Error>) -> Self {
        let doctor = offer("doctor", "looks at the place where runs are kept");
        let out = abandon("sets the run aside and frees the host");
        Self::new(Exit::Damaged, error).hint(format!("{doctor}\n  {out}"))
    }

    /// The system gives this process too few descriptors or threads to begin with.
    #[must_use]
    pub fn starved(error: std::io::Error) -> Self {
        let cure = "nothing was done: the system gives this process too little (ulimit -n, ulimit -u)";
        Self::new(Exit::Bug, error).hint(cure)
    }

    /// The same failure with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The reason with everything below it, on one line. Causes that the line above has told already are left out.
    #[must_use]
    pub fn reason(&self) -> String {
        self.error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
            "" => cause,
            told if told.contains(&cause) => text,
            _ => format!("{text}: {cause}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once() {
        let io = std::io::Error::other("no space");
        let error = anyhow::Error::new(io).context("cannot write: no space");
        assert_eq!(Failure::new(Exit::Storage, error).reason(), "cannot write: no space");
        let error = anyhow::Error::msg("inner").context("outer");
        assert_eq!(Failure::new(Exit::Storage, error).reason(), "outer: inner");
    }
}
