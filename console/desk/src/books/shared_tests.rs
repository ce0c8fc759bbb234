//! A console with a shared desk over real QUIC: its store, its catalogue, and a desk that is away.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use link::{Connection, Listener, Trust};
use protocol::documents::CatalogueVersions;
use protocol::frames::{DeskAnswer, DeskAsk, sorry};
use protocol::{Digest, Time, limits};
use store::{Store, TicketFilter};
use trust::catalogue::{Catalogue, Files};

use super::*;
use crate::catalogue::tests::a_script;
use crate::catalogue::{self, CatalogueTrouble, Refreshed};
use crate::home::{Held, Home, SharedDesk};
use crate::org::Desk;
use crate::org::tests::{PASSPHRASE, founding};
use crate::session::double::now;

/// The shared desk: answers in its own thread until the test ends.
struct Served {
    home: Home,
    address: String,
    _dir: tempfile::TempDir,
}

fn organisation() -> (Home, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("desk"));
    let go_on = &mut |_: _| std::ops::ControlFlow::Continue(());
    crate::org::init(&home, &founding(), now(), go_on).unwrap();
    (home, dir)
}

fn served() -> Served {
    let (home, dir) = organisation();
    served_over(home, dir)
}

fn served_over(home: Home, dir: tempfile::TempDir) -> Served {
    let policy = catalogue::policy(&home, now()).unwrap();
    let trust = Trust {
        cas: policy.file().cas.people.iter().map(|der| der.0.clone()).collect(),
        organisation: "demo-ltd".into(),
        denied: Vec::new(),
        floor: Time(0),
    };
    let me = home.desk_identity().unwrap();
    let (tell, told) = sync_channel(1);
    let desk = home.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut listener = Listener::bind("127.0.0.1:0", &me, &trust).unwrap();
            tell.send(listener.address().unwrap().to_string()).unwrap();
            let store = Store::open(&desk.database()).unwrap();
            while let Some(accepted) = listener.accept().await {
                let Ok(connection) = accepted else { continue };
                serve(&desk, &store, &connection).await;
            }
        });
    });
    Served { address: told.recv().unwrap(), home, _dir: dir }
}

async fn serve(home: &Home, store: &Store, connection: &Connection) {
    while let Ok(stream) = connection.accept().await {
        let (mut sending, mut receiving) = stream.split();
        let mut asks = Vec::new();
        while let Ok(Some(ask)) = receiving.recv::<DeskAsk>().await {
            asks.push(ask);
        }
        for answer in answers(home, store, connection.peer().unwrap(), asks) {
            sending.send(&answer).await.unwrap();
        }
        sending.finish();
    }
}

fn answers(home: &Home, store: &Store, who: &link::Peer, asks: Vec<DeskAsk>) -> Vec<DeskAnswer> {
    let catalogue = catalogue::open(home, now()).unwrap();
    let files = catalogue::files(home).unwrap();
    let policy = catalogue::policy(home, now()).unwrap();
    let peer = Peer::of(&policy, &who.id, now()).unwrap();
    let organisation = "demo-ltd".parse().unwrap();
    let versions = catalogue.versions();
    let counter = Counter {
        store,
        organisation: &organisation,
        versions,
        files: &files,
        checks: home,
        people: &policy,
    };
    let mut publication = Publication::default();
    let mut all = Vec::new();
    for ask in asks {
        let answered = match &ask {
            DeskAsk::PublishFile { name, part, last } => {
                publication.take(name, &part.0, *last).map(|()| Vec::new())
            }
            DeskAsk::Publish { base } => std::mem::take(&mut publication)
                .end(home, *base, now())
                .map(|new| vec![DeskAnswer::Published { versions: new.versions() }]),
            DeskAsk::Past { generations } => {
                super::past(&catalogue::files_with_past(home).unwrap(), generations, versions)
            }
            other => counter.answer(&peer, other, now()).unwrap(),
        };
        all.extend(answered.unwrap_or_else(|no| vec![no.into()]));
    }
    all
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if !name.to_string_lossy().starts_with("desk.db") {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// A console of the same agent on another machine: the organisation's files and keys, no store.
fn console(desk: &Served) -> (Desk, tempfile::TempDir) {
    console_from(desk.home.path(), desk)
}

fn console_from(organisation: &Path, desk: &Served) -> (Desk, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("console"));
    copy(organisation, home.path());
    SharedDesk { address: desk.address.clone(), key: None }.write(&home).unwrap();
    let opened = Desk::open(home).unwrap();
    let line = SharedDesk { address: desk.address.clone(), key: None }.line_over(
        &opened.home,
        &opened.organisation,
        link::Protocol::Session,
    );
    (Desk { store: line.into(), ..opened }, dir)
}

#[test]
fn a_console_works_on_the_shared_store_and_opens_none_of_its_own() {
    let desk = served();
    let (console, _dir) = console(&desk);
    assert!(!console.home.database().exists());
    let draft = crate::inventory::Draft { subject: "browser".into(), ..Default::default() };
    let ticket = crate::inventory::open_ticket(&console, draft, now()).unwrap();
    let (id, row) = crate::inventory::find_ticket(&console.store, "last").unwrap();
    assert_eq!((id, row.assignee), (ticket, Some("a.kaya".parse().unwrap())));
    let there = Store::open(&desk.home.database()).unwrap();
    assert_eq!(there.tickets(&TicketFilter::default()).unwrap().len(), 1);
    assert_eq!(there.tickets(&TicketFilter::default()).unwrap()[0].subject, "browser");
    assert!(!console.home.database().exists());
}

#[test]
fn the_catalogue_comes_from_the_desk_and_changes_go_through_it() {
    let desk = served();
    let (console, _dir) = console(&desk);
    assert_eq!(catalogue::refresh(&console, now()).unwrap(), Refreshed::Same);
    let me = "a.kaya".parse().unwrap();
    let vetter = desk.home.held_key(Held::Vetter, &me, PASSPHRASE).unwrap();
    catalogue::sign(&desk.home, &[a_script("net.look")], &vetter, now()).unwrap();
    catalogue::publish(&desk.home, now()).unwrap();
    assert_eq!(catalogue::refresh(&console, now()).unwrap(), Refreshed::Brought);
    let versions = |home: &Home| catalogue::open(home, now()).unwrap().versions();
    assert_eq!(versions(&console.home), versions(&desk.home));

    catalogue::sign(&console.home, &[a_script("disk.look2")], &vetter, now()).unwrap();
    let base = versions(&desk.home);
    let published = catalogue::change(&console, now(), |home| catalogue::publish(home, now()));
    assert_eq!(published.unwrap().len(), 1);
    assert_eq!(versions(&console.home), versions(&desk.home));
    assert!(base.behind(&versions(&desk.home)).is_some());
    assert!(catalogue::pending(&console.home, now()).unwrap().is_empty());
    assert!(!console.home.staged().public().exists());
    let nothing = catalogue::change(&console, now(), |home| catalogue::publish(home, now()));
    assert!(matches!(nothing, Err(CatalogueTrouble::NothingPending)));

    // What was made from an older catalogue is not taken, whoever signed it.
    let mut late = Publication::default();
    late.take("timestamp.json", b"{}", true).unwrap();
    assert_eq!(late.end(&desk.home, base, now()).unwrap_err().code, sorry::MOVED);
    let mut forged = Publication::default();
    forged.take("timestamp.json", b"{}", true).unwrap();
    let refused = forged.end(&desk.home, versions(&desk.home), now()).unwrap_err();
    assert_eq!(refused.code, sorry::CATALOGUE);
}

#[test]
fn a_desk_that_was_put_back_gets_what_was_published_since_from_whoever_has_it() {
    let (original, dir) = organisation();
    let file = dir.path().join("desk.backup");
    crate::backup::backup(&Desk::open(original.clone()).unwrap(), &file, now()).unwrap();
    let me = "a.kaya".parse().unwrap();
    let vetter = original.held_key(Held::Vetter, &me, PASSPHRASE).unwrap();
    catalogue::sign(&original, &[a_script("net.look")], &vetter, now()).unwrap();
    catalogue::publish(&original, now()).unwrap();
    let home = Home::new(dir.path().join("back"));
    crate::backup::restore(&home, &file, now()).unwrap();

    let versions = |home: &Home| catalogue::open(home, now()).unwrap().versions();
    let wanted = versions(&original);
    let desk = served_over(home, dir);
    assert!(versions(&desk.home).lists().behind(&wanted.lists()).is_some());
    let (console, _dir) = console_from(original.path(), &desk);
    assert_eq!(catalogue::refresh(&console, now()).unwrap(), Refreshed::GivenBack);
    assert_eq!(versions(&desk.home).lists(), wanted.lists());
    assert_eq!(versions(&console.home), versions(&desk.home));
    assert_eq!(catalogue::refresh(&console, now()).unwrap(), Refreshed::Same);
}

#[test]
fn a_publication_has_limits_and_an_order() {
    let (home, _dir) = organisation();
    let code = |no: Result<(), Sorry>| no.unwrap_err().code;
    let mut one = Publication::default();
    assert_eq!(code(one.take("../x", b"", true)), sorry::LIMIT);
    assert_eq!(code(one.take("a", &vec![0; limits::CHUNK_BYTES_MAX + 1], true)), sorry::LIMIT);
    one.take("a", b"1", false).unwrap();
    assert_eq!(code(one.take("b", b"2", true)), sorry::STATE);
    let mut large = Publication::default();
    let part = vec![0; limits::CHUNK_BYTES_MAX];
    let parts = limits::CATALOGUE_BYTES_MAX / limits::CHUNK_BYTES_MAX;
    for _ in 0..parts {
        large.take("a", &part, false).unwrap();
    }
    assert_eq!(code(large.take("a", &part, false)), sorry::LIMIT);
    let base = catalogue::open(&home, now()).unwrap().versions();
    for open in [Publication::default(), large] {
        assert_eq!(open.end(&home, base, now()).unwrap_err().code, sorry::STATE);
    }
}

#[test]
fn a_desk_that_is_away_or_another_one_is_said_and_nothing_is_changed() {
    let desk = served();
    let (console, _dir) = console(&desk);
    let before = catalogue::open(&console.home, now()).unwrap().versions();
    let books = |address: &str, key| -> Books {
        let shared = SharedDesk { address: address.to_owned(), key };
        shared.line_over(&console.home, &console.organisation, link::Protocol::Session).into()
    };
    let nobody = books("127.0.0.1:9", None).last_ticket().unwrap_err();
    let words = nobody.to_string();
    assert_eq!(words, "the desk at 127.0.0.1:9 is not reachable; nothing was changed");
    for other in [
        books(&desk.address, Some(Digest([0; 32]))),
        SharedDesk { address: desk.address.clone(), key: None }
            .line(&console.home, &console.organisation)
            .into(),
    ] {
        let error = other.last_ticket().unwrap_err();
        assert!(matches!(error, BookError::Line(LineFault::Away { .. })), "{error:?}");
    }
    let away = Desk { store: books("127.0.0.1:9", None), ..console };
    let trouble = catalogue::change(&away, now(), |_| -> Result<(), _> { panic!("not asked") });
    assert!(matches!(trouble, Err(CatalogueTrouble::Desk(_))), "{trouble:?}");
    assert_eq!(catalogue::open(&away.home, now()).unwrap().versions(), before);
}

#[test]
fn a_home_without_a_desk_has_no_line_and_a_damaged_setting_is_not_none() {
    let (home, _dir) = organisation();
    let own = Desk::open(home.clone()).unwrap();
    assert!(own.store.line().is_none() && own.store.here().is_ok());
    assert_eq!(catalogue::refresh(&own, now()).unwrap(), Refreshed::Same);
    drop(own);
    SharedDesk { address: "desk.example:7433".into(), key: None }.write(&home).unwrap();
    let shared = Desk::open(home.clone()).unwrap();
    assert_eq!(shared.store.line().map(Line::desk), Some("desk.example:7433"));
    crate::home::write_public(&home.desk_file(), b"address = 7").unwrap();
    Desk::open(home.clone()).unwrap_err();
    assert!(SharedDesk::unset(&home).unwrap() && !SharedDesk::unset(&home).unwrap());
    assert!(Desk::open(home).unwrap().store.here().is_ok());
}

#[test]
fn lists_of_then_that_a_home_never_had_come_from_the_desk_and_are_verified() {
    let desk = served();
    let first = desk.home.first_root().unwrap();
    let old = catalogue::open(&desk.home, now()).unwrap().versions();
    let me = crate::home::Organisation::read(&desk.home).unwrap().me;
    let admin = desk.home.held_key(Held::Admin, &me, PASSPHRASE).unwrap();
    for number in 1..=10 {
        let mut file = catalogue::policy(&desk.home, now()).unwrap().file().clone();
        file.limits.orders_a_minute = 60 + number;
        let text = catalogue::policy_text(&file).unwrap();
        let admins = std::slice::from_ref(&admin);
        catalogue::publish_policy(&desk.home, &text, admins, now()).unwrap();
    }
    let (late, _dir) = console(&desk);
    std::fs::remove_dir_all(late.home.repository().join("past")).unwrap();
    let mine = || catalogue::files_with_past(&late.home).unwrap();
    let known = |files: &Files| Catalogue::then(files, &first, &old).is_some();
    assert!(!known(&mine()));
    let line = late.store.line().unwrap();
    let mut all = mine();
    catalogue::bring_past(line, &[old], &first, &mut all).unwrap();
    assert!(known(&all));
    // What nobody ever published, and what does not verify by the root that is known here, is not taken.
    let never = CatalogueVersions { policy: 99, ..old };
    let mut all = mine();
    catalogue::bring_past(line, &[never], &first, &mut all).unwrap();
    assert_eq!(all, mine());
    catalogue::bring_past(line, &[old], b"{}", &mut all).unwrap();
    assert_eq!(all, mine());
    // A desk whose kept list was changed gives nothing.
    let list = desk.home.repository().join("past").join(format!("{}.policy.json", old.policy));
    let text = String::from_utf8(crate::home::read(&list).unwrap()).unwrap();
    crate::home::write_public(&list, text.replace("policy.toml", "policy.tomm").as_bytes())
        .unwrap();
    catalogue::bring_past(line, &[old], &first, &mut all).unwrap();
    assert_eq!(all, mine());
    let too_many = catalogue::bring_past(line, &vec![old; 40], &first, &mut all);
    assert!(too_many.is_ok(), "asked for in parts");
}
