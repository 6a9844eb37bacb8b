//! The end of a load, the moment it comes: a cheap question many times a second beside an expensive one now and then.
//!
//! INFO tells how far a load is, and is sent once a second at most. PING is answered from the same event loop for next to
//! nothing: `-LOADING` until the end, anything else after it (server.c, `processCommand`).

use std::time::Duration;

use redis::{Value, cmd};
use tokio::time::timeout;

use super::at::RedisAt;
use super::door::Door;
use super::wire::{self, Patience, Wire};
use crate::host::clock;

/// Between two questions. The end is seen half of it late on average, plus the answer's way.
const EVERY: Duration = Duration::from_millis(100);

/// Knocks until the instance no longer says that it loads, or `within` is over; `true` when it stopped saying so. What
/// cannot be asked is waited for all the same: why it cannot is for [`look`](super::look()) to find out.
pub async fn loading_ends(at: &RedisAt, within: Duration) -> bool {
    let until = clock::boottime() + within;
    let ended = timeout(within, knock(at, within)).await.unwrap_or(false);
    if !ended {
        clock::sleep(until.saturating_sub(clock::boottime())).await;
    }
    ended
}

/// `false` as soon as it cannot be asked.
async fn knock(at: &RedisAt, within: Duration) -> bool {
    let Ok(mut wire) = greeted(at, within).await else { return false };
    loop {
        let asked = clock::boottime();
        match wire.ask(vec![cmd("PING")]).await {
            Ok(answers) if !answers.first().is_some_and(says_loading) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
        clock::sleep((asked + EVERY).saturating_sub(clock::boottime())).await;
    }
}

async fn greeted(at: &RedisAt, within: Duration) -> Result<Wire, Door> {
    let addr = at.check().map_err(|error| Door::BadAddress { text: error.to_string() })?;
    let patience = Patience { connect: within, answer: within };
    let password = wire::password(at, within).await?;
    let mut wire = wire::open(at, &addr, patience).await?;
    wire.login(at, password.as_ref()).await?;
    Ok(wire)
}

/// A replica that must not serve old data says that its master is down before it says that it loads.
fn says_loading(answer: &Value) -> bool {
    matches!(Door::of_ping(answer), Door::Loading | Door::MasterDown)
}
