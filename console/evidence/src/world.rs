//! A small organisation with a signed catalogue, and one run of it that another person approved, for
//! tests of bundles. Never part of a program.
#![expect(clippy::expect_used, reason = "for tests: keys from fixed seeds cannot fail")]

use std::collections::BTreeMap;
use std::path::Path;

use policy::{Initial, Person, PolicyFile, Profile};
use protocol::documents::{Approval, BreakGlass, Head, Order, Record, RecordSubject};
use protocol::{
    Bytes, Digest, EffectLine, EffectState, Manifest, Plan, PlanLine, PlanReach, PublicKey, Risk,
    RunId, Time, json,
};
use trust::catalogue::{Catalogue, Lifetimes, Repository, RepositoryPlan, RoleKeys};
use trust::{Signer, SigningKey};

use crate::fixture::{Fixture, NOW, bytes, sealed};
use crate::{Bundle, Papers, RunPapers};

/// The source of its script, `cache.clear` 3 of medium risk.
pub const SOURCE: &[u8] = b"const ABOUT = #{ };\n";

/// An organisation and its repository.
#[derive(Debug)]
pub struct World {
    /// Keys of enroller, agent and endpoint.
    pub f: Fixture,
    /// Its catalogue.
    pub repository: Repository,
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed([number; 32])
}

fn keys(numbers: &[u8]) -> Vec<SigningKey> {
    numbers.iter().map(|number| key(*number)).collect()
}

fn signers(keys: &[SigningKey]) -> Vec<&dyn Signer> {
    keys.iter().map(|key| key as &dyn Signer).collect()
}

fn role(threshold: usize, numbers: &[u8]) -> RoleKeys {
    RoleKeys::new(threshold, numbers.iter().map(|number| key(*number).public_key()))
}

const ROOTS: [u8; 3] = [21, 22, 23];
const ADMINS: [u8; 2] = [31, 32];
const VETTERS: [u8; 2] = [41, 42];
const ONLINE: u8 = 51;
/// The break-glass key.
pub const SAFE: u8 = 77;
const LEAD: u8 = 61;
const EVERYBODY: [u8; 8] = [21, 22, 23, 31, 32, 41, 42, 51];

fn person(name: &str, signing: Option<PublicKey>, vetter: Option<u8>, role: &str) -> Person {
    Person {
        name: name.parse().expect("a name"),
        roles: vec![role.parse().expect("a word")],
        signing_key: signing,
        sealing_key: None,
        vetter_key: vetter.map(|number| key(number).public_key()),
        admin_key: None,
        valid_until: None,
        only_ticket: false,
    }
}

fn policy(f: &Fixture) -> PolicyFile {
    let mut file = PolicyFile::initial(Initial {
        organisation: "Demo Ltd".to_owned(),
        profile: Profile::Small,
        people: vec![
            person("a.kaya", Some(f.agent.public_key()), None, "agent"),
            person("m.ruiz", Some(key(LEAD).public_key()), None, "lead"),
            person("s.okafor", None, Some(41), "vetter"),
            person("l.brandt", None, Some(42), "vetter"),
        ],
        enroller_key: f.enroller.public_key(),
        ticket_key: key(71).public_key(),
        people_ca: vec![1],
        endpoints_ca: vec![2],
        units: Vec::new(),
    });
    for rule in &mut file.rules {
        let medium = rule.id == "fix-medium";
        (rule.approvals, rule.identity) = (u32::from(medium), medium);
        rule.session_key = false;
    }
    file
}

fn manifest() -> Manifest {
    let text =
        br#"{"name":"cache.clear","version":3,"title":"Clear caches","does":"removes caches",
        "author":"s.okafor","risk":"medium","consent":"tell","platforms":["linux"],
        "runs_on":"endpoint","limit_seconds":60,"parameters":{},
        "permissions":{"fs.remove":["{homes}/.cache/**"]},"words":["full"]}"#;
    json::read(text).expect("a manifest")
}

/// Two files removed.
fn effects() -> Vec<u8> {
    let mut out = Vec::new();
    for n in 1..=2 {
        for state in [EffectState::About, EffectState::Done] {
            let (function, key) = ("fs.remove".to_owned(), "/tmp/*".to_owned());
            let line =
                EffectLine { n, state, function, key, noun: format!("/tmp/{n}"), bytes: 512 };
            out.extend(json::write(&line).expect("a line"));
            out.push(b'\n');
        }
    }
    out
}

fn plan() -> Vec<u8> {
    let line = PlanLine {
        function: "fs.remove".to_owned(),
        key: "/tmp/*".to_owned(),
        reach: PlanReach::Within,
        count: 2,
        bytes: 1024,
        label: "left-overs".to_owned(),
    };
    let plan = Plan {
        endpoint: Fixture::id(),
        script: "cache.clear".parse().expect("a name"),
        script_digest: Digest::of(SOURCE),
        parameters: Digest::of(b"{}"),
        made: NOW.minus(30),
        found: "full".to_owned(),
        lines: vec![line],
        skipped: Vec::new(),
        unknowable: None,
        asked: None,
    };
    json::write(&plan).expect("a plan")
}

impl World {
    /// Founds it in an empty folder, some time before [`NOW`].
    ///
    /// # Panics
    /// Where the folder cannot be written.
    #[must_use]
    pub fn found(folder: &Path) -> Self {
        let f = Fixture::default();
        let all = keys(&EVERYBODY);
        let vetters = |threshold| role(threshold, &VETTERS);
        let risks = [(Risk::Low, 1), (Risk::Medium, 2), (Risk::High, 2)];
        let plan = RepositoryPlan {
            root: role(2, &ROOTS),
            targets: role(1, &ADMINS),
            policy: role(1, &ADMINS),
            risks: risks.map(|(risk, threshold)| (risk, vetters(threshold))).into(),
            online: key(ONLINE).public_key(),
            lifetimes: Lifetimes::small(),
            policy_text: policy(&f).write().expect("a policy"),
        };
        let made = NOW.minus(86_400);
        let mut repository =
            Repository::create(folder, plan, &signers(&all), made).expect("a repository");
        let listed = repository.add_script(SOURCE, &manifest(), &signers(&all), made.plus(60));
        listed.expect("a listed script");
        Self { f, repository }
    }

    /// The root that everybody knows.
    ///
    /// # Panics
    /// Where the folder was removed.
    #[must_use]
    pub fn root(&self) -> Vec<u8> {
        self.repository.first_root().expect("a root")
    }

    /// Publishes a changed policy.
    ///
    /// # Panics
    /// Where it is none.
    pub fn change(&mut self, at: Time, change: impl FnOnce(&mut PolicyFile)) {
        let text = self.catalogue().policy_text().to_owned();
        let mut file = PolicyFile::read(&text).expect("a policy").file().clone();
        change(&mut file);
        let all = keys(&EVERYBODY);
        let text = file.write().expect("a policy");
        self.repository.set_policy(&text, &signers(&all), at).expect("published");
    }

    /// Withdraws the script's version.
    ///
    /// # Panics
    /// Where it is not listed.
    pub fn withdraw_script(&mut self, at: Time) {
        let all = keys(&EVERYBODY);
        let name = "cache.clear".parse().expect("a name");
        self.repository.withdraw(&name, 3, &signers(&all), at).expect("withdrawn");
    }

    /// A new root, of these three people.
    ///
    /// # Panics
    /// Where the old one does not sign it.
    pub fn rotate(&mut self, to: &[u8; 3], at: Time) {
        let mut all = keys(&EVERYBODY);
        all.extend(keys(to));
        let (root, admins, online) = (role(2, to), role(1, &ADMINS), key(ONLINE).public_key());
        let done = self.repository.rotate_root(root, admins, online, &signers(&all), at);
        done.expect("a new root");
    }

    fn catalogue(&self) -> Catalogue {
        self.repository.catalogue(NOW).expect("a catalogue")
    }

    /// The order that ran.
    #[must_use]
    pub fn order(&self) -> Order {
        let mut order = self.f.order();
        order.script.digest = Digest::of(SOURCE);
        order.catalogue = self.catalogue().versions();
        order.plan = Some(Digest::of(&plan()));
        order
    }

    /// What the endpoint says of it.
    #[must_use]
    pub fn record(&self, order: &Order) -> Record {
        let mut record = self.f.record(order);
        let here = &mut record.predicate;
        here.catalogue = order.catalogue;
        here.plan = order.plan;
        here.decision = protocol::documents::Decision::Permit {
            reasons: vec!["rule fix-medium".to_owned(), "approved by m.ruiz".to_owned()],
        };
        here.effects.digest = Digest::of(&effects());
        here.effects.lines = 4;
        here.run = RunId::of(&sealed(order, &self.f.agent).digest(), &Fixture::id(), 0);
        let sums = protocol::documents::ByFunction { done: 2, failed: 0, bytes: 1024 };
        here.effects.by_function = BTreeMap::from([("fs.remove".to_owned(), sums)]);
        record.subject = vec![
            RecordSubject::sha256("order", sealed(order, &self.f.agent).digest()),
            RecordSubject::sha256("effects", Digest::of(&effects())),
        ];
        record
    }

    /// The papers of the run, `change`d before the endpoint signed its record.
    #[must_use]
    pub fn run_with(&self, change: impl FnOnce(&mut Record)) -> RunPapers {
        self.run_of(&self.order(), change)
    }

    /// The papers of a run of this order, with a record that says something else.
    #[must_use]
    pub fn run_of(&self, order: &Order, change: impl FnOnce(&mut Record)) -> RunPapers {
        let approval = Approval {
            order: sealed(order, &self.f.agent).digest(),
            plan: Digest::of(&plan()),
            person: "m.ruiz".parse().expect("a name"),
            yes: true,
            not_after: NOW.plus(3600),
        };
        self.run_approved(order, Bytes(bytes(&sealed(&approval, &key(LEAD)))), change)
    }

    /// The papers of a run that the key in the safe let run, in a world whose policy lets it; `change`
    /// alters its paper.
    #[must_use]
    pub fn broken(&self, change: impl FnOnce(&mut BreakGlass), by: u8) -> RunPapers {
        let name: protocol::Label = "safe-1".parse().expect("a name");
        let order = Order { break_glass: Some(name.clone()), ..self.order() };
        let mut paper = BreakGlass {
            order: sealed(&order, &self.f.agent).digest(),
            plan: Digest::of(&plan()),
            key: name,
            not_after: NOW.plus(3600),
        };
        change(&mut paper);
        self.run_approved(&order, Bytes(bytes(&sealed(&paper, &key(by)))), |_| {})
    }

    fn run_approved(
        &self,
        order: &Order,
        approval: Bytes,
        change: impl FnOnce(&mut Record),
    ) -> RunPapers {
        let digest = sealed(order, &self.f.agent).digest();
        let mut record = self.record(order);
        change(&mut record);
        let papers = Papers {
            record: bytes(&sealed(&record, &self.f.endpoint)),
            dispatch: Some(bytes(&self.f.dispatch(&digest))),
            order: Some(bytes(&sealed(order, &self.f.agent))),
            effects: Some(effects()),
            plan: Some(plan()),
            card: Some(bytes(&sealed(&self.f.card(), &self.f.enroller))),
            ..Papers::default()
        };
        RunPapers::public(papers, vec![approval])
    }

    /// The papers of the run.
    #[must_use]
    pub fn run(&self) -> RunPapers {
        self.run_with(|_| {})
    }

    /// The papers of the run with the two records behind it and the head that somebody saw there.
    ///
    /// # Panics
    /// Never: what it reads it has written.
    #[must_use]
    pub fn seen_run(&self) -> RunPapers {
        let mut run = self.run();
        let mut before = crate::peek_record(&run.record.0).expect("a record");
        let mut next = || {
            let mut record = before.0.clone();
            record.predicate.counter += 1;
            record.predicate.previous = before.1;
            let envelope = sealed(&record, &self.f.endpoint);
            before = (record, envelope.digest());
            Bytes(bytes(&envelope))
        };
        run.after = Some(next());
        run.links = vec![next()];
        let (epoch, counter, hash) = (before.0.predicate.epoch, 3, before.1);
        run.head = Some(self.f.seen_head(Head { epoch, counter, hash }, NOW.plus(86_400)));
        run
    }

    /// A bundle of these runs with what is published now.
    ///
    /// # Panics
    /// Where the folder was removed.
    #[must_use]
    pub fn bundle(&self, runs: Vec<RunPapers>) -> Bundle {
        let all = self.repository.files_with_past().expect("files");
        let catalogue: BTreeMap<String, Bytes> =
            Bundle::catalogue_of(&runs, self.catalogue().versions(), &all);
        Bundle {
            organisation: "Demo Ltd".to_owned(),
            ticket: "1".parse().expect("a ticket"),
            made: NOW.plus(90 * 86_400),
            runs,
            unanswered: Vec::new(),
            catalogue,
        }
    }
}
