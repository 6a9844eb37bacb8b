//! The model's clock: time that jumps when nobody has anything left to do.
//!
//! A sleep costs nothing, and still many sleeps side by side overlap as they would in life: each one registers its end, and
//! the earliest end comes due when nothing else on the task can move. That is told from the outside by asking to be polled
//! again: if the model was neither asked nor told anything between two polls of the earliest sleeper, everybody else sleeps,
//! too. So a limit of two hours cannot pass before a pause of one second that was begun beside it.
//!
//! Under [`Pace::Times`] each jump is held back until its share of our time has passed. What we compute meanwhile takes no
//! time on the model: a rehearsal on a slow or busy machine ends as one on a fast machine does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::host::{Pending, clock};

/// How fast time goes by on a model.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Pace {
    /// As fast as everybody is ready: for planning and for tests.
    #[default]
    Instant,
    /// So many times faster than ours: for a rehearsal to be watched. Not below a thousandth.
    Times(f64),
}

/// How far a paced clock may be behind and still catch up: more than anything takes to compute, even on a machine that does
/// a dozen other things, and less than a person takes to answer.
const LAG: Duration = Duration::from_secs(1);
/// Our timers are no finer than this.
const TOO_SHORT: Duration = Duration::from_millis(1);

/// Polls of the earliest sleeper in a row without anything happening between them that prove everybody asleep.
const QUIET: u32 = 2;

/// See the module. Its time is the time since the model was made; it never goes back, not even with a boot.
pub(super) struct ModelClock {
    pace: Pace,
    /// Our boot clock at which the last jump was due.
    due: Cell<Duration>,
    /// Time that was jumped over.
    ahead: Cell<Duration>,
    sleepers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    tickets: Cell<u64>,
    /// Counts everything that happens on the model.
    stirs: Cell<u64>,
    /// Questions to the machine below that are on their way: time stands still for them.
    below: Cell<u32>,
}

impl ModelClock {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            due: Cell::new(clock::boottime()),
            ahead: Cell::default(),
            sleepers: RefCell::default(),
            tickets: Cell::default(),
            stirs: Cell::default(),
            below: Cell::default(),
        }
    }

    /// Time since the model was made.
    pub(super) fn elapsed(&self) -> Duration {
        self.ahead.get()
    }

    /// Jumps ahead; whoever sleeps until then or less wakes up.
    pub(super) fn pass(&self, length: Duration) {
        self.due.set(self.due_after(length));
        self.ahead.set(self.ahead.get() + length);
        let now = self.elapsed();
        for ((_, _), waker) in self.sleepers.borrow().iter().take_while(|((until, _), _)| *until <= now) {
            waker.wake_by_ref();
        }
    }

    /// Something happens on the model.
    pub(super) fn stir(&self) {
        self.stirs.set(self.stirs.get().wrapping_add(1));
    }

    /// Lets time pass.
    pub(super) fn sleep(&self, length: Duration) -> Pending<'_, ()> {
        let until = self.elapsed() + length;
        Box::pin(Nap { clock: self, until, ticket: None, seen: 0, quiet: 0, held: Held::Not })
    }

    /// Our time at which a jump of this length is due. What is lost to computing is made up for, what is lost to a question is
    /// not.
    fn due_after(&self, length: Duration) -> Duration {
        let now = clock::boottime();
        match self.pace {
            Pace::Instant => now,
            Pace::Times(speed) => {
                self.due.get().max(now.saturating_sub(LAG)) + length.div_f64(if speed > 1e-3 { speed } else { 1e-3 })
            }
        }
    }

    /// Keeps time standing while something outside the model is waited for.
    pub(super) fn hold(&self) -> Hold<'_> {
        self.below.set(self.below.get() + 1);
        Hold(self)
    }

    fn wake_first(&self) {
        if let Some((_, waker)) = self.sleepers.borrow().first_key_value() {
            waker.wake_by_ref();
        }
    }

    fn forget(&self, ticket: (Duration, u64)) {
        self.stir();
        self.sleepers.borrow_mut().remove(&ticket);
        self.wake_first();
    }
}

/// See [`ModelClock::hold`].
pub(super) struct Hold<'c>(&'c ModelClock);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.below.set(self.0.below.get().saturating_sub(1));
        self.0.stir();
        self.0.wake_first();
    }
}

/// Whether the earliest sleeper waits for its share of our time.
enum Held {
    Not,
    Until(Duration, Pending<'static, ()>),
    Over(Duration),
}

/// One sleeper.
struct Nap<'c> {
    clock: &'c ModelClock,
    until: Duration,
    /// Its place among the sleepers, from the first poll on: a sleep that nobody waits for holds nobody up.
    ticket: Option<(Duration, u64)>,
    /// What had happened by the last poll.
    seen: u64,
    quiet: u32,
    held: Held,
}

impl Future for Nap<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let nap = self.get_mut();
        let clock = nap.clock;
        if clock.elapsed() >= nap.until {
            return nap.over();
        }
        let ticket = *nap.ticket.get_or_insert_with(|| {
            clock.stir();
            clock.tickets.set(clock.tickets.get() + 1);
            (nap.until, clock.tickets.get())
        });
        clock.sleepers.borrow_mut().insert(ticket, cx.waker().clone());
        let first = clock.sleepers.borrow().first_key_value().is_some_and(|(earliest, _)| *earliest == ticket);
        if !first || clock.below.get() > 0 {
            nap.quiet = 0;
            nap.held = Held::Not;
            return Poll::Pending;
        }
        let Some(due) = nap.held_back(cx) else { return Poll::Pending };
        nap.quiet = if clock.stirs.get() == nap.seen { nap.quiet + 1 } else { 0 };
        nap.seen = clock.stirs.get();
        if nap.quiet < QUIET {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        clock.due.set(due);
        clock.ahead.set(nap.until);
        nap.over()
    }
}

impl Nap<'_> {
    /// Our time at which the jump was due; `None` while it is not.
    fn held_back(&mut self, cx: &mut Context<'_>) -> Option<Duration> {
        if matches!(self.held, Held::Not) {
            let due = self.clock.due_after(self.until.saturating_sub(self.clock.elapsed()));
            let wait = due.saturating_sub(clock::boottime());
            self.held = if wait < TOO_SHORT { Held::Over(due) } else { Held::Until(due, Box::pin(clock::sleep(wait))) };
        }
        if let Held::Until(due, wait) = &mut self.held {
            if wait.as_mut().poll(cx).is_pending() {
                return None;
            }
            self.held = Held::Over(*due);
        }
        match self.held {
            Held::Over(due) => Some(due),
            _ => None,
        }
    }

    fn over(&mut self) -> Poll<()> {
        if let Some(ticket) = self.ticket.take() {
            self.clock.forget(ticket);
        }
        Poll::Ready(())
    }
}

impl Drop for Nap<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.clock.forget(ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use futures_util::StreamExt;
    use futures_util::stream::FuturesUnordered;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn sleeps_side_by_side_overlap_and_wake_in_order() {
        let clock = ModelClock::new(Pace::Instant);
        let order = Rc::new(RefCell::new(Vec::new()));
        let one = |secs: u32| {
            let (clock, order) = (&clock, Rc::clone(&order));
            async move {
                clock.sleep(SECOND * secs).await;
                order.borrow_mut().push((secs, clock.elapsed()));
            }
        };
        let mut all: FuturesUnordered<_> = [30, 10, 20, 10].into_iter().map(one).collect();
        while all.next().await.is_some() {}
        let wanted = [10, 10, 20, 30].map(|secs| (secs, SECOND * secs));
        assert_eq!(*order.borrow(), wanted);
    }

    #[tokio::test]
    async fn a_long_limit_never_passes_before_short_pauses_and_a_dropped_one_holds_nobody_up() {
        let clock = ModelClock::new(Pace::Instant);
        let work = async {
            for _ in 0..7_199 {
                clock.sleep(SECOND).await;
            }
        };
        tokio::select! {
            () = clock.sleep(SECOND * 7_200) => panic!("the limit passed first"),
            () = work => {}
        }
        assert_eq!(clock.elapsed(), SECOND * 7_199);
        let late = async {
            for _ in 0..100 {
                clock.sleep(SECOND).await;
            }
        };
        tokio::select! {
            () = clock.sleep(SECOND * 50) => {}
            () = late => panic!("the limit did not pass"),
        }
        assert_eq!(clock.elapsed(), SECOND * 7_249);
        clock.sleep(SECOND).await;
        assert!(clock.sleepers.borrow().is_empty());
    }

    #[tokio::test]
    async fn time_stands_while_something_outside_is_waited_for() {
        let clock = ModelClock::new(Pace::Instant);
        let outside = async {
            let _hold = clock.hold();
            tokio::task::yield_now().await;
            clock::sleep(Duration::from_millis(20)).await;
            clock.elapsed()
        };
        let (at_end, ()) = tokio::join!(outside, clock.sleep(SECOND * 3600));
        assert_eq!(at_end, Duration::ZERO);
        assert_eq!(clock.elapsed(), SECOND * 3600);
    }

    #[tokio::test]
    async fn a_paced_clock_runs_faster_than_ours() {
        let clock = ModelClock::new(Pace::Times(1000.0));
        let began = clock::boottime();
        let many = (0..50).map(|n| clock.sleep(SECOND * n));
        futures_util::future::join_all(many).await;
        clock.pass(SECOND * 50);
        clock.sleep(SECOND).await;
        let took = clock::boottime() - began;
        assert_eq!(clock.elapsed(), SECOND * 100);
        assert!(took >= Duration::from_millis(90) && took < SECOND * 10, "{took:?}");
    }

    #[tokio::test]
    async fn computing_takes_no_time_on_a_paced_model() {
        let clock = ModelClock::new(Pace::Times(1000.0));
        let busy = async {
            let until = clock::boottime() + Duration::from_millis(50);
            while clock::boottime() < until {
                clock.stir();
                tokio::task::yield_now().await;
            }
            clock.elapsed()
        };
        let (at_end, ()) = tokio::join!(busy, clock.sleep(SECOND * 20));
        assert_eq!(at_end, Duration::ZERO);
        assert_eq!(clock.elapsed(), SECOND * 20);
    }
}
