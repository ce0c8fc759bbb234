//! The seal of what a person orders or recalls: by their own key, or by a session key that this key
//! lent its right to. The one place that opens either. Whether a session key is good for what it
//! signed is policy's to say.

use protocol::documents::{BySession, SessionKey};
use protocol::{Envelope, PublicKey};

use crate::seal::{BadSeal, open_one, peek};
use crate::verified::Verified;

/// A document whose seal holds.
#[derive(Debug, Clone)]
pub struct ByPerson<T> {
    /// The document.
    pub document: Verified<T>,
    /// The session key that signed it, where the person's own key did not.
    pub session: Option<Verified<SessionKey>>,
}

/// Opens what the person with this key signed. A document that carries the paper of a session key opens
/// with that key alone, and the paper with the person's: there is always exactly one key that may have
/// signed.
///
/// # Errors
/// [`BadSeal`]; `SessionKey` and `SessionPerson` where it is the paper that does not hold.
pub fn open_by_person<T: BySession>(
    envelope: &Envelope,
    own: &PublicKey,
) -> Result<ByPerson<T>, BadSeal> {
    // Unverified: only to find out whose key must have signed.
    let claimed = peek::<T>(envelope)?;
    let Some(paper) = claimed.session_key() else {
        return Ok(ByPerson { document: open_one(envelope, own)?, session: None });
    };
    let paper = open_one::<SessionKey>(paper, own);
    let session = paper.map_err(|bad| BadSeal::SessionKey(Box::new(bad)))?;
    let document = open_one::<T>(envelope, &session.key)?;
    if *document.person() != session.person {
        return Err(BadSeal::SessionPerson);
    }
    Ok(ByPerson { document, session: Some(session) })
}
