//! A bench crowd: thousands of endpoints in one process, each with keys, a card and a certificate of its
//! own, that hold lines to a shared desk as gates do; and a console that asks the desk. Never part of
//! a release.
//!
//! usage: crowd fill HOME COUNT           adds endpoints to a home's address book
//!        crowd hold HOME DESK COUNT      holds their lines until stdin ends; one line of JSON whenever all are there
//!        crowd ask HOME DESK COUNT ROUNDS  questions through the desk to these endpoints and back, in turn
#![expect(clippy::disallowed_methods, reason = "a bench client reads the clocks: that is its job")]
#![expect(clippy::unwrap_used, reason = "a bench client that cannot go on stops")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use desk::home::{Home, Online};
use desk::org::Desk;
use link::{Connection, Dialler, Identity, Listener, Stream, Trust};
use protocol::documents::{Card, CatalogueVersions, Head, Hello, Recall, RecallScope};
use protocol::frames::{Answer, Ask, DeskAnswer, DeskAsk};
use protocol::{Bytes, Digest, EndpointId, Time, limits};
use store::NewEndpoint;
use tokio::sync::{Semaphore, mpsc};
use trust::{SealingSecret, Signer as _, SigningKey, seal};

/// Handshakes at once: machines are many, this process is one.
const DIALS_MAX: usize = 256;

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_unix(since.unwrap_or_default())
}

fn key(what: &str, n: usize) -> SigningKey {
    SigningKey::from_seed(Digest::of(format!("{what} {n}").as_bytes()).0)
}

fn id(n: usize) -> EndpointId {
    let digest = Digest::of(format!("id {n}").as_bytes());
    EndpointId(digest.0.first_chunk().copied().unwrap())
}

fn card(n: usize, now: Time) -> Card {
    Card {
        endpoint: id(n),
        name: format!("crowd-{n}").parse().unwrap(),
        tls_key: Digest::of(&certs::spki_of(&key("tls", n).public_key())),
        record_key: key("record", n).public_key(),
        sealing_key: SealingSecret::from_seed([7; 32]).public().unwrap(),
        labels: std::collections::BTreeMap::new(),
        serial: 1_000_000 + n as u64,
        issued: now,
        not_after: now.plus(90 * 86_400),
    }
}

fn fill(home: &str, count: usize) {
    let desk = Desk::open(Home::new(Path::new(home))).unwrap();
    let enroller = desk.home.online_key(Online::Enroller).unwrap();
    let store = desk.store.here().unwrap();
    for n in 0..count {
        let card = card(n, now());
        let new = NewEndpoint {
            id: card.endpoint,
            name: card.name.clone(),
            card: seal::seal(&card, &[&enroller]).unwrap().write().unwrap(),
            address: None,
            person: None,
            labels: card.labels.clone(),
            host: None,
            platform: Some("linux".into()),
        };
        store.add_endpoint(&new, now()).unwrap();
    }
}

/// One endpoint of the crowd.
struct One {
    identity: Identity,
    card: Bytes,
    card_digest: Digest,
    record: SigningKey,
    versions: CatalogueVersions,
}

impl One {
    fn hello(&self) -> Bytes {
        let mut chance = [0u8; 32];
        chance.copy_from_slice(&Digest::of(format!("{:?}", Instant::now()).as_bytes()).0);
        let epoch = Digest([7; 32]);
        let hello = Hello {
            card: self.card_digest,
            protocol_min: 1,
            protocol_max: 1,
            documents_max: 1,
            catalogue: self.versions,
            head: Head { epoch, counter: 0, hash: epoch },
            clock: now(),
            challenge: Digest(chance),
            version: "bench".into(),
        };
        Bytes(seal::seal(&hello, &[&self.record]).unwrap().write().unwrap())
    }

    async fn stream(self: Arc<Self>, mut stream: Stream) {
        while let Ok(Some(ask)) = stream.recv::<Ask>().await {
            let answer = match ask {
                Ask::Hello { .. } => Answer::Hello {
                    hello: self.hello(),
                    card: self.card.clone(),
                    unfiled: Vec::new(),
                },
                Ask::Challenge => Answer::Challenge { hello: self.hello() },
                Ask::Recall { .. } => Answer::Recalled { was_running: false },
                _ => continue,
            };
            let last = matches!(answer, Answer::Recalled { .. });
            if stream.send(&answer).await.is_err() || last {
                stream.finish();
                return;
            }
        }
    }

    async fn serve(self: &Arc<Self>, connection: &Connection, here: impl FnOnce()) {
        let mut here = Some(here);
        while let Ok(stream) = connection.accept().await {
            if let Some(here) = here.take() {
                here();
            }
            tokio::spawn(Arc::clone(self).stream(stream));
        }
    }
}

/// What all of the crowd share.
struct Crowd {
    dialler: Dialler,
    desk: SocketAddr,
    trust: Trust,
    dials: Semaphore,
    present: AtomicUsize,
    news: mpsc::UnboundedSender<()>,
}

/// Holds one line as a gate does: full jitter after a line that ended, a doubling time after failures.
async fn hold(crowd: Arc<Crowd>, one: Arc<One>, n: usize) {
    let mut most = limits::REDIAL_SECONDS_MIN;
    let mut dice = n as u64 + 1;
    loop {
        let place = crowd.dials.acquire().await.unwrap();
        let dialled = crowd.dialler.dial(crowd.desk, &one.identity, &crowd.trust).await;
        drop(place);
        if let Ok(connection) = dialled {
            let was_here = AtomicBool::new(false);
            one.serve(&connection, || {
                was_here.store(true, Ordering::SeqCst);
                crowd.present.fetch_add(1, Ordering::SeqCst);
                let _ = crowd.news.send(());
            })
            .await;
            // A desk that answered and did not ask in time: nobody was there.
            if was_here.load(Ordering::SeqCst) {
                crowd.present.fetch_sub(1, Ordering::SeqCst);
                let _ = crowd.news.send(());
            }
            most = limits::REDIAL_SPREAD_SECONDS;
        } else {
            most = (most * 2).min(limits::REDIAL_SECONDS_MAX);
        }
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis((dice >> 33) % (most * 1000))).await;
    }
}

fn trust_of(desk: &Desk, policy: &policy::Policy) -> Trust {
    Trust {
        cas: policy.file().cas.people.iter().map(|der| der.0.clone()).collect(),
        organisation: desk.organisation.id.to_string(),
        denied: Vec::new(),
        floor: Time(0),
    }
}

async fn hold_all(home: &str, at: SocketAddr, count: usize) {
    let desk = Desk::open(Home::new(Path::new(home))).unwrap();
    let catalogue = desk::catalogue::open(&desk.home, now()).unwrap();
    let policy = desk::catalogue::policy(&desk.home, now()).unwrap();
    let ca = desk.home.ca(certs::Kind::Endpoints).unwrap();
    let store = desk.store.here().unwrap();
    let ones: Vec<Arc<One>> = (0..count)
        .map(|n| {
            let tls = key("tls", n);
            let spki = certs::spki_of(&tls.public_key());
            let mut serial = [0u8; 16];
            serial.copy_from_slice(&id(n).0);
            let (from, to) = (now().minus(60), now().plus(80 * 86_400));
            let leaf = ca.issue_endpoint(&spki, &id(n), serial, from, to).unwrap();
            let row = store.endpoint(&id(n)).unwrap().unwrap();
            let card_digest = protocol::Envelope::read(&row.card).unwrap().digest();
            Arc::new(One {
                identity: Identity { certificates: vec![leaf], key: tls.pkcs8_der() },
                card: Bytes(row.card),
                card_digest,
                record: key("record", n),
                versions: catalogue.versions(),
            })
        })
        .collect();
    let trust = trust_of(&desk, &policy);
    let first = ones.first().unwrap();
    let listener = Listener::bind("127.0.0.1:0", &first.identity, &trust).unwrap();
    let (news, mut heard) = mpsc::unbounded_channel();
    let crowd = Arc::new(Crowd {
        dialler: listener.dialler(),
        desk: at,
        trust,
        dials: Semaphore::new(DIALS_MAX),
        present: AtomicUsize::new(0),
        news,
    });
    let mut began = Instant::now();
    for (n, one) in ones.iter().enumerate() {
        tokio::spawn(hold(Arc::clone(&crowd), Arc::clone(one), n));
    }
    let (mut all, mut lost) = (false, false);
    while heard.recv().await.is_some() {
        let present = crowd.present.load(Ordering::SeqCst);
        if present == count && !all {
            let seconds = began.elapsed().as_secs_f64();
            println!(
                "{}",
                serde_json::json!({ "present": present, "seconds": seconds, "again": lost })
            );
            all = true;
        } else if present < count && all {
            (all, lost, began) = (false, true, Instant::now());
        }
    }
    drop(listener);
}

async fn question(connection: &Connection, ask: &DeskAsk) -> DeskAnswer {
    let mut stream = connection.open().await.unwrap();
    stream.send(ask).await.unwrap();
    stream.finish();
    stream.recv::<DeskAnswer>().await.unwrap().unwrap()
}

async fn ask_all(home: &str, at: &str, count: usize, rounds: usize) {
    let desk = Desk::open(Home::new(Path::new(home))).unwrap();
    let policy = desk::catalogue::policy(&desk.home, now()).unwrap();
    let me = desk.home.agent_identity(&desk.organisation.me).unwrap();
    let connection = link::dial_desk(at, &me, &trust_of(&desk, &policy), None).await.unwrap();
    question(&connection, &DeskAsk::Hello { min: 1, max: limits::DESK_VERSION }).await;
    // A good recall of an order that nobody has: the desk reads its seal and passes it on.
    let recall = Recall {
        order: Digest([7; 32]),
        agent: desk.organisation.me.clone(),
        scope: RecallScope::CancelRun,
        reason: "bench".into(),
        issued: now(),
        session_key: None,
    };
    let signer = desk.home.agent_signing_key(&desk.organisation.me, None).unwrap();
    let recall = Bytes(seal::seal(&recall, &[&signer]).unwrap().write().unwrap());
    let mut took = Vec::new();
    for round in 0..rounds + 50 {
        let ask = DeskAsk::Recall { endpoint: id(round % count), recall: recall.clone() };
        let began = Instant::now();
        let answer = question(&connection, &ask).await;
        assert!(matches!(answer, DeskAnswer::Recalled { .. }), "{answer:?}");
        if round >= 50 {
            took.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    took.sort_by(f64::total_cmp);
    let at = |part: f64| took.get((took.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "{}",
        serde_json::json!({ "p50_us": at(0.5), "p99_us": at(0.99), "rounds": took.len() })
    );
    connection.leave().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", home, count] => fill(home, count.parse().unwrap()),
        ["hold", home, desk, count] => {
            // Ends with its parent, which closes its stdin.
            std::thread::spawn(|| {
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                std::process::exit(0);
            });
            hold_all(home, desk.parse().unwrap(), count.parse().unwrap()).await;
        }
        ["ask", home, desk, count, rounds] => {
            ask_all(home, desk, count.parse().unwrap(), rounds.parse().unwrap()).await;
        }
        _ => {
            eprintln!(
                "usage: crowd fill HOME COUNT | hold HOME DESK COUNT | ask HOME DESK COUNT ROUNDS"
            );
            std::process::exit(2);
        }
    }
}
