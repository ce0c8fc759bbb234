//! What needs a person, what ends when, which key lies where. Never changes anything.

use std::path::{Path, PathBuf};

use protocol::documents::{Card, CatalogueVersions};
use protocol::{AgentName, EndpointName, Envelope, RunId, TicketId, Time};
use serde::Serialize;
use store::{DoubtRow, GlassRow, OutboxKind, OutboxState, RetentionRow, RunFilter, Standing};

use crate::backup::Restored;
use crate::books::BookError;
use crate::catalogue::{self, CatalogueTrouble};
use crate::heads::{self, HeadsError};
use crate::home::{Held, Home, Online};
use crate::org::Desk;

const DAY: u64 = 86_400;
/// Endpoints not seen for so long are listed: a month of holidays and drawers.
const STALE: u64 = 30 * DAY;
/// An end of a card is told so long before.
const CARD_WARNED_DAYS: u64 = 14;
/// Cards of machines that joined longer ago are read; a younger one cannot end soon.
const CARDS_READ_AFTER: u64 = (crate::enrol::CARD_DAYS - CARD_WARNED_DAYS - 1) * DAY;
/// A run without a record for so long is unknown: its time and its dispatch are over.
const UNKNOWN: u64 = protocol::limits::RUN_SECONDS_MAX + 3600;

/// Something that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ending {
    /// What, as in "catalogue role policy".
    pub what: String,
    /// When.
    pub ends: Time,
    /// What renews it.
    pub renewed_by: String,
    /// Whether a person should act now.
    pub urgent: bool,
}

/// A key file of this home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyPlace {
    /// What it may do, as in `root`.
    pub kind: String,
    /// Whose or which.
    pub name: String,
    /// Where.
    pub path: PathBuf,
    /// Whether a passphrase protects it.
    pub encrypted: bool,
}

/// Something that a ticket was not told yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undelivered {
    /// Which ticket.
    pub ticket: TicketId,
    /// What.
    pub kind: OutboxKind,
    /// `waiting` for the record, or `due`.
    pub state: OutboxState,
    /// Since when.
    pub since: Time,
    /// Tries so far.
    pub tries: u64,
    /// Why the last try failed.
    pub last_error: Option<String>,
}

/// An endpoint whose catalogue is older than ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// Which.
    pub endpoint: EndpointName,
    /// The first role that is behind.
    pub role: String,
    /// Version there.
    pub have: u64,
    /// Version here.
    pub want: u64,
}

/// A secret that nobody opened yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unopened {
    /// Of which run.
    pub run: RunId,
    /// Until when.
    pub until: Time,
}

/// A token that can still be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenToken {
    /// For which machine or colleague.
    pub name: String,
    /// Until when.
    pub until: Time,
}

/// The state of a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The organisation's name.
    pub organisation: String,
    /// How it was set up.
    pub profile: String,
    /// Whose home this is.
    pub me: AgentName,
    /// The catalogue here.
    pub catalogue: CatalogueVersions,
    /// What ends, soonest first.
    pub endings: Vec<Ending>,
    /// Which key lies where.
    pub keys: Vec<KeyPlace>,
    /// Endpoints in use.
    pub endpoints: usize,
    /// Those with an older catalogue; the update travels with the next command.
    pub behind: Vec<Behind>,
    /// Those with a newer catalogue: this desk was put back from a copy.
    pub ahead: Vec<Behind>,
    /// When this home was put back from a copy, and when that was made.
    pub restored: Option<Restored>,
    /// Orders of others that ask for approval and that this console's owner has not answered.
    pub asking: usize,
    /// Those whose ledgers went back, split or began anew, by whoever saw it.
    pub doubts: Vec<DoubtRow>,
    /// Orders that broke glass and that no other person has looked at.
    pub glass: Vec<GlassRow>,
    /// Those not seen for 30 days, or never.
    pub stale: Vec<EndpointName>,
    /// What tickets were not told yet.
    pub undelivered: Vec<Undelivered>,
    /// Runs without a record.
    pub unanswered: Vec<RunId>,
    /// Those of them whose time is long over: nobody knows what became of them.
    pub unknown: Vec<RunId>,
    /// Secrets that nobody opened.
    pub secrets: Vec<Unopened>,
    /// Tokens that can be used.
    pub tokens: Vec<OpenToken>,
    /// How long bodies are kept, and what was erased.
    pub retention: RetentionRow,
    /// What is weak by configuration.
    pub weaknesses: Vec<String>,
    /// What a person should do, one sentence each; empty where all is well.
    pub needs_person: Vec<String>,
}

/// Why a home's state cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
    /// The store.
    #[error(transparent)]
    Store(#[from] BookError),
    /// What machines showed of their records.
    #[error(transparent)]
    Heads(#[from] HeadsError),
}

/// Looks at a home.
///
/// # Errors
/// A catalogue that does not verify, or the store.
pub fn status(desk: &Desk, now: Time) -> Result<Status, StatusError> {
    let catalogue = catalogue::open(&desk.home, now)?;
    let policy = catalogue::policy(&desk.home, now)?;
    let mut endings = Vec::new();
    roles(desk, &catalogue, now, &mut endings);
    certificates(desk, now, &mut endings);
    authorities(&policy, now, &mut endings);
    let mine = policy.person(&desk.organisation.me);
    if let Some(until) = mine.and_then(|person| person.valid_until) {
        let renewed_by = "an administrator, in the policy".to_owned();
        endings.push(ending("your place in the policy".to_owned(), until, renewed_by, 14, now));
    }
    let me = &desk.organisation.me;
    let own = desk.home.own_key(me).ok();
    if let Some(session) = own.and_then(|own| desk.home.session(me, &own.public_key(), now)) {
        let what = format!("your session, for {} risk and below", session.says.risk);
        let renewed_by = "salve unlock;  salve lock   ends it".to_owned();
        endings.push(ending(what, session.says.not_after, renewed_by, 0, now));
    }
    let mut weaknesses = catalogue.weaknesses();
    weaknesses.extend(policy.weaknesses());
    let mut status = Status {
        organisation: desk.organisation.name.clone(),
        profile: format!("{:?}", desk.organisation.profile).to_lowercase(),
        me: desk.organisation.me.clone(),
        catalogue: catalogue.versions(),
        endings,
        keys: keys(&desk.home),
        endpoints: 0,
        behind: Vec::new(),
        ahead: Vec::new(),
        restored: Restored::of(&desk.home),
        doubts: Vec::new(),
        stale: Vec::new(),
        undelivered: Vec::new(),
        unanswered: Vec::new(),
        unknown: Vec::new(),
        secrets: Vec::new(),
        tokens: Vec::new(),
        weaknesses,
        retention: desk.store.retention(now)?,
        glass: desk.store.broken_glass(true)?,
        asking: asking(desk, &desk.organisation.me, now)?,
        needs_person: Vec::new(),
    };
    endpoints(desk, now, &mut status)?;
    waiting(desk, now, &mut status)?;
    status.doubts = heads::doubts(desk, &policy)?;
    status.endings.sort_by_key(|ending| ending.ends);
    status.needs_person = needs(&status, mine.is_some(), now);
    Ok(status)
}

fn ending(what: String, ends: Time, renewed_by: String, days: u64, now: Time) -> Ending {
    Ending { what, ends, renewed_by, urgent: ends.since(now) < days * DAY }
}

fn roles(
    desk: &Desk,
    catalogue: &trust::catalogue::Catalogue,
    now: Time,
    endings: &mut Vec<Ending>,
) {
    let online = crate::home::is_there(&desk.home.online(Online::SnapshotTimestamp));
    let shared = desk.store.line().is_some();
    for (role, _) in catalogue.versions().named() {
        let Some(ends) = catalogue.end_of(role) else { continue };
        let (by, days) = match role {
            // Any command that talks to an endpoint renews these from a home with the online key.
            "timestamp" | "snapshot" if shared => ("the shared desk, by itself".to_owned(), 3),
            "timestamp" | "snapshot" if online => ("the next command, by itself".to_owned(), 0),
            "timestamp" | "snapshot" => ("a home that has the online key".to_owned(), 3),
            "root" => ("the holders of the root keys".to_owned(), 60),
            "targets" => ("an administrator".to_owned(), 14),
            "policy" => ("an administrator: salve scripts renew".to_owned(), 14),
            _ => ("its vetters: salve scripts renew".to_owned(), 14),
        };
        endings.push(ending(format!("catalogue role {role}"), ends, by, days, now));
    }
}

fn certificates(desk: &Desk, now: Time, endings: &mut Vec<Ending>) {
    let home = &desk.home;
    let me = &desk.organisation.me;
    let by_itself = crate::home::is_there(&home.online(Online::PeopleCa));
    let by_desk = desk.store.line().is_some();
    let mut one = |what: &str, path: &Path| {
        let first = crate::home::read_text(path)
            .ok()
            .and_then(|pem| certs::from_pem(&pem).ok())
            .and_then(|chain| certs::read(chain.first()?).ok());
        let Some(facts) = first else { return };
        let (by, days) = if by_itself {
            ("the next command, by itself".to_owned(), 0)
        } else if by_desk {
            ("the next order, by the shared desk".to_owned(), 7)
        } else {
            ("a colleague: salve agents invite".to_owned(), 7)
        };
        endings.push(ending(what.to_owned(), facts.not_after, by, days, now));
    };
    one("your certificate", &home.agent_certificate(me));
    one("the desk's certificate", &home.online_certificate(Online::DeskTls));
}

/// The CAs that the policy lists: at a colleague's console too, which holds neither.
fn authorities(policy: &policy::Policy, now: Time, endings: &mut Vec<Ending>) {
    let cas = &policy.file().cas;
    for (what, listed) in
        [("the CA of people", &cas.people), ("the CA of endpoints", &cas.endpoints)]
    {
        for facts in listed.iter().filter_map(|der| certs::read(&der.0).ok()) {
            let by = "an administrator".to_owned();
            endings.push(ending(what.to_owned(), facts.not_after, by, 60, now));
        }
    }
}

fn keys(home: &Home) -> Vec<KeyPlace> {
    let mut places = Vec::new();
    let mut one = |kind: &str, name: String, path: PathBuf| {
        if let Ok(pem) = crate::home::read_text(&path) {
            let encrypted = pem.contains("ENCRYPTED");
            places.push(KeyPlace { kind: kind.to_owned(), name, path, encrypted });
        }
    };
    for held in Held::ALL {
        for (name, path) in pem_files(&home.path().join("keys").join(held.word())) {
            one(held.word(), name, path);
        }
    }
    for online in Online::ALL {
        one("online", online.word().to_owned(), home.online(online));
    }
    for (name, path) in folders(&home.path().join("agents")) {
        one("agent", name, path.join("signing.pem"));
    }
    places
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = read.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    paths
}

fn pem_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let stem = |path: PathBuf| {
        let pem = path.extension().is_some_and(|e| e == "pem");
        pem.then(|| (name_of(path.file_stem()), path))
    };
    entries(folder).into_iter().filter_map(stem).collect()
}

fn folders(folder: &Path) -> Vec<(String, PathBuf)> {
    entries(folder)
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|path| (name_of(path.file_name()), path))
        .collect()
}

fn name_of(name: Option<&std::ffi::OsStr>) -> String {
    name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn endpoints(desk: &Desk, now: Time, status: &mut Status) -> Result<(), BookError> {
    let (mut stale, mut endings) = (Vec::new(), Vec::new());
    for standing in desk.store.standings()? {
        status.endpoints = status.endpoints.saturating_add(1);
        if standing.last_seen.unwrap_or(standing.enrolled).since(Time(0)) + STALE < now.0 {
            stale.push(standing.name.clone());
        }
        if now.since(standing.enrolled) > CARDS_READ_AFTER {
            endings.extend(card_ending(desk, &standing, now)?);
        }
        if let Some((role, have, want)) =
            standing.versions.and_then(|versions| versions.behind(&status.catalogue))
        {
            let role = role.to_owned();
            status.behind.push(Behind { endpoint: standing.name.clone(), role, have, want });
        }
        let theirs = standing.versions.unwrap_or_default().lists();
        if let Some((role, want, have)) = status.catalogue.lists().behind(&theirs) {
            let role = role.to_owned();
            status.ahead.push(Behind { endpoint: standing.name, role, have, want });
        }
    }
    stale.sort();
    (status.stale, status.behind) = (stale, sorted(std::mem::take(&mut status.behind)));
    status.ahead = sorted(std::mem::take(&mut status.ahead));
    status.endings.extend(endings);
    Ok(())
}

fn sorted(mut all: Vec<Behind>) -> Vec<Behind> {
    all.sort_by(|one, other| one.endpoint.cmp(&other.endpoint));
    all
}

/// The end of an old card, where somebody must act on it: 200 machines would hide the rest.
fn card_ending(desk: &Desk, of: &Standing, now: Time) -> Result<Option<Ending>, BookError> {
    let Some(endpoint) = desk.store.endpoint(of.id)? else { return Ok(None) };
    let card = Envelope::read(&endpoint.card).ok();
    let card = card.and_then(|sealed| trust::seal::peek::<Card>(&sealed).ok());
    let ending = card.map(|card| {
        let what = format!("the card of {}", of.name);
        let by = format!("salve endpoints enroll {}", of.name);
        ending(what, card.not_after, by, CARD_WARNED_DAYS, now)
    });
    Ok(ending.filter(|ending| ending.urgent))
}

fn waiting(desk: &Desk, now: Time, status: &mut Status) -> Result<(), BookError> {
    for row in desk.store.outbox_todo()? {
        status.undelivered.push(Undelivered {
            ticket: row.ticket,
            kind: row.kind,
            state: row.state,
            since: row.created,
            tries: row.tries,
            last_error: row.last_error,
        });
    }
    let unanswered = RunFilter { unanswered: true, ..RunFilter::default() };
    for run in desk.store.runs(&unanswered)? {
        status.unanswered.push(run.id);
        if run.created.plus(UNKNOWN) < now {
            status.unknown.push(run.id);
        }
    }
    for secret in desk.store.unopened_escrows()? {
        if secret.not_after > now {
            status.secrets.push(Unopened { run: secret.run, until: secret.not_after });
        }
    }
    for token in desk.store.tokens()? {
        if token.used.is_none() && token.expires > now {
            status.tokens.push(OpenToken { name: token.name, until: token.expires });
        }
    }
    Ok(())
}

/// Orders of others that this console's owner has not answered.
fn asking(desk: &Desk, me: &AgentName, now: Time) -> Result<usize, BookError> {
    let mine = |row: &store::RequestRow| row.answers.iter().any(|answer| answer.person == *me);
    let asking = desk.store.requests(now)?;
    Ok(asking.iter().filter(|row| row.agent != *me && !mine(row)).count())
}

fn needs(status: &Status, listed: bool, now: Time) -> Vec<String> {
    let mut needs = Vec::new();
    if !listed {
        needs.push(format!("{} is not in the policy: no order of yours will be taken", status.me));
    }
    needs.extend(status.doubts.iter().map(|row| heads::words(&row.name, &row.doubt)));
    for ending in status.endings.iter().filter(|ending| ending.urgent) {
        let verb = if ending.ends <= now { "ended" } else { "ends" };
        needs.push(format!(
            "{} {verb} {}: renewed by {}",
            ending.what, ending.ends, ending.renewed_by
        ));
    }
    needs.extend(status.glass.iter().map(|row| {
        let ticket = row.ticket.as_ref().map(|t| format!(" for ticket {t}")).unwrap_or_default();
        let order = row.order.short();
        let next = match row.agent == status.me {
            true => format!("have another person look at it:  salve orders reviewed {order}"),
            false => format!("look at it, then:  salve orders reviewed {order}"),
        };
        format!(
            "GLASS WAS BROKEN by {} with key {}: {}{ticket}, {}; {next}",
            row.agent, row.key, row.script, row.created
        )
    }));
    if let Some(next) = &status.retention.next {
        let by = status.retention.set_by.as_ref().map_or("somebody", AgentName::as_str);
        let (was, rule) = (status.retention.rule, next.rule);
        needs.push(format!(
            "{by} shortened how long bodies are kept, to {} days and {} of high risk from {}; to keep them:  \
             salve audit retention --days {} --keep-high {}",
            rule.days, rule.high_days, next.from, was.days, was.high_days
        ));
    }
    match status.asking {
        0 => {}
        1 => needs.push("an order asks for approval:  salve approve".to_owned()),
        n => needs.push(format!("{n} orders ask for approval:  salve approve")),
    }
    if let Some(Behind { endpoint, role, have, want }) = status.ahead.first() {
        needs.push(format!(
            "{} of {} endpoints have a newer catalogue ({endpoint}: {role} {have}, here {want}): have \
             whoever published it run any command at this desk, and publish nothing before that",
            status.ahead.len(),
            status.endpoints
        ));
    }
    for key in status.keys.iter().filter(|key| key.kind == Held::Root.word()) {
        needs.push(format!(
            "a root key lies on this desk: move {} to a stick that lies in a safe",
            key.path.display()
        ));
    }
    for key in status
        .keys
        .iter()
        .filter(|k| !k.encrypted && Held::ALL.iter().any(|held| held.word() == k.kind))
    {
        needs.push(format!("{} is not protected by a passphrase", key.path.display()));
    }
    if let Some(first) = status.unknown.first() {
        needs.push(format!(
            "{} sent and without a record, their time is over: ask the machine again with  salve runs \
             follow {}",
            status.unknown.len(),
            first.short()
        ));
    }
    let failed = |u: &&Undelivered| u.state == OutboxState::Due && u.tries > 0;
    let failed = status.undelivered.iter().filter(failed).count();
    if failed > 0 {
        needs.push(format!("{failed} not delivered to tickets: see below"));
    }
    needs
}
