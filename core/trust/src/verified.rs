//! A document whose seal was opened. Only `seal` makes one; never from bytes that were not checked.

use std::ops::Deref;

use protocol::{Digest, PublicKey};

/// A document, who signed it, and its name (SHA-256 of its payload).
#[derive(Debug, Clone)]
pub struct Verified<T> {
    document: T,
    digest: Digest,
    first: PublicKey,
    signers: Vec<PublicKey>,
}

impl<T> Verified<T> {
    /// `first` is the first of `signers`; kept apart so that there is always one.
    pub(crate) fn new(
        document: T,
        digest: Digest,
        first: PublicKey,
        signers: Vec<PublicKey>,
    ) -> Self {
        Self { document, digest, first, signers }
    }

    /// The document.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.document
    }

    /// The document alone; who holds it has no proof any more.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.document
    }

    /// SHA-256 of the payload bytes: the document's name everywhere.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The first key whose signature was good.
    #[must_use]
    pub fn signer(&self) -> PublicKey {
        self.first
    }

    /// Every key whose signature was good, each once, in the order of the signatures.
    #[must_use]
    pub fn signers(&self) -> &[PublicKey] {
        &self.signers
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.document
    }
}
