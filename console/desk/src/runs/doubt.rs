//! What an endpoint's door says of a run, where the endpoint has signed nothing of it.
//!
//! Every `Stop` is the word of whoever sits at the door or on its line, and could hide a run that
//! goes on. So after a dispatch has left, a `Stop` settles nothing: the run stays open and its note
//! waits. It is settled by the endpoint's record, whenever that comes, or as *not taken* by
//! [`settle`]; that is said as what it is, a word that nobody signed.

use protocol::documents::{Dispatch, Head};
use protocol::frames::Stop;
use protocol::{EndpointId, Envelope, RunId, Time, limits};
use store::{RunFilter, RunRow, RunState, Store, StoreError};

use super::RunError;
use crate::session::SessionError;

/// Runs of one endpoint asked for in one session beside its own work.
const OPEN_MAX: usize = 8;
/// What *not taken* rests on, in words for people.
const WHY: &str = "its door says that the order never came in; that is not signed";

/// When nobody can begin a run any more: its dispatch has ended, and with it the order that may be out
/// in a file with its key; none where it never left.
fn expires(store: &Store, row: &RunRow) -> Result<Option<Time>, StoreError> {
    let sealed = store.run_dispatch(&row.id)?;
    let sealed = sealed.and_then(|bytes| Envelope::read(&bytes).ok());
    // Our own store's, sealed here.
    let dispatch = sealed.and_then(|e| trust::seal::peek::<Dispatch>(&e).ok()).map(|d| d.not_after);
    // A dispatch that was signed in the order's last second is good for its whole life.
    let carried = row.carried.map(|end| end.plus(limits::DISPATCH_SECONDS_MAX));
    Ok(dispatch.max(carried))
}

/// Sent, or out in a file, and nothing was heard of it since.
const fn is_open(row: &RunRow) -> bool {
    matches!(row.state, RunState::Sent | RunState::Carried)
}

/// What a `Stop` means for a run: unknown where the endpoint said before that it took it.
pub(crate) fn stopped(
    store: &Store,
    run: &RunId,
    stop: Stop,
    ended_by: Time,
) -> Result<RunError, StoreError> {
    let row = store.run(run)?;
    if row.as_ref().is_some_and(|row| row.state == RunState::Accepted) {
        let source = SessionError::Stopped(stop);
        return Ok(RunError::Unknown { run: *run, ended_by, by_desk: false, source });
    }
    let expires = row.map(|row| expires(store, &row)).transpose()?.flatten().unwrap_or_default();
    Ok(RunError::NotTaken { run: *run, stop, expires })
}

/// Runs there of which nothing was heard since their dispatch left, and whose dispatch has expired.
pub(crate) fn open_runs(
    store: &Store,
    endpoint: &EndpointId,
    now: Time,
) -> Result<Vec<RunRow>, StoreError> {
    let filter = RunFilter { endpoint: Some(*endpoint), unanswered: true, ..RunFilter::default() };
    let mut open = Vec::new();
    for row in store.runs(&filter)? {
        let over = expires(store, &row)?.is_some_and(|end| end < now);
        if is_open(&row) && over && open.len() < OPEN_MAX {
            open.push(row);
        }
    }
    Ok(open)
}

/// The endpoint says `NoRun` of a run, in a session with a signed hello. Counts the run as not
/// taken where that can be true:
///
/// - nothing was heard of it since its dispatch left;
/// - the dispatch has expired, so no endpoint takes it any more;
/// - the hello's chain of records is of the same epoch as when it left, and no shorter: the ledger
///   that would know of the run was neither lost nor put back from before it.
///
/// What remains: `NoRun` itself is not signed. A taken gate can say it of a run that went on, and a
/// ledger that was put back from a copy made in between has forgotten honestly. So the state is a
/// word of its own, the note says that nobody signed it, and a record that comes later is filed and
/// added to the ticket all the same.
pub(crate) fn settle(store: &Store, head: &Head, run: &RunId, now: Time) -> Result<(), StoreError> {
    let Some(row) = store.run(run)? else { return Ok(()) };
    let same =
        row.sent_at.is_some_and(|(epoch, counter)| head.epoch == epoch && head.counter >= counter);
    let over = expires(store, &row)?.is_some_and(|end| end < now);
    if is_open(&row) && same && over {
        store.run_not_taken(run, WHY, now)?;
    }
    Ok(())
}
