//! Secrets sealed to one reader: HPKE (RFC 9180), base mode, single shot, with the X-Wing hybrid.
//!
//! HPKE does not say who sealed: the dispatch's signature does. Never seals without the binding of
//! [`info`]; never makes chance itself.

use std::convert::Infallible;
use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use protocol::documents::{Sealed, SealingKey};
use protocol::{AgentName, Bytes, Digest, EndpointId};
use zeroize::Zeroizing;

use crate::pem::{self, KeyError};

/// The one algorithm: as in `protocol::documents::SealingKey::algorithm`.
pub const ALGORITHM: &str = "xwing-hkdf-sha256-chacha20poly1305";

/// Random bytes one sealing needs (X-Wing's encapsulation).
pub const RANDOMNESS_BYTES: usize = 64;

/// Why a secret could not be sealed or opened. Says nothing about the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSecret {
    /// Sealed with, or for, something else than [`ALGORITHM`].
    #[error("unknown sealing algorithm, wanted `{ALGORITHM}`")]
    Algorithm,
    /// Not a public key of this algorithm.
    #[error("the sealing key is malformed")]
    Key,
    /// Sealing failed.
    #[error("could not seal the secret")]
    Seal,
    /// Sealed to another key, for another order, agent or endpoint, or changed on the way.
    #[error("the sealed secret does not open with this key for this order")]
    Open,
}

/// The private half of a sealing key; wiped when dropped, never printed.
pub struct SealingSecret(Zeroizing<[u8; 32]>);

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingSecret")
    }
}

impl SealingSecret {
    /// The key of this seed. The caller brings the chance.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// The public half, as cards and people lists carry it.
    ///
    /// # Errors
    /// [`BadSecret::Key`]: not for any seed of 32 bytes.
    pub fn public(&self) -> Result<SealingKey, BadSecret> {
        let public = XWing::sk_to_pk(&self.private()?);
        let key = Bytes(public.to_bytes().as_slice().to_vec());
        Ok(SealingKey { algorithm: ALGORITHM.to_owned(), key })
    }

    /// PKCS#8 PEM in clear, with X-Wing's object identifier.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::to_pem(pem::Kind::XWing, &self.0)
    }

    /// PKCS#8 PEM under a passphrase; salt and iv are chance that the caller brings.
    ///
    /// # Errors
    /// [`KeyError::Encrypt`]; not seen in practice.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &[u8],
        salt: [u8; 16],
        iv: [u8; 16],
    ) -> Result<Zeroizing<String>, KeyError> {
        pem::to_encrypted_pem(pem::Kind::XWing, &self.0, passphrase, salt, iv)
    }

    /// Reads what [`Self::to_pem`] and [`Self::to_encrypted_pem`] write.
    ///
    /// # Errors
    /// [`KeyError`] says whether a passphrase is missing, wrong, or the file is no such key.
    pub fn from_pem(pem: &str, passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        pem::read(pem::Kind::XWing, pem, passphrase).map(Self)
    }

    /// Opens what was sealed to this key under this [`info`].
    ///
    /// # Errors
    /// [`BadSecret`]; a wrong key and a wrong `info` look alike.
    pub fn open(&self, sealed: &Sealed, info: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadSecret> {
        if sealed.algorithm != ALGORITHM {
            return Err(BadSecret::Algorithm);
        }
        let enc =
            <XWing as Kem>::EncappedKey::from_bytes(&sealed.enc.0).map_err(|_| BadSecret::Open)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.private()?,
            &enc,
            info,
            &sealed.ciphertext.0,
            &[],
        )
        .map(Zeroizing::new)
        .map_err(|_| BadSecret::Open)
    }

    fn private(&self) -> Result<<XWing as Kem>::PrivateKey, BadSecret> {
        <XWing as Kem>::PrivateKey::from_bytes(self.0.as_slice()).map_err(|_| BadSecret::Key)
    }
}

/// What a sealing is bound to: opened for anything else it does not open.
#[must_use]
pub fn info(order: &Digest, agent: &AgentName, endpoint: &EndpointId) -> Vec<u8> {
    // None of the parts can hold a line feed, so that no two triples give the same bytes.
    format!("salve.secrets.v1\n{order}\n{agent}\n{endpoint}").into_bytes()
}

/// Seals `clear` to `key`. `randomness` is fresh chance that is never used twice.
///
/// # Errors
/// [`BadSecret`] for a key of another algorithm or no key at all.
pub fn seal_to(
    key: &SealingKey,
    info: &[u8],
    clear: &[u8],
    randomness: [u8; RANDOMNESS_BYTES],
) -> Result<Sealed, BadSecret> {
    if key.algorithm != ALGORITHM {
        return Err(BadSecret::Algorithm);
    }
    let public = <XWing as Kem>::PublicKey::from_bytes(&key.key.0).map_err(|_| BadSecret::Key)?;
    let mut chance = Chance { bytes: Zeroizing::new(randomness), used: 0 };
    let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &OpModeS::Base,
        &public,
        info,
        clear,
        &[],
        &mut chance,
    )
    .map_err(|_| BadSecret::Seal)?;
    // A library that draws another amount would have worked with bytes that are not chance.
    if chance.used != RANDOMNESS_BYTES {
        return Err(BadSecret::Seal);
    }
    Ok(Sealed {
        algorithm: ALGORITHM.to_owned(),
        enc: Bytes(enc.to_bytes().as_slice().to_vec()),
        ciphertext: Bytes(ciphertext),
    })
}

/// Hands the caller's bytes to the library, each once; beyond them zeros, which `seal_to` refuses.
struct Chance {
    bytes: Zeroizing<[u8; RANDOMNESS_BYTES]>,
    used: usize,
}

impl TryRng for Chance {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut out = [0; 4];
        self.try_fill_bytes(&mut out).map(|()| u32::from_le_bytes(out))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut out = [0; 8];
        self.try_fill_bytes(&mut out).map(|()| u64::from_le_bytes(out))
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        let fresh = self.bytes.iter().skip(self.used);
        out.iter_mut().zip(fresh).for_each(|(slot, byte)| *slot = *byte);
        self.used += out.len();
        Ok(())
    }
}

impl TryCryptoRng for Chance {}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> Vec<u8> {
        let agent = "a.kaya".parse().unwrap();
        info(&Digest::of(b"order"), &agent, &EndpointId([7; 16]))
    }

    #[test]
    fn a_secret_opens_for_its_key_and_binding_only() {
        let secret = SealingSecret::from_seed([1; 32]);
        let key = secret.public().unwrap();
        let sealed = seal_to(&key, &bound(), b"hunter2", [9; 64]).unwrap();
        assert_eq!(secret.open(&sealed, &bound()).unwrap().as_slice(), b"hunter2");

        let other = SealingSecret::from_seed([2; 32]);
        assert_eq!(other.open(&sealed, &bound()), Err(BadSecret::Open));
        let elsewhere =
            info(&Digest::of(b"order"), &"a.kaya".parse().unwrap(), &EndpointId([8; 16]));
        assert_eq!(secret.open(&sealed, &elsewhere), Err(BadSecret::Open));
        assert_eq!(secret.open(&sealed, b""), Err(BadSecret::Open));

        let mut changed = sealed.clone();
        changed.ciphertext.0[0] ^= 1;
        assert_eq!(secret.open(&changed, &bound()), Err(BadSecret::Open));
        let mut changed = sealed.clone();
        changed.enc.0.pop();
        assert_eq!(secret.open(&changed, &bound()), Err(BadSecret::Open));
        let mut changed = sealed;
        changed.algorithm = "rot13".into();
        assert_eq!(secret.open(&changed, &bound()), Err(BadSecret::Algorithm));
    }

    #[test]
    fn a_malformed_key_is_refused() {
        let good = SealingSecret::from_seed([1; 32]).public().unwrap();
        let mut short = good.clone();
        short.key.0.pop();
        assert_eq!(seal_to(&short, b"", b"x", [0; 64]), Err(BadSecret::Key));
        let mut not_ml_kem = good.clone();
        not_ml_kem.key.0.fill(0xff);
        assert_eq!(seal_to(&not_ml_kem, b"", b"x", [0; 64]), Err(BadSecret::Key));
        let mut other = good;
        other.algorithm = "x25519".into();
        assert_eq!(seal_to(&other, b"", b"x", [0; 64]), Err(BadSecret::Algorithm));
    }

    #[test]
    fn sealing_uses_exactly_the_chance_it_was_given() {
        let key = SealingSecret::from_seed([1; 32]).public().unwrap();
        let one = seal_to(&key, b"i", b"x", [1; 64]).unwrap();
        assert_eq!(one, seal_to(&key, b"i", b"x", [1; 64]).unwrap());
        assert_ne!(one, seal_to(&key, b"i", b"x", [2; 64]).unwrap());
    }

    #[test]
    fn files_bring_the_same_key_back() {
        let secret = SealingSecret::from_seed([5; 32]);
        let clear = SealingSecret::from_pem(&secret.to_pem(), None).unwrap();
        assert_eq!(clear.public(), secret.public());
        let pem = secret.to_encrypted_pem(b"pass", [1; 16], [2; 16]).unwrap();
        assert!(matches!(SealingSecret::from_pem(&pem, None), Err(KeyError::PassphraseNeeded)));
        let back = SealingSecret::from_pem(&pem, Some(b"pass")).unwrap();
        assert_eq!(back.public(), secret.public());
        let signing = crate::SigningKey::from_seed([5; 32]).to_pem();
        assert!(matches!(SealingSecret::from_pem(&signing, None), Err(KeyError::Malformed { .. })));
        assert_eq!(format!("{secret:?}"), "SealingSecret");
    }
}
