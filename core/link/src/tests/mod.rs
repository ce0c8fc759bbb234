//! Every refusal of the door, over real QUIC on loopback.

mod desk;
mod dialling;
mod door;
mod exchange;
mod frames;
mod papers;
mod reset;

use std::time::Duration;

use protocol::Time;
use protocol::frames::{Answer, Ask, Stop};

use crate::{Connection, Expect, LinkError, Listener, Rejected, Role, Trust};
use papers::{Ca, Leaf, now};

const WAIT: Duration = Duration::from_secs(4);

fn trust(ca: &Ca) -> Trust {
    Trust { cas: vec![ca.der()], organisation: "demo".into(), denied: Vec::new(), floor: Time(0) }
}

fn endpoint(id: &str) -> Expect {
    Expect { role: Role::Endpoint, id: Some(id.into()), key: None }
}

/// A gate with its certificate, the CA of the people, and the CA that signed the gate.
struct Gate {
    listener: Listener,
    address: String,
    people: Ca,
    machines: Ca,
    certificate: Vec<u8>,
}

impl Gate {
    fn certificate(&self) -> Vec<u8> {
        self.certificate.clone()
    }
}

fn gate() -> Gate {
    let (people, machines) = (Ca::new("people"), Ca::new("machines"));
    let me = machines.issue(&Leaf::endpoint("e1"));
    let listener = Listener::bind("127.0.0.1:0", &me, &trust(&people)).unwrap();
    let address = listener.address().unwrap().to_string();
    let certificate = me.certificates[0].clone();
    Gate { listener, address, people, machines, certificate }
}

/// Answers the first frame of every connection with `Stop(Rate)`, and counts what was rejected.
async fn serve_one(listener: &mut Listener) -> Result<Connection, Rejected> {
    let connection = tokio::time::timeout(WAIT, listener.accept()).await.unwrap().unwrap()?;
    let mut stream = connection.accept().await.unwrap();
    let ask: Option<Ask> = stream.recv_within(WAIT).await.unwrap();
    assert_eq!(ask, Some(Ask::Challenge));
    stream.send(&Answer::Stop { code: Stop::Rate }).await.unwrap();
    stream.finish();
    stream.split().0.delivered().await;
    Ok(connection)
}

/// What a console notices: the first answer, or why there is none.
async fn first_answer(connection: &Connection) -> Result<Option<Answer>, LinkError> {
    let mut stream = connection.open().await?;
    stream.send(&Ask::Challenge).await?;
    stream.recv_within(WAIT).await
}

/// Dials with this leaf and says what both sides saw.
async fn meet(
    gate: &mut Gate,
    leaf: &crate::Identity,
) -> (Result<Connection, Rejected>, Result<Option<Answer>, LinkError>) {
    let mut listener_side = None;
    let address = gate.address.clone();
    let trust = trust(&gate.machines);
    let client = async {
        let connection = crate::dial(&address, leaf, &trust, &endpoint("e1")).await.unwrap();
        let answer = first_answer(&connection).await;
        (connection, answer)
    };
    let server = async { listener_side = Some(serve_one(&mut gate.listener).await) };
    let ((_connection, answer), ()) = tokio::join!(client, server);
    (listener_side.unwrap(), answer)
}
