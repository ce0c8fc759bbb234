//! `org/organisation.toml`: which organisation this home belongs to, and whose home it is.

use policy::Profile;
use protocol::{AgentName, Label};
use serde::{Deserialize, Serialize};

use super::{FileError, Home, read_text, write_public};

/// Which organisation, and whose home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// As people write it, as in `Demo Ltd`.
    pub name: String,
    /// As certificates and policy write it, as in `demo-ltd`.
    pub id: Label,
    /// How it was set up.
    pub profile: Profile,
    /// The agent whose home this is.
    pub me: AgentName,
}

impl Organisation {
    /// Reads it from a home.
    ///
    /// # Errors
    /// [`FileError`]; `is_missing` where there is no organisation yet.
    pub fn read(home: &Home) -> Result<Self, FileError> {
        let path = home.organisation_file();
        let text = read_text(&path)?;
        toml::from_str(&text).map_err(|e| FileError::Damaged { path, why: e.message().to_owned() })
    }

    pub(crate) fn text(&self) -> Result<String, FileError> {
        toml::to_string(self).map_err(|e| FileError::Damaged {
            path: "organisation.toml".into(),
            why: e.to_string(),
        })
    }

    pub(crate) fn write(&self, home: &Home) -> Result<(), FileError> {
        write_public(&home.organisation_file(), self.text()?.as_bytes())
    }

    /// The id that certificates carry for an organisation's name: lower case, words by `-`.
    #[must_use]
    pub fn id_of(name: &str) -> Option<Label> {
        let mut id = String::new();
        for c in name.chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' => id.push(c),
                _ if !id.is_empty() && !id.ends_with('-') => id.push('-'),
                _ => {}
            }
        }
        id.trim_end_matches('-')
            .chars()
            .take(48)
            .collect::<String>()
            .trim_end_matches('-')
            .parse()
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_with_a_letter_has_an_id() {
        let id = |name| Organisation::id_of(name).map(|id| id.to_string());
        assert_eq!(id("Demo Ltd"), Some("demo-ltd".into()));
        assert_eq!(id("  Müller & Söhne GmbH. "), Some("m-ller-s-hne-gmbh".into()));
        assert_eq!(id("../../x"), Some("x".into()));
        assert_eq!(id("漢字"), None);
        assert!(id(&"a ".repeat(100)).unwrap().len() <= 48);
    }
}
