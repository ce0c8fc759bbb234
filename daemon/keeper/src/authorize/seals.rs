//! Opens the seals of a submission with the keys that policy knows. Never believes a name alone.

use policy::Policy;
use protocol::documents::{Dispatch, Order, SessionKey};
use protocol::{Envelope, Refusal};
use trust::{ByPerson, Verified, key_id, open_by_person, seal};

use super::Submission;

/// A submission whose seals hold.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) order: Verified<Order>,
    /// The session key that sealed it, where the agent's own key did not.
    pub(super) session: Option<Verified<SessionKey>>,
    pub(super) dispatch: Verified<Dispatch>,
    /// Set where a known person signed an order that names another one.
    pub(super) mismatch: Option<Refusal>,
}

/// Both documents, or nothing where no known agent signed the order or its key not the dispatch.
pub(super) fn open(submission: &Submission, policy: &Policy) -> Option<Opened> {
    let (ByPerson { document: order, session }, mismatch) = ordered(&submission.order, policy)?;
    let dispatch = seal::open_one::<Dispatch>(&submission.dispatch, &order.dispatch_key).ok()?;
    Some(Opened { order, session, dispatch, mismatch })
}

fn ordered(envelope: &Envelope, policy: &Policy) -> Option<(ByPerson<Order>, Option<Refusal>)> {
    // Unverified: only to find out whose key must have signed.
    let agent = seal::peek::<Order>(envelope).ok()?.agent;
    let named = policy.person(&agent).and_then(|person| person.signing_key);
    if let Some(ordered) = named.and_then(|key| open_by_person(envelope, &key).ok()) {
        return Some((ordered, None));
    }
    // The hint says who else may have signed; only a signature that verifies counts.
    let hint = &envelope.signatures.first()?.keyid;
    let mut known = policy.file().people.iter().filter_map(|person| person.signing_key);
    let other = known.find(|key| key_id(key) == *hint)?;
    let ordered = open_by_person(envelope, &other).ok()?;
    Some((ordered, Some(Refusal::SignerMismatch)))
}
