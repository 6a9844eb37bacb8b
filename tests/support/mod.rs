//! What several test files share.
pub(crate) mod lab;
pub(crate) mod pm2;
pub(crate) mod program;
pub(crate) mod redis;
#[allow(dead_code, reason = "shared with the example")]
pub(crate) mod replay;
pub(crate) mod runs;
