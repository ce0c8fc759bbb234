//! Thresholds are counted over people, not over keys. Never decides who is who: the caller's
//! people list does.

use std::collections::BTreeSet;

use protocol::{AgentName, Risk};

use super::guard::POLICY;
use super::{Catalogue, CatalogueError, Counts, PersonOf, ScriptEntry, TARGETS};

impl Catalogue {
    /// Checks what needs the people list: no role lists two keys of one person, and a script that
    /// needs several signatures has them from as many people, so that its author is never alone.
    /// A key that belongs to nobody counts for nobody.
    ///
    /// # Errors
    /// [`CatalogueError`] with code `people`.
    pub fn check_people(&self, person_of: PersonOf<'_>) -> Result<(), CatalogueError> {
        for (role, authority) in &self.roles {
            let mut seen = BTreeSet::new();
            for person in authority.keys.iter().filter_map(person_of) {
                if !seen.insert(person.clone()) {
                    return Err(CatalogueError::TwoKeys { role: role.clone(), person });
                }
            }
        }
        self.scripts.values().try_for_each(|entry| self.check_script(entry, person_of))
    }

    fn check_script(
        &self,
        entry: &ScriptEntry,
        person_of: PersonOf<'_>,
    ) -> Result<(), CatalogueError> {
        let (people, wanted) = self.vetted(entry, &|_| true, person_of);
        if people < wanted {
            let path = entry.manifest.target_path();
            return Err(CatalogueError::People { path, people, wanted });
        }
        Ok(())
    }

    /// How many people whose signatures count vetted a script, and how many must. One of one asks
    /// for no person, only for a key that counts.
    #[must_use]
    pub fn vetted(
        &self,
        entry: &ScriptEntry,
        counts: Counts<'_>,
        person_of: PersonOf<'_>,
    ) -> (usize, usize) {
        let wanted = self.roles.get(entry.risk.role()).map_or(1, |a| a.threshold);
        let good = entry.signers.iter().filter(|key| counts(key));
        let people = if wanted == 1 {
            good.count()
        } else {
            good.filter_map(person_of).collect::<BTreeSet<AgentName>>().len()
        };
        (people, wanted)
    }

    /// Checks that the policy and the top-level targets reach their thresholds without whoever was
    /// withdrawn. No role lists two keys of one person, so keys are people here.
    ///
    /// # Errors
    /// [`CatalogueError::Withdrawn`].
    pub fn check_administrators(&self, counts: Counts<'_>) -> Result<(), CatalogueError> {
        for role in [TARGETS, POLICY] {
            let (good, wanted) = self.signed(role, counts);
            if good < wanted {
                return Err(CatalogueError::Withdrawn { role: role.to_owned(), good, wanted });
            }
        }
        Ok(())
    }

    /// Whether the policy or the top-level targets (`role`) reach their threshold with signatures
    /// that count.
    #[must_use]
    pub fn is_signed(&self, role: &str, counts: Counts<'_>) -> bool {
        let (good, wanted) = self.signed(role, counts);
        good >= wanted
    }

    fn signed(&self, role: &str, counts: Counts<'_>) -> (usize, usize) {
        let wanted = self.roles.get(role).map_or(1, |a| a.threshold);
        let signers = self.signers.get(role).into_iter().flatten();
        (signers.filter(|key| counts(key)).count(), wanted)
    }

    /// What is weak by configuration, one sentence each; records carry them.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<String> {
        let alone =
            |role: &str| self.roles.get(role).filter(|a| a.threshold == 1).map(|a| a.keys.len());
        let signature = |keys: usize| format!("need one signature of {keys}");
        let risks: Vec<(Risk, usize)> =
            Risk::ALL.into_iter().filter_map(|risk| Some((risk, alone(risk.role())?))).collect();
        let mut said = Vec::new();
        match risks.as_slice() {
            [(_, low), (_, medium), (_, high)] if low == medium && medium == high => {
                said.push(format!("scripts of every risk {}", signature(*low)));
            }
            some => {
                let line = |(risk, keys): &(Risk, usize)| {
                    format!("scripts of {risk} risk {}", signature(*keys))
                };
                said.extend(some.iter().map(line));
            }
        }
        for (role, what) in
            [("root", "root changes"), ("targets", "changes of roles"), (POLICY, "policy changes")]
        {
            said.extend(alone(role).map(|keys| format!("{what} {}", signature(keys))));
        }
        said
    }
}
