//! An endpoint's arrival: who it is, what it lacks, what it brings, until it leaves.

use std::sync::Arc;
use std::time::Duration;

use link::{Connection, LinkError};
use protocol::error_chain::ErrorChain;
use protocol::frames::{DeskPath, Stop, sorry};
use protocol::{EndpointId, Time};
use store::{EndpointRow, EndpointState, RunFilter, RunState};
use tokio::time::sleep;

use super::Server;
use super::drive;
use super::line::HeldLine;
use super::lines::Left;
use super::recover;
use super::waiting;
use crate::books::{BookError, Sorry};
use crate::enrol::renewed_certificate;
use crate::heads;
use crate::session;

/// How long a line that the desk dialled is kept without use, at least.
const DIALLED_UNUSED_MAX: Duration = Duration::from_secs(60);
/// Runs without a record that are asked for when their endpoint comes; more the next time.
const OPEN_MAX: usize = 64;

/// Serves an endpoint's line to its end.
pub(super) async fn endpoint(server: Arc<Server>, connection: Connection) {
    let Some(row) = known_endpoint(&server, &connection) else {
        return connection.close(Stop::Withdrawn);
    };
    let who = row.name.clone();
    // What meeting takes is given back: a line is held for weeks, and there are thousands.
    let met = Box::pin(meet(&server, connection, &row, DeskPath::Kept)).await;
    let Some(line) = met else { return };
    server.line(&format!("{who} is here, from {}", line.connection.address()));
    let end = line.connection.closed().await;
    let in_order = leaves(&server, row.id, &line, &end);
    server.line(&format!("{who} {}", if in_order { "took leave" } else { "is gone" }));
}

/// The endpoint of the address book that a certificate names.
fn known_endpoint(server: &Server, connection: &Connection) -> Option<EndpointRow> {
    let id: EndpointId = connection.peer()?.id.parse().ok()?;
    let row = server.store().ok()?.endpoint(&id).ok()??;
    (row.state == EndpointState::Active).then_some(row)
}

/// Proves who is there, brings it up to date and puts its line among the others; asks for the runs
/// that are still owed.
pub(super) async fn meet(
    server: &Arc<Server>,
    connection: Connection,
    row: &EndpointRow,
    path: DeskPath,
) -> Option<Arc<HeldLine>> {
    let known = server.known();
    let now = (server.now)();
    let opened = HeldLine::open(connection.clone(), &known, row, path, now).await;
    let line = match opened {
        Ok(line) => Arc::new(line),
        Err(error) => {
            server.line(&format!("{}: {}", row.name, ErrorChain(&error)));
            connection.close(Stop::State);
            return None;
        }
    };
    let seen = line.with_seen(|seen| Some(server.store().ok()?.endpoint_seen(&row.id, seen, now)));
    match seen.await {
        Some(Ok(doubts)) => {
            if let Some(doubt) = doubts.first() {
                server.line(&heads::words(&row.name, doubt));
            }
        }
        Some(Err(error)) => server.line(&ErrorChain(&error).to_string()),
        _ => {}
    }
    let theirs = line.with_seen(|seen| seen.versions.lists()).await;
    if let Some((role, here, there)) = known.catalogue.versions().lists().behind(&theirs) {
        server.line(&format!(
            "{}: it has a newer catalogue than this desk, {role} {there} and not {here}; whoever has \
             published it brings it back with any command at this desk",
            row.name
        ));
    }
    if let Err(error) = line.bring_up_to_date(server).await {
        // It is here all the same: what it lacks shows in its answers.
        server.line(&format!("{}: {}", row.name, ErrorChain(&error)));
    }
    renew(server, &line, row, now).await;
    if connection.is_expired() {
        // It was let in for its renewal alone, and dials again with what it was given.
        connection.close(Stop::Drain);
        return None;
    }
    server.lines.put(row.id, Arc::clone(&line));
    server.note(|store, now| store.endpoints_here(&server.lines.here_is(row.id), now));
    collect(server, row.id, &line).await;
    waiting::deliver(server, row.id, &line).await;
    Some(line)
}

/// Brings the endpoint a new certificate for its own key, where that is due and this home holds the CA.
async fn renew(server: &Server, line: &HeldLine, row: &EndpointRow, now: Time) {
    let Some(shown) = line.connection.certificate() else { return };
    let told = match renewed_certificate(&server.desk.home, &line.card, &shown, now) {
        Ok(None) => return,
        Ok(Some(leaf)) => match session::bring_certificate(&line.connection, leaf).await {
            Ok(end) => format!("{}: its certificate was renewed, until {end}", row.name),
            Err(error) => format!("{}: {}", row.name, ErrorChain(&error)),
        },
        Err(error) => format!("{}: {}", row.name, ErrorChain(&error)),
    };
    server.line(&told);
}

/// The line's end; true where the endpoint took leave.
pub(super) fn leaves(
    server: &Server,
    id: EndpointId,
    line: &Arc<HeldLine>,
    end: &LinkError,
) -> bool {
    let in_order = matches!(end, LinkError::Stopped(_) | LinkError::Ended | LinkError::Closed);
    server.lines.remove(id, line, Left { at: (server.now)(), in_order });
    // Another line may have taken its place.
    if server.lines.get(&id).is_none() {
        server.note(|store, now| store.endpoint_left(&id, now));
    }
    in_order
}

/// Drives every run of this endpoint that was sent and has no record here, as after a restart of
/// the desk; tells it once more of records that are filed.
async fn collect(server: &Arc<Server>, id: EndpointId, line: &Arc<HeldLine>) {
    let Ok(store) = server.store() else { return };
    let filter =
        RunFilter { endpoint: Some(id), unanswered: true, limit: OPEN_MAX, ..RunFilter::default() };
    for row in store.runs(&filter).unwrap_or_default() {
        if row.state == RunState::Prepared {
            // What waits here may have come there as a file: then it waits no more.
            let there = line.unfiled.contains(&row.id);
            if !(there && store.waiting_came(&row.id).unwrap_or_default()) {
                continue;
            }
        }
        if let Some(live) = server.runs.begin(row.id) {
            let which = drive::Which { run: row.id, order: row.order, endpoint: id };
            server.begin(drive::drive(Arc::clone(server), live, which, None));
        }
    }
    // Asked here already: a task for each of thousands would leave a hole beside each of their lines.
    if recover::is_due(server) {
        server.begin(recover::recover(Arc::clone(server), id, Arc::clone(line)));
    }
    for run in &line.unfiled {
        let Ok(Some(row)) = store.run(run) else { continue };
        if let (Some(true), Some(record)) = (row.verified, row.record_hash) {
            line.filed(record).await;
        }
    }
}

/// The line to an endpoint: the one that it keeps, or one that the desk dials now.
///
/// # Errors
/// [`Sorry`]: not in the address book, or the store's no.
pub(super) async fn reach(
    server: &Arc<Server>,
    id: &EndpointId,
) -> Result<Option<Arc<HeldLine>>, Sorry> {
    if let Some(line) = server.lines.get(id) {
        return Ok(Some(line));
    }
    let store = server.store().map_err(BookError::said)?;
    let row = store.endpoint(id).map_err(|error| BookError::from(error).said())?;
    let Some(row) = row else {
        return Err(Sorry::new(sorry::NOT_FOUND, "the desk's address book has no such endpoint"));
    };
    let Some(address) = row.address.as_deref() else { return Ok(None) };
    let Ok(identity) = server.desk.home.desk_identity() else { return Ok(None) };
    let trust = server.known().endpoints(&server.organisation());
    let expect = link::Expect { role: link::Role::Endpoint, id: Some(id.to_string()), key: None };
    let Ok(connection) = link::dial(address, &identity, &trust, &expect).await else {
        return Ok(None);
    };
    let Some(line) = meet(server, connection, &row, DeskPath::Dialled).await else {
        return Ok(None);
    };
    let (at, kept, id) = (Arc::clone(server), Arc::clone(&line), *id);
    server.begin(async move {
        let end = loop {
            tokio::select! {
                end = kept.connection.closed() => break end,
                () = sleep(DIALLED_UNUSED_MAX) => {
                    // Whoever can be dialled is dialled again; an idle endpoint is left alone.
                    if kept.unused_since().is_some_and(|last| last.elapsed() >= DIALLED_UNUSED_MAX) {
                        kept.connection.close(Stop::Drain);
                    }
                }
            }
        };
        leaves(&at, id, &kept, &end);
    });
    Ok(Some(line))
}
