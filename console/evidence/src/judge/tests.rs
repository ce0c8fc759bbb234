use protocol::documents::{Decision, Identified};
use protocol::{Bytes, Digest, Envelope, Outcome};
use trust::Signer as _;

use super::*;
use crate::fixture::{NOW, bytes};
use crate::world::World;

const DAY: u64 = 86_400;

fn world() -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::found(folder.path());
    (folder, world)
}

fn judged(world: &World, run: crate::RunPapers) -> Judgement {
    judge(&world.bundle(vec![run]).write().unwrap(), &world.root()).unwrap()
}

/// The words of one line.
fn line<'j>(judged: &'j Judgement, about: &str) -> &'j str {
    let line = judged.runs[0].lines.iter().find(|line| line.about == about);
    line.map_or("", |line| &line.words)
}

#[test]
fn a_good_run_is_valid_and_what_is_not_proven_is_said() {
    let (_folder, world) = world();
    let good = judged(&world, world.run());
    assert_eq!(
        good.verdict,
        "VALID WHEN MADE. Not proven: that the person was who they said; that nobody had taken \
         over lt-4411; what was withdrawn after 2026-11-21; that the ticket had no other orders."
    );
    assert!(good.valid, "{good:#?}");
    assert_eq!(good.runs[0].title, "cache.clear 3 on lt-4411, 2026-11-22 10:42:07Z, ticket 1");
    let words = |about| line(&good, about);
    assert_eq!(
        words("person"),
        "identified by a call back to the number on file; stated by a.kaya"
    );
    assert_eq!(words("ordered"), "a.kaya: key valid then and now");
    assert!(words("approved").starts_with("m.ruiz: another person, plan "), "{good:#?}");
    assert_eq!(words("script"), "vetted by l.brandt and s.okafor, 2 of 2");
    assert_eq!(words("allowed"), "policy 1, rule fix-medium; approved by m.ruiz; medium risk");
    assert_eq!(words("did"), "succeeded: 2 actions, all in the plan; signed by lt-4411");
    assert!(words("log").contains(", the first; no head that somebody"), "{good:#?}");
}

#[test]
fn a_check_of_who_is_calling_is_the_desks_word_and_said_as_that() {
    let (_folder, world) = world();
    let mut order = world.order();
    order.identified = Some(Identified::Code);
    let run = world.run_of(&order, |record| {
        record.predicate.identity_checked = Some(crate::fixture::checked());
    });
    let good = judged(&world, run);
    assert!(good.valid, "{good:#?}");
    assert_eq!(
        line(&good, "person"),
        "jo.meyer, identified by a code to the mail on file (j…@example.com), checked by the desk \
         2026-11-22 10:40:37Z; handed in by a.kaya"
    );
    assert!(good.verdict.contains("that whoever read that mail was jo.meyer"), "{good:#?}");
}

#[test]
fn whoever_left_was_there_when_it_ran() {
    let (_folder, mut world) = world();
    let run = world.run();
    world.change(NOW.plus(9 * DAY), |policy| {
        policy.denied.people = vec!["a.kaya".parse().unwrap(), "m.ruiz".parse().unwrap()];
        policy.denied.since.insert("a.kaya".to_owned(), NOW.plus(8 * DAY));
    });
    let left = judged(&world, run.clone());
    assert!(left.valid, "{left:#?}");
    assert_eq!(line(&left, "ordered"), "a.kaya: key valid then, withdrawn 2026-11-30");
    assert!(line(&left, "approved").ends_with("; withdrawn since"), "{left:#?}");
    // An order that was decided after it is none.
    let late = judged(&world, world.run());
    assert!(!late.valid);
    assert!(late.faults.iter().any(|f| f.contains("it was withdrawn already")), "{late:#?}");
    // A bundle without the generation that decided cannot be judged.
    let mut bundle = world.bundle(vec![run]);
    bundle.catalogue.remove("1.policy.json");
    let without = judge(&bundle.write().unwrap(), &world.root()).unwrap();
    assert!(!without.valid);
    assert!(without.verdict.contains("policy 1 is not in the bundle"), "{without:#?}");
}

#[test]
fn a_script_that_was_withdrawn_since_was_vetted_then() {
    let (_folder, mut world) = world();
    let run = world.run();
    world.withdraw_script(NOW.plus(DAY));
    let unlisted = judged(&world, run.clone());
    assert!(unlisted.valid, "{unlisted:#?}");
    let words = "vetted by l.brandt and s.okafor, 2 of 2; this version";
    assert_eq!(line(&unlisted, "script"), format!("{words} no longer listed, after this run"));
    world.change(NOW.plus(2 * DAY), |policy| {
        let digest = Digest::of(crate::world::SOURCE);
        policy.denied.scripts.push(digest);
        policy.denied.since.insert(digest.to_string(), NOW.plus(2 * DAY));
        policy.denied.people.push("l.brandt".parse().unwrap());
    });
    let denied = judged(&world, run);
    assert!(denied.valid, "{denied:#?}");
    let words = "vetted by l.brandt and s.okafor, 2 of 2; l.brandt withdrawn since; this version";
    let said = line(&denied, "script");
    assert_eq!(said, format!("{words} withdrawn 2026-11-24, after this run"));
}

#[test]
fn two_roots_on_the_chain_leads_from_the_root_that_the_auditor_has() {
    let (_folder, mut world) = world();
    let (run, old) = (world.run(), world.root());
    world.rotate(&[21, 22, 24], NOW.plus(DAY));
    world.rotate(&[22, 24, 25], NOW.plus(2 * DAY));
    let file = world.bundle(vec![run]).write().unwrap();
    let on = judge(&file, &old).unwrap();
    assert!(on.valid, "{on:#?}");
    assert_eq!(line(&on, "root"), "1 then, 3 at the end; each signed by the one before");
    // Another organisation's root, and a later one that cannot speak of what was before it.
    let (_other_folder, other) = self::world();
    let mut other = other;
    other.rotate(&[21, 23, 24], NOW);
    let files = other.repository.files().unwrap();
    let foreign = judge(&file, files.get("2.root.json").unwrap()).unwrap();
    assert!(!foreign.valid);
    let files = world.repository.files().unwrap();
    let later = judge(&file, files.get("3.root.json").unwrap()).unwrap();
    assert!(later.verdict.contains("policy 1 is not in the bundle"), "{later:#?}");
}

#[test]
fn a_machine_that_was_scrapped_had_signed_for_itself() {
    let (_folder, mut world) = world();
    let run = world.run();
    world.change(NOW.plus(3 * DAY), |policy| {
        policy.denied.cards.push(7);
        policy.denied.since.insert("7".to_owned(), NOW.plus(3 * DAY));
    });
    let scrapped = judged(&world, run);
    assert!(scrapped.valid, "{scrapped:#?}");
    let words = "succeeded: 2 actions, all in the plan; signed by lt-4411";
    assert_eq!(line(&scrapped, "did"), format!("{words} (withdrawn 2026-11-25)"));
}

#[test]
fn what_does_not_match_is_named_and_nothing_else() {
    let (_folder, world) = world();
    let only = |run: crate::RunPapers| {
        let judged = judged(&world, run);
        assert_eq!(judged.faults.len(), 1, "{judged:#?}");
        judged.verdict
    };
    let short = judged(&world, world.run()).runs[0].run.unwrap().short();

    // Somebody alters an effect, and makes a digest of the file anew.
    let mut run = world.run();
    let text = String::from_utf8(run.effects.take().unwrap().0).unwrap();
    run.effects = Some(Bytes(text.replacen("/tmp/2", "/tmp/3", 1).into_bytes()));
    assert_eq!(
        only(run.clone()),
        format!(
            "INVALID: effect 2 of record {short} does not match what lt-4411 signed. Everything \
             else is good."
        )
    );
    // Without the digests of lines it is known all the same that it was altered.
    run.effect_lines.clear();
    assert!(only(run).contains(&format!("the effects of record {short}: the file was altered")));

    let mut run = world.run();
    let mut sealed = Envelope::read(&run.record.0).unwrap();
    let text = String::from_utf8(sealed.payload.0).unwrap();
    sealed.payload.0 = text.replace("38.6 GiB", "98.6 GiB").into_bytes();
    run.record = Bytes(bytes(&sealed));
    let verdict = only(run);
    assert_eq!(
        verdict,
        format!("INVALID: record {short}: it is not what lt-4411 signed. Everything else is good.")
    );

    let mut run = world.run();
    run.approvals.clear();
    assert!(only(run).contains("policy 1 says no: "), "an approval is asked for");
    let mut run = world.run();
    run.approvals = vec![run.order.clone().unwrap()];
    assert!(judged(&world, run).verdict.contains("it is no yes of another person"));

    let decision = |reasons: &[&str]| Decision::Permit {
        reasons: reasons.iter().map(ToString::to_string).collect(),
    };
    let other = world.run_with(|r| r.predicate.decision = decision(&["rule fix-low"]));
    assert!(only(other).contains("by policy 1 it is rule fix-medium"));
    let ticket = world.bundle(vec![world.run()]);
    let ticket = Bundle { ticket: "2".parse().unwrap(), ..ticket };
    let ticket = judge(&ticket.write().unwrap(), &world.root()).unwrap();
    assert!(ticket.verdict.contains("it is another one than the bundle's"), "{ticket:#?}");
    let other = Bundle { organisation: "Demo Inc".to_owned(), ..world.bundle(vec![world.run()]) };
    assert!(!judge(&other.write().unwrap(), &world.root()).unwrap().valid);
}

#[test]
fn a_refusal_is_valid_evidence_of_a_refusal() {
    let (_folder, world) = world();
    let mut run = world.run_with(|r| {
        r.predicate.outcome = Outcome::Refused;
        let refusal = protocol::Refusal::ApprovalRequired { count: 1 };
        r.predicate.decision = Decision::Refuse { refusal };
    });
    run.approvals.clear();
    let refused = judged(&world, run);
    assert!(refused.valid, "{refused:#?}");
    assert!(line(&refused, "allowed").starts_with("no, by policy 1: "), "{refused:#?}");
    assert_eq!(line(&refused, "did"), "nothing: it was refused; signed by lt-4411");
}

#[test]
fn no_bit_of_a_bundle_can_be_turned() {
    let (_folder, world) = world();
    let (file, root) = (world.bundle(vec![world.run()]).write().unwrap(), world.root());
    assert!(judge(&file, &root).unwrap().valid);
    // Every byte with one of its bits turned; a whole judgement of each would take minutes, and the
    // digest stands before all of them.
    let (mut unreadable, mut altered) = (0, Vec::new());
    for place in 0..file.len() {
        let mut other = file.clone();
        other[place] ^= 1 << (place % 8);
        match Bundle::read(&other) {
            Err(_) => unreadable += 1,
            Ok(opened) => {
                assert!(!opened.intact, "byte {place}");
                altered.push(other);
            }
        }
    }
    assert!(unreadable > 20, "{unreadable}");
    for other in altered.iter().step_by(altered.len() / 60) {
        let judged = judge(other, &root).unwrap();
        assert!(!judged.valid && judged.verdict.starts_with("INVALID: "), "{judged:#?}");
    }
    for cut in [0, 10, file.len() / 2, file.len() - 1] {
        assert!(Bundle::read(&file[..cut]).is_err());
    }
    assert!(Bundle::read(&[file.as_slice(), b" "].concat()).is_ok_and(|opened| !opened.intact));
}

#[test]
fn whoever_makes_the_digest_anew_turns_no_bit_of_what_was_signed() {
    let (_folder, world) = world();
    let root = world.root();
    let bundle = world.bundle(vec![world.run()]);
    type Part = fn(&mut Bundle) -> &mut Vec<u8>;
    let parts: [Part; 6] = [
        |b| &mut b.runs[0].record.0,
        |b| &mut b.runs[0].order.as_mut().unwrap().0,
        |b| &mut b.runs[0].card.as_mut().unwrap().0,
        |b| &mut b.runs[0].approvals[0].0,
        |b| &mut b.runs[0].effects.as_mut().unwrap().0,
        |b| &mut b.runs[0].plan.as_mut().unwrap().0,
    ];
    let mut tried = 0;
    for part in parts {
        let mut altered = bundle.clone();
        let length = part(&mut altered).len();
        for place in (0..length).step_by(97) {
            let mut altered = bundle.clone();
            let bytes = part(&mut altered);
            bytes[place] ^= 4;
            // The hint at whose key it is, and names of the envelope's fields: nobody signs them, and
            // nothing rests on them.
            let same = |bytes: &[u8]| Some(Envelope::read(bytes).ok()?.payload);
            let hint = same(bytes).is_some() && same(bytes) == same(part(&mut bundle.clone()));
            let judged = judge(&altered.write().unwrap(), &root).unwrap();
            assert!(hint || !judged.valid, "{judged:#?}");
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn a_head_that_somebody_saw_later_shows_that_the_chain_went_on_unbroken() {
    let (_folder, world) = world();
    let seen = judged(&world, world.seen_run());
    assert!(seen.valid, "{seen:#?}");
    let words = "entry 1, head 3 seen by a.kaya on 2026-11-23, chain unbroken";
    assert_eq!(line(&seen, "log"), words);
    assert!(!seen.verdict.contains("taken away"), "{seen:#?}");

    // A record on the way that is not there leaves it open; another one in its place does not.
    let mut run = world.seen_run();
    run.links.clear();
    let open = judged(&world, run);
    assert!(open.valid, "{open:#?}");
    let words =
        "entry 1, head 3 seen by a.kaya on 2026-11-23; record 3 on the way there is not here";
    assert_eq!(line(&open, "log"), words);
    let mut run = world.seen_run();
    run.links[0] = run.record.clone();
    assert!(!judged(&world, run).valid);
    let mut run = world.seen_run();
    run.links = vec![run.record.clone(); protocol::limits::EVIDENCE_LINKS_MAX + 1];
    assert!(matches!(world.bundle(vec![run]).write(), Err(BadBundle::Links)));

    // Somebody saw other records at that place: these were put in their stead.
    let mut run = world.seen_run();
    let head = run.head.as_ref().unwrap().claimed().unwrap().head;
    let other = protocol::documents::Head { hash: Digest([1; 32]), ..head };
    run.head = Some(world.f.seen_head(other, NOW.plus(DAY)));
    let forked = judged(&world, run);
    assert!(!forked.valid);
    assert!(forked.verdict.contains("and that was of other records than these"), "{forked:#?}");

    // Neither seal is believed for the other.
    let mut run = world.seen_run();
    let papers = run.head.as_mut().unwrap();
    papers.hello = papers.seen.clone();
    assert!(judged(&world, run).verdict.contains("the endpoint did not sign the hello"));
}

#[test]
fn what_was_erased_is_said_and_proves_no_order() {
    let (_folder, world) = world();
    let ended = |run: &crate::RunPapers| {
        crate::papers::peek_record(&run.record.0).unwrap().0.predicate.ended
    };
    let at = ended(&world.run()).plus(30 * DAY);
    let erased_at = |by, at| {
        let mut run = world.run();
        (run.order, run.dispatch, run.effects, run.plan) = (None, None, None, None);
        run.effect_lines.clear();
        run.erased = Some(protocol::Erased { at, by });
        run
    };
    let erased = |by| erased_at(by, at);
    let rule = judged(&world, erased(protocol::ErasedBy::Rule));
    // Without its order it is the record's word alone who ordered, whoever erased it and why.
    assert!(!rule.valid && rule.faults.len() == 1, "{rule:#?}");
    let fault = "the order is not here, so who ordered this is not proven; the record names its \
                 digest only; erased by rule on 2026-12-22, by the desk's word";
    assert!(rule.verdict.contains(fault), "{}", rule.verdict);
    assert_eq!(line(&rule, "erased"), "effects: 4 lines, erased by rule on 2026-12-22");
    assert!(line(&rule, "approved").starts_with("m.ruiz: another person"), "{rule:#?}");
    assert!(
        line(&rule, "allowed").ends_with("by the endpoint's word: no order is here"),
        "{rule:#?}"
    );
    // Where the order is kept, as another run of it goes on, erased effects are no fault.
    let kept = |mut run: crate::RunPapers| {
        (run.order, run.dispatch) = (world.run().order, world.run().dispatch);
        run
    };
    let good = judged(&world, kept(erased(protocol::ErasedBy::Rule)));
    assert!(good.valid && good.verdict.contains("what the effects of run"), "{good:#?}");
    let asked = judged(&world, kept(erased_at(protocol::ErasedBy::Request, ended(&world.run()))));
    assert!(asked.valid && line(&asked, "erased").contains("erased on request on "), "{asked:#?}");
    // No rule erases that early, nobody before there was something, and nothing after the bundle.
    let made = world.bundle(vec![world.run()]).made;
    for (by, at) in [
        (protocol::ErasedBy::Rule, at.minus(1)),
        (protocol::ErasedBy::Rule, made.plus(1)),
        (protocol::ErasedBy::Request, ended(&world.run()).minus(1)),
        (protocol::ErasedBy::Request, made.plus(1)),
    ] {
        let early = judged(&world, erased_at(by, at));
        assert!(!early.valid && !early.verdict.contains("erased"), "{early:#?}");
        assert!(early.runs[0].lines.iter().all(|line| line.about != "erased"), "{early:#?}");
    }
    // Without that word they are missing, and what is there is judged as ever.
    let run = crate::RunPapers { erased: None, ..erased(protocol::ErasedBy::Rule) };
    assert!(!judged(&world, run).valid);
    let mut run = erased(protocol::ErasedBy::Rule);
    run.effects = Some(Bytes(b"{}".to_vec()));
    assert!(!judged(&world, run).valid);
}

#[test]
fn a_bundle_is_its_vector() {
    let (_folder, world) = world();
    let read = |name: &str| {
        let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
        std::fs::read(vectors.join(name)).unwrap()
    };
    let made = world.bundle(vec![world.run()]).write().unwrap();
    assert!(made == read("evidence.bundle"), "a bundle is written differently than its vector");
    let made = world.bundle(vec![world.seen_run()]).write().unwrap();
    assert!(made == read("evidence-seen.bundle"), "one with a head is written differently");
    assert_eq!(Digest::of(&world.root()), Digest::of(&read("evidence-root.json")));
    assert!(judge(&read("evidence.bundle"), &read("evidence-root.json")).unwrap().valid);
}

#[test]
fn glass_that_was_broken_is_said_and_checked_again() {
    let (_folder, mut world) = world();
    let lets = |world: &mut World, counts: bool| {
        world.change(NOW.minus(3600), |policy| {
            let key = trust::SigningKey::from_seed([crate::world::SAFE; 32]).public_key();
            let name = "safe-1".parse().unwrap();
            policy.break_glass = vec![policy::GlassKey { name, key, valid_until: None }];
            policy.denied.keys = if counts { vec![] } else { vec![key] };
            policy.rules.iter_mut().for_each(|rule| rule.break_glass = rule.approvals > 0);
        });
    };
    // No rule lets it, and no policy lists the key.
    let bad = judged(&world, world.broken(|_| {}, crate::world::SAFE));
    assert!(!bad.valid);
    lets(&mut world, true);
    let good = judged(&world, world.broken(|_| {}, crate::world::SAFE));
    assert!(good.valid, "{good:#?}");
    let reason = &world.order().reason;
    let words = format!("BROKEN by a.kaya, key safe-1 instead of approvals: \"{reason}\"");
    assert_eq!(line(&good, "GLASS"), words);
    assert_eq!(line(&good, "approved"), "");
    let missing = |judged: &Judgement| {
        let words = "key safe-1 did not sign this order and plan";
        assert!(judged.faults.iter().any(|fault| fault.contains(words)), "{judged:#?}");
    };
    type Change = fn(&mut protocol::documents::BreakGlass);
    let changes: [(Change, u8); 5] = [
        (|paper| paper.order = Digest([1; 32]), crate::world::SAFE),
        (|paper| paper.plan = Digest([1; 32]), crate::world::SAFE),
        (|paper| paper.key = "safe-2".parse().unwrap(), crate::world::SAFE),
        (|paper| paper.not_after = NOW.minus(1), crate::world::SAFE),
        (|_| {}, 78),
    ];
    for (change, by) in changes {
        let bad = judged(&world, world.broken(change, by));
        assert!(!bad.valid);
        missing(&bad);
    }
    // An approval is not such a paper, nor the paper an approval.
    let mut mixed = world.broken(|_| {}, crate::world::SAFE);
    let paper = std::mem::replace(&mut mixed.approvals, world.run().approvals);
    let bad = judged(&world, mixed);
    missing(&bad);
    let mut other = world.run();
    other.approvals = paper;
    let bad = judged(&world, other);
    assert!(bad.faults.iter().any(|fault| fault.starts_with("an approval")), "{bad:#?}");
    lets(&mut world, false);
    let denied = judged(&world, world.broken(|_| {}, crate::world::SAFE));
    missing(&denied);
}
