//! `--as NAME`: whose keys sign where one signature is not enough. Counts before it asks, so that
//! nobody types a passphrase for nothing. Never decides what enough is: the catalogue says it.

use std::collections::BTreeMap;

use clap::Args;
use desk::catalogue::{self, CatalogueTrouble, POLICY};
use desk::home::Held;
use desk::org::Desk;
use protocol::{AgentName, Risk};
use trust::SigningKey;

use crate::ctx::Ctx;
use crate::exit::Failure;

/// Whose keys sign.
#[derive(Debug, Clone, Default, Args)]
pub struct Signers {
    /// Whose keys sign, each asked for the passphrase in turn; may be repeated [you]
    #[arg(long = "as", value_name = "NAME")]
    pub people: Vec<AgentName>,
}

impl Signers {
    fn people(&self, desk: &Desk) -> Vec<AgentName> {
        let mut people: Vec<AgentName> = Vec::new();
        for person in &self.people {
            if !people.contains(person) {
                people.push(person.clone());
            }
        }
        if people.is_empty() {
            people.push(desk.organisation.me.clone());
        }
        people
    }

    /// The admin keys of these people, as many as a policy asks for.
    ///
    /// # Errors
    /// Too few people, a key that is not here, a wrong passphrase.
    pub fn admins(&self, ctx: &Ctx, desk: &Desk) -> Result<Vec<SigningKey>, Failure> {
        self.open(ctx, desk, &[POLICY], &[Held::Admin])
    }

    /// The admin and vetter keys of these people, as many as the policy and every list ask for.
    ///
    /// # Errors
    /// As [`Self::admins`].
    pub fn all(&self, ctx: &Ctx, desk: &Desk) -> Result<Vec<SigningKey>, Failure> {
        let [low, medium, high] = Risk::ALL.map(Risk::role);
        self.open(ctx, desk, &[POLICY, low, medium, high], &[Held::Admin, Held::Vetter])
    }

    /// Keys of these kinds of these people, as many of each kind as must sign. Who has none of a kind
    /// gives what he has: the catalogue says whether that is enough.
    ///
    /// # Errors
    /// As [`Self::admins`].
    pub fn duties(
        &self,
        ctx: &Ctx,
        desk: &Desk,
        asked: &BTreeMap<Held, usize>,
    ) -> Result<Vec<SigningKey>, Failure> {
        let people = self.people(desk);
        let mut keys = Vec::new();
        for (kind, wanted) in asked {
            if people.len() < *wanted {
                let (role, have, wanted) = (kind.word().to_owned(), people.len(), *wanted);
                return Err(CatalogueTrouble::TooFewSigners { role, have, wanted }.into());
            }
        }
        for person in &people {
            let have = |kind: &&Held| ctx.held_key_file(desk, **kind, person).is_some();
            for kind in asked.keys().filter(have) {
                keys.push(ctx.held_key(desk, *kind, person)?);
            }
        }
        Ok(keys)
    }

    fn open(
        &self,
        ctx: &Ctx,
        desk: &Desk,
        roles: &[&str],
        kinds: &[Held],
    ) -> Result<Vec<SigningKey>, Failure> {
        let people = self.people(desk);
        let thresholds = catalogue::open(&desk.home, ctx.now())?.thresholds();
        for role in roles {
            let wanted = thresholds.get(*role).map_or(1, |(wanted, _)| *wanted);
            let (role, have) = ((*role).to_owned(), people.len());
            if have < wanted {
                return Err(CatalogueTrouble::TooFewSigners { role, have, wanted }.into());
            }
        }
        let mut keys = Vec::new();
        for person in &people {
            for kind in kinds {
                keys.push(ctx.held_key(desk, *kind, person)?);
            }
        }
        Ok(keys)
    }
}
