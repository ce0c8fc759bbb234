//! What came back: filed, acknowledged, told to its ticket, and kept for whoever asks later.

use std::sync::Arc;

use protocol::documents::RecordPredicate;
use protocol::error_chain::ErrorChain;
use protocol::frames::{Answer, DeskAnswer, FiledAs, FilingSummary, NoteStage, sorry};
use protocol::{Bytes, Digest, Outcome, RunId, limits};
use store::{Filed, RunRow};

use super::Server;
use super::drive::{self, Which};
use super::line::HeldLine;
use super::live::{Follower, Live};
use crate::books::{BookError, Sorry};
use crate::facts;
use crate::order_file::{self, Foreign, OrderFile};
use crate::outbox::{self, Arrived, FileError, Filing};
use crate::session::{self, Returned};
use crate::verify::peek_record;

/// Files a record with all that came with it; gives the last word on its run.
pub(super) async fn file(
    server: &Arc<Server>,
    line: &HeldLine,
    which: Which,
    returned: Returned,
) -> DeskAnswer {
    let (at, card) = (Arc::clone(server), line.card_envelope.clone());
    let record = peek_record(&returned.record).map(|(record, _)| record.predicate);
    let filed = tokio::task::spawn_blocking(move || filed(&at, &card, which, &returned)).await;
    match filed {
        Ok(Ok(filing)) => {
            if filing.filed == FiledAs::New {
                server.tally.filed(filing.outcome);
            }
            if filing.verified {
                take_facts(server, line, record).await;
                line.filed(filing.record).await;
            }
            DeskAnswer::Done { filing }
        }
        Ok(Err(no)) => {
            if let Some(fault) = &no.fault {
                server.line(fault);
            }
            no.into()
        }
        Err(_) => Sorry::new(sorry::STORE, "the desk could not file the record").into(),
    }
}

/// Asks for the facts that a run put out and keeps them; what are none is said and forgotten.
async fn take_facts(server: &Arc<Server>, line: &HeldLine, record: Option<RecordPredicate>) {
    let Some(record) = record.filter(facts::wanted) else { return };
    let said = |error: &dyn std::error::Error| {
        server.line(&format!("{}: facts not kept: {}", line.card.name, ErrorChain(error)));
    };
    let output = match session::output(&line.connection, record.run).await {
        Ok(output) => output,
        Err(error) => return said(&error),
    };
    let at = Arc::clone(server);
    let kept =
        tokio::task::spawn_blocking(move || facts::keep(at.store()?, &record, output).map(|_| ()));
    if let Ok(Err(error)) = kept.await {
        said(&error);
    }
}

fn filed(
    server: &Server,
    card: &[u8],
    which: Which,
    returned: &Returned,
) -> Result<FilingSummary, Sorry> {
    let store = server.store().map_err(BookError::said)?;
    let now = (server.now)();
    let arrived = Arrived {
        run: which.run,
        order: which.order,
        endpoint: which.endpoint,
        record: &returned.record,
        effects: returned.effects.as_deref(),
        plan: returned.plan.as_deref(),
        dispatch: None,
        card: Some(card),
        escrow: returned.escrow.as_ref().map(|(sealed, until)| (sealed.as_slice(), *until)),
    };
    let filing = outbox::file(store, &arrived, &server.known().anchors(&returned.record), now);
    let filing = filing.map_err(|error| Sorry {
        fault: Some(ErrorChain(&error).to_string()),
        ..Sorry::new(sorry::STORE, "the desk could not file the record; the endpoint keeps it")
    })?;
    told(server, (which.run, which.order), &filing, &returned.record)
}

/// Files the record of an order file that came back.
pub(super) async fn brought(server: &Arc<Server>, bytes: Vec<u8>) -> Result<DeskAnswer, Sorry> {
    let at = Arc::clone(server);
    let filed = tokio::task::spawn_blocking(move || {
        let unfit = |error: &dyn std::error::Error| {
            let words: String = ErrorChain(error).to_string().chars().take(300).collect();
            Sorry::new(sorry::NOT_TAKEN, words)
        };
        let file = OrderFile::read(&bytes).map_err(|error| unfit(&error))?;
        let store = at.store().map_err(BookError::said)?;
        let anchors = |record: &[u8]| at.known().anchors(record);
        let (run, order, filing) = match order_file::file_answer(store, &file, anchors, (at.now)())
        {
            Ok(filed) => filed,
            Err(no @ Foreign::NoRun { .. }) => {
                return Err(Sorry::new(sorry::NOT_FOUND, no.to_string()));
            }
            Err(Foreign::Store(error) | Foreign::File(FileError::Store(error))) => {
                return Err(BookError::from(error).said());
            }
            Err(no) => return Err(unfit(&no)),
        };
        let record = file.answer.map(|answer| answer.record.0).unwrap_or_default();
        told(&at, (run, order), &filing, &record)
    });
    let broken = || Sorry::new(sorry::STORE, "the desk could not file the record");
    let filing = filed.await.unwrap_or_else(|_| Err(broken()))?;
    if filing.filed == FiledAs::New {
        server.tally.filed(filing.outcome);
    }
    Ok(DeskAnswer::Done { filing })
}

/// Tells the ticket of what was filed, and says what it came to.
fn told(
    server: &Server,
    (run, order): (RunId, Digest),
    filing: &Filing,
    record: &[u8],
) -> Result<FilingSummary, Sorry> {
    let store = server.store().map_err(BookError::said)?;
    let run = filing.report.run.unwrap_or(run);
    let row = store.run(&run).map_err(|error| BookError::from(error).said())?;
    if let Some(ticket) = row.as_ref().and_then(|row| row.ticket.as_ref()) {
        // What is not delivered now stays due.
        if let Err(error) = outbox::deliver(store, &outbox::builtin(store), ticket, (server.now)())
        {
            server.line(&ErrorChain(&error).to_string());
        }
    }
    Ok(FilingSummary {
        run,
        filed: match filing.filed {
            Filed::New => FiledAs::New,
            Filed::Again => FiledAs::Again,
            Filed::Replaced => FiledAs::Replaced,
            Filed::Differs => FiledAs::Differs,
        },
        record: filing.report.record.unwrap_or_else(|| Digest::of(record)),
        verified: filing.report.verified,
        fault: filing.report.fault.clone(),
        outcome: row.as_ref().and_then(|row| row.outcome),
        note: note(server, &order),
    })
}

/// How far the order's note has come; none where it promised none.
fn note(server: &Server, order: &Digest) -> Option<NoteStage> {
    let store = server.store().ok()?;
    let key = tickets::Key::of_order(order, tickets::KeyKind::Note);
    let row = store.outbox_row(key.as_str()).ok()??;
    match row.state {
        store::OutboxState::Waiting => Some(NoteStage::Waiting),
        store::OutboxState::Due => Some(NoteStage::Due),
        store::OutboxState::Posted => Some(NoteStage::Posted),
        store::OutboxState::Dropped => None,
    }
}

/// What the store knows of a run.
#[derive(Debug)]
pub(super) enum Kept {
    /// All frames of its answer.
    Record(Vec<DeskAnswer>),
    /// It was sent and has no record yet.
    Open(Which),
}

/// A run that nobody drives.
pub(super) fn kept(server: &Server, run: &RunId) -> Result<Kept, Sorry> {
    let store = server.store().map_err(BookError::said)?;
    let fail = |error| BookError::from(error).said();
    let none = || Sorry::new(sorry::NOT_FOUND, "the desk has no such run").next("salve runs list");
    let row = store.run(run).map_err(fail)?.ok_or_else(none)?;
    if let Some(waits) = store.waiting(run).map_err(fail)? {
        let words = format!("it waits for its machine, until {}", waits.until);
        return Err(Sorry::new(sorry::STATE, words).next("salve orders list"));
    }
    let Some(record) = store.run_record(run).map_err(fail)? else {
        return Ok(Kept::Open(Which { run: *run, order: row.order, endpoint: row.endpoint }));
    };
    let mut answers = Vec::new();
    if let Some(plan) = store.run_plan(run).map_err(fail)? {
        answers.push(Answer::Plan { plan: Bytes(plan) });
    }
    let effects = store.run_effects(run).map_err(fail)?.unwrap_or_default();
    for part in effects.chunks(limits::CHUNK_BYTES_MAX) {
        answers.push(Answer::Effects { part: Bytes(part.to_vec()) });
    }
    answers.push(Answer::Record { record: Bytes(record) });
    let frame = |answer: &Answer| {
        let frame = Bytes(minicbor::to_vec(answer).unwrap_or_default());
        DeskAnswer::Endpoint { frame }
    };
    let mut all: Vec<DeskAnswer> = answers.iter().map(frame).collect();
    all.push(DeskAnswer::Done { filing: summary(server, &row) });
    Ok(Kept::Record(all))
}

fn summary(server: &Server, row: &RunRow) -> FilingSummary {
    FilingSummary {
        run: row.id,
        filed: FiledAs::Again,
        record: row.record_hash.unwrap_or(Digest([0; 32])),
        verified: row.verified == Some(true),
        fault: row.reason.clone(),
        outcome: row.outcome.map(|outcome: Outcome| outcome),
        note: note(server, &row.order),
    }
}

/// The run of an order that was stored before: what there is of it, or all that is still to come.
pub(super) async fn again(server: &Arc<Server>, which: Which) -> Result<Follower, Sorry> {
    let at = Arc::clone(server);
    let kept = tokio::task::spawn_blocking(move || kept(&at, &which.run)).await;
    let broken = || Sorry::new(sorry::STORE, "the desk could not look the run up");
    match kept.map_err(|_| broken())?? {
        Kept::Record(answers) => {
            let live = Arc::new(Live::default());
            answers.into_iter().for_each(|answer| live.push(answer));
            Ok(live.follow())
        }
        Kept::Open(which) => {
            if let Some(live) = server.runs.begin(which.run) {
                let follower = live.follow();
                server.begin(drive::drive(Arc::clone(server), live, which, None));
                return Ok(follower);
            }
            server.runs.get(&which.run).map(|live| live.follow()).ok_or_else(broken)
        }
    }
}
