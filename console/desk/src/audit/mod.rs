//! What an auditor asks: one ticket's evidence. Never judges; `evidence` does.

mod export;
#[cfg(test)]
mod tests;

pub use evidence::{BadBundle, Bundle, RunPapers};
pub use export::{ExportError, Exported, export};
