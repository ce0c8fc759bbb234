//! Verifying a run offline, with what this desk has of it. The judging itself is room `evidence`.

mod copy;
mod difference;
#[cfg(any(test, feature = "fixture"))]
pub use evidence::fixture;
mod folder;
mod papers;

pub use copy::{CopyReport, own_anchors, verify_copy, verify_lines};
pub use difference::first_difference;
pub use evidence::{
    About, Anchors, Judged, KnownAgent, KnownEnroller, Line, Papers, Report, Standing,
    names_secret, peek_record, safe, verify_record, verify_run,
};
pub use folder::{FolderError, export, read_folder};
pub use papers::{add_head, papers_of};
