//! What a console reads and writes in the desk's store: in this process, or over a line to the
//! shared desk. The same calls either way.
//!
//! Never what only filing needs (records, outbox, leases): that stays on [`Store`], where the desk
//! is. Never believes a frame about who asks: the peer is who its certificate says.

mod answer;
mod counter;
mod error;
mod heads;
mod line;
mod operations;
mod peer;
mod requests;
mod rules;
#[cfg(any(test, feature = "fixture"))]
pub mod samples;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
mod transport;

use protocol::{RunId, Time, limits};
use store::{
    AgentRow, AgentSeen, Chains, DoubtRow, EndpointRow, EscrowRow, FileRow, GlassRow, ListFilter,
    Listed, NoteRow, OutboxRow, RequestRow, RunFilter, RunRow, Standing, Store, Stray,
    TicketFilter, TicketRow, TokenRow, WaitingRow,
};

use crate::identity::Contacts;

pub use answer::{answer, journal};
pub use counter::{Counter, Publication, in_parts, past};
pub use error::{BookError, LineFault, Sorry};
pub use line::{Ask, Line};
pub use operations::{BookAsk, Paper, Who};
pub use peer::{Peer, People};
pub(crate) use rules::{BODY_CHARS_MAX, SUBJECT_CHARS_MAX};
pub use transport::{Dialled, Door};

/// Rows of one page of what is short.
const PAGE: usize = limits::BOOK_ROWS_MAX;
/// Rows of one page where each may hold a long text or a document of its own.
const PAGE_OF_LONG: usize = 50;

/// The store of the desk that a console works on.
#[derive(Debug)]
pub enum Books {
    /// In this process: there is no shared desk, or this is it.
    Here(Store),
    /// At the shared desk.
    There(Line),
}

impl From<Store> for Books {
    fn from(store: Store) -> Self {
        Self::Here(store)
    }
}

impl From<Line> for Books {
    fn from(line: Line) -> Self {
        Self::There(line)
    }
}

/// Every page of a list, until one is not full.
fn all<T, K>(
    limit: usize,
    place: impl Fn(&T) -> K,
    page: impl Fn(Option<K>, usize) -> Result<Vec<T>, BookError>,
) -> Result<Vec<T>, BookError> {
    let mut rows = page(None, limit)?;
    let mut full = rows.len() >= limit;
    while full && let Some(last) = rows.last() {
        let next = page(Some(place(last)), limit)?;
        full = next.len() >= limit;
        rows.extend(next);
    }
    Ok(rows)
}

impl Books {
    /// Every run that was stored between two times, both included, oldest first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn runs_between(&self, from: Time, to: Time) -> Result<Vec<RunRow>, BookError> {
        all(
            PAGE,
            |row: &RunRow| row.id,
            |after, limit| self.runs_between_page(from, to, after, limit),
        )
    }

    /// Every endpoint's chains of records.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn chains(&self) -> Result<Vec<Chains>, BookError> {
        all(PAGE, |row: &Chains| row.endpoint, |after, limit| self.chains_page(after, limit))
    }

    /// The store itself, where filing happens: only at the desk.
    ///
    /// # Errors
    /// [`BookError::Elsewhere`] where a shared desk keeps it.
    pub fn here(&self) -> Result<&Store, BookError> {
        match self {
            Self::Here(store) => Ok(store),
            Self::There(line) => Err(BookError::Elsewhere { desk: line.desk().to_owned() }),
        }
    }

    /// The line to the shared desk, where there is one.
    #[must_use]
    pub fn line(&self) -> Option<&Line> {
        match self {
            Self::Here(_) => None,
            Self::There(line) => Some(line),
        }
    }

    /// All endpoints by name, the active ones first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn endpoints(&self) -> Result<Vec<EndpointRow>, BookError> {
        match self {
            Self::Here(store) => Ok(store.endpoints()?),
            Self::There(_) => {
                all(PAGE, EndpointRow::place, |after, limit| self.endpoints_page(after, limit))
            }
        }
    }

    /// The active endpoints by name, as lists show them: all, or those not seen since then.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn listed(&self, unseen_since: Option<Time>, now: Time) -> Result<Vec<Listed>, BookError> {
        let filter = ListFilter { unseen_since, ..ListFilter::default() };
        match self {
            Self::Here(store) => Ok(store.listed(&filter, now)?),
            Self::There(_) => all(answer::LISTED_MAX, Listed::place, |after, limit| {
                self.listed_page(ListFilter { after, limit, ..filter.clone() }, now)
            }),
        }
    }

    /// Agents whose consoles the desk had.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn agents_seen(&self, now: Time) -> Result<Vec<AgentSeen>, BookError> {
        match self {
            Self::Here(store) => Ok(store.agents_seen(None, 0, now)?),
            Self::There(_) => all(
                PAGE,
                |row: &AgentSeen| row.name.clone(),
                |after, limit| self.agents_seen_page(after, limit, now),
            ),
        }
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, BookError> {
        match self {
            Self::Here(store) => Ok(store.runs(filter)?),
            Self::There(_) if (1..=PAGE).contains(&filter.limit) => self.runs_page(filter.clone()),
            Self::There(_) => {
                let mut rows = all(
                    PAGE,
                    |row: &RunRow| row.id,
                    |after, limit| {
                        let after = after.or(filter.after);
                        self.runs_page(RunFilter { after, limit, ..filter.clone() })
                    },
                )?;
                if filter.limit > 0 {
                    rows.truncate(filter.limit);
                }
                Ok(rows)
            }
        }
    }

    /// Tickets, newest first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn tickets(&self, filter: &TicketFilter) -> Result<Vec<TicketRow>, BookError> {
        match self {
            Self::Here(store) => Ok(store.tickets(filter)?),
            Self::There(_) if (1..=PAGE_OF_LONG).contains(&filter.limit) => {
                self.tickets_page(filter.clone())
            }
            Self::There(_) => {
                let mut rows = all(
                    PAGE_OF_LONG,
                    |row: &TicketRow| row.id,
                    |before, limit| {
                        let before = before.or(filter.before);
                        self.tickets_page(TicketFilter { before, limit, ..filter.clone() })
                    },
                )?;
                if filter.limit > 0 {
                    rows.truncate(filter.limit);
                }
                Ok(rows)
            }
        }
    }

    /// A ticket's notes, oldest first.
    ///
    /// # Errors
    /// [`BookError`]; `is_not_found` for the ticket.
    pub fn notes(&self, ticket: u64) -> Result<Vec<NoteRow>, BookError> {
        match self {
            Self::Here(store) => Ok(store.notes(ticket)?),
            Self::There(_) => all(
                PAGE_OF_LONG,
                |row: &NoteRow| row.id,
                |after, limit| self.notes_page(ticket, after.unwrap_or_default(), limit),
            ),
        }
    }

    /// A ticket's files, oldest first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn files(&self, ticket: u64) -> Result<Vec<FileRow>, BookError> {
        match self {
            Self::Here(store) => Ok(store.files(ticket)?),
            Self::There(_) => all(
                PAGE,
                |row: &FileRow| row.id,
                |after, limit| self.files_page(ticket, after.unwrap_or_default(), limit),
            ),
        }
    }

    /// Everything not posted yet, by ticket, in the order in which it must be posted.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn outbox_todo(&self) -> Result<Vec<OutboxRow>, BookError> {
        match self {
            Self::Here(store) => Ok(store.outbox_todo()?),
            Self::There(_) => all(
                PAGE_OF_LONG,
                |row: &OutboxRow| row.key.clone(),
                |after, limit| self.outbox_todo_page(after, limit),
            ),
        }
    }

    /// Secrets that nobody opened, soonest end first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn unopened_escrows(&self) -> Result<Vec<EscrowRow>, BookError> {
        match self {
            Self::Here(store) => Ok(store.unopened_escrows()?),
            Self::There(_) => all(
                PAGE,
                |row: &EscrowRow| row.run,
                |after, limit| self.unopened_escrows_page(after, limit),
            ),
        }
    }

    /// All tokens, newest first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn tokens(&self) -> Result<Vec<TokenRow>, BookError> {
        match self {
            Self::Here(store) => Ok(store.tokens()?),
            Self::There(_) => all(
                PAGE,
                |row: &TokenRow| row.secret,
                |after, limit| self.tokens_page(after, limit),
            ),
        }
    }

    /// Orders that wait for their endpoints, by run.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn waiting(&self) -> Result<Vec<WaitingRow>, BookError> {
        all(PAGE, |row: &WaitingRow| row.run, |after, limit| self.waiting_page(after, limit))
    }

    /// How the active endpoints stand, by id.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn standings(&self) -> Result<Vec<Standing>, BookError> {
        match self {
            Self::Here(store) => Ok(store.standings_page(None, 0)?),
            Self::There(_) => all(
                answer::LISTED_MAX,
                |row: &Standing| row.id,
                |after, limit| self.standings_page(after, limit),
            ),
        }
    }

    /// Contacts on file, masked.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn contacts(&self) -> Result<Vec<Contacts>, BookError> {
        let person = |row: &Contacts| row.person.clone();
        all(PAGE, person, |after, limit| self.contacts_page(after, limit))
    }

    /// Orders that ask other people.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn requests(&self, now: Time) -> Result<Vec<RequestRow>, BookError> {
        let order = |row: &RequestRow| row.order;
        all(PAGE_OF_LONG, order, |after, limit| self.requests_page(after, limit, now))
    }

    /// Endpoints in use of which heads do not fit.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn doubts(&self) -> Result<Vec<DoubtRow>, BookError> {
        all(PAGE, |row: &DoubtRow| row.endpoint, |after, limit| self.doubts_page(after, limit))
    }

    /// Orders that broke glass, by order: all, or those that nobody has reviewed.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn broken_glass(&self, open: bool) -> Result<Vec<GlassRow>, BookError> {
        let order = |row: &GlassRow| row.order;
        all(PAGE, order, |after, limit| self.broken_glass_page(open, after, limit))
    }

    /// All agents by name.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn agents(&self) -> Result<Vec<AgentRow>, BookError> {
        match self {
            Self::Here(store) => Ok(store.agents()?),
            Self::There(_) => all(
                PAGE,
                |row: &AgentRow| row.name.clone(),
                |after, limit| self.agents_page(after, limit),
            ),
        }
    }

    /// Records that differ from the one filed first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn strays(&self, run: RunId) -> Result<Vec<Stray>, BookError> {
        match self {
            Self::Here(store) => Ok(store.strays(&run)?),
            Self::There(_) => all(
                PAGE_OF_LONG,
                |row: &Stray| row.record_hash,
                |after, limit| self.strays_page(run, after, limit),
            ),
        }
    }

    /// A run's record, an envelope's bytes.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn run_record(&self, run: RunId) -> Result<Option<Vec<u8>>, BookError> {
        self.bytes_of(run, Paper::Record)
    }

    /// One paper of a run, byte for byte.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn bytes_of(&self, run: RunId, which: Paper) -> Result<Option<Vec<u8>>, BookError> {
        Ok(self.paper(run, which)?.map(|bytes| bytes.0))
    }
}
