//! Points in time: RFC 3339, UTC, whole seconds, spelt `2026-11-22T10:42:07Z` and no other way.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not a time in our one spelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time like 2026-11-22T10:42:07Z")]
pub struct BadTime;

/// Seconds since 1970-01-01T00:00:00Z, between the years 1970 and 9999.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, minicbor::Encode, minicbor::Decode,
)]
#[cbor(transparent)]
pub struct Time(#[n(0)] pub u64);

/// 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;

impl Time {
    /// This time plus `seconds`, at most the year 9999.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        let sum = self.0.saturating_add(seconds);
        Self(if sum > LAST { LAST } else { sum })
    }
    /// This time minus `seconds`, at least 1970.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
    /// Seconds from `earlier` to this time, zero where it lies after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
    /// From what a driver read off the wall clock; before 1970 counts as 1970.
    #[must_use]
    pub fn from_unix(since_epoch: Duration) -> Self {
        Self(since_epoch.as_secs().min(LAST))
    }
    /// The same instant for libraries that speak jiff.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        i64::try_from(self.0)
            .ok()
            .and_then(|s| jiff::Timestamp::from_second(s).ok())
            .unwrap_or(jiff::Timestamp::MAX)
    }
    /// `10:42:07Z`, for people on the same day.
    #[must_use]
    pub fn clock(self) -> String {
        self.to_string().chars().skip(11).collect()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_jiff().strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}
impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({self})")
    }
}
impl FromStr for Time {
    type Err = BadTime;
    fn from_str(text: &str) -> Result<Self, BadTime> {
        let stamp: jiff::Timestamp = text.parse().map_err(|_| BadTime)?;
        let time = Self(u64::try_from(stamp.as_second()).map_err(|_| BadTime)?);
        if time.to_string() == text { Ok(time) } else { Err(BadTime) }
    }
}
impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_spelling() {
        let time: Time = "2026-11-22T10:42:07Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T10:42:07Z");
        for other in [
            "2026-11-22T10:42:07.0Z",
            "2026-11-22T10:42:07+00:00",
            "2026-11-22t10:42:07z",
            "2026-11-22 10:42:07Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(other.parse::<Time>(), Err(BadTime), "{other}");
        }
    }
}
