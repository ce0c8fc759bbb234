//! What was withdrawn since a run, as of the newest catalogue that is at hand.

use policy::Policy;
use protocol::{AgentName, Digest, PublicKey, ScriptName, Time};

use crate::anchors::Anchors;

/// What was in force at the end.
pub(super) struct Today<'a> {
    pub(super) policy: &'a Policy,
    pub(super) anchors: &'a Anchors,
    pub(super) issued: Time,
    /// When the bundle says that it was made.
    pub(super) made: Time,
}

/// `2026-10-01`.
pub(super) fn date(time: Time) -> String {
    time.to_string().chars().take(10).collect()
}

/// `2026-08-14 10:47:33Z`.
pub(super) fn moment(time: Time) -> String {
    time.to_string().replace('T', " ")
}

impl Today<'_> {
    /// `withdrawn 2026-10-01`, or without the day where nobody wrote it down.
    fn withdrawn(&self, name: &str) -> String {
        let known = self.policy.file().denied.since.get(name);
        known.map_or_else(|| "withdrawn since".to_owned(), |at| format!("withdrawn {}", date(*at)))
    }

    /// What has become of a person's key.
    pub(super) fn person(&self, name: &AgentName, key: &PublicKey) -> Option<String> {
        let denied = &self.policy.file().denied;
        if denied.people.contains(name) {
            return Some(self.withdrawn(name.as_str()));
        }
        if denied.keys.contains(key) {
            return Some(self.withdrawn(&key.to_string()));
        }
        match self.policy.person_of(key) {
            Some(person) if person.name == *name => person
                .valid_until
                .filter(|until| *until < self.issued)
                .map(|until| format!("ended {}", date(until))),
            _ => Some("replaced since".to_owned()),
        }
    }

    /// What has become of a script's version.
    pub(super) fn script(
        &self,
        (name, version): &(ScriptName, u32),
        digest: &Digest,
    ) -> Option<String> {
        if self.policy.is_denied_script(digest) {
            return Some(self.withdrawn(&digest.to_string()));
        }
        let listed = self.anchors.scripts.as_ref()?.get(&(name.clone(), *version));
        (listed != Some(digest)).then(|| "no longer listed".to_owned())
    }

    /// What has become of a machine's card.
    pub(super) fn card(&self, serial: u64) -> Option<String> {
        let denied = self.policy.is_denied_card(serial);
        denied.then(|| self.withdrawn(&serial.to_string()))
    }
}
