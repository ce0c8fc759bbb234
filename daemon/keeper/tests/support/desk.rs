//! An organisation with people, a policy, a catalogue and consoles: everything a desk would send.
//! Never talks to a network; keys come from names, so that every run is the same.

use std::collections::BTreeMap;
use std::sync::Mutex;

use keeper::core::{Setup, Stamp};
use keeper::ledger::Index;
use keeper::plans::Plans;
use policy::{Initial, Person, PolicyFile, Profile};
use protocol::documents::{
    Card, CatalogueVersions, ConsentAnswer, ConsentStatement, Dispatch, Identified, Order, Recall,
    RecallScope, ScriptRef, SealingKey,
};
use protocol::frames::Ask;
use protocol::{
    Bytes, Consent, Digest, EndpointId, Envelope, Manifest, Mode, OrderId, ParamKind, ParamSpec,
    Params, PublicKey, Risk, RunsOn, Time,
};
use trust::catalogue::{Files, Lifetimes, Repository, RepositoryPlan, RoleKeys};
use trust::{Signer, SigningKey, seal};

pub(crate) const START: Time = Time(1_795_000_000);
const ORGANISATION: &str = "sim";
pub(crate) const HERE: EndpointId = EndpointId([4; 16]);

pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(name.as_bytes()).0)
}
fn public(name: &str) -> PublicKey {
    key(name).public_key()
}

pub(crate) fn script(name: &str, risk: Risk, permissions: &[(&str, &[&str])]) -> Manifest {
    let nouns = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect();
    let target = ParamSpec {
        kind: ParamKind::User,
        ask: "whose?".into(),
        preset: Some(protocol::ParamValue::Text("jo".into())),
        min: None,
        max: None,
        choices: None,
    };
    Manifest {
        name: name.parse().unwrap(),
        version: 1,
        title: name.into(),
        does: "does".into(),
        author: "a.kaya".parse().unwrap(),
        risk,
        consent: if risk == Risk::High { Consent::Identity } else { Consent::Ask },
        question: Some("May I?".into()),
        platforms: vec!["linux".into()],
        runs_on: RunsOn::Endpoint,
        limit_seconds: 60,
        parameters: BTreeMap::from([("user".to_owned(), target)]),
        permissions: permissions.iter().map(|(k, v)| ((*k).to_owned(), nouns(v))).collect(),
        words: vec![],
    }
}

pub(crate) fn source(name: &str) -> Vec<u8> {
    format!("// {name}\n").into_bytes()
}

/// The organisation. Its signatures are deterministic, so what it publishes is kept by what it says.
#[derive(Debug)]
pub(crate) struct Desk {
    base: (Files, Vec<u8>),
    pub(crate) policy: PolicyFile,
    pub(crate) card: Card,
    /// Plans ask the person at the machine.
    pub(crate) asks: bool,
    next: u8,
}

type Published = (Files, Vec<u8>);
static PUBLISHED: Mutex<BTreeMap<(String, u64), Published>> = Mutex::new(BTreeMap::new());

/// How many of which keys vet scripts from now on.
type Vetters<'a> = (usize, &'a [&'a str]);

/// What is published after the first policy: another, and other vetters.
type Later<'a> = (&'a str, Option<Vetters<'a>>);

/// Files and first root of a repository with this first policy, or with what was published later.
fn published(first: &str, then: Option<Later<'_>>, now: Time) -> Published {
    let name = (format!("{first}\n{then:?}"), now.0);
    if let Some(found) = PUBLISHED.lock().unwrap().get(&name) {
        return found.clone();
    }
    let folder = tempfile::tempdir().unwrap();
    let one = |name: &str| RoleKeys::new(1, [public(name)]);
    let plan = RepositoryPlan {
        root: one("root"),
        targets: one("admin"),
        policy: one("admin"),
        risks: Risk::ALL.into_iter().map(|risk| (risk, one("vetter"))).collect(),
        online: public("online"),
        lifetimes: Lifetimes::small(),
        policy_text: first.to_owned(),
    };
    let keys = [key("root"), key("admin"), key("vetter"), key("online")];
    let signers: Vec<&dyn Signer> = keys.iter().map(|k| k as &dyn Signer).collect();
    let path = folder.path().join("repository");
    let mut repository = Repository::create(path, plan, &signers, START).unwrap();
    let reset: [(&str, &[&str]); 2] =
        [("secret.one_time", &[]), ("user.set_password", &["{user}"])];
    let scripts = [
        script("cache.clear", Risk::Low, &[("fs.remove", &["/tmp/**"])]),
        script("user.reset", Risk::High, &reset),
    ];
    let mut foreign = script("win.clear", Risk::Low, &[]);
    foreign.platforms = vec!["windows".into()];
    let mut central = script("dir.unlock", Risk::Low, &[]);
    central.runs_on = RunsOn::Management;
    central.platforms.push("windows".into());
    // A script without a question of its own: whatever was asked counts.
    central.question = None;
    for manifest in scripts.into_iter().chain([foreign, central]) {
        let source = source(manifest.name.as_str());
        repository.add_script(&source, &manifest, &signers, START).unwrap();
    }
    if let Some((text, vetters)) = then {
        repository.set_policy(text, &signers, now).unwrap();
        if let Some((threshold, names)) = vetters {
            let mut both = signers.clone();
            let vetters: Vec<SigningKey> = names.iter().map(|name| key(name)).collect();
            both.extend(vetters.iter().map(|key| key as &dyn Signer));
            let keys = RoleKeys::new(threshold, names.iter().map(|name| public(name)));
            let risks = Risk::ALL.into_iter().map(|risk| (risk, keys.clone())).collect();
            repository.set_roles(one("admin"), risks, &both, now).unwrap();
        }
    }
    let made = (repository.files().unwrap(), repository.first_root().unwrap());
    PUBLISHED.lock().unwrap().insert(name, made.clone());
    made
}

/// The CA of endpoints, as policy lists it.
fn endpoints_ca() -> certs::Ca {
    let end = START.plus(certs::CA_DAYS * certs::DAY);
    let key = key("endpoints-ca").pkcs8_der();
    certs::Ca::create(certs::Kind::Endpoints, ORGANISATION, &key, [3; 16], START, end).unwrap()
}

/// A certificate for this TLS key of that endpoint.
pub(crate) fn leaf(tls: &str, id: EndpointId, end: Time) -> Bytes {
    let spki = certs::spki_of(&public(tls));
    Bytes(endpoints_ca().issue_endpoint(&spki, &id, [5; 16], START, end).unwrap())
}

fn person(name: &str, roles: &[&str]) -> Person {
    Person {
        name: name.parse().unwrap(),
        roles: roles.iter().map(|r| r.parse().unwrap()).collect(),
        signing_key: Some(public(name)),
        sealing_key: Some(SealingKey { algorithm: "a".into(), key: vec![7; 8].into() }),
        vetter_key: None,
        admin_key: None,
        valid_until: None,
        only_ticket: false,
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }
    /// One whose first policy was changed so.
    pub(crate) fn with(change: impl FnOnce(&mut PolicyFile)) -> Self {
        let mut policy = PolicyFile::initial(Initial {
            organisation: ORGANISATION.into(),
            // Approvals are the business of the tests that ask for them.
            profile: Profile::Solo,
            people: vec![person("a.kaya", &[]), person("m.ruiz", &["lead"]), person("t.new", &[])],
            enroller_key: public("enroller"),
            ticket_key: public("ticket"),
            people_ca: vec![1],
            endpoints_ca: endpoints_ca().certificate().to_vec(),
            units: vec!["nginx.service".into()],
        });
        policy.limits.orders_a_minute = 1000;
        change(&mut policy);
        let base = published(&policy.write().unwrap(), None, START);
        let card = Card {
            endpoint: HERE,
            name: "lt-4411".parse().unwrap(),
            tls_key: Digest::of(&certs::spki_of(&public("tls"))),
            record_key: public("record"),
            sealing_key: SealingKey { algorithm: "a".into(), key: vec![1].into() },
            labels: BTreeMap::new(),
            serial: 1,
            issued: START,
            not_after: START.plus(90 * 86_400),
        };
        Self { base, policy, card, asks: false, next: 0 }
    }

    /// Publishes a changed policy; gives all files.
    pub(crate) fn publish(&mut self, change: impl FnOnce(&mut PolicyFile), now: Time) -> Files {
        self.publish_later(change, None, now)
    }
    /// As [`Self::publish`], with other vetters of all scripts, who sign what is listed.
    pub(crate) fn publish_vetters(
        &mut self,
        vetters: Vetters<'_>,
        change: impl FnOnce(&mut PolicyFile),
        now: Time,
    ) -> Files {
        self.publish_later(change, Some(vetters), now)
    }
    fn publish_later(
        &mut self,
        change: impl FnOnce(&mut PolicyFile),
        vetters: Option<Vetters<'_>>,
        now: Time,
    ) -> Files {
        let first = self.policy.write().unwrap();
        change(&mut self.policy);
        published(&first, Some((&self.policy.write().unwrap(), vetters)), now).0
    }
    pub(crate) fn files(&self) -> Files {
        self.base.0.clone()
    }

    pub(crate) fn setup(&self, files: Files, index: Index, plans: Plans, now: Stamp) -> Setup {
        Setup {
            card: seal::seal(&self.card, &[&key("enroller") as &dyn Signer]).unwrap(),
            card_document: self.card.clone(),
            signer: Box::new(key("record")),
            root: self.base.1.clone(),
            files,
            index,
            plans,
            platform: "linux".into(),
            version: "0.1.0".into(),
            exceptions: hatch::messages::Exceptions::default(),
            defences: BTreeMap::from([("cgroup".into(), "on".into())]),
            certificate_ends: START.plus(30 * 86_400),
            reserve: true,
            now,
        }
    }

    /// A good order by a.kaya; change it before sealing.
    pub(crate) fn order(&mut self, script: &str, mode: Mode, now: Time) -> Order {
        self.next += 1;
        let high = script == "user.reset";
        Order {
            id: OrderId([self.next; 16]),
            agent: "a.kaya".parse().unwrap(),
            dispatch_key: public("a.kaya"),
            script: ScriptRef {
                name: script.parse().unwrap(),
                version: 1,
                digest: Digest::of(&source(script)),
            },
            mode,
            parameters: Params::new(),
            targets: vec![HERE],
            ticket: Some("1482".parse().unwrap()),
            reason: "test".into(),
            identified: high.then_some(Identified::Code),
            consent: Some(ConsentStatement {
                answer: match self.asks && mode == Mode::Plan {
                    true => ConsentAnswer::Ask,
                    false => ConsentAnswer::Spoken,
                },
                question: "May I?".into(),
            }),
            break_glass: None,
            plan: None,
            catalogue: CatalogueVersions::default(),
            not_before: now,
            not_after: now.plus(3600),
            session_key: None,
        }
    }
}

pub(crate) fn bytes(envelope: &Envelope) -> Bytes {
    Bytes(envelope.write().unwrap())
}

pub(crate) fn sealed<T: protocol::PayloadType>(document: &T, by: &str) -> Envelope {
    seal::seal(document, &[&key(by) as &dyn Signer]).unwrap()
}

/// A dispatch of this order for this challenge.
pub(crate) fn dispatch(order: &Envelope, challenge: Digest, number: u64, now: Time) -> Dispatch {
    Dispatch {
        order: order.digest(),
        endpoint: HERE,
        challenge,
        number,
        secrets: None,
        issued: now,
        not_after: now.plus(120),
    }
}

pub(crate) fn submit(order: &Envelope, dispatch: &Envelope) -> Ask {
    Ask::Submit {
        order: bytes(order),
        dispatch: bytes(dispatch),
        attestation: None,
        approvals: vec![],
    }
}

pub(crate) fn recall(order: Digest, by: &str, now: Time) -> Ask {
    let recall = Recall {
        order,
        agent: by.parse().unwrap(),
        scope: RecallScope::CancelRun,
        reason: "test".into(),
        issued: now,
        session_key: None,
    };
    Ask::Recall { recall: bytes(&sealed(&recall, by)) }
}
