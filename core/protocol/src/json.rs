//! Strict JSON: what a seal covers has one reading.
//!
//! Refused beside what serde refuses: duplicate keys at any depth, floats, integers of 2^53 and
//! above, trailing bytes, a byte-order mark. Depth is bounded by `serde_json` (128).

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

/// Why bytes are not a document of the wanted type. Never repeats the bytes.
#[derive(Debug, thiserror::Error)]
#[error("not a valid document")]
pub struct BadJson(#[source] serde_json::Error);

/// Largest integer that every JSON reader keeps exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Reads one document of type `T`; `T` should `deny_unknown_fields`.
///
/// # Errors
/// [`BadJson`] for anything that is not exactly one such document.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadJson> {
    serde_json::from_slice::<Once>(bytes).map_err(BadJson)?;
    serde_json::from_slice(bytes).map_err(BadJson)
}

/// Writes a document, fields in the order of the type.
///
/// # Errors
/// Never for the document types of this crate; a map with keys that are not text would fail.
pub fn write<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, BadJson> {
    serde_json::to_vec(value).map_err(BadJson)
}

/// Walks a value and keeps nothing of it.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Once;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, an integer below 2^53, true, false, null, a list or an object")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Once, E> {
        if n <= INTEGER_MAX { Ok(Once) } else { Err(E::custom("integer above 2^53 - 1")) }
    }
    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Once, E> {
        if n.unsigned_abs() <= INTEGER_MAX {
            Ok(Once)
        } else {
            Err(E::custom("integer below -(2^53 - 1)"))
        }
    }
    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }
    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Once, A::Error> {
        while seq.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(de::Error::custom("duplicate key"));
            }
            map.next_value::<Once>()?;
        }
        Ok(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_only() {
        assert!(read::<serde_json::Value>(br#"{"a":[1,-2,"x",null,true]}"#).is_ok());
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1e3}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a":-9007199254740992}"#,
            r#"{"a":1} x"#,
            "\u{feff}{}",
            "",
        ] {
            assert!(read::<serde_json::Value>(bad.as_bytes()).is_err(), "{bad}");
        }
        // Half a character (E19) is no text, as a value, as a key, and before another half.
        for half in [r"\ud800", r"\udfff", r"a\udbff", r"\udc00\ud800", r"\ud83d\u0041"] {
            for text in [format!(r#"{{"a":"{half}"}}"#), format!(r#"{{"{half}":1}}"#)] {
                assert!(read::<serde_json::Value>(text.as_bytes()).is_err(), "{text}");
            }
        }
        assert!(read::<serde_json::Value>(br#"{"a":"\ud83d\ude00"}"#).is_ok());
        // The same half as bytes, which is no UTF-8.
        assert!(read::<serde_json::Value>(b"{\"a\":\"\xed\xa0\x80\"}").is_err());
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(read::<serde_json::Value>(deep.as_bytes()).is_err());
    }
}
