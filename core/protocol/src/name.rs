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

/// Most patterns of a list.
const PATTERNS_MAX: usize = 16;

fn patterns(text: &str) -> bool {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-*".contains(c);
    let pattern = |text: &str| {
        // As it would be with something in place of each star, a name.
        !text.is_empty() && text.chars().all(ok) && chars(&text.replace('*', "x"), 64, b".-")
    };
    text.split(',').count() <= PATTERNS_MAX && text.split(',').all(pattern)
}

/// Whether a text is what a pattern says; `*` is any text, also an empty one.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
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
    NamePatterns,
    "Which machines a line to paste is for: one name, or up to 16 patterns as in `lt-*,pc-*`.",
    "a machine's name, or patterns like lt-*,pc-*: a-z 0-9 . - and * for any part",
    patterns
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

impl NamePatterns {
    /// The one name that it is, where it is one.
    #[must_use]
    pub fn exact(&self) -> Option<EndpointName> {
        self.0.parse().ok()
    }
    /// Whether a machine of this name is meant.
    #[must_use]
    pub fn fits(&self, name: &EndpointName) -> bool {
        self.0.split(',').any(|pattern| fits(pattern, name.as_str()))
    }
    /// The name of a machine that calls itself `host`, up to the first dot and in small letters;
    /// the one name where only one is meant. None where it is no name or is not meant.
    #[must_use]
    pub fn name_of(&self, host: &str) -> Option<EndpointName> {
        self.exact().or_else(|| {
            let own = host.split('.').next().unwrap_or_default().to_ascii_lowercase();
            own.parse().ok().filter(|name| self.fits(name))
        })
    }
}

impl From<EndpointName> for NamePatterns {
    fn from(name: EndpointName) -> Self {
        Self(name.0)
    }
}

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
    fn patterns_say_which_machines_are_meant() {
        for bad in ["", ",", "a,", "A*", "a b", "-x*", "../*", "a/*", "é*"] {
            assert!(bad.parse::<NamePatterns>().is_err(), "{bad:?}");
        }
        assert!(["a"; 17].join(",").parse::<NamePatterns>().is_err());
        let two: NamePatterns = "lt-*,pc-*-x".parse().unwrap();
        let fits = |name: &str| two.fits(&name.parse().unwrap());
        assert!(fits("lt-4411") && fits("pc-1-x") && fits("pc-1-x-x"));
        assert!(!fits("lt") && !fits("pc-1") && !fits("srv-lt-1") && !fits("pc-x"));
        assert_eq!(two.exact(), None);
        assert_eq!(two.name_of("LT-7.Example.org").unwrap().as_str(), "lt-7");
        assert_eq!(two.name_of("mail"), None);
        assert_eq!(two.name_of("lt-_"), None);
        let one: NamePatterns = "lt-1".parse().unwrap();
        assert_eq!(one.name_of("anything").unwrap().as_str(), "lt-1");
        let all: NamePatterns = "*".parse().unwrap();
        assert!(all.fits(&"x".parse().unwrap()));
    }

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
