//! Taking trust back: a machine's card, a person. Both are lines of the signed policy, so endpoints
//! act on them with the next update, and nothing is forgotten here.

use policy::PolicyFile;
use protocol::documents::Card;
use protocol::{AgentName, Digest, Envelope, ScriptName, Time};
use store::{AgentState, EndpointRow, EndpointState};
use trust::SigningKey;

use super::open::Desk;
use crate::books::BookError;
use crate::catalogue::{self, CatalogueTrouble};
use crate::home::FileError;

/// Why nothing was withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawError {
    /// No such person in the policy.
    #[error("`{name}` is not in the policy")]
    Nobody {
        /// As asked for.
        name: AgentName,
    },
    /// Nobody would be left to sign orders.
    #[error("`{name}` is the last one who may sign orders")]
    Last {
        /// As asked for.
        name: AgentName,
    },
    /// No such script counts.
    #[error("no version{} of {name} is listed and not withdrawn", version.map(|v| format!(" {v}")).unwrap_or_default())]
    NoScript {
        /// As asked for.
        name: ScriptName,
        /// As asked for.
        version: Option<u32>,
    },
    /// The card in the store cannot be read.
    #[error("the card of `{name}` is damaged")]
    Card {
        /// Of which machine.
        name: protocol::EndpointName,
    },
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
    /// The home.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] BookError),
}

impl Desk {
    /// Withdraws a machine: its card's serial is denied by policy, its name is free again, its runs
    /// stay.
    ///
    /// # Errors
    /// [`WithdrawError`]; nothing has changed then.
    pub fn withdraw_endpoint(
        &self,
        row: &EndpointRow,
        admins: &[SigningKey],
        now: Time,
    ) -> Result<(), WithdrawError> {
        let damaged = || WithdrawError::Card { name: row.name.clone() };
        let envelope = Envelope::read(&row.card).map_err(|_| damaged())?;
        // Only its serial is wanted, and denying a serial can only narrow.
        let card = trust::seal::peek::<Card>(&envelope).map_err(|_| damaged())?;
        self.change_policy(admins, now, |file| {
            if !file.denied.cards.contains(&card.serial) {
                file.denied.cards.push(card.serial);
                file.denied.since.insert(card.serial.to_string(), now);
            }
        })?;
        Ok(self.store.set_endpoint_state(row.id, EndpointState::Withdrawn)?)
    }

    /// Withdraws a script: one version, or all that are listed. Endpoints refuse them from their next
    /// update on, and end what runs of them. Gives the versions that counted until now.
    ///
    /// # Errors
    /// [`WithdrawError`]; nothing has changed then.
    pub fn withdraw_script(
        &self,
        name: &ScriptName,
        version: Option<u32>,
        admins: &[SigningKey],
        now: Time,
    ) -> Result<Vec<u32>, WithdrawError> {
        let catalogue = catalogue::open(&self.home, now)?;
        let policy = catalogue::policy_of(&catalogue)?;
        let meant: Vec<(u32, Digest)> = catalogue
            .scripts()
            .filter(|entry| entry.manifest.name == *name)
            .map(|entry| (entry.manifest.version, entry.digest))
            .filter(|(listed, _)| version.is_none_or(|version| version == *listed))
            .filter(|(_, digest)| !policy.is_denied_script(digest))
            .collect();
        if meant.is_empty() {
            return Err(WithdrawError::NoScript { name: name.clone(), version });
        }
        self.change_policy(admins, now, |file| {
            for (_, digest) in &meant {
                if !file.denied.scripts.contains(digest) {
                    file.denied.scripts.push(*digest);
                    file.denied.since.insert(digest.to_string(), now);
                }
            }
        })?;
        Ok(meant.into_iter().map(|(version, _)| version).collect())
    }

    /// Withdraws a person: nothing that they sign counts any more.
    ///
    /// # Errors
    /// [`WithdrawError`]; nothing has changed then.
    pub fn withdraw_agent(
        &self,
        name: &AgentName,
        admins: &[SigningKey],
        now: Time,
    ) -> Result<(), WithdrawError> {
        let policy = catalogue::policy(&self.home, now)?;
        let people = &policy.file().people;
        if !people.iter().any(|person| person.name == *name) {
            return Err(WithdrawError::Nobody { name: name.clone() });
        }
        let stays = |person: &&policy::Person| {
            let joined = person.signing_key.is_some();
            joined && person.name != *name && !policy.is_withdrawn(person, now)
        };
        if people.iter().filter(stays).count() == 0 {
            return Err(WithdrawError::Last { name: name.clone() });
        }
        // The console's certificate goes with its owner: doors close, and lines that are open end.
        let agents = self.store.agents()?;
        let leaf = agents.into_iter().find(|row| row.name == *name).and_then(|row| row.certificate);
        let serial = leaf.and_then(|der| certs::read(&der).ok()).map(|facts| facts.serial);
        let serial = serial.map(|bytes| bytes.iter().map(|b| format!("{b:02x}")).collect());
        self.change_policy(admins, now, |file| {
            if !file.denied.people.contains(name) {
                file.denied.people.push(name.clone());
                file.denied.since.insert(name.to_string(), now);
            }
            let known: &mut Vec<String> = &mut file.denied.serials;
            known.extend(serial.filter(|serial| !known.contains(serial)));
        })?;
        Ok(self.store.put_agent(name.clone(), AgentState::Withdrawn, None, None, now)?)
    }

    fn change_policy(
        &self,
        admins: &[SigningKey],
        now: Time,
        change: impl FnOnce(&mut PolicyFile),
    ) -> Result<(), CatalogueTrouble> {
        catalogue::change(self, now, |home| {
            let mut file = catalogue::policy(home, now)?.file().clone();
            change(&mut file);
            catalogue::publish_policy(home, &catalogue::policy_text(&file)?, admins, now)
        })
    }
}
