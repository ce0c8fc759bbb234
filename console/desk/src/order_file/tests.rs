//! Files that are read are what was written; an order in one runs once; only a record that verifies is
//! filed.

use protocol::Mode;
use store::{RunFilter, RunState};

use super::sample::files;
use super::*;
use crate::runs::tests::fix_for;
use crate::runs::{carried_back, send_carried};
use crate::session::Session;
use crate::session::double::{House, Machine, Quirk, house, now};

#[test]
fn vectors_are_what_is_written_today() {
    let place = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors"));
    for (name, file) in ["order.salve", "order-back.salve"].into_iter().zip(files()) {
        let held = std::fs::read(place.join(name)).unwrap();
        assert!(held == *file.write().unwrap(), "{name}");
        assert_eq!(OrderFile::read(&held).unwrap(), file, "{name}");
    }
}

#[test]
fn a_file_that_is_not_to_the_byte_what_was_written_is_not_read() {
    let [file, _] = files();
    let bytes = file.write().unwrap();
    for place in 0..bytes.len() {
        let mut altered = bytes.to_vec();
        altered[place] ^= 1;
        assert!(OrderFile::read(&altered).is_err(), "byte {place}");
        let cut = OrderFile::read(&bytes[..place]);
        assert!(matches!(cut, Err(BadOrderFile::Head | BadOrderFile::Altered)), "cut at {place}");
    }
    assert!(matches!(OrderFile::read(b"salve backup 1"), Err(BadOrderFile::Head)));
    let neither = OrderFile { key: None, ..file.clone() };
    assert!(matches!(neither.write(), Err(BadOrderFile::Neither)));
    let both = OrderFile { key: file.key.clone(), ..files()[1].clone() };
    assert!(matches!(both.write(), Err(BadOrderFile::Neither)));
    assert!(format!("{file:?}").contains("OrderKey(..)"), "{file:?}");
}

/// An order of this house in a file.
fn carried(house: &House) -> OrderFile {
    let wish = fix_for(house, Mode::Plan, "1482".parse().unwrap());
    let (_, file) = carry_new(&house.desk, &house.agent, &wish, 600, now()).unwrap();
    file
}

fn state(house: &House) -> RunState {
    house.desk.store.runs(&RunFilter::default()).unwrap()[0].state
}

/// Sends the order of a file to the machine of this house.
async fn sent(house: &House, machine: Machine, opened: &Opened) -> crate::runs::Sent {
    let work = async {
        let session = Session::open(&house.agent, &opened.endpoint, now()).await.unwrap();
        let mut nobody = |_: crate::runs::News<'_>| ();
        let sent = send_carried(&house.agent, &session, opened, None, now, &mut nobody).await;
        session.leave().await;
        sent.unwrap()
    };
    tokio::select! {
        sent = work => sent,
        () = machine.serve() => unreachable!("the machine serves for ever"),
    }
}

#[tokio::test]
async fn an_order_in_a_file_is_sent_with_its_own_key_and_its_record_is_filed_here() {
    for quirk in [Quirk::None, Quirk::LosesLineOnce] {
        let (house, machine) = house(quirk);
        let opened = open(&house.agent, carried(&house), now()).unwrap();
        assert_eq!(state(&house), RunState::Carried);
        let sent = sent(&house, machine, &opened).await;
        assert!(sent.result.filing.report.verified, "{:#?}", sent.result.filing.report);
        let back = opened.file.answered(sent.answer);
        assert!(back.key.is_none());
        // A file that went over a stick.
        let back = OrderFile::read(&back.write().unwrap()).unwrap();
        let back = open(&house.agent, back, now().plus(30 * 24 * 3600)).unwrap();
        let result = carried_back(&house.agent, &back).unwrap();
        assert!(result.filing.report.verified, "{:#?}", result.filing.report);
        bring(&house.desk, &house.agent, &back, now()).await.unwrap();
        assert_eq!(state(&house), RunState::Ended);
        let run = house.desk.store.run(result.run).unwrap().unwrap();
        assert_eq!(run.verified, Some(true));
        // Once more is the same.
        bring(&house.desk, &house.agent, &back, now()).await.unwrap();
    }
}

#[tokio::test]
async fn a_record_that_does_not_verify_ends_nothing() {
    let (house, machine) = house(Quirk::ForeignRecord);
    let opened = open(&house.agent, carried(&house), now()).unwrap();
    let sent = sent(&house, machine, &opened).await;
    assert!(!sent.result.filing.report.verified);
    let back = Opened { file: opened.file.answered(sent.answer), ..opened };
    let refused = bring(&house.desk, &house.agent, &back, now()).await.unwrap_err();
    assert!(matches!(refused, BringError::Unfit(_)), "{refused:?}");
    assert!(refused.to_string().contains("does not verify"), "{refused}");
    assert_eq!(state(&house), RunState::Carried, "its note waits for a good one");
}

#[tokio::test]
async fn a_dispatch_that_is_not_the_orders_own_is_left_out() {
    let (house, machine) = house(Quirk::None);
    let opened = open(&house.agent, carried(&house), now()).unwrap();
    let mut sent = sent(&house, machine, &opened).await;
    sent.answer.dispatch = Some(opened.file.order.clone());
    let back = Opened { file: opened.file.answered(sent.answer), ..opened };
    bring(&house.desk, &house.agent, &back, now()).await.unwrap();
    let store = house.desk.store.here().unwrap();
    assert_eq!(store.run_dispatch(&back.run).unwrap(), None);
    assert_eq!(store.run(&back.run).unwrap().unwrap().verified, Some(true));
}

#[tokio::test]
async fn what_does_not_belong_together_is_refused_before_anybody_is_dialled() {
    let (house, _machine) = house(Quirk::None);
    let file = carried(&house);
    let no = |file: OrderFile, when| open(&house.agent, file, when).unwrap_err();
    let over = no(file.clone(), now().plus(700));
    assert!(matches!(over, OrderFileError::Over(_)), "{over:?}");
    let other = OrderFile { organisation: "other".parse().unwrap(), ..file.clone() };
    assert!(matches!(no(other, now()), OrderFileError::Organisation { .. }));
    let key = OrderKey(zeroize::Zeroizing::new([9; 32]));
    let error = no(OrderFile { key: Some(key), ..file.clone() }, now());
    assert!(error.to_string().contains("not its order's"), "{error}");
    let [foreign, _] = files();
    let order = OrderFile { order: foreign.order, ..file.clone() };
    assert!(matches!(no(order, now()), OrderFileError::Unsealed(_)));
    let card = OrderFile { card: foreign.card, ..file.clone() };
    assert!(matches!(no(card, now()), OrderFileError::Card(_)));
    let junk = OrderFile { card: protocol::Bytes(b"junk".to_vec()), ..file };
    assert!(matches!(no(junk, now()), OrderFileError::Unfit(_)));
}

#[tokio::test]
async fn a_file_of_another_desk_is_not_filed() {
    let (ours, machine) = house(Quirk::None);
    let opened = open(&ours.agent, carried(&ours), now()).unwrap();
    let sent = sent(&ours, machine, &opened).await;
    let back = Opened { file: opened.file.answered(sent.answer), ..opened };
    let (theirs, _) = house(Quirk::None);
    let no = bring(&theirs.desk, &theirs.agent, &back, now()).await.unwrap_err();
    assert!(matches!(no, BringError::NoRun { .. }), "{no:?}");
}
