//! The shared desk over real QUIC, between a machine's double and consoles that speak frames.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::sync_channel;

use link::{Connection, Expect, LinkError, Protocol, Role};
use protocol::documents::{Dispatch, Hello};
use protocol::frames::{Answer, DeskAnswer, DeskAsk, DeskPath, NoteStage, decode, sorry};
use protocol::{Bytes, Envelope, Mode, RunId, limits};
use store::{RunFilter, RunState};
use trust::seal;

use super::*;
use crate::runs::{Wish, order, parameters};
use crate::session::double::{House, Quirk, house, now};

/// A desk, a machine that it can dial, and an agent.
struct Scene {
    house: House,
    address: String,
}

type Work<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Has everybody work until `work` is done.
async fn play(quirk: Quirk, there: bool, work: impl for<'a> FnOnce(&'a Scene) -> Work<'a>) {
    let (house, machine) = house(quirk);
    let desk = Desk::open(house.desk.home.clone()).unwrap();
    let (tell, told) = sync_channel(1);
    let server = Server::new(desk, Vec::new(), now, move |said| {
        if let Said::Listening(address) = said {
            tell.send(address.to_string()).unwrap();
        }
    });
    let served = server.unwrap().serve("127.0.0.1:0", std::future::pending());
    let machine = async {
        if there {
            machine.serve().await;
        } else {
            drop(machine);
            std::future::pending::<()>().await;
        }
    };
    let console = async {
        let address = loop {
            match told.try_recv() {
                Ok(address) => break address,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        work(&Scene { house, address }).await;
    };
    tokio::select! {
        served = served => panic!("the desk ended: {served:?}"),
        () = machine => panic!("the machine ended"),
        () = console => {}
    }
}

impl Scene {
    async fn console(&self) -> Connection {
        let agent = &self.house.agent;
        let trust = link::Trust {
            cas: agent.policy.file().cas.people.iter().map(|der| der.0.clone()).collect(),
            ..agent.trust()
        };
        let expect = Expect { role: Role::Desk, id: None, key: None };
        let line = link::Line::prepare(&self.address).await.unwrap();
        line.dial_with(&agent.identity, &trust, &expect, Protocol::Console).await.unwrap()
    }

    /// An order for the machine, with the dispatch for this challenge.
    fn submission(&self, hello: &[u8], number: u64) -> (DeskAsk, RunId) {
        let agent = &self.house.agent;
        let script = agent.catalogue.scripts().next().unwrap().clone();
        let wish = Wish {
            parameters: parameters(&script.manifest, &[], &agent.policy).unwrap(),
            script,
            mode: Mode::Plan,
            endpoint: self.house.row.clone(),
            ticket: None,
            ticket_row: None,
            reason: "a test".into(),
            identified: None,
            consent: None,
            plan: None,
            asked: None,
            break_glass: None,
            approved: None,
        };
        let (_, sealed, _) = order(agent, &wish, now()).unwrap();
        let hello: Hello = seal::peek(&Envelope::read(hello).unwrap()).unwrap();
        let dispatch = Dispatch {
            order: sealed.digest(),
            endpoint: self.house.row.id,
            challenge: hello.challenge,
            number,
            secrets: None,
            issued: now(),
            not_after: now().plus(limits::DISPATCH_SECONDS_MAX),
        };
        let dispatch = seal::seal(&dispatch, &[&agent.signing]).unwrap();
        let run = RunId::of(&sealed.digest(), &self.house.row.id, 0);
        let ask = DeskAsk::Submit {
            endpoint: self.house.row.id,
            order: Bytes(sealed.write().unwrap()),
            dispatch: Bytes(dispatch.write().unwrap()),
            approvals: Vec::new(),
        };
        (ask, run)
    }

    /// Asks for the endpoint and has an order ready for it.
    async fn met(&self, console: &Connection) -> (DeskAsk, RunId) {
        let endpoint = self.house.row.id;
        match ask(console, &DeskAsk::Meet { endpoint }).await.as_slice() {
            [DeskAnswer::Met { hello, number, path: DeskPath::Dialled, .. }] => {
                self.submission(&hello.0, *number)
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn ask(console: &Connection, ask: &DeskAsk) -> Vec<DeskAnswer> {
    let mut stream = console.open().await.unwrap();
    stream.send(ask).await.unwrap();
    stream.finish();
    let mut answers = Vec::new();
    while let Some(answer) = stream.recv::<DeskAnswer>().await.unwrap() {
        answers.push(answer);
    }
    answers
}

/// What the endpoint said, as far as the desk passed it on.
fn endpoints(answers: &[DeskAnswer]) -> Vec<Answer> {
    let frame = |answer: &DeskAnswer| match answer {
        DeskAnswer::Endpoint { frame } => Some(decode::<Answer>(&frame.0).unwrap()),
        _ => None,
    };
    answers.iter().filter_map(frame).collect()
}

#[tokio::test]
async fn an_order_is_stored_forwarded_and_filed_and_anybody_may_follow_it() {
    play(Quirk::None, true, |scene| {
        Box::pin(async move {
            let console = scene.console().await;
            let (submit, run) = scene.met(&console).await;
            let answers = ask(&console, &submit).await;
            assert!(
                matches!(&answers[0], DeskAnswer::Stored { run: stored, .. } if *stored == run)
            );
            let Some(DeskAnswer::Done { filing }) = answers.last() else { panic!("{answers:?}") };
            assert!(filing.verified && filing.run == run, "{filing:?}");
            assert_eq!(filing.note, None::<NoteStage>, "a plan leaves none");
            let said = endpoints(&answers);
            assert!(matches!(said.last(), Some(Answer::Record { .. })), "{said:?}");

            let store = &scene.house.desk.store;
            let row = store.run(run).unwrap().unwrap();
            assert_eq!((row.state, row.verified), (RunState::Ended, Some(true)));
            // Advice: the endpoint may hear it after the console heard the rest.
            let told = async {
                while scene.house.seen.lock().unwrap().filed.is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(std::time::Duration::from_secs(5), told).await.unwrap();
            assert_eq!(scene.house.seen.lock().unwrap().filed, [filing.record]);

            // The very same order again is not sent again, and a colleague hears the same.
            let again = ask(&console, &submit).await;
            let colleague = scene.console().await;
            let followed = ask(&colleague, &DeskAsk::Follow { run }).await;
            for heard in [again, followed] {
                assert!(endpoints(&heard).iter().any(|a| matches!(a, Answer::Record { .. })));
                assert!(matches!(heard.last(), Some(DeskAnswer::Done { .. })), "{heard:?}");
            }
            assert_eq!(scene.house.seen.lock().unwrap().orders.len(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn a_line_that_breaks_is_said_and_the_record_comes_all_the_same() {
    play(Quirk::LosesLineOnce, true, |scene| {
        Box::pin(async move {
            let console = scene.console().await;
            let (submit, run) = scene.met(&console).await;
            let mut stream = console.open().await.unwrap();
            stream.send(&submit).await.unwrap();
            stream.finish();
            loop {
                match stream.recv::<DeskAnswer>().await.unwrap() {
                    Some(DeskAnswer::Lost { .. }) => break,
                    Some(_) => {}
                    None => panic!("it was not said that the line broke"),
                }
            }
            // The desk dials again by itself.
            let mut last = None;
            while let Some(answer) = stream.recv::<DeskAnswer>().await.unwrap() {
                last = Some(answer);
            }
            assert!(matches!(last, Some(DeskAnswer::Done { .. })), "{last:?}");
            assert_eq!(scene.house.desk.store.run(run).unwrap().unwrap().verified, Some(true));
            assert_eq!(scene.house.seen.lock().unwrap().orders.len(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn what_no_agent_sealed_goes_nowhere_and_who_is_away_is_said() {
    play(Quirk::None, false, |scene| {
        Box::pin(async move {
            let console = scene.console().await;
            let endpoint = scene.house.row.id;
            let met = ask(&console, &DeskAsk::Meet { endpoint }).await;
            let away = DeskAnswer::Away { last_seen: None, left_in_order: None };
            assert_eq!(met, [away]);
            let nobody = protocol::EndpointId([9; 16]);
            let met = ask(&console, &DeskAsk::Meet { endpoint: nobody }).await;
            assert!(
                matches!(&met[..], [DeskAnswer::Sorry { code, .. }] if code == sorry::NOT_FOUND)
            );
            let run = RunId([7; 16]);
            let none = ask(&console, &DeskAsk::Follow { run }).await;
            assert!(
                matches!(&none[..], [DeskAnswer::Sorry { code, .. }] if code == sorry::NOT_FOUND)
            );

            let hello = {
                let any = Hello {
                    card: protocol::Digest([0; 32]),
                    protocol_min: 1,
                    protocol_max: 1,
                    documents_max: 1,
                    catalogue: scene.house.agent.catalogue.versions(),
                    head: protocol::documents::Head {
                        epoch: protocol::Digest([0; 32]),
                        counter: 0,
                        hash: protocol::Digest([0; 32]),
                    },
                    clock: now(),
                    challenge: protocol::Digest([1; 32]),
                    version: "0".into(),
                };
                seal::seal(&any, &[&scene.house.agent.signing]).unwrap().write().unwrap()
            };
            let (good, run) = scene.submission(&hello, 1);
            let answers = ask(&console, &good).await;
            assert!(
                matches!(&answers[..], [DeskAnswer::Sorry { code, .. }] if code == sorry::NOT_SENT),
                "{answers:?}"
            );
            let DeskAsk::Submit { endpoint, order, dispatch, approvals } = good else { panic!() };
            let mut forged = Envelope::read(&order.0).unwrap();
            forged.signatures[0].sig.0[0] ^= 1;
            let order = Bytes(forged.write().unwrap());
            let ask_forged = DeskAsk::Submit { endpoint, order, dispatch, approvals };
            let answers = ask(&console, &ask_forged).await;
            assert!(
                matches!(&answers[..], [DeskAnswer::Sorry { code, sentence, .. }]
                if code == sorry::NOT_SENT && sentence.contains("not sealed")),
                "{answers:?}"
            );
            assert!(scene.house.desk.store.runs(&RunFilter::default()).unwrap().is_empty());
            assert!(scene.house.desk.store.run(run).unwrap().is_none());
        })
    })
    .await;
}

#[tokio::test]
async fn a_desk_that_was_put_back_fetches_orders_and_records_that_it_lost() {
    play(Quirk::OffersAgain, true, |scene| {
        Box::pin(async move {
            // A run that the store forgot: it was ordered behind the desk's back.
            let agent = &scene.house.agent;
            let session =
                crate::session::Session::open(agent, &scene.house.row, now()).await.unwrap();
            let hello = trust::seal::seal(session.hello().get(), &[&agent.signing]).unwrap();
            let (submit, run) = scene.submission(&hello.write().unwrap(), 1);
            let DeskAsk::Submit { order, dispatch, .. } = submit else { panic!() };
            let parcel = crate::session::Parcel {
                order: Envelope::read(&order.0).unwrap(),
                dispatch: Envelope::read(&dispatch.0).unwrap(),
                attestation: None,
                approvals: Vec::new(),
            };
            session.submit(&parcel, &mut |_| ()).await.unwrap_err();
            let store = scene.house.desk.store.here().unwrap();
            assert!(store.run(&run).unwrap().is_none());

            crate::home::write_public(&scene.house.desk.home.restored_file(), b"{}").unwrap();
            let console = scene.console().await;
            let endpoint = scene.house.row.id;
            let met = ask(&console, &DeskAsk::Meet { endpoint }).await;
            assert!(matches!(&met[..], [DeskAnswer::Met { .. }]), "{met:?}");
            let came = async {
                loop {
                    let row = store.run(&run).unwrap();
                    if let Some(row) = row.filter(|row| row.state == RunState::Ended) {
                        break row;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            };
            let row = tokio::time::timeout(std::time::Duration::from_secs(20), came).await.unwrap();
            assert_eq!(row.verified, Some(true), "{row:?}");
            assert_eq!(row.agent.as_deref(), Some(agent.name.as_str()));
            let kept = store.order(&row.order).unwrap().unwrap();
            assert_eq!(kept.envelope, order.0);
        })
    })
    .await;
}

#[tokio::test]
async fn the_idle_line_of_an_agent_who_was_withdrawn_ends_when_the_policy_is_taken_up() {
    play(Quirk::None, false, |scene| {
        Box::pin(async move {
            let (idle, other) = (scene.console().await, scene.console().await);
            let hello = DeskAsk::Hello { min: 1, max: 1 };
            for console in [&idle, &other] {
                let said = ask(console, &hello).await;
                assert!(matches!(&said[..], [DeskAnswer::Hello { .. }]), "{said:?}");
            }
            let home = &scene.house.desk.home;
            let me = &scene.house.desk.organisation.me;
            let passphrase = crate::org::tests::PASSPHRASE;
            let admin = home.held_key(crate::home::Held::Admin, me, passphrase).unwrap();
            let mut file = catalogue::policy(home, now()).unwrap().file().clone();
            (file.people[0].signing_key, file.people[0].sealing_key) = (None, None);
            let text = catalogue::policy_text(&file).unwrap();
            catalogue::publish_policy(home, &text, &[admin], now()).unwrap();
            // Somebody else's question has the desk take it up.
            let mut stream = other.open().await.unwrap();
            stream.send(&hello).await.unwrap();
            let ended = tokio::time::timeout(std::time::Duration::from_secs(5), idle.closed());
            let ended = ended.await.expect("the idle line goes on");
            assert_eq!(ended, LinkError::Stopped(Stop::Withdrawn));
        })
    })
    .await;
}

mod waiting;

#[tokio::test]
async fn a_certificate_that_is_not_due_stays_as_it_is() {
    play(Quirk::None, false, |scene| {
        Box::pin(async move {
            let console = scene.console().await;
            let answers = ask(&console, &DeskAsk::Renew).await;
            assert_eq!(answers, [DeskAnswer::Renewed { leaf: None }]);
        })
    })
    .await;
}
