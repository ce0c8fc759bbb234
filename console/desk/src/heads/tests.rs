//! What does not fit is found by whoever saw more, told and kept, and nobody is accused falsely.

use policy::Policy;
use protocol::documents::Misfit::{Anew, Forked, Rewound};
use protocol::error_chain::ErrorChain;
use protocol::frames::{DeskAnswer, DeskAsk};
use store::{NewEndpoint, Store};
use trust::{Signer as _, SigningKey};

use super::*;
use crate::books::{Ask, Line, LineFault, Peer, answer, samples};
use crate::home::{Home, OwnKey};
use crate::session::Signing;
use crate::session::double::{House, Quirk, house, now};

const fn head(epoch: u8, counter: u64, hash: u8) -> Head {
    Head { epoch: Digest([epoch; 32]), counter, hash: Digest([hash; 32]) }
}

/// Meets the machine, which shows this head `after` seconds; what does not fit.
async fn meets(house: &House, books: &Books, head: Head, after: u64) -> Option<Doubt> {
    let at = now().plus(after);
    house.seen.lock().unwrap().shows = Some((head, at));
    let compared = tries(house, books, at).await;
    assert!(compared.troubles.is_empty(), "{:?}", compared.troubles);
    compared.doubt
}

async fn tries(house: &House, books: &Books, at: Time) -> Compared {
    let session = Session::open(&house.agent, &house.row, at).await.unwrap();
    let compared = compare(books, &house.agent, &session);
    session.leave().await;
    compared
}

/// A shared desk without a network, or one that answers nothing.
#[derive(Debug)]
struct Far {
    store: Option<Store>,
    name: AgentName,
    policy: Policy,
}

impl Ask for Far {
    fn desk(&self) -> &'static str {
        "far"
    }
    fn ask(&self, asks: Vec<DeskAsk>) -> Result<Vec<DeskAnswer>, LineFault> {
        let Some(store) = &self.store else {
            return Err(LineFault::Unexpected { desk: "far".to_owned() });
        };
        let [DeskAsk::Book { ask }] = asks.as_slice() else { panic!("{asks:?}") };
        let peer = Peer { name: self.name.clone(), administrator: false };
        let said = answer(store, &peer, &ask.0, now(), &samples::Fixed, &self.policy);
        Ok(match said {
            Ok(bytes) => vec![DeskAnswer::Book { answer: Bytes(bytes), last: true }],
            Err(no) => vec![no.into()],
        })
    }
}

fn far(house: &House, store: Option<Store>) -> Books {
    let policy = crate::catalogue::policy(&house.desk.home, now()).unwrap();
    Line::new(Far { store, name: house.agent.name.clone(), policy }).into()
}

/// The head and its hello as somebody says to have seen them.
fn said(session: &Session, by: &str, at: Time, key: &SigningKey) -> HeadPapers {
    let seen = SeenHead {
        endpoint: session.card().endpoint,
        head: session.hello().head,
        hello: session.hello().digest(),
        person: by.parse().unwrap(),
        seen: at,
    };
    let seen = Bytes(trust::seal::seal(&seen, &[key]).unwrap().write().unwrap());
    HeadPapers { seen, hello: Bytes(session.hello_envelope().to_vec()) }
}

/// What another console knows: a memory of its own.
fn other_console(house: &mut House, dir: &tempfile::TempDir, name: &str) {
    let home = Home::new(dir.path().join(name));
    crate::home::create_folder(home.path()).unwrap();
    house.agent.heads = home.heads(&house.agent.name);
}

/// A desk that has nothing but the machine: put back, or taken.
fn another_desk(house: &House, dir: &tempfile::TempDir, name: &str) -> Books {
    another_store(house, dir, name).into()
}

fn another_store(house: &House, dir: &tempfile::TempDir, name: &str) -> Store {
    let store = Store::create(&dir.path().join(name)).unwrap();
    let row = &house.row;
    let new = NewEndpoint {
        id: row.id,
        name: row.name.clone(),
        card: row.card.clone(),
        address: row.address.clone(),
        person: None,
        labels: row.labels.clone(),
        host: None,
        platform: None,
    };
    store.add_endpoint(&new, now()).unwrap();
    store
}

fn told(books: &Books) -> Vec<(Misfit, u64, u64)> {
    let one = |row: DoubtRow| {
        let Doubt { misfit, had, shows } = row.doubt;
        (misfit, had.head.counter, shows.head.counter)
    };
    books.doubts().unwrap().into_iter().map(one).collect()
}

#[tokio::test]
async fn a_ledger_that_went_back_is_found_by_whoever_saw_more_or_is_told_by_them() {
    let (mut house, machine) = house(Quirk::None);
    let mut machines = tokio::task::JoinSet::new();
    machines.spawn(machine.serve());
    let dir = tempfile::tempdir().unwrap();
    let desk = another_desk(&house, &dir, "desk.db");
    assert_eq!(meets(&house, &desk, head(1, 5, 5), 0).await, None);
    assert_eq!(meets(&house, &desk, head(1, 8, 8), 1).await, None);
    assert_eq!(meets(&house, &desk, head(1, 8, 8), 2).await, None);

    // The one that saw more knows it by itself, whatever a desk says; and it says it from then on.
    let taken = another_desk(&house, &dir, "taken.db");
    let doubt = meets(&house, &taken, head(1, 6, 6), 3).await.unwrap();
    assert_eq!((doubt.misfit, doubt.had.head.counter), (Rewound, 8));
    assert_eq!(doubt.had.by, Some(house.agent.name.clone()));
    assert_eq!(meets(&house, &taken, head(1, 9, 9), 4).await, Some(doubt.clone()));
    // It handed in what it had seen, so that this desk knows it too.
    assert_eq!(told(&taken), [(Rewound, 8, 6)]);
    let words = words(&house.row.name, &doubt);
    assert!(words.starts_with("lt-4411 WENT BACK: a.kaya saw 8 records there on 2"), "{words}");
    assert!(words.contains("it showed 6.") && words.contains("hides records 7 to 8"), "{words}");

    // One that never met the machine is told by the desk that knows more.
    other_console(&mut house, &dir, "less");
    let doubt = meets(&house, &desk, head(1, 7, 7), 5).await.unwrap();
    assert_eq!((doubt.misfit, doubt.had.head.counter), (Rewound, 8));
    assert_eq!(told(&desk), [(Rewound, 8, 7)]);
    // And where nobody who saw more says so, it cannot know.
    other_console(&mut house, &dir, "least");
    let empty = another_desk(&house, &dir, "empty.db");
    assert_eq!(meets(&house, &empty, head(1, 7, 7), 6).await, None);
}

#[tokio::test]
async fn a_fork_at_one_place_and_a_ledger_that_began_anew_are_told() {
    let (mut house, machine) = house(Quirk::None);
    let mut machines = tokio::task::JoinSet::new();
    machines.spawn(machine.serve());
    let dir = tempfile::tempdir().unwrap();
    let desk = another_desk(&house, &dir, "desk.db");
    assert_eq!(meets(&house, &desk, head(1, 5, 5), 0).await, None);
    other_console(&mut house, &dir, "two");
    let doubt = meets(&house, &desk, head(1, 5, 6), 0).await.unwrap();
    assert_eq!(doubt.misfit, Forked);
    assert!(words(&house.row.name, &doubt).contains("SHOWS TWO PASTS"));
    assert_eq!(told(&desk), [(Forked, 5, 5)]);

    let desk = another_desk(&house, &dir, "anew.db");
    other_console(&mut house, &dir, "three");
    assert_eq!(meets(&house, &desk, head(1, 5, 5), 0).await, None);
    let doubt = meets(&house, &desk, head(2, 0, 2), 1).await.unwrap();
    assert_eq!(doubt.misfit, Anew);
    assert!(words(&house.row.name, &doubt).contains("BEGAN ANEW"));
}

#[tokio::test]
async fn a_record_that_verified_here_is_seen_as_a_head_is() {
    let (house, machine) = house(Quirk::None);
    let mut machines = tokio::task::JoinSet::new();
    machines.spawn(machine.serve());
    let dir = tempfile::tempdir().unwrap();
    let desk = another_desk(&house, &dir, "desk.db");
    assert_eq!(meets(&house, &desk, head(1, 5, 5), 0).await, None);
    let fixture = crate::verify::fixture::Fixture::default();
    let mut record = fixture.record(&fixture.order());
    let here = &mut record.predicate;
    (here.endpoint.id, here.epoch, here.counter) = (house.row.id, Digest([1; 32]), 6);
    here.ended = now();
    remember(&house.agent, &record, Digest([6; 32]), now());
    assert_eq!(meets(&house, &desk, head(1, 6, 6), 1).await, None);
    let doubt = meets(&house, &desk, head(1, 5, 5), 9).await.unwrap();
    assert_eq!((doubt.misfit, doubt.had.head.counter), (Rewound, 6));
}

#[tokio::test]
async fn what_was_found_is_told_and_kept_whatever_else_fails() {
    let (house, machine) = house(Quirk::None);
    let mut machines = tokio::task::JoinSet::new();
    machines.spawn(machine.serve());
    let dir = tempfile::tempdir().unwrap();
    let desk = another_desk(&house, &dir, "desk.db");
    assert_eq!(meets(&house, &desk, head(1, 8, 8), 0).await, None);
    let silent = far(&house, None);
    house.seen.lock().unwrap().shows = Some((head(1, 6, 6), now().plus(1)));
    let compared = tries(&house, &silent, now().plus(1)).await;
    assert_eq!(compared.doubt.as_ref().map(|doubt| doubt.misfit), Some(Rewound));
    assert_eq!(compared.troubles.len(), 1, "{:?}", compared.troubles);
    let kept = || house.agent.heads.of(&house.row.id).unwrap().unwrap().doubt;
    assert_eq!(kept(), compared.doubt);
    // One that gives heads out and takes none.
    let deaf = far(&house, Some(Store::create(&dir.path().join("deaf.db")).unwrap()));
    let compared = tries(&house, &deaf, now().plus(2)).await;
    let misfit = |doubt: Option<Doubt>| doubt.map(|doubt| (doubt.misfit, doubt.had.head.counter));
    assert_eq!(misfit(compared.doubt), misfit(kept()));
    assert_eq!(compared.troubles.len(), 2, "{:?}", compared.troubles);
}

#[tokio::test]
async fn a_key_that_would_have_to_ask_somebody_countersigns_nothing_and_the_memory_works() {
    let (mut house, machine) = house(Quirk::None);
    let mut machines = tokio::task::JoinSet::new();
    machines.spawn(machine.serve());
    let dir = tempfile::tempdir().unwrap();
    let desk = another_desk(&house, &dir, "desk.db");
    let (home, me) = (house.desk.home.clone(), house.agent.name.clone());
    let OwnKey::Clear(key) = home.own_key(&me).unwrap() else { panic!("it is clear") };
    home.keep_own_key(&me, &key, Some("correct horse battery")).unwrap();
    house.agent.signing = Signing::of(&home, &me, now()).unwrap();
    assert!(house.agent.signing.is_locked());
    assert_eq!(meets(&house, &desk, head(1, 8, 8), 0).await, None);
    assert_eq!(desk.heads(house.row.id).unwrap(), []);
    let doubt = meets(&house, &desk, head(1, 6, 6), 1).await.unwrap();
    assert_eq!((doubt.misfit, doubt.had.head.counter), (Rewound, 8));
    // Once it is open it countersigns what it meets.
    house.agent.signing.open(&home, &me, "correct horse battery").unwrap();
    meets(&house, &desk, head(1, 9, 9), 2).await.unwrap();
    assert_eq!(desk.heads(house.row.id).unwrap().len(), 1);

    home.keep_in_ssh_agent(&me, &key.public_key()).unwrap();
    house.agent.signing = Signing::of(&home, &me, now()).unwrap();
    meets(&house, &desk, head(1, 10, 10), 3).await.unwrap();
    assert_eq!(desk.heads(house.row.id).unwrap().len(), 1);
}

#[tokio::test]
async fn an_old_hello_that_a_desk_shows_again_accuses_nobody() {
    let (house, machine) = house(Quirk::None);
    let mut machines = tokio::task::JoinSet::new();
    machines.spawn(machine.serve());
    let dir = tempfile::tempdir().unwrap();
    let desk = another_desk(&house, &dir, "desk.db");
    let made = now().plus(9);
    assert_eq!(meets(&house, &desk, head(1, 8, 8), 10).await, None);
    house.seen.lock().unwrap().shows = Some((head(1, 6, 6), made));
    let compared = tries(&house, &desk, made.plus(900)).await;
    assert_eq!(compared.doubt, None);
    assert_eq!(told(&desk), []);
}

#[tokio::test]
async fn nobody_is_accused_on_a_shared_desks_word_alone() {
    let (mut house, machine) = house(Quirk::None);
    let mut machines = tokio::task::JoinSet::new();
    machines.spawn(machine.serve());
    let dir = tempfile::tempdir().unwrap();
    // The desk says that somebody saw more, without papers, or with a stranger's.
    let taken = || another_store(&house, &dir, "taken.db");
    let session = Session::open(&house.agent, &house.row, now()).await.unwrap();
    let stranger = SigningKey::from_seed([99; 32]);
    let junk = said(&session, "a.kaya", now(), &stranger);
    session.leave().await;
    let one = |head, after| {
        let at = now().plus(after);
        Sighting { head, clock: at, seen: at, by: Some(house.agent.name.clone()) }
    };
    let store = taken();
    let papers = Some((junk.seen.0.as_slice(), junk.hello.0.as_slice()));
    store.add_head(&house.row.id, &one(head(1, 9, 9), 1), papers, &|_| true).unwrap();
    store.add_head(&house.row.id, &one(head(1, 5, 5), 2), None, &|_| true).unwrap();
    house.desk.store = far(&house, Some(store));
    assert_eq!(house.desk.store.doubts().unwrap().len(), 1);
    let policy = &house.agent.policy;
    assert!(doubts(&house.desk, policy).unwrap().is_empty());
    assert_eq!(doubt_of(&house.desk, &house.row.id, policy).unwrap(), None);

    // What people countersigned counts there, and what this console found itself.
    let books = far(&house, Some(another_store(&house, &dir, "shared.db")));
    assert_eq!(meets(&house, &books, head(1, 9, 9), 1).await, None);
    let doubt = meets(&house, &books, head(1, 5, 5), 2).await.unwrap();
    other_console(&mut house, &dir, "less");
    house.desk.store = books;
    std::fs::remove_file(house.desk.home.heads(&house.agent.name).path(&house.row.id)).unwrap();
    let policy = &house.agent.policy;
    assert_eq!(doubts(&house.desk, policy).unwrap().len(), 1);
    assert_eq!(doubt_of(&house.desk, &house.row.id, policy).unwrap(), Some(doubt));
}

#[tokio::test]
async fn what_is_handed_in_is_of_the_machine_and_of_whoever_hands_it_in() {
    let (house, machine) = house(Quirk::None);
    let mut machines = tokio::task::JoinSet::new();
    machines.spawn(machine.serve());
    let dir = tempfile::tempdir().unwrap();
    let desk = another_desk(&house, &dir, "desk.db");
    let session = Session::open(&house.agent, &house.row, now()).await.unwrap();
    let HeadPapers { seen, hello } = countersigned(&house.agent, &session).unwrap();
    let add = |seen: &Bytes, hello: &Bytes, by: &str, at| {
        let by = by.parse().unwrap();
        let policy = &house.agent.policy;
        let added = desk.add_head(house.row.id, seen.clone(), hello.clone(), by, at, policy);
        added.map_err(|error| ErrorChain(&error).to_string())
    };
    assert!(add(&seen, &hello, "m.ruiz", now()).unwrap_err().contains("somebody else"));
    assert!(add(&seen, &seen, "a.kaya", now()).unwrap_err().contains("did not show"));
    let early = now().minus(3600);
    assert!(add(&seen, &hello, "a.kaya", early).unwrap_err().contains("future"));
    let forged = said(&session, "a.kaya", now(), &SigningKey::from_seed([99; 32]));
    assert!(add(&forged.seen, &hello, "a.kaya", now()).unwrap_err().contains("did not sign"));
    let nobody = said(&session, "x.nobody", now(), &SigningKey::from_seed([99; 32]));
    assert!(add(&nobody.seen, &hello, "x.nobody", now()).unwrap_err().contains("did not sign"));
    assert_eq!(desk.heads(house.row.id).unwrap(), []);
    // What lies there and proves nothing does not keep a good one out.
    let sighting = shown(session.hello(), &house.agent.name, now());
    let papers = Some((forged.seen.0.as_slice(), hello.0.as_slice()));
    desk.here().unwrap().add_head(&house.row.id, &sighting, papers, &|_| true).unwrap();
    add(&seen, &hello, "a.kaya", now()).unwrap();
    let kept = desk.heads(house.row.id).unwrap();
    assert_eq!((kept.len(), kept[0].envelope.as_ref()), (1, Some(&seen)));
    session.leave().await;
}
