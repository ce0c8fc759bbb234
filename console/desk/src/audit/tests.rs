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
async fn looks_are_no_changes() {
    let (house, machine) = house(Quirk::None);
    let wish = fix_for(&house, Mode::Check, ticket());
    go(&house, machine, wish).await.0.unwrap();
    assert!(matches!(export(&house.desk, &ticket(), now()), Err(ExportError::Nothing(_))));
}
