//! Private keys in files: PKCS#8 version 1 as PEM, in clear or under a passphrase.
//!
//! Version 1 because OpenSSL 3.0 and Python's `cryptography` refuse version 2. Never writes a file,
//! never keeps a passphrase.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode as _, SecretDocument};
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef,
};
use zeroize::Zeroizing;

/// scrypt's cost, log2: the largest that OpenSSL's default memory limit of 32 MiB admits.
const SCRYPT_LOG_N: u8 = 14;
/// scrypt's block size.
const SCRYPT_R: u32 = 8;
/// scrypt's parallelism: at 2^14 it takes five to match the usual 2^17 with one.
const SCRYPT_P: u32 = 5;

const CLEAR: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Why a key could not be read or written. Never carries key or passphrase.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is encrypted and no passphrase was given.
    #[error("the key is encrypted: a passphrase is needed")]
    PassphraseNeeded,
    /// The passphrase does not open the file.
    #[error("the passphrase does not open this key")]
    PassphraseWrong,
    /// Not a private key of the wanted kind.
    #[error("not {wanted}")]
    Malformed {
        /// What was expected.
        wanted: &'static str,
    },
    /// The key could not be encrypted.
    #[error("could not encrypt the key")]
    Encrypt(#[source] pkcs8::Error),
}

/// Which private keys we keep; both are seeds of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// RFC 8410: the seed in an octet string in the octet string.
    Ed25519,
    /// draft-connolly-cfrg-xwing-kem-10: the seed as it is.
    XWing,
}

impl Kind {
    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Ed25519 => ObjectIdentifier::new_unwrap("1.3.101.112"),
            Self::XWing => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.62253.25722"),
        }
    }
    const fn malformed(self) -> KeyError {
        KeyError::Malformed {
            wanted: match self {
                Self::Ed25519 => "an ed25519 private key in PEM (PKCS#8)",
                Self::XWing => "an X-Wing private key in PEM (PKCS#8)",
            },
        }
    }
    /// What stands in PKCS#8's `privateKey`.
    fn inner(self, seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
        let head: &[u8] = match self {
            Self::Ed25519 => &[4, 32],
            Self::XWing => &[],
        };
        let mut out = Zeroizing::new(Vec::with_capacity(34));
        out.extend_from_slice(head);
        out.extend_from_slice(seed);
        out
    }
    fn seed(self, inner: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let seed = match self {
            Self::Ed25519 => inner.strip_prefix(&[4, 32])?,
            Self::XWing => inner,
        };
        seed.try_into().ok().map(Zeroizing::new)
    }
}

/// PKCS#8 version 1, DER. Written by hand: its length is fixed and nothing in it can fail.
pub(crate) fn wrap(kind: Kind, seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let oid = kind.oid();
    let inner = kind.inner(seed);
    let short = |n: usize| u8::try_from(n & 0x7f).unwrap_or(0);
    let oid_bytes = oid.as_bytes();
    let algorithm = oid_bytes.len() + 2;
    let body = 3 + 2 + algorithm + 2 + inner.len();
    let mut out = Zeroizing::new(Vec::with_capacity(body + 2));
    out.extend_from_slice(&[0x30, short(body), 2, 1, 0, 0x30, short(algorithm)]);
    out.extend_from_slice(&[6, short(oid_bytes.len())]);
    out.extend_from_slice(oid_bytes);
    out.extend_from_slice(&[4, short(inner.len())]);
    out.extend_from_slice(&inner);
    out
}

/// PEM in clear.
pub(crate) fn to_pem(kind: Kind, seed: &[u8; 32]) -> Zeroizing<String> {
    armour(CLEAR, &wrap(kind, seed))
}

/// PEM under a passphrase.
pub(crate) fn to_encrypted_pem(
    kind: Kind,
    seed: &[u8; 32],
    passphrase: &[u8],
    salt: [u8; 16],
    iv: [u8; 16],
) -> Result<Zeroizing<String>, KeyError> {
    let inner = kind.inner(seed);
    let algorithm = AlgorithmIdentifierRef { oid: kind.oid(), parameters: None };
    let cost = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)
        .map_err(|_| KeyError::Encrypt(pkcs8::Error::ParametersMalformed))?;
    let scheme = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv)
        .map_err(|e| KeyError::Encrypt(e.into()))?;
    let key = OctetStringRef::new(&inner).map_err(|e| KeyError::Encrypt(e.into()))?;
    let sealed = PrivateKeyInfoRef::new(algorithm, key)
        .encrypt_with_params(scheme, passphrase)
        .map_err(KeyError::Encrypt)?;
    Ok(armour(ENCRYPTED, sealed.as_bytes()))
}

/// The seed in a PEM, opened with the passphrase where it is encrypted.
pub(crate) fn read(
    kind: Kind,
    pem: &str,
    passphrase: Option<&[u8]>,
) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let (label, document) = SecretDocument::from_pem(pem.trim()).map_err(|_| kind.malformed())?;
    match (label, passphrase) {
        (CLEAR, _) => unwrap(kind, document.as_bytes()).ok_or(kind.malformed()),
        (ENCRYPTED, None) => Err(KeyError::PassphraseNeeded),
        (ENCRYPTED, Some(passphrase)) => {
            let info = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())
                .map_err(|_| kind.malformed())?;
            // A wrong passphrase shows as bad padding or, once in 256, as bytes that are no key.
            let clear = info.decrypt(passphrase).map_err(|_| KeyError::PassphraseWrong)?;
            PrivateKeyInfoRef::from_der(clear.as_bytes()).map_err(|_| KeyError::PassphraseWrong)?;
            unwrap(kind, clear.as_bytes()).ok_or(kind.malformed())
        }
        _ => Err(kind.malformed()),
    }
}

fn unwrap(kind: Kind, der: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let info = PrivateKeyInfoRef::from_der(der).ok()?;
    if info.algorithm.oid != kind.oid() || info.algorithm.parameters.is_some() {
        return None;
    }
    kind.seed(info.private_key.as_bytes())
}

/// PEM by RFC 7468: 64 columns, line feeds. Every copy of the bytes is wiped.
fn armour(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() * 2 + 128));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----");
    for (place, c) in body.chars().enumerate() {
        if place % 64 == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
