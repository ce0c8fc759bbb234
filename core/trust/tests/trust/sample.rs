//! One of each document and a small catalogue, with fixed keys and times; vectors and tests share
//! them. The seeds are SHA-256 of public words: these keys protect nothing.

use std::collections::BTreeMap;
use std::error::Error;

use protocol::documents::{
    Approval, BreakGlass, ByFunction, Card, CatalogueVersions, CheckedBy, ConsentAnswer,
    ConsentStatement, ContactKind, Decision, Dispatch, Effects, EndpointRef, EnrolRequest,
    EventsDigest, Head, Hello, Identified, IdentityCheck, JoinRequest, Order, OutputDigest,
    PREDICATE_TYPE, Recall, RecallScope, Record, RecordPredicate, RecordSubject, STATEMENT_TYPE,
    ScriptRef, SealedSecret, SeenHead, SessionKey, TicketAttestation, TicketState,
};
use protocol::{
    Bytes, Digest, EndpointId, Envelope, Manifest, Mode, OrderId, Outcome, ParamValue, Refusal,
    Risk, RunId, Time,
};
use trust::catalogue::{Lifetimes, Repository, RepositoryPlan, RoleKeys};
use trust::secret::{self, SealingSecret};
use trust::{Signer, SigningKey};

pub(crate) type Try<T> = Result<T, Box<dyn Error>>;

/// 2026-11-22T10:42:07Z.
pub(crate) const NOW: Time = Time(1_795_344_127);

fn seed(name: &str) -> [u8; 32] {
    Digest::of(format!("salve vectors: {name}").as_bytes()).0
}

pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(seed(name))
}

pub(crate) fn sealing(name: &str) -> SealingSecret {
    SealingSecret::from_seed(seed(name))
}

pub(crate) const ENDPOINT: EndpointId = EndpointId(*b"endpoint lt-4411");
pub(crate) const ORDER_ID: OrderId = OrderId(*b"order of vectors");
pub(crate) const CODE_ORDER_ID: OrderId = OrderId([5; 16]);
pub(crate) const SOURCE: &[u8] = b"const ABOUT = #{ name: \"cache.clear\" };\nfn detect() { }\n";

pub(crate) fn versions() -> CatalogueVersions {
    CatalogueVersions {
        root: 1,
        timestamp: 4,
        snapshot: 4,
        targets: 1,
        policy: 1,
        risk_low: 2,
        risk_medium: 2,
        risk_high: 1,
    }
}

pub(crate) fn script() -> Try<ScriptRef> {
    Ok(ScriptRef { name: "cache.clear".parse()?, version: 3, digest: Digest::of(SOURCE) })
}

pub(crate) fn card() -> Try<Card> {
    Ok(Card {
        endpoint: ENDPOINT,
        name: "lt-4411".parse()?,
        tls_key: Digest::of(b"tls key of lt-4411"),
        record_key: key("record").public_key(),
        sealing_key: sealing("endpoint sealing").public()?,
        labels: BTreeMap::from([("site".parse()?, "stockholm".parse()?)]),
        serial: 17,
        issued: NOW,
        not_after: NOW.plus(365 * 24 * 3600),
    })
}

pub(crate) fn head() -> Head {
    let epoch = Digest::of(b"epoch");
    Head { epoch, counter: 0, hash: epoch }
}

pub(crate) fn hello(card: Digest) -> Hello {
    Hello {
        card,
        protocol_min: 1,
        protocol_max: 1,
        documents_max: 1,
        catalogue: versions(),
        head: head(),
        clock: NOW,
        challenge: Digest::of(b"challenge"),
        version: "0.1.0".to_owned(),
    }
}

pub(crate) fn seen_head(hello: Digest) -> Try<SeenHead> {
    let (endpoint, person) = (ENDPOINT, "m.ruiz".parse()?);
    Ok(SeenHead { endpoint, head: head(), hello, person, seen: NOW.plus(1) })
}

pub(crate) fn order() -> Try<Order> {
    Ok(Order {
        id: ORDER_ID,
        agent: "a.kaya".parse()?,
        dispatch_key: key("a.kaya").public_key(),
        script: script()?,
        mode: Mode::Fix,
        parameters: BTreeMap::from([
            ("days".to_owned(), ParamValue::Int(7)),
            ("deep".to_owned(), ParamValue::Bool(false)),
            ("note".to_owned(), ParamValue::Text("Zwölf \"Dateien\"\nund mehr".to_owned())),
        ]),
        targets: vec![ENDPOINT],
        ticket: Some("RT#20117".parse()?),
        reason: "laptop is slow and full".to_owned(),
        identified: Some(Identified::Manager { name: "S. Okafor".to_owned() }),
        consent: Some(ConsentStatement {
            answer: ConsentAnswer::Spoken,
            question: "May I delete caches?".to_owned(),
        }),
        break_glass: None,
        plan: Some(Digest::of(b"plan")),
        catalogue: versions(),
        not_before: NOW,
        not_after: NOW.plus(3600),
        session_key: None,
    })
}

/// The paper of the key that signs [`session_order`].
pub(crate) fn session_key() -> Try<SessionKey> {
    Ok(SessionKey {
        person: "a.kaya".parse()?,
        key: key("session").public_key(),
        risk: Risk::Medium,
        machine: Some("lt-0007".parse()?),
        not_before: NOW.minus(60),
        not_after: NOW.plus(8 * 3600),
    })
}

/// The order under a session key, whose paper it carries.
pub(crate) fn session_order(paper: Envelope) -> Try<Order> {
    let dispatch_key = key("session").public_key();
    Ok(Order { dispatch_key, session_key: Some(paper), ..order()? })
}

pub(crate) fn approval(order: Digest) -> Try<Approval> {
    Ok(Approval {
        order,
        plan: Digest::of(b"plan"),
        person: "m.ruiz".parse()?,
        yes: true,
        not_after: NOW.plus(3600),
    })
}

/// The order, breaking glass.
pub(crate) fn order_breaking_glass() -> Try<Order> {
    Ok(Order { break_glass: Some("safe-1".parse()?), ..order()? })
}

pub(crate) fn break_glass(order: Digest) -> Try<BreakGlass> {
    let (plan, key) = (Digest::of(b"plan"), "safe-1".parse()?);
    Ok(BreakGlass { order, plan, key, not_after: NOW.plus(3600) })
}

pub(crate) const CLEAR: &[u8] = br#"{"new_password":"correct horse"}"#;
pub(crate) const RANDOMNESS: [u8; 64] = [0x5a; 64];

pub(crate) fn dispatch(order: Digest) -> Try<Dispatch> {
    let info = secret::info(&order, &"a.kaya".parse()?, &ENDPOINT);
    let to = sealing("endpoint sealing").public()?;
    Ok(Dispatch {
        order,
        endpoint: ENDPOINT,
        challenge: Digest::of(b"challenge"),
        number: 1,
        secrets: Some(secret::seal_to(&to, &info, CLEAR, RANDOMNESS)?),
        issued: NOW,
        not_after: NOW.plus(300),
    })
}

pub(crate) fn recall(order: Digest) -> Try<Recall> {
    Ok(Recall {
        order,
        agent: "a.kaya".parse()?,
        scope: RecallScope::CancelRun,
        reason: "wrong ticket".to_owned(),
        issued: NOW,
        session_key: None,
    })
}

pub(crate) fn attestation() -> Try<TicketAttestation> {
    Ok(TicketAttestation {
        ticket: "RT#20117".parse()?,
        assignee: Some("a.kaya".parse()?),
        endpoints: vec![ENDPOINT],
        state: TicketState::Open,
        issued: NOW,
        not_after: NOW.plus(600),
        identity_checked: None,
    })
}

/// The desk checked who is calling, for [`order_by_code`].
pub(crate) fn checked() -> Try<IdentityCheck> {
    Ok(IdentityCheck {
        by: CheckedBy::Code,
        contact: ContactKind::Mail,
        masked: "j…@example.com".to_owned(),
        on_file_since: NOW.minus(200 * 86_400),
        person: "jo.meyer".to_owned(),
        agent: "a.kaya".parse()?,
        script: "cache.clear".parse()?,
        at: NOW.minus(60),
        endpoint: Some(ENDPOINT),
    })
}

pub(crate) fn order_by_code() -> Try<Order> {
    Ok(Order { id: CODE_ORDER_ID, identified: Some(Identified::Code), ..order()? })
}

pub(crate) fn attestation_checked() -> Try<TicketAttestation> {
    Ok(TicketAttestation { identity_checked: Some(checked()?), ..attestation()? })
}

/// A record of [`order_by_code`].
pub(crate) fn record_checked(
    order: Digest,
    card: Digest,
    counter: u64,
    previous: Digest,
) -> Try<Record> {
    let mut record = record(order, card, counter, previous)?;
    record.predicate.order = CODE_ORDER_ID;
    record.predicate.identified = Some(Identified::Code);
    record.predicate.identity_checked = Some(checked()?);
    Ok(record)
}

pub(crate) fn enrol_request() -> Try<EnrolRequest> {
    Ok(EnrolRequest {
        secret: Bytes(vec![7; 16]),
        name: "lt-4411".parse()?,
        tls_key: Bytes(b"a public key in DER".to_vec()),
        record_key: key("record").public_key(),
        sealing_key: sealing("endpoint sealing").public()?,
        port: 7433,
        platform: "linux".to_owned(),
        host: "lt-4411.example".to_owned(),
    })
}

pub(crate) fn join_request() -> Try<JoinRequest> {
    Ok(JoinRequest {
        secret: Bytes(vec![8; 16]),
        name: "m.ruiz".parse()?,
        tls_key: Bytes(b"a public key in DER".to_vec()),
        signing_key: key("m.ruiz").public_key(),
        sealing_key: sealing("m.ruiz sealing").public()?,
    })
}

pub(crate) fn record(order: Digest, card: Digest, counter: u64, previous: Digest) -> Try<Record> {
    let effects = Effects {
        digest: Digest::of(b"effects"),
        lines: 4,
        dropped_bytes: 0,
        by_function: BTreeMap::from([(
            "fs.remove".to_owned(),
            ByFunction { done: 214, failed: 1, bytes: 851_443_712 },
        )]),
    };
    Ok(Record {
        statement_type: STATEMENT_TYPE.to_owned(),
        subject: vec![
            RecordSubject::sha256("order", order),
            RecordSubject::sha256("effects", effects.digest),
        ],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: RecordPredicate {
            run: RunId::of(&order, &ENDPOINT, 0),
            order: ORDER_ID,
            endpoint: EndpointRef { id: ENDPOINT, name: "lt-4411".parse()?, card },
            agent: "a.kaya".parse()?,
            script: script()?,
            mode: Mode::Fix,
            ticket: Some("RT#20117".parse()?),
            identified: None,
            identity_checked: None,
            consent: None,
            asked: None,
            decision: Decision::Permit { reasons: vec!["rule low-risk".to_owned()] },
            outcome: Outcome::Succeeded,
            summary: "removed 214 files, 812 MiB".to_owned(),
            reason: None,
            found: Some("214 files in caches".to_owned()),
            say: Some("There is room again.".to_owned()),
            plan: Some(Digest::of(b"plan")),
            skipped: vec!["~/.mozilla: the browser is open".to_owned()],
            effects,
            output: OutputDigest { digest: Digest::of(b"output"), bytes: 6, kept: 6 },
            events: EventsDigest { digest: Digest::of(b"events"), count: 9, dropped: 0 },
            limits_hit: Vec::new(),
            in_flight: None,
            secrets: vec![SealedSecret {
                handle: 1,
                sealed: Digest::of(b"sealed bytes"),
                not_after: NOW.plus(3600),
            }],
            classes: vec!["files".to_owned()],
            kernel_held: true,
            defences: BTreeMap::from([("landlock".to_owned(), "ABI 2".to_owned())]),
            weaknesses: Vec::new(),
            catalogue: versions(),
            accepted: NOW,
            ended: NOW.plus(2),
            duration_ms: 1_240,
            epoch: head().epoch,
            counter,
            previous,
            version: "0.1.0".to_owned(),
        },
    })
}

/// A record of an order that was refused.
pub(crate) fn refused(order: Digest, card: Digest, counter: u64, previous: Digest) -> Try<Record> {
    let mut record = record(order, card, counter, previous)?;
    let refusal = Refusal::TicketClosed { ticket: "RT#20117".parse()? };
    let nothing = Digest::of(b"");
    record.subject =
        vec![RecordSubject::sha256("order", order), RecordSubject::sha256("effects", nothing)];
    let predicate = &mut record.predicate;
    predicate.summary = refusal.sentence();
    predicate.reason = Some(refusal.code().to_owned());
    predicate.decision = Decision::Refuse { refusal };
    predicate.outcome = Outcome::Refused;
    predicate.found = None;
    predicate.say = None;
    predicate.plan = None;
    predicate.skipped = Vec::new();
    predicate.effects =
        Effects { digest: nothing, lines: 0, dropped_bytes: 0, by_function: BTreeMap::new() };
    predicate.output = OutputDigest { digest: nothing, bytes: 0, kept: 0 };
    predicate.events = EventsDigest { digest: nothing, count: 0, dropped: 0 };
    predicate.ended = NOW;
    predicate.duration_ms = 0;
    Ok(record)
}

pub(crate) fn manifest(name: &str, version: u32, risk: Risk) -> Try<Manifest> {
    Ok(serde_json::from_value(serde_json::json!({
        "name": name, "version": version, "title": "Räum \"auf\"\nund gut", "does": "removes caches",
        "author": "s.okafor", "risk": risk, "consent": "tell", "platforms": ["linux"],
        "runs_on": "endpoint", "limit_seconds": 60, "parameters": {
            "days": { "kind": "int", "ask": "How old?", "preset": 7, "min": 1, "max": 365 },
            "unit": { "kind": "choice", "ask": "Which?", "choices": { "from": "site.units" } }
        },
        "permissions": { "fs.remove": ["{homes}/.cache/**"] }, "words": ["slow", "full"]
    }))?)
}

pub(crate) const POLICY: &str = "# policy of the vectors\n[people]\n";

pub(crate) fn role(threshold: usize, names: &[&str]) -> RoleKeys {
    RoleKeys::new(threshold, names.iter().map(|name| key(name).public_key()))
}

/// Two administrators, three vetters, two of them from medium risk up.
pub(crate) fn plan() -> RepositoryPlan {
    RepositoryPlan {
        root: role(2, &["root a", "root b", "root c"]),
        targets: role(1, &["admin a", "admin b"]),
        policy: role(1, &["admin a", "admin b"]),
        risks: BTreeMap::from([
            (Risk::Low, role(1, &["vetter a", "vetter b", "vetter c"])),
            (Risk::Medium, role(2, &["vetter a", "vetter b", "vetter c"])),
            (Risk::High, role(2, &["vetter a", "vetter b", "vetter c"])),
        ]),
        online: key("online").public_key(),
        lifetimes: Lifetimes::small(),
        policy_text: POLICY.to_owned(),
    }
}

pub(crate) fn keys(names: &[&str]) -> Vec<SigningKey> {
    names.iter().map(|name| key(name)).collect()
}

pub(crate) fn all(keys: &[SigningKey]) -> Vec<&dyn Signer> {
    keys.iter().map(|key| key as &dyn Signer).collect()
}

pub(crate) const EVERYBODY: [&str; 6] =
    ["root a", "root b", "admin a", "vetter a", "vetter b", "online"];

/// A repository with one script of low and one of medium risk, as of [`NOW`].
pub(crate) fn repository(folder: &std::path::Path) -> Try<Repository> {
    let keys = keys(&EVERYBODY);
    let signers = all(&keys);
    let mut repository = Repository::create(folder, plan(), &signers, NOW)?;
    repository.add_script(
        SOURCE,
        &manifest("cache.clear", 3, Risk::Low)?,
        &signers,
        NOW.plus(60),
    )?;
    let restart = manifest("service.restart", 1, Risk::Medium)?;
    repository.add_script(b"fn detect() { 1 }\n", &restart, &signers, NOW.plus(120))?;
    Ok(repository)
}
