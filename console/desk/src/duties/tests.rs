//! Every change as endpoints take it: those that were there before, however far behind, and those that
//! join after it.

use policy::PolicyFile;
use protocol::{AgentName, PublicKey, Risk};
use trust::catalogue::{Catalogue, Files};
use trust::{Signer as _, SigningKey};

use super::*;
use crate::catalogue;
use crate::home::{Held, Home};
use crate::org::Desk;
use crate::org::team_tests::{THREE, as_an_endpoint, key, name, small};
use crate::org::tests::NOW;

fn desk() -> (tempfile::TempDir, Desk) {
    let (dir, home, _) = small();
    (dir, Desk::open(home).unwrap())
}

/// Keys of these kinds of these founders.
fn keys(desk: &Desk, kinds: &[Held], people: &[&str]) -> Vec<SigningKey> {
    let of =
        |person: &&str| kinds.iter().map(|kind| key(&desk.home, *kind, person)).collect::<Vec<_>>();
    people.iter().flat_map(of).collect()
}

const ALL: [Held; 3] = Held::ALL;

fn give(kind: Held, person: &str, key: PublicKey) -> DutyChange {
    DutyChange::Give { kind, person: name(person), key }
}

fn take(kind: Held, person: &str) -> DutyChange {
    DutyChange::Take { kind, person: name(person), key: None }
}

/// An endpoint that has these files takes what is published now.
fn update(desk: &Desk, held: &Files) -> (Catalogue, Files) {
    let root = desk.home.first_root().unwrap();
    let (next, kept) =
        Catalogue::update(held, &root, &catalogue::files(&desk.home).unwrap(), NOW).unwrap();
    let policy = PolicyFile::read(next.policy_text()).unwrap();
    let person_of = |key: &PublicKey| policy.person_of(key).map(|p| p.name.clone());
    next.check_people(&person_of).unwrap();
    next.check_administrators(&|key| policy.counts(key, NOW)).unwrap();
    (next, kept)
}

fn holders(desk: &Desk, role: &str) -> (usize, Vec<Option<AgentName>>) {
    let role = roles(&desk.home, NOW).unwrap().into_iter().find(|r| r.name == role).unwrap();
    let mut people: Vec<_> = role.holders.into_iter().map(|holder| holder.person).collect();
    people.sort();
    (role.threshold, people)
}

#[test]
fn who_holds_what_is_shown_by_name() {
    let (_dir, desk) = desk();
    let all: Vec<_> = THREE.iter().map(|person| Some(name(person))).collect();
    for role in ["root", "targets", "policy", "risk-high"] {
        assert_eq!(holders(&desk, role), (2, all.clone()), "{role}");
    }
    assert_eq!(holders(&desk, "timestamp"), (1, vec![None]));
}

/// One key lost, one person away: the two who are left name another.
#[test]
fn a_lost_key_is_replaced_by_those_who_are_left_and_old_endpoints_follow() {
    let (_dir, desk) = desk();
    let (_, held) = update(&desk, &Files::new());
    for kind in ALL {
        let new = SigningKey::from_seed([kind as u8 + 40; 32]);
        let old = holder_of(&desk.home, kind, &name("s.okafor"), NOW).unwrap().unwrap();
        let change = give(kind, "s.okafor", new.public_key());
        let asked = asked(&desk, &change, NOW).unwrap();
        assert!(asked.values().all(|n| *n == 2), "{asked:?}");
        let one = keys(&desk, &ALL, &["a.kaya"]);
        assert!(apply(&desk, &change, &one, NOW).is_err(), "{kind:?}: one is not enough");
        let two = keys(&desk, &ALL, &["a.kaya", "m.ruiz"]);
        apply(&desk, &change, &two, NOW).unwrap();
        assert_eq!(
            holder_of(&desk.home, kind, &name("s.okafor"), NOW).unwrap(),
            Some(new.public_key())
        );
        let policy = catalogue::policy(&desk.home, NOW).unwrap();
        assert_eq!(policy.is_denied_key(&old), kind != Held::Root);
        assert!(matches!(apply(&desk, &change, &two, NOW), Err(DutyError::Nothing)));
    }
    // Two roots and three lists behind: it follows in one update, and one that joins now has the same.
    let (next, _) = update(&desk, &held);
    assert_eq!(next.versions(), as_an_endpoint(&desk.home, NOW).versions());
    assert_eq!(next.versions().root, 3);
    let all: Vec<_> = THREE.iter().map(|person| Some(name(person))).collect();
    for role in ["root", "targets", "policy", "risk-high"] {
        assert_eq!(holders(&desk, role), (2, all.clone()), "{role}");
    }
}

#[test]
fn a_person_gets_a_duty_loses_it_and_thresholds_stay_reachable() {
    let (_dir, desk) = desk();
    let (_, held) = update(&desk, &Files::new());
    let two = || keys(&desk, &ALL, &["a.kaya", "m.ruiz"]);
    let fourth = SigningKey::from_seed([77; 32]);
    let nobody = apply(&desk, &give(Held::Vetter, "x.new", fourth.public_key()), &two(), NOW);
    assert!(matches!(nobody, Err(DutyError::Nobody(_))), "{nobody:?}");
    // Nothing was half done by it.
    assert_eq!(holders(&desk, "risk-low").1.len(), 3);

    apply(&desk, &take(Held::Vetter, "s.okafor"), &two(), NOW).unwrap();
    assert_eq!(holders(&desk, "risk-medium").1.len(), 2);
    let last = apply(&desk, &take(Held::Vetter, "m.ruiz"), &two(), NOW);
    assert!(matches!(last, Err(DutyError::Threshold { wanted: 2, keys: 1, .. })), "{last:?}");
    let gone = apply(&desk, &take(Held::Vetter, "s.okafor"), &two(), NOW);
    assert!(matches!(gone, Err(DutyError::NoKey { .. })), "{gone:?}");
    apply(&desk, &give(Held::Vetter, "s.okafor", fourth.public_key()), &two(), NOW).unwrap();
    update(&desk, &held);

    let all = |n| DutyChange::Threshold { duty: Duty::Vetter(Risk::High), wanted: n };
    let three = || {
        [two(), vec![key(&desk.home, Held::Admin, "s.okafor"), SigningKey::from_seed([77; 32])]]
            .concat()
    };
    assert!(apply(&desk, &all(3), &two(), NOW).is_err(), "the list needs a third one");
    apply(&desk, &all(3), &three(), NOW).unwrap();
    assert_eq!(holders(&desk, "risk-high").0, 3);
    for bad in [0, 4] {
        let refused = apply(&desk, &all(bad), &three(), NOW);
        assert!(matches!(refused, Err(DutyError::Threshold { .. })), "{refused:?}");
    }
    assert!(matches!(apply(&desk, &all(3), &three(), NOW), Err(DutyError::Nothing)));
    for duty in [Duty::Root, Duty::Admin] {
        let raise = DutyChange::Threshold { duty, wanted: 3 };
        assert!(apply(&desk, &raise, &two(), NOW).is_err(), "{duty:?}");
        let everybody = keys(&desk, &ALL[..2], &THREE);
        apply(&desk, &raise, &everybody, NOW).unwrap();
    }
    let (next, _) = update(&desk, &held);
    assert_eq!(next.thresholds()["root"].0, 3);
    assert_eq!(next.thresholds()["policy"].0, 3);
}

#[test]
fn the_key_that_keeps_the_catalogue_fresh_is_replaced_also_after_a_cut() {
    let (_dir, desk) = desk();
    let (_, held) = update(&desk, &Files::new());
    let online =
        || desk.home.online_key(crate::home::Online::SnapshotTimestamp).unwrap().public_key();
    let before = online();
    let signers = keys(&desk, &ALL, &["a.kaya", "m.ruiz"]);
    let one = apply(&desk, &DutyChange::Online, &signers[..3], NOW);
    assert!(one.is_err() && online() == before, "{one:?}");
    apply(&desk, &DutyChange::Online, &signers, NOW).unwrap();
    assert_ne!(online(), before);
    update(&desk, &held);
    // It signs from now on.
    assert!(catalogue::renew_if_old(&desk.home, NOW.plus(2 * 86_400)).unwrap());
}

#[test]
fn a_key_that_was_made_is_in_force_when_it_is_given_and_the_old_one_is_kept_beside_it() {
    let (_dir, desk) = desk();
    let home: &Home = &desk.home;
    let person = name("s.okafor");
    let new = make(home, Held::Vetter, &person, "another passphrase").unwrap();
    assert_eq!(make(home, Held::Vetter, &person, "another passphrase").unwrap(), new);
    assert!(make(home, Held::Vetter, &person, "wrong").is_err());
    let old = key(home, Held::Vetter, "s.okafor").public_key();
    assert_ne!(old, new);
    let two = keys(&desk, &ALL, &["a.kaya", "m.ruiz"]);
    apply(&desk, &give(Held::Vetter, "s.okafor", new), &two, NOW).unwrap();
    let held = home.held_key(Held::Vetter, &person, "another passphrase").unwrap();
    assert_eq!(held.public_key(), new);
    assert!(home.held(Held::Vetter, &person).with_extension("old.pem").exists());
    let listed = give(Held::Admin, "m.ruiz", new);
    let refused = apply(&desk, &listed, &two, NOW);
    assert!(matches!(refused, Err(DutyError::Listed)), "{refused:?}");
}
