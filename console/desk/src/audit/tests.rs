use evidence::{Judgement, judge};
use protocol::{Mode, TicketId};

use super::*;
use crate::org::Desk;
use crate::runs::tests::{fix_for, go};
use crate::session::double::{House, Quirk, house, now};

fn judged(house: &House, file: &[u8]) -> Judgement {
    judge(file, &house.desk.home.first_root().unwrap()).unwrap()
}

fn ticket() -> TicketId {
    "1".parse().unwrap()
}

/// More policies than are handed out, and in the last the card and the agent's key are gone.
fn years_later(desk: &Desk, serial: u64) {
    let me = desk.organisation.me.clone();
    let admin = crate::home::Held::Admin;
    let admins = [desk.home.held_key(admin, &me, crate::org::tests::PASSPHRASE).unwrap()];
    for number in 1..=10 {
        let mut file = crate::catalogue::policy(&desk.home, now()).unwrap().file().clone();
        file.limits.orders_a_minute = 60 + number;
        if number == 10 {
            file.denied.cards.push(serial);
            let stranger = trust::SigningKey::from_seed([98; 32]);
            file.people[0].signing_key = Some(trust::Signer::public_key(&stranger));
        }
        let text = crate::catalogue::policy_text(&file).unwrap();
        crate::catalogue::publish_policy(&desk.home, &text, &admins, now()).unwrap();
    }
}

#[tokio::test]
async fn a_tickets_evidence_stands_for_itself_years_later() {
    let (house, machine) = house(Quirk::None);
    let serial = machine.card.serial;
    assert!(matches!(export(&house.desk, &ticket(), now()), Err(ExportError::Nothing(_))));
    let wish = fix_for(&house, Mode::Fix, ticket());
    let run = go(&house, machine, wish).await.0.unwrap().run;
    let fresh = export(&house.desk, &ticket(), now()).unwrap();
    let good = judged(&house, &fresh.file);
    assert!(good.valid, "{good:#?}");
    assert_eq!((good.runs.len(), good.runs[0].run), (1, Some(run)));
    let file = String::from_utf8_lossy(&fresh.file);
    assert!(!file.contains("PRIVATE KEY") && !file.contains("escrow"), "no secrets");

    years_later(&house.desk, serial);
    let later = export(&house.desk, &ticket(), now()).unwrap();
    assert!(later.policy > fresh.policy + 8, "the list of then is handed out no more");
    let good = judged(&house, &later.file);
    assert!(good.valid, "{good:#?}");
    let words = |about| &good.runs[0].lines.iter().find(|line| line.about == about).unwrap().words;
    assert!(words("ordered").ends_with(": key valid then, replaced since"), "{good:#?}");
    assert!(words("did").ends_with("(withdrawn since)"), "{good:#?}");
    // Only what judging it takes: two policies of eleven.
    let policies = |name: &&String| name.ends_with(".policy.json");
    assert_eq!(later.bundle.catalogue.keys().filter(policies).count(), 2);

    // A home that does not have them says so, and writes what nobody could judge to no file.
    std::fs::remove_dir_all(house.desk.home.repository().join("past")).unwrap();
    let lost = export(&house.desk, &ticket(), now());
    assert!(matches!(lost, Err(ExportError::NotKept { .. })), "{lost:?}");
}

#[tokio::test]
async fn what_the_rule_erased_is_said_and_who_ordered_is_not_proven() {
    const DAY: u64 = 86_400;
    let (house, machine) = house(Quirk::None);
    let wish = fix_for(&house, Mode::Fix, ticket());
    let run = go(&house, machine, wish).await.0.unwrap().run;
    let desk = &house.desk;
    assert_eq!(retain(desk, now()).unwrap(), Erasure::default(), "nothing is old");
    let by = desk.organisation.me.clone();
    let unsound = Retention { days: 400, high_days: 30 };
    assert!(desk.store.set_retention(unsound, by.clone(), now()).is_err(), "high risk no shorter");
    desk.store.set_retention(Retention { days: 30, high_days: 30 }, by, now()).unwrap();
    let said = crate::inventory::status(desk, now()).unwrap().needs_person;
    assert!(
        said.iter().any(|need| need.contains("shortened how long bodies are kept")),
        "{said:?}"
    );
    let later = now().plus(31 * DAY);
    assert_eq!(retain(desk, later).unwrap().runs, 1);
    assert_eq!(retain(desk, later).unwrap(), Erasure::default(), "once a day");
    assert!(desk.store.erased(run).unwrap().is_some());

    let papers = crate::verify::papers_of(&desk.store, &run).unwrap().unwrap();
    assert!(papers.order.is_none() && papers.erased.is_some());
    let anchors = crate::verify::own_anchors(&desk.home, now()).unwrap();
    let report = crate::verify::verify_record(&papers, &anchors);
    assert!(!report.verified, "{report:#?}");
    let verdict = report.verdict();
    assert!(verdict.contains("who ordered this is not proven"), "{verdict}");
    assert!(verdict.contains("; erased by rule on "), "{verdict}");
    let bad = |line: &crate::verify::Line| line.standing == crate::verify::Standing::Bad;
    assert!(!report.lines.iter().any(bad), "{report:#?}");
    let bundle = export(desk, &ticket(), later).unwrap();
    let judged = judged(&house, &bundle.file);
    assert!(!judged.valid && judged.faults.len() == 1, "{judged:#?}");
    assert!(judged.verdict.contains("erased by rule on "), "{judged:#?}");
}

#[tokio::test]
async fn a_check_is_attested_to_what_came_within_its_hour_for_its_machine() {
    use protocol::documents::{ContactKind, Identified, TicketAttestation};
    use protocol::{Digest, EndpointId};
    let (house, _machine) = house(Quirk::None);
    let desk = &house.desk;
    let asked = store::NewTicketRow { endpoint: None, ..crate::books::samples::ticket(9) };
    let number = desk.store.add_ticket(asked, now()).unwrap();
    let (ticket, row) = crate::inventory::find_ticket(&desk.store, &number.to_string()).unwrap();
    let mut order = evidence::fixture::Fixture::default().order();
    order.identified = Some(Identified::Code);
    (order.not_before, order.not_after) = (now(), now().plus(3600));
    let [here, there] = [EndpointId([1; 16]), EndpointId([2; 16])];
    let new = store::NewCode {
        of: store::CodeFor { ticket: &ticket, agent: &order.agent, script: &order.script.name },
        endpoint: Some(here),
        person: "jo.meyer",
        kind: ContactKind::Mail,
        masked: "j…@example.com",
        on_file: now(),
        nonce: [0; 16],
        mark: Digest([0; 32]),
    };
    let store = desk.store.here().unwrap();
    let id = store.add_code(&new, now()).unwrap().unwrap();
    store.code_right(id, now()).unwrap();
    let said = |targets: &[EndpointId], came| {
        let order = protocol::documents::Order { targets: targets.to_vec(), ..order.clone() };
        let at = (&ticket, &row);
        let sealed = crate::runs::attest_ticket(desk, at, Some((&order, came)), came).unwrap();
        let said: TicketAttestation = trust::seal::peek(&sealed.unwrap()).unwrap();
        said.identity_checked.map(|check| check.endpoint)
    };
    let hour = now().plus(protocol::limits::IDENTITY_CHECK_SECONDS);
    assert_eq!(said(&[here], hour), Some(Some(here)));
    assert_eq!(said(&[here], hour.plus(1)), None, "whatever the order says of its beginning");
    assert_eq!(said(&[there], now()), None);
    assert_eq!(said(&[here, there], now()), None);
}

#[tokio::test]
async fn looks_are_no_changes() {
    let (house, machine) = house(Quirk::None);
    let wish = fix_for(&house, Mode::Check, ticket());
    go(&house, machine, wish).await.0.unwrap();
    assert!(matches!(export(&house.desk, &ticket(), now()), Err(ExportError::Nothing(_))));
}

#[test]
fn who_could_do_what_on_a_day_is_said_by_the_policies_of_that_day() {
    use crate::org::tests::{NOW, PASSPHRASE, set_up};
    const DAY: u64 = 86_400;
    let dir = tempfile::tempdir().unwrap();
    let home = crate::home::Home::new(dir.path().join("home"));
    set_up(&home);
    let desk = Desk::open(home).unwrap();
    let me = desk.organisation.me.clone();
    let admins = [desk.home.held_key(crate::home::Held::Admin, &me, PASSPHRASE).unwrap()];
    for day in 1..=2 {
        let at = NOW.plus(day * DAY);
        let mut file = crate::catalogue::policy(&desk.home, at).unwrap().file().clone();
        file.limits.orders_a_minute = 60 + u32::try_from(day).unwrap();
        let text = crate::catalogue::policy_text(&file).unwrap();
        crate::catalogue::publish_policy(&desk.home, &text, &admins, at).unwrap();
    }
    let first = NOW.minus(NOW.0 % DAY);
    let now = NOW.plus(5 * DAY);
    let on = |day: u64, now| {
        let all = access(&desk, first.plus(day * DAY), now).unwrap();
        all.iter().map(|one| (one.version, one.until.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(on(0, now), [(1, true)]);
    assert_eq!(on(1, now), [(1, true), (2, true)]);
    assert_eq!(on(2, now), [(2, true), (3, false)]);
    assert_eq!(on(4, now), [(3, false)]);
    let all = access(&desk, first.plus(DAY), now).unwrap();
    assert_eq!(all[1].policy.file().limits.orders_a_minute, 61);
    assert_eq!(all[1].from, NOW.plus(DAY));
    // Before there was one, and after the last one ended.
    assert!(access(&desk, first.minus(DAY), now).unwrap().is_empty());
    assert!(on(400, NOW.plus(401 * DAY)).is_empty());
}
