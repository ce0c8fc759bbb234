//! A catalogue as files in memory, by their names in the repository. Never looks inside them.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::limits;

use super::store::StoreError;

/// Names as in `1.root.json`, `timestamp.json`, `4.risk-low.json`, `policy/<sha256>.policy.toml`,
/// `scripts/low/<sha256>.cache.clear-3.rhai`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    /// No files.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }
    /// Every plainly named file in a folder and the folders in it; links are passed over.
    ///
    /// # Errors
    /// [`StoreError`] where one cannot be read.
    pub fn from_folder(folder: &Path) -> Result<Self, StoreError> {
        let mut files = Self::new();
        super::store::read_folder(folder, "", &mut files)?;
        Ok(files)
    }
    /// One file's bytes.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }
    /// Puts a file in, in the place of one with the same name.
    pub fn insert(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.0.insert(name.into(), bytes);
    }
    /// Every file, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }
    /// How many files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
    /// Whether an update of this size is taken at all.
    #[must_use]
    pub fn within_limits(&self) -> bool {
        self.len() <= limits::CATALOGUE_FILES_MAX && self.bytes() <= limits::CATALOGUE_BYTES_MAX
    }
}

impl FromIterator<(String, Vec<u8>)> for Files {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}

/// Whether a name may become a path beneath a catalogue's folder: at most three parts of plain
/// characters, none of them hidden.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
    let part =
        |p: &str| !p.is_empty() && p.len() <= 200 && !p.starts_with('.') && p.bytes().all(plain);
    name.split('/').count() <= 3 && name.split('/').all(part)
}

/// The name of version `version` of a role's file.
pub(crate) fn role_file(version: u64, role: &str) -> String {
    format!("{version}.{role}.json")
}

/// The version and role of a role's file name, as in `4.risk-low.json`.
pub(crate) fn read_role_file(name: &str) -> Option<(u64, &str)> {
    let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
    let number: u64 = version.parse().ok()?;
    (number.to_string() == version && !role.contains('/')).then_some((number, role))
}

/// Where a target lies: the digest stands before the file name only.
pub(crate) fn target_file(path: &str, sha256: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{sha256}.{name}"),
        None => format!("{sha256}.{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_paths() {
        for good in ["1.root.json", "scripts/low/ab.cache.clear-3.rhai", "policy/a.policy.toml"] {
            assert!(is_plain(good), "{good}");
        }
        let long = "a".repeat(201);
        for bad in [
            "",
            "/etc/passwd",
            "a//b",
            "../x",
            "a/../b",
            ".hidden",
            "a/.b",
            "A",
            "a b",
            "a\0",
            "a/b/c/d",
            &long,
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }

    #[test]
    fn role_files_have_one_spelling() {
        assert_eq!(read_role_file("4.risk-low.json"), Some((4, "risk-low")));
        for bad in ["timestamp.json", "04.root.json", "+4.root.json", "4.root", "x.root.json"] {
            assert_eq!(read_role_file(bad), None, "{bad}");
        }
        assert_eq!(target_file("scripts/low/a.b-1.rhai", "ff"), "scripts/low/ff.a.b-1.rhai");
    }
}
