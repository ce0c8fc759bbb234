//! A small organisation with one endpoint and signed papers, for tests of whoever shows or files
//! runs. Never part of a program.
#![expect(clippy::expect_used, reason = "for tests: keys from fixed seeds cannot fail")]

use std::collections::BTreeMap;

use protocol::documents::{
    ByFunction, Card, CatalogueVersions, CheckedBy, ConsentAnswer, ConsentStatement, ContactKind,
    Decision, Dispatch, Effects, EndpointRef, EventsDigest, Head, Hello, Identified, IdentityCheck,
    Order, OutputDigest, PREDICATE_TYPE, Record, RecordPredicate, RecordSubject, STATEMENT_TYPE,
    ScriptRef, SealingKey, SeenHead,
};
use protocol::{
    Bytes, Digest, EndpointId, Envelope, Mode, OrderId, Outcome, PayloadType, RunId, Time,
};
use trust::{Signer as _, SigningKey, seal};

use crate::{Anchors, HeadPapers, KnownAgent, KnownEnroller, Papers};

/// 2026-11-22T10:42:07Z.
pub const NOW: Time = Time(1_795_344_127);
/// The effects file of [`Fixture::record`].
pub const EFFECTS: &[u8] = b"{\"n\":1,\"about\":\"fs.remove\"}\n{\"n\":1,\"done\":214}\n";

/// Keys of one enroller, one agent and one endpoint.
#[derive(Debug)]
pub struct Fixture {
    /// Signs cards.
    pub enroller: SigningKey,
    /// Signs orders: `a.kaya`.
    pub agent: SigningKey,
    /// Signs records: `lt-4411`.
    pub endpoint: SigningKey,
}

impl Default for Fixture {
    fn default() -> Self {
        Self {
            enroller: SigningKey::from_seed([1; 32]),
            agent: SigningKey::from_seed([2; 32]),
            endpoint: SigningKey::from_seed([3; 32]),
        }
    }
}

/// An envelope's bytes.
#[must_use]
pub fn bytes(envelope: &Envelope) -> Vec<u8> {
    envelope.write().expect("an envelope has a JSON form")
}

/// Sealed by one key.
#[must_use]
pub fn sealed<T: PayloadType>(document: &T, key: &SigningKey) -> Envelope {
    seal::seal(document, &[key]).expect("a good document is sealed")
}

impl Fixture {
    /// The endpoint's id.
    #[must_use]
    pub const fn id() -> EndpointId {
        EndpointId([0x44; 16])
    }

    /// Whom to believe.
    #[must_use]
    pub fn anchors(&self) -> Anchors {
        let agent = KnownAgent { key: self.agent.public_key(), withdrawn: false, until: None };
        Anchors {
            source: "the policy of Demo Ltd, version 3".to_owned(),
            enrollers: vec![KnownEnroller { key: self.enroller.public_key(), withdrawn: false }],
            agents: BTreeMap::from([("a.kaya".parse().expect("a name"), agent)]),
            denied_cards: Vec::new(),
            denied_keys: Vec::new(),
            versions: Some(versions()),
            scripts: Some(BTreeMap::from([(
                ("cache.clear".parse().expect("a name"), 3),
                Digest([0x3f; 32]),
            )])),
            past: trust::catalogue::Files::new(),
            root: Vec::new(),
            machines: Vec::new(),
        }
    }

    /// The endpoint's card.
    #[must_use]
    pub fn card(&self) -> Card {
        Card {
            endpoint: Self::id(),
            name: "lt-4411".parse().expect("a name"),
            tls_key: Digest([4; 32]),
            record_key: self.endpoint.public_key(),
            sealing_key: SealingKey { algorithm: "x".to_owned(), key: Bytes(vec![5; 32]) },
            labels: BTreeMap::new(),
            serial: 7,
            issued: NOW.minus(1000),
            not_after: NOW.plus(90 * 86_400),
        }
    }

    /// A fix of `cache.clear` for ticket 1.
    #[must_use]
    pub fn order(&self) -> Order {
        Order {
            id: OrderId([6; 16]),
            agent: "a.kaya".parse().expect("a name"),
            dispatch_key: self.agent.public_key(),
            script: ScriptRef {
                name: "cache.clear".parse().expect("a name"),
                version: 3,
                digest: Digest([0x3f; 32]),
            },
            mode: Mode::Fix,
            parameters: BTreeMap::new(),
            targets: vec![Self::id()],
            ticket: Some("1".parse().expect("a ticket")),
            reason: "cannot save".to_owned(),
            identified: Some(Identified::Callback),
            consent: Some(ConsentStatement {
                answer: ConsentAnswer::Spoken,
                question: "May I delete caches? Your own files stay.".to_owned(),
            }),
            break_glass: None,
            plan: None,
            catalogue: versions(),
            not_before: NOW.minus(60),
            not_after: NOW.plus(3600),
            session_key: None,
        }
    }

    /// The dispatch of an order.
    #[must_use]
    pub fn dispatch(&self, order: &Digest) -> Envelope {
        let dispatch = Dispatch {
            order: *order,
            endpoint: Self::id(),
            challenge: Digest([8; 32]),
            number: 1,
            secrets: None,
            issued: NOW,
            not_after: NOW.plus(300),
        };
        sealed(&dispatch, &self.agent)
    }

    /// A head of the endpoint's records, as `a.kaya` saw it.
    #[must_use]
    pub fn seen_head(&self, head: Head, seen: Time) -> HeadPapers {
        let hello = Hello {
            card: sealed(&self.card(), &self.enroller).digest(),
            protocol_min: 1,
            protocol_max: 1,
            documents_max: 1,
            catalogue: versions(),
            head,
            clock: seen,
            challenge: Digest([7; 32]),
            version: "0.1.0".to_owned(),
        };
        let hello = sealed(&hello, &self.endpoint);
        let seen = SeenHead {
            endpoint: Self::id(),
            head,
            hello: hello.digest(),
            person: "a.kaya".parse().expect("a name"),
            seen,
        };
        let seen = Bytes(bytes(&sealed(&seen, &self.agent)));
        HeadPapers { seen, hello: Bytes(bytes(&hello)) }
    }

    /// What the endpoint says of an order: 214 files removed, all well, the first of its epoch.
    #[must_use]
    pub fn record(&self, order: &Order) -> Record {
        let digest = sealed(order, &self.agent).digest();
        let card = sealed(&self.card(), &self.enroller).digest();
        let effects = Digest::of(EFFECTS);
        let epoch = Digest([9; 32]);
        Record {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: vec![
                RecordSubject::sha256("order", digest),
                RecordSubject::sha256("effects", effects),
            ],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: RecordPredicate {
                run: RunId::of(&digest, &Self::id(), 0),
                order: order.id,
                endpoint: EndpointRef {
                    id: Self::id(),
                    name: "lt-4411".parse().expect("a name"),
                    card,
                },
                agent: order.agent.clone(),
                script: order.script.clone(),
                mode: order.mode,
                ticket: order.ticket.clone(),
                identified: order.identified.clone(),
                identity_checked: None,
                consent: order.consent.clone(),
                asked: None,
                decision: Decision::Permit { reasons: vec!["rule low: any agent".to_owned()] },
                outcome: Outcome::Succeeded,
                summary: "/ has 38.6 GiB free (16 %)".to_owned(),
                reason: None,
                found: Some("/ has 0 B of 237 GiB free".to_owned()),
                say: Some("There is room again, please save your work.".to_owned()),
                plan: None,
                skipped: Vec::new(),
                effects: Effects {
                    digest: effects,
                    lines: 2,
                    dropped_bytes: 0,
                    by_function: BTreeMap::from([(
                        "fs.remove".to_owned(),
                        ByFunction { done: 214, failed: 0, bytes: 812 << 20 },
                    )]),
                },
                output: OutputDigest { digest: Digest::of(b""), bytes: 0, kept: 0 },
                events: EventsDigest { digest: Digest::of(b""), count: 0, dropped: 0 },
                limits_hit: Vec::new(),
                in_flight: None,
                secrets: Vec::new(),
                classes: vec!["files".to_owned()],
                kernel_held: true,
                defences: BTreeMap::new(),
                weaknesses: vec!["scripts of every risk need one signature of one".to_owned()],
                catalogue: versions(),
                accepted: NOW,
                ended: NOW.plus(1),
                duration_ms: 1234,
                epoch,
                counter: 1,
                previous: epoch,
                version: "0.1.0".to_owned(),
            },
        }
    }
}

/// A catalogue's versions.
#[must_use]
pub const fn versions() -> CatalogueVersions {
    CatalogueVersions {
        root: 1,
        timestamp: 5,
        snapshot: 4,
        targets: 1,
        policy: 3,
        risk_low: 2,
        risk_medium: 1,
        risk_high: 1,
    }
}

/// The papers of [`Fixture::record`].
#[must_use]
pub fn papers(f: &Fixture) -> Papers {
    let order = f.order();
    let signed = sealed(&order, &f.agent);
    Papers {
        record: bytes(&sealed(&f.record(&order), &f.endpoint)),
        dispatch: Some(bytes(&f.dispatch(&signed.digest()))),
        order: Some(bytes(&signed)),
        effects: Some(EFFECTS.to_vec()),
        card: Some(bytes(&sealed(&f.card(), &f.enroller))),
        ..Papers::default()
    }
}

/// A check of who is calling, as a desk attests it for an order of [`Fixture`] that says "by a code".
///
/// # Panics
/// Never: its names are names.
#[must_use]
pub fn checked() -> IdentityCheck {
    IdentityCheck {
        by: CheckedBy::Code,
        contact: ContactKind::Mail,
        masked: "j…@example.com".to_owned(),
        on_file_since: NOW.minus(200 * 86_400),
        person: "jo.meyer".to_owned(),
        agent: "a.kaya".parse().expect("a name"),
        script: "cache.clear".parse().expect("a name"),
        at: NOW.minus(90),
        endpoint: None,
    }
}
