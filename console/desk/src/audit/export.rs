//! One ticket's changes as one file that stands for itself.

use std::collections::BTreeMap;

use evidence::{BadBundle, Bundle, RunPapers, peek_record};
use protocol::documents::CatalogueVersions;
use protocol::{Digest, TicketId, Time};
use store::{RunFilter, RunState};
use trust::catalogue::Catalogue;

use crate::books::BookError;
use crate::catalogue::{self, CatalogueTrouble};
use crate::home::FileError;
use crate::org::Desk;
use crate::verify::{add_head, papers_of};

/// A ticket's evidence, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub file: Vec<u8>,
    /// What is in it.
    pub bundle: Bundle,
    /// SHA-256 of the organisation's first root, for whoever compares it over another way.
    pub root: Digest,
    /// The generation in force, as its policy's version.
    pub policy: u64,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Nothing was changed for it.
    #[error("no fix or undo was ordered for ticket {0}")]
    Nothing(TicketId),
    /// Things were ordered, and no record has come.
    #[error("nothing that was ordered for ticket {0} has a record yet")]
    NoRecord(TicketId),
    /// This home never had, or lost, the lists of then: a colleague's that joined later.
    #[error("policy {policy}, which decided one of the runs, is not kept in this home")]
    NotKept {
        /// Its version.
        policy: u64,
    },
    /// The bundle would be read by nobody.
    #[error("could not put the evidence of ticket {ticket} together")]
    Bundle {
        /// Of which ticket.
        ticket: TicketId,
        /// Why.
        #[source]
        source: BadBundle,
    },
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
    /// The home.
    #[error(transparent)]
    File(#[from] FileError),
    /// The books.
    #[error(transparent)]
    Book(#[from] BookError),
}

/// Puts together what there is of every fix and undo that was ordered for a ticket, refused ones too,
/// with what decided them and what is in force `now`.
///
/// # Errors
/// [`ExportError`].
pub fn export(desk: &Desk, ticket: &TicketId, now: Time) -> Result<Exported, ExportError> {
    let open = catalogue::open(&desk.home, now)?;
    let policy = catalogue::policy_of(&open)?;
    let filter = RunFilter { ticket: Some(ticket.clone()), ..RunFilter::default() };
    let (mut runs, mut unanswered) = (Vec::new(), Vec::new());
    for row in desk.store.runs(&filter)?.into_iter().rev() {
        let papers = papers_of(&desk.store, &row.id)?;
        let record = papers.as_ref().and_then(|papers| peek_record(&papers.record));
        match (papers, record) {
            // Looks at the machine change nothing; the record's own word, not the list's.
            (Some(_), Some((record, _))) if !record.predicate.mode.mutates() => {}
            (Some(mut papers), _) => {
                add_head(&desk.store, &mut papers, &policy)?;
                let approvals = desk.store.approvals(row.order)?;
                runs.push(RunPapers::public(papers, approvals));
            }
            (None, _) => {
                let changes = matches!(row.mode.as_deref(), Some("fix" | "undo") | None);
                if changes && row.state != RunState::NotSent {
                    unanswered.push(row.id);
                }
            }
        }
    }
    if runs.is_empty() {
        let none = unanswered.is_empty();
        let ticket = ticket.clone();
        return Err(if none {
            ExportError::Nothing(ticket)
        } else {
            ExportError::NoRecord(ticket)
        });
    }
    let mut all = catalogue::files_with_past(&desk.home)?;
    let first = desk.home.first_root()?;
    if let Some(line) = desk.store.line() {
        let there = |used: &CatalogueVersions| Catalogue::then(&all, &first, used).is_some();
        let mut lost = Bundle::generations(&runs);
        lost.retain(|used| !there(used));
        catalogue::bring_past(line, &lost, &first, &mut all)?;
    }
    // Nobody could judge it: better said here than to an auditor.
    let lost = |used: &CatalogueVersions| Catalogue::then(&all, &first, used).is_none();
    if let Some(used) = Bundle::generations(&runs).into_iter().find(lost) {
        return Err(ExportError::NotKept { policy: used.policy });
    }
    let catalogue: BTreeMap<_, _> = Bundle::catalogue_of(&runs, open.versions(), &all);
    let bundle = Bundle {
        organisation: policy.organisation().to_owned(),
        ticket: ticket.clone(),
        made: now,
        runs,
        unanswered,
        catalogue,
    };
    let written = bundle.write();
    let file = written.map_err(|source| ExportError::Bundle { ticket: ticket.clone(), source })?;
    let root = Digest::of(&first);
    Ok(Exported { file, bundle, root, policy: open.versions().policy })
}
