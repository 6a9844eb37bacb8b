//! What several test files share.
pub(crate) mod lab;
pub(crate) mod program;
pub(crate) mod redis;
pub(crate) mod runs;
