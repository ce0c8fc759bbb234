//! A desk that waits for its endpoint to dial it: the house's own TLS key and CAs, one port, and no
//! more of a desk than what the endpoint has to answer.

use std::time::Duration;

use link::{Connection, Listener};
use protocol::Mode;
use protocol::frames::Stop;
use serde_json::{Value, json};
use trust::Signer as _;

use crate::line::{Cheat, Session};
use crate::tricks::{my_key, order, send, vetted};

/// A gate that lost its line dials again within the spread of ten seconds; and some.
const WAIT: Duration = Duration::from_secs(20);

async fn next(listener: &mut Listener) -> Connection {
    let accepted = async {
        loop {
            // What is turned away is of no interest here.
            if let Ok(line) = listener.accept().await.expect("it listens") {
                return line;
            }
        }
    };
    tokio::time::timeout(WAIT, accepted).await.expect("the endpoint dials")
}

fn serial(certificate: &[u8]) -> String {
    certs::read(certificate)
        .expect("a certificate")
        .serial
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Takes the line; has a look run on it under a challenge asked on a stream of its own; renews the
/// certificate; hangs up; takes the line again.
pub(crate) async fn held_line(cheat: &Cheat, port: &str) -> Value {
    let mut listener = crate::between::listener(cheat, port);
    let line = next(&mut listener).await;
    let shown = line.certificate().expect("it showed one");
    let mut session = Session::greet(line.clone()).await;

    session.hello = session.challenge().await;
    let (me, script) = (my_key(cheat), vetted(cheat, "health.check"));
    let look = order(cheat, &session, script, Mode::Check, me.public_key());
    let look = send(cheat, &session, &look, &me).await;

    let ca = cheat.desk.home.ca(certs::Kind::Endpoints).expect("the CA");
    let facts = certs::read(&shown).expect("a certificate");
    let end = facts.not_after.plus(certs::DAY);
    let random = desk::chance::fresh().expect("random");
    let issued = ca.issue_endpoint(&facts.spki, &cheat.endpoint.id, random, cheat.now, end);
    let renewed = issued.expect("issued");
    let taken = desk::session::bring_certificate(&line, renewed.clone()).await;
    let old = desk::session::bring_certificate(&line, shown.clone()).await;

    line.close(Stop::Drain);
    let again = next(&mut listener).await;
    let shown_again = serial(&again.certificate().expect("it showed one"));
    drop(Session::greet(again.clone()).await);
    // Said, so that the endpoint need not find out by silence.
    again.leave().await;
    json!({
        "peer": facts.uris,
        "look": look,
        "taken": taken.ok() == Some(end),
        "old": old.err().map(|error| error.to_string()),
        "first": serial(&shown),
        "renewed": serial(&renewed),
        "again": shown_again,
    })
}
