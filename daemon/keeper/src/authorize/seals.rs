//! Opens the seals of a submission with the keys that policy knows. Never believes a name alone.

use policy::Policy;
use protocol::documents::{Dispatch, Order};
use protocol::{Envelope, Refusal};
use trust::{Verified, key_id, seal};

use super::Submission;

/// A submission whose seals hold.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) order: Verified<Order>,
    pub(super) dispatch: Verified<Dispatch>,
    /// Set where a known person signed an order that names another one.
    pub(super) mismatch: Option<Refusal>,
}

/// Both documents, or nothing where no known agent signed the order or its key not the dispatch.
pub(super) fn open(submission: &Submission, policy: &Policy) -> Option<Opened> {
    let (order, mismatch) = open_order(&submission.order, policy)?;
    let dispatch = seal::open_one::<Dispatch>(&submission.dispatch, &order.dispatch_key).ok()?;
    Some(Opened { order, dispatch, mismatch })
}

fn open_order(envelope: &Envelope, policy: &Policy) -> Option<(Verified<Order>, Option<Refusal>)> {
    // Unverified: only to find out whose key must have signed.
    let agent = seal::peek::<Order>(envelope).ok()?.agent;
    let named = policy.person(&agent).and_then(|person| person.signing_key);
    if let Some(order) = named.and_then(|key| seal::open_one::<Order>(envelope, &key).ok()) {
        return Some((order, None));
    }
    // The hint says who else may have signed; only a signature that verifies counts.
    let hint = &envelope.signatures.first()?.keyid;
    let mut known = policy.file().people.iter().filter_map(|person| person.signing_key);
    let other = known.find(|key| key_id(key) == *hint)?;
    let order = seal::open_one::<Order>(envelope, &other).ok()?;
    Some((order, Some(Refusal::SignerMismatch)))
}
