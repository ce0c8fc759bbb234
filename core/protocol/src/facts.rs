//! Facts about a machine, as `host.facts` puts them out: bounded and typed, and hostile until read.
//!
//! The bytes are a run's whole output; the record has their digest. Whoever reads them checks that
//! first, then reads strictly: no unknown field, no duplicate, no control character, every text and
//! list bounded. One fault and there are no facts.

use serde::{Deserialize, Serialize};

use crate::json;

/// Largest facts, bytes.
pub const FACTS_BYTES_MAX: usize = 256 * 1024;
/// Longest text of a fact, characters.
const TEXT_CHARS_MAX: usize = 200;
/// Most disks, failed units and people.
const LIST_MAX: usize = 128;
/// Most packages.
pub const PACKAGES_MAX: usize = 6000;

/// Memory, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What programs could still have.
    pub available: u64,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Where.
    pub mount: String,
    /// Bytes.
    pub total: u64,
    /// Bytes that are free.
    pub free: u64,
    /// It takes no writes.
    pub read_only: bool,
}

/// Starts of the machine in the last 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boots {
    /// How many.
    pub count: u32,
    /// How many of them came without a shutdown before.
    pub unclean: u32,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name, with the architecture where that is another one.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Days since one of its programs was last read, where the file system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_days: Option<u32>,
}

/// What a machine says of itself. What it does not know is missing, never guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The name that it has for itself.
    pub host: String,
    /// The system's name and version.
    pub system: String,
    /// The kernel's version.
    pub kernel: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// File systems.
    pub disks: Vec<Disk>,
    /// Whether the system asks for a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot_needed: Option<bool>,
    /// Its starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boots: Option<Boots>,
    /// Units in state failed; none where nobody could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_units: Option<Vec<String>>,
    /// Accounts of people who are signed in; none where policy does not allow the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in: Option<Vec<String>>,
    /// What is installed; none where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<Vec<Package>>,
}

/// Why bytes are no facts.
#[derive(Debug, thiserror::Error)]
pub enum BadFacts {
    /// Larger than taken.
    #[error("they are larger than {FACTS_BYTES_MAX} bytes")]
    TooLarge,
    /// Not JSON of this shape.
    #[error("they cannot be read")]
    Shape(#[from] json::BadJson),
    /// A text that nobody would show.
    #[error("`{field}` has a text that is empty, too long or not printable")]
    Text {
        /// Where.
        field: &'static str,
    },
    /// A list that is too long.
    #[error("`{field}` has more entries than are taken")]
    Long {
        /// Which.
        field: &'static str,
    },
}

impl Facts {
    /// Reads facts strictly.
    ///
    /// # Errors
    /// [`BadFacts`].
    pub fn read(bytes: &[u8]) -> Result<Self, BadFacts> {
        if bytes.len() > FACTS_BYTES_MAX {
            return Err(BadFacts::TooLarge);
        }
        let facts: Self = json::read(bytes)?;
        facts.check().map(|()| facts)
    }

    fn check(&self) -> Result<(), BadFacts> {
        text("host", &self.host)?;
        text("system", &self.system)?;
        text("kernel", &self.kernel)?;
        let mounts: Vec<&String> = self.disks.iter().map(|disk| &disk.mount).collect();
        list("disks", &mounts, LIST_MAX)?;
        for (field, all) in [("failed_units", &self.failed_units), ("signed_in", &self.signed_in)] {
            let all: Vec<&String> = all.iter().flatten().collect();
            list(field, &all, LIST_MAX)?;
        }
        let packages = self.packages.as_deref().unwrap_or_default();
        let names: Vec<&String> = packages.iter().map(|package| &package.name).collect();
        list("packages", &names, PACKAGES_MAX)?;
        packages.iter().try_for_each(|package| text("packages", &package.version))
    }
}

/// Bidirectional controls would have a line say something else than it does.
fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text as facts may hold it: what nobody would show is a `?`, and what is too long is cut.
#[must_use]
pub fn shown(text: &str) -> String {
    let one = |c: char| if c.is_control() || turns(c) { '?' } else { c };
    let shown: String = text.chars().take(TEXT_CHARS_MAX).map(one).collect();
    if shown.trim().is_empty() { "?".to_owned() } else { shown }
}

fn text(field: &'static str, text: &str) -> Result<(), BadFacts> {
    let good = !text.trim().is_empty()
        && text.chars().count() <= TEXT_CHARS_MAX
        && !text.chars().any(|c| c.is_control() || turns(c));
    if good { Ok(()) } else { Err(BadFacts::Text { field }) }
}

fn list(field: &'static str, all: &[&String], max: usize) -> Result<(), BadFacts> {
    if all.len() > max {
        return Err(BadFacts::Long { field });
    }
    all.iter().try_for_each(|one| text(field, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        r#"{"host":"pc","system":"Debian 12","kernel":"6.1","uptime":5,"disks":[]}"#;

    #[test]
    fn the_vector_is_read_and_written_byte_for_byte() {
        let vector = include_bytes!("../../../tests/vectors/facts.json");
        let facts = Facts::read(vector).unwrap();
        assert_eq!(facts.signed_in.as_deref(), Some(&["jo.meyer".to_owned()][..]));
        assert_eq!(json::write(&facts).unwrap(), vector);
    }

    fn with(field: &str) -> String {
        LEAST.replace("\"disks\":[]", &format!("\"disks\":[],{field}"))
    }

    #[test]
    fn facts_are_read_whole_or_not_at_all() {
        let facts = Facts::read(LEAST.as_bytes()).unwrap();
        assert_eq!((facts.uptime, facts.signed_in), (5, None));
        let long = "x".repeat(TEXT_CHARS_MAX + 1);
        let many = vec!["\"a.service\""; LIST_MAX + 1].join(",");
        for bad in [
            String::new(),
            LEAST.replace("pc", "\\u001b[2J"),
            LEAST.replace("pc", "\\u202e"),
            LEAST.replace("pc", ""),
            LEAST.replace("pc", &long),
            LEAST.replace("\"uptime\":5", "\"uptime\":-5"),
            LEAST.replace("\"uptime\":5", "\"uptime\":5.5"),
            LEAST.replace("\"uptime\":5", "\"uptime\":5,\"uptime\":6"),
            with("\"more\":1"),
            with(&format!("\"failed_units\":[{many}]")),
            with("\"signed_in\":[\"a\\nb\"]"),
            with("\"packages\":[{\"name\":\"a\",\"version\":\"1\",\"size\":2}]"),
            format!("{LEAST}{}", " ".repeat(FACTS_BYTES_MAX)),
            format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        ] {
            assert!(
                Facts::read(bad.as_bytes()).is_err(),
                "{}",
                bad.chars().take(200).collect::<String>()
            );
        }
    }
}
