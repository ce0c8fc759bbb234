//! An order's way there and its record's way home, with a machine's double.

use protocol::documents::Decision;
use protocol::frames::{Event, Stop};
use protocol::{Mode, Outcome, ParamValue, Refusal, TicketId, limits};
use store::{RunFilter, RunState};

use super::*;
use crate::session::double::{House, Machine, Quirk, house, now};
use crate::session::{Session, SessionError};

fn wish(house: &House, mode: Mode) -> Wish {
    let script = house.agent.catalogue.scripts().next().unwrap().clone();
    let parameters = parameters(&script.manifest, &[], &house.agent.policy).unwrap();
    Wish {
        script,
        mode,
        endpoint: house.row.clone(),
        parameters,
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

/// The same for a ticket.
pub(crate) fn fix_for(house: &House, mode: Mode, ticket: TicketId) -> Wish {
    Wish { ticket: Some(ticket), ..wish(house, mode) }
}

/// Meets the machine and runs one wish in this mode.
async fn in_mode(
    house: &House,
    machine: Machine,
    mode: Mode,
) -> (Result<RunResult, RunError>, Vec<Event>) {
    go(house, machine, wish(house, mode)).await
}

/// Meets the machine and runs one wish.
pub(crate) async fn go(
    house: &House,
    machine: Machine,
    wish: Wish,
) -> (Result<RunResult, RunError>, Vec<Event>) {
    let mut events = Vec::new();
    let work = async {
        let session = Session::open(&house.agent, &house.row, now()).await.unwrap();
        let mut news = |news: News<'_>| {
            if let News::Event(event) = news {
                events.push(event.clone());
            }
        };
        let result = run(&house.desk, &house.agent, &session, &wish, now, &mut news).await;
        session.leave().await;
        // The last word of a session is on its way when it ends.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        result
    };
    let result = tokio::select! {
        result = work => result,
        () = machine.serve() => unreachable!("the machine serves for ever"),
    };
    (result, events)
}

fn states(house: &House) -> Vec<RunState> {
    house.desk.store.runs(&RunFilter::default()).unwrap().iter().map(|run| run.state).collect()
}

#[tokio::test]
async fn a_plan_comes_home_verified_filed_and_acknowledged() {
    let (house, machine) = house(Quirk::None);
    let (result, events) = in_mode(&house, machine, Mode::Plan).await;
    let result = result.unwrap();
    assert!(result.filing.report.verified, "{:?}", result.filing.report);
    assert_eq!(result.live, Live::Confirmed);
    assert_eq!(result.record.predicate.outcome, Outcome::Succeeded);
    let (digest, plan) = result.plan.unwrap();
    assert_eq!((Some(digest), plan.found.as_str()), (result.record.predicate.plan, "full"));
    assert_eq!(events.len(), 3);
    assert_eq!(states(&house), [RunState::Ended]);
    let seen = house.seen.lock().unwrap();
    assert_eq!(seen.filed, [result.filing.report.record.unwrap()]);
    assert_eq!(seen.dispatches[0].order, result.order);
    assert_eq!(seen.orders[0].targets, [house.row.id]);
    let row = house.desk.store.endpoint(house.row.id).unwrap().unwrap();
    assert!(row.last_seen.is_some(), "the hello was filed");
}

/// Everything that a run rested on is withdrawn or gone afterwards: it was valid when it was made.
#[tokio::test]
async fn a_run_is_judged_by_the_generation_that_decided_it() {
    use crate::verify::{Anchors, own_anchors, papers_of, verify_copy, verify_record};
    let (house, machine) = house(Quirk::None);
    let (card, serial) = (machine.card_envelope.clone(), machine.card.serial);
    let result = in_mode(&house, machine, Mode::Check).await.0.unwrap();
    let papers = papers_of(&house.desk.store, &result.run).unwrap().unwrap();
    let lines = |papers: &crate::verify::Papers| {
        let anchors = own_anchors(&house.desk.home, now()).unwrap();
        let copy = verify_copy(Some(&house.desk.store), papers.clone(), &anchors).unwrap();
        assert!(copy.report.verified, "{:#?}", copy.report);
        let words = copy.report.lines.iter().map(|line| (line.about.word(), line.words.clone()));
        words.collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = lines(&papers);
    assert!(before.values().all(|words| !words.contains("withdrawn")), "{before:#?}");

    let me = house.agent.name.clone();
    let admin = crate::home::Held::Admin;
    let admins = [house.desk.home.held_key(admin, &me, crate::org::tests::PASSPHRASE).unwrap()];
    let mut file = house.agent.policy.file().clone();
    let stranger = |seed| trust::Signer::public_key(&trust::SigningKey::from_seed([seed; 32]));
    file.enrollers[0].key = stranger(97);
    file.people[0].signing_key = Some(stranger(98));
    file.denied.cards.push(serial);
    file.denied.scripts.push(result.record.predicate.script.digest);
    let text = crate::catalogue::policy_text(&file).unwrap();
    crate::catalogue::publish_policy(&house.desk.home, &text, &admins, now()).unwrap();

    let after = lines(&papers);
    for about in ["card", "order", "script"] {
        assert!(after[about].ends_with("valid then, withdrawn since"), "{after:#?}");
    }
    assert!(after["catalogue"].ends_with("judged by that, 2 is in force"), "{after:#?}");
    // An auditor gets the keys of then, and which of them count no more.
    let anchors = own_anchors(&house.desk.home, now()).unwrap();
    let handed = anchors.for_record(&result.record.predicate.catalogue).to_json(now());
    let auditor = Anchors::from_json(&handed, "keys.json").unwrap();
    let report = verify_record(&papers, &auditor);
    assert!(report.verified, "{report:#?}");
    let order = report.lines.iter().find(|line| line.about.word() == "order").unwrap();
    assert!(order.words.contains("withdrawn today"), "{order:?}");
    // Nobody takes a record of the new generation from them.
    let used =
        protocol::documents::CatalogueVersions { policy: 2, ..result.record.predicate.catalogue };
    let (_, today) = anchors.at(&used);
    let enrollers: Vec<_> = today.enrollers.iter().map(|enroller| enroller.key).collect();
    assert!(trust::seal::open::<protocol::documents::Card>(&card, &enrollers, 1).is_err());
}

#[tokio::test]
async fn a_record_by_another_key_is_filed_and_not_believed() {
    let (house, machine) = house(Quirk::ForeignRecord);
    let result = in_mode(&house, machine, Mode::Check).await.0.unwrap();
    assert!(!result.filing.report.verified);
    assert_eq!(states(&house), [RunState::Ended]);
    assert!(house.seen.lock().unwrap().filed.is_empty(), "acknowledged what nobody believes");
}

#[tokio::test]
async fn events_that_were_not_signed_are_seen() {
    let (house, machine) = house(Quirk::OtherEvents);
    assert_eq!(in_mode(&house, machine, Mode::Check).await.0.unwrap().live, Live::Differs);
}

/// Nobody signed that it was not taken: it stays open here.
#[tokio::test]
async fn a_door_that_stops_an_order_settles_nothing() {
    let (house, machine) = house(Quirk::StopsOrder);
    let error = in_mode(&house, machine, Mode::Check).await.0.unwrap_err();
    let RunError::NotTaken { stop: Stop::Seal, expires, .. } = error else { panic!("{error:?}") };
    assert!(expires > now() && expires <= now().plus(300));
    assert_eq!(states(&house), [RunState::Sent]);
}

/// A time at which every dispatch of these tests has expired.
fn later() -> protocol::Time {
    now().plus(protocol::limits::DISPATCH_SECONDS_MAX + 60)
}

/// One order that the door stops, then a session in which it is asked for, at `when`.
async fn asked_again(
    house: &House,
    machine: Machine,
    when: fn() -> protocol::Time,
) -> Vec<RunResult> {
    let work = async {
        let session = Session::open(&house.agent, &house.row, now()).await.unwrap();
        let wish = wish(house, Mode::Check);
        let mut nobody = |_: News<'_>| ();
        let stopped = run(&house.desk, &house.agent, &session, &wish, now, &mut nobody).await;
        assert!(matches!(stopped, Err(RunError::NotTaken { .. })), "{stopped:?}");
        session.leave().await;
        let next = Session::open(&house.agent, &house.row, when()).await.unwrap();
        let home = collect(&house.desk, &house.agent, &next, when).await.unwrap();
        next.leave().await;
        home
    };
    tokio::select! {
        home = work => home,
        () = machine.serve() => unreachable!("the machine serves for ever"),
    }
}

#[tokio::test]
async fn what_nobody_knows_of_after_its_dispatch_expired_counts_as_not_taken() {
    let (house, machine) = house(Quirk::StopsOrder);
    assert!(asked_again(&house, machine, later).await.is_empty());
    assert_eq!(states(&house), [RunState::NotTaken]);
    let row = house.desk.store.runs(&RunFilter::default()).unwrap().remove(0);
    assert!(row.reason.unwrap().contains("not signed"));
}

#[tokio::test]
async fn before_its_dispatch_expired_a_stopped_order_stays_open() {
    let (house, machine) = house(Quirk::StopsOrder);
    assert!(asked_again(&house, machine, now).await.is_empty());
    assert_eq!(states(&house), [RunState::Sent]);
}

/// A ledger that was lost cannot know of it: its word settles nothing.
#[tokio::test]
async fn a_ledger_of_another_epoch_settles_nothing() {
    let (house, machine) = house(Quirk::StopsAndNewEpoch);
    assert!(asked_again(&house, machine, later).await.is_empty());
    assert_eq!(states(&house), [RunState::Sent]);
}

/// The door lied: the order was taken. Its record comes home all the same.
#[tokio::test]
async fn a_door_that_lied_hides_no_record() {
    let (house, machine) = house(Quirk::LiesAboutOrder);
    let home = asked_again(&house, machine, later).await;
    assert_eq!(home.len(), 1);
    assert!(home[0].filing.report.verified, "{:?}", home[0].filing.report);
    assert_eq!(states(&house), [RunState::Ended]);
}

#[tokio::test]
async fn a_refusal_is_an_answer_with_a_record() {
    let (house, machine) = house(Quirk::RefusesOrder);
    let result = in_mode(&house, machine, Mode::Check).await.0.unwrap();
    assert_eq!(result.record.predicate.outcome, Outcome::Refused);
    let refusal = Refusal::RateLimited;
    assert_eq!(result.record.predicate.decision, Decision::Refuse { refusal });
    assert_eq!(states(&house), [RunState::Ended]);
}

#[tokio::test]
async fn a_lost_line_is_dialled_again_and_the_record_comes_home() {
    let (house, machine) = house(Quirk::LosesLineOnce);
    let (result, events) = in_mode(&house, machine, Mode::Check).await;
    let result = result.unwrap();
    assert!(result.filing.report.verified, "{:?}", result.filing.report);
    assert_eq!(result.live, Live::Incomplete);
    assert!(matches!(events[0], Event::Accepted { .. }));
    assert_eq!(house.seen.lock().unwrap().sessions, 2);
    assert_eq!(house.seen.lock().unwrap().orders.len(), 1, "an order was sent twice");
    assert_eq!(states(&house), [RunState::Ended]);
}

/// It was accepted and is forgotten there: a rewound machine. That it ran is not known.
#[tokio::test]
async fn an_accepted_run_that_is_forgotten_stays_open_at_the_desk() {
    let (house, machine) = house(Quirk::ForgetsRun);
    let error = in_mode(&house, machine, Mode::Check).await.0.unwrap_err();
    assert!(matches!(error, RunError::Unknown { .. }), "{error:?}");
    assert_eq!(states(&house), [RunState::Accepted]);
}

/// The console gives up watching; the record comes home with the next session, whatever it is for.
#[tokio::test]
async fn a_record_that_nobody_waited_for_comes_home_with_the_next_session() {
    let (house, machine) = house(Quirk::OffersAgain);
    let work = async {
        let session = Session::open(&house.agent, &house.row, now()).await.unwrap();
        let wish = wish(&house, Mode::Check);
        let mut left = |_: News<'_>| ();
        let run = run(&house.desk, &house.agent, &session, &wish, now, &mut left);
        // Left as soon as the line is lost.
        tokio::select! {
            _ = run => panic!("nobody should wait for it"),
            () = house.until_session_ends() => {}
        }
        drop(session);
        let next = Session::open(&house.agent, &house.row, now()).await.unwrap();
        let home = collect(&house.desk, &house.agent, &next, now).await.unwrap();
        next.leave().await;
        home
    };
    let home = tokio::select! {
        home = work => home,
        () = machine.serve() => unreachable!("the machine serves for ever"),
    };
    assert_eq!(home.len(), 1);
    assert!(home[0].filing.report.verified);
    assert_eq!(states(&house), [RunState::Ended]);
}

#[tokio::test]
async fn nothing_is_stored_where_nobody_is_met() {
    let (house, machine) = house(Quirk::ForeignCard);
    let opened = tokio::select! {
        opened = Session::open(&house.agent, &house.row, now()) => opened,
        () = machine.serve() => unreachable!("the machine serves for ever"),
    };
    assert!(matches!(opened, Err(SessionError::Peer(_))));
    assert!(states(&house).is_empty());
}

#[tokio::test]
async fn a_recall_is_signed_by_the_agent_and_taken() {
    let (house, machine) = house(Quirk::None);
    let signed =
        recall(&house.agent, (protocol::Digest([5; 32]), true), "wrong one", now()).unwrap();
    let key = trust::Signer::public_key(&house.agent.signing);
    let opened = trust::seal::open_one::<protocol::documents::Recall>(&signed, &key).unwrap();
    assert_eq!(opened.agent, house.agent.name);
    let work = async {
        let session = Session::open(&house.agent, &house.row, now()).await.unwrap();
        session.recall(&signed).await.unwrap()
    };
    let taken = tokio::select! {
        taken = work => taken,
        () = machine.serve() => unreachable!("the machine serves for ever"),
    };
    assert!(taken);
    assert_eq!(house.seen.lock().unwrap().recalls, 1);
}

#[test]
fn parameters_are_read_by_their_kind() {
    let (house, _machine) = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        house(Quirk::None)
    };
    let mut manifest = wish(&house, Mode::Check).script.manifest;
    let spec = |kind, max| protocol::ParamSpec {
        kind,
        ask: "?".into(),
        preset: None,
        min: Some(1),
        max,
        choices: None,
    };
    manifest.parameters = [
        ("deep".to_owned(), spec(protocol::ParamKind::Bool, None)),
        ("keep".to_owned(), spec(protocol::ParamKind::Int, Some(9))),
    ]
    .into();
    let read = |given: &[(&str, &str)]| {
        let given: Vec<_> = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        parameters(&manifest, &given, &house.agent.policy).map_err(|refusal| refusal.code())
    };
    let good = read(&[("deep", "yes"), ("keep", "3")]).unwrap();
    assert_eq!(good["deep"], ParamValue::Bool(true));
    assert_eq!(good["keep"], ParamValue::Int(3));
    assert_eq!(read(&[("deep", "maybe"), ("keep", "3")]), Err("parameter-type"));
    assert_eq!(read(&[("deep", "no"), ("keep", "x")]), Err("parameter-type"));
    assert_eq!(read(&[("deep", "no"), ("keep", "10")]), Err("parameter-range"));
    assert_eq!(read(&[("deep", "no")]), Err("parameter-missing"));
    assert_eq!(read(&[("deep", "no"), ("keep", "3"), ("x", "1")]), Err("parameter-unknown"));
}

/// A desk that shows an approver something else than what was ordered and planned.
#[tokio::test]
async fn an_approver_is_shown_what_verifies_and_nothing_else() {
    use crate::approvals::{self, ApprovalError, RequestRow};
    let (house, machine) = house(Quirk::None);
    let planned = in_mode(&house, machine, Mode::Plan).await.0.unwrap();
    let (digest, plan) = planned.plan.unwrap();
    let mut fix = wish(&house, Mode::Fix);
    fix.plan = Some(digest);
    let (desk, agent) = (&house.desk, &house.agent);
    let asked = approvals::ask(desk, agent, &fix, (planned.run, 1), now()).unwrap();
    let row = approvals::find(desk, &asked.sealed.digest().short(), now()).unwrap();
    let shown = approvals::read(desk, agent, &row, now()).unwrap();
    assert_eq!((&shown.plan, shown.endpoint.as_str()), (&plan, house.row.name.as_str()));
    let own = approvals::answer(desk, agent, &shown, true, now());
    assert!(matches!(own, Err(ApprovalError::Own)), "{own:?}");
    assert!(approvals::answers(desk, agent, &asked, now()).unwrap().unwrap().yes.is_empty());

    type Lie = fn(&mut RequestRow);
    let lies: [(&str, Lie); 3] = [
        ("is not here", |row| row.plan_run = protocol::RunId([1; 16])),
        ("another machine made the plan", |row| row.endpoint = protocol::EndpointId([1; 16])),
        ("asks no more", |row| row.order = protocol::Digest([1; 32])),
    ];
    for (words, lie) in lies {
        let mut told = row.clone();
        lie(&mut told);
        let error = approvals::read(desk, agent, &told, now()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    // An order in the agent's name that the agent did not seal, and one whose plan is about something else.
    let mut order = asked.order.clone();
    order.reason = "made by the desk".into();
    let thief = trust::SigningKey::from_seed([77; 32]);
    let made = |order: &protocol::documents::Order, key: &dyn trust::Signer| {
        let sealed = trust::seal::seal(order, &[key]).unwrap();
        let plan = desk.store.bytes_of(planned.run, crate::books::Paper::Plan).unwrap().unwrap();
        let (paper, plan) = (protocol::Bytes(sealed.write().unwrap()), protocol::Bytes(plan));
        let by = agent.name.clone();
        desk.store.add_request(paper, plan, planned.run, 1, by, now()).unwrap();
        let row = desk.store.request(sealed.digest()).unwrap().unwrap();
        approvals::read(desk, agent, &row, now()).unwrap_err().to_string()
    };
    assert!(made(&order, &thief).contains("a.kaya did not sign the order"));
    order.parameters.insert("user".into(), ParamValue::Text("root".into()));
    let error = made(&order, &agent.signing);
    assert!(error.contains("order and plan are about different things"), "{error}");
    order.script.digest = protocol::Digest([1; 32]);
    assert!(made(&order, &agent.signing).contains("does not list"));
}

fn lend(risk: protocol::Risk, seconds: u64) -> crate::session::Lend {
    crate::session::Lend { risk, seconds, machine: None }
}

/// The agent of this house, taken up again.
fn again(house: &House) -> crate::session::Agent {
    crate::session::Agent::load(&house.desk, now()).unwrap()
}

#[tokio::test]
async fn a_session_key_signs_daily_work_and_the_own_key_is_not_needed() {
    let (mut house, machine) = house(Quirk::None);
    let (home, me) = (house.desk.home.clone(), house.agent.name.clone());
    let own = trust::Signer::public_key(&house.agent.signing);
    let lent = lend(protocol::Risk::Medium, 8 * 3600);
    let says = house.agent.signing.lend(&home, &me, lent, now()).unwrap();
    let crate::home::OwnKey::Clear(key) = home.own_key(&me).unwrap() else { panic!("not clear") };
    home.keep_own_key(&me, &key, Some("correct horse battery")).unwrap();
    house.agent = again(&house);
    assert!(house.agent.signing.is_locked());
    assert!(!wants_own_key(&house.agent, &wish(&house, Mode::Check), None, now()));

    let result = in_mode(&house, machine, Mode::Check).await.0.unwrap();
    assert!(result.filing.report.verified, "{:?}", result.filing.report);
    let seen = house.seen.lock().unwrap().orders[0].clone();
    assert_eq!((seen.dispatch_key, seen.session_key.is_some()), (says.key, true));
    assert!(seen.not_after <= says.not_after);
    let signed = recall(&house.agent, (result.order, true), "wrong one", now()).unwrap();
    let opened = trust::open_by_person::<protocol::documents::Recall>(&signed, &own).unwrap();
    assert_eq!(opened.session.unwrap().get(), &says);
    // Somebody else's run, and what lives longer, is the own key's, which nobody has opened.
    assert!(recall(&house.agent, (result.order, false), "theirs", now()).is_err());
    let wait = wish(&house, Mode::Check);
    assert!(!wants_own_key(&house.agent, &wait, Some(7 * 3600), now()));
    assert!(wants_own_key(&house.agent, &wait, Some(9 * 3600), now()));
    let refused = waiting_order(&house.agent, &wait, 9 * 3600, now()).unwrap_err();
    assert!(matches!(refused, RunError::Seal(_)), "{refused}");
    let wrong = house.agent.signing.open(&home, &me, "another").unwrap_err();
    assert!(wrong.is_passphrase());
    house.agent.signing.open(&home, &me, "correct horse battery").unwrap();
    let (long, _) = waiting_order(&house.agent, &wait, 9 * 3600, now()).unwrap();
    assert!(trust::seal::open_one::<protocol::documents::Order>(&long, &own).is_ok());
}

#[tokio::test]
async fn a_session_signs_only_what_the_policy_and_its_paper_let_it() {
    let (mut house, _machine) = house(Quirk::None);
    let (home, me) = (house.desk.home.clone(), house.agent.name.clone());
    let lent = lend(protocol::Risk::Low, 3600);
    let says = house.agent.signing.lend(&home, &me, lent, now()).unwrap();
    house.agent = again(&house);
    let check = wish(&house, Mode::Check);
    let wants = |wish: &Wish| wants_own_key(&house.agent, wish, None, now());
    assert!(!wants(&check));
    let with = |change: &dyn Fn(&mut Wish)| {
        let mut wish = check.clone();
        change(&mut wish);
        wants(&wish)
    };
    assert!(with(&|wish| wish.script.risk = protocol::Risk::Medium), "lent for low risk");
    assert!(with(&|wish| wish.script.risk = protocol::Risk::High));
    let secret = "secret.one_time".to_owned();
    let one_time = |wish: &mut Wish| {
        wish.script.manifest.permissions.insert(secret.clone(), Vec::new());
    };
    assert!(with(&one_time));
    // Its last minutes, and after them.
    let at = |time| crate::session::Signing::of(&home, &me, time).unwrap();
    assert!(at(says.not_after).session().is_some());
    assert!(at(says.not_after.plus(1)).session().is_none());
    assert!(at(says.not_before.minus(1)).session().is_none());
    let late = says.not_after.minus(60);
    assert!(wants_own_key(&house.agent, &check, None, late), "too short for a dispatch");
    // Ended, it signs nothing more; another key in the place of the one that lent it ends it, too.
    let stranger = trust::SigningKey::from_seed([9; 32]);
    assert!(home.session(&me, &trust::Signer::public_key(&stranger), now()).is_none());
    assert!(home.end_session(&me).unwrap());
    assert!(!home.end_session(&me).unwrap());
    assert!(again(&house).signing.session().is_none());
    // A longer life than any session has is cut, and high risk is never lent.
    let most = house.agent.signing.lend(&home, &me, lend(protocol::Risk::High, u64::MAX), now());
    let most = most.unwrap();
    assert_eq!(most.not_after.since(most.not_before), limits::SESSION_KEY_SECONDS_MAX);
    assert_eq!(most.risk, protocol::Risk::Medium);
}
