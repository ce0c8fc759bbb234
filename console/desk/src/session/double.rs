//! A machine's double for tests: real QUIC, real seals, and whatever behaviour a test asks for.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use link::{Connection, Listener, Stream, Trust};
use protocol::documents::{Card, Dispatch, Head, Hello, Order, Record, RecordSubject};
use protocol::frames::{Answer, Ask, Event, RecordPlace, Stop};
use protocol::{
    Bytes, Digest, EndpointId, Envelope, Mode, Outcome, PayloadType, RunId, Time, json,
};
use store::{EndpointRow, NewEndpoint};
use trust::secret::SealingSecret;
use trust::{Signer as _, SigningKey, seal};

use super::Agent;
use crate::home::{Home, Online};
use crate::org::tests::founding;
use crate::org::{Desk, init};
use crate::verify::fixture::Fixture;

/// The real time: certificates are judged by it.
#[expect(clippy::disallowed_methods, reason = "certificates of tests begin and end around now")]
pub(crate) fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Time::from_unix(since)
}

/// How the double behaves where it is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Quirk {
    #[default]
    None,
    ForeignCard,
    ForeignHello,
    HelloOfAnotherCard,
    OtherVersion,
    RefusesUpdate,
    StopsOrder,
    StopsAndNewEpoch,
    LiesAboutOrder,
    RefusesOrder,
    ForeignRecord,
    LosesLineOnce,
    ForgetsRun,
    OtherEvents,
    OffersAgain,
}

/// What reached the machine.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) dispatches: Vec<Dispatch>,
    pub(crate) orders: Vec<Order>,
    pub(crate) filed: Vec<Digest>,
    pub(crate) recalls: usize,
    pub(crate) sessions: usize,
    ended: usize,
    /// The record of the last order, for those who ask again.
    kept: Option<(RunId, Vec<u8>)>,
    /// Its order, for those who lost it.
    order: Vec<u8>,
    /// What it shows of its records, and its clock then.
    pub(crate) shows: Option<(Head, Time)>,
}

pub(crate) struct Machine {
    pub(crate) listener: Listener,
    pub(crate) key: SigningKey,
    pub(crate) card: Card,
    pub(crate) card_envelope: Envelope,
    pub(crate) agent_key: protocol::PublicKey,
    pub(crate) versions: protocol::documents::CatalogueVersions,
    pub(crate) quirk: Quirk,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

/// An organisation with one machine that listens on loopback.
pub(crate) struct House {
    pub(crate) desk: Desk,
    pub(crate) agent: Agent,
    pub(crate) row: EndpointRow,
    pub(crate) seen: Arc<Mutex<Seen>>,
    _dir: tempfile::TempDir,
}

impl House {
    /// Until the machine has closed its first session.
    pub(crate) async fn until_session_ends(&self) {
        while self.seen.lock().unwrap().ended == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn house(quirk: Quirk) -> (House, Machine) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    init(&home, &founding(), now(), &mut |_| ControlFlow::Continue(())).unwrap();
    let desk = Desk::open(home).unwrap();
    let agent = Agent::load(&desk, now()).unwrap();
    let machine = machine(&desk, &agent, quirk);
    let row = desk.store.endpoint(machine.card.endpoint).unwrap().unwrap();
    let seen = Arc::clone(&machine.seen);
    (House { desk, agent, row, seen, _dir: dir }, machine)
}

fn machine(desk: &Desk, agent: &Agent, quirk: Quirk) -> Machine {
    let (tls, key) = (SigningKey::from_seed([21; 32]), SigningKey::from_seed([22; 32]));
    let endpoint = EndpointId([0x44; 16]);
    let spki = certs::spki_of(&tls.public_key());
    let ca = desk.home.ca(certs::Kind::Endpoints).unwrap();
    let (from, to) = (now().minus(60), now().plus(3600));
    let leaf = ca.issue_endpoint(&spki, &endpoint, [9; 16], from, to).unwrap();
    let card = Card {
        endpoint,
        name: "lt-4411".parse().unwrap(),
        tls_key: Digest::of(&spki),
        record_key: key.public_key(),
        sealing_key: SealingSecret::from_seed([23; 32]).public().unwrap(),
        labels: std::collections::BTreeMap::new(),
        serial: 7,
        issued: from,
        not_after: to,
    };
    let enroller = desk.home.online_key(Online::Enroller).unwrap();
    let card_envelope = seal::seal(&card, &[&enroller]).unwrap();
    let me = link::Identity { certificates: vec![leaf], key: tls.pkcs8_der() };
    let people = &agent.policy.file().cas.people;
    let trust = Trust {
        cas: people.iter().map(|der| der.0.clone()).collect(),
        organisation: agent.organisation.clone(),
        denied: Vec::new(),
        floor: Time(0),
    };
    let listener = Listener::bind("127.0.0.1:0", &me, &trust).unwrap();
    let new = NewEndpoint {
        id: endpoint,
        name: card.name.clone(),
        card: card_envelope.write().unwrap(),
        address: Some(listener.address().unwrap().to_string()),
        person: None,
        labels: card.labels.clone(),
        host: None,
        platform: Some("linux".into()),
    };
    desk.store.add_endpoint(new, now()).unwrap();
    Machine {
        listener,
        key,
        card,
        card_envelope,
        agent_key: agent.signing.public_key(),
        versions: agent.catalogue.versions(),
        quirk,
        seen: Arc::default(),
    }
}

fn sealed<T: PayloadType>(document: &T, key: &SigningKey) -> Bytes {
    Bytes(seal::seal(document, &[key]).unwrap().write().unwrap())
}

impl Machine {
    /// Serves until the test drops it; one session after the other.
    pub(crate) async fn serve(mut self) {
        while let Some(accepted) = self.listener.accept().await {
            let Ok(connection) = accepted else { continue };
            self.seen.lock().unwrap().sessions += 1;
            self.session(&connection).await;
            self.seen.lock().unwrap().ended += 1;
        }
    }

    async fn session(&mut self, connection: &Connection) {
        let Ok(mut first) = connection.accept().await else { return };
        let hello = first.recv::<Ask>().await;
        assert_eq!(hello, Ok(Some(Ask::Hello { min: 1, max: 1 })));
        let answer = self.hello();
        first.send(&answer).await.unwrap();
        loop {
            tokio::select! {
                ask = first.recv::<Ask>() => match ask {
                    Ok(Some(Ask::Filed { record })) => self.seen.lock().unwrap().filed.push(record),
                    Ok(Some(Ask::Challenge)) => {
                        let Answer::Hello { hello, .. } = self.hello() else { panic!() };
                        first.send(&Answer::Challenge { hello }).await.unwrap();
                    }
                    _ => return,
                },
                stream = connection.accept() => match stream {
                    Ok(mut stream) => self.stream(connection, &mut stream).await,
                    Err(_) => return,
                },
            }
        }
    }

    fn hello(&self) -> Answer {
        let stranger = SigningKey::from_seed([99; 32]);
        let digest = match self.quirk {
            Quirk::HelloOfAnotherCard => Digest([1; 32]),
            _ => self.card_envelope.digest(),
        };
        let version = if self.quirk == Quirk::OtherVersion { 9 } else { 1 };
        let anew =
            self.quirk == Quirk::StopsAndNewEpoch && !self.seen.lock().unwrap().orders.is_empty();
        let epoch = Digest([if anew { 4 } else { 3 }; 32]);
        let counter = u64::from(self.lost().is_some());
        let shows = self.seen.lock().unwrap().shows;
        let (head, clock) = shows.unwrap_or((Head { epoch, counter, hash: epoch }, now()));
        let hello = Hello {
            card: digest,
            protocol_min: version,
            protocol_max: version,
            documents_max: 1,
            catalogue: self.versions,
            head,
            clock,
            challenge: Digest([0x55; 32]),
            version: "0.1.0".into(),
        };
        let signer = if self.quirk == Quirk::ForeignHello { &stranger } else { &self.key };
        let card = match self.quirk {
            Quirk::ForeignCard => sealed(&self.card, &stranger),
            _ => Bytes(self.card_envelope.write().unwrap()),
        };
        Answer::Hello { hello: sealed(&hello, signer), card, unfiled: self.unfiled() }
    }

    /// The run that a desk does not know any more.
    fn lost(&self) -> Option<RunId> {
        let seen = self.seen.lock().unwrap();
        seen.kept.as_ref().map(|(run, _)| *run).filter(|_| self.quirk == Quirk::OffersAgain)
    }

    fn unfiled(&self) -> Vec<RunId> {
        let seen = self.seen.lock().unwrap();
        let kept = seen.kept.iter().map(|(run, _)| *run);
        kept.filter(|_| seen.filed.is_empty() && self.quirk == Quirk::OffersAgain).collect()
    }

    async fn stream(&mut self, connection: &Connection, stream: &mut Stream) {
        loop {
            match stream.recv::<Ask>().await {
                Ok(Some(Ask::CatalogueFile { name, part, .. })) => {
                    self.seen.lock().unwrap().files.push((name, part.0));
                }
                Ok(Some(Ask::CatalogueEnd)) => self.update(stream).await,
                Ok(Some(Ask::Submit { order, dispatch, .. })) => {
                    if self.submit(connection, stream, &order.0, &dispatch.0).await.is_none() {
                        return;
                    }
                }
                Ok(Some(Ask::Follow { run } | Ask::Fetch { run })) => {
                    self.again(stream, run).await;
                }
                Ok(Some(Ask::Records { after })) => {
                    let run = self.lost().filter(|_| after == 0);
                    let places = run.map(|run| RecordPlace { counter: 1, run });
                    let places = places.into_iter().collect();
                    let answer = Answer::Records { epoch: Digest([3; 32]), places };
                    stream.send(&answer).await.unwrap();
                }
                Ok(Some(Ask::Order { .. })) => {
                    let order = Bytes(self.seen.lock().unwrap().order.clone());
                    stream.send(&Answer::Order { order }).await.unwrap();
                }
                Ok(Some(Ask::Recall { .. })) => {
                    self.seen.lock().unwrap().recalls += 1;
                    stream.send(&Answer::Recalled { was_running: true }).await.unwrap();
                }
                _ => break,
            }
        }
        stream.finish();
    }

    async fn update(&self, stream: &mut Stream) {
        let answer = if self.quirk == Quirk::RefusesUpdate {
            Answer::CatalogueRefused { code: "rollback".into(), sentence: "older".into() }
        } else {
            Answer::CatalogueTaken { versions: self.versions }
        };
        stream.send(&answer).await.unwrap();
    }

    async fn again(&self, stream: &mut Stream, run: RunId) {
        let kept = self.seen.lock().unwrap().kept.clone();
        let found = kept.filter(|(known, _)| *known == run && self.quirk != Quirk::ForgetsRun);
        match found {
            Some((_, record)) => {
                stream.send(&Answer::Record { record: Bytes(record) }).await.unwrap();
            }
            None => stream.send(&Answer::Stop { code: Stop::NoRun }).await.unwrap(),
        }
    }

    /// `None`: the line was cut.
    async fn submit(
        &mut self,
        connection: &Connection,
        stream: &mut Stream,
        order: &[u8],
        dispatch: &[u8],
    ) -> Option<()> {
        let order = Envelope::read(order).unwrap();
        let opened = trust::open_by_person::<Order>(&order, &self.agent_key).unwrap().document;
        let dispatch = Envelope::read(dispatch).unwrap();
        let dispatch = seal::open_one::<Dispatch>(&dispatch, &opened.dispatch_key).unwrap();
        let run = RunId::of(&order.digest(), &self.card.endpoint, 0);
        {
            let mut seen = self.seen.lock().unwrap();
            seen.orders.push(opened.get().clone());
            seen.dispatches.push(dispatch.get().clone());
            seen.order = order.write().unwrap();
        }
        if matches!(self.quirk, Quirk::StopsOrder | Quirk::StopsAndNewEpoch) {
            stream.send(&Answer::Stop { code: Stop::Seal }).await.unwrap();
            return Some(());
        }
        let mode = opened.mode;
        let events = vec![
            Event::Accepted { run, mode, ahead: 0 },
            Event::Line { text: "looking".into() },
            Event::Ended { outcome: Outcome::Succeeded },
        ];
        let plan = self.plan(&opened);
        let record = self.record(&opened, order.digest(), &events, &plan);
        let key = match self.quirk {
            Quirk::ForeignRecord => &SigningKey::from_seed([98; 32]),
            _ => &self.key,
        };
        let record = sealed(&record, key);
        let kept = (run, record.0.clone());
        self.seen.lock().unwrap().kept = Some(kept);
        if self.quirk == Quirk::LiesAboutOrder {
            stream.send(&Answer::Stop { code: Stop::Rate }).await.unwrap();
            return Some(());
        }
        for event in events {
            stream.send(&Answer::Event { event }).await.unwrap();
            if matches!(self.quirk, Quirk::LosesLineOnce | Quirk::ForgetsRun | Quirk::OffersAgain) {
                stream.finish();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                connection.close(Stop::Drain);
                connection.closed().await;
                if self.quirk == Quirk::LosesLineOnce {
                    self.quirk = Quirk::None;
                }
                return None;
            }
        }
        if mode == Mode::Plan {
            stream.send(&Answer::Plan { plan: Bytes(plan) }).await.unwrap();
        }
        stream.send(&Answer::Record { record }).await.unwrap();
        Some(())
    }

    fn plan(&self, order: &Order) -> Vec<u8> {
        let plan = protocol::Plan {
            endpoint: self.card.endpoint,
            script: order.script.name.clone(),
            script_digest: order.script.digest,
            parameters: Digest::of(&json::write(&order.parameters).unwrap()),
            made: now(),
            found: "full".into(),
            lines: Vec::new(),
            skipped: Vec::new(),
            unknowable: None,
            asked: None,
        };
        json::write(&plan).unwrap()
    }

    fn record(&self, order: &Order, digest: Digest, events: &[Event], plan: &[u8]) -> Record {
        let mut record = Fixture::default().record(order);
        let none = Digest::of(b"");
        record.subject =
            vec![RecordSubject::sha256("order", digest), RecordSubject::sha256("effects", none)];
        let here = &mut record.predicate;
        here.run = RunId::of(&digest, &self.card.endpoint, 0);
        here.endpoint.id = self.card.endpoint;
        here.endpoint.card = self.card_envelope.digest();
        here.effects.digest = none;
        here.effects.lines = 0;
        here.effects.by_function.clear();
        here.catalogue = self.versions;
        here.plan = (order.mode == Mode::Plan).then(|| Digest::of(plan)).or(order.plan);
        (here.accepted, here.ended) = (now(), now());
        let rule = if order.mode.mutates() { "fix-low" } else { "look" };
        here.decision =
            protocol::documents::Decision::Permit { reasons: vec![format!("rule {rule}")] };
        if self.quirk == Quirk::RefusesOrder {
            here.outcome = Outcome::Refused;
            let refusal = protocol::Refusal::RateLimited;
            here.decision = protocol::documents::Decision::Refuse { refusal };
        }
        let bytes: Vec<u8> =
            events.iter().flat_map(|event| minicbor::to_vec(event).unwrap()).collect();
        here.events.count = events.len() as u64;
        here.events.digest = match self.quirk {
            Quirk::OtherEvents => Digest([2; 32]),
            _ => Digest::of(&bytes),
        };
        record
    }
}
