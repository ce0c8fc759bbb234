//! Heads of endpoints' records that people countersigned: the endpoint's hello proves what was shown,
//! the person's seal says when. Never believes one of the two without the other.

use protocol::documents::{Hello, SeenHead, Sighting};
use protocol::{AgentName, Bytes, EndpointId, Envelope, PublicKey};
use serde::{Deserialize, Serialize};
use trust::seal;

/// The papers of one head that was seen, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadPapers {
    /// What the person signed: an envelope of [`SeenHead`].
    pub seen: Bytes,
    /// The hello's envelope, which the endpoint signed.
    pub hello: Bytes,
}

/// Why papers prove no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    /// One of the two cannot be read.
    #[error("it cannot be read")]
    Unreadable,
    /// Nobody's key is known who would have signed it.
    #[error("whoever signed it is not known")]
    Unknown,
    /// The person's seal.
    #[error("the person whom it names did not sign it")]
    Person,
    /// The endpoint's seal.
    #[error("the endpoint did not sign the hello that it names")]
    Endpoint,
    /// They speak of different things.
    #[error("it does not say what the hello says")]
    Differs,
}

impl HeadPapers {
    /// What they claim, without a look at any seal.
    #[must_use]
    pub fn claimed(&self) -> Option<Sighting> {
        let hello: Hello = seal::peek(&Envelope::read(&self.hello.0).ok()?).ok()?;
        let seen: SeenHead = seal::peek(&Envelope::read(&self.seen.0).ok()?).ok()?;
        Some(sighting(&seen, &hello))
    }

    /// What they prove of an endpoint, whose records this key signs; `key` knows people's keys.
    ///
    /// # Errors
    /// [`BadHead`].
    pub fn open(
        &self,
        endpoint: &EndpointId,
        record_key: &PublicKey,
        key: impl Fn(&AgentName) -> Option<PublicKey>,
    ) -> Result<Sighting, BadHead> {
        let sealed = Envelope::read(&self.seen.0).map_err(|_| BadHead::Unreadable)?;
        let claimed: SeenHead = seal::peek(&sealed).map_err(|_| BadHead::Unreadable)?;
        let key = key(&claimed.person).ok_or(BadHead::Unknown)?;
        seal::open_one::<SeenHead>(&sealed, &key).map_err(|_| BadHead::Person)?;
        self.shown(endpoint, record_key)
    }

    /// What the endpoint showed, as its own seal proves; who saw it when is claimed only.
    ///
    /// # Errors
    /// [`BadHead`].
    pub fn shown(
        &self,
        endpoint: &EndpointId,
        record_key: &PublicKey,
    ) -> Result<Sighting, BadHead> {
        let read = |bytes: &Bytes| Envelope::read(&bytes.0).map_err(|_| BadHead::Unreadable);
        let (seen, hello) = (read(&self.seen)?, read(&self.hello)?);
        let seen: SeenHead = seal::peek(&seen).map_err(|_| BadHead::Unreadable)?;
        let hello = seal::open_one::<Hello>(&hello, record_key).map_err(|_| BadHead::Endpoint)?;
        let fits =
            seen.endpoint == *endpoint && seen.hello == hello.digest() && seen.head == hello.head;
        if !fits {
            return Err(BadHead::Differs);
        }
        Ok(sighting(&seen, &hello))
    }
}

fn sighting(seen: &SeenHead, hello: &Hello) -> Sighting {
    Sighting {
        head: hello.head,
        clock: hello.clock,
        seen: seen.seen,
        by: Some(seen.person.clone()),
    }
}

#[cfg(test)]
mod tests {
    use protocol::Digest;
    use protocol::documents::Head;
    use trust::{Signer as _, SigningKey};

    use super::*;
    use crate::fixture::{Fixture, NOW};

    #[test]
    fn a_head_is_proved_by_both_seals_and_by_nothing_less() {
        let f = Fixture::default();
        let head = Head { epoch: Digest([9; 32]), counter: 3, hash: Digest([3; 32]) };
        let papers = f.seen_head(head, NOW);
        let keys = |name: &AgentName| (name.as_str() == "a.kaya").then(|| f.agent.public_key());
        let record_key = f.endpoint.public_key();
        let id = Fixture::id();
        let good = papers.open(&id, &record_key, keys).unwrap();
        assert_eq!((good.head, good.seen), (head, NOW));
        assert_eq!(papers.claimed(), Some(good));
        assert_eq!(papers.open(&id, &record_key, |_| None), Err(BadHead::Unknown));
        let stranger = SigningKey::from_seed([99; 32]).public_key();
        let by_other = papers.open(&id, &record_key, |_| Some(stranger));
        assert_eq!(by_other, Err(BadHead::Person));
        assert_eq!(papers.open(&id, &stranger, keys), Err(BadHead::Endpoint));
        let other = EndpointId([1; 16]);
        assert_eq!(papers.open(&other, &record_key, keys), Err(BadHead::Differs));
        // Another hello of the same machine beside the person's word.
        let other = f.seen_head(Head { counter: 4, ..head }, NOW);
        let mixed = HeadPapers { hello: other.hello, ..papers.clone() };
        assert_eq!(mixed.open(&id, &record_key, keys), Err(BadHead::Differs));
        let mixed = HeadPapers { hello: papers.seen.clone(), ..papers };
        assert_eq!(mixed.open(&id, &record_key, keys), Err(BadHead::Endpoint));
    }
}
