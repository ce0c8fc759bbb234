//! Bodies go after their time: once a day, where the store is (decision 0038).

pub use protocol::Retention;
use protocol::{Risk, Time};
pub use store::{Erasure, ErasureRow, NextRule, RetentionRow};
use trust::catalogue::Catalogue;

use crate::books::{BookError, Books};
use crate::catalogue::{self, CatalogueTrouble};
use crate::org::Desk;

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// The catalogue, which says what is of high risk.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
    /// The books.
    #[error(transparent)]
    Book(#[from] BookError),
}

/// Erases what is older than the rule, where that is due and the store is in this process.
///
/// # Errors
/// [`RetainError`]; what was erased before stays so.
pub fn retain(desk: &Desk, now: Time) -> Result<Erasure, RetainError> {
    let Books::Here(store) = &desk.store else { return Ok(Erasure::default()) };
    if !store.retention_due(now).map_err(BookError::from)? {
        return Ok(Erasure::default());
    }
    // Whatever was ever listed as high stays as long.
    let risks = Catalogue::risks(&catalogue::files_with_past(&desk.home)?);
    let high = risks.into_iter().filter(|(_, risk)| *risk == Risk::High);
    let high: Vec<String> = high.map(|(name, _)| name.to_string()).collect();
    Ok(store.erase_old(&high, now).map_err(BookError::from)?)
}
