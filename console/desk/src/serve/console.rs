//! A console's line: one question a stream, each answered by itself.

use std::sync::Arc;
use std::time::Duration;

use link::{Connection, LinkError, Receiving, Sending};
use protocol::documents::CatalogueVersions;
use protocol::error_chain::ErrorChain;
use protocol::frames::{Answer, Ask, DeskAnswer, DeskAsk, Stop, decode, sorry};
use protocol::{AgentName, Bytes, EndpointId, RunId, limits};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::known::Known;
use super::live::Follower;
use super::{Server, drive, file, guest, submit, waiting};
use crate::books::{self, Counter, Peer, Publication, Sorry};
use crate::catalogue;
use crate::enrol::{EnrolError, renewed_agent};

/// From a stream's beginning to the end of its question.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(limits::IDLE_SECONDS_MAX);

/// Answers a console until it leaves. What it ordered goes on without it.
pub(super) async fn console(server: Arc<Server>, connection: Connection) {
    let mut questions = JoinSet::new();
    let mut judged = server.judged.subscribe();
    let agent = connection.peer().and_then(|peer| peer.id.parse::<AgentName>().ok());
    if let Some(agent) = &agent
        && server.lines.console_came(agent)
    {
        server.note(|store, now| store.agents_here(std::slice::from_ref(agent), now));
    }
    loop {
        tokio::select! {
            // The sender lives as long as the server does.
            Ok(()) = judged.changed() => if peer(&server, &server.known(), &connection).is_none() {
                server.line(&format!("the line of {} ended: withdrawn", id(&connection)));
                connection.close(Stop::Withdrawn);
                break;
            },
            stream = connection.accept() => match stream {
                Ok(stream) => {
                    let (sending, receiving) = stream.split();
                    let (server, connection) = (Arc::clone(&server), connection.clone());
                    questions.spawn(question(server, connection, sending, receiving));
                }
                Err(_) => break,
            },
            Some(_) = questions.join_next(), if !questions.is_empty() => {}
        }
    }
    questions.shutdown().await;
    if let Some(agent) = &agent
        && server.lines.console_left(agent)
    {
        server.note(|store, now| store.agent_left(agent, now));
    }
}

/// The name that a console's certificate says.
fn id(connection: &Connection) -> String {
    connection.peer().map(|peer| peer.id.clone()).unwrap_or_default()
}

/// The person at a console, as long as policy counts them.
fn peer(server: &Server, known: &Known, connection: &Connection) -> Option<Peer> {
    Peer::of(&known.policy, &id(connection), (server.now)())
}

async fn question(
    server: Arc<Server>,
    connection: Connection,
    mut sending: Sending,
    mut receiving: Receiving,
) {
    let asked = timeout(QUESTION_TIME_MAX, receiving.recv_bytes()).await;
    let Ok(Ok(Some(bytes))) = asked else { return };
    // A policy that came since then counts for the next question of the same line.
    let known = server.current();
    let Some(peer) = peer(&server, &known, &connection) else {
        return connection.close(Stop::Withdrawn);
    };
    let answered = match decode::<DeskAsk>(&bytes) {
        Ok(DeskAsk::Renew) => match renewed(&server, &known, &peer, &connection) {
            Ok(leaf) => sending.send(&DeskAnswer::Renewed { leaf }).await.map(Ok),
            Err(no) => Ok(Err(no)),
        },
        Ok(ask) => answer(&server, &peer, ask, &mut sending, &mut receiving).await,
        Err(_) => {
            let no = Sorry::new(sorry::UNKNOWN, "the desk does not know this question");
            Ok(Err(no.next("ask whoever runs the desk to bring it to this version of salve")))
        }
    };
    if let Ok(Err(no)) = answered {
        if let Some(fault) = &no.fault {
            server.line(fault);
        }
        // Whoever has left hears nothing.
        let _ = sending.send(&DeskAnswer::from(no)).await;
    }
    sending.finish();
    sending.delivered().await;
}

/// What a question came to: answered, or not and why; the error is the line's own.
type Answered = Result<Result<(), Sorry>, LinkError>;

async fn answer(
    server: &Arc<Server>,
    peer: &Peer,
    ask: DeskAsk,
    sending: &mut Sending,
    receiving: &mut Receiving,
) -> Answered {
    match ask {
        DeskAsk::Meet { endpoint } => match met(server, &endpoint).await {
            Ok(met) => sending.send(&met).await.map(Ok),
            Err(no) => Ok(Err(no)),
        },
        DeskAsk::Submit { endpoint, order, dispatch, approvals } => {
            let parcel = submit::Parcel { endpoint, order, dispatch, approvals };
            match submit::submit(server, parcel).await {
                Ok(follower) => pass(follower, &peer.name, sending).await.map(Ok),
                Err(no) => Ok(Err(no)),
            }
        }
        DeskAsk::Wait { endpoint, order, seed } => {
            match waiting::put(server, endpoint, (order, seed)).await {
                Ok(answer) => sending.send(&answer).await.map(Ok),
                Err(no) => Ok(Err(no)),
            }
        }
        DeskAsk::Carry { run } => match waiting::carry(server, &run, &peer.name) {
            Ok(answer) => sending.send(&answer).await.map(Ok),
            Err(no) => Ok(Err(no)),
        },
        DeskAsk::Bring { .. } => match brought(server, ask, receiving).await? {
            Ok(answer) => sending.send(&answer).await.map(Ok),
            Err(no) => Ok(Err(no)),
        },
        DeskAsk::Follow { run } => follow(server, run, &peer.name, sending).await,
        DeskAsk::Recall { endpoint, recall } => match recalled(server, &endpoint, recall).await {
            Ok(answer) => sending.send(&answer).await.map(Ok),
            Err(no) => Ok(Err(no)),
        },
        DeskAsk::PublishFile { .. } | DeskAsk::Publish { .. } => {
            publish(server, peer, ask, sending, receiving).await
        }
        DeskAsk::Past { generations } => all(past(server, generations).await, sending).await,
        plain => all(counter(server, peer, plain).await, sending).await,
    }
}

/// Another certificate for whoever opened this line.
fn renewed(
    server: &Server,
    known: &Known,
    peer: &Peer,
    connection: &Connection,
) -> Result<Option<Bytes>, Sorry> {
    let shown = connection.certificate().unwrap_or_default();
    let leaf =
        renewed_agent(&server.desk.home, &known.policy, (&peer.name, &shown), (server.now)());
    match leaf {
        Ok(leaf) => {
            if leaf.is_some() {
                server.line(&format!("{}: the certificate was renewed", peer.name));
            }
            Ok(leaf.map(Bytes))
        }
        Err(error @ EnrolError::DeniedKey { .. }) => {
            Err(Sorry::new(sorry::FORBIDDEN, error.to_string()))
        }
        Err(error) => Err(Sorry { fault: Some(ErrorChain(&error).to_string()), ..broken() }),
    }
}

async fn all(answers: Result<Vec<DeskAnswer>, Sorry>, sending: &mut Sending) -> Answered {
    match answers {
        Ok(answers) => {
            for answer in &answers {
                sending.send(answer).await?;
            }
            Ok(Ok(()))
        }
        Err(no) => Ok(Err(no)),
    }
}

/// Lists and policies of then, off the thread that carries everybody's lines.
async fn past(
    server: &Arc<Server>,
    generations: Vec<CatalogueVersions>,
) -> Result<Vec<DeskAnswer>, Sorry> {
    let server = Arc::clone(server);
    let answered = tokio::task::spawn_blocking(move || {
        let all = catalogue::files_with_past(&server.desk.home).map_err(|_| broken())?;
        books::past(&all, &generations, server.known().catalogue.versions())
    });
    answered.await.unwrap_or_else(|_| Err(broken()))
}

fn broken() -> Sorry {
    Sorry::new(sorry::STORE, "the desk could not do it")
        .next("try again; the desk's journal says why")
}

/// Questions that need the store only, off the thread that carries everybody's lines.
async fn counter(
    server: &Arc<Server>,
    peer: &Peer,
    ask: DeskAsk,
) -> Result<Vec<DeskAnswer>, Sorry> {
    let (server, peer) = (Arc::clone(server), peer.clone());
    let answered = tokio::task::spawn_blocking(move || {
        let known = server.known();
        let counter = Counter {
            store: server.store().map_err(crate::books::BookError::said)?,
            organisation: &server.desk.organisation.id,
            versions: known.catalogue.versions(),
            files: &known.files,
            checks: &server.desk.home,
            people: &known.policy,
        };
        let unknown = || Err(Sorry::new(sorry::STATE, "this question has no place there"));
        let answered = counter.answer(&peer, &ask, (server.now)()).unwrap_or_else(unknown);
        if let (Ok(_), DeskAsk::Book { ask }) = (&answered, &ask)
            && let Some(words) = books::journal(&ask.0)
        {
            server.line(&words);
        }
        answered
    });
    answered.await.unwrap_or_else(|_| Err(broken()))
}

/// A publication: parts, and the word that it is complete.
async fn publish(
    server: &Arc<Server>,
    peer: &Peer,
    first: DeskAsk,
    sending: &mut Sending,
    receiving: &mut Receiving,
) -> Answered {
    let mut publication = Publication::default();
    let mut next = Some(first);
    while let Some(ask) = next {
        match ask {
            DeskAsk::PublishFile { name, part, last } => {
                if let Err(no) = publication.take(&name, &part.0, last) {
                    return Ok(Err(no));
                }
            }
            DeskAsk::Publish { base } => {
                let at = Arc::clone(server);
                let taken = tokio::task::spawn_blocking(move || {
                    let now = (at.now)();
                    let catalogue = publication.end(&at.desk.home, base, now)?;
                    at.take_up();
                    Ok(catalogue.versions())
                });
                return match taken.await.unwrap_or_else(|_| Err(broken())) {
                    Ok(versions) => {
                        server.line(&format!("{} published a new catalogue", peer.name));
                        sending.send(&DeskAnswer::Published { versions }).await.map(Ok)
                    }
                    Err(no) => Ok(Err(no)),
                };
            }
            _ => break,
        }
        next = receiving.recv::<DeskAsk>().await?;
    }
    Ok(Err(Sorry::new(sorry::STATE, "the publication is not complete")))
}

/// An order file in parts, back with its record.
async fn brought(
    server: &Arc<Server>,
    first: DeskAsk,
    receiving: &mut Receiving,
) -> Result<Result<DeskAnswer, Sorry>, LinkError> {
    let mut whole = Vec::new();
    let mut next = Some(first);
    while let Some(DeskAsk::Bring { part, last }) = next {
        if whole.len().saturating_add(part.0.len()) > limits::ORDER_FILE_BYTES_MAX {
            return Ok(Err(Sorry::new(sorry::LIMIT, "the order file is too large")));
        }
        whole.extend_from_slice(&part.0);
        if last {
            return Ok(file::brought(server, whole).await);
        }
        next = receiving.recv::<DeskAsk>().await?;
    }
    Ok(Err(Sorry::new(sorry::STATE, "the order file is not complete")))
}

async fn met(server: &Arc<Server>, id: &EndpointId) -> Result<DeskAnswer, Sorry> {
    let away = || {
        let left = server.lines.left(id);
        let row = server.store().ok().and_then(|store| store.endpoint(id).ok().flatten());
        let seen = row.and_then(|row| row.last_seen);
        let last_seen = left.map(|left| left.at).max(seen);
        DeskAnswer::Away { last_seen, left_in_order: left.map(|left| left.in_order) }
    };
    let Some(line) = guest::reach(server, id).await? else { return Ok(away()) };
    // A console has what the desk has, and its order names it: the endpoint gets it first.
    if let Err(error) = line.bring_up_to_date(server).await {
        server.line(&format!("{}: {}", line.card.name, ErrorChain(&error)));
    }
    match line.challenge().await {
        Ok(met) => Ok(DeskAnswer::Met {
            hello: Bytes(met.hello),
            card: Bytes(line.card_envelope.clone()),
            number: met.number,
            path: line.path,
            since: line.since,
        }),
        Err(error) => {
            server.line(&format!("{}: {}", line.card.name, ErrorChain(&error)));
            Ok(away())
        }
    }
}

/// Passes on what is said of a run, to its end, and who else watches it.
async fn pass(
    mut follower: Follower,
    who: &AgentName,
    sending: &mut Sending,
) -> Result<(), LinkError> {
    let mut watcher = follower.watched_by(who);
    loop {
        tokio::select! {
            biased;
            answer = follower.next() => match answer {
                Some(answer) => sending.send(&*answer).await?,
                None => return Ok(()),
            },
            agents = watcher.news() => sending.send(&DeskAnswer::Watching { agents }).await?,
        }
    }
}

async fn follow(
    server: &Arc<Server>,
    run: RunId,
    who: &AgentName,
    sending: &mut Sending,
) -> Answered {
    if let Some(live) = server.runs.get(&run) {
        return pass(live.follow(), who, sending).await.map(Ok);
    }
    let at = Arc::clone(server);
    let kept = tokio::task::spawn_blocking(move || file::kept(&at, &run));
    match kept.await.unwrap_or_else(|_| Err(broken())) {
        Ok(file::Kept::Record(answers)) => {
            for answer in &answers {
                sending.send(answer).await?;
            }
            Ok(Ok(()))
        }
        Ok(file::Kept::Open(which)) => {
            let live = server.runs.begin(run);
            if let Some(live) = live {
                let follower = live.follow();
                server.begin(drive::drive(Arc::clone(server), live, which, None));
                return pass(follower, who, sending).await.map(Ok);
            }
            match server.runs.get(&run) {
                Some(live) => pass(live.follow(), who, sending).await.map(Ok),
                None => Ok(Err(broken())),
            }
        }
        Err(no) => Ok(Err(no)),
    }
}

async fn recalled(
    server: &Arc<Server>,
    endpoint: &EndpointId,
    recall: Bytes,
) -> Result<DeskAnswer, Sorry> {
    let out = match waiting::recall(server, endpoint, &recall).await? {
        waiting::Recalled::Taken => return Ok(DeskAnswer::Recalled { was_running: false }),
        waiting::Recalled::NotHere => None,
        waiting::Recalled::Carried(until) => Some(until),
    };
    let not_here = || {
        let words = match out {
            None => "the endpoint is not connected; the recall was not sent".to_owned(),
            Some(until) => format!(
                "it waits here no more, and a copy is out in a file until {until}; the endpoint is not \
                 connected to be told"
            ),
        };
        Sorry::new(sorry::NOT_SENT, words).next("try again when it is there")
    };
    let line = guest::reach(server, endpoint).await?.ok_or_else(not_here)?;
    let told = async {
        let mut stream = line.connection.open().await?;
        stream.send(&Ask::Recall { recall }).await?;
        stream.finish();
        stream.recv_within::<Answer>(QUESTION_TIME_MAX).await
    };
    match told.await {
        Ok(Some(Answer::Recalled { was_running })) => Ok(DeskAnswer::Recalled { was_running }),
        Ok(Some(Answer::Stop { code })) => {
            let words = format!("the endpoint did not take the recall: {code}");
            Err(Sorry::new(sorry::NOT_TAKEN, words))
        }
        _ => Err(not_here()),
    }
}
