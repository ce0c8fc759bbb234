//! What an auditor asks: one ticket's evidence, and all that was ordered on some days. Never judges;
//! `evidence` does.

mod access;
mod export;
mod list;
mod retain;
#[cfg(test)]
mod tests;

pub use access::{Access, access};
pub use evidence::{BadBundle, Bundle, RunPapers};
pub use export::{ExportError, Exported, export};
pub use list::{AuditList, Incomplete, ListError, Row, list};
pub use retain::{Erasure, ErasureRow, NextRule, RetainError, Retention, RetentionRow, retain};
