//! Everything that a taken shared desk can try on an endpoint that holds a line to it, each by a name
//! and answered with the endpoint's stable code. It has what the desk's host has: the online keys, the
//! desk's TLS key, its store and catalogue, and the orders that consoles bring to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use desk::home::Online;
use link::{Connection, Expect, Role};
use protocol::documents::{
    Dispatch, Order, Recall, RecallScope, Record, TicketAttestation, TicketState,
};
use protocol::frames::{Answer, Ask, DeskAnswer, DeskAsk, DeskPath, sorry};
use protocol::{Bytes, Digest, EndpointId, Envelope, Mode, PayloadType, RunId};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use trust::catalogue::Files;
use trust::{Signer, SigningKey};

use crate::between::{self, Lie, Then};
use crate::forge;
use crate::line::{Cheat, Session};
use crate::tricks::{order, vetted};

/// A gate that lost its line dials again within the spread of ten seconds; and some.
const WAIT: Duration = Duration::from_secs(40);
/// Orders that are withheld before the siege begins: for the machine, and for another one.
const WITHHELD: (usize, usize) = (5, 1);

/// An order that a console brought and that the desk kept from its endpoint.
#[derive(Debug, Clone)]
struct Kept {
    order: Bytes,
    dispatch: Bytes,
}

impl Kept {
    fn order(&self) -> Envelope {
        Envelope::read(&self.order.0).expect("an envelope")
    }
    fn dispatch(&self) -> Envelope {
        Envelope::read(&self.dispatch.0).expect("an envelope")
    }
}

/// Meets consoles with the endpoints' own hellos, and keeps what they order.
struct Withholding {
    lines: Mutex<BTreeMap<EndpointId, Arc<Session>>>,
    kept: Mutex<Vec<(EndpointId, Kept)>>,
}

impl Lie for Withholding {
    async fn ask(&self, asked: &DeskAsk) -> Option<Then> {
        match asked {
            DeskAsk::Meet { endpoint } => {
                let line = self.lines.lock().expect("lines").get(endpoint).cloned();
                let (hello, card) = line.expect("it is here").papers().await;
                let (path, since) = (DeskPath::Kept, protocol::Time::default());
                let met = DeskAnswer::Met { hello, card, number: 1, path, since };
                Some(Then::Say(vec![met]))
            }
            DeskAsk::Submit { endpoint, order, dispatch, .. } => {
                let kept = Kept { order: order.clone(), dispatch: dispatch.clone() };
                self.kept.lock().expect("kept").push((*endpoint, kept));
                let code = sorry::NOT_SENT.to_owned();
                let sentence = "the endpoint is not connected".to_owned();
                Some(Then::Say(vec![DeskAnswer::Sorry { code, sentence, next: None }]))
            }
            _ => None,
        }
    }
    fn answer(&self, _: &DeskAsk, answer: DeskAnswer) -> Then {
        Then::Say(vec![answer])
    }
}

/// The code of an endpoint's last word.
fn code(said: &Value) -> String {
    let word = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    match said["answer"].as_str() {
        Some("record") if said["decision"]["decision"] == "permit" => "ran".to_owned(),
        Some("record") => word("reason"),
        Some("stop") => word("stop"),
        Some("catalogue-refused" | "certificate-refused") => word("code"),
        Some(other) => other.to_owned(),
        None => said.to_string(),
    }
}

/// The siege as it goes on.
struct Siege<'a> {
    cheat: &'a Cheat,
    line: Arc<Session>,
    said: BTreeMap<String, Value>,
}

impl Siege<'_> {
    fn note(&mut self, row: &str, code: impl Into<String>) {
        let before = self.said.insert(row.to_owned(), json!(code.into()));
        assert!(before.is_none(), "{row} is tried twice");
    }

    async fn submit(&mut self, row: &str, order: &Envelope, dispatch: &Envelope) {
        let said = self.line.submit(order, dispatch).await;
        self.note(row, code(&said));
    }

    fn online(&self, key: Online) -> SigningKey {
        self.cheat.desk.home.online_key(key).expect("an online key")
    }

    /// Orders in an agent's name, under every key that lies on this host.
    async fn unsealed(&mut self, kept: &Kept) {
        let theirs: Order = trust::seal::peek(&kept.order()).expect("an order");
        let mut keys: Vec<(String, SigningKey)> = Online::ALL
            .into_iter()
            .map(|key| (format!("order signed by {}", key.word()), self.online(key)))
            .collect();
        let own = SigningKey::from_seed(desk::chance::fresh().expect("random"));
        keys.push(("order signed by a key of its own".to_owned(), own));
        for (row, key) in &keys {
            let script = vetted(self.cheat, "health.check");
            let mut forged = order(self.cheat, &self.line, script, Mode::Check, key.public_key());
            forged.agent = theirs.agent.clone();
            let order = trust::seal::seal(&forged, &[key as &dyn Signer]).expect("sealed");
            let dispatch = self.dispatch(&order, 900, key);
            self.submit(row, &order, &dispatch).await;
        }
        let online = self.online(Online::SnapshotTimestamp);
        let dispatch = self.dispatch(&kept.order(), 901, &online);
        self.submit("dispatch signed by the online key", &kept.order(), &dispatch).await;
        let mut altered = kept.dispatch();
        let mut says: Dispatch = trust::seal::peek(&altered).expect("a dispatch");
        (says.challenge, says.number) = (self.line.hello.challenge, 902);
        altered.payload = payload(&says);
        self.submit("dispatch with another challenge and number", &kept.order(), &altered).await;
        let mut altered = kept.order();
        let mut says = theirs;
        says.mode = Mode::Fix;
        altered.payload = payload(&says);
        self.submit("order altered under its signature", &altered, &kept.dispatch()).await;
    }

    fn dispatch(&self, order: &Envelope, number: u64, key: &SigningKey) -> Envelope {
        let dispatch = Dispatch {
            order: order.digest(),
            endpoint: self.cheat.endpoint.id,
            challenge: self.line.hello.challenge,
            number,
            secrets: None,
            issued: self.cheat.now,
            not_after: self.cheat.now.plus(60),
        };
        trust::seal::seal(&dispatch, &[key as &dyn Signer]).expect("sealed")
    }

    /// The ticket's word, which the desk may give: it can only narrow.
    fn attestation(&self, order: &Kept, key: Online) -> Bytes {
        let theirs: Order = trust::seal::peek(&order.order()).expect("an order");
        let says = TicketAttestation {
            ticket: "1".parse().expect("a ticket"),
            assignee: Some(theirs.agent),
            endpoints: vec![self.cheat.endpoint.id],
            state: TicketState::Open,
            issued: self.cheat.now,
            not_after: self.cheat.now.plus(300),
            identity_checked: None,
        };
        let sealed = trust::seal::seal(&says, &[&self.online(key) as &dyn Signer]);
        Bytes(sealed.expect("sealed").write().expect("written"))
    }

    async fn attested(&mut self, row: &str, kept: &Kept, key: Online) {
        let ask = Ask::Submit {
            order: kept.order.clone(),
            dispatch: kept.dispatch.clone(),
            attestation: Some(self.attestation(kept, key)),
            approvals: Vec::new(),
        };
        let said = self.line.ask(&ask).await;
        self.note(row, code(&said));
    }

    async fn recall(&mut self, kept: &Kept) {
        let theirs: Order = trust::seal::peek(&kept.order()).expect("an order");
        let recall = Recall {
            order: kept.order().digest(),
            agent: theirs.agent,
            scope: RecallScope::CancelRun,
            reason: "because we say so".to_owned(),
            issued: self.cheat.now,
            session_key: None,
        };
        let key = self.online(Online::DeskTls);
        let recall = trust::seal::seal(&recall, &[&key as &dyn Signer]).expect("sealed");
        let recall = Bytes(recall.write().expect("written"));
        let said = self.line.ask(&Ask::Recall { recall }).await;
        self.note("recall signed by the desk", code(&said));
    }

    /// Catalogues that the online key can make, each over a line of its own in an agent's name.
    async fn catalogues(&mut self, old: &Files) {
        let key = self.online(Online::SnapshotTimestamp);
        let mut files = vec![("rolled back whole".to_owned(), old.clone())];
        for what in forge::ALL {
            let forged = forge::forged(what, self.cheat.files(), old, &key);
            files.push((what.to_owned(), forged));
        }
        for (row, files) in files {
            let mut session = Session::greet(dialled(self.cheat).await).await;
            let had = session.hello.catalogue;
            session.hello.catalogue = protocol::documents::CatalogueVersions::default();
            let said = crate::line::in_words(&session.update(&files).await).unwrap_or_default();
            self.note(&format!("catalogue: {row}"), code(&said));
            let has = session.challenge().await.catalogue;
            assert_eq!(has, had, "{row} moved what the endpoint trusts");
        }
    }

    async fn certificates(&mut self, shown: &[u8]) {
        let facts = certs::read(shown).expect("a certificate");
        let fresh = || desk::chance::fresh().expect("random");
        let (from, to) = (self.cheat.now, facts.not_after.plus(certs::DAY));
        let own = SigningKey::from_seed(desk::chance::fresh().expect("random"));
        let other = certs::spki_of(&own.public_key());
        let (id, wrong) = (self.cheat.endpoint.id, EndpointId(fresh()));
        let real = self.cheat.desk.home.ca(certs::Kind::Endpoints).expect("the CA");
        let people = self.cheat.desk.home.ca(certs::Kind::People).expect("the CA");
        let name = "m.ruiz".parse().expect("a name");
        for (row, leaf) in [
            ("of an agent's role", people.issue_agent(&facts.spki, &name, fresh(), from, to)),
            ("for another key", real.issue_endpoint(&other, &id, fresh(), from, to)),
            ("for another name", real.issue_endpoint(&facts.spki, &wrong, fresh(), from, to)),
            ("that ends no later", Ok(shown.to_vec())),
        ] {
            let leaf = Bytes(leaf.expect("issued"));
            let said = self.line.ask(&Ask::Certificate { leaf }).await;
            self.note(&format!("certificate {row}"), code(&said));
        }
        let made = certs::Ca::create(
            certs::Kind::Endpoints,
            real.organisation(),
            &own.pkcs8_der(),
            fresh(),
            from,
            to,
        );
        let leaf = made.expect("a CA").issue_endpoint(&facts.spki, &id, fresh(), from, to);
        let leaf = Bytes(leaf.expect("issued"));
        let said = self.line.ask(&Ask::Certificate { leaf }).await;
        self.note("certificate of a CA of its own", code(&said));
    }

    /// What `Filed` can do is that a record is not offered again; whoever asks gets it still.
    async fn filed(&mut self, run: RunId, record: Digest) {
        for (row, record) in [("of nothing", Digest([7; 32])), ("that was not filed", record)] {
            self.line.filed(record).await;
            let offered = Session::greet(dialled(self.cheat).await).await.unfiled.contains(&run);
            let said = self.line.ask(&Ask::Fetch { run }).await;
            let kept = said["answer"] == "record" && said["run"] == json!(run);
            let word = |yes, no, is: bool| if is { yes } else { no };
            let (offered, kept) =
                (word("offered", "not offered", offered), word("kept", "lost", kept));
            self.note(&format!("filed, {row}"), format!("{offered}, {kept}"));
        }
    }
}

fn payload<T: PayloadType + serde::Serialize>(document: &T) -> Bytes {
    Bytes(protocol::json::write(document).expect("written"))
}

/// A line that this host dials with a certificate that it made for an agent: it is let in, and that
/// is all.
async fn dialled(cheat: &Cheat) -> Connection {
    let me = between::as_agent(cheat, "m.ruiz");
    let expect = Expect { role: Role::Endpoint, id: None, key: None };
    let address = cheat.endpoint.address.clone().expect("an address");
    let trust = between::trust_of(cheat, certs::Kind::Endpoints);
    link::dial(&address, &me, &trust, &expect).await.expect("the endpoint answers")
}

async fn held(lines: &mut UnboundedReceiver<Connection>) -> Connection {
    let line = tokio::time::timeout(WAIT, lines.recv()).await.expect("the endpoint dials");
    line.expect("the listener lives")
}

/// Waits for both machines and for the orders that are to be withheld.
async fn gathered(
    withholding: &Withholding,
    lines: &mut UnboundedReceiver<Connection>,
) -> BTreeMap<EndpointId, Connection> {
    let mut all = BTreeMap::new();
    while all.len() < 2 {
        let line = held(lines).await;
        let id: EndpointId = line.peer().expect("a peer").id.parse().expect("an id");
        let session = Arc::new(Session::greet(line.clone()).await);
        withholding.lines.lock().expect("lines").insert(id, session);
        all.insert(id, line);
    }
    println!("both are here");
    let wanted = WITHHELD.0 + WITHHELD.1;
    while withholding.kept.lock().expect("kept").len() < wanted {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    all
}

/// The whole siege of one endpoint; `folder` has the older catalogue, and gets what was captured.
pub(crate) async fn siege(cheat: Cheat, port: &str, upstream: &str, folder: &Path) -> Value {
    let cheat = Arc::new(cheat);
    let withholding = Arc::new(Withholding { lines: Mutex::default(), kept: Mutex::default() });
    let (send, mut lines) = unbounded_channel();
    let (listener, lie) = (between::listener(&cheat, port), Arc::clone(&withholding));
    let serving = between::serve(Arc::clone(&cheat), listener, upstream.to_owned(), lie, send);
    tokio::spawn(serving);
    let all = gathered(&withholding, &mut lines).await;
    let kept = withholding.kept.lock().expect("kept").clone();
    let me = cheat.endpoint.id;
    let mine = |(at, kept): &(EndpointId, Kept)| (*at == me).then(|| kept.clone());
    let orders: Vec<Kept> = kept.iter().filter_map(mine).collect();
    let elsewhere = kept.iter().find(|(at, _)| *at != me).expect("one for the other").1.clone();
    let [behind, first, second, good, late]: [Kept; 5] = orders.try_into().expect("five of it");
    let session = |id: &EndpointId| withholding.lines.lock().expect("lines").get(id).cloned();
    let line = session(&me).expect("it is here");
    let other = all.keys().find(|id| **id != me).and_then(session).expect("the other is here");

    let mut siege = Siege { cheat: &cheat, line, said: BTreeMap::new() };
    siege.unsealed(&late).await;
    siege.recall(&good).await;
    siege.submit("order that names a newer catalogue", &behind.order(), &behind.dispatch()).await;
    let taken = siege.line.update(&cheat.files()).await;
    assert!(matches!(taken, Answer::CatalogueTaken { .. }), "{taken:?}");
    siege.submit("the same pair again", &behind.order(), &behind.dispatch()).await;
    siege.submit("dispatch of another order", &first.order(), &behind.dispatch()).await;
    siege.submit("order for another target", &elsewhere.order(), &elsewhere.dispatch()).await;
    siege.attested("attestation signed by the online key", &first, Online::SnapshotTimestamp).await;
    siege.attested("attestation of another ticket", &second, Online::Ticket).await;
    siege.submit("withheld, then delivered", &good.order(), &good.dispatch()).await;
    siege.submit("replay on the same line", &good.order(), &good.dispatch()).await;
    let (order, dispatch) = (good.order(), good.dispatch());
    let said = other.submit(&order, &dispatch).await;
    siege.note("replay at another endpoint", code(&said));
    let made = Session::greet(dialled(&cheat).await).await;
    siege.note("a line in an agent's name", "admitted");
    let said = made.submit(&order, &dispatch).await;
    siege.note("replay on a line in an agent's name", code(&said));
    let said = made.submit(&late.order(), &late.dispatch()).await;
    siege.note("unused dispatch on another line", code(&said));
    let run = RunId::of(&order.digest(), &me, 0);
    let record = siege.line.record(run).await;
    let record = Envelope::read(&record.0).expect("an envelope");
    let _: Record = trust::seal::peek(&record).expect("a record");
    siege.filed(run, record.digest()).await;
    let shown = all.get(&me).and_then(Connection::certificate).expect("a certificate");
    siege.certificates(&shown).await;
    let old = Files::from_folder(&folder.join("old")).expect("the old repository");
    siege.catalogues(&old).await;
    std::fs::write(folder.join("order"), &good.order.0).expect("written");
    std::fs::write(folder.join("dispatch"), &good.dispatch.0).expect("written");
    json!(siege.said)
}

/// The captured order on the line of an endpoint that was started anew.
pub(crate) async fn restarted(cheat: &Cheat, port: &str, folder: &Path) -> Value {
    let mut listener = between::listener(cheat, port);
    let line = tokio::time::timeout(WAIT, async {
        loop {
            if let Some(Ok(line)) = listener.accept().await {
                let mine = |peer: &link::Peer| peer.id == cheat.endpoint.id.to_string();
                if line.peer().is_some_and(mine) {
                    return line;
                }
            }
        }
    });
    let session = Session::greet(line.await.expect("the endpoint dials")).await;
    let read = |name: &str| Bytes(std::fs::read(folder.join(name)).expect("captured"));
    let said = session.submit_bytes(read("order"), read("dispatch")).await;
    json!({ "replay after a restart": code(&said) })
}
