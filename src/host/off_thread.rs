//! Calls that may wait for a disk, a network file system or somebody's process, taken off the thread that runs timers and
//! signals and given a deadline.
//!
//! A call in the kernel cannot be taken back, so its thread stays behind when the time is over; the program ends without
//! waiting for it (`main`). What is stuck is not asked again until it has come back, or a gate that looks every second would
//! leave a thread behind each time.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::host::foreign::tame;

/// How long a disk may take to show a few small files.
pub const DISK: Duration = Duration::from_secs(5);

/// Places whose call has not come back in time.
static STUCK: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Does `work` on a thread of its own and waits for it until `limit` has passed. `place` is what it looks at.
///
/// # Errors
/// `TimedOut` after the limit, and at once while an earlier call about the same place is still stuck.
pub async fn within<T: Send + 'static>(
    limit: Duration,
    place: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let place = place.to_string_lossy().into_owned();
    let late = |place: &str| {
        let why = format!("{}: the disk did not answer within {} s", tame(place, 300), limit.as_secs().max(1));
        io::Error::new(io::ErrorKind::TimedOut, why)
    };
    if stuck(|places| places.contains(&place)) {
        return Err(late(&place));
    }
    let (send, receive) = tokio::sync::oneshot::channel();
    let back = Arc::new(AtomicBool::new(false));
    let seat = Seat { place: place.clone(), back: Arc::clone(&back) };
    tokio::task::spawn_blocking(move || {
        let _seat = seat;
        // Nobody may wait any more; then there is nothing to do with it.
        drop(send.send(work()));
    });
    match tokio::time::timeout(limit, receive).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(io::Error::other(format!("{}: the look was cut short", tame(&place, 300)))),
        Err(_) => {
            // It may have come back in this very moment.
            stuck(|places| back.load(Ordering::SeqCst) || places.insert(place.clone()));
            Err(late(&place))
        }
    }
}

/// Takes the place out of the list when the call has come back, however it ended.
struct Seat {
    place: String,
    back: Arc<AtomicBool>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        stuck(|places| {
            self.back.store(true, Ordering::SeqCst);
            places.remove(&self.place)
        });
    }
}

fn stuck<T>(with: impl FnOnce(&mut HashSet<String>) -> T) -> T {
    with(STUCK.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(HashSet::new))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_is_stuck_is_given_up_and_not_asked_again_before_it_comes_back() {
        let (free, wait) = mpsc::channel::<()>();
        let (place, soon) = (Path::new("/test/stuck"), Duration::from_millis(30));
        let error = within(soon, place, move || wait.recv().is_ok()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "/test/stuck: the disk did not answer within 1 s");
        let again = within(soon, place, || unreachable!("asked although it is stuck")).await;
        assert_eq!(again.map_err(|error| error.kind()), Err::<(), _>(io::ErrorKind::TimedOut));
        assert_eq!(within(soon, Path::new("/test/other"), || 5).await.unwrap(), 5);
        drop(free);
        for _ in 0..500 {
            if let Ok(seven) = within(DISK, place, || 7).await {
                return assert_eq!(seven, 7);
            }
            crate::host::clock::sleep(Duration::from_millis(10)).await;
        }
        panic!("it has come back and is still called stuck");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_the_place() {
        let place = Path::new("/test/panics");
        assert!(
            within(DISK, place, || panic!("on purpose"))
                .await
                .is_err_and(|error: io::Error| error.kind() == io::ErrorKind::Other)
        );
        assert_eq!(within(DISK, place, || 1).await.unwrap(), 1);
    }
}
