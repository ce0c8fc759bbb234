//! What waits leaves once, when its machine is there; never for another one, and not after a recall.

use protocol::EndpointId;

use super::*;
use crate::order_file::{self, OrderFile, OrderKey};
use crate::runs::{recall, send_carried, waiting_order};
use crate::session::Session;

fn wish(scene: &Scene) -> Wish {
    let agent = &scene.house.agent;
    let script = agent.catalogue.scripts().next().unwrap().clone();
    Wish {
        parameters: parameters(&script.manifest, &[], &agent.policy).unwrap(),
        script,
        mode: Mode::Plan,
        endpoint: scene.house.row.clone(),
        ticket: None,
        ticket_row: None,
        reason: "a test".into(),
        identified: None,
        consent: None,
        plan: None,
        asked: None,
        break_glass: None,
        approved: None,
    }
}

/// The question that leaves an order waiting, and its envelope.
fn waits(scene: &Scene) -> (DeskAsk, Envelope) {
    let agent = &scene.house.agent;
    let (sealed, seed) = waiting_order(agent, &wish(scene), 600, now()).unwrap();
    let (order, seed) = (Bytes(sealed.write().unwrap()), Bytes(seed.to_vec()));
    (DeskAsk::Wait { endpoint: scene.house.row.id, order, seed }, sealed)
}

fn no(answers: &[DeskAnswer]) -> (&str, &str) {
    match answers {
        [DeskAnswer::Sorry { code, sentence, .. }] => (code, sentence),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_waits_leaves_once_when_its_machine_is_met_and_its_record_comes_home() {
    play(Quirk::None, true, |scene| {
        Box::pin(async move {
            let console = scene.console().await;
            let (wait, sealed) = waits(scene);
            let answers = ask(&console, &wait).await;
            let [DeskAnswer::Waits { run, .. }] = answers[..] else { panic!("{answers:?}") };
            assert_eq!(run, RunId::of(&sealed.digest(), &scene.house.row.id, 0));
            // The same again is not kept twice.
            assert_eq!(no(&ask(&console, &wait).await).0, sorry::DUPLICATE);

            let store = &scene.house.desk.store;
            assert_eq!(store.waiting().unwrap().len(), 1);
            assert!(scene.house.seen.lock().unwrap().orders.is_empty());
            // Whoever meets the machine has the desk dial it, and what waits goes first.
            scene.met(&console).await;
            let home = async {
                while store.run(run).unwrap().unwrap().state != RunState::Ended {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), home).await.unwrap();
            assert_eq!(store.run(run).unwrap().unwrap().verified, Some(true));
            assert!(store.waiting().unwrap().is_empty());
            assert_eq!(scene.house.seen.lock().unwrap().orders.len(), 1);
            let followed = ask(&console, &DeskAsk::Follow { run }).await;
            assert!(matches!(followed.last(), Some(DeskAnswer::Done { .. })), "{followed:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_not_the_orders_own_is_not_kept() {
    play(Quirk::None, false, |scene| {
        Box::pin(async move {
            let console = scene.console().await;
            let endpoint = scene.house.row.id;
            let (wait, _) = waits(scene);
            let DeskAsk::Wait { order: bytes, .. } = wait.clone() else { panic!() };
            for (endpoint, seed, words) in [
                (endpoint, vec![1; 32], "not one made for it"),
                (endpoint, vec![1; 31], "key is none"),
                (EndpointId([9; 16]), vec![1; 32], "not for this endpoint alone"),
            ] {
                let ask_it = DeskAsk::Wait { endpoint, order: bytes.clone(), seed: Bytes(seed) };
                let answers = ask(&console, &ask_it).await;
                let (code, sentence) = no(&answers);
                assert!(code == sorry::NOT_SENT && sentence.contains(words), "{sentence}");
            }
            // An order that its agent's own key dispatches has no business with a desk's key.
            let (_, own, _) = order(&scene.house.agent, &wish(scene), now()).unwrap();
            let DeskAsk::Wait { seed, .. } = wait else { panic!() };
            let order = Bytes(own.write().unwrap());
            let answers = ask(&console, &DeskAsk::Wait { endpoint, order, seed }).await;
            assert!(no(&answers).1.contains("not one made for it"), "{answers:?}");
            assert!(scene.house.desk.store.runs(&RunFilter::default()).unwrap().is_empty());
        })
    })
    .await;
}

#[tokio::test]
async fn what_waits_is_taken_back_by_its_agent_and_by_no_stranger() {
    play(Quirk::None, false, |scene| {
        Box::pin(async move {
            let console = scene.console().await;
            let endpoint = scene.house.row.id;
            let (wait, sealed) = waits(scene);
            let answers = ask(&console, &wait).await;
            let [DeskAnswer::Waits { run, .. }] = answers[..] else { panic!("{answers:?}") };
            let follow = ask(&console, &DeskAsk::Follow { run }).await;
            assert!(no(&follow).1.contains("waits for its machine"), "{follow:?}");

            let signed =
                recall(&scene.house.agent, (sealed.digest(), true), "a test", now()).unwrap();
            let mut forged = signed.clone();
            forged.signatures[0].sig.0[0] ^= 1;
            let asked = |recall: &Envelope| DeskAsk::Recall {
                endpoint,
                recall: Bytes(recall.write().unwrap()),
            };
            let store = &scene.house.desk.store;
            assert_eq!(no(&ask(&console, &asked(&forged)).await).0, sorry::NOT_TAKEN);
            assert_eq!(store.waiting().unwrap().len(), 1);
            let taken = ask(&console, &asked(&signed)).await;
            assert_eq!(taken, [DeskAnswer::Recalled { was_running: false }]);
            assert!(store.waiting().unwrap().is_empty());
            let row = store.run(run).unwrap().unwrap();
            assert_eq!(row.state, RunState::NotSent);
            assert!(row.reason.unwrap().starts_with("taken back by"));
            // Nothing waits any more: it is an endpoint's recall now, and that is away.
            assert_eq!(no(&ask(&console, &asked(&signed)).await).0, sorry::NOT_SENT);
        })
    })
    .await;
}

/// The order that waits, as a file.
async fn carry(scene: &Scene, console: &Connection) -> (RunId, OrderFile) {
    let (wait, sealed) = waits(scene);
    let answers = ask(console, &wait).await;
    let [DeskAnswer::Waits { run, .. }] = answers[..] else { panic!("{answers:?}") };
    let answers = ask(console, &DeskAsk::Carry { run }).await;
    let [DeskAnswer::Carried { order, seed }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(order.0, sealed.write().unwrap());
    let file = OrderFile {
        organisation: scene.house.desk.organisation.id.clone(),
        written: now(),
        order: order.clone(),
        card: Bytes(scene.house.row.card.clone()),
        address: scene.house.row.address.clone(),
        key: Some(OrderKey(zeroize::Zeroizing::new(seed.0.as_slice().try_into().unwrap()))),
        answer: None,
    };
    (run, file)
}

async fn bring(console: &Connection, file: &[u8]) -> Vec<DeskAnswer> {
    let mut stream = console.open().await.unwrap();
    let parts: Vec<&[u8]> = file.chunks(1000).collect();
    for (place, part) in parts.iter().enumerate() {
        let last = place + 1 == parts.len();
        stream.send(&DeskAsk::Bring { part: Bytes(part.to_vec()), last }).await.unwrap();
    }
    stream.finish();
    let mut answers = Vec::new();
    while let Some(answer) = stream.recv::<DeskAnswer>().await.unwrap() {
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn what_waits_is_carried_off_and_its_record_brought_back() {
    play(Quirk::None, true, |scene| {
        Box::pin(async move {
            let console = scene.console().await;
            let unknown = ask(&console, &DeskAsk::Carry { run: RunId([9; 16]) }).await;
            assert_eq!(no(&unknown).0, sorry::NOT_FOUND);
            let (run, file) = carry(scene, &console).await;
            // It has no record yet, and half of it is none.
            let bytes = file.write().unwrap();
            assert_eq!(no(&bring(&console, &bytes).await).0, sorry::NOT_TAKEN);
            assert_eq!(no(&bring(&console, &bytes[..900]).await).0, sorry::NOT_TAKEN);
            let agent = &scene.house.agent;
            let opened = order_file::open(agent, file, now()).unwrap();
            let session = Session::open(agent, &scene.house.row, now()).await.unwrap();
            let mut nobody = |_: crate::runs::News<'_>| ();
            let sent =
                send_carried(agent, &session, &opened, None, now, &mut nobody).await.unwrap();
            session.leave().await;
            let back = opened.file.answered(sent.answer).write().unwrap();
            let answers = bring(&console, &back).await;
            let [DeskAnswer::Done { filing }] = &answers[..] else { panic!("{answers:?}") };
            assert!(filing.verified && filing.run == run, "{filing:?}");
            let store = &scene.house.desk.store;
            assert!(store.waiting().unwrap().is_empty());
            assert_eq!(store.run(run).unwrap().unwrap().state, RunState::Ended);
            assert_eq!(scene.house.seen.lock().unwrap().orders.len(), 1);
        })
    })
    .await;
}

#[tokio::test]
async fn a_recall_of_what_is_out_in_a_file_says_so() {
    play(Quirk::None, false, |scene| {
        Box::pin(async move {
            let console = scene.console().await;
            let (run, file) = carry(scene, &console).await;
            let sealed = Envelope::read(&file.order.0).unwrap();
            let signed =
                recall(&scene.house.agent, (sealed.digest(), true), "a test", now()).unwrap();
            let (endpoint, recall) = (scene.house.row.id, Bytes(signed.write().unwrap()));
            for _ in 0..2 {
                let asked = DeskAsk::Recall { endpoint, recall: recall.clone() };
                let answers = ask(&console, &asked).await;
                assert!(no(&answers).1.contains("a copy is out in a file until"), "{answers:?}");
            }
            let row = scene.house.desk.store.run(run).unwrap().unwrap();
            assert_eq!(row.state, RunState::Carried, "nobody can say that it did not run");
        })
    })
    .await;
}
