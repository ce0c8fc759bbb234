//! The built-in ticket system's rules, kept where the rows are: a console over a line is held to
//! them too.

use protocol::documents::TicketState;
use protocol::{AgentName, Digest, NamePatterns, Retention, TicketId, Time, limits};
use store::{Enrolment, NewTicketRow, Store, TicketRow};
use tickets::{Key, KeyKind, TicketError, TicketKind, TicketSystem as _};

use super::error::BookError;
use crate::outbox::builtin;

/// Longest subject, characters: one line on a screen.
pub(crate) const SUBJECT_CHARS_MAX: usize = 200;
/// Longest description, characters.
pub(crate) const BODY_CHARS_MAX: usize = 16_000;
/// Longest of a ticket's other words, characters.
const WORD_CHARS_MAX: usize = 200;
/// Most labels of a card.
const LABELS_MAX: usize = 32;

pub(super) fn add_ticket(store: &Store, new: &NewTicketRow, now: Time) -> Result<u64, BookError> {
    // Another kind of key would stand in the way of a note that an order promised (P6).
    let of_a_ticket = |key: Key| key.kind() == Some(KeyKind::Ticket);
    if !new.key.parse::<Key>().is_ok_and(of_a_ticket) {
        return Err(TicketError::Invalid { field: "key" }.into());
    }
    if new.subject.trim().is_empty() {
        return Err(TicketError::Invalid { field: "subject" }.into());
    }
    if !TicketKind::ALL.iter().any(|kind| kind.word() == new.kind) {
        return Err(TicketError::Invalid { field: "kind" }.into());
    }
    for (text, max) in [
        (Some(&new.subject), SUBJECT_CHARS_MAX),
        (Some(&new.body), BODY_CHARS_MAX),
        (Some(&new.channel), WORD_CHARS_MAX),
        (new.category.as_ref(), WORD_CHARS_MAX),
        (new.requester.as_ref(), WORD_CHARS_MAX),
    ] {
        if text.is_some_and(|text| text.chars().count() > max) {
            return Err(TicketError::TooLarge { max }.into());
        }
    }
    if let Some(endpoint) = &new.endpoint
        && store.endpoint(endpoint)?.is_none()
    {
        return Err(TicketError::Invalid { field: "endpoint" }.into());
    }
    Ok(store.add_ticket(new, now)?)
}

/// A token that admits machines by itself: how many, until when and with how many words is bounded,
/// and nobody has joined with it yet.
pub(super) fn add_enrolment(
    store: &Store,
    secret: &Digest,
    (names, enrolment): (&NamePatterns, &Enrolment),
    expires: Time,
    now: Time,
) -> Result<(), BookError> {
    let life = limits::ENROL_BATCH_DAYS_MAX * 86_400 + limits::CLOCK_SKEW_SECONDS;
    let words = enrolment.person.as_deref().unwrap_or_default();
    let beyond = [
        ("count", !(1..=limits::ENROL_BATCH_MAX).contains(&enrolment.places)),
        ("count", enrolment.taken != 0),
        ("expires", expires.since(now) > life),
        ("owner", words.chars().count() > WORD_CHARS_MAX),
        ("label", enrolment.labels.len() > LABELS_MAX),
    ];
    if let Some((field, _)) = beyond.into_iter().find(|(_, is)| *is) {
        return Err(BookError::Beyond { field });
    }
    Ok(store.add_enrolment(secret, names.as_str(), enrolment, now, expires)?)
}

pub(super) fn set_retention(
    store: &Store,
    rule: Retention,
    by: &AgentName,
    now: Time,
) -> Result<(), BookError> {
    if !rule.is_sound() {
        return Err(BookError::Beyond { field: "days" });
    }
    Ok(store.set_retention(rule, by, now)?)
}

pub(super) fn set_ticket_state(
    store: &Store,
    id: u64,
    to: TicketState,
    now: Time,
) -> Result<TicketRow, BookError> {
    let ticket: TicketId =
        id.to_string().parse().map_err(|_| TicketError::Invalid { field: "ticket" })?;
    builtin(store).set_state(&ticket, to, "by hand", now)?;
    Ok(store.ticket(id)?)
}
