//! Filing what came back: verified first, kept whatever the verdict, marked where it is not good.

use protocol::documents::{Order, RecordPredicate};
use protocol::{Digest, EndpointId, Envelope, Outcome, RunId, Time};
use store::{
    EscrowRow, Filed, Health, Level, NewRecord, OrderRow, RunFilter, RunRow, RunState, Store,
    StoreError,
};
use tickets::{Key, KeyKind};

use crate::notes::{self, Absent, Told};
use crate::verify::{self, Anchors, Papers, Report, names_secret, peek_record};

/// What came back for one run.
#[derive(Debug, Clone)]
pub struct Arrived<'a> {
    /// The run that was asked for.
    pub run: RunId,
    /// Its order.
    pub order: Digest,
    /// Where.
    pub endpoint: EndpointId,
    /// The record's envelope, byte for byte.
    pub record: &'a [u8],
    /// The effects file.
    pub effects: Option<&'a [u8]>,
    /// The plan's bytes.
    pub plan: Option<&'a [u8]>,
    /// The dispatch's envelope, where it was signed elsewhere and comes with the record.
    pub dispatch: Option<&'a [u8]>,
    /// The card's envelope of that session's hello.
    pub card: Option<&'a [u8]>,
    /// JSON of the sealed secret, and until when.
    pub escrow: Option<(&'a [u8], Time)>,
}

/// What filing came to.
#[derive(Debug, Clone)]
pub struct Filing {
    /// What the store did.
    pub filed: Filed,
    /// The verdict, line by line.
    pub report: Report,
}

/// What came could not be filed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The store.
    #[error("could not file the record; the endpoint keeps it and offers it again")]
    Store(#[from] StoreError),
}

/// The script whose findings say how a machine is.
const HEALTH_CHECK: &str = "health.check";
/// Longest words on a machine's health, characters: what fits a table.
const HEALTH_CHARS: usize = 60;

/// How the machine is, where the record is of a health check that came to an end: the worst line of
/// those that its summary tells, which are sorted.
fn health(record: &RecordPredicate) -> Option<Health> {
    if record.script.name.as_str() != HEALTH_CHECK {
        return None;
    }
    let level = match record.outcome {
        Outcome::Unchanged => Level::Good,
        Outcome::Succeeded if record.summary.starts_with("0 bad") => Level::Watch,
        Outcome::Succeeded => Level::Bad,
        _ => return None,
    };
    let words = match record.summary.split_once(". ") {
        _ if level == Level::Good => "healthy",
        Some((_, told)) => told.split("; ").next().unwrap_or_default(),
        None => &record.summary,
    };
    Some(Health { looked: record.ended, level, words: words.chars().take(HEALTH_CHARS).collect() })
}

/// Verifies and files one run's record with all that came with it. The order's note becomes due in
/// the same transaction when this was the last answer that it waited for.
///
/// # Errors
/// The store's; a record that does not verify is filed and marked, not refused.
pub fn file(
    store: &Store,
    arrived: &Arrived<'_>,
    anchors: &Anchors,
    now: Time,
) -> Result<Filing, FileError> {
    let order = store.order(&arrived.order)?;
    let claimed = peek_record(arrived.record);
    let papers = papers(store, arrived, order.as_ref(), claimed.as_ref())?;
    let mut report = verify::verify_record(&papers, anchors);
    // A good record of another run is not this run's record. A later refusal of the same order has
    // a run id of its own and is filed under it: it never stands in for the run's record.
    let run = own_run(arrived, claimed.as_ref(), &report);
    if report.verified && report.run != Some(run) {
        report.verified = false;
        report.fault = Some("record: it belongs to another run".to_owned());
    }
    let told = Told {
        run,
        endpoint: String::new(),
        record: claimed.clone(),
        unverified: report.fault.clone(),
        absent: None,
        secret_until: None,
    };
    let reply_key = Key::of_order(&arrived.order, KeyKind::Reply);
    let reply = reply_of(order.as_ref(), &reply_key, &told);
    let predicate = claimed.as_ref().map(|(record, _)| &record.predicate);
    let new = NewRecord {
        run,
        order: arrived.order,
        endpoint: arrived.endpoint,
        outcome: predicate.map(|p| p.outcome),
        ended: predicate.map(|p| p.ended),
        envelope: arrived.record,
        hash: report.record.unwrap_or_else(|| Digest::of(arrived.record)),
        place: predicate.map(|p| (p.epoch, p.counter)),
        effects: arrived.effects,
        plan: arrived.plan,
        dispatch: arrived.dispatch,
        card: arrived.card,
        unverified: report.fault.as_deref(),
        // A secret of a record that does not verify is kept all the same: only its one receiver
        // can open it, and there may be no second one. One that its record does not name would
        // keep the real one out.
        escrow: arrived.escrow.filter(|(sealed, until)| {
            claimed.as_ref().is_some_and(|(record, _)| names_secret(record, sealed, *until))
        }),
        reply: reply
            .as_ref()
            .map(|(ticket, text)| (reply_key.as_str(), ticket.clone(), text.as_str())),
    };
    let filed = store.file_record(&new, now)?;
    if report.verified
        && let Some(health) = predicate.and_then(health)
    {
        store.set_health(&arrived.endpoint, &health)?;
    }
    Ok(Filing { filed, report })
}

fn own_run(
    arrived: &Arrived<'_>,
    claimed: Option<&(protocol::documents::Record, Digest)>,
    report: &Report,
) -> RunId {
    let later = claimed.map(|(record, _)| &record.predicate).filter(|here| {
        report.verified
            && here.outcome == protocol::Outcome::Refused
            && here.endpoint.id == arrived.endpoint
            && here.run_fits(&arrived.order)
    });
    later.map_or(arrived.run, |here| here.run)
}

fn papers(
    store: &Store,
    arrived: &Arrived<'_>,
    order: Option<&OrderRow>,
    claimed: Option<&(protocol::documents::Record, Digest)>,
) -> Result<Papers, StoreError> {
    let mut card = arrived.card.map(<[u8]>::to_vec);
    if card.is_none() {
        card = store.endpoint(&arrived.endpoint)?.map(|endpoint| endpoint.card);
    }
    let (mut before, mut after) = (None, None);
    if let Some((record, _)) = claimed {
        let here = &record.predicate;
        let (b, a) = store.neighbours(&arrived.endpoint, &here.epoch, here.counter)?;
        let good = |run: Option<RunRow>| run.filter(|run| run.verified == Some(true));
        before = good(b).map(|run| store.run_record(&run.id)).transpose()?.flatten();
        after = good(a).map(|run| store.run_record(&run.id)).transpose()?.flatten();
    }
    Ok(Papers {
        record: arrived.record.to_vec(),
        order: order.map(|order| order.envelope.clone()),
        dispatch: store.run_dispatch(&arrived.run)?,
        effects: arrived.effects.map(<[u8]>::to_vec),
        escrow: arrived.escrow.map(|(sealed, until)| (sealed.to_vec(), until)),
        plan: arrived.plan.map(<[u8]>::to_vec),
        card,
        before,
        after,
        head: None,
        links: Vec::new(),
        erased: None,
    })
}

/// A reply to the person: of an order that changes something, names a ticket and has one endpoint.
fn reply_of(
    order: Option<&OrderRow>,
    key: &Key,
    told: &Told,
) -> Option<(protocol::TicketId, String)> {
    let row = order?;
    let ticket = row.ticket.clone()?;
    let order = read_order(row)?;
    notes::note_key(&order, &row.digest)?;
    match order.targets.as_slice() {
        [_] => notes::reply(key, told).map(|text| (ticket, text)),
        _ => None,
    }
}

/// The order as it was stored: we sealed it, so its own bytes tell.
pub(super) fn read_order(row: &OrderRow) -> Option<Order> {
    let sealed = Envelope::read(&row.envelope).ok()?;
    trust::seal::peek::<Order>(&sealed).ok()
}

/// What is known of each run of an order, for its note.
///
/// # Errors
/// The store's own.
pub fn told_of(store: &Store, order: &Digest) -> Result<Vec<Told>, StoreError> {
    let filter = RunFilter { order: Some(*order), ..RunFilter::default() };
    let mut told = Vec::new();
    for run in store.runs(&filter)?.into_iter().rev() {
        let absent = match run.state {
            RunState::NotSent => Some(run.reason.clone().map_or(Absent::NotSent, Absent::NotRun)),
            RunState::NotTaken => Some(Absent::NotTaken(run.reason.clone().unwrap_or_default())),
            _ if run.verified.is_none() => continue,
            _ => None,
        };
        let record = store.run_record(&run.id)?.and_then(|bytes| peek_record(&bytes));
        let secret = store.escrow(&run.id)?;
        told.push(Told {
            run: run.id,
            endpoint: run.endpoint_name.clone().unwrap_or_else(|| run.endpoint.short()),
            record,
            unverified: match run.verified {
                Some(true) | None => None,
                Some(false) => {
                    Some(run.reason.clone().unwrap_or_else(|| "no reason was kept".to_owned()))
                }
            },
            absent,
            secret_until: secret.map(|EscrowRow { not_after, .. }| not_after),
        });
    }
    Ok(told)
}
