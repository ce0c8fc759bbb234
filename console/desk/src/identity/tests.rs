//! Codes, from the asking to the desk's word: here and over a line, by the right agent and by others.

use std::sync::Mutex;

use protocol::documents::{ContactKind, TicketState};
use protocol::frames::{DeskAnswer, DeskAsk, decode, encode, sorry};
use protocol::{EndpointId, ScriptName, TicketId, limits};
use store::{CodeFor, NewTicketRow, Store};

use super::*;
use crate::books::samples::{self, NOW, administrator, agent, seed};
use crate::books::{Ask, BookError, Books, Counter, Line, LineFault, Peer};
use crate::home::{write_public, write_secret};

/// A desk whose sender keeps what it is given, and whose codes are 000001, 000002 and so on.
#[derive(Debug, Default)]
struct Office {
    sent: Mutex<Vec<(String, String)>>,
    made: Mutex<u32>,
    fails: bool,
    no_sender: bool,
}

impl Checks for &'static Office {
    fn key(&self) -> Result<SigningKey, CodeError> {
        Ok(SigningKey::from_seed([32; 32]))
    }
    fn post(&self) -> Result<Box<dyn Post>, CodeError> {
        if self.no_sender { Err(CodeError::NoSender) } else { Ok(Box::new(*self)) }
    }
    fn code(&self) -> Result<(Zeroizing<String>, [u8; 16]), CodeError> {
        let mut made = self.made.lock().unwrap();
        *made += 1;
        Ok((Zeroizing::new(format!("{made:06}")), [7; 16]))
    }
}

impl Post for &'static Office {
    fn send(&self, message: &Message<'_>) -> Result<(), PostError> {
        if self.fails {
            return Err(PostError::Refused(550));
        }
        self.sent.lock().unwrap().push((message.to.to_owned(), message.code.to_owned()));
        Ok(())
    }
}

fn office(office: Office) -> &'static Office {
    Box::leak(Box::new(office))
}

/// A line without a network, at a time that the test moves.
#[derive(Debug)]
struct Memory {
    store: Store,
    peer: Peer,
    office: &'static Office,
    now: &'static Mutex<Time>,
}

impl Ask for Memory {
    fn desk(&self) -> &'static str {
        "memory"
    }
    fn ask(&self, asks: Vec<DeskAsk>) -> Result<Vec<DeskAnswer>, LineFault> {
        let organisation = "demo".parse().unwrap();
        let files = trust::catalogue::Files::new();
        let counter = Counter {
            store: &self.store,
            organisation: &organisation,
            versions: Default::default(),
            files: &files,
            checks: &self.office,
            people: &samples::Fixed,
        };
        let frame = encode(&asks[0], limits::FRAME_BYTES_MAX).unwrap();
        let ask: DeskAsk = decode(&frame[4..]).unwrap();
        let answered = counter.answer(&self.peer, &ask, *self.now.lock().unwrap()).unwrap();
        Ok(answered.unwrap_or_else(|no| vec![no.into()]))
    }
}

/// Books of one agent at a desk, and the desk's own handle on them.
struct Room {
    books: Books,
    store: Store,
    office: &'static Office,
    now: &'static Mutex<Time>,
    ticket: u64,
    path: std::path::PathBuf,
    over_a_line: bool,
    _folder: tempfile::TempDir,
}

fn script() -> ScriptName {
    "user.password.reset".parse().unwrap()
}

fn mail(address: &str) -> Contact {
    Contact { kind: ContactKind::Mail, address: address.to_owned() }
}

/// Without a contact.
fn bare(over_a_line: bool, made: Office) -> Room {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("desk.db");
    let store = Store::create(&path).unwrap();
    seed(&store);
    let ticket = store.add_ticket(&samples::ticket(9), NOW).unwrap();
    let now: &'static Mutex<Time> = Box::leak(Box::new(Mutex::new(NOW)));
    let office = office(made);
    let own = Store::open(&path).unwrap();
    let books: Books = match over_a_line {
        true => Line::new(Memory { store: own, peer: agent(), office, now }).into(),
        false => own.into(),
    };
    Room { books, store, office, now, ticket, path, over_a_line, _folder: folder }
}

fn room(over_a_line: bool) -> Room {
    let room = bare(over_a_line, Office::default());
    let long_ago = NOW.minus(90 * 86_400);
    set(&room.store, "jo.meyer", &mail("jo.meyer@example.com"), &administrator().name, long_ago)
        .unwrap();
    room
}

impl Room {
    fn now(&self) -> Time {
        *self.now.lock().unwrap()
    }
    fn later(&self, seconds: u64) {
        let mut now = self.now.lock().unwrap();
        *now = now.plus(seconds);
    }
    fn ask(&self) -> Result<CodeAsked, BookError> {
        self.ask_for(None)
    }
    fn ask_for(&self, endpoint: Option<EndpointId>) -> Result<CodeAsked, BookError> {
        let (now, me) = (self.now(), agent().name);
        self.books.ask_code(self.ticket, script(), me, endpoint, now, &self.office)
    }
    fn say(&self, code: &str) -> CodeSaid {
        let said = SpokenCode::new(code);
        let now = self.now();
        self.books.say_code(self.ticket, script(), said, agent().name, now, &self.office).unwrap()
    }
    fn id(&self) -> TicketId {
        self.ticket.to_string().parse().unwrap()
    }
    fn check(&self) -> Option<protocol::documents::IdentityCheck> {
        let (ticket, agent, script) = (self.id(), agent().name, script());
        let of = CodeFor { ticket: &ticket, agent: &agent, script: &script };
        self.store.identity_check(of, None, self.now()).unwrap()
    }
    /// What the last code was.
    fn code(&self) -> String {
        self.office.sent.lock().unwrap().last().unwrap().1.clone()
    }
}

fn both(test: impl Fn(Room)) {
    test(room(false));
    test(room(true));
}

fn code_of(error: &BookError) -> String {
    match error {
        BookError::Code(error) => error.code().to_owned(),
        BookError::Desk(no) => no.code.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_code_that_was_said_is_the_desks_word_and_the_store_never_had_it() {
    both(|room| {
        let CodeAsked::Sent { contact, until } = room.ask().unwrap() else { panic!("none sent") };
        assert_eq!(contact.masked, "j…@example.com");
        assert!(!contact.is_young(room.now()));
        assert_eq!(until, NOW.plus(limits::CODE_SECONDS));
        let sent = room.office.sent.lock().unwrap().clone();
        assert_eq!(sent, [("jo.meyer@example.com".to_owned(), "000001".to_owned())]);
        assert_eq!(room.check(), None, "nothing is checked by sending");
        room.later(60);
        // As people read digits aloud.
        assert_eq!(room.say(" 000-001 "), CodeSaid::Right);
        let check = room.check().unwrap();
        assert_eq!((check.person.as_str(), check.at), ("jo.meyer", NOW.plus(60)));
        assert_eq!((check.agent, check.script), (agent().name, script()));
        // Said once, it is over; and whoever runs the same again is not asked again.
        assert_eq!(room.say("000001"), CodeSaid::Over);
        let stands = CodeAsked::Stands { at: NOW.plus(60), masked: "j…@example.com".into() };
        assert_eq!(room.ask().unwrap(), stands);
        room.later(limits::IDENTITY_CHECK_SECONDS - 899);
        assert!(matches!(room.ask().unwrap(), CodeAsked::Sent { .. }));
        for file in std::fs::read_dir(room.path.parent().unwrap()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let there = |needle: &[u8]| bytes.windows(needle.len()).any(|found| found == needle);
            assert!(!there(b"000001") && !there(b"000002"), "the store holds a code");
        }
    });
}

#[test]
fn three_tries_ten_minutes_one_code_a_ticket() {
    both(|room| {
        room.ask().unwrap();
        assert_eq!(room.say("000002"), CodeSaid::Wrong { left: 2 });
        assert_eq!(room.say("000003"), CodeSaid::Wrong { left: 1 });
        assert_eq!(room.say("000004"), CodeSaid::Wrong { left: 0 });
        assert_eq!(room.say("000001"), CodeSaid::Over, "the right one comes too late");
        room.ask().unwrap();
        room.later(limits::CODE_SECONDS + 1);
        assert_eq!(room.say("000002"), CodeSaid::Over, "its time is over");
        room.ask().unwrap();
        room.ask().unwrap();
        assert_eq!(room.say("000003"), CodeSaid::Wrong { left: 2 }, "another one was sent since");
        assert_eq!(room.say("000004"), CodeSaid::Right);
        assert_eq!(room.say("000004"), CodeSaid::Over);
    });
}

#[test]
fn a_person_gets_five_codes_an_hour_whoever_asks() {
    both(|room| {
        for _ in 0..limits::CODES_AN_HOUR {
            room.ask().unwrap();
            room.later(60);
        }
        let other = room.store.add_ticket(&samples::ticket(10), NOW).unwrap();
        for ticket in [room.ticket, other] {
            let (by, now) = (agent().name, room.now());
            let many =
                room.books.ask_code(ticket, script(), by, None, now, &room.office).unwrap_err();
            assert_eq!(code_of(&many), sorry::LIMIT, "{many}");
            assert!(many.to_string().contains("jo.meyer"), "{many}");
        }
        assert_eq!(room.office.sent.lock().unwrap().len(), 5);
        room.later(3600 - 5 * 60 + 1);
        room.ask().unwrap();
    });
}

#[test]
fn what_is_missing_is_said_before_anything_is_sent() {
    for over_a_line in [false, true] {
        let nothing = bare(over_a_line, Office::default());
        let no = nothing.ask().unwrap_err();
        assert!(no.to_string().contains("no contact is on file for `jo.meyer`"), "{no}");
        let nobody = NewTicketRow { requester: None, ..samples::ticket(11) };
        let ticket = nothing.store.add_ticket(&nobody, NOW).unwrap();
        let ask = |ticket| {
            nothing
                .books
                .ask_code(ticket, script(), agent().name, None, NOW, &nothing.office)
                .unwrap_err()
        };
        assert!(ask(ticket).to_string().contains("is for nobody"));
        let theirs = NewTicketRow { assignee: "m.ruiz".parse().ok(), ..samples::ticket(12) };
        let ticket = nothing.store.add_ticket(&theirs, NOW).unwrap();
        assert!(ask(ticket).to_string().contains("is m.ruiz's"));
        let ticket = nothing.store.add_ticket(&samples::ticket(13), NOW).unwrap();
        nothing.store.set_ticket_state(ticket, TicketState::Closed, NOW).unwrap();
        assert!(ask(ticket).to_string().contains("is closed"));
        assert!(ask(4_000).is_not_found());
        let (by, address) = (administrator().name, mail("jo.meyer@example.com"));
        let no_sender = bare(over_a_line, Office { no_sender: true, ..Office::default() });
        set(&no_sender.store, "jo.meyer", &address, &by, NOW).unwrap();
        let no = no_sender.ask().unwrap_err();
        assert!(no.to_string().contains("no sender"), "{no}");
        let fails = bare(over_a_line, Office { fails: true, ..Office::default() });
        set(&fails.store, "jo.meyer", &address, &by, NOW).unwrap();
        // It did not leave: it counts for nothing, however often.
        for _ in 0..2 * limits::CODES_AN_HOUR {
            let no = fails.ask().unwrap_err();
            assert_eq!(
                (code_of(&no).as_str(), no.to_string().as_str()),
                (sorry::NOT_SENT, "could not send a code")
            );
        }
        assert_eq!(fails.say("000001"), CodeSaid::Over);
    }
}

#[test]
fn nobody_else_and_nothing_else_rests_on_a_code() {
    let room = room(true);
    room.ask().unwrap();
    let code = room.code();
    let ruiz = Peer { name: "m.ruiz".parse().unwrap(), administrator: true };
    let line = |peer: &Peer| -> Books {
        let store = Store::open(&room.path).unwrap();
        Line::new(Memory { store, peer: peer.clone(), office: room.office, now: room.now }).into()
    };
    let theirs = line(&ruiz);
    let say = |books: &Books, ticket, script: &str, by: &AgentName| {
        let said = SpokenCode::new(&code);
        books.say_code(ticket, script.parse().unwrap(), said, by.clone(), room.now(), &room.office)
    };
    let (mine, reset) = (agent().name, "user.password.reset");
    // In my name nobody says anything; in their own there is no code.
    assert_eq!(code_of(&say(&theirs, room.ticket, reset, &mine).unwrap_err()), sorry::FORBIDDEN);
    assert_eq!(say(&theirs, room.ticket, reset, &ruiz.name).unwrap(), CodeSaid::Over);
    let ask = theirs.ask_code(room.ticket, script(), mine.clone(), None, room.now(), &room.office);
    assert_eq!(code_of(&ask.unwrap_err()), sorry::FORBIDDEN);
    assert_eq!(say(&room.books, room.ticket, "cache.clear", &mine).unwrap(), CodeSaid::Over);
    assert_eq!(say(&room.books, 1, reset, &mine).unwrap(), CodeSaid::Over);
    assert_eq!(room.say(&code), CodeSaid::Right);
    let found = |ticket: &str, by: &AgentName, script: &str, at: Time| {
        let (ticket, script) = (ticket.parse().unwrap(), script.parse().unwrap());
        let of = CodeFor { ticket: &ticket, agent: by, script: &script };
        room.store.identity_check(of, None, at).unwrap().is_some()
    };
    let (own, now) = (room.id(), room.now());
    assert!(found(own.as_str(), &mine, reset, now));
    assert!(!found("1", &mine, reset, now));
    assert!(!found(own.as_str(), &ruiz.name, reset, now));
    assert!(!found(own.as_str(), &mine, "cache.clear", now));
    assert!(found(own.as_str(), &mine, reset, now.plus(limits::IDENTITY_CHECK_SECONDS)));
    assert!(!found(own.as_str(), &mine, reset, now.plus(limits::IDENTITY_CHECK_SECONDS + 1)));
    assert!(!found(own.as_str(), &mine, reset, now.minus(limits::CLOCK_SKEW_SECONDS + 1)));
}

#[test]
fn a_code_for_one_machine_is_none_for_another() {
    both(|room| {
        let (here, there) = (EndpointId([1; 16]), EndpointId([2; 16]));
        room.ask_for(Some(here)).unwrap();
        assert_eq!(room.say(&room.code()), CodeSaid::Right);
        let (ticket, agent, script) = (room.id(), agent().name, script());
        let of = CodeFor { ticket: &ticket, agent: &agent, script: &script };
        let found = |endpoint| room.store.identity_check(of, endpoint, room.now()).unwrap();
        assert_eq!(found(Some(here)).unwrap().endpoint, Some(here));
        assert_eq!((found(Some(there)), found(None)), (None, None));
        assert!(matches!(room.ask_for(Some(here)).unwrap(), CodeAsked::Stands { .. }));
        assert!(matches!(room.ask_for(Some(there)).unwrap(), CodeAsked::Sent { .. }));
    });
}

#[test]
fn only_administrators_set_contacts_in_their_own_name_and_nobody_sees_an_address() {
    let room = bare(true, Office::default());
    assert!(room.over_a_line);
    let line = |peer: Peer| -> Books {
        let store = Store::open(&room.path).unwrap();
        Line::new(Memory { store, peer, office: room.office, now: room.now }).into()
    };
    let (boss, jo) = (line(administrator()), || "jo.meyer".to_owned());
    let set = |books: &Books, address: &str, by: &AgentName| {
        books.set_contact(jo(), mail(address), by.clone(), room.now())
    };
    let forbidden =
        |result: Result<(), BookError>| code_of(&result.unwrap_err()) == sorry::FORBIDDEN;
    assert!(forbidden(set(&room.books, "jo.meyer@example.com", &agent().name)));
    assert!(forbidden(set(&boss, "jo.meyer@example.com", &agent().name)), "in an agent's name");
    assert!(forbidden(room.books.remove_contact(jo()).map(drop)));
    let no = set(&boss, "jo.meyer@example.com\r\nBcc: x@y", &administrator().name).unwrap_err();
    assert_eq!(code_of(&no), sorry::LIMIT);
    assert!(!no.to_string().contains("example.com"), "{no}");
    set(&boss, "jo.meyer@example.com", &administrator().name).unwrap();
    room.later(limits::CONTACT_YOUNG_SECONDS);
    let one = &room.books.contacts().unwrap()[0];
    assert_eq!((one.person.as_str(), one.contact.masked.as_str()), ("jo.meyer", "j…@example.com"));
    assert_eq!((&one.contact.set_by, one.contact.set_at), (&administrator().name, NOW));
    assert!(!one.contact.is_young(room.now()));
    // The same again is no change; another one is, and is young.
    set(&boss, "jo.meyer@example.com", &administrator().name).unwrap();
    assert_eq!(room.books.contacts().unwrap()[0].contact.set_at, NOW);
    set(&boss, "j.m@example.org", &administrator().name).unwrap();
    let CodeAsked::Sent { contact, .. } = room.ask().unwrap() else { panic!("none sent") };
    assert!(contact.is_young(room.now()));
    assert_eq!(contact.masked, "j…@example.org");
    assert_eq!(room.say(&room.code()), CodeSaid::Right);
    assert!(room.check().unwrap().is_young());
    assert!(boss.remove_contact(jo()).unwrap() && !boss.remove_contact(jo()).unwrap());
    assert!(room.books.contacts().unwrap().is_empty());
}

#[test]
fn every_digit_is_as_likely_as_every_other() {
    let from = |number: u32| {
        let code = codes::digits(|| Ok(number.to_le_bytes())).unwrap();
        code.as_str().to_owned()
    };
    assert_eq!(from(0), "000000");
    assert_eq!(from(604_118), "604118");
    assert_eq!(from(1_000_042), "000042");
    // The last, not whole round is drawn again.
    let drawn = Mutex::new(vec![7_u32, u32::MAX]);
    let code = codes::digits(|| Ok(drawn.lock().unwrap().pop().unwrap().to_le_bytes())).unwrap();
    assert_eq!(code.as_str(), "000007");
}

#[test]
fn what_is_typed_is_a_code_or_is_told_before_it_costs_a_try() {
    for (typed, good) in [
        ("604118", true),
        ("604 118", true),
        ("60411", false),
        ("60411x", false),
        ("", false),
        ("6041188", false),
        ("６０４１１８", false),
    ] {
        assert_eq!(SpokenCode::new(typed).is_plausible(), good, "{typed}");
    }
    assert_eq!(format!("{:?}", SpokenCode::new("604118")), "SpokenCode(hidden)");
    assert!(!format!("{:?}", mail("jo@example.com")).contains("jo"));
}

#[test]
fn a_folder_takes_messages_that_only_its_owner_reads_and_a_login_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    assert!(matches!(home.post().unwrap_err(), CodeError::NoSender));
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let text = b"send = \"file:out\"\nfrom = \"desk@example.com\"\n";
    write_public(&home.mail_file(), text).unwrap();
    let ticket = "1482".parse().unwrap();
    let message = Message {
        to: "jo.meyer@example.com",
        agent: &agent().name,
        ticket: &ticket,
        code: "604118",
        until: NOW.plus(600),
        now: NOW,
    };
    assert!(!format!("{message:?}").contains("604118"));
    home.post().unwrap().send(&message).unwrap();
    let file = std::fs::read_dir(folder.path().join("out")).unwrap().next().unwrap().unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file.path()).unwrap();
    for part in [
        "From: desk@example.com\r\nTo: jo.meyer@example.com\r\nDate: Sun, 22 Nov 2026 10:40:00 +0000\r\n",
        "\r\n\r\na.kaya of the help desk",
        "(ticket 1482)",
        "\r\n    604118\r\n",
        "until 10:50:00Z",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(text.is_ascii() && text.lines().all(|line| line.len() < 998));
    let post = |send: &str, login: Option<&str>| {
        let (send, from) = (send.to_owned(), "desk@example.com".to_owned());
        Sending { send, from, login: login.map(Into::into) }.post(folder.path())
    };
    for bad in [
        "",
        "mail.example.com",
        "smtp://mail.example.com",
        "smtp://:25",
        "smtp://u@h:25",
        "http://h:25",
        "file:",
        "smtp://h:x",
    ] {
        assert!(matches!(post(bad, None), Err(PostError::Setting { key: "send", .. })), "{bad}");
    }
    let login = folder.path().join("login");
    write_secret(&login, b"desk\nsecret words\n").unwrap();
    std::fs::set_permissions(&login, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        post("smtp://h:25", Some("login")),
        Err(PostError::Setting { key: "login", .. })
    ));
    std::fs::set_permissions(&login, std::fs::Permissions::from_mode(0o600)).unwrap();
    let smtp = post("smtp://h:25/", Some("login")).unwrap();
    assert!(format!("{smtp:?}").contains("desk") && !format!("{smtp:?}").contains("secret words"));
    write_secret(&login, b"desk\n").unwrap();
    assert!(post("smtp://h:25", Some("login")).is_err());
}

/// A real mail server of the fixtures, ended with the test.
struct Mail {
    child: std::process::Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Mail {
    #[expect(clippy::disallowed_methods, reason = "the test's own mail server")]
    fn start(more: &[&str]) -> Self {
        use std::io::BufRead as _;
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/mail.py"))
            .arg(folder.path())
            .args(more)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap(), folder }
    }

    fn send(&self, host: &str, login: Option<&str>) -> Result<(), PostError> {
        let home = tempfile::tempdir().unwrap();
        let words = login.unwrap_or_default().as_bytes();
        write_secret(&home.path().join("login"), words).unwrap();
        let sending = Sending {
            send: format!("smtp://{host}:{}", self.port),
            from: "desk@example.com".to_owned(),
            login: login.map(|_| "login".into()),
        };
        let ticket = "1482".parse().unwrap();
        let post = sending.post(home.path()).unwrap();
        post.send(&Message {
            to: "jo.meyer@example.com",
            agent: &agent().name,
            ticket: &ticket,
            code: "604118",
            until: NOW.plus(600),
            now: NOW,
        })
    }

    fn kept(&self) -> Vec<String> {
        let all = std::fs::read_dir(self.folder.path()).unwrap();
        all.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_mail_server_on_this_machine_takes_a_code_without_tls() {
    let plain = Mail::start(&[]);
    for host in ["localhost", "127.0.0.1"] {
        plain.send(host, None).unwrap();
    }
    let kept = plain.kept();
    assert_eq!(kept.len(), 2);
    for text in kept {
        let head = "MAIL FROM:<desk@example.com>\nRCPT TO:<jo.meyer@example.com>\n\
                    tls=False user=None\nFrom: desk@example.com\r\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("\r\n    604118\r\n"), "{text}");
    }
    let login = Mail::start(&["--login", "desk:secret words"]);
    login.send("localhost", Some("desk\nsecret words\n")).unwrap();
    assert!(login.kept()[0].contains("user=desk"));
    let wrong = login.send("localhost", Some("desk\nother words\n")).unwrap_err();
    assert!(matches!(wrong, PostError::Login), "{wrong:?}");
    let refusing = Mail::start(&["--refuse", "jo.meyer"]);
    let no = refusing.send("localhost", None).unwrap_err();
    // The server's own words name the address.
    assert_eq!(no.to_string(), "the mail server said no (550)");
    assert_eq!((login.kept().len(), refusing.kept().len()), (1, 0));
}

#[test]
fn no_code_leaves_this_machine_without_tls() {
    // It leads to this machine, and does not say so.
    let server = Mail::start(&[]);
    let no = server.send("0.0.0.0", None).unwrap_err();
    assert!(matches!(no, PostError::NoTls), "{no:?}");
    assert!(server.kept().is_empty());
}
