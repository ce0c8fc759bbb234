//! The head of an endpoint's records as an agent's console saw it: the hello proves what was shown, the
//! agent's seal says when. Two of them that do not fit prove that a ledger was put back or split.

use serde::{Deserialize, Serialize};

use super::Head;
use crate::{AgentName, Digest, EndpointId, PayloadType, Time, limits};

/// Signed by the agent whose console met the endpoint. Authorises nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenHead {
    /// Whose records.
    pub endpoint: EndpointId,
    /// Their head, as the hello shows it.
    pub head: Head,
    /// Digest of the hello, which the endpoint's record key signed.
    pub hello: Digest,
    /// Who saw it.
    pub person: AgentName,
    /// When, by the console's clock.
    pub seen: Time,
}

impl PayloadType for SeenHead {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.head.v1+json";
    const PAYLOAD_BYTES_MAX: usize = limits::DOCUMENT_BYTES_MAX;
}

/// One head, and who saw it when.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Sighting {
    /// What was shown.
    #[n(0)]
    pub head: Head,
    /// The endpoint's own clock then.
    #[n(1)]
    pub clock: Time,
    /// When it was seen, by the clock of whoever saw it.
    #[n(2)]
    pub seen: Time,
    /// Who saw it; none for the desk itself.
    #[n(3)]
    pub by: Option<AgentName>,
}

impl Sighting {
    /// Whether this was surely shown after `other` was. When somebody saw it is not enough: an old
    /// hello that is shown again is a genuine one, and only its own clock says that it is old.
    fn surely_after(&self, other: &Self) -> bool {
        self.seen >= other.seen && self.clock > other.clock
    }
}

/// How two heads of one endpoint do not fit.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    minicbor::Encode,
    minicbor::Decode,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Misfit {
    /// Fewer records than before: the ledger was put back from a copy.
    #[n(0)]
    Rewound,
    /// Another record at the same place: two ledgers went on from one copy.
    #[n(1)]
    Forked,
    /// A new epoch: the ledger was lost and began anew.
    #[n(2)]
    Anew,
}

/// Two heads of one endpoint that do not fit.
#[derive(
    Debug, Clone, PartialEq, Eq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode,
)]
#[serde(deny_unknown_fields)]
pub struct Doubt {
    /// How.
    #[n(0)]
    pub misfit: Misfit,
    /// What was seen first.
    #[n(1)]
    pub had: Sighting,
    /// What was shown later.
    #[n(2)]
    pub shows: Sighting,
}

impl Doubt {
    /// What is wrong with two sightings of one endpoint, in whatever order they are given; nothing
    /// where both may be of one ledger that only grew.
    #[must_use]
    pub fn between(one: &Sighting, other: &Sighting) -> Option<Self> {
        let doubt = |misfit, had: &Sighting, shows: &Sighting| {
            Some(Self { misfit, had: had.clone(), shows: shows.clone() })
        };
        let place = |of: &Sighting| (of.seen, of.clock, of.head.hash);
        let (first, last) = match place(other) < place(one) {
            true => (other, one),
            false => (one, other),
        };
        if one.head.epoch != other.head.epoch {
            // Which came first is known by the clocks only.
            let later = last.surely_after(first);
            return later.then(|| doubt(Misfit::Anew, first, last)).flatten();
        }
        if one.head.counter == other.head.counter {
            let same = one.head.hash == other.head.hash;
            return (!same).then(|| doubt(Misfit::Forked, first, last)).flatten();
        }
        let (high, low) = match one.head.counter > other.head.counter {
            true => (one, other),
            false => (other, one),
        };
        low.surely_after(high).then(|| doubt(Misfit::Rewound, high, low)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u8, counter: u64, hash: u8, clock: u64, seen: u64) -> Sighting {
        let head = Head { epoch: Digest([epoch; 32]), counter, hash: Digest([hash; 32]) };
        Sighting { head, clock: Time(clock), seen: Time(seen), by: None }
    }

    fn misfit(one: &Sighting, other: &Sighting) -> Option<Misfit> {
        let doubt = Doubt::between(one, other);
        assert_eq!(doubt, Doubt::between(other, one), "in whatever order");
        doubt.map(|doubt| doubt.misfit)
    }

    #[test]
    fn a_ledger_that_only_grew_fits_whoever_looked_first() {
        let four = at(1, 4, 4, 1000, 1000);
        assert_eq!(misfit(&four, &four), None);
        assert_eq!(misfit(&four, &at(1, 6, 6, 1001, 1001)), None);
        // A hello that is some seconds old by the time somebody looks at it.
        assert_eq!(misfit(&at(1, 6, 6, 1020, 1020), &at(1, 4, 4, 1010, 1030)), None);
        // The endpoint's clock was ahead, and was set right.
        assert_eq!(misfit(&at(1, 4, 4, 9000, 1000), &at(1, 6, 6, 1010, 1010)), None);
    }

    #[test]
    fn fewer_records_later_are_a_rewind_and_an_old_hello_that_is_shown_again_is_none() {
        let six = at(1, 6, 6, 1000, 1000);
        assert_eq!(misfit(&six, &at(1, 5, 5, 1001, 1001)), Some(Misfit::Rewound));
        assert_eq!(misfit(&six, &at(1, 5, 5, 1001, 900_000)), Some(Misfit::Rewound));
        // Made before the sixth record, or in the same second, and seen much later.
        for clock in [10, 999, 1000] {
            assert_eq!(misfit(&six, &at(1, 5, 5, clock, 900_000)), None, "{clock}");
            assert_eq!(misfit(&six, &at(2, 0, 2, clock, 900_000)), None, "{clock}");
        }
    }

    #[test]
    fn two_records_at_one_place_are_a_fork_at_any_time() {
        let six = at(1, 6, 6, 1000, 1000);
        assert_eq!(misfit(&six, &at(1, 6, 7, 1000, 1000)), Some(Misfit::Forked));
        assert_eq!(misfit(&six, &at(1, 6, 7, 10, 10)), Some(Misfit::Forked));
    }

    #[test]
    fn another_epoch_is_a_ledger_that_began_anew() {
        let six = at(1, 6, 6, 1000, 1000);
        let anew = at(2, 0, 2, 1001, 1001);
        let doubt = Doubt::between(&anew, &six);
        assert_eq!(doubt, Some(Doubt { misfit: Misfit::Anew, had: six.clone(), shows: anew }));
        assert_eq!(misfit(&six, &at(2, 0, 2, 1000, 1000)), None, "nobody knows which came first");
    }
}
