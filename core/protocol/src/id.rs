//! Ids: 16 bytes, written as 26 lower-case Crockford base32 characters, shown as the first 8.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Digest;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of 26 lower-case letters and digits")]
pub struct BadId;

fn write(bytes: &[u8; 16]) -> String {
    let mut value = u128::from_be_bytes(*bytes);
    let mut out = [b'0'; 26];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET.get((value & 31) as usize).copied().unwrap_or(b'0');
        value >>= 5;
    }
    out.iter().map(|b| char::from(*b)).collect()
}

fn read(text: &str) -> Result<[u8; 16], BadId> {
    if text.len() != 26 {
        return Err(BadId);
    }
    let mut value: u128 = 0;
    for (place, c) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|a| *a == c).ok_or(BadId)? as u128;
        // 26 characters hold 130 bits: the first may only carry three of them.
        if place == 0 && digit > 7 {
            return Err(BadId);
        }
        value = value << 5 | digit;
    }
    Ok(value.to_be_bytes())
}

macro_rules! id {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode,
        )]
        #[cbor(transparent)]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

        impl $name {
            /// The first eight characters, for people.
            #[must_use]
            pub fn short(&self) -> String {
                write(&self.0).chars().take(8).collect()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&write(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                read(text).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

id!(EndpointId, "Names one enrolled endpoint for ever; never reused.");
id!(OrderId, "Names one order; chosen by the agent's console, random.");
id!(RunId, "Names one run of one order on one endpoint.");

impl RunId {
    /// First 16 bytes of SHA-256(order digest, endpoint id, occurrence as 8 bytes big endian).
    #[must_use]
    pub fn of(order: &Digest, endpoint: &EndpointId, occurrence: u64) -> Self {
        let mut bytes = Vec::with_capacity(56);
        bytes.extend_from_slice(&order.0);
        bytes.extend_from_slice(&endpoint.0);
        bytes.extend_from_slice(&occurrence.to_be_bytes());
        let mut id = [0u8; 16];
        id.iter_mut().zip(Digest::of(&bytes).0).for_each(|(slot, byte)| *slot = byte);
        Self(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        for bytes in [[0u8; 16], [255u8; 16], *b"0123456789abcdef"] {
            let id = RunId(bytes);
            assert_eq!(id.to_string().len(), 26);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert!("8zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<RunId>().is_err());
        assert!("0000000000000000000000000i".parse::<RunId>().is_err());
        assert!("0000000000000000000000000A".parse::<RunId>().is_err());
    }
}
