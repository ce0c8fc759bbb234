use evidence::judge;
use policy::PolicyFile;
use protocol::documents::BreakGlass;
use protocol::{Envelope, Mode};
use store::RunFilter;
use trust::seal;

use super::*;
use crate::audit;
use crate::home::Held;
use crate::inventory::status;
use crate::org::tests::PASSPHRASE;
use crate::outbox::told_of;
use crate::runs::tests::{fix_for, go};
use crate::session::double::{House, Machine, Quirk, house, now};

const GLASS: &str = "four words in a safe";

fn admins(desk: &Desk) -> [SigningKey; 1] {
    let me = &desk.organisation.me;
    [desk.home.held_key(Held::Admin, me, PASSPHRASE).unwrap()]
}

fn name() -> Label {
    "safe-1".parse().unwrap()
}

fn change_policy(desk: &Desk, change: impl FnOnce(&mut PolicyFile)) {
    let mut file = catalogue::policy(&desk.home, now()).unwrap().file().clone();
    change(&mut file);
    let text = catalogue::policy_text(&file).unwrap();
    catalogue::publish_policy(&desk.home, &text, &admins(desk), now()).unwrap();
}

/// A house whose fixes of low risk want another person, or the key in the safe.
fn with_safe(folder: &Path) -> (House, Machine, PathBuf) {
    let (mut house, mut machine) = house(Quirk::None);
    let file = folder.join("safe-1.pem");
    let key = make(&file, GLASS).unwrap();
    let new = GlassKey { name: name(), key, valid_until: None };
    give(&house.desk, &new, &admins(&house.desk), now()).unwrap();
    change_policy(&house.desk, |policy| {
        let low = policy.rules.iter_mut().find(|rule| rule.id == "fix-low").unwrap();
        (low.approvals, low.break_glass) = (1, true);
    });
    house.agent = Agent::load(&house.desk, now()).unwrap();
    machine.versions = house.agent.catalogue.versions();
    (house, machine, file)
}

#[tokio::test]
async fn a_key_is_made_once_listed_by_the_policy_and_denied_when_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (house, _machine) = house(Quirk::None);
    let desk = &house.desk;
    let file = folder.path().join("stick").join("safe-1.pem");
    let key = make(&file, GLASS).unwrap();
    assert!(matches!(make(&file, GLASS), Err(GlassError::There(_))));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("ENCRYPTED"), "{text}");
    let opened = |passphrase: &str| {
        let agent = Agent::load(desk, now()).unwrap();
        open(&agent, &file, passphrase, now())
    };
    assert!(matches!(opened(GLASS), Err(GlassError::NotListed(other)) if other == key));
    assert!(matches!(opened("another"), Err(GlassError::Key(error)) if error.is_passphrase()));
    let new = GlassKey { name: name(), key, valid_until: None };
    give(desk, &new, &admins(desk), now()).unwrap();
    assert_eq!(opened(GLASS).unwrap().name, name());
    assert!(matches!(give(desk, &new, &admins(desk), now()), Err(GlassError::Nothing)));
    let other = GlassKey { key: SigningKey::from_seed([88; 32]).public_key(), ..new.clone() };
    assert!(matches!(give(desk, &other, &admins(desk), now()), Err(GlassError::Taken(_))));
    let ended = GlassKey { valid_until: Some(now().minus(60)), ..new };
    give(desk, &ended, &admins(desk), now()).unwrap();
    assert!(matches!(opened(GLASS), Err(GlassError::NotListed(_))));
    take(desk, &name(), &admins(desk), now()).unwrap();
    let file = catalogue::policy(&desk.home, now()).unwrap().file().clone();
    assert!(file.break_glass.is_empty() && file.denied.keys == [key], "{file:?}");
    let again = take(desk, &name(), &admins(desk), now());
    assert!(matches!(again, Err(GlassError::NoKey(_))));
}

#[tokio::test]
async fn glass_is_broken_with_both_keys_and_loud_until_another_person_has_looked() {
    let folder = tempfile::tempdir().unwrap();
    let (mut house, machine, file) = with_safe(folder.path());
    let machine_has = house.desk.store.here().unwrap().count_glass().unwrap();
    assert_eq!(machine_has, (0, 0));
    let key = open(&house.agent, &file, GLASS, now()).unwrap();
    let mut wish = fix_for(&house, Mode::Fix, "1".parse().unwrap());
    assert!(matches!(broken(&house.agent, &wish, &key, now()), Err(GlassError::NoPlan)));
    wish.plan = Some(Digest([5; 32]));
    let made = broken(&house.agent, &wish, &key, now()).unwrap();
    let paper = seal::open_one::<BreakGlass>(&made.approvals[0], &key.key.public_key()).unwrap();
    assert_eq!((paper.order, Some(paper.plan)), (made.sealed.digest(), wish.plan));
    assert_eq!((&paper.key, paper.not_after), (&key.name, made.order.not_after));
    let order = made.sealed.digest();
    wish.approved = Some(made);
    let run = go(&house, machine, wish).await.0.unwrap().run;
    assert_eq!(house.seen.lock().unwrap().orders[0].break_glass, Some(name()));

    // The store, the note, the status, the list and the evidence say it.
    let desk = &mut house.desk;
    assert_eq!(desk.store.approvals(order).unwrap().len(), 1);
    let row = desk.store.order(order).unwrap().unwrap();
    let sealed = Envelope::read(&row.envelope).unwrap();
    let said: protocol::documents::Order = seal::peek(&sealed).unwrap();
    let told = told_of(desk.store.here().unwrap(), &order).unwrap();
    let key_of_note = crate::notes::note_key(&said, &order).unwrap();
    let note = crate::notes::internal(&key_of_note, &said, &told);
    let first = "BREAK GLASS by a.kaya with key safe-1 instead of approvals: \"a test\"\n";
    assert!(note.starts_with(first), "{note}");
    let loud = |desk: &Desk| {
        let state = status(desk, now()).unwrap();
        state.needs_person.into_iter().find(|need| need.starts_with("GLASS WAS BROKEN"))
    };
    let need = loud(desk).unwrap();
    assert!(
        need.contains("by a.kaya with key safe-1") && need.contains("another person"),
        "{need}"
    );
    let listed = |desk: &Desk| {
        let all = audit::list(desk, (Time(0), now().plus(60)), None, now()).unwrap().rows;
        all.into_iter().find(|row| row.run.id == run).unwrap().glass.unwrap()
    };
    assert_eq!(listed(desk).reviewed, None);
    let bundle = audit::export(desk, &"1".parse().unwrap(), now()).unwrap();
    let judged = judge(&bundle.file, &desk.home.first_root().unwrap()).unwrap();
    assert!(judged.valid, "{judged:#?}");
    assert!(judged.runs[0].lines.iter().any(|line| line.about == "GLASS"), "{judged:#?}");

    // Another person looks, once; the agent does not.
    let typed = order.short();
    assert!(matches!(review(desk, &typed, now()), Err(GlassError::Own)));
    assert!(matches!(review(desk, "0000", now()), Err(GlassError::NoOrder { .. })));
    desk.organisation.me = "m.ruiz".parse().unwrap();
    assert!(loud(desk).unwrap().contains("look at it, then"));
    let by = review(desk, &typed, now()).unwrap().reviewed_by.unwrap();
    assert_eq!(by.as_str(), "m.ruiz");
    assert!(matches!(review(desk, &typed, now()), Err(GlassError::Reviewed)));
    assert_eq!(loud(desk), None);
    assert_eq!(listed(desk).reviewed_by, Some(by));
    assert_eq!(desk.store.here().unwrap().count_glass().unwrap(), (1, 0));
    assert_eq!(desk.store.runs(&RunFilter::default()).unwrap().len(), 1);
}
