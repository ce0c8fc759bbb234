//! What machines showed of their records, kept by everybody who saw it: a ledger that was put back, or
//! that somebody split, is found by whoever saw more (decision 0032). Never decides what is sent.

use evidence::HeadPapers;
use protocol::documents::{Card, Doubt, Head, Hello, Misfit, Record, SeenHead, Sighting};
use protocol::{AgentName, Bytes, Digest, EndpointId, EndpointName, Envelope, Time};
use store::{DoubtRow, EndpointState, HeadRow};
use trust::Verified;

use crate::books::{BookError, Books, People};
use crate::home::{FileError, Known, Remembered};
use crate::org::Desk;
use crate::session::{Agent, Session};

/// Why heads could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum HeadsError {
    /// This console's own memory of the machine.
    #[error(transparent)]
    File(#[from] FileError),
    /// The books.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The agent's key.
    #[error("could not countersign what the machine showed")]
    Seal(#[from] trust::seal::SealError),
    /// The envelope.
    #[error("could not write down what the machine showed")]
    Write(#[from] protocol::json::BadJson),
}

/// What a verified hello shows.
fn shown(hello: &Verified<Hello>, by: &AgentName, at: Time) -> Sighting {
    Sighting { head: hello.head, clock: hello.clock, seen: at, by: Some(by.clone()) }
}

/// The heads of a machine that others countersigned and that verify; in this console's own store, which
/// opened every seal before it kept it, also the others and what it saw itself.
fn of_others(
    books: &Books,
    endpoint: &EndpointId,
    card: Option<&Card>,
    people: &dyn People,
) -> Result<Vec<Known>, BookError> {
    let own = books.line().is_none();
    let key = |name: &AgentName| people.signing_key(name);
    let proved = |row: &HeadRow| {
        let papers = HeadPapers { seen: row.envelope.clone()?, hello: row.hello.clone()? };
        let sighting = papers.open(endpoint, &card?.record_key, key).ok()?;
        Some(Known { sighting, papers: Some(papers) })
    };
    let one = |row: HeadRow| {
        // A shared desk's word alone accuses nobody.
        proved(&row).or_else(|| own.then_some(Known { sighting: row.sighting, papers: None }))
    };
    Ok(books.heads(*endpoint)?.into_iter().filter_map(one).collect())
}

/// What a comparison came to.
#[derive(Debug, Default)]
pub struct Compared {
    /// What does not fit, the loudest.
    pub doubt: Option<Doubt>,
    /// What could not be done beside that; the session is as good as before.
    pub troubles: Vec<HeadsError>,
}

impl Compared {
    fn tried<T>(&mut self, done: Result<T, impl Into<HeadsError>>) -> Option<T> {
        done.map_err(|error| self.troubles.push(error.into())).ok()
    }
}

/// Compares what a machine shows with what this console and then with what others have seen of it;
/// remembers it, countersigns it where the key is at hand, and gives the desk what it does not have.
/// Whatever fails hides nothing that was found, and never the own memory.
#[must_use]
pub fn compare(books: &Books, agent: &Agent, session: &Session) -> Compared {
    let mut compared = Compared::default();
    let card = session.card();
    let now =
        Known { sighting: shown(session.hello(), &agent.name, session.met_at()), papers: None };
    let own = compared.tried(own_memory(agent, &card.endpoint)).flatten();
    let fits = |known: &Known| Doubt::between(&known.sighting, &now.sighting);
    let found = own.as_ref().and_then(|own| fits(&own.newest).or_else(|| own.doubt.clone()));
    let keep =
        |known: &Known, doubt: Option<&Doubt>| agent.heads.keep(&card.endpoint, known, doubt);
    compared.tried(keep(&now, found.as_ref()));
    compared.doubt = found;
    let asked = of_others(books, &card.endpoint, Some(card), &agent.policy);
    let Some(theirs) = compared.tried(asked) else { return compared };
    let told = theirs.iter().find_map(fits);
    if let (None, Some(_)) = (&compared.doubt, &told) {
        compared.tried(keep(&now, told.as_ref()));
        compared.doubt = told;
    }
    let there = |head: Head| {
        theirs.iter().any(|known| known.sighting.head == head && known.papers.is_some())
    };
    // What this console saw before goes first: the desk finds by it what does not fit. What a key
    // signed that is not this person's any more proves nothing there.
    let proves = |papers: &HeadPapers| {
        let key = |name: &AgentName| agent.policy.signing_key(name);
        papers.open(&card.endpoint, &card.record_key, key).is_ok()
    };
    if let Some(before) = own.as_ref().map(|own| &own.newest)
        && let Some(papers) = before.papers.as_ref().filter(|papers| proves(papers))
        && !there(before.sighting.head)
    {
        compared.tried(hand_in(books, agent, session, papers.clone()));
    }
    let head = now.sighting.head;
    let kept =
        own.is_some_and(|own| own.newest.papers.is_some() && own.newest.sighting.head == head);
    if agent.signing.is_at_hand()
        && !(kept && there(head))
        && let Some(papers) = compared.tried(countersigned(agent, session))
    {
        compared.tried(keep(&Known { papers: Some(papers.clone()), ..now }, None));
        if !there(head) {
            compared.tried(hand_in(books, agent, session, papers));
        }
    }
    compared
}

/// What this console saw of the machine. That something was lost is said once: from then on it is a
/// memory again.
fn own_memory(agent: &Agent, endpoint: &EndpointId) -> Result<Option<Remembered>, FileError> {
    agent.heads.of(endpoint).map_err(|error| match error {
        FileError::Damaged { path, .. } => {
            let why = "it was written anew; what this console saw of the machine before is lost";
            FileError::Damaged { path, why: why.to_owned() }
        }
        other => other,
    })
}

fn countersigned(agent: &Agent, session: &Session) -> Result<HeadPapers, HeadsError> {
    let hello = session.hello();
    let seen = SeenHead {
        endpoint: session.card().endpoint,
        head: hello.head,
        hello: hello.digest(),
        person: agent.name.clone(),
        seen: session.met_at(),
    };
    let seen = Bytes(trust::seal::seal(&seen, &[&agent.signing])?.write()?);
    Ok(HeadPapers { seen, hello: Bytes(session.hello_envelope().to_vec()) })
}

fn hand_in(
    books: &Books,
    agent: &Agent,
    session: &Session,
    papers: HeadPapers,
) -> Result<(), BookError> {
    let HeadPapers { seen, hello } = papers;
    let (endpoint, by, at) = (session.card().endpoint, agent.name.clone(), session.met_at());
    books.add_head(endpoint, seen, hello, by, at, &agent.policy)
}

/// Remembers the head that a record which verified here shows. What fails is seen again at the next
/// meeting.
pub(crate) fn remember(agent: &Agent, record: &Record, hash: Digest, now: Time) {
    let here = &record.predicate;
    let head = Head { epoch: here.epoch, counter: here.counter, hash };
    let sighting = Sighting { head, clock: here.ended, seen: now, by: Some(agent.name.clone()) };
    let _ = agent.heads.keep(&here.endpoint.id, &Known { sighting, papers: None }, None);
}

/// The machines in use of which heads do not fit: what the desk keeps, and what this console knows. Of
/// a shared desk only what people countersigned counts.
///
/// # Errors
/// [`HeadsError`].
pub fn doubts(desk: &Desk, people: &dyn People) -> Result<Vec<DoubtRow>, HeadsError> {
    let mut all = Vec::new();
    for row in desk.store.doubts()? {
        let DoubtRow { endpoint, name, doubt } = row;
        let doubt = match desk.store.line() {
            None => Some(doubt),
            Some(_) => told(&desk.store, &endpoint, people)?,
        };
        all.extend(doubt.map(|doubt| DoubtRow { endpoint, name, doubt }));
    }
    for (endpoint, doubt) in desk.home.heads(&desk.organisation.me).doubts()? {
        if all.iter().any(|row| row.endpoint == endpoint) {
            continue;
        }
        let row = desk.store.endpoint(endpoint)?;
        if let Some(row) = row.filter(|row| row.state == EndpointState::Active) {
            all.push(DoubtRow { endpoint, name: row.name, doubt });
        }
    }
    Ok(all)
}

/// What is wrong with the ledger of one machine, in use or not.
///
/// # Errors
/// [`HeadsError`].
pub fn doubt_of(
    desk: &Desk,
    endpoint: &EndpointId,
    people: &dyn People,
) -> Result<Option<Doubt>, HeadsError> {
    let own = desk.home.heads(&desk.organisation.me).of(endpoint)?;
    match own.and_then(|own| own.doubt) {
        Some(doubt) => Ok(Some(doubt)),
        None => Ok(told(&desk.store, endpoint, people)?),
    }
}

/// Two heads of a machine that the books have, that verify and that do not fit.
fn told(
    books: &Books,
    endpoint: &EndpointId,
    people: &dyn People,
) -> Result<Option<Doubt>, BookError> {
    let row = books.endpoint(*endpoint)?;
    // The person's seal names the hello, and so the key that it was opened with: this card needs none.
    let card = row.and_then(|row| Envelope::read(&row.card).ok());
    let card = card.and_then(|sealed| trust::seal::peek::<Card>(&sealed).ok());
    let all = of_others(books, endpoint, card.as_ref(), people)?;
    let pairs = all.iter().enumerate().flat_map(|(place, one)| {
        all.iter().skip(place.saturating_add(1)).map(move |two| (&one.sighting, &two.sighting))
    });
    let mut found = pairs.filter_map(|(one, two)| Doubt::between(one, two));
    Ok(found.next())
}

/// One sentence for people, loud: what was seen by whom and when, what the machine shows, what that
/// means and what helps.
#[must_use]
pub fn words(name: &EndpointName, doubt: &Doubt) -> String {
    let Doubt { misfit, had, shows } = doubt;
    let by = |sighting: &Sighting| match &sighting.by {
        Some(person) => person.to_string(),
        None => "the desk".to_owned(),
    };
    let (who, first, last) = (by(had), had.head.counter, shows.head.counter);
    let meant =
        "look at who could have touched it, and at what ran there since; then enrol it anew";
    match misfit {
        Misfit::Rewound => format!(
            "{name} WENT BACK: {who} saw {first} records there on {}, and on {} it showed {last}. It \
             was put back from an image or a copy, or somebody hides records {} to {first}: {meant}:  \
             salve endpoints replace {name}",
            had.seen,
            shows.seen,
            last.saturating_add(1),
        ),
        Misfit::Forked => format!(
            "{name} SHOWS TWO PASTS: the record {first} that {who} saw there on {} is another one than \
             {} saw on {}. An image of it runs twice or was put back, or somebody hides records: \
             {meant}:  salve endpoints replace {name}",
            had.seen,
            by(shows),
            shows.seen,
        ),
        Misfit::Anew => format!(
            "{name} BEGAN ANEW: {who} saw {first} records there on {}, and on {} it showed another \
             ledger, with {last}. Its own was lost, or somebody hides what came after: {meant}:  salve \
             endpoints replace {name}",
            had.seen, shows.seen,
        ),
    }
}

#[cfg(test)]
mod tests;
