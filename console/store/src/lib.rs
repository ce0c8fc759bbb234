//! The only SQL: one file, embedded SQLite, one handle that many may share.
//!
//! Never makes a store where one is expected, never starts empty when a file cannot be read, never
//! reads a clock: every time is an argument. Envelopes are kept byte for byte.
#![forbid(unsafe_code)]

mod audit;
mod codes;
mod contacts;
mod copy;
mod endpoints;
mod error;
mod escrow;
mod facts;
mod filing;
mod glass;
mod heads;
mod listing;
mod notes;
mod open;
mod orders;
mod outbox;
mod people;
mod presence;
mod requests;
mod retention;
mod row;
mod runs;
mod tickets;
mod tokens;
mod waiting;

pub use audit::{Chains, Epoch, Gap};
pub use codes::{CodeFor, CodeTry, NewCode, TooManyCodes};
pub use contacts::ContactRow;
pub use endpoints::{EndpointPlace, EndpointRow, EndpointState, NewEndpoint, Seen};
pub use error::StoreError;
pub use escrow::EscrowRow;
pub use facts::{FactsRow, SignedIn};
pub use filing::{Filed, NewRecord};
pub use glass::GlassRow;
pub use heads::{DoubtRow, HeadRow};
pub use listing::{Health, Level, ListFilter, Listed, Standing};
pub use notes::{FileRow, NewFile, NewNote, NoteRow};
pub use open::Store;
pub use orders::{NewOrder, OrderRow, OrderState};
pub use outbox::{Deliverer, OutboxKind, OutboxRow, OutboxState};
pub use people::{AgentRow, AgentState};
pub use presence::{AgentSeen, HERE_SECONDS, Way};
pub use requests::{AnswerRow, NewRequest, REQUESTS_MAX, RequestPapers, RequestRow};
pub use retention::{Erasure, ErasureRow, NextRule, RetentionRow, SHORTER_AFTER};
pub use runs::{RunFilter, RunRow, RunState, Stray};
pub use tickets::{NewTicketRow, TicketFilter, TicketRow};
pub use tokens::{Enrolment, HeldRow, TokenKind, TokenRow};
pub use waiting::{CarriedOrder, EndedWaiting, WAITING_MAX, WaitingRow};
