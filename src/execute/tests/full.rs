//! A disk that fills up in the middle of a run: nothing new begins, what is in flight ends, and the run is at rest.

use super::bed::{Bed, small_yaml};
use crate::execute::{Ending, ExecuteError};
use crate::host::model::Faults;
use crate::journal::JournalError;
use crate::journal::checkpoint::{End, PauseReason};

#[tokio::test]
async fn without_room_the_run_pauses_with_every_outcome_known_and_goes_on_later() {
    let mut in_the_middle = 0;
    for room in (0..40_000).step_by(2500) {
        let mut bed = Bed::new(&small_yaml(), Faults::default()).await;
        let ExecuteError::Journal(error) = bed.sit_cramped(room).await;
        assert!(matches!(error, JournalError::Full { .. }), "{room}: {error}");
        let state = bed.state();
        assert_eq!(state.paused(), Some(PauseReason::Operator), "{room}");
        let in_doubt: Vec<_> = state.in_doubt().into_iter().map(|(step, item)| format!("{step} {item}")).collect();
        assert_eq!(in_doubt, Vec::<String>::new(), "{room}: what was in flight has its outcome");
        in_the_middle += usize::from(state.running().is_some_and(|(_, step)| !step.items.is_empty()));
        let mut ending = bed.sit(None).await.unwrap();
        if matches!(ending, Ending::WaitingForReboot { .. }) {
            bed.model.come_back();
            ending = bed.sit(None).await.unwrap();
        }
        assert_eq!(ending, Ending::Done { losses: vec![] }, "{room}");
        assert_eq!((bed.state().ended(), bed.online().await), (Some(End::Done), 34), "{room}");
    }
    assert!(in_the_middle >= 3, "{in_the_middle}");
}
