//! What several test files share.
pub(crate) mod lab;
pub(crate) mod runs;
pub(crate) mod program;
pub(crate) mod redis;
