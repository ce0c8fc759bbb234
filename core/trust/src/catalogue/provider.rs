//! The cryptography that the TUF library uses: ours. Only ed25519 by the one strict rule, only
//! SHA-2; anything else is an error, never a fallback.

use std::sync::Once;

use protocol::PublicKey;
use sha2::Digest as _;
use sigstore_crypto::{CryptoProvider, Error, HashContext, Result, SigningScheme};
use sigstore_types::HashAlgorithm;

#[derive(Debug)]
struct Strict;

static STRICT: Strict = Strict;
static INSTALL: Once = Once::new();

/// Installs our provider for the process; later calls do nothing. `Catalogue` and `Repository`
/// call it themselves.
pub fn install_provider() {
    INSTALL.call_once(|| {
        // Fails only where another provider is there already; nobody else in salve installs one.
        let _ = sigstore_crypto::install_default_provider(&STRICT);
    });
}

struct Running<D>(D);

impl<D: sha2::Digest + Send> HashContext for Running<D> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

impl CryptoProvider for Strict {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        match algorithm {
            HashAlgorithm::Sha2256 => Ok(Box::new(Running(sha2::Sha256::new()))),
            HashAlgorithm::Sha2384 => Ok(Box::new(Running(sha2::Sha384::new()))),
            HashAlgorithm::Sha2512 => Ok(Box::new(Running(sha2::Sha512::new()))),
            _ => Err(Error::UnsupportedAlgorithm("only SHA-2".to_owned())),
        }
    }

    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(data).into()
    }

    fn verify_raw(
        &self,
        scheme: SigningScheme,
        key: &[u8],
        data: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        if scheme != SigningScheme::Ed25519 {
            return Err(Error::UnsupportedAlgorithm("only ed25519".to_owned()));
        }
        let key: [u8; 32] =
            key.try_into().map_err(|_| Error::InvalidKey("not 32 bytes".to_owned()))?;
        if crate::keys::verify(&PublicKey(key), data, signature) {
            Ok(())
        } else {
            Err(Error::Verification("the signature is not good".to_owned()))
        }
    }

    fn verify_prehashed(&self, _: SigningScheme, _: &[u8], _: &[u8], _: &[u8]) -> Result<()> {
        Err(Error::UnsupportedAlgorithm("nothing prehashed".to_owned()))
    }
}
