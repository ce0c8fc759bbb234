//! Thresholds are counted over people, not over keys. Never decides who is who: the caller's
//! people list does.

use std::collections::BTreeSet;

use protocol::{AgentName, Risk};

use super::guard::POLICY;
use super::{Catalogue, CatalogueError, PersonOf, ScriptEntry};

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
        let wanted = self.roles.get(entry.risk.role()).map_or(1, |a| a.threshold);
        if wanted == 1 {
            return Ok(());
        }
        let people: BTreeSet<AgentName> = entry.signers.iter().filter_map(person_of).collect();
        let path = entry.manifest.target_path();
        if people.len() < wanted {
            return Err(CatalogueError::People { path, people: people.len(), wanted });
        }
        Ok(())
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
