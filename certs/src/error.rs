//! Why a certificate could not be made or read. Never carries a key.

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// The organisation's id would not be one in a URI.
    #[error("`{0}` is not an organisation's id: a-z 0-9 . _ -, at most 64")]
    Organisation(String),
    /// The id in the URI would not be one.
    #[error("`{0}` is not an id for a certificate: letters, digits . _ -, at most 64")]
    Id(String),
    /// Not an ed25519 key in SubjectPublicKeyInfo.
    #[error("the public key is not an ed25519 key")]
    PublicKey,
    /// The CA's private key could not be read.
    #[error("could not read the private key of the {0} CA")]
    PrivateKey(&'static str, #[source] rcgen::Error),
    /// A validity that ends before it begins, or lies beyond what a certificate can say.
    #[error("the certificate would not be valid at any time")]
    Validity,
    /// Bytes that are not a certificate.
    #[error("not a certificate")]
    NotACertificate,
    /// A certificate that is not the one wanted.
    #[error("the certificate is not that of the {wanted} CA: {why}")]
    WrongCa {
        /// `people` or `endpoints`.
        wanted: &'static str,
        /// What differs.
        why: &'static str,
    },
    /// The library refused.
    #[error("could not sign the certificate")]
    Sign(#[source] rcgen::Error),
}
