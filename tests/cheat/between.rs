//! A desk between consoles and the desk's own books: it holds the desk's TLS key, and the people's CA
//! to dial on in anybody's name. What it passes on it may change first.

use std::sync::Arc;

use link::{Connection, Expect, Identity, Listener, Protocol, Receiving, Role, Sending, Trust};
use protocol::frames::{DeskAnswer, DeskAsk, decode};
use tokio::sync::mpsc::UnboundedSender;
use trust::{Signer as _, SigningKey};

use crate::line::Cheat;

/// What becomes of one question or one answer.
#[derive(Debug)]
pub(crate) enum Then {
    /// These go on in its place.
    Say(Vec<DeskAnswer>),
    /// Bytes that are no message.
    Raw(Vec<u8>),
    /// The stream ends.
    End(Vec<DeskAnswer>),
    /// Nothing more comes, and nothing ends.
    Silence,
}

/// A lie.
pub(crate) trait Lie: Send + Sync {
    /// Answers a question without the books, or lets it pass.
    fn ask(&self, asked: &DeskAsk) -> impl Future<Output = Option<Then>> + Send;
    /// What goes on instead of the books' answer.
    fn answer(&self, asked: &DeskAsk, answer: DeskAnswer) -> Then;
}

pub(crate) fn trust_of(cheat: &Cheat, kind: certs::Kind) -> Trust {
    Trust {
        cas: vec![cheat.desk.home.ca(kind).expect("the CA").certificate().to_vec()],
        organisation: cheat.desk.organisation.id.to_string(),
        denied: Vec::new(),
        floor: protocol::Time::default(),
    }
}

pub(crate) fn listener(cheat: &Cheat, port: &str) -> Listener {
    let me = cheat.desk.home.desk_identity().expect("the desk's identity");
    let (people, endpoints) =
        (trust_of(cheat, certs::Kind::People), trust_of(cheat, certs::Kind::Endpoints));
    let address = format!("127.0.0.1:{port}");
    Listener::bind_desk(&address, &me, &people, &endpoints).expect("a free port")
}

/// A certificate for this agent, over a key of ours.
pub(crate) fn as_agent(cheat: &Cheat, name: &str) -> Identity {
    let key = SigningKey::from_seed(desk::chance::fresh().expect("random"));
    let ca = cheat.desk.home.ca(certs::Kind::People).expect("the CA");
    let spki = certs::spki_of(&key.public_key());
    let serial = desk::chance::fresh().expect("random");
    let (from, to) = (cheat.now.minus(60), cheat.now.plus(certs::DAY));
    let leaf = ca.issue_agent(&spki, &name.parse().expect("a name"), serial, from, to);
    Identity { certificates: vec![leaf.expect("issued")], key: key.pkcs8_der() }
}

/// Serves one console in the name that it came with.
pub(crate) async fn console<L: Lie + 'static>(
    cheat: Arc<Cheat>,
    upstream: String,
    connection: Connection,
    lie: Arc<L>,
) {
    let name = connection.peer().expect("it showed a certificate").id.clone();
    let me = as_agent(&cheat, &name);
    let expect = Expect { role: Role::Desk, id: None, key: None };
    let line = link::Line::prepare(&upstream).await.expect("an address");
    let people = trust_of(&cheat, certs::Kind::People);
    let books = line.dial_with(&me, &people, &expect, Protocol::Console).await.expect("the books");
    while let Ok(stream) = connection.accept().await {
        let (sending, receiving) = stream.split();
        tokio::spawn(question(books.clone(), sending, receiving, Arc::clone(&lie)));
    }
    books.leave().await;
}

async fn question<L: Lie>(
    books: Connection,
    mut sending: Sending,
    mut receiving: Receiving,
    lie: Arc<L>,
) {
    let mut asks = Vec::new();
    while let Ok(Some(bytes)) = receiving.recv_bytes().await {
        asks.push(decode::<DeskAsk>(&bytes).expect("consoles ask known questions"));
    }
    let Some(first) = asks.first() else { return };
    if let Some(then) = lie.ask(first).await {
        if say(&mut sending, then).await {
            sending.finish();
        }
        return sending.delivered().await;
    }
    let (mut up, mut down) = books.open().await.expect("a stream").split();
    for ask in &asks {
        up.send(ask).await.expect("sent");
    }
    up.finish();
    while let Ok(Some(answer)) = down.recv::<DeskAnswer>().await {
        if !say(&mut sending, lie.answer(first, answer)).await {
            return sending.delivered().await;
        }
    }
    sending.finish();
    // Dropped before it is delivered, a stream is reset.
    sending.delivered().await;
}

/// Whether more may be said.
async fn say(sending: &mut Sending, then: Then) -> bool {
    let (answers, goes_on) = match then {
        Then::Say(answers) => (answers, true),
        Then::End(answers) => (answers, false),
        Then::Raw(bytes) => {
            let _ = sending.send_bytes(&bytes).await;
            return true;
        }
        Then::Silence => return std::future::pending().await,
    };
    for answer in &answers {
        // A console that had enough hangs up: that is its right.
        if sending.send(answer).await.is_err() {
            return false;
        }
    }
    if !goes_on {
        sending.finish();
    }
    goes_on
}

/// Takes whoever comes: consoles are served with this lie, endpoints' lines are handed on.
pub(crate) async fn serve<L: Lie + 'static>(
    cheat: Arc<Cheat>,
    mut listener: Listener,
    upstream: String,
    lie: Arc<L>,
    endpoints: UnboundedSender<Connection>,
) {
    loop {
        // What is turned away is of no interest here.
        let Ok(connection) = listener.accept().await.expect("it listens") else { continue };
        match connection.protocol() {
            Protocol::Console => {
                let (cheat, upstream) = (Arc::clone(&cheat), upstream.clone());
                tokio::spawn(console(cheat, upstream, connection, Arc::clone(&lie)));
            }
            _ => endpoints.send(connection).expect("somebody waits for it"),
        }
    }
}
