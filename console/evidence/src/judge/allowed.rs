//! Whether the lists of then allowed a run: who vetted the script, who approved, which rule decided.
//! Decides again with the code that endpoints decide with.

use std::collections::BTreeSet;

use policy::{Facts, Glass, Policy, check_parameters, forecast};
use protocol::documents::{Approval, BreakGlass, ConsentAnswer, Decision, SessionKey};
use protocol::{AgentName, Bytes, Envelope, Manifest, PublicKey, limits};
use trust::catalogue::{Listed, Then};
use trust::seal;

use super::run::Sheet;
use crate::bundle::RunPapers;
use crate::checks::subject;

pub(super) fn judge(sheet: &mut Sheet<'_>, given: &RunPapers, policy: &Policy, then: &Then) {
    let glass = glass(sheet, given, policy);
    let approved = approvals(sheet, given, policy);
    let here = &sheet.record.predicate;
    let key = (here.script.name.clone(), here.script.version);
    let listed = then.scripts.get(&key).filter(|entry| entry.digest == here.script.digest);
    match (listed, &here.decision) {
        (Some(entry), _) => vetted(sheet, entry, policy),
        // Its own line of the papers says that it was not listed.
        (None, Decision::Permit { .. }) => sheet.say("script", "not listed then"),
        (None, Decision::Refuse { .. }) => sheet.say("script", "not listed then; it did not run"),
    }
    match (&here.decision, listed) {
        (Decision::Refuse { refusal }, _) => {
            let words = format!("no, by policy {}: {}", here.catalogue.policy, refusal.sentence());
            sheet.say("allowed", words);
        }
        (Decision::Permit { reasons }, Some(_)) if given.order.is_none() => {
            let (number, by) = (here.catalogue.policy, reasons.join("; "));
            let words = format!("policy {number}, {by}, by the endpoint's word: no order is here");
            sheet.say("allowed", words);
        }
        (Decision::Permit { reasons }, Some(entry)) => {
            rule(sheet, reasons, (&entry.manifest, policy), (approved, glass));
        }
        (Decision::Permit { .. }, None) => {}
    }
}

/// The break-glass key whose paper for this order is here, where the order breaks glass.
fn glass(sheet: &mut Sheet<'_>, given: &RunPapers, policy: &Policy) -> Option<Glass> {
    let here = &sheet.record.predicate;
    let order = sheet.order.as_ref()?;
    let name = order.break_glass.as_ref()?;
    let digest = Envelope::read(&given.order.as_ref()?.0).ok()?.digest();
    let known = policy.glass_key(name, here.accepted);
    let fits = |bytes: &Bytes| {
        let sealed = Envelope::read(&bytes.0).ok()?;
        let paper = seal::open_one::<BreakGlass>(&sealed, &known?.key).ok()?;
        let fits = paper.order == digest
            && Some(paper.plan) == order.plan
            && paper.key == *name
            && here.accepted <= paper.not_after;
        fits.then_some(())
    };
    let signed = given.approvals.iter().find_map(fits);
    let permitted = matches!(here.decision, Decision::Permit { .. });
    let word = if permitted { "BROKEN by" } else { "not broken: refused to" };
    let reason: String = order.reason.chars().take(limits::REASON_CHARS_MAX).collect();
    let words = format!("{word} {}, key {name} instead of approvals: \"{reason}\"", here.agent);
    let key = name.clone();
    sheet.say("GLASS", words);
    if permitted && signed.is_none() {
        let words = format!("key {key} did not sign this order and plan");
        sheet.fault("breaking glass", &words);
    }
    signed.map(|()| Glass { key, reason })
}

/// Everybody whose good yes is here; a paper that is no such yes is a fault.
fn approvals(sheet: &mut Sheet<'_>, given: &RunPapers, policy: &Policy) -> BTreeSet<AgentName> {
    let mut yes = BTreeSet::new();
    let here = &sheet.record.predicate;
    let order = given.order.as_ref().and_then(|bytes| Envelope::read(&bytes.0).ok());
    let (mut digest, mut plan) =
        (order.map(|order| order.digest()), sheet.order.as_ref().and_then(|order| order.plan));
    if given.order.is_none() {
        // The record names both, and the endpoint signed that.
        digest = subject(sheet.record, "order");
        plan = here.plan;
    }
    // A paper of a break-glass key has its own line, where the order breaks glass.
    let breaks = sheet.order.as_ref().is_some_and(|order| order.break_glass.is_some());
    let own_line = |bytes: &&Bytes| {
        let sealed = Envelope::read(&bytes.0).ok();
        breaks && sealed.is_some_and(|sealed| seal::peek::<BreakGlass>(&sealed).is_ok())
    };
    for bytes in given.approvals.iter().filter(|bytes| !own_line(bytes)) {
        let opened = Envelope::read(&bytes.0).ok().and_then(|sealed| {
            let claim = seal::peek::<Approval>(&sealed).ok()?;
            let person = policy.person(&claim.person)?;
            let key = person.signing_key.filter(|_| !policy.is_withdrawn(person, here.accepted))?;
            Some((seal::open_one::<Approval>(&sealed, &key).ok()?, key))
        });
        let fits = opened.filter(|(approval, _)| {
            Some(approval.order) == digest
                && Some(approval.plan) == plan
                && approval.person != here.agent
                && here.accepted <= approval.not_after
                && approval.yes
        });
        let Some((approval, key)) = fits else {
            sheet.fault("an approval", "it is no yes of another person to this order and plan");
            continue;
        };
        let gone = sheet.today.person(&approval.person, &key);
        let gone = gone.map_or_else(String::new, |gone| format!("; {gone}"));
        let words =
            format!("{}: another person, plan {}{gone}", approval.person, approval.plan.short());
        sheet.say("approved", words);
        yes.insert(approval.person.clone());
    }
    yes
}

/// Who signed the list that the script stood in; counted over people, as endpoints do.
fn vetted(sheet: &mut Sheet<'_>, entry: &Listed, policy: &Policy) {
    let here = &sheet.record.predicate;
    let counts = |key: &&PublicKey| policy.counts(key, here.accepted);
    let good: Vec<&PublicKey> = entry.signers.iter().filter(counts).collect();
    let name = |key: &PublicKey| policy.person_of(key).map(|person| person.name.clone());
    let people: BTreeSet<AgentName> = good.iter().filter_map(|key| name(key)).collect();
    let count = if entry.wanted == 1 { good.len() } else { people.len() };
    let names: Vec<String> = people.iter().map(ToString::to_string).collect();
    let by = if names.is_empty() { "a key".to_owned() } else { names.join(" and ") };
    let mut words = format!("vetted by {by}, {} of {}", count.min(entry.wanted), entry.wanted);
    if count < entry.wanted && matches!(here.decision, Decision::Permit { .. }) {
        sheet.fault("the script", &format!("{words}: too few"));
    }
    for key in good {
        let gone = name(key).and_then(|name| Some((sheet.today.person(&name, key)?, name)));
        words.extend(gone.map(|(gone, name)| format!("; {name} {gone}")));
    }
    let key = (entry.manifest.name.clone(), entry.manifest.version);
    let gone = sheet.today.script(&key, &entry.digest);
    words.extend(gone.map(|gone| format!("; this version {gone}, after this run")));
    sheet.say("script", words);
}

/// Decides again: the same rule must say yes.
fn rule(
    sheet: &mut Sheet<'_>,
    reasons: &[String],
    (manifest, policy): (&Manifest, &Policy),
    (approved_by, glass): (BTreeSet<AgentName>, Option<Glass>),
) {
    let here = &sheet.record.predicate;
    let (Some(order), Some(card)) = (&sheet.order, &sheet.card) else { return };
    let person = policy.person(&order.agent);
    let own = person.is_some_and(|person| person.signing_key == Some(order.dispatch_key));
    // Its seal is judged among the papers of the run.
    let paper = order.session_key.as_ref().and_then(|paper| seal::peek::<SessionKey>(paper).ok());
    let same = |question: &String| manifest.question.as_ref().is_none_or(|own| own == question);
    let answer = order.consent.as_ref().and_then(|said| {
        (said.answer == ConsentAnswer::Waived || same(&said.question)).then_some(said.answer)
    });
    let facts = Facts {
        agent: order.agent.clone(),
        script: manifest.name.clone(),
        risk: manifest.risk,
        mode: order.mode,
        consent: manifest.consent,
        labels: card.labels.clone(),
        ticket: order.ticket.is_some(),
        // Attestations live for minutes and are not kept: the endpoint saw one, or the rule asks none.
        attested: true,
        identified: order.identified.is_some(),
        // The endpoint's word for what the attestation said.
        identity_checked: here.identity_checked.is_some(),
        answer,
        asked: here.asked.clone(),
        planned: order.plan.is_some(),
        approved_by,
        glass,
        own_key: own && order.session_key.is_none(),
        session: paper.map(|paper| paper.risk),
        secrets: manifest.permissions.contains_key("secret.one_time"),
        at: here.accepted,
        parameters: check_parameters(manifest, &order.parameters, policy)
            .unwrap_or_else(|_| order.parameters.clone()),
    };
    let again = forecast(&facts, policy);
    let number = here.catalogue.policy;
    if let Some(refusal) = again.refusal {
        let words = format!("policy {number} says no: {}", refusal.sentence());
        return sheet.fault("what allowed the run", &words);
    }
    if again.reasons.first() != reasons.first() {
        let ours = again.reasons.first().map(String::as_str).unwrap_or_default();
        let words = format!("by policy {number} it is {ours}, and the record says otherwise");
        return sheet.fault("what allowed the run", &words);
    }
    let words = format!("policy {number}, {}; {} risk", reasons.join("; "), manifest.risk);
    sheet.say("allowed", words);
}
