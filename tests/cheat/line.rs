//! The taken desk's line to an endpoint: real TLS with a real agent's certificate, no scruples after.

use std::path::Path;

use desk::home::Home;
use desk::org::Desk;
use link::{Connection, Expect, Role, Stream, Trust};
use protocol::documents::{Card, Hello, Record};
use protocol::frames::{Answer, Ask};
use protocol::{Bytes, Digest, EndpointName, Envelope, RunId, Time};
use serde_json::{Value, json};
use store::EndpointRow;
use tokio::sync::Mutex;
use trust::catalogue::{Files, Repository, delta};

/// What the taken desk has.
pub(crate) struct Cheat {
    /// The home with all that lies in it.
    pub(crate) desk: Desk,
    /// The victim.
    pub(crate) endpoint: EndpointRow,
    /// When.
    pub(crate) now: Time,
}

/// An open session.
pub(crate) struct Session {
    connection: Connection,
    /// The endpoint's hello, as it says.
    pub(crate) hello: Hello,
    /// Its card's envelope.
    card: Bytes,
    /// Runs whose records it offers.
    pub(crate) unfiled: Vec<RunId>,
    first: Mutex<Stream>,
}

impl Cheat {
    pub(crate) fn open(home: &Path, endpoint: &str, now: Time) -> Self {
        trust::catalogue::install_provider();
        let desk = Desk::open(Home::new(home)).expect("the home opens");
        let name: EndpointName = endpoint.parse().expect("an endpoint's name");
        let endpoint =
            desk.store.endpoint_named(name).expect("the store answers").expect("it is enrolled");
        Self { desk, endpoint, now }
    }

    /// The published repository.
    pub(crate) fn files(&self) -> Files {
        Repository::open(self.desk.home.repository())
            .and_then(|r| r.files())
            .expect("the repository reads")
    }

    /// Dials as the agent whose home this is.
    pub(crate) async fn session(&self) -> Session {
        let me = self.desk.home.agent_identity(&self.desk.organisation.me).expect("an identity");
        let card: Card = trust::seal::peek(&Envelope::read(&self.endpoint.card).expect("a card"))
            .expect("a card");
        let ca = self.desk.home.ca(certs::Kind::Endpoints).expect("the CA");
        let trust = Trust {
            cas: vec![ca.certificate().to_vec()],
            organisation: self.desk.organisation.id.to_string(),
            denied: Vec::new(),
            floor: Time::default(),
        };
        let expect = Expect { role: Role::Endpoint, id: None, key: Some(card.tls_key) };
        let address = self.endpoint.address.clone().expect("an address");
        let connection =
            link::dial(&address, &me, &trust, &expect).await.expect("the endpoint answers");
        Session::greet(connection).await
    }
}

impl Session {
    /// The hello on a line, whoever dialled it.
    pub(crate) async fn greet(connection: Connection) -> Self {
        let mut first = connection.open().await.expect("a stream");
        first.send(&Ask::Hello { min: 1, max: 1 }).await.expect("sent");
        let answer = first.recv::<Answer>().await.expect("an answer").expect("a hello");
        let Answer::Hello { hello, card, unfiled } = answer else {
            panic!("not a hello: {answer:?}")
        };
        Session { connection, hello: read(&hello), card, unfiled, first: Mutex::new(first) }
    }

    /// A fresh challenge, in a hello, on a stream of its own.
    pub(crate) async fn challenge(&self) -> Hello {
        read(&self.papers().await.0)
    }

    /// The same as it came, and the card: what a desk passes on.
    pub(crate) async fn papers(&self) -> (Bytes, Bytes) {
        let mut stream = self.connection.open().await.expect("a stream");
        stream.send(&Ask::Challenge).await.expect("sent");
        let answer = stream.recv::<Answer>().await.expect("an answer").expect("a challenge");
        let Answer::Challenge { hello } = answer else { panic!("not a challenge: {answer:?}") };
        assert_eq!(stream.recv::<Answer>().await, Ok(None), "its stream goes on");
        (hello, self.card.clone())
    }

    /// Says that a record is filed, and waits until the endpoint has read it.
    pub(crate) async fn filed(&self, record: Digest) {
        let mut first = self.first.lock().await;
        first.send(&Ask::Filed { record }).await.expect("sent");
        first.send(&Ask::Challenge).await.expect("sent");
        let answer = first.recv::<Answer>().await.expect("an answer").expect("a challenge");
        assert!(matches!(answer, Answer::Challenge { .. }), "{answer:?}");
    }

    /// A run's record as it is fetched.
    pub(crate) async fn record(&self, run: RunId) -> Bytes {
        let mut stream = self.connection.open().await.expect("a stream");
        stream.send(&Ask::Fetch { run }).await.expect("sent");
        stream.finish();
        while let Some(answer) = stream.recv::<Answer>().await.expect("an answer") {
            if let Answer::Record { record } = answer {
                return record;
            }
        }
        panic!("no record of {run}");
    }
}

fn read(hello: &Bytes) -> Hello {
    trust::seal::peek(&Envelope::read(&hello.0).expect("an envelope")).expect("a hello")
}

impl Session {
    /// Brings the endpoint's catalogue up to these files.
    pub(crate) async fn update(&self, files: &Files) -> Answer {
        let mut stream = self.connection.open().await.expect("a stream");
        for (name, bytes) in delta(self.hello.catalogue, files).iter() {
            let mut parts = bytes.chunks(protocol::limits::CHUNK_BYTES_MAX).peekable();
            while let Some(part) = parts.next() {
                let frame = Ask::CatalogueFile {
                    name: name.to_owned(),
                    part: Bytes(part.to_vec()),
                    last: parts.peek().is_none(),
                };
                stream.send(&frame).await.expect("sent");
            }
        }
        stream.send(&Ask::CatalogueEnd).await.expect("sent");
        stream.finish();
        stream.recv::<Answer>().await.expect("an answer").expect("an answer to the update")
    }

    /// Sends one frame and reads to the end of the stream: the decision, in words.
    pub(crate) async fn ask(&self, ask: &Ask) -> Value {
        let mut stream = self.connection.open().await.expect("a stream");
        stream.send(ask).await.expect("sent");
        stream.finish();
        let mut seen = json!({ "answer": "closed" });
        loop {
            match stream.recv::<Answer>().await {
                Ok(Some(answer)) => seen = in_words(&answer).unwrap_or(seen),
                Ok(None) => return seen,
                Err(error) => return json!({ "answer": "closed", "why": error.to_string() }),
            }
        }
    }

    /// Submits an order with its dispatch.
    pub(crate) async fn submit(&self, order: &Envelope, dispatch: &Envelope) -> Value {
        let bytes = |e: &Envelope| Bytes(e.write().expect("written"));
        self.submit_bytes(bytes(order), bytes(dispatch)).await
    }

    /// Submits bytes as they were captured.
    pub(crate) async fn submit_bytes(&self, order: Bytes, dispatch: Bytes) -> Value {
        self.ask(&Ask::Submit { order, dispatch, attestation: None, approvals: Vec::new() }).await
    }
}

/// What an endpoint's last word means.
pub(crate) fn in_words(answer: &Answer) -> Option<Value> {
    match answer {
        Answer::Record { record } => {
            let record: Record = trust::seal::peek(&Envelope::read(&record.0).ok()?).ok()?;
            let p = record.predicate;
            Some(json!({
                "answer": "record",
                "outcome": p.outcome,
                "decision": p.decision,
                "sentence": p.summary,
                "reason": p.reason,
                "run": p.run,
            }))
        }
        Answer::Stop { code } => Some(json!({
            "answer": "stop",
            "stop": format!("{code:?}").to_lowercase(),
            "sentence": code.to_string(),
        })),
        Answer::CertificateRefused { code, sentence } => {
            Some(json!({ "answer": "certificate-refused", "code": code, "sentence": sentence }))
        }
        Answer::CertificateTaken { .. } => Some(json!({ "answer": "certificate-taken" })),
        Answer::Recalled { .. } => Some(json!({ "answer": "recalled" })),
        Answer::CatalogueRefused { code, sentence } => {
            Some(json!({ "answer": "catalogue-refused", "code": code, "sentence": sentence }))
        }
        Answer::CatalogueTaken { versions } => {
            Some(json!({ "answer": "catalogue-taken", "versions": versions }))
        }
        _ => None,
    }
}
