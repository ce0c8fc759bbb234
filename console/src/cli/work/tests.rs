use std::collections::BTreeMap;

use protocol::EndpointId;
use store::EndpointState;

use super::*;

fn row() -> EndpointRow {
    EndpointRow {
        id: EndpointId([1; 16]),
        name: "lt-4411".parse().unwrap(),
        card: Vec::new(),
        address: Some("lt-4411:7433".to_owned()),
        person: None,
        labels: BTreeMap::new(),
        host: None,
        platform: None,
        enrolled: Time(0),
        last_seen: Some(Time(1000)),
        versions: None,
        head: None,
        daemon: None,
        state: EndpointState::Active,
    }
}

fn ctx() -> Ctx {
    let now = || Time(1000 + 44 * 60);
    let (json, passphrase_fd, scripts_beside) = (false, None, None);
    let given = crate::ctx::Given::default();
    let (home, keys) = ("/nowhere".into(), Vec::new());
    Ctx { home, json, keys, ssh_agent: None, passphrase_fd, given, scripts_beside, now }
}

#[test]
fn a_machine_that_is_away_says_since_when_and_that_nothing_was_sent() {
    let dial = DialError::NothingListens { address: "lt-4411:7433".to_owned() };
    let failure = of_session(SessionError::Dial(dial), &row(), &ctx());
    assert_eq!(failure.exit, Exit::Unreachable);
    let words = failure.for_people();
    assert!(words.starts_with("lt-4411 is not reachable: nothing listens"), "{words}");
    assert!(words.contains("last seen 44 min ago. Nothing was sent."), "{words}");
}

#[test]
fn every_stop_has_a_sentence_and_a_next_step() {
    for stop in Stop::ALL {
        let failure = stopped(stop, &row());
        assert!(failure.sentence.contains(&stop.to_string()), "{stop:?}");
        let step = failure.next_step.unwrap_or_default();
        assert!(step.len() > 10, "{stop:?}");
    }
}

#[test]
fn a_door_that_says_no_is_quoted_and_not_believed() {
    let run = RunId([2; 16]);
    let not_taken =
        |stop, expires| of_run(RunError::NotTaken { run, stop, expires }, &row(), &ctx());
    let full = not_taken(Stop::Rate, Time(1000 + 45 * 60));
    assert_eq!(full.exit, Exit::Unreachable);
    assert_eq!(
        full.for_people(),
        "lt-4411 did not take it, as its door says: too many requests. Nothing runs as far as \
         known; it expires at 01:01:40Z.\n  try again in a minute"
    );
    for stop in Stop::ALL {
        let failure = not_taken(stop, Time(1000));
        assert!(failure.sentence.ends_with("it has expired."), "{failure}");
        assert!(!failure.sentence.contains("Nothing ran"), "{failure}");
        let same = if stop == Stop::NoRun { Exit::Unknown } else { stopped(stop, &row()).exit };
        assert_eq!(failure.exit, same, "{stop:?}");
        assert!(failure.next_step.is_some(), "{stop:?}");
    }
    let (ended_by, source) = (Time(5000), SessionError::Stopped(Stop::NoRun));
    let lost = of_run(RunError::Unknown { run, ended_by, by_desk: false, source }, &row(), &ctx());
    assert_eq!(lost.exit, Exit::Unknown);
    assert!(lost.sentence.contains("took the order"), "{lost}");
}

#[test]
fn a_desk_that_says_no_to_an_order_that_it_holds_is_quoted_and_not_believed() {
    for code in ["not-sent", "limit", "a-later-code"] {
        let no = Sorry::new(code, "nothing ran.\u{1b}").next("rm -rf x\nsalve init");
        let (run, expires) = (RunId([2; 16]), Time(1000 + 45 * 60));
        let failure = of_run(RunError::NotPassed { run, no, expires }, &row(), &ctx());
        assert_eq!(failure.exit, Exit::Unknown);
        let words = failure.for_people();
        let said = "UNKNOWN  the desk says: nothing ran.\\u{1b}. Nothing runs on lt-4411 as far \
                    as known; it expires at 01:01:40Z.\n";
        assert!(words.starts_with(said), "{words}");
        assert!(words.contains("the desk's advice:  rm -rf x\\u{a}salve init\n"), "{words}");
        assert!(words.contains("ask again after that:  salve runs follow "), "{words}");
    }
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let session = |error| of_session(error, &row(), &ctx()).exit;
    let name = row().name;
    assert_eq!(session(SessionError::NoAddress { name }), Exit::Unreachable);
    assert_eq!(session(SessionError::Peer(desk::session::BadPeer::Key)), Exit::NotVerified);
    assert_eq!(session(SessionError::Stopped(Stop::Withdrawn)), Exit::Refused);
    assert_eq!(session(SessionError::Stopped(Stop::Drain)), Exit::Unreachable);
    assert_eq!(session(SessionError::Unexpected), Exit::Broken);
    let line = SessionError::Line(LinkError::Silent);
    assert_eq!(session(line), Exit::Unreachable);
    let unknown = |by_desk| RunError::Unknown {
        run: RunId([2; 16]),
        ended_by: Time(5000),
        by_desk,
        source: SessionError::Line(LinkError::Silent),
    };
    for (by_desk, said) in [
        (false, "UNKNOWN  the order was sent to lt-4411, and no record came back; it may run"),
        (true, "UNKNOWN  the desk was given the order for lt-4411, and no record came back;"),
    ] {
        let failure = of_run(unknown(by_desk), &row(), &ctx());
        assert_eq!(failure.exit, Exit::Unknown);
        let words = failure.for_people();
        assert!(words.starts_with(said), "{words}");
        assert!(!words.contains("did not run"), "{words}");
    }
}
