//! Orders from facts: parameters checked, consent and identity stated, sealed with the agent's key,
//! stored before anything leaves, followed to the record.
//!
//! Never says "did not run" when it does not know. Never sends what was not stored first.

mod carried;
mod doubt;
mod error;
mod finish;
mod order;
mod shared;
#[cfg(test)]
pub(crate) mod tests;

pub use carried::{Sent, carried_back, send_carried};
pub(crate) use doubt::settle;
pub use error::RunError;
pub use finish::{Live, News, RunResult, collect, resume, run, tell_ticket};
pub use order::attest_ticket;
pub use order::{
    Unsealed, Wish, attest, can_be_undone, forecast, forecast_waiting, longest, order, parameters,
    recall, waiting_order, wants_own_key,
};
pub(crate) use order::{facts, open_order};
pub use policy::Forecast;
pub use store::{EndpointRow, RunRow, TicketRow};
pub use trust::catalogue::ScriptEntry;
