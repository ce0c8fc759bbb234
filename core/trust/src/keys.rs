//! ed25519 keys (RFC 8032): sign, name, and the one place that checks a signature.
//!
//! Never prints a private key; never accepts a weak public key or a signature that only the lax
//! rule of RFC 8032 accepts.

use std::fmt;

use ed25519_dalek::Signer as _;
use protocol::PublicKey;
use zeroize::Zeroizing;

use crate::pem::{self, KeyError};

/// Why a message could not be signed. A key in a file never fails; one on a token may.
#[derive(Debug, thiserror::Error)]
#[error("could not sign with key {key}")]
pub struct SignError {
    /// The public half of that key.
    pub key: PublicKey,
    /// What the key's holder said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Something that holds a private key: a file's, or one on a token.
pub trait Signer: fmt::Debug {
    /// The public half.
    fn public_key(&self) -> PublicKey;
    /// Signs `message`.
    ///
    /// # Errors
    /// [`SignError`] where the key's holder cannot sign now.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// An ed25519 private key in memory; wiped when dropped, shown by its public half only.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(public {})", self.public_key())
    }
}

impl Signer for SigningKey {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

impl SigningKey {
    /// The key of this seed (RFC 8032's private key). The caller brings the chance.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// PKCS#8 version 1 (RFC 8410, no public key inside): what OpenSSL 3 and Python read.
    #[must_use]
    pub fn pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        pem::wrap(pem::Kind::Ed25519, self.0.as_bytes())
    }

    /// The same as PEM, in clear.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::to_pem(pem::Kind::Ed25519, self.0.as_bytes())
    }

    /// PEM encrypted with a passphrase (PBES2, scrypt, AES-256-CBC). Salt and iv are chance that
    /// the caller brings; never use them twice.
    ///
    /// # Errors
    /// [`KeyError::Encrypt`] where the cipher refuses; not seen in practice.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &[u8],
        salt: [u8; 16],
        iv: [u8; 16],
    ) -> Result<Zeroizing<String>, KeyError> {
        pem::to_encrypted_pem(pem::Kind::Ed25519, self.0.as_bytes(), passphrase, salt, iv)
    }

    /// Reads what [`Self::to_pem`] and [`Self::to_encrypted_pem`] write, and what OpenSSL writes.
    ///
    /// # Errors
    /// [`KeyError`] says whether a passphrase is missing, wrong, or the file is no such key.
    pub fn from_pem(pem: &str, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let seed = pem::read(pem::Kind::Ed25519, pem, passphrase)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }
}

/// The name securesystemslib and TUF give a key: SHA-256 of its canonical JSON, lower-case hex.
#[must_use]
pub fn key_id(key: &PublicKey) -> String {
    let json =
        format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{key}"}},"scheme":"ed25519"}}"#);
    protocol::Digest::of(json.as_bytes()).to_string()
}

/// Whether a key is not a point of the curve, or one of its few points of small order, under which
/// signatures prove nothing.
#[must_use]
pub fn is_weak(key: &PublicKey) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(&key.0).map_or(true, |key| key.is_weak())
}

/// Whether `key` signed `message`: 64 bytes, and `verify_strict`, which refuses weak keys too.
/// Every signature that this crate believes went through here.
#[must_use]
pub fn verify(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&key.0) else { return false };
    let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else { return false };
    key.verify_strict(message, &signature).is_ok()
}
