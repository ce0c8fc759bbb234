//! Contacts on file. An address goes in, and comes out to the sender only: everybody else sees it masked.

use minicbor::{Decode, Encode};
use protocol::documents::ContactKind;
use protocol::{AgentName, Time, limits};
use serde::Serialize;
use store::{ContactRow, Store};

use super::CodeError;
use crate::books::BookError;

/// Longest mail address, bytes (RFC 5321, 4.5.3.1.3).
const ADDRESS_BYTES_MAX: usize = 254;
/// Longest part before the at sign, bytes (RFC 5321, 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// An address that goes in; shown by its kind only.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Contact {
    /// How it reaches the person.
    #[n(0)]
    pub kind: ContactKind,
    /// The address.
    #[n(1)]
    pub address: String,
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Contact({}, hidden)", self.kind.word())
    }
}

/// What is known of a contact without its address.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Masked {
    /// How it reaches the person.
    #[n(0)]
    pub kind: ContactKind,
    /// As in `j…@example.com`.
    #[n(1)]
    pub masked: String,
    /// Who set it.
    #[n(2)]
    pub set_by: AgentName,
    /// When.
    #[n(3)]
    pub set_at: Time,
}

impl Masked {
    pub(super) fn of(row: &ContactRow) -> Self {
        Self {
            kind: row.kind,
            masked: masked(row.kind, &row.address),
            set_by: row.set_by.clone(),
            set_at: row.set_at,
        }
    }
    /// Whether it was set less than [`limits::CONTACT_YOUNG_SECONDS`] ago: said loudly, as a contact changed
    /// first and a code asked for then is how help desks are robbed.
    #[must_use]
    pub const fn is_young(&self, now: Time) -> bool {
        now.since(self.set_at) < limits::CONTACT_YOUNG_SECONDS
    }
}

/// One person's contact, masked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Contacts {
    /// As tickets name the person.
    #[n(0)]
    pub person: String,
    /// Their contact.
    #[n(1)]
    pub contact: Masked,
}

/// As much of an address as an agent may know: enough to say where the code went, too little to go there.
fn masked(kind: ContactKind, address: &str) -> String {
    match kind {
        ContactKind::Mail => {
            let (local, domain) = address.split_once('@').unwrap_or(("", address));
            // Of one letter nothing would be left to hide.
            let first = local.chars().next().filter(|_| local.chars().count() > 1);
            first.map_or_else(|| format!("…@{domain}"), |first| format!("{first}…@{domain}"))
        }
    }
}

/// A plain mail address: what a header and a server's command take as it stands.
pub(super) fn check_mail(address: &str) -> Result<(), &'static str> {
    let Some((local, domain)) = address.rsplit_once('@') else { return Err("it has no @") };
    let plain = |c: u8| c.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&c);
    if local.is_empty() || local.len() > LOCAL_BYTES_MAX || !local.bytes().all(plain) {
        return Err("what stands before the @ is none, or has other characters than plain ones");
    }
    let label = |label: &str| {
        let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(inner)
    };
    if address.len() > ADDRESS_BYTES_MAX || !domain.split('.').all(label) {
        return Err("what stands behind the @ is no domain");
    }
    Ok(())
}

fn check_person(person: &str) -> Result<(), CodeError> {
    let length = person.chars().count();
    let good = (1..=limits::PERSON_CHARS_MAX).contains(&length)
        && person.trim() == person
        && !person.chars().any(char::is_control);
    if good { Ok(()) } else { Err(CodeError::Person) }
}

/// Sets a person's contact.
pub(crate) fn set(
    store: &Store,
    person: &str,
    contact: &Contact,
    by: &AgentName,
    now: Time,
) -> Result<(), BookError> {
    check_person(person)?;
    match contact.kind {
        ContactKind::Mail => {
            check_mail(&contact.address).map_err(|why| CodeError::Address { why })?;
        }
    }
    Ok(store.set_contact(person, (contact.kind, &contact.address), by, now)?)
}

/// Removes one; says whether there was one.
pub(crate) fn remove(store: &Store, person: &str) -> Result<bool, BookError> {
    Ok(store.remove_contact(person)?)
}

/// A page of them by person.
pub(crate) fn page(
    store: &Store,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Contacts>, BookError> {
    let rows = store.contacts_page(after, limit)?;
    let seen = |row: &ContactRow| Contacts { person: row.person.clone(), contact: Masked::of(row) };
    Ok(rows.iter().map(seen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_tells_where_a_code_went_and_no_more() {
        let mask = |address| masked(ContactKind::Mail, address);
        assert_eq!(mask("jo.meyer@example.com"), "j…@example.com");
        assert_eq!(mask("j@example.com"), "…@example.com");
        assert!(
            mask(&format!("ab@{}", "x".repeat(251))).chars().count() <= limits::MASKED_CHARS_MAX
        );
    }

    #[test]
    fn an_address_is_one_word_that_no_header_or_command_trips_over() {
        for good in ["jo.meyer@example.com", "a@b", "x+y_z@sub-1.example.org"] {
            assert_eq!(check_mail(good), Ok(()), "{good}");
        }
        let long = format!("{}@example.com", "x".repeat(65));
        let far = format!(
            "x@{}",
            ["y".repeat(60), "y".repeat(60), "y".repeat(60), "y".repeat(60), "y".repeat(60)]
                .join(".")
        );
        for bad in [
            "",
            "jo",
            "@example.com",
            "jo@",
            "jo@.com",
            "jo@example..com",
            "jo meyer@example.com",
            "jo@example.com\r\nBcc: x@y",
            "jo@exa mple.com",
            "<jo@example.com>",
            "jo@x@y,z@w",
            "jö@example.com",
            "jo@exämple.com",
            "\"jo\"@example.com",
            &long,
            &far,
        ] {
            assert!(check_mail(bad).is_err(), "{bad:?}");
        }
    }
}
