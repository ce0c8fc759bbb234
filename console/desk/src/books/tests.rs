//! The contract of the books, here and over a line; who may do what; what hostile consoles send.

use std::sync::Mutex;

use minicbor::Encoder;
use protocol::documents::{CatalogueVersions, TicketState};
use protocol::frames::{DeskAnswer, DeskAsk, decode, encode, sorry};
use protocol::{Bytes, Digest, EndpointId, RunId, limits};
use store::{
    EndpointState, NewFile, NewNote, NewTicketRow, RunFilter, Store, TicketFilter, TokenKind,
};
use trust::catalogue::Files;

use super::samples::{self, ENDPOINT, NOW, ORDER, SECRET, administrator, agent, seed, ticket};
use super::*;

/// A line without a network: every frame is written and read as on the wire.
#[derive(Debug)]
struct Memory {
    store: Store,
    peer: Peer,
}

fn over_the_wire<M>(message: &M) -> M
where
    M: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
{
    let bytes = encode(message, limits::FRAME_BYTES_MAX).unwrap();
    decode(&bytes[4..]).unwrap()
}

impl Ask for Memory {
    fn desk(&self) -> &'static str {
        "memory"
    }
    fn ask(&self, asks: Vec<DeskAsk>) -> Result<Vec<DeskAnswer>, LineFault> {
        let [ask] = asks.as_slice() else { panic!("one frame a question") };
        let organisation = "demo".parse().unwrap();
        let (versions, files) = (CatalogueVersions::default(), Files::new());
        let counter = Counter {
            store: &self.store,
            organisation: &organisation,
            versions,
            files: &files,
            checks: &samples::Fixed,
            people: &samples::Fixed,
        };
        let answered = counter.answer(&self.peer, &over_the_wire(ask), NOW).unwrap();
        let answers = answered.unwrap_or_else(|no| vec![no.into()]);
        Ok(answers.iter().map(over_the_wire).collect())
    }
}

/// The same test on the store itself and over a line to it.
fn both(test: impl Fn(&Books, &Store)) {
    for over_a_line in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desk.db");
        let seeding = Store::create(&path).unwrap();
        seed(&seeding);
        let store = Store::open(&path).unwrap();
        let books: Books = if over_a_line {
            Line::new(Memory { store, peer: agent() }).into()
        } else {
            store.into()
        };
        test(&books, &seeding);
    }
}

/// As [`both`], for what only administrators may do over a line.
fn both_as_administrator(test: impl Fn(&Books)) {
    for over_a_line in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&folder.path().join("desk.db")).unwrap();
        seed(&store);
        let books: Books = if over_a_line {
            Line::new(Memory { store, peer: administrator() }).into()
        } else {
            store.into()
        };
        test(&books);
    }
}

#[test]
fn what_is_read_is_what_the_store_has() {
    both(|books, store| {
        let run = samples::run();
        assert_eq!(books.run(run).unwrap(), store.run(&run).unwrap());
        assert_eq!(books.run(RunId([0; 16])).unwrap(), None);
        assert_eq!(books.runs_starting(run.short()).unwrap().len(), 1);
        let filter = RunFilter { order: Some(ORDER), ..RunFilter::default() };
        assert_eq!(books.runs(&filter).unwrap(), store.runs(&filter).unwrap());
        for which in Paper::ALL {
            assert!(books.bytes_of(run, which).unwrap().is_some(), "{which:?}");
        }
        assert_eq!(books.run_record(run).unwrap(), store.run_record(&run).unwrap());
        assert_eq!(books.strays(run).unwrap(), store.strays(&run).unwrap());
        assert_eq!(books.order(ORDER).unwrap(), store.order(&ORDER).unwrap());
        assert_eq!(books.escrow(run).unwrap(), store.escrow(&run).unwrap());
        assert_eq!(books.unopened_escrows().unwrap(), store.unopened_escrows().unwrap());
        let row = store.endpoint(&ENDPOINT).unwrap();
        assert_eq!(books.endpoint(ENDPOINT).unwrap(), row);
        assert_eq!(books.endpoint_named("lt-4411".parse().unwrap()).unwrap(), row);
        assert_eq!(books.endpoints().unwrap(), store.endpoints().unwrap());
        assert_eq!(books.tokens().unwrap(), store.tokens().unwrap());
        assert_eq!(books.outbox_todo().unwrap(), store.outbox_todo().unwrap());
        assert_eq!(books.notes(1).unwrap(), store.notes(1).unwrap());
        assert_eq!(books.files(1).unwrap(), store.files(1).unwrap());
        assert_eq!(books.last_ticket().unwrap(), Some(1));
        assert!(books.ticket(7).unwrap_err().is_not_found());
        assert!(books.notes(7).unwrap_err().is_not_found());
    });
}

#[test]
fn tickets_are_opened_once_a_key_and_moved_by_the_rules() {
    both(|books, store| {
        assert_eq!(books.add_ticket(ticket(2), NOW).unwrap(), 2);
        assert_eq!(books.add_ticket(ticket(2), NOW).unwrap(), 2);
        assert_eq!(books.ticket(2).unwrap(), store.ticket(2).unwrap());
        let closed = books.set_ticket_state(2, TicketState::Closed, NOW).unwrap();
        assert_eq!(closed.closed, Some(NOW));
        books.set_ticket_state(2, TicketState::Pending, NOW).unwrap_err();
        assert_eq!(store.ticket(2).unwrap().state, TicketState::Closed);
        assert!(books.set_ticket_state(9, TicketState::Open, NOW).unwrap_err().is_not_found());
        let longer = NewTicketRow { body: "x".repeat(BODY_CHARS_MAX + 1), ..ticket(3) };
        let empty = NewTicketRow { subject: " ".into(), ..ticket(3) };
        let strange = NewTicketRow { kind: "wish".into(), ..ticket(3) };
        let nowhere = NewTicketRow { endpoint: Some(EndpointId([1; 16])), ..ticket(3) };
        // The key of an order's note would keep that note from its ticket.
        let taken = NewTicketRow { key: ticket(3).key.replace("ticket", "note"), ..ticket(3) };
        for bad in [longer, empty, strange, nowhere, taken] {
            books.add_ticket(bad, NOW).unwrap_err();
        }
        assert_eq!(store.last_ticket().unwrap(), Some(2));
    });
}

#[test]
fn lists_longer_than_a_page_come_whole_and_in_order() {
    both(|books, store| {
        for n in 0..130u8 {
            store.add_ticket(&ticket(n), NOW).unwrap();
            let name = format!("pc-{n}");
            store.add_endpoint(&samples::machine(EndpointId([n; 16]), &name), NOW).ok();
            let (key, body) = (format!("k{n}"), "note");
            let note = NewNote { ticket: 1, key: &key, public: false, author: None, body };
            store.add_note(&note, NOW).unwrap();
        }
        store.set_endpoint_state(&EndpointId([3; 16]), EndpointState::Withdrawn).unwrap();
        let all = TicketFilter { all: true, ..TicketFilter::default() };
        assert_eq!(books.tickets(&all).unwrap(), store.tickets(&all).unwrap());
        let some = TicketFilter { limit: 60, ..all };
        assert_eq!(books.tickets(&some).unwrap(), store.tickets(&some).unwrap());
        assert_eq!(books.notes(1).unwrap(), store.notes(1).unwrap());
        let mut paged = Vec::new();
        while let page = books.endpoints_page(paged.last().map(EndpointRow::place), 7).unwrap()
            && !page.is_empty()
        {
            paged.extend(page);
        }
        assert_eq!(paged, store.endpoints().unwrap());
        assert_eq!(books.endpoints().unwrap(), paged);
    });
}

#[test]
fn a_file_larger_than_a_frame_comes_whole() {
    both(|books, store| {
        let bytes: Vec<u8> = (0..900_000u32).flat_map(u32::to_le_bytes).collect();
        let (name, media) = ("big", "application/octet-stream");
        let file = NewFile { ticket: 1, key: "big", public: false, name, media, bytes: &bytes };
        store.add_file(&file, NOW).unwrap();
        assert_eq!(books.file_bytes("big".into()).unwrap().unwrap().0, bytes);
        assert_eq!(books.file_bytes("none".into()).unwrap(), None);
    });
}

#[test]
fn a_secret_is_opened_once_also_over_a_line() {
    both(|books, store| {
        let opened = books.open_escrow(samples::run(), NOW).unwrap();
        assert_eq!(opened.opened_at, Some(NOW));
        assert!(books.open_escrow(samples::run(), NOW).unwrap_err().is_opened());
        assert!(books.open_escrow(RunId([0; 16]), NOW).unwrap_err().is_not_found());
        assert_eq!(store.unopened_escrows().unwrap(), []);
    });
}

#[test]
fn machines_people_and_tokens_are_written_by_administrators() {
    both_as_administrator(|books| {
        let id = EndpointId([1; 16]);
        books.add_endpoint(samples::machine(id, "pc-1"), NOW).unwrap();
        let again = books.add_endpoint(samples::machine(id, "pc-2"), NOW);
        assert!(again.unwrap_err().is_duplicate());
        books.set_address(id, "192.0.2.9:1".into()).unwrap();
        books.set_person(id, "m.kurz".into()).unwrap();
        books.set_endpoint_state(id, EndpointState::Withdrawn).unwrap();
        let row = books.endpoint(id).unwrap().unwrap();
        assert_eq!(row.address.as_deref(), Some("192.0.2.9:1"));
        assert_eq!((row.person.as_deref(), row.state), (Some("m.kurz"), EndpointState::Withdrawn));
        let nobody = EndpointId([0; 16]);
        assert!(books.set_address(nobody, "x".into()).unwrap_err().is_not_found());
        assert_eq!((books.next_card().unwrap(), books.next_card().unwrap()), (1, 2));
        let joined = store::AgentState::Joined;
        let leaf = Some(Bytes(b"leaf".to_vec()));
        books.put_agent("c.neu".parse().unwrap(), joined, None, leaf, NOW).unwrap();
        assert_eq!(books.agents().unwrap().len(), 2);
        let secret = Digest([7; 32]);
        books.add_token(secret, TokenKind::Endpoint, "pc-3".into(), NOW.plus(9), NOW).unwrap();
        let twice = books.add_token(secret, TokenKind::Endpoint, "x".into(), NOW.plus(9), NOW);
        assert!(twice.unwrap_err().is_duplicate());
        assert_eq!(books.token(secret).unwrap().unwrap().name, "pc-3");
        assert!(books.take_token(secret, TokenKind::Agent, NOW).unwrap_err().is_token());
        books.take_token(secret, TokenKind::Endpoint, NOW).unwrap();
        assert!(books.take_token(secret, TokenKind::Endpoint, NOW).unwrap_err().is_token());
    });
}

fn seeded() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("desk.db")).unwrap();
    seed(&store);
    (store, folder)
}

fn ask(store: &Store, peer: &Peer, ask: &BookAsk) -> Result<Vec<u8>, Sorry> {
    answer(store, peer, &minicbor::to_vec(ask).unwrap(), NOW, &samples::Fixed, &samples::Fixed)
}

/// Every operation against every role. A new operation is in the samples or this fails.
#[test]
fn who_may_do_what() {
    assert_eq!(samples::asks().len(), BookAsk::COUNT);
    let administrators = [
        "add_endpoint",
        "set_endpoint_state",
        "next_card",
        "agents_page",
        "put_agent",
        "add_token",
        "take_token",
        "token",
        "add_enrolment",
        "void_token",
        "forget_held",
        "set_retention",
        "erase_ticket",
        "set_contact",
        "remove_contact",
    ];
    let own = [
        "open_escrow",
        "assign_ticket",
        "add_request",
        "add_approval",
        "end_request",
        "add_head",
        "ask_code",
        "say_code",
        "review_glass",
    ];
    let other = Peer { name: "c.other".parse().unwrap(), administrator: false };
    for one in samples::asks() {
        let only_administrators = administrators.contains(&one.name());
        for (peer, may) in [
            (agent(), !only_administrators),
            (other.clone(), !only_administrators && !own.contains(&one.name())),
            // Also an administrator opens nobody else's secret, and speaks for nobody else.
            (administrator(), !own.contains(&one.name())),
        ] {
            let (store, _folder) = seeded();
            let answered = ask(&store, &peer, &one);
            let forbidden = answered.is_err_and(|no| no.code == sorry::FORBIDDEN);
            assert_eq!(!forbidden, may, "{} by {peer:?}", one.name());
        }
    }
    let (store, _folder) = seeded();
    ask(&store, &other, &BookAsk::OpenEscrow { run: samples::run() }).unwrap_err();
    assert_eq!(store.unopened_escrows().unwrap().len(), 1);
    ask(&store, &agent(), &BookAsk::TakeToken { secret: SECRET, kind: TokenKind::Agent })
        .unwrap_err();
    assert_eq!(store.token(&SECRET).unwrap().unwrap().used, None);
}

#[test]
fn nothing_is_erased_in_somebody_elses_name_and_the_journal_says_in_whose() {
    let by = agent().name;
    let rule = protocol::Retention { days: 30, high_days: 30 };
    for (theirs, own, words) in [
        (
            BookAsk::SetRetention { rule, by: by.clone() },
            BookAsk::SetRetention { rule, by: administrator().name },
            "set how long bodies are kept: 30 days, those of high risk 30",
        ),
        (
            BookAsk::EraseTicket { ticket: "1".parse().unwrap(), by },
            BookAsk::EraseTicket { ticket: "1".parse().unwrap(), by: administrator().name },
            "had the bodies of ticket 1 erased",
        ),
    ] {
        let (store, _folder) = seeded();
        let before = store.retention(NOW).unwrap();
        for peer in [administrator(), agent()] {
            assert_eq!(ask(&store, &peer, &theirs).unwrap_err().code, sorry::FORBIDDEN);
        }
        assert_eq!(store.retention(NOW).unwrap(), before);
        ask(&store, &administrator(), &own).unwrap();
        assert_ne!(store.retention(NOW).unwrap(), before);
        let said = journal(&minicbor::to_vec(&own).unwrap());
        assert_eq!(said, Some(format!("{} {words}", administrator().name)));
    }
    assert_eq!(journal(&minicbor::to_vec(BookAsk::Retention {}).unwrap()), None);
}

#[test]
fn what_is_no_question_is_not_answered() {
    let (store, _folder) = seeded();
    let code = |bytes: &[u8]| {
        answer(&store, &administrator(), bytes, NOW, &samples::Fixed, &samples::Fixed)
            .unwrap_err()
            .code
    };
    let mut unknown = Vec::new();
    Encoder::new(&mut unknown).array(2).unwrap().u32(9999).unwrap().array(0).unwrap();
    let mut trailing = minicbor::to_vec(BookAsk::LastTicket {}).unwrap();
    trailing.push(0);
    let mut foreign = Vec::new();
    let mut tag = Encoder::new(&mut foreign);
    tag.tag(minicbor::data::Tag::new(55)).unwrap().str("run").unwrap();
    for bad in [&unknown[..], &trailing, &foreign, b"", b"\xff", &[0x81; 500]] {
        assert_eq!(code(bad), sorry::UNKNOWN, "{bad:?}");
    }
    assert_eq!(code(&vec![0; limits::DESK_PART_BYTES_MAX + 1]), sorry::LIMIT);
    for limit in [0, limits::BOOK_ROWS_MAX + 1, usize::MAX] {
        let filter = RunFilter { limit, ..RunFilter::default() };
        let tickets = TicketFilter { limit, ..TicketFilter::default() };
        for huge in [
            BookAsk::Runs { filter },
            BookAsk::Tickets { filter: tickets },
            BookAsk::Endpoints { after: None, limit },
            BookAsk::Strays { run: samples::run(), after: None, limit },
            BookAsk::Notes { ticket: 1, after: 0, limit },
            BookAsk::OutboxTodo { after: None, limit },
        ] {
            assert_eq!(code(&minicbor::to_vec(&huge).unwrap()), sorry::LIMIT, "{huge:?}");
        }
    }
    let long = BookAsk::SetAddress { id: ENDPOINT, address: "x".repeat(100_000) };
    assert_eq!(code(&minicbor::to_vec(&long).unwrap()), sorry::LIMIT);
}

/// A console that names somebody else as the author, in a field that there is none of: passed over,
/// as every field of a later version is.
#[test]
fn unknown_fields_are_passed_over_and_name_nobody() {
    let (store, _folder) = seeded();
    let mut bytes = Vec::new();
    let mut e = Encoder::new(&mut bytes);
    e.array(2).unwrap().u32(28).unwrap().array(4).unwrap();
    e.u64(1).unwrap().encode(TicketState::Closed).unwrap();
    e.str("b.chef").unwrap().array(1).unwrap().str("more").unwrap();
    answer(&store, &agent(), &bytes, NOW, &samples::Fixed, &samples::Fixed).unwrap();
    assert_eq!(store.ticket(1).unwrap().state, TicketState::Closed);
    // And an opened secret is the peer's, whoever the frame names.
    let other = Peer { name: "c.other".parse().unwrap(), administrator: false };
    let mut bytes = Vec::new();
    let mut e = Encoder::new(&mut bytes);
    e.array(2).unwrap().u32(9).unwrap().array(2).unwrap();
    e.encode(samples::run()).unwrap().encode(agent().name).unwrap();
    assert_eq!(
        answer(&store, &other, &bytes, NOW, &samples::Fixed, &samples::Fixed).unwrap_err().code,
        sorry::FORBIDDEN
    );
}

/// What a taken desk may send instead of an answer.
#[derive(Debug)]
struct Taken(Mutex<Vec<Vec<DeskAnswer>>>);

impl Ask for Taken {
    fn desk(&self) -> &'static str {
        "taken"
    }
    fn ask(&self, _: Vec<DeskAsk>) -> Result<Vec<DeskAnswer>, LineFault> {
        Ok(self.0.lock().unwrap().pop().unwrap_or_default())
    }
}

#[test]
fn answers_that_are_none_are_not_believed() {
    let part = |bytes: &[u8], last| DeskAnswer::Book { answer: Bytes(bytes.to_vec()), last };
    let good = minicbor::to_vec(Some(7u64)).unwrap();
    let cases = vec![
        vec![],
        vec![part(&good, false)],
        vec![part(&good, true), part(b"", true)],
        vec![part(b"\xff", true)],
        vec![part(&[good.clone(), vec![0]].concat(), true)],
        vec![DeskAnswer::Recalled { was_running: true }],
    ];
    let count = cases.len();
    let line = Books::from(Line::new(Taken(Mutex::new(cases))));
    for _ in 0..count {
        let error = line.last_ticket().unwrap_err();
        assert!(matches!(error, BookError::Line(LineFault::Unexpected { .. })), "{error:?}");
    }
    let no = DeskAnswer::Sorry { code: "new-code".into(), sentence: "x".repeat(9000), next: None };
    let line = Books::from(Line::new(Taken(Mutex::new(vec![vec![no]]))));
    let error = line.last_ticket().unwrap_err();
    assert!(error.to_string().len() <= limits::SAY_CHARS_MAX, "{error}");
}

#[test]
fn another_row_than_was_asked_for_is_no_answer() {
    use crate::inventory::{Typed, Unclear, find_endpoint, find_run, find_ticket};
    fn told<T: minicbor::Encode<()>>(row: &T) -> Vec<DeskAnswer> {
        vec![DeskAnswer::Book { answer: Bytes(minicbor::to_vec(row).unwrap()), last: true }]
    }
    let (store, _folder) = seeded();
    let nothing = told(&Vec::<()>::new());
    // Said from the last to the first.
    let books = |said: Vec<Vec<DeskAnswer>>| Books::from(Line::new(Taken(Mutex::new(said))));

    let machine: Vec<_> = store.endpoint(&ENDPOINT).unwrap().into_iter().collect();
    let typed = Typed { found: machine, nearest: Vec::new() };
    let found = find_endpoint(&books(vec![told(&typed)]), "pc-9");
    assert!(matches!(found, Err(Unclear::Unknown { kind: "endpoint", .. })), "{found:?}");
    // A beginning names nothing at a shared desk; the whole name does.
    let name = typed.found[0].name.as_str();
    assert_eq!(find_endpoint(&books(vec![told(&typed)]), name).unwrap().id, ENDPOINT);
    match find_endpoint(&books(vec![told(&typed)]), name.get(..2).unwrap()) {
        Err(Unclear::Unknown { candidates, .. }) => assert_eq!(candidates, [name]),
        other => panic!("{other:?}"),
    }
    let rows = vec![store.run(&samples::run()).unwrap().unwrap()];
    let found = find_run(&books(vec![nothing.clone(), told(&rows)]), "zzzzzzzz");
    assert!(matches!(found, Err(Unclear::None { kind: "run" })), "{found:?}");
    let ticket = store.ticket(1).unwrap();
    let found = find_ticket(&books(vec![nothing, told(&ticket), told(&Some(2u64))]), "2");
    assert!(matches!(found, Err(Unclear::Unknown { kind: "ticket", .. })), "{found:?}");
}

#[test]
fn every_operation_is_its_vector() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("desk.db")).unwrap();
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/books.json");
    let text = std::fs::read_to_string(place).unwrap();
    let frozen: Vec<(String, String, String)> = serde_json::from_str(&text).unwrap();
    assert_eq!(frozen, samples::vectors(&store));
}

#[test]
fn the_counter_greets_only_who_speaks_its_version() {
    let (store, _folder) = seeded();
    let organisation = "demo".parse().unwrap();
    let (versions, files) = (CatalogueVersions::default(), Files::new());
    let (checks, people) = (&samples::Fixed, &samples::Fixed);
    let (store, organisation, files) = (&store, &organisation, &files);
    let counter = Counter { store, organisation, versions, files, checks, people };
    let hello = |min, max| counter.answer(&agent(), &DeskAsk::Hello { min, max }, NOW).unwrap();
    assert!(matches!(hello(1, 3).unwrap()[..], [DeskAnswer::Hello { min: 1, max: 1, .. }]));
    assert_eq!(hello(2, 3).unwrap_err().code, sorry::STATE);
    let meet = DeskAsk::Meet { endpoint: ENDPOINT };
    assert!(counter.answer(&agent(), &meet, NOW).is_none());
}

/// Without a shared desk nothing else is opened, and with one no store is.
#[test]
fn the_store_itself_is_only_at_the_desk() {
    let (store, _folder) = seeded();
    assert!(Books::from(store).here().is_ok());
    let line = Books::from(Line::new(Taken(Mutex::default())));
    assert!(matches!(line.here(), Err(BookError::Elsewhere { .. })));
}

#[test]
fn an_order_that_asks_is_its_agents_and_an_answer_its_persons() {
    let (order, yes) = samples::asking();
    let (paper, plan) = (|e: &protocol::Envelope| Bytes(e.write().unwrap()), Bytes(b"{}".to_vec()));
    both(|books, _| {
        let add = |plan: &Bytes, by: &str| {
            let by = by.parse().unwrap();
            books.add_request(paper(&order), plan.clone(), samples::run(), 1, by, NOW)
        };
        assert!(add(&Bytes(b"[]".to_vec()), "a.kaya").is_err(), "not its plan");
        assert!(add(&plan, "m.ruiz").is_err(), "not theirs");
        let asks = add(&plan, "a.kaya").unwrap();
        assert_eq!(add(&plan, "a.kaya").unwrap(), asks, "once more is the same");
        assert!(books.add_approval(paper(&yes), "m.ruiz".parse().unwrap(), NOW).is_err());
        assert!(books.add_approval(paper(&order), agent().name, NOW).is_err(), "no answer");
        assert!(books.add_approval(paper(&yes), agent().name, NOW).unwrap());
        let row = books.requests(NOW).unwrap().pop().unwrap();
        assert_eq!((row.order, row.wanted, row.answers.len()), (order.digest(), 1, 1));
        assert_eq!(row.endpoint_name.as_deref(), Some("lt-4411"));
        let papers = books.request_papers(asks).unwrap().unwrap();
        assert_eq!((&papers.order, &papers.plan), (&paper(&order), &plan));
        assert_eq!(papers.answers, [paper(&yes)]);
        // Over a line the desk's own clock counts.
        if books.line().is_none() {
            assert_eq!(books.requests(NOW.plus(3601)).unwrap(), [], "it is over");
        }
        let ended = books.end_request(asks, "m.ruiz".parse().unwrap());
        assert!(!ended.unwrap_or(false), "not theirs");
        assert!(books.end_request(asks, agent().name).unwrap());
        assert!(!books.add_approval(paper(&yes), agent().name, NOW).unwrap(), "asks no more");
        assert_eq!(books.request_papers(asks).unwrap(), None);
    });
}

#[test]
fn broken_glass_is_reviewed_once_and_by_another_person() {
    // The seeded order is a.kaya's.
    both(|books, store| {
        let row = books.broken_glass(true).unwrap().pop().unwrap();
        assert_eq!((row.order, row.agent, row.key.as_str()), (ORDER, agent().name, "safe-1"));
        assert_eq!(store.count_glass().unwrap(), (1, 1));
        assert!(!books.review_glass(ORDER, agent().name, NOW).unwrap(), "their own");
        // In another's name nobody says it over a line.
        let other = books.review_glass(ORDER, administrator().name, NOW);
        assert_eq!(other.is_ok_and(|kept| kept), books.line().is_none());
        assert_eq!(books.broken_glass(true).unwrap().len(), usize::from(books.line().is_some()));
        assert_eq!(books.broken_glass(false).unwrap().len(), 1);
    });
    both_as_administrator(|books| {
        let by = administrator().name;
        assert!(!books.review_glass(Digest([0; 32]), by.clone(), NOW).unwrap(), "no such order");
        assert!(!books.review_glass(samples::WAITS, by.clone(), NOW).unwrap(), "whole");
        assert!(books.review_glass(ORDER, by.clone(), NOW).unwrap());
        assert!(!books.review_glass(ORDER, by.clone(), NOW.plus(1)).unwrap(), "once");
        assert_eq!(books.broken_glass(true).unwrap(), []);
        let row = books.broken_glass(false).unwrap().pop().unwrap();
        assert_eq!((row.reviewed_by, row.reviewed), (Some(by), Some(NOW)));
    });
}
