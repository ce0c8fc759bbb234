//! The taken desk's line to an endpoint: real TLS with a real agent's certificate, no scruples after.

use std::path::Path;

use desk::home::Home;
use desk::org::Desk;
use link::{Connection, Expect, Role, Stream, Trust};
use protocol::documents::{Card, Hello, Record};
use protocol::frames::{Answer, Ask};
use protocol::{Bytes, EndpointName, Envelope, Time};
use serde_json::{Value, json};
use store::EndpointRow;
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
    _first: Stream,
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
        let Answer::Hello { hello, .. } = answer else { panic!("not a hello: {answer:?}") };
        Session { connection, hello: read(&hello), _first: first }
    }

    /// A fresh challenge, in a hello, on a stream of its own.
    pub(crate) async fn challenge(&self) -> Hello {
        let mut stream = self.connection.open().await.expect("a stream");
        stream.send(&Ask::Challenge).await.expect("sent");
        let answer = stream.recv::<Answer>().await.expect("an answer").expect("a challenge");
        let Answer::Challenge { hello } = answer else { panic!("not a challenge: {answer:?}") };
        assert_eq!(stream.recv::<Answer>().await, Ok(None), "its stream goes on");
        read(&hello)
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
        Answer::Stop { code } => Some(json!({ "answer": "stop", "sentence": code.to_string() })),
        Answer::CatalogueRefused { code, sentence } => {
            Some(json!({ "answer": "catalogue-refused", "code": code, "sentence": sentence }))
        }
        Answer::CatalogueTaken { versions } => {
            Some(json!({ "answer": "catalogue-taken", "versions": versions }))
        }
        _ => None,
    }
}
