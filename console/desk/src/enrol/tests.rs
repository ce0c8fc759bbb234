//! Real connections on loopback: the guest's side is played by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::documents::{Card, EnrolAnswer, EnrolRequest, Invitation, Token};
use protocol::frames::{EnrolFrame, Stop};
use protocol::{Bytes, Digest, EndpointName, Envelope, NamePatterns, limits};
use trust::secret::SealingSecret;
use trust::{Signer as _, SigningKey, seal};

use super::*;
use crate::catalogue;
use crate::home::{Held, Home, Online};
use crate::org::Desk;
use crate::org::tests::{NOW, PASSPHRASE, set_up};

mod again;

const HERE: Place<'_> = Place { listen: "127.0.0.1:0", reach: None };

fn now() -> protocol::Time {
    NOW
}

fn late() -> protocol::Time {
    NOW.plus(limits::ENROL_TOKEN_SECONDS)
}

fn desk() -> (tempfile::TempDir, Arc<Desk>) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    set_up(&home);
    (dir, Arc::new(Desk::open(home).unwrap()))
}

fn guest(name: &str) -> EndpointGuest {
    let labels = BTreeMap::from([("group".parse().unwrap(), "office".parse().unwrap())]);
    EndpointGuest { name: name.parse().unwrap(), labels, person: Some("jo.meyer".to_owned()) }
}

fn request(token: &Token<EndpointName>, seed: u8) -> EnrolRequest {
    EnrolRequest {
        secret: token.secret.clone(),
        name: token.name.clone(),
        tls_key: Bytes(certs::spki_of(&SigningKey::from_seed([seed; 32]).public_key())),
        record_key: SigningKey::from_seed([seed + 100; 32]).public_key(),
        sealing_key: SealingSecret::from_seed([seed; 32]).public().unwrap(),
        port: 7433,
        platform: "linux".to_owned(),
        host: "lt-4411".to_owned(),
    }
}

fn sealed(request: &EnrolRequest, seed: u8) -> Vec<u8> {
    let key = SigningKey::from_seed([seed + 100; 32]);
    seal::seal(request, &[&key]).unwrap().write().unwrap()
}

/// What a machine does: pins the desk's key, sends one frame, reads to the end. A line that ends
/// without an answer counts as `Drain`.
async fn knock<N>(token: &Token<N>, bytes: &[u8]) -> Result<EnrolAnswer, Stop> {
    let lost = |_: link::LinkError| Stop::Drain;
    let dialled = link::dial_pinned(&token.desk, token.desk_key, limits::ALPN_ENROL).await;
    let connection = dialled.map_err(|_| Stop::Drain)?;
    let (mut sending, mut receiving) = connection.open().await.map_err(lost)?.split();
    sending.send_bytes(bytes).await.map_err(lost)?;
    sending.finish();
    let mut root = Vec::new();
    loop {
        match receiving.recv::<EnrolFrame>().await.map_err(lost)?.ok_or(Stop::Drain)? {
            EnrolFrame::CatalogueFile { name, part, .. } if name == "1.root.json" => {
                root.extend_from_slice(&part.0);
            }
            EnrolFrame::CatalogueFile { .. } | EnrolFrame::Wait => {}
            EnrolFrame::Refused { stop } => return Err(stop),
            EnrolFrame::Answer { json } => {
                assert_eq!(Digest::of(&root), token.root);
                connection.leave().await;
                return Ok(protocol::json::read(&json.0).unwrap());
            }
        }
    }
}

fn token(door: &Door) -> Token<EndpointName> {
    door.token().parse().unwrap()
}

#[tokio::test]
async fn a_machine_joins_once_with_a_card_and_a_certificate_for_its_own_keys() {
    let (_dir, desk) = desk();
    let mut door = Door::for_endpoint(desk.clone(), HERE, guest("lt-4411"), now).unwrap();
    let token = token(&door);
    let bytes = sealed(&request(&token, 1), 1);
    let mut nobody = |turned: &Turned| panic!("{turned:?}");
    let (joined, answer) = tokio::join!(door.wait(&mut nobody), knock(&token, &bytes));
    let (joined, answer) = (joined.unwrap(), answer.unwrap());
    let Joined::Endpoint { id, name, address, host } = joined else { panic!() };
    assert_eq!((name.as_str(), host.as_str()), ("lt-4411", "lt-4411"));
    assert_eq!(address.as_deref(), Some("127.0.0.1:7433"));

    let enroller = desk.home.online_key(Online::Enroller).unwrap().public_key();
    let card = seal::open_one::<Card>(&answer.card, &enroller).unwrap().into_inner();
    assert_eq!((card.endpoint, card.serial), (id, 1));
    let spki = certs::spki_of(&SigningKey::from_seed([1; 32]).public_key());
    assert_eq!(card.tls_key, Digest::of(&spki));
    assert_eq!(card.labels, guest("x").labels);
    let facts = certs::read(&answer.certificates[0].0).unwrap();
    assert_eq!(facts.uris, [format!("salve://demo-ltd/endpoint/{id}")]);
    assert_eq!(facts.spki, spki);
    assert_eq!(answer.organisation, "demo-ltd");

    let row = desk.store.endpoint_named("lt-4411".parse().unwrap()).unwrap().unwrap();
    assert_eq!(row.id, id);
    assert_eq!(row.person.as_deref(), Some("jo.meyer"));
    assert_eq!(Envelope::read(&row.card).unwrap(), answer.card);
    let again = Door::for_endpoint(desk, HERE, guest("lt-4411"), now);
    assert!(matches!(again, Err(EnrolError::NameTaken { .. })));
}

#[tokio::test]
async fn of_two_machines_with_one_token_exactly_one_joins() {
    let (_dir, desk) = desk();
    let mut door = Door::for_endpoint(desk.clone(), HERE, guest("lt-4411"), now).unwrap();
    let token = token(&door);
    let requests: Vec<Vec<u8>> = (1..=4).map(|n| sealed(&request(&token, n), n)).collect();
    let mut turned = Vec::new();
    let mut hear = |guest: &Turned| turned.push(guest.stop);
    let knocks = async {
        tokio::join!(
            knock(&token, &requests[0]),
            knock(&token, &requests[1]),
            knock(&token, &requests[2]),
            knock(&token, &requests[3])
        )
    };
    // The door goes with the winner; who is still on the way then finds nobody.
    let wait = async move { door.wait(&mut hear).await };
    let (joined, (a, b, c, d)) = tokio::join!(wait, knocks);
    assert!(joined.is_ok());
    let won = [a, b, c, d].iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(won, 1);
    let active = desk.store.endpoints().unwrap();
    assert_eq!(active.len(), 1);
    assert!(turned.iter().all(|stop| *stop == Stop::Token), "{turned:?}");
}

#[tokio::test]
async fn wrong_requests_are_turned_away_with_a_code_and_the_token_stays_good() {
    let (_dir, desk) = desk();
    let mut door = Door::for_endpoint(desk.clone(), HERE, guest("lt-4411"), now).unwrap();
    let token = token(&door);
    let good = request(&token, 1);
    let other_name = EnrolRequest { name: "lt-9".parse().unwrap(), ..good.clone() };
    let other_secret = EnrolRequest { secret: Bytes(vec![0; 16]), ..good.clone() };
    let no_key = EnrolRequest { tls_key: Bytes(vec![1, 2, 3]), ..good.clone() };
    let join = protocol::documents::JoinRequest {
        secret: token.secret.clone(),
        name: "lt-4411".parse().unwrap(),
        tls_key: good.tls_key.clone(),
        signing_key: good.record_key,
        sealing_key: good.sealing_key.clone(),
    };
    let as_person = seal::seal(&join, &[&SigningKey::from_seed([101; 32])]).unwrap();
    let cases: Vec<(&str, Vec<u8>, Stop)> = vec![
        ("another name", sealed(&other_name, 1), Stop::Token),
        ("another secret", sealed(&other_secret, 1), Stop::Token),
        ("somebody else's signature", sealed(&good, 2), Stop::Seal),
        ("a key of another kind", sealed(&no_key, 1), Stop::Frame),
        ("a colleague's request", as_person.write().unwrap(), Stop::Token),
        ("no envelope", b"{}".to_vec(), Stop::Frame),
        ("too large", vec![b' '; limits::ENROL_REQUEST_BYTES_MAX + 1], Stop::Frame),
    ];
    let mut count = 0;
    let mut hear = |_: &Turned| count += 1;
    let knocks = async {
        for (what, bytes, stop) in &cases {
            assert_eq!(knock(&token, bytes).await.unwrap_err(), *stop, "{what}");
        }
        knock(&token, &sealed(&good, 1)).await
    };
    let (joined, answer) = tokio::join!(door.wait(&mut hear), knocks);
    assert!(joined.is_ok() && answer.is_ok());
    assert_eq!(count, cases.len());
}

#[tokio::test]
async fn a_used_or_expired_token_opens_nothing() {
    let (_dir, desk) = desk();
    let first = Door::for_endpoint(desk.clone(), HERE, guest("lt-1"), now).unwrap();
    let old = token(&first);
    drop(first);
    // Another door is open for a machine of the same name; the first door's token is void.
    let mut door = Door::for_endpoint(desk.clone(), HERE, guest("lt-1"), now).unwrap();
    let new = token(&door);
    let replay = Token { desk: new.desk.clone(), ..old };
    let mut hear = |_: &Turned| {};
    let bytes = sealed(&request(&new, 1), 1);
    let knocks = async {
        let used = knock(&replay, &sealed(&request(&replay, 2), 2)).await;
        (used, knock(&new, &bytes).await)
    };
    let (joined, (used, answer)) = tokio::join!(door.wait(&mut hear), knocks);
    assert_eq!(used.unwrap_err(), Stop::Token);
    assert!(joined.is_ok() && answer.is_ok());

    let mut stale = Door::for_endpoint(desk.clone(), HERE, guest("lt-2"), now).unwrap();
    let token = token(&stale);
    stale.set_clock(late);
    let knocks = async { knock(&token, &sealed(&request(&token, 3), 3)).await };
    let refused = tokio::select! {
        refused = knocks => refused,
        joined = stale.wait(&mut hear) => panic!("{joined:?}"),
    };
    assert_eq!(refused.unwrap_err(), Stop::Token);
}

#[tokio::test]
async fn labels_that_policy_does_not_let_us_give_are_refused_before_anything_is_printed() {
    let (_dir, desk) = desk();
    let mut asked = guest("lt-1");
    asked.labels.insert("vip".parse().unwrap(), "yes".parse().unwrap());
    let refused = Door::for_endpoint(desk.clone(), HERE, asked, now);
    assert!(matches!(refused, Err(EnrolError::LabelNotAllowed { .. })));
    assert!(desk.store.tokens().unwrap().is_empty());
}

#[tokio::test]
async fn the_store_knows_a_token_by_its_digest_only() {
    let (_dir, desk) = desk();
    let door = Door::for_endpoint(desk.clone(), HERE, guest("lt-1"), now).unwrap();
    let secret = token(&door).secret;
    let rows = desk.store.tokens().unwrap();
    assert_eq!(rows[0].secret, Digest::of(&secret.0));
    let raw = std::fs::read(desk.home.database()).unwrap();
    assert!(!raw.windows(16).any(|window| window == secret.0));
}

/// A token of the shared desk for two machines called `lt-...`.
fn wave(desk: &Desk) -> Token<NamePatterns> {
    let new = NewWave {
        names: "lt-*".parse().unwrap(),
        labels: guest("x").labels,
        person: None,
        count: 2,
        seconds: 3600,
        desk: Some("desk.example:7435".to_owned()),
    };
    new.make(desk, NOW).unwrap().text.parse().unwrap()
}

fn of_wave(token: &Token<NamePatterns>, name: &str, seed: u8) -> EnrolRequest {
    let (secret, root, desk_key) = (token.secret.clone(), token.root, token.desk_key);
    let (name, desk) = (name.parse().unwrap(), token.desk.clone());
    request(&Token { name, desk, root, desk_key, secret }, seed)
}

/// What the shared desk makes of a request, signed by the keys of `seed`.
fn asked(desk: &Desk, request: &EnrolRequest, seed: u8, at: protocol::Time) -> Admitted {
    let envelope = Envelope::read(&sealed(request, seed)).unwrap();
    let (desks, from) = (["desk.example:7435".to_owned()], "192.0.2.7:9".parse().unwrap());
    match endpoint::admit_by_token(desk, &desks, &envelope, from, at) {
        Ok(granted) => Ok(granted),
        Err(admit::Refusing::Guest(stop)) => Err(stop),
        Err(admit::Refusing::Ours(error)) => panic!("{error:?}"),
    }
}

type Admitted = Result<admit::Granted, Stop>;

fn places_taken(desk: &Desk, token: &Token<NamePatterns>) -> u64 {
    let row = desk.store.token(Digest::of(&token.secret.0)).unwrap().unwrap();
    row.enrolment.unwrap().taken
}

#[test]
fn a_token_of_the_shared_desk_admits_as_many_as_it_says_and_tells_them_where_to_keep_a_line() {
    let (_dir, desk) = desk();
    let token = wave(&desk);
    let enroller = desk.home.online_key(Online::Enroller).unwrap().public_key();
    for (seed, name) in [(1, "lt-1"), (2, "lt-2")] {
        let request = of_wave(&token, name, seed);
        let granted = asked(&desk, &request, seed, NOW).unwrap();
        let answer: EnrolAnswer = protocol::json::read(&granted.answer).unwrap();
        assert_eq!(answer.desks.unwrap(), ["desk.example:7435"]);
        let card = seal::open_one::<Card>(&answer.card, &enroller).unwrap().into_inner();
        assert_eq!((card.name.as_str(), card.record_key), (name, request.record_key));
        assert_eq!(card.labels, guest("x").labels);
        assert_eq!(places_taken(&desk, &token), u64::from(seed));
    }
    let third = asked(&desk, &of_wave(&token, "lt-3", 3), 3, NOW);
    assert_eq!(third.unwrap_err(), Stop::Token);
    assert_eq!(desk.store.endpoints().unwrap().len(), 2);
}

#[test]
fn who_is_not_admitted_by_a_token_costs_none_of_its_places() {
    let (_dir, desk) = desk();
    let token = wave(&desk);
    let good = of_wave(&token, "lt-1", 1);
    let other_name = of_wave(&token, "pc-1", 1);
    let other_secret = EnrolRequest { secret: Bytes(vec![0; 16]), ..good.clone() };
    let no_key = EnrolRequest { tls_key: Bytes(vec![1, 2, 3]), ..good.clone() };
    // A door's token is for whoever waits at that door.
    let door = token::make(
        &desk.home,
        &desk.store,
        store::TokenKind::Endpoint,
        &good.name,
        "desk.example:7434".to_owned(),
        NOW,
    );
    let of_door = request(&door.unwrap(), 1);
    let over = NOW.plus(3600);
    for (what, request, signer, at, stop) in [
        ("another name", &other_name, 1, NOW, Stop::Token),
        ("another secret", &other_secret, 1, NOW, Stop::Token),
        ("a door's token", &of_door, 1, NOW, Stop::Token),
        ("its time is over", &good, 1, over, Stop::Token),
        ("somebody else's signature", &good, 2, NOW, Stop::Seal),
        ("a key of another kind", &no_key, 1, NOW, Stop::Frame),
    ] {
        assert_eq!(asked(&desk, request, signer, at).unwrap_err(), stop, "{what}");
    }
    assert_eq!(places_taken(&desk, &token), 0);
    assert!(desk.store.here().unwrap().held().unwrap().is_empty());

    // A name that is taken waits for a person.
    asked(&desk, &good, 1, NOW).unwrap();
    assert_eq!(asked(&desk, &of_wave(&token, "lt-1", 2), 2, NOW).unwrap_err(), Stop::Held);
    let held = desk.store.here().unwrap().held().unwrap();
    assert_eq!((held.len(), held[0].name.as_str()), (1, "lt-1"));
    assert_eq!((held[0].host.as_str(), held[0].address.as_str()), ("lt-4411", "192.0.2.7:9"));
    assert_eq!(places_taken(&desk, &token), 1);
}

fn colleague(desk: &Desk) -> AgentGuest {
    let me = "a.kaya".parse().unwrap();
    AgentGuest {
        name: "m.ruiz".parse().unwrap(),
        roles: vec!["agent".parse().unwrap()],
        admins: vec![desk.home.held_key(Held::Admin, &me, PASSPHRASE).unwrap()],
    }
}

#[tokio::test]
async fn a_colleague_joins_with_keys_that_never_travel() {
    let (dir, desk) = desk();
    let mut nobody = |turned: &Turned| panic!("{turned:?}");
    let mut door = Door::for_endpoint(desk.clone(), HERE, guest("lt-4411"), now).unwrap();
    let machine = token(&door);
    let bytes = sealed(&request(&machine, 1), 1);
    let (known, answer) = tokio::join!(door.wait(&mut nobody), knock(&machine, &bytes));
    assert!(known.is_ok() && answer.is_ok());

    let mut door = Door::for_agent(desk.clone(), HERE, colleague(&desk), now).unwrap();
    let invitation: Invitation = door.token().parse().unwrap();
    let home = Home::new(dir.path().join("theirs"));
    let (joined, organisation) =
        tokio::join!(door.wait(&mut nobody), join(&home, &invitation, None, NOW));
    let name = invitation.name.clone();
    assert_eq!(joined.unwrap(), Joined::Agent { name: name.clone() });
    let organisation = organisation.unwrap();
    assert_eq!((organisation.id.as_str(), organisation.me.as_str()), ("demo-ltd", "m.ruiz"));

    let policy = catalogue::policy(&desk.home, NOW).unwrap();
    let person = policy.person(&name).unwrap();
    let key = home.agent_signing_key(&name, None).unwrap().public_key();
    assert_eq!(person.signing_key, Some(key));
    assert!(!desk.home.agent(&name).exists(), "a private key travelled");
    assert!(!home.online(Online::Enroller).exists());
    let theirs = Desk::open(home).unwrap();
    let policy = catalogue::policy(&theirs.home, NOW).unwrap();
    assert_eq!(policy.person(&name).unwrap().signing_key, Some(key));
    theirs.home.agent_identity(&name).unwrap();
    let book = theirs.store.endpoint_named("lt-4411".parse().unwrap()).unwrap().unwrap();
    assert_eq!(book.address.as_deref(), Some("127.0.0.1:7433"));
    assert_eq!(book.person.as_deref(), Some("jo.meyer"));
    let elsewhere = Invitation { name: "s.okafor".parse().unwrap(), ..invitation };
    let twice = join(&theirs.home, &elsewhere, None, NOW).await;
    assert!(matches!(twice, Err(JoinError::AlreadyReady { .. })));
}

#[tokio::test]
async fn a_colleague_does_not_believe_another_organisations_root() {
    let (dir, desk) = desk();
    let mut door = Door::for_agent(desk.clone(), HERE, colleague(&desk), now).unwrap();
    let invitation: Invitation = door.token().parse().unwrap();
    let altered = Invitation { root: Digest::of(b"another"), ..invitation };
    let home = Home::new(dir.path().join("theirs"));
    let mut hear = |_: &Turned| {};
    let (_, refused) = tokio::join!(door.wait(&mut hear), join(&home, &altered, None, NOW));
    assert!(matches!(refused, Err(JoinError::NotTheirs(_))), "{refused:?}");
    assert!(!home.is_ready());
}

#[tokio::test]
async fn a_withdrawn_machine_is_denied_by_policy_and_its_name_is_free_again() {
    let (_dir, desk) = desk();
    let mut nobody = |turned: &Turned| panic!("{turned:?}");
    let me = "a.kaya".parse().unwrap();
    let admins = [desk.home.held_key(Held::Admin, &me, PASSPHRASE).unwrap()];
    for (seed, serial) in [(1, 1), (2, 2)] {
        let mut door = Door::for_endpoint(desk.clone(), HERE, guest("lt-4411"), now).unwrap();
        let token = token(&door);
        let bytes = sealed(&request(&token, seed), seed);
        let (joined, answer) = tokio::join!(door.wait(&mut nobody), knock(&token, &bytes));
        assert!(joined.is_ok() && answer.is_ok());
        let row = desk.store.endpoint_named("lt-4411".parse().unwrap()).unwrap().unwrap();
        desk.withdraw_endpoint(&row, &admins, NOW).unwrap();
        let policy = catalogue::policy(&desk.home, NOW).unwrap();
        assert!(policy.is_denied_card(serial));
        assert!(desk.store.endpoint_named(row.name.clone()).unwrap().is_none());
    }
    assert_eq!(desk.store.endpoints().unwrap().len(), 2);
}

#[test]
fn a_withdrawn_person_signs_nothing_and_the_last_one_stays() {
    let (_dir, desk) = desk();
    let me = "a.kaya".parse().unwrap();
    let admins = [desk.home.held_key(Held::Admin, &me, PASSPHRASE).unwrap()];
    let last = desk.withdraw_agent(&me, &admins, NOW);
    assert!(matches!(last, Err(crate::org::WithdrawError::Last { .. })), "{last:?}");
    let nobody = desk.withdraw_agent(&"m.ruiz".parse().unwrap(), &admins, NOW);
    assert!(matches!(nobody, Err(crate::org::WithdrawError::Nobody { .. })));
    let mut file = catalogue::policy(&desk.home, NOW).unwrap().file().clone();
    let key = SigningKey::from_seed([77; 32]).public_key();
    let mut colleague = file.people[0].clone();
    (colleague.name, colleague.signing_key) = ("m.ruiz".parse().unwrap(), Some(key));
    (colleague.vetter_key, colleague.admin_key, colleague.sealing_key) = (None, None, None);
    file.people.push(colleague);
    let text = catalogue::policy_text(&file).unwrap();
    catalogue::publish_policy(&desk.home, &text, &admins, NOW).unwrap();
    let ruiz: protocol::AgentName = "m.ruiz".parse().unwrap();
    let ca = desk.home.ca(certs::Kind::People).unwrap();
    let until = NOW.plus(certs::DAY);
    let leaf = ca.issue_agent(&certs::spki_of(&key), &ruiz, [9; 16], NOW, until).unwrap();
    let (joined, sent) = (store::AgentState::Joined, Some(protocol::Bytes(leaf.clone())));
    desk.store.put_agent(ruiz.clone(), joined, None, sent, NOW).unwrap();
    desk.withdraw_agent(&ruiz, &admins, NOW).unwrap();
    let policy = catalogue::policy(&desk.home, NOW).unwrap();
    assert!(policy.is_withdrawn(policy.person_of(&key).unwrap(), NOW));
    assert_eq!(policy.denied_serials(), [certs::read(&leaf).unwrap().serial], "doors close too");
}

fn in_three_weeks() -> protocol::Time {
    NOW.plus(21 * certs::DAY)
}

#[tokio::test]
async fn a_colleague_is_renewed_with_the_same_keys_and_nobody_else_under_that_name() {
    let (dir, desk) = desk();
    let mut nobody = |turned: &Turned| panic!("{turned:?}");
    let home = Home::new(dir.path().join("theirs"));
    let mut door = Door::for_agent(desk.clone(), HERE, colleague(&desk), now).unwrap();
    let invitation: Invitation = door.token().parse().unwrap();
    let (a, b) = tokio::join!(door.wait(&mut nobody), join(&home, &invitation, None, NOW));
    assert!(a.is_ok() && b.is_ok());
    let end = || {
        let pem = crate::home::read_text(&home.agent_certificate(&invitation.name)).unwrap();
        certs::read(&certs::from_pem(&pem).unwrap()[0]).unwrap().not_after
    };
    let first = (end(), catalogue::open(&home, NOW).unwrap().versions().timestamp);

    catalogue::renew_if_old(&desk.home, in_three_weeks()).unwrap();
    let again = || AgentGuest { admins: Vec::new(), ..colleague(&desk) };
    let mut door = Door::for_agent(desk.clone(), HERE, again(), in_three_weeks).unwrap();
    let code: Invitation = door.token().parse().unwrap();
    let (a, b) = tokio::join!(door.wait(&mut nobody), join(&home, &code, None, in_three_weeks()));
    assert!(a.is_ok(), "{a:?}");
    assert_eq!(b.unwrap().me, invitation.name);
    assert_eq!(end(), in_three_weeks().plus(certs::AGENT_DAYS * certs::DAY));
    assert!(end() > first.0);
    assert!(catalogue::open(&home, NOW).unwrap().versions().timestamp > first.1);

    let thief = Home::new(dir.path().join("thief"));
    let mut hear = |_: &Turned| {};
    let mut door = Door::for_agent(desk.clone(), HERE, again(), in_three_weeks).unwrap();
    let code: Invitation = door.token().parse().unwrap();
    let refused = tokio::select! {
        refused = join(&thief, &code, None, in_three_weeks()) => refused,
        joined = door.wait(&mut hear) => panic!("{joined:?}"),
    };
    assert!(matches!(refused, Err(JoinError::Refused(Stop::Seal))), "{refused:?}");
    let stranger = AgentGuest { name: "x".parse().unwrap(), ..again() };
    let unknown = Door::for_agent(desk.clone(), HERE, stranger, now);
    assert!(matches!(unknown, Err(EnrolError::PersonUnknown { .. })));
}

#[tokio::test]
async fn desk_duties_need_none_of_the_keys_that_people_hold() {
    let (_dir, desk) = desk();
    for folder in ["keys/root", "keys/admin", "keys/vetter", "agents"] {
        std::fs::remove_dir_all(desk.home.path().join(folder)).unwrap();
    }
    assert!(catalogue::renew_if_old(&desk.home, NOW.plus(2 * certs::DAY)).unwrap());
    let mut door = Door::for_endpoint(desk.clone(), HERE, guest("lt-4411"), now).unwrap();
    let token = token(&door);
    let bytes = sealed(&request(&token, 1), 1);
    let mut nobody = |turned: &Turned| panic!("{turned:?}");
    let (joined, answer) = tokio::join!(door.wait(&mut nobody), knock(&token, &bytes));
    assert!(joined.is_ok() && answer.is_ok());
}

#[tokio::test]
async fn a_certificate_is_renewed_for_the_same_key_when_it_is_due() {
    let (_dir, desk) = desk();
    let mut door = Door::for_endpoint(desk.clone(), HERE, guest("lt-4411"), now).unwrap();
    let token = token(&door);
    let bytes = sealed(&request(&token, 1), 1);
    let mut nobody = |turned: &Turned| panic!("{turned:?}");
    let (joined, answer) = tokio::join!(door.wait(&mut nobody), knock(&token, &bytes));
    joined.unwrap();
    let answer = answer.unwrap();
    let mut card: Card = seal::peek(&answer.card).unwrap();
    let shown = &answer.certificates[0].0;
    let after = |days: u64| now().plus(days * certs::DAY);
    let renew = |card: &Card, at: protocol::Time| renewed_certificate(&desk.home, card, shown, at);
    assert_eq!(renew(&card, after(59)).unwrap(), None);
    for at in [after(61), after(200)] {
        let der = renew(&card, at).unwrap().unwrap();
        let (old, new) = (certs::read(shown).unwrap(), certs::read(&der).unwrap());
        assert_eq!((&new.uris, &new.spki), (&old.uris, &old.spki));
        assert_eq!(new.not_after, at.plus(certs::ENDPOINT_DAYS * certs::DAY));
        assert_ne!(new.serial, old.serial);
    }
    card.tls_key = Digest([9; 32]);
    assert!(matches!(renew(&card, after(61)), Err(EnrolError::OtherKey { .. })));
    card.tls_key = Digest::of(&certs::read(shown).unwrap().spki);
    std::fs::remove_file(desk.home.online(Online::EndpointsCa)).unwrap();
    assert_eq!(renew(&card, after(61)).unwrap(), None);
}

#[tokio::test]
async fn an_agents_certificate_is_renewed_for_the_same_key_unless_the_key_is_denied() {
    let (_dir, desk) = desk();
    let me = desk.organisation.me.clone();
    let policy = crate::catalogue::policy(&desk.home, now()).unwrap();
    let shown = desk.home.agent_identity(&me).unwrap().certificates.remove(0);
    let after = |days: u64| now().plus(days * certs::DAY);
    let renew = |policy: &policy::Policy, at| renewed_agent(&desk.home, policy, (&me, &shown), at);
    assert_eq!(renew(&policy, after(19)).unwrap(), None);
    let der = renew(&policy, after(21)).unwrap().unwrap();
    let (old, new) = (certs::read(&shown).unwrap(), certs::read(&der).unwrap());
    assert_eq!((&new.uris, &new.spki), (&old.uris, &old.spki));
    assert_eq!(new.not_after, after(21).plus(certs::AGENT_DAYS * certs::DAY));
    let (signed, signature) = certs::signed_part(&der).unwrap();
    let ca = certs::read(&policy.file().cas.people[0].0).unwrap();
    let ca = protocol::PublicKey(*ca.spki.last_chunk::<32>().unwrap());
    assert!(trust::verify(&ca, &signed, &signature));
    // Whose TLS key was stolen: the thief's certificate ends, whatever its serial.
    let mut file = policy.file().clone();
    let key = desk.home.agent_tls_key(&me).unwrap();
    file.denied.keys.push(trust::Signer::public_key(&key));
    let denied = policy::PolicyFile::read(&file.write().unwrap()).unwrap();
    assert!(matches!(renew(&denied, after(21)), Err(EnrolError::DeniedKey { .. })));
    std::fs::remove_file(desk.home.online(Online::PeopleCa)).unwrap();
    assert_eq!(renew(&policy, after(21)).unwrap(), None);
}
