//! Drafts against what is in force, and cases.

use policy::{PolicyFile, Rule};
use protocol::{AgentName, Time};
use trust::SigningKey;

use super::draft::{Draft, DraftError, draft, editable, publish};
use super::{Change, changes, read_cases, try_cases};
use crate::home::{Held, Home};
use crate::org::Desk;
use crate::org::tests::{NOW, PASSPHRASE, bare};

/// An organisation of one, with no script.
struct Made {
    desk: Desk,
    admin: SigningKey,
    _dir: tempfile::TempDir,
}

fn organisation() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let me = bare(&home);
    let admin = home.held_key(Held::Admin, &me, PASSPHRASE).unwrap();
    Made { desk: Desk::open(home).unwrap(), admin, _dir: dir }
}

fn edited(made: &Made, change: impl FnOnce(&mut PolicyFile)) -> String {
    let mut file = crate::catalogue::policy(&made.desk.home, NOW).unwrap().file().clone();
    change(&mut file);
    file.write().unwrap()
}

fn read(made: &Made, change: impl FnOnce(&mut PolicyFile)) -> Draft {
    draft(&made.desk.home, &edited(made, change), NOW).unwrap()
}

fn rule<'f>(file: &'f mut PolicyFile, id: &str) -> &'f mut Rule {
    file.rules.iter_mut().find(|rule| rule.id == id).unwrap()
}

#[test]
fn every_difference_is_said_once_and_by_name() {
    let made = organisation();
    let found = read(&made, |file| {
        rule(file, "fix-low").approvals = 1;
        file.limits.orders_a_minute = 5;
        let look = file.rules.remove(0);
        file.rules.push(look);
        file.groups.insert(
            "office".parse().unwrap(),
            [("group", "office")].map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).into(),
        );
        file.rules.retain(|rule| rule.id != "fix-high");
    });
    let changed = |at: &str, before: Option<&str>, after: Option<&str>| Change {
        at: at.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    };
    let gone = found.changes.iter().find(|change| change.at == "rules fix-high").unwrap();
    assert!(gone.after.is_none() && gone.before.as_ref().unwrap().contains("\"high\""));
    for wanted in [
        changed("rules fix-low: approvals", None, Some("1")),
        changed("limits.orders_a_minute", Some("60"), Some("5")),
        changed("groups.office.group", None, Some("\"office\"")),
        changed(
            "order of the rules",
            Some("look, fix-low, fix-medium"),
            Some("fix-low, fix-medium, look"),
        ),
    ] {
        assert!(found.changes.contains(&wanted), "{wanted:?} in {:#?}", found.changes);
    }
    assert_eq!(found.changes.len(), 5, "{:#?}", found.changes);
    let file = found.policy.file();
    assert_eq!(changes(file, file).unwrap(), []);
}

#[test]
fn what_looks_like_a_mistake_is_said() {
    let made = organisation();
    let warned = |change: fn(&mut PolicyFile), words: &str| {
        let warnings = read(&made, change).warnings;
        assert!(warnings.iter().any(|warning| warning == words), "{words}: {warnings:#?}");
    };
    warned(
        |file| rule(file, "fix-low").roles = vec!["agnet".parse().unwrap()],
        "rule fix-low: nobody has the role agnet",
    );
    warned(
        |file| {
            let mut again = rule(file, "look").clone();
            again.id = "look-again".to_owned();
            again.scripts = vec!["cache.*".to_owned()];
            file.rules.push(again);
        },
        "rule look-again is never reached: look fits first",
    );
    warned(
        |file| rule(file, "look").scripts = vec!["nowhere.*".to_owned()],
        "rule look: the catalogue lists no script nowhere.*",
    );
    warned(
        |file| rule(file, "fix-high").approvals = 1,
        "rule fix-high: a.kaya can never get the one approval of other people",
    );
}

fn sign(made: &Made, text: &str, again: bool, now: Time) -> Result<(), DraftError> {
    let draft = draft(&made.desk.home, text, now)?;
    publish(&made.desk, &draft, again, std::slice::from_ref(&made.admin), now)
}

#[test]
fn a_draft_is_published_once_and_only_over_what_it_was_made_from() {
    let made = organisation();
    let text = editable(&made.desk.home, NOW).unwrap();
    assert!(matches!(sign(&made, &text, false, NOW), Err(DraftError::Unchanged)));
    let changed = text.replace("orders_a_minute = 60", "orders_a_minute = 7");
    sign(&made, &changed, false, NOW).unwrap();
    let policy = crate::catalogue::policy(&made.desk.home, NOW).unwrap();
    assert_eq!(policy.file().limits.orders_a_minute, 7);
    let late = sign(&made, &changed, false, NOW.plus(1));
    assert!(matches!(late, Err(DraftError::Behind { from: 1, current: 2 })), "{late:?}");
}

#[test]
fn what_was_withdrawn_is_not_trusted_again_by_an_old_file() {
    let made = organisation();
    let before = edited(&made, |file| file.limits.orders_a_minute = 7);
    let gone: AgentName = "m.ruiz".parse().unwrap();
    let denied = edited(&made, |file| {
        file.denied.people.push(gone.clone());
        file.denied.cards.push(9);
    });
    sign(&made, &denied, false, NOW).unwrap();
    match sign(&made, &before, false, NOW) {
        Err(DraftError::TrustsAgain { what }) => assert_eq!(what, ["person m.ruiz", "card 9"]),
        other => panic!("{other:?}"),
    }
    sign(&made, &before, true, NOW).unwrap();
}

#[test]
fn nobody_is_locked_out_by_their_own_signature() {
    let made = organisation();
    let text = edited(&made, |file| file.denied.people.push("a.kaya".parse().unwrap()));
    assert!(matches!(sign(&made, &text, false, NOW), Err(DraftError::Nobody)));
}

const CASES: &str = r#"
[[case]]
name = "a low fix wants a ticket"
agent = "a.kaya"
script = "cache.clear"
risk = "low"
mode = "fix"
expect = "ticket-required"
rule = "fix-low"

[[case]]
name = "and has one"
agent = "a.kaya"
script = "cache.clear"
risk = "low"
mode = "fix"
ticket = true
expect = "permit"
rule = "fix-low"

[[case]]
name = "a stranger may nothing"
agent = "x.y"
script = "cache.clear"
risk = "low"
mode = "check"
expect = "permit"
"#;

#[test]
fn cases_say_what_is_decided_otherwise() {
    let made = organisation();
    let policy = crate::catalogue::policy(&made.desk.home, NOW).unwrap();
    let results = try_cases(&read_cases(CASES).unwrap(), &policy, |_| None).unwrap();
    let good: Vec<bool> = results.iter().map(|result| result.good).collect();
    assert_eq!(good, [true, true, false]);
    assert_eq!(results.last().unwrap().decided, "not-allowed");
    let other = CASES.replace("rule = \"fix-low\"", "rule = \"look\"");
    let results = try_cases(&read_cases(&other).unwrap(), &policy, |_| None).unwrap();
    assert!(results.iter().all(|result| !result.good));
    for (bad, words) in [
        ("", "no [[case]]"),
        ("[[case]]\nname = 1", "invalid type"),
        (&CASES.replace("\"permit\"", "\"yes\""), "expects `yes`"),
        (&CASES.replace("mode =", "moed ="), "unknown field `moed`"),
    ] {
        let error = read_cases(bad).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let unlisted = CASES.replace("risk = \"low\"", "");
    let error = try_cases(&read_cases(&unlisted).unwrap(), &policy, |_| None).unwrap_err();
    assert!(error.to_string().contains("must say its risk"), "{error}");
}

#[test]
fn glass_to_break_without_a_key_looks_like_a_mistake() {
    let made = organisation();
    let lets = |file: &mut PolicyFile| {
        let high = rule(file, "fix-high");
        (high.approvals, high.break_glass) = (1, true);
    };
    let said = "rule fix-high: break_glass without a [[break_glass]] key that counts".to_owned();
    assert!(read(&made, lets).warnings.contains(&said));
    let key = trust::Signer::public_key(&SigningKey::from_seed([77; 32]));
    let list = |file: &mut PolicyFile, valid_until: Option<Time>| {
        lets(file);
        let name = "safe-1".parse().unwrap();
        file.break_glass.push(policy::GlassKey { name, key, valid_until });
    };
    let good = read(&made, |file| list(file, None));
    assert!(!good.warnings.contains(&said), "{:?}", good.warnings);
    let listed = good.changes.iter().find(|change| change.at == "break_glass safe-1").unwrap();
    assert!(listed.before.is_none() && listed.after.is_some());
    assert!(good.weak.iter().any(|weak| weak.contains("rule fix-high")), "{:?}", good.weak);
    assert!(read(&made, |file| list(file, Some(NOW.minus(1)))).warnings.contains(&said));
    let denied = read(&made, |file| {
        list(file, None);
        file.denied.keys.push(key);
    });
    assert!(denied.warnings.contains(&said));
}
