//! What machines showed of their records, kept by everybody who saw it: a ledger that was put back, or
//! that somebody split, is found by whoever saw more (decision 0032). Never decides what is sent.

use evidence::HeadPapers;
use protocol::documents::{Card, Doubt, Head, Hello, Misfit, Record, SeenHead, Sighting};
use protocol::{AgentName, Bytes, Digest, EndpointId, EndpointName, PublicKey, Time};
use store::{DoubtRow, EndpointState, HeadRow};
use trust::Verified;

use crate::books::{BookError, Books};
use crate::home::{FileError, Known};
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

/// The heads of a machine that others countersigned and that verify; in this console's own store also
/// what it saw itself.
fn of_others(
    books: &Books,
    rows: Vec<HeadRow>,
    card: &Card,
    key: impl Fn(&AgentName) -> Option<PublicKey>,
) -> Vec<Known> {
    let own = books.line().is_none();
    let one = |row: HeadRow| match (row.envelope, row.hello) {
        (Some(seen), Some(hello)) => {
            let papers = HeadPapers { seen, hello };
            let sighting = papers.open(&card.endpoint, &card.record_key, &key).ok()?;
            Some(Known { sighting, papers: Some(papers) })
        }
        // A shared desk's word alone accuses nobody.
        _ => own.then_some(Known { sighting: row.sighting, papers: None }),
    };
    rows.into_iter().filter_map(one).collect()
}

/// Compares what a machine shows with what this console and others have seen of it; countersigns it,
/// remembers it and hands it to the desk, with what the desk does not have. What does not fit, the
/// loudest first.
///
/// # Errors
/// [`HeadsError`]; the session is as good as before.
pub fn compare(
    books: &Books,
    agent: &Agent,
    session: &Session,
) -> Result<Option<Doubt>, HeadsError> {
    let card = session.card();
    let (endpoint, at) = (card.endpoint, session.met_at());
    let now = shown(session.hello(), &agent.name, at);
    let key = |name: &AgentName| agent.policy.person(name).and_then(|one| one.signing_key);
    let own = agent.heads.of(&endpoint);
    let rows = books.heads(endpoint)?;
    let theirs = of_others(books, rows, card, key);
    let damaged = own.as_ref().err().is_some();
    let own = own.unwrap_or_default();
    let fits = |known: &Known| Doubt::between(&known.sighting, &now);
    let found = own.as_ref().and_then(|own| fits(&own.newest));
    let doubt = found
        .or_else(|| own.as_ref().and_then(|own| own.doubt.clone()))
        .or_else(|| theirs.iter().find_map(fits));
    let there = |sighting: &Sighting| {
        theirs.iter().any(|known| known.sighting.head == sighting.head && known.papers.is_some())
    };
    // What this console saw before goes first: the desk finds by it what does not fit.
    if let Some(known) = own.as_ref().map(|own| &own.newest)
        && let Some(papers) = &known.papers
        && !there(&known.sighting)
    {
        hand_in(books, agent, session, papers.clone())?;
    }
    let known =
        if there(&now) && own.as_ref().is_some_and(|own| own.newest.sighting.head == now.head) {
            // Nothing is new: neither here nor at the desk.
            None
        } else {
            let papers = countersigned(agent, session)?;
            if !there(&now) {
                hand_in(books, agent, session, papers.clone())?;
            }
            Some(Known { sighting: now, papers: Some(papers) })
        };
    match (&known, &own) {
        (Some(known), _) => agent.heads.keep(&endpoint, known, doubt.as_ref())?,
        (None, Some(own)) => agent.heads.keep(&endpoint, &own.newest, doubt.as_ref())?,
        (None, None) => {}
    }
    // It is a memory again; that something was lost is said once.
    if damaged && doubt.is_none() {
        let path = agent.heads.path(&endpoint);
        let why = "it was written anew; what this console saw of the machine before is lost";
        return Err(FileError::Damaged { path, why: why.to_owned() }.into());
    }
    Ok(doubt)
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
    books.add_head(session.card().endpoint, seen, hello, agent.name.clone(), session.met_at())
}

/// Remembers the head that a record which verified here shows. What fails is seen again at the next
/// meeting.
pub(crate) fn remember(agent: &Agent, record: &Record, hash: Digest, now: Time) {
    let here = &record.predicate;
    let head = Head { epoch: here.epoch, counter: here.counter, hash };
    let sighting = Sighting { head, clock: here.ended, seen: now, by: Some(agent.name.clone()) };
    let _ = agent.heads.keep(&here.endpoint.id, &Known { sighting, papers: None }, None);
}

/// The machines in use of which heads do not fit: what the desk keeps, and what this console knows.
///
/// # Errors
/// [`HeadsError`].
pub fn doubts(desk: &Desk) -> Result<Vec<DoubtRow>, HeadsError> {
    let mut all = desk.store.doubts()?;
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
pub fn doubt_of(desk: &Desk, endpoint: &EndpointId) -> Result<Option<Doubt>, HeadsError> {
    let own = desk.home.heads(&desk.organisation.me).of(endpoint)?;
    if let Some(doubt) = own.and_then(|own| own.doubt) {
        return Ok(Some(doubt));
    }
    let all = desk.store.heads(*endpoint)?;
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
mod tests {
    use protocol::documents::Misfit::{Anew, Forked, Rewound};
    use protocol::error_chain::ErrorChain;
    use store::{NewEndpoint, Store};

    use super::*;
    use crate::home::Home;
    use crate::session::double::{House, Quirk, house, now};

    const fn head(epoch: u8, counter: u64, hash: u8) -> Head {
        Head { epoch: Digest([epoch; 32]), counter, hash: Digest([hash; 32]) }
    }

    /// Meets the machine, which shows this head `after` seconds; what does not fit.
    async fn meets(house: &House, books: &Books, head: Head, after: u64) -> Option<Doubt> {
        let at = now().plus(after);
        house.seen.lock().unwrap().shows = Some((head, at));
        let session = Session::open(&house.agent, &house.row, at).await.unwrap();
        let doubt = compare(books, &house.agent, &session).unwrap();
        session.leave().await;
        doubt
    }

    /// What another console knows: a memory of its own.
    fn other_console(house: &mut House, dir: &tempfile::TempDir, name: &str) {
        let home = Home::new(dir.path().join(name));
        crate::home::create_folder(home.path()).unwrap();
        house.agent.heads = home.heads(&house.agent.name);
    }

    /// A desk that has nothing but the machine: put back, or taken.
    fn another_desk(house: &House, dir: &tempfile::TempDir, name: &str) -> Books {
        let store = Store::create(&dir.path().join(name)).unwrap();
        let row = &house.row;
        let new = NewEndpoint {
            id: row.id,
            name: row.name.clone(),
            card: row.card.clone(),
            address: row.address.clone(),
            person: None,
            labels: row.labels.clone(),
            host: None,
            platform: None,
        };
        store.add_endpoint(&new, now()).unwrap();
        store.into()
    }

    fn told(books: &Books) -> Vec<(Misfit, u64, u64)> {
        let one = |row: DoubtRow| {
            let Doubt { misfit, had, shows } = row.doubt;
            (misfit, had.head.counter, shows.head.counter)
        };
        books.doubts().unwrap().into_iter().map(one).collect()
    }

    #[tokio::test]
    async fn a_ledger_that_went_back_is_found_by_whoever_saw_more_or_is_told_by_them() {
        let (mut house, machine) = house(Quirk::None);
        let mut machines = tokio::task::JoinSet::new();
        machines.spawn(machine.serve());
        let dir = tempfile::tempdir().unwrap();
        let desk = another_desk(&house, &dir, "desk.db");
        assert_eq!(meets(&house, &desk, head(1, 5, 5), 0).await, None);
        assert_eq!(meets(&house, &desk, head(1, 8, 8), 1).await, None);
        assert_eq!(meets(&house, &desk, head(1, 8, 8), 2).await, None);

        // The one that saw more knows it by itself, whatever a desk says; and it says it from then on.
        let taken = another_desk(&house, &dir, "taken.db");
        let doubt = meets(&house, &taken, head(1, 6, 6), 3).await.unwrap();
        assert_eq!((doubt.misfit, doubt.had.head.counter), (Rewound, 8));
        assert_eq!(doubt.had.by, Some(house.agent.name.clone()));
        assert_eq!(meets(&house, &taken, head(1, 9, 9), 4).await, Some(doubt.clone()));
        // It handed in what it had seen, so that this desk knows it too.
        assert_eq!(told(&taken), [(Rewound, 8, 6)]);
        let words = words(&house.row.name, &doubt);
        assert!(words.starts_with("lt-4411 WENT BACK: a.kaya saw 8 records there on 2"), "{words}");
        assert!(
            words.contains("it showed 6.") && words.contains("hides records 7 to 8"),
            "{words}"
        );

        // One that never met the machine is told by the desk that knows more.
        other_console(&mut house, &dir, "less");
        let doubt = meets(&house, &desk, head(1, 7, 7), 5).await.unwrap();
        assert_eq!((doubt.misfit, doubt.had.head.counter), (Rewound, 8));
        assert_eq!(told(&desk), [(Rewound, 8, 7)]);
        // And where nobody who saw more says so, it cannot know.
        other_console(&mut house, &dir, "least");
        let empty = another_desk(&house, &dir, "empty.db");
        assert_eq!(meets(&house, &empty, head(1, 7, 7), 6).await, None);
    }

    #[tokio::test]
    async fn a_fork_at_one_place_and_a_ledger_that_began_anew_are_told() {
        let (mut house, machine) = house(Quirk::None);
        let mut machines = tokio::task::JoinSet::new();
        machines.spawn(machine.serve());
        let dir = tempfile::tempdir().unwrap();
        let desk = another_desk(&house, &dir, "desk.db");
        assert_eq!(meets(&house, &desk, head(1, 5, 5), 0).await, None);
        other_console(&mut house, &dir, "two");
        let doubt = meets(&house, &desk, head(1, 5, 6), 0).await.unwrap();
        assert_eq!(doubt.misfit, Forked);
        assert!(words(&house.row.name, &doubt).contains("SHOWS TWO PASTS"));
        assert_eq!(told(&desk), [(Forked, 5, 5)]);

        let desk = another_desk(&house, &dir, "anew.db");
        other_console(&mut house, &dir, "three");
        assert_eq!(meets(&house, &desk, head(1, 5, 5), 0).await, None);
        let doubt = meets(&house, &desk, head(2, 0, 2), 1).await.unwrap();
        assert_eq!(doubt.misfit, Anew);
        assert!(words(&house.row.name, &doubt).contains("BEGAN ANEW"));
    }

    #[tokio::test]
    async fn a_record_that_verified_here_is_seen_as_a_head_is() {
        let (house, machine) = house(Quirk::None);
        let mut machines = tokio::task::JoinSet::new();
        machines.spawn(machine.serve());
        let dir = tempfile::tempdir().unwrap();
        let desk = another_desk(&house, &dir, "desk.db");
        assert_eq!(meets(&house, &desk, head(1, 5, 5), 0).await, None);
        let fixture = crate::verify::fixture::Fixture::default();
        let mut record = fixture.record(&fixture.order());
        let here = &mut record.predicate;
        (here.endpoint.id, here.epoch, here.counter) = (house.row.id, Digest([1; 32]), 6);
        here.ended = now();
        remember(&house.agent, &record, Digest([6; 32]), now());
        assert_eq!(meets(&house, &desk, head(1, 6, 6), 1).await, None);
        let doubt = meets(&house, &desk, head(1, 5, 5), 9).await.unwrap();
        assert_eq!((doubt.misfit, doubt.had.head.counter), (Rewound, 6));
    }

    #[tokio::test]
    async fn what_is_handed_in_is_of_the_machine_and_of_whoever_hands_it_in() {
        let (house, machine) = house(Quirk::None);
        let mut machines = tokio::task::JoinSet::new();
        machines.spawn(machine.serve());
        let dir = tempfile::tempdir().unwrap();
        let desk = another_desk(&house, &dir, "desk.db");
        let session = Session::open(&house.agent, &house.row, now()).await.unwrap();
        let HeadPapers { seen, hello } = countersigned(&house.agent, &session).unwrap();
        let add = |seen: &Bytes, hello: &Bytes, by: &str, at| {
            let by = by.parse().unwrap();
            let added = desk.add_head(house.row.id, seen.clone(), hello.clone(), by, at);
            added.map_err(|error| ErrorChain(&error).to_string())
        };
        assert!(add(&seen, &hello, "m.ruiz", now()).unwrap_err().contains("somebody else"));
        assert!(add(&seen, &seen, "a.kaya", now()).unwrap_err().contains("did not show"));
        let early = now().minus(3600);
        assert!(add(&seen, &hello, "a.kaya", early).unwrap_err().contains("future"));
        assert_eq!(desk.heads(house.row.id).unwrap(), []);
        add(&seen, &hello, "a.kaya", now()).unwrap();
        assert_eq!(desk.heads(house.row.id).unwrap().len(), 1);
        session.leave().await;
    }
}
