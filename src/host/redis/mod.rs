//! Redis, Valkey and Tile38: what an instance says, what its files say, and the one thing we ask of it.
//!
//! The flow: [`look()`] gathers facts over one bounded connection (and from the disk and `/proc` of this host) into a
//! [`RedisSeen`]; everything else is pure judgement of such facts: may it be compacted ([`preflight()`]), was it compacted
//! ([`judge`]), how long will it load ([`eta`]), may others rely on it ([`ready()`]). Only [`request_rewrite`] changes anything.
//!
//! Traps that shaped this module, all met in the field: `async_loading:0` contains `loading:0`; a PONG says nothing about
//! the data set; a rewrite whose child was killed politely reports `ok`; a loading server may be silent for seconds.

mod at;
mod config_line;
mod door;
mod estimate;
pub mod eta;
mod facts;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod info;
mod knock;
mod look;
mod odd;
mod preflight;
mod progress;
mod ready;
mod request;
mod rewrite;
mod seen;
mod settings;
mod size;
mod socket;
mod whose;
mod wire;
mod written;

#[cfg(test)]
pub(crate) mod testbed;
#[cfg(test)]
mod tests;

pub use at::{RedisAddr, RedisAt, RedisAtError, RedisKind};
pub use door::Door;
pub use estimate::{Range, compacted_bytes, rewrite_secs};
pub use files::{AofFile, AofFiles, Layout};
pub use knock::loading_ends;
pub use look::{look, look_with};
pub use preflight::{Obstacle, Overcommit, Severity, footing, overcommit, preflight, restart_obstacles};
pub use progress::{LoadProgress, Part, load_progress};
pub use ready::{NotReady, RoleWanted, Wanted, ready};
pub use request::{RedisFault, RewriteReply, request_rewrite, request_rewrite_with};
pub use rewrite::{Rewrite, RewriteFailure, Waiting, judge};
pub use seen::{Aof, Loading, Memory, Rdb, RedisFacts, RedisSeen, ReplicaOf, Role, Server, ServerName, Unseen};
pub use settings::{Setting, Unsaved, is_setting, started_with, unsaved};
pub(crate) use settings::{alike as alike_settings, same as same_setting};
pub use wire::Patience;
pub(crate) use written::of_arguments;
