//! One of each operation, and a store on which each gives something: for tests and vectors.
#![expect(clippy::unwrap_used, reason = "a sample that is none must stop its test")]

use protocol::documents::{
    Approval, Card, CatalogueVersions, Head, Hello, Order, ScriptRef, SealingKey, SeenHead,
    TicketState,
};
use protocol::{
    AgentName, Bytes, Digest, EndpointId, EndpointName, Envelope, Mode, OrderId, Outcome,
    PublicKey, Retention, RunId, Time,
};
use store::{
    AgentState, EndpointPlace, EndpointState, Enrolment, FactsRow, Health, HeldRow, Level,
    ListFilter, NewEndpoint, NewFile, NewNote, NewOrder, NewRecord, NewTicketRow, RunFilter, Seen,
    Store, TicketFilter, TokenKind,
};
use tickets::{Key, KeyKind};
use trust::{Signer as _, SigningKey};

use protocol::documents::ContactKind;
use zeroize::Zeroizing;

use super::{BookAsk, Paper, Peer, People, answer};
use crate::identity::{Checks, CodeError, Contact, Message, Post, PostError, SpokenCode};

/// What a caller is checked with, without chance and without mail.
#[derive(Debug)]
pub struct Fixed;

/// The code that [`Fixed`] sends.
pub const CODE: &str = "604118";

impl Checks for Fixed {
    fn key(&self) -> Result<SigningKey, CodeError> {
        Ok(SigningKey::from_seed([32; 32]))
    }
    fn post(&self) -> Result<Box<dyn Post>, CodeError> {
        Ok(Box::new(Self))
    }
    fn code(&self) -> Result<(Zeroizing<String>, [u8; 16]), CodeError> {
        Ok((Zeroizing::new(CODE.to_owned()), [7; 16]))
    }
}

impl People for Fixed {
    fn signing_key(&self, person: &AgentName) -> Option<PublicKey> {
        (*person == agent().name).then(|| agent_key().public_key())
    }
}

fn agent_key() -> SigningKey {
    SigningKey::from_seed([31; 32])
}

impl Post for Fixed {
    fn send(&self, _: &Message<'_>) -> Result<(), PostError> {
        Ok(())
    }
}

/// When samples happen.
pub const NOW: Time = Time(1_795_344_000);
/// The endpoint that has everything.
pub const ENDPOINT: EndpointId = EndpointId([9; 16]);
const OTHER: EndpointId = EndpointId([8; 16]);
/// The order that has everything.
pub const ORDER: Digest = Digest([6; 32]);
/// A token's secret.
pub const SECRET: Digest = Digest([4; 32]);
const EPOCH: Digest = Digest([2; 32]);

/// The run that has everything.
#[must_use]
pub fn run() -> RunId {
    RunId::of(&ORDER, &ENDPOINT, 0)
}

/// The order that waits.
pub(super) const WAITS: Digest = Digest([7; 32]);

/// The run that waits.
#[must_use]
pub fn waiting_run() -> RunId {
    RunId::of(&WAITS, &ENDPOINT, 0)
}

/// Whose order it is.
///
/// # Panics
/// Never: it is a name.
#[must_use]
pub fn agent() -> Peer {
    Peer { name: "a.kaya".parse().unwrap(), administrator: false }
}

/// An administrator.
///
/// # Panics
/// Never: it is a name.
#[must_use]
pub fn administrator() -> Peer {
    Peer { name: "b.chef".parse().unwrap(), administrator: true }
}

/// A machine.
///
/// # Panics
/// Where the name is none.
#[must_use]
pub fn machine(id: EndpointId, name: &str) -> NewEndpoint {
    NewEndpoint {
        id,
        name: name.parse().unwrap(),
        card: b"card".to_vec(),
        address: Some("192.0.2.7:7433".into()),
        person: Some("jo.meyer".into()),
        labels: [("group".parse().unwrap(), "office".parse().unwrap())].into(),
        host: Some("LAPTOP".into()),
        platform: Some("linux".into()),
    }
}

/// A ticket; `n` makes its key.
#[must_use]
pub fn ticket(n: u8) -> NewTicketRow {
    NewTicketRow {
        key: Key::from_digest(&Digest([n; 32]), KeyKind::Ticket).as_str().to_owned(),
        subject: "browser is slow".into(),
        body: "since Monday".into(),
        kind: "incident".into(),
        category: Some("disk".into()),
        channel: "phone".into(),
        requester: Some("jo.meyer".into()),
        assignee: "a.kaya".parse().ok(),
        endpoint: Some(ENDPOINT),
        blocked: 1,
    }
}

/// A record of the run, another one for another `n`.
#[must_use]
pub fn record(n: u8) -> NewRecord<'static> {
    NewRecord {
        run: run(),
        order: ORDER,
        endpoint: ENDPOINT,
        outcome: Some(Outcome::Succeeded),
        ended: Some(NOW),
        envelope: b"record",
        hash: Digest([n; 32]),
        place: Some((EPOCH, 7)),
        effects: Some(b"{}\n"),
        plan: Some(b"{}"),
        dispatch: None,
        card: Some(b"card"),
        unverified: None,
        escrow: Some((b"{}", NOW.plus(3600))),
        reply: None,
    }
}

/// Fills a new store.
///
/// # Panics
/// Where the store refuses, which a new one does not.
pub fn seed(store: &Store) {
    store.add_endpoint(&machine(ENDPOINT, "lt-4411"), NOW).unwrap();
    let (name, host) = ("lt-7".parse().unwrap(), "LT-7".to_owned());
    store.hold(&HeldRow { name, host, address: "192.0.2.7:40000".into(), at: NOW }).unwrap();
    let seen = Seen {
        versions: CatalogueVersions { root: 1, ..CatalogueVersions::default() },
        head: Head { epoch: EPOCH, counter: 7, hash: Digest([3; 32]) },
        daemon: "0.1.0",
        clock: NOW,
        at: NOW,
    };
    store.endpoint_seen(&ENDPOINT, &seen, NOW).unwrap();
    let facts = FactsRow { run: run(), looked: NOW, bytes: Bytes(b"{}".to_vec()) };
    store.set_facts(&ENDPOINT, &facts, &["jo.meyer".to_owned()]).unwrap();
    let words = "disk space: / has 4 % free".to_owned();
    store.set_health(&ENDPOINT, &Health { looked: NOW, level: Level::Bad, words }).unwrap();
    let number = store.add_ticket(&ticket(1), NOW).unwrap();
    let order = NewOrder {
        digest: ORDER,
        id: OrderId([5; 16]),
        script: "cache.clear".parse().unwrap(),
        version: 3,
        mode: Mode::Fix,
        agent: agent().name,
        ticket: number.to_string().parse().ok(),
        envelope: b"order",
        support: Some(b"[]"),
        targets: &[ENDPOINT],
        glass: Some("safe-1"),
        note_key: Some("note"),
        file_key: Some("file"),
    };
    store.add_order(&order, NOW).unwrap();
    store.keep_approvals(&ORDER, &[Bytes(b"{}".to_vec())]).unwrap();
    let (glass, note_key, file_key) = (None, None, None);
    let id = OrderId([6; 16]);
    let waits = NewOrder { digest: WAITS, id, glass, note_key, file_key, ..order };
    store.add_waiting(&waits, (&ENDPOINT, &[7; 32]), NOW.plus(3600), NOW).unwrap();
    store.run_sent(&run(), b"dispatch", &seen.head).unwrap();
    store.file_record(&record(1), NOW).unwrap();
    store.file_record(&record(2), NOW).unwrap();
    let (author, body) = (agent().name, "looked at it");
    let note = NewNote { ticket: number, key: "n", public: false, author: Some(&author), body };
    store.add_note(&note, NOW).unwrap();
    let (name, media) = ("records.jsonl", "application/jsonl");
    let file = NewFile { ticket: number, key: "f", public: false, name, media, bytes: b"{}\n" };
    store.add_file(&file, NOW).unwrap();
    let name: AgentName = agent().name;
    store.put_agent(&name, AgentState::Joined, Some(b"join"), Some(b"leaf"), NOW).unwrap();
    store.agents_here(&[name], NOW).unwrap();
    store.add_token(&SECRET, TokenKind::Agent, "c.neu", NOW, NOW.plus(900)).unwrap();
}

/// One of each operation, in the order of their numbers.
///
/// # Panics
/// Never: all names are names.
#[must_use]
pub fn asks() -> Vec<BookAsk> {
    let name: EndpointName = "lt-4411".parse().unwrap();
    let after = EndpointPlace { state: EndpointState::Active, name: name.clone(), id: OTHER };
    let limit = 5;
    let first = vec![
        BookAsk::Run { id: run() },
        BookAsk::Runs {
            filter: RunFilter {
                ticket: "1".parse().ok(),
                endpoint: Some(ENDPOINT),
                order: Some(ORDER),
                unanswered: false,
                limit,
                after: None,
            },
        },
        BookAsk::RunsStarting { prefix: run().short() },
        BookAsk::Paper { run: run(), which: Paper::Record },
        BookAsk::Strays { run: run(), after: None, limit },
        BookAsk::Neighbours { endpoint: ENDPOINT, epoch: EPOCH, counter: 8 },
        BookAsk::Order { digest: ORDER },
        BookAsk::Escrow { run: run() },
        BookAsk::UnopenedEscrows { after: None, limit },
        BookAsk::OpenEscrow { run: run() },
        BookAsk::Endpoint { id: ENDPOINT },
        BookAsk::EndpointNamed { name },
        BookAsk::Endpoints { after: Some(after), limit },
        BookAsk::SetAddress { id: ENDPOINT, address: "192.0.2.8:7433".into() },
        BookAsk::SetPerson { id: ENDPOINT, person: "m.kurz".into() },
        BookAsk::AddEndpoint { new: carded() },
        BookAsk::SetEndpointState { id: OTHER, state: EndpointState::Withdrawn },
        BookAsk::NextCard {},
        BookAsk::Agents { after: None, limit },
        BookAsk::PutAgent {
            name: "c.neu".parse().unwrap(),
            state: AgentState::Invited,
            document: Some(Bytes(b"join".to_vec())),
            certificate: None,
        },
        BookAsk::AddToken {
            secret: Digest([5; 32]),
            kind: TokenKind::Endpoint,
            name: "pc-2".into(),
            expires: NOW.plus(900),
        },
        BookAsk::TakeToken { secret: SECRET, kind: TokenKind::Agent },
        BookAsk::Token { secret: SECRET },
        BookAsk::Tokens { after: None, limit },
        BookAsk::Ticket { id: 1 },
        BookAsk::LastTicket {},
        BookAsk::Tickets {
            filter: TicketFilter {
                all: true,
                assignee: "a.kaya".parse().ok(),
                endpoint: Some(ENDPOINT),
                before: Some(9),
                limit,
            },
        },
        BookAsk::AddTicket { new: ticket(2) },
        BookAsk::SetTicketState { id: 2, to: TicketState::Closed },
        BookAsk::Notes { ticket: 1, after: 0, limit },
        BookAsk::Files { ticket: 1, after: 0, limit },
        BookAsk::FileBytes { key: "f".into() },
        BookAsk::OutboxTodo { after: None, limit },
    ];
    let waiting =
        vec![BookAsk::Waiting { after: None, limit }, BookAsk::WaitingRun { run: waiting_run() }];
    let facts = vec![BookAsk::Standings { after: None, limit }, BookAsk::Facts { id: ENDPOINT }];
    let evidence = vec![
        BookAsk::Approvals { order: ORDER },
        BookAsk::RunsBetween { from: Time(0), to: NOW, after: None, limit },
        BookAsk::Chains { after: None, limit },
    ];
    // Before the ticket is somebody else's.
    [identity(), first, enrolment(), waiting, approvals(), facts, evidence, heads(), glass()]
        .concat()
}

/// Those of orders that broke glass.
fn glass() -> Vec<BookAsk> {
    vec![
        BookAsk::BrokenGlass { open: true, after: None, limit: 5 },
        BookAsk::ReviewGlass { order: ORDER, by: agent().name },
    ]
}

/// Signs the hellos of the machine that is added.
fn record_key() -> SigningKey {
    SigningKey::from_seed([33; 32])
}

/// A machine with a card that can be read.
fn carded() -> NewEndpoint {
    let card = Card {
        endpoint: OTHER,
        name: "pc-1".parse().unwrap(),
        tls_key: Digest([1; 32]),
        record_key: record_key().public_key(),
        sealing_key: SealingKey { algorithm: "x".into(), key: Bytes(vec![5; 32]) },
        labels: std::collections::BTreeMap::new(),
        serial: 9,
        issued: NOW,
        not_after: NOW.plus(3600),
    };
    let card = trust::seal::seal(&card, &[&SigningKey::from_seed([34; 32])]).unwrap();
    NewEndpoint { card: card.write().unwrap(), ..machine(OTHER, "pc-1") }
}

/// A head of the machine that is added, as the agent saw it: the agent's envelope, the hello's.
///
/// # Panics
/// Never: they are written.
#[must_use]
pub fn seen_head() -> (Bytes, Bytes) {
    let head = Head { epoch: EPOCH, counter: 3, hash: Digest([3; 32]) };
    let hello = Hello {
        card: Digest([2; 32]),
        protocol_min: 1,
        protocol_max: 1,
        documents_max: 1,
        catalogue: CatalogueVersions::default(),
        head,
        clock: NOW,
        challenge: Digest([7; 32]),
        version: "0.1.0".into(),
    };
    let hello = trust::seal::seal(&hello, &[&record_key()]).unwrap();
    let (endpoint, person) = (OTHER, agent().name);
    let seen = SeenHead { endpoint, head, hello: hello.digest(), person, seen: NOW };
    let seen = trust::seal::seal(&seen, &[&agent_key()]).unwrap();
    (Bytes(seen.write().unwrap()), Bytes(hello.write().unwrap()))
}

/// The endpoint whose head that is.
pub const SEEN: EndpointId = OTHER;

/// Those of heads that were seen.
fn heads() -> Vec<BookAsk> {
    let ((seen, hello), by) = (seen_head(), agent().name);
    vec![
        BookAsk::AddHead { endpoint: OTHER, seen, hello, by },
        BookAsk::Heads { endpoint: OTHER },
        BookAsk::Doubts { after: None, limit: 5 },
        BookAsk::HeadAfter { endpoint: OTHER, epoch: EPOCH, counter: 2 },
        BookAsk::SetRetention {
            rule: Retention { days: 200, high_days: 400 },
            by: administrator().name,
        },
        BookAsk::Retention {},
        BookAsk::EraseTicket { ticket: "1".parse().unwrap(), by: administrator().name },
        BookAsk::ErasedOf { run: run() },
    ]
}

/// The sealed order that asks, and the sealed answer to it.
///
/// # Panics
/// Never: they are written.
#[must_use]
pub fn asking() -> (Envelope, Envelope) {
    let key = SigningKey::from_seed([31; 32]);
    let order = Order {
        id: OrderId([8; 16]),
        agent: agent().name,
        dispatch_key: key.public_key(),
        script: ScriptRef {
            name: "user.password.reset".parse().unwrap(),
            version: 1,
            digest: Digest([1; 32]),
        },
        mode: Mode::Fix,
        parameters: protocol::Params::new(),
        targets: vec![ENDPOINT],
        ticket: "1".parse().ok(),
        reason: "forgot it".to_owned(),
        identified: None,
        consent: None,
        break_glass: None,
        plan: Some(Digest::of(PLAN)),
        catalogue: CatalogueVersions::default(),
        not_before: NOW,
        not_after: NOW.plus(3600),
        session_key: None,
    };
    let order = trust::seal::seal(&order, &[&key]).unwrap();
    let answer = Approval {
        order: order.digest(),
        plan: Digest::of(PLAN),
        person: agent().name,
        yes: true,
        not_after: NOW.plus(3600),
    };
    (order, trust::seal::seal(&answer, &[&key]).unwrap())
}

/// The plan of the order that asks.
const PLAN: &[u8] = b"{}";

/// Those of orders that ask.
fn approvals() -> Vec<BookAsk> {
    let (by, bytes) = (agent().name, |paper: Envelope| Bytes(paper.write().unwrap()));
    let (order, answer) = asking();
    let digest = order.digest();
    vec![
        BookAsk::AddRequest {
            order: bytes(order),
            plan: Bytes(PLAN.to_vec()),
            plan_run: run(),
            wanted: 1,
            by: by.clone(),
        },
        BookAsk::AddApproval { answer: bytes(answer), by: by.clone() },
        BookAsk::Requests { after: None, limit: 5 },
        BookAsk::Request { order: digest },
        BookAsk::RequestPapers { order: digest },
        BookAsk::EndRequest { order: digest, by },
    ]
}

/// Those of contacts and codes.
fn identity() -> Vec<BookAsk> {
    let script: protocol::ScriptName = "user.password.reset".parse().unwrap();
    let contact = Contact { kind: ContactKind::Mail, address: "jo.meyer@example.com".to_owned() };
    let (by, said) = (agent().name, SpokenCode::new(CODE));
    vec![
        BookAsk::SetContact { person: "jo.meyer".into(), contact, by: administrator().name },
        BookAsk::Contacts { after: None, limit: 5 },
        BookAsk::AskCode {
            ticket: 1,
            script: script.clone(),
            by: by.clone(),
            endpoint: Some(OTHER),
        },
        BookAsk::SayCode { ticket: 1, script, said, by },
        BookAsk::RemoveContact { person: "jo.meyer".into() },
    ]
}

/// Those of enrolment at the desk.
fn enrolment() -> Vec<BookAsk> {
    vec![
        BookAsk::AddEnrolment {
            secret: Digest([6; 32]),
            names: "lt-*".parse().unwrap(),
            enrolment: Enrolment {
                labels: [("group".parse().unwrap(), "office".parse().unwrap())].into(),
                person: Some("jo.meyer".into()),
                places: 200,
                taken: 0,
            },
            expires: NOW.plus(7 * 86_400),
        },
        BookAsk::VoidToken { secret: Digest([6; 32]) },
        BookAsk::Held {},
        BookAsk::EndpointsNamed { name: "lt-4411".parse().unwrap() },
        BookAsk::AssignTicket { id: 1, to: "m.ruiz".parse().unwrap(), by: agent().name },
        BookAsk::ForgetHeld { name: "lt-7".parse().unwrap() },
        BookAsk::Listed {
            filter: ListFilter {
                unseen_since: Some(NOW.plus(1)),
                prefix: Some("lt".into()),
                after: None,
                limit: 5,
            },
        },
        BookAsk::EndpointTyped { typed: "lt".into() },
        BookAsk::Search { words: "meyer".into(), limit: 5 },
        BookAsk::AgentsSeen { after: None, limit: 5 },
    ]
}

/// Every operation by name, its question and its answer on a seeded store, as hex: the vectors.
///
/// # Panics
/// Where an operation is refused, which none here is.
#[must_use]
pub fn vectors(store: &Store) -> Vec<(String, String, String)> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let one = |ask: BookAsk| {
        let question = minicbor::to_vec(&ask).unwrap();
        // Only the receiver opens a secret, only administrators do some others.
        let own = matches!(ask.who(), super::Who::Receiver | super::Who::Oneself);
        let peer = if own { agent() } else { administrator() };
        let answered = answer(store, &peer, &question, NOW, &Fixed, &Fixed).unwrap();
        (ask.name().to_owned(), hex(&question), hex(&answered))
    };
    seed(store);
    asks().into_iter().map(one).collect()
}
