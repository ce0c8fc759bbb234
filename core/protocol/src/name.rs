//! Names people choose: closed alphabets, so that a name can never be a path, an option or markup.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not a name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct BadName(&'static str);

fn chars(text: &str, max: usize, extra: &[u8]) -> bool {
    let ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || extra.contains(&c);
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= max
        && edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(ok)
        && !text.contains("..")
}

fn ticket(text: &str) -> bool {
    let ok = |c: u8| c.is_ascii_alphanumeric() || b"#-_.".contains(&c);
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(ok)
        && text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric())
}

macro_rules! name {
    ($name:ident, $doc:literal, $what:literal, $check:expr) => {
        #[doc = $doc]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(BadName($what)) }
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                text.parse().map_err(D::Error::custom)
            }
        }
        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                d.str()?.parse().map_err(minicbor::decode::Error::custom)
            }
        }
    };
}

name!(
    AgentName,
    "A person at the help desk, as in `a.kaya`.",
    "a person's name of at most 64 characters: a-z 0-9 . _ -",
    |t| chars(t, 64, b"._-")
);
name!(
    EndpointName,
    "What people call a machine, as in `lt-4411`.",
    "a machine's name of at most 64 characters: a-z 0-9 . -",
    |t| chars(t, 64, b".-")
);
name!(
    ScriptName,
    "A script, as in `cache.clear`; the part before the first dot is its area.",
    "a script's name like `cache.clear`: a-z 0-9 and at least one dot",
    |t| chars(t, 64, b".") && t.contains('.')
);
name!(
    Label,
    "A key or value of a label, or a group's name.",
    "a label of at most 64 characters: a-z 0-9 . _ -",
    |t| chars(t, 64, b"._-")
);
name!(
    TicketId,
    "A ticket as its system names it, as in `1482` or `RT#20117`.",
    "a ticket's number like 1482 or RT#20117",
    ticket
);

impl ScriptName {
    /// The part before the first dot.
    #[must_use]
    pub fn area(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path_an_option_or_markup() {
        for bad in ["", "../x", "a/b", "-x", "x-", "A", "a b", "a\n", "<b>", "a..b", ".", "é"] {
            assert!(bad.parse::<AgentName>().is_err(), "{bad:?}");
            assert!(bad.parse::<EndpointName>().is_err(), "{bad:?}");
            assert!(bad.parse::<ScriptName>().is_err(), "{bad:?}");
        }
        for bad in ["", "#1", "1 2", "1/2", "-1", "a\n"] {
            assert!(bad.parse::<TicketId>().is_err(), "{bad:?}");
        }
        assert_eq!("cache.clear".parse::<ScriptName>().unwrap().area(), "cache");
        assert!("RT#20117".parse::<TicketId>().is_ok());
    }
}
