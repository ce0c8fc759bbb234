//! Every document of the design's section 4 that is ours (TUF's own roles live in `trust`).
//!
//! One file a document. Authorising types refuse unknown fields. Versions are in the payload type.

mod approval;
mod asked;
mod attestation;
mod break_glass;
mod card;
mod dispatch;
mod enrolment;
mod head;
mod hello;
mod order;
mod recall;
mod record;
mod session_key;

pub use approval::Approval;
pub use asked::{Asked, Heard};
pub use attestation::{CheckedBy, ContactKind, IdentityCheck, TicketAttestation, TicketState};
pub use break_glass::BreakGlass;
pub use card::{Card, SealingKey};
pub use dispatch::{Dispatch, Sealed};
pub use enrolment::{EnrolAnswer, EnrolRequest, Invitation, JoinAnswer, JoinRequest, Token};
pub use head::{Doubt, Misfit, SeenHead, Sighting};
pub use hello::{CatalogueVersions, Head, Hello};
pub use order::{ConsentAnswer, ConsentStatement, Identified, Order, ScriptRef};
pub use recall::{Recall, RecallScope};
pub use record::{
    ByFunction, Decision, Effects, EndpointRef, EventsDigest, InFlight, OutputDigest,
    PREDICATE_TYPE, Record, RecordPredicate, RecordSubject, STATEMENT_TYPE, SealedSecret,
};
pub use session_key::{BySession, SessionKey};
