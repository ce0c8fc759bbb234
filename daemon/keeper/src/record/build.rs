//! Builds and seals one record. Never decides an outcome.

use std::collections::BTreeMap;

use protocol::documents::{
    Asked, Card, CatalogueVersions, Decision, Effects, EndpointRef, EventsDigest, Head,
    IdentityCheck, InFlight, Order, OutputDigest, PREDICATE_TYPE, Record, RecordPredicate,
    RecordSubject, STATEMENT_TYPE, SealedSecret,
};
use protocol::{Bytes, Digest, Outcome, RunId, Time, json};
use trust::{Signer, seal};

use super::EffectsSummary;

/// What a run's end adds to its order and decision.
#[derive(Debug, Clone)]
pub struct Account {
    /// How it ended.
    pub outcome: Outcome,
    /// One sentence.
    pub summary: String,
    /// Stable reason where it did not go well.
    pub reason: Option<String>,
    /// What `detect` found.
    pub found: Option<String>,
    /// Sentence for the person.
    pub say: Option<String>,
    /// The plan that was made or that bound it.
    pub plan: Option<Digest>,
    /// What the person at the machine said to that plan, where they were asked.
    pub asked: Option<Asked>,
    /// What was left alone.
    pub skipped: Vec<String>,
    /// Digest of the whole effects file, where the executor told it.
    pub effects_digest: Option<Digest>,
    /// Bytes beyond the effects file's limit.
    pub effects_dropped: u64,
    /// What the effects file says.
    pub effects: EffectsSummary,
    /// What it printed.
    pub output: OutputDigest,
    /// What it sent live.
    pub events: EventsDigest,
    /// Limits that were hit.
    pub limits_hit: Vec<String>,
    /// What was under way, where it was cut off.
    pub in_flight: Option<InFlight>,
    /// One-time secrets in escrow.
    pub secrets: Vec<SealedSecret>,
    /// Defences that were on.
    pub defences: BTreeMap<String, String>,
    /// When it ended.
    pub ended: Time,
    /// How long it took.
    pub duration_ms: u64,
}

impl Account {
    /// Of a run that never started or that nobody came back from.
    #[must_use]
    pub fn without_run(outcome: Outcome, summary: String, reason: String, ended: Time) -> Self {
        let nothing = Digest::of(b"");
        Self {
            outcome,
            summary,
            reason: Some(reason),
            found: None,
            say: None,
            plan: None,
            asked: None,
            skipped: Vec::new(),
            effects_digest: None,
            effects_dropped: 0,
            effects: EffectsSummary::of(b""),
            output: OutputDigest { digest: nothing, bytes: 0, kept: 0 },
            events: EventsDigest { digest: nothing, count: 0, dropped: 0 },
            limits_hit: Vec::new(),
            in_flight: None,
            secrets: Vec::new(),
            defences: BTreeMap::new(),
            ended,
            duration_ms: 0,
        }
    }
}

/// What is known of a run before it ends.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// The run.
    pub run: RunId,
    /// Digest of the order.
    pub order_digest: Digest,
    /// The order.
    pub order: &'a Order,
    /// This endpoint.
    pub card: &'a Card,
    /// Digest of its card.
    pub card_digest: Digest,
    /// What was decided.
    pub decision: &'a Decision,
    /// The desk's word that it checked who is calling.
    pub identity_checked: Option<&'a IdentityCheck>,
    /// Profile classes.
    pub classes: &'a [String],
    /// What is weak by configuration.
    pub weaknesses: &'a [String],
    /// The catalogue that decided.
    pub catalogue: CatalogueVersions,
    /// When the order was accepted or refused.
    pub accepted: Time,
    /// Head of the chain before this record.
    pub head: Head,
    /// Version of the daemon.
    pub version: &'a str,
}

/// Longest sentence of a record, characters.
const SENTENCE_CHARS_MAX: usize = 1000;
/// Most sentences of one kind.
const SENTENCES_MAX: usize = 100;
/// Longest sentence where the record would be too large, characters.
const SHORT_CHARS_MAX: usize = 200;

fn cut(text: &str) -> String {
    text.chars().take(SENTENCE_CHARS_MAX).collect()
}

/// The record, not yet sealed.
#[must_use]
pub fn record(basis: &Basis<'_>, account: Account) -> Record {
    let known = |name: &String| surface::find(name).is_some();
    let by_function = account.effects.by_function.into_iter().filter(|(name, _)| known(name));
    let effects = Effects {
        digest: account.effects_digest.unwrap_or(account.effects.digest),
        lines: account.effects.lines,
        dropped_bytes: account.effects_dropped.min(json::INTEGER_MAX),
        by_function: by_function.collect(),
    };
    let look = |class: &String| surface::Class::from_word(class).is_some_and(|c| c.contained());
    let order = basis.order;
    let few = |list: Vec<String>| list.iter().take(SENTENCES_MAX).map(|text| cut(text)).collect();
    Record {
        statement_type: STATEMENT_TYPE.to_owned(),
        subject: vec![
            RecordSubject::sha256("order", basis.order_digest),
            RecordSubject::sha256("effects", effects.digest),
        ],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: RecordPredicate {
            run: basis.run,
            order: order.id,
            endpoint: EndpointRef {
                id: basis.card.endpoint,
                name: basis.card.name.clone(),
                card: basis.card_digest,
            },
            agent: order.agent.clone(),
            script: order.script.clone(),
            mode: order.mode,
            ticket: order.ticket.clone(),
            identified: order.identified.clone(),
            identity_checked: basis.identity_checked.cloned(),
            consent: order.consent.clone(),
            asked: account.asked,
            decision: basis.decision.clone(),
            outcome: account.outcome,
            summary: cut(&account.summary),
            reason: account.reason.as_deref().map(cut),
            found: account.found.as_deref().map(cut),
            say: account.say,
            plan: account.plan.or(order.plan),
            skipped: few(account.skipped),
            effects,
            output: account.output,
            events: account.events,
            limits_hit: few(account.limits_hit),
            in_flight: account
                .in_flight
                .map(|what| InFlight { function: cut(&what.function), noun: cut(&what.noun) }),
            secrets: account.secrets,
            kernel_held: basis.classes.iter().all(look),
            classes: basis.classes.to_vec(),
            defences: account.defences,
            weaknesses: basis.weaknesses.to_vec(),
            catalogue: basis.catalogue,
            accepted: basis.accepted,
            ended: account.ended,
            duration_ms: account.duration_ms,
            epoch: basis.head.epoch,
            counter: basis.head.counter.saturating_add(1),
            previous: basis.head.hash,
            version: basis.version.to_owned(),
        },
    }
}

/// The same with fewer words: what a process said must not cost an order its record.
fn short(record: &Record) -> Record {
    let mut short = record.clone();
    let here = &mut short.predicate;
    here.summary = here.summary.chars().take(SHORT_CHARS_MAX).collect();
    here.reason = here.reason.as_deref().map(|text| text.chars().take(SHORT_CHARS_MAX).collect());
    (here.found, here.say) = (None, None);
    here.skipped.clear();
    here.defences.clear();
    here.limits_hit = vec!["record".to_owned()];
    short
}

/// The sealed record's digest and its envelope's bytes. One that is too large goes without what
/// can be left out, and says so among its limits.
#[must_use]
pub fn seal_record(record: &Record, signer: &dyn Signer) -> Option<(Digest, Bytes)> {
    let whole = seal::seal(record, &[signer]);
    let envelope = whole.or_else(|_| seal::seal(&short(record), &[signer])).ok()?;
    Some((envelope.digest(), Bytes(envelope.write().ok()?)))
}
