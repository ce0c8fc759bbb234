//! Who is calling: contacts on file, codes that go there, and the desk's word that one was said.
//!
//! Never shows an address to an agent, never keeps, prints or returns a code.

mod codes;
mod contacts;
mod post;
mod smtp;
#[cfg(test)]
mod tests;

use std::fmt;

use protocol::{AgentName, Time, limits};
use trust::{SignError, SigningKey};
use zeroize::Zeroizing;

use crate::chance::{NoChance, fresh};
use crate::home::{Home, HomeError, Online};

pub use codes::{CodeAsked, CodeSaid, SpokenCode};
pub(crate) use codes::{ask, say};
pub use contacts::{Contact, Contacts, Masked};
pub(crate) use contacts::{page, remove, set};
pub use post::{Message, Post, PostError, Sending};

/// What checking a caller needs beside the store.
pub trait Checks: fmt::Debug + Sync {
    /// The desk's ticket key: it signs the word that a code was right, and marks codes in the store.
    ///
    /// # Errors
    /// [`CodeError::NoKey`], [`CodeError::Key`].
    fn key(&self) -> Result<SigningKey, CodeError>;
    /// Who carries codes.
    ///
    /// # Errors
    /// [`CodeError::NoSender`], [`CodeError::Sender`].
    fn post(&self) -> Result<Box<dyn Post>, CodeError>;
    /// A new code's digits and the chance for its mark.
    ///
    /// # Errors
    /// [`CodeError::Chance`].
    fn code(&self) -> Result<(Zeroizing<String>, [u8; 16]), CodeError>;
}

impl Checks for Home {
    fn key(&self) -> Result<SigningKey, CodeError> {
        self.online_key(Online::Ticket).map_err(|error| match error.is_missing() {
            true => CodeError::NoKey,
            false => CodeError::Key(error),
        })
    }

    fn post(&self) -> Result<Box<dyn Post>, CodeError> {
        let sending = Sending::read(self).map_err(CodeError::Sender)?;
        let sending = sending.ok_or(CodeError::NoSender)?;
        sending.post(self.path()).map_err(CodeError::Sender)
    }

    fn code(&self) -> Result<(Zeroizing<String>, [u8; 16]), CodeError> {
        Ok((codes::digits(fresh::<4>)?, fresh::<16>()?))
    }
}

/// Why a contact was not set, or a caller could not be asked for a code. Nothing was sent then.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The ticket names no person.
    #[error("ticket {ticket} is for nobody, so nobody can be sent a code")]
    NoPerson {
        /// Which.
        ticket: u64,
    },
    /// Nothing is on file.
    #[error("no contact is on file for `{person}`, so no code can be sent")]
    NoContact {
        /// As the ticket names the person.
        person: String,
    },
    /// Nothing says how codes are sent.
    #[error("the desk has no sender for codes: there is no mail.toml in its home")]
    NoSender,
    /// The sender cannot be used, or did not take the code.
    #[error("could not send a code")]
    Sender(#[source] PostError),
    /// This home cannot say that it checked.
    #[error("this home has no ticket key: its word for a code would count nowhere")]
    NoKey,
    /// The ticket key cannot be used.
    #[error("could not use the ticket key")]
    Key(#[source] HomeError),
    /// The ticket key did not sign.
    #[error("could not mark the code")]
    Mark(#[source] SignError),
    /// The person got many already.
    #[error("`{person}` was sent as many codes as an hour has; the next one from {again}")]
    TooMany {
        /// Who.
        person: String,
        /// From when.
        again: Time,
    },
    /// The ticket is closed.
    #[error("ticket {ticket} is closed")]
    Closed {
        /// Which.
        ticket: u64,
    },
    /// The ticket is a colleague's.
    #[error("ticket {ticket} is {assignee}'s")]
    NotYours {
        /// Which.
        ticket: u64,
        /// Whose.
        assignee: AgentName,
    },
    /// The name of a person that is none.
    #[error("a person's name has 1 to {} printable characters", limits::PERSON_CHARS_MAX)]
    Person,
    /// An address that is none.
    #[error("that is no mail address: {why}")]
    Address {
        /// What is wrong; never the address.
        why: &'static str,
    },
    /// No random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

impl CodeError {
    /// The code that a console at the other end of a line gets.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        use protocol::frames::sorry;
        match self {
            Self::NoPerson { .. } | Self::NoContact { .. } | Self::NoSender => sorry::NOT_FOUND,
            Self::Sender(_) => sorry::NOT_SENT,
            Self::NoKey | Self::Closed { .. } | Self::NotYours { .. } => sorry::FORBIDDEN,
            Self::TooMany { .. } | Self::Person | Self::Address { .. } => sorry::LIMIT,
            Self::Key(_) | Self::Mark(_) | Self::Chance(_) => sorry::STORE,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            Self::NoPerson { .. } => {
                "open one that says whose:  salve tickets new SUBJECT --for PERSON".to_owned()
            }
            Self::NoContact { person } => format!(
                "an administrator:  salve contacts set {person} --mail ADDRESS\nor identify otherwise:  \
                 --identified callback | manager:NAME | id-card"
            ),
            Self::NoSender => "whoever runs the desk writes it:  salve contacts --help".to_owned(),
            Self::Sender(_) => {
                "whoever runs the desk looks at mail.toml:  salve contacts --help".to_owned()
            }
            Self::NoKey => {
                "at the shared desk, or at the founder's console, codes count".to_owned()
            }
            Self::TooMany { .. } => {
                "identify otherwise:  --identified callback | manager:NAME | id-card".to_owned()
            }
            Self::Closed { ticket } => format!("salve tickets reopen {ticket}"),
            Self::NotYours { ticket, .. } => format!("salve tickets assign {ticket} YOU"),
            Self::Person | Self::Address { .. } => {
                "salve contacts set jo.meyer --mail jo.meyer@example.com".to_owned()
            }
            Self::Key(_) | Self::Mark(_) | Self::Chance(_) => {
                "whoever runs the desk finds the reason in its journal".to_owned()
            }
        }
    }
}
