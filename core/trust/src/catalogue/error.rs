//! Why a catalogue is not believed: one closed list with stable codes. Never repeats file contents.

use protocol::{AgentName, PublicKey, Time, json, limits};

use super::store::StoreError;

/// Why a catalogue was refused; what was trusted before is trusted still.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// Too many bytes or files.
    #[error(
        "update of {bytes} bytes in {files} files, at most {max} in {most} are taken",
        max = limits::CATALOGUE_BYTES_MAX,
        most = limits::CATALOGUE_FILES_MAX
    )]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// Its files.
        files: usize,
    },
    /// More root versions in one update than are followed.
    #[error("more than {max} root versions in one update", max = limits::ROOT_CHAIN_MAX)]
    RootChain,
    /// A file is missing.
    #[error("`{file}` is missing")]
    Missing {
        /// Which.
        file: String,
    },
    /// Not strict JSON: duplicate keys, floats, integers of 2^53 and above, trailing bytes.
    #[error("`{file}` is not strict JSON")]
    Json {
        /// Which.
        file: String,
        /// What.
        #[source]
        source: json::BadJson,
    },
    /// TUF's own rules: thresholds, versions, pins.
    #[error("`{file}` does not verify")]
    Tuf {
        /// Which.
        file: String,
        /// The rule.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// A key is not plain ed25519, weak, or listed under another id than its own.
    #[error("`{file}` lists a key that is not taken: {because}")]
    Key {
        /// Which file.
        file: String,
        /// What is wrong.
        because: &'static str,
    },
    /// A role is not laid out as salve's catalogue is.
    #[error("`{file}`: {because}")]
    Layout {
        /// Which file.
        file: String,
        /// What is wrong.
        because: &'static str,
    },
    /// One version with two contents.
    #[error("`{name}` has another content than the one trusted before")]
    Equivocation {
        /// The role's file or the script version.
        name: String,
    },
    /// A role has expired.
    #[error("`{role}` expired at {expired}")]
    Expired {
        /// Which.
        role: String,
        /// When.
        expired: Time,
    },
    /// A script's or the policy's bytes are not the ones listed.
    #[error("`{path}` is not the file that the catalogue lists")]
    Target {
        /// Its target path.
        path: String,
    },
    /// A script's manifest is malformed, or says another name, version or risk than its path.
    #[error("the manifest of `{path}` is not one, or belongs to another path")]
    Manifest {
        /// Its target path.
        path: String,
        /// What, where it is known.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// Two keys of one person in one role.
    #[error("role `{role}` lists two keys of {person}")]
    TwoKeys {
        /// The role.
        role: String,
        /// Whose.
        person: AgentName,
    },
    /// Fewer people than its threshold vetted a script.
    #[error("`{path}` was vetted by {people} people, {wanted} are needed")]
    People {
        /// The script.
        path: String,
        /// How many people signed.
        people: usize,
        /// How many must.
        wanted: usize,
    },
    /// The trusted catalogue could not be read or written.
    #[error("could not keep the catalogue")]
    Store(#[from] StoreError),
}

impl CatalogueError {
    /// The stable code, as in `rollback`; see `Answer::CatalogueRefused`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::RootChain => "root-chain",
            Self::Missing { .. } => "incomplete",
            Self::Json { .. } => "malformed",
            Self::Tuf { source, .. } => tuf_code(source),
            Self::Key { .. } => "key",
            Self::Layout { .. } => "layout",
            Self::Equivocation { .. } => "equivocation",
            Self::Expired { .. } => "stale",
            Self::Target { .. } => "mismatch",
            Self::Manifest { .. } => "manifest",
            Self::TwoKeys { .. } | Self::People { .. } => "people",
            Self::Store(_) => "store",
        }
    }
}

fn tuf_code(error: &sigstore_tuf::Error) -> &'static str {
    use sigstore_tuf::Error as E;
    match error {
        E::Rollback { .. } => "rollback",
        E::EqualVersion { .. } => "equivocation",
        E::BadRootVersion { .. } => "root-chain",
        E::Expired { .. } => "stale",
        E::DuplicateSignature { .. } | E::ThresholdNotMet { .. } => "threshold",
        E::IntegrityMismatch(_) => "mismatch",
        E::UnusableKey { .. } | E::UnsupportedScheme { .. } | E::Crypto(_) => "key",
        _ => "malformed",
    }
}

/// A key as policy's people list knows it: whose it is.
pub type PersonOf<'a> = &'a dyn Fn(&PublicKey) -> Option<AgentName>;
