//! Secrets: opened for one executor, or made and sealed to one person. Never logged, never written
//! in clear.

use std::collections::BTreeMap;

use protocol::Bytes;
use protocol::documents::SealingKey;
use trust::SealingSecret;
use trust::secret::{RANDOMNESS_BYTES, seal_to};
use zeroize::{Zeroize as _, Zeroizing};

use crate::core::{FreshSecret, SealedSecrets};

/// Letters and digits that nobody mistakes for another when read aloud.
const ALPHABET: &[u8; 56] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz2345678";

/// Opens an order's secrets.
pub(super) fn open(
    key: &SealingSecret,
    sealed: &SealedSecrets,
) -> Result<BTreeMap<String, Bytes>, String> {
    let clear = key.open(&sealed.sealed, &sealed.info.0);
    let clear =
        clear.map_err(|_| "the order's secrets are not sealed to this endpoint".to_owned())?;
    let texts: BTreeMap<String, Zeroizing<String>> = protocol::json::read(&clear)
        .map_err(|_| "the order's secrets are not a list of texts".to_owned())?;
    Ok(texts.into_iter().map(|(name, t)| (name, Bytes(t.as_bytes().to_vec()))).collect())
}

/// Wipes what was handed over.
pub(super) fn wipe(bytes: &mut Bytes) {
    bytes.0.zeroize();
}

/// Makes a secret of `length` characters, sealed to `to`; none where that does not work.
pub(super) fn make(length: u32, to: &SealingKey, info: &[u8]) -> Option<FreshSecret> {
    let clear = characters(usize::try_from(length).ok()?)?;
    let mut randomness = [0u8; RANDOMNESS_BYTES];
    getrandom::fill(&mut randomness).ok()?;
    let sealed = seal_to(to, info, &clear, randomness).ok()?;
    randomness.zeroize();
    Some(FreshSecret { sealed, clear })
}

fn characters(length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    let mut chance = Zeroizing::new([0u8; 64]);
    while out.len() < length {
        getrandom::fill(chance.as_mut_slice()).ok()?;
        for byte in chance.iter() {
            // 224 = 4 * 56: every character is as likely as any other.
            let letter = ALPHABET.get(usize::from(byte % 56)).filter(|_| *byte < 224);
            if let Some(letter) = letter.filter(|_| out.len() < length) {
                out.push(*letter);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_varied_and_opens_for_whom_it_is_sealed_to() {
        let key = SealingSecret::from_seed([3; 32]);
        let made = make(20, &key.public().unwrap(), b"info").unwrap();
        assert_eq!(made.clear.len(), 20);
        assert!(made.clear.iter().all(|byte| ALPHABET.contains(byte)));
        let other = make(20, &key.public().unwrap(), b"info").unwrap();
        assert_ne!(*made.clear, *other.clear);
        assert_eq!(*key.open(&made.sealed, b"info").unwrap(), *made.clear);
    }

    #[test]
    fn secrets_of_another_endpoint_do_not_open() {
        let key = SealingSecret::from_seed([3; 32]);
        let clear = br#"{"password":"x"}"#;
        let sealed = seal_to(&key.public().unwrap(), b"info", clear, [9; 64]).unwrap();
        let ours = SealedSecrets { sealed, info: Bytes(b"info".to_vec()) };
        let opened = open(&key, &ours).unwrap();
        assert_eq!(opened.get("password"), Some(&Bytes(b"x".to_vec())));
        let theirs = SealingSecret::from_seed([4; 32]);
        assert!(open(&theirs, &ours).is_err());
    }
}
