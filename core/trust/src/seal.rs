//! DSSE (secure-systems-lab/dsse v1.0.2): the only way in and out of a sealed document.
//!
//! Order of the checks: payload type, size, signatures, then the payload is parsed, once, from the
//! very bytes that were signed. A signature's `keyid` is a hint that nobody signed: what counts is
//! which of the wanted keys verifies. Never counts one key twice, never believes a weak key.

use std::collections::BTreeSet;

use protocol::{Bytes, Envelope, PayloadType, PublicKey, Signature, json, limits};

use crate::keys::{SignError, Signer, is_weak, key_id, verify};
use crate::verified::Verified;

/// Why a document could not be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Nobody signs, or more than an envelope may carry.
    #[error("{0} signers: an envelope takes 1 to {max}", max = limits::SIGNATURES_MAX)]
    Signers(usize),
    /// Two signers hold one key, or a key is weak.
    #[error("key {0} is weak or signs twice")]
    Key(PublicKey),
    /// The document could not be written.
    #[error("could not write the document")]
    Write(#[source] json::BadJson),
    /// The document would be refused by every reader: it does not read back.
    #[error("the document does not read back")]
    ReadBack(#[source] json::BadJson),
    /// Larger than readers take.
    #[error("document of {bytes} bytes is larger than {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A signer did not sign.
    #[error("could not seal the document")]
    Sign(#[source] SignError),
}

/// Why a seal does not open. Never repeats the payload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadSeal {
    /// A document of another kind.
    #[error("a document of another kind: wanted `{wanted}`")]
    PayloadType {
        /// The wanted payload type.
        wanted: &'static str,
    },
    /// Larger than any document of this kind.
    #[error("document of {bytes} bytes is larger than {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// None, or more than are read; or more than one where one is wanted.
    #[error("{found} signatures, wanted {wanted}")]
    Signatures {
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: &'static str,
    },
    /// Too few of the wanted keys signed.
    #[error("{good} of {wanted} wanted signatures are good")]
    Threshold {
        /// Distinct keys that did.
        good: usize,
        /// How many must.
        wanted: usize,
    },
    /// Signed, but not a document of its kind.
    #[error("the signed bytes are not such a document")]
    Payload(#[source] json::BadJson),
    /// The paper of the session key inside it.
    #[error("the paper of its session key does not hold")]
    SessionKey(#[source] Box<Self>),
    /// A session key that names somebody else than the document does.
    #[error("its session key is another person's")]
    SessionPerson,
}

/// Seals a document: writes it once and has every signer sign those bytes.
///
/// # Errors
/// [`SealError`]; nothing that a reader would refuse is ever made.
pub fn seal<T: PayloadType>(doc: &T, signers: &[&dyn Signer]) -> Result<Envelope, SealError> {
    if signers.is_empty() || signers.len() > limits::SIGNATURES_MAX {
        return Err(SealError::Signers(signers.len()));
    }
    let mut seen = BTreeSet::new();
    for signer in signers {
        let key = signer.public_key();
        if is_weak(&key) || !seen.insert(key) {
            return Err(SealError::Key(key));
        }
    }
    let payload = json::write(doc).map_err(SealError::Write)?;
    if payload.len() > T::PAYLOAD_BYTES_MAX {
        return Err(SealError::TooLarge { bytes: payload.len(), max: T::PAYLOAD_BYTES_MAX });
    }
    json::read::<T>(&payload).map_err(SealError::ReadBack)?;
    let signed = Envelope::pae(T::PAYLOAD_TYPE, &payload);
    let sign = |signer: &&dyn Signer| {
        let sig = signer.sign(&signed).map_err(SealError::Sign)?;
        Ok(Signature { keyid: key_id(&signer.public_key()), sig: Bytes(sig.to_vec()) })
    };
    let signatures = signers.iter().map(sign).collect::<Result<_, SealError>>()?;
    Ok(Envelope { payload: Bytes(payload), payload_type: T::PAYLOAD_TYPE.to_owned(), signatures })
}

/// Opens a document that `threshold` of `keys` must have signed. Signatures by others are passed
/// over, as DSSE asks.
///
/// # Errors
/// [`BadSeal`] names the first check that failed.
pub fn open<T: PayloadType>(
    e: &Envelope,
    keys: &[PublicKey],
    threshold: usize,
) -> Result<Verified<T>, BadSeal> {
    check_shape::<T>(e)?;
    let (first, signers) = count(e, keys, threshold)?;
    let document = json::read(&e.payload.0).map_err(BadSeal::Payload)?;
    Ok(Verified::new(document, e.digest(), first, signers))
}

/// Opens a document that carries exactly one signature, by `key`: order, dispatch, recall, card,
/// hello, record, approval, attestation and the requests.
///
/// # Errors
/// As [`open`]; a second signature is refused, good or not.
pub fn open_one<T: PayloadType>(e: &Envelope, key: &PublicKey) -> Result<Verified<T>, BadSeal> {
    if e.signatures.len() != 1 {
        return Err(BadSeal::Signatures { found: e.signatures.len(), wanted: "exactly 1" });
    }
    open(e, std::slice::from_ref(key), 1)
}

/// Reads a document **without checking who signed it**: only to find out whose key to ask for
/// (an order names its agent, a request its own key). Whatever is done next goes through [`open`].
///
/// # Errors
/// [`BadSeal`] for another kind, size or shape.
pub fn peek<T: PayloadType>(e: &Envelope) -> Result<T, BadSeal> {
    check_shape::<T>(e)?;
    json::read(&e.payload.0).map_err(BadSeal::Payload)
}

fn check_shape<T: PayloadType>(e: &Envelope) -> Result<(), BadSeal> {
    if e.payload_type != T::PAYLOAD_TYPE {
        return Err(BadSeal::PayloadType { wanted: T::PAYLOAD_TYPE });
    }
    let bytes = e.payload.0.len();
    if bytes > T::PAYLOAD_BYTES_MAX {
        return Err(BadSeal::TooLarge { bytes, max: T::PAYLOAD_BYTES_MAX });
    }
    if e.signatures.is_empty() || e.signatures.len() > limits::SIGNATURES_MAX {
        return Err(BadSeal::Signatures { found: e.signatures.len(), wanted: "1 to 16" });
    }
    Ok(())
}

/// Counts distinct wanted keys with a good signature. The one place where seals are counted.
fn count(
    e: &Envelope,
    keys: &[PublicKey],
    threshold: usize,
) -> Result<(PublicKey, Vec<PublicKey>), BadSeal> {
    let wanted: BTreeSet<&PublicKey> = keys.iter().collect();
    let signed = Envelope::pae(&e.payload_type, &e.payload.0);
    let mut good: Vec<PublicKey> = Vec::new();
    for signature in &e.signatures {
        // The hint first: it saves work where it is honest and decides nothing where it is not.
        let hinted = wanted.iter().filter(|key| key_id(key) == signature.keyid);
        let others = wanted.iter().filter(|key| key_id(key) != signature.keyid);
        let signer = hinted
            .chain(others)
            .filter(|key| !good.contains(key))
            .find(|key| verify(key, &signed, &signature.sig.0));
        good.extend(signer.copied().copied());
    }
    match good.first() {
        Some(first) if threshold > 0 && good.len() >= threshold => Ok((*first, good)),
        _ => Err(BadSeal::Threshold { good: good.len(), wanted: threshold }),
    }
}
