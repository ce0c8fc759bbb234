//! The contract that every ticket system keeps, and a fake that fails the way real ones do.
//!
//! For tests only. Never panics: it answers with the promise that was broken.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::documents::TicketState;
use protocol::{Digest, TicketId, Time};

use crate::builtin::moves;
use crate::{
    Audience, Body, Caps, File, FileRef, Key, KeyKind, NewTicket, Note, NoteRef, Ticket,
    TicketError, TicketSystem,
};

/// Which promise was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ticket system broke its contract: {0}")]
pub struct Broken(String);

fn want(holds: bool, promise: &str) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(promise.to_owned())) }
}

fn did<T>(promise: &str, result: Result<T, TicketError>) -> Result<T, Broken> {
    result.map_err(|error| {
        Broken(format!("{promise}: {}", protocol::error_chain::ErrorChain(&error)))
    })
}

fn key(text: &str, kind: KeyKind) -> Key {
    Key::from_digest(&Digest::of(text.as_bytes()), kind)
}

fn note(text: &str, audience: Audience) -> Note {
    let key = key(text, KeyKind::Note);
    let body = format!("FIXED: {text} \u{1b}[31m<b>*x*</b> =1+1 {{{{7*7}}}}\n{}", key.marker());
    Note { key, audience, author: None, body }
}

/// Checks a system with an empty place to work in. `salt` keeps runs on one real server apart.
///
/// # Errors
/// The first promise that was broken.
pub fn check(system: &dyn TicketSystem, salt: &str, now: Time) -> Result<(), Broken> {
    let ticket = creation(system, salt, now)?;
    let other = did(
        "a second ticket can be opened",
        system.create(&subject("other"), &key(&format!("{salt}o"), KeyKind::Ticket), now),
    )?;
    notes(system, &ticket, &other, salt, now)?;
    audiences(system, &ticket, salt, now)?;
    states(system, &ticket, now)?;
    missing(system, salt, now)
}

fn subject(text: &str) -> NewTicket {
    NewTicket {
        subject: format!("Laptop full ({text})"),
        body: "cannot save".to_owned(),
        channel: "desk".to_owned(),
        ..NewTicket::default()
    }
}

fn creation(system: &dyn TicketSystem, salt: &str, now: Time) -> Result<TicketId, Broken> {
    want(system.caps().create, "this contract needs a system that can open tickets")?;
    let key = key(&format!("{salt}t"), KeyKind::Ticket);
    let id = did("a ticket can be opened", system.create(&subject("one"), &key, now))?;
    let ticket = did("an opened ticket can be read", system.get(&id))?;
    want(ticket.class == TicketState::Open, "a new ticket is open")?;
    want(ticket.subject == "Laptop full (one)", "a subject stays as it was written")?;
    want(!ticket.moves.contains(&ticket.class), "a ticket does not move to where it is")?;
    let empty = NewTicket::default();
    want(system.create(&empty, &key, now).is_err(), "a ticket without a subject is refused")?;
    Ok(id)
}

fn notes(
    system: &dyn TicketSystem,
    ticket: &TicketId,
    other: &TicketId,
    salt: &str,
    now: Time,
) -> Result<(), Broken> {
    let first = note(&format!("{salt}n"), Audience::Public);
    let found = did("looking up works", system.find_note(ticket, &first.key))?;
    want(found.is_none(), "a note that was not added is not found")?;
    did("a note can be added", system.add_note(ticket, &first, now))?;
    let found = did("looking up works", system.find_note(ticket, &first.key))?;
    want(found.is_some(), "an added note is found at once")?;
    let elsewhere = did("looking up works", system.find_note(other, &first.key))?;
    want(elsewhere.is_none(), "a note is found in its own ticket only")?;
    let near = key(&format!("{salt}n"), KeyKind::Reply);
    let near = did("looking up works", system.find_note(ticket, &near))?;
    want(near.is_none(), "a key that only looks alike is not found")?;
    let long = Note {
        key: key(&format!("{salt}l"), KeyKind::Note),
        body: "x".repeat(system.caps().max_note_chars.saturating_add(1)),
        ..first
    };
    let refused = system.add_note(ticket, &long, now);
    want(
        matches!(refused, Err(TicketError::TooLarge { .. })),
        "a note that is too long is refused",
    )?;
    let found = did("looking up works", system.find_note(ticket, &long.key))?;
    want(found.is_none(), "a refused note is not there")
}

fn audiences(
    system: &dyn TicketSystem,
    ticket: &TicketId,
    salt: &str,
    now: Time,
) -> Result<(), Broken> {
    let internal = note(&format!("{salt}i"), Audience::Internal);
    let added = system.add_note(ticket, &internal, now);
    let found = did("looking up works", system.find_note(ticket, &internal.key))?;
    if system.caps().internal_notes {
        did("an internal note can be added", added)?;
        let audience = found.map(|f| f.audience);
        want(audience == Some(Audience::Internal), "an internal note is internal")?;
    } else {
        let refused = matches!(added, Err(TicketError::NotSupported { .. }));
        want(refused && found.is_none(), "an internal note is refused, never made public")?;
    }
    let file = File {
        key: key(&format!("{salt}f"), KeyKind::File),
        name: "record.json".to_owned(),
        media: "application/json".to_owned(),
        bytes: b"{}".to_vec(),
    };
    let attached = system.attach(ticket, &file, Audience::Internal, now);
    if system.caps().private_files {
        let attached = did("an internal file can be attached", attached)?;
        want(attached.digest == Digest::of(b"{}"), "a file arrives whole")
    } else {
        let refused = matches!(attached, Err(TicketError::NotSupported { .. }));
        want(refused, "an internal file is refused, never made public")
    }
}

fn states(system: &dyn TicketSystem, ticket: &TicketId, now: Time) -> Result<(), Broken> {
    if !system.caps().states {
        return Ok(());
    }
    let set = |to, promise: &str| did(promise, system.set_state(ticket, to, "contract", now));
    let resolved = set(TicketState::Resolved, "an open ticket can be resolved")?;
    want(resolved.class == TicketState::Resolved, "what was set is read back")?;
    set(TicketState::Resolved, "the same state again is fine")?;
    let closed = set(TicketState::Closed, "a resolved ticket can be closed")?;
    if let Some(never) = [TicketState::Pending, TicketState::Resolved]
        .into_iter()
        .find(|state| !closed.moves.contains(state))
    {
        let refused = system.set_state(ticket, never, "contract", now);
        let refused = matches!(refused, Err(TicketError::StateRefused { .. }));
        want(refused, "a move that is not listed is refused")?;
        let after = did("reading works", system.get(ticket))?;
        want(after.class == TicketState::Closed, "a refused move changes nothing")?;
    }
    let open = set(TicketState::Open, "a closed ticket can be reopened")?;
    want(open.class == TicketState::Open, "a reopened ticket is open")
}

fn missing(system: &dyn TicketSystem, salt: &str, now: Time) -> Result<(), Broken> {
    let Ok(nowhere) = "999999999".parse::<TicketId>() else {
        return Err(Broken("the contract's own number is wrong".to_owned()));
    };
    let note = note(&format!("{salt}m"), Audience::Public);
    let get = matches!(system.get(&nowhere), Err(TicketError::NotFound { .. }));
    want(get, "a ticket that is not there is not found")?;
    let add = matches!(system.add_note(&nowhere, &note, now), Err(TicketError::NotFound { .. }));
    want(add, "no note goes to a ticket that is not there")
}

/// How the fake's next writing call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not.
    None,
    /// No answer, and nothing was done.
    LostBefore,
    /// No answer, and it was done: the one that doubles notes.
    LostAfter,
    /// Told to wait.
    RateLimited,
}

#[derive(Debug, Default)]
struct Rows {
    tickets: BTreeMap<TicketId, (NewTicket, TicketState)>,
    created: BTreeMap<Key, TicketId>,
    notes: Vec<(TicketId, Note)>,
    faults: VecDeque<Fault>,
}

/// A system in memory that, as most real ones, takes the same note twice without a word.
#[derive(Debug)]
pub struct Fake {
    caps: Caps,
    rows: Mutex<Rows>,
}

impl Default for Fake {
    fn default() -> Self {
        let caps = Caps {
            internal_notes: true,
            private_files: true,
            one_call: false,
            fields: false,
            states: true,
            create: true,
            max_note_chars: 4000,
            body: Body::Plain,
        };
        Self::with_caps(caps)
    }
}

impl Fake {
    /// A fake that can do this.
    #[must_use]
    pub fn with_caps(caps: Caps) -> Self {
        Self { caps, rows: Mutex::default() }
    }
    /// How the next writing calls fail, in order; after them none does.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.rows().faults.extend(faults);
    }
    /// All notes of a ticket, as people would see them.
    #[must_use]
    pub fn notes(&self, ticket: &TicketId) -> Vec<Note> {
        let rows = self.rows();
        rows.notes.iter().filter(|(id, _)| id == ticket).map(|(_, note)| note.clone()).collect()
    }
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Does the work unless the fault comes before it; loses the answer if the fault comes after.
    fn answer<T>(
        &self,
        work: impl FnOnce(&mut Rows) -> Result<T, TicketError>,
    ) -> Result<T, TicketError> {
        let mut rows = self.rows();
        let lost = || TicketError::Ambiguous { source: "connection reset".into() };
        match rows.faults.pop_front().unwrap_or(Fault::None) {
            Fault::None => work(&mut rows),
            Fault::LostBefore => Err(lost()),
            Fault::LostAfter => work(&mut rows).and_then(|_| Err(lost())),
            Fault::RateLimited => Err(TicketError::RateLimited { after: 30 }),
        }
    }
}

fn there(rows: &Rows, id: &TicketId) -> Result<(), TicketError> {
    if rows.tickets.contains_key(id) {
        Ok(())
    } else {
        Err(TicketError::NotFound { ticket: id.clone() })
    }
}

impl TicketSystem for Fake {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn get(&self, id: &TicketId) -> Result<Ticket, TicketError> {
        let rows = self.rows();
        there(&rows, id)?;
        let Some((new, class)) = rows.tickets.get(id) else {
            return Err(TicketError::NotFound { ticket: id.clone() });
        };
        Ok(Ticket {
            id: id.clone(),
            subject: new.subject.clone(),
            raw_state: format!("{class:?}"),
            class: *class,
            moves: moves(*class),
            url: None,
            requester: new.requester.clone(),
            assignee: new.assignee.clone(),
            endpoints: new.endpoint.into_iter().collect(),
        })
    }

    fn find_note(&self, id: &TicketId, key: &Key) -> Result<Option<NoteRef>, TicketError> {
        let rows = self.rows();
        there(&rows, id)?;
        let hit = rows.notes.iter().find(|(ticket, note)| ticket == id && key.marks(&note.body));
        Ok(hit.map(|(_, note)| NoteRef { id: None, audience: note.audience }))
    }

    fn add_note(&self, id: &TicketId, note: &Note, _now: Time) -> Result<NoteRef, TicketError> {
        if note.audience == Audience::Internal && !self.caps.internal_notes {
            return Err(TicketError::NotSupported { what: "keep a note from the requester" });
        }
        if note.body.chars().count() > self.caps.max_note_chars {
            return Err(TicketError::TooLarge { max: self.caps.max_note_chars });
        }
        self.answer(|rows| {
            there(rows, id)?;
            rows.notes.push((id.clone(), note.clone()));
            Ok(NoteRef { id: None, audience: note.audience })
        })
    }

    fn set_state(
        &self,
        id: &TicketId,
        to: TicketState,
        _why: &str,
        _now: Time,
    ) -> Result<Ticket, TicketError> {
        let before = self.get(id)?;
        if before.class != to && !before.moves.contains(&to) {
            return Err(TicketError::StateRefused { to, allowed: before.moves });
        }
        self.answer(|rows| {
            if let Some((_, class)) = rows.tickets.get_mut(id) {
                *class = to;
            }
            Ok(())
        })?;
        self.get(id)
    }

    fn attach(
        &self,
        id: &TicketId,
        file: &File,
        audience: Audience,
        _now: Time,
    ) -> Result<FileRef, TicketError> {
        if audience == Audience::Internal && !self.caps.private_files {
            return Err(TicketError::NotSupported { what: "keep a file from the requester" });
        }
        self.answer(|rows| {
            there(rows, id)?;
            Ok(FileRef { id: None, digest: Digest::of(&file.bytes) })
        })
    }

    fn create(&self, new: &NewTicket, key: &Key, _now: Time) -> Result<TicketId, TicketError> {
        if new.subject.is_empty() {
            return Err(TicketError::Invalid { field: "subject" });
        }
        self.answer(|rows| {
            if let Some(id) = rows.created.get(key) {
                return Ok(id.clone());
            }
            let number = rows.tickets.len().saturating_add(1).to_string();
            let id: TicketId = number.parse().map_err(|_| TicketError::Conflict)?;
            rows.tickets.insert(id.clone(), (new.clone(), TicketState::Open));
            rows.created.insert(key.clone(), id.clone());
            Ok(id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_795_344_000);

    #[test]
    fn the_fake_keeps_the_contract() {
        check(&Fake::default(), "a", NOW).unwrap();
        let poor = Caps { internal_notes: false, private_files: false, ..Fake::default().caps };
        check(&Fake::with_caps(poor), "b", NOW).unwrap();
    }

    /// A system that makes an internal note public where it cannot hide it.
    #[derive(Debug)]
    struct Leaky(Fake);

    impl TicketSystem for Leaky {
        fn caps(&self) -> Caps {
            Caps { internal_notes: false, ..self.0.caps() }
        }
        fn get(&self, id: &TicketId) -> Result<Ticket, TicketError> {
            self.0.get(id)
        }
        fn find_note(&self, id: &TicketId, key: &Key) -> Result<Option<NoteRef>, TicketError> {
            self.0.find_note(id, key)
        }
        fn add_note(&self, id: &TicketId, n: &Note, now: Time) -> Result<NoteRef, TicketError> {
            self.0.add_note(id, &Note { audience: Audience::Public, ..n.clone() }, now)
        }
        fn set_state(
            &self,
            id: &TicketId,
            to: TicketState,
            why: &str,
            now: Time,
        ) -> Result<Ticket, TicketError> {
            self.0.set_state(id, to, why, now)
        }
        fn attach(
            &self,
            id: &TicketId,
            file: &File,
            audience: Audience,
            now: Time,
        ) -> Result<FileRef, TicketError> {
            self.0.attach(id, file, audience, now)
        }
        fn create(&self, new: &NewTicket, key: &Key, now: Time) -> Result<TicketId, TicketError> {
            self.0.create(new, key, now)
        }
    }

    #[test]
    fn the_contract_catches_a_system_that_leaks() {
        let broken = check(&Leaky(Fake::default()), "c", NOW).unwrap_err();
        assert!(broken.to_string().contains("never made public"), "{broken}");
    }

    #[test]
    fn an_answer_lost_after_the_commit_doubles_the_note_of_who_does_not_look() {
        let fake = Fake::default();
        let id = fake.create(&subject("x"), &key("x", KeyKind::Ticket), NOW).unwrap();
        fake.fail([Fault::LostAfter]);
        let note = note("x", Audience::Internal);
        assert!(fake.add_note(&id, &note, NOW).is_err());
        fake.add_note(&id, &note, NOW).unwrap();
        assert_eq!(fake.notes(&id).len(), 2);
    }
}
