//! Why a catalogue is not believed or not published: closed lists, stable codes for what endpoints
//! refuse. Never repeats file contents.

use std::path::PathBuf;

use protocol::{AgentName, PublicKey, Time, json, limits};

use super::store::StoreError;
use crate::keys::SignError;

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
    /// A role that reaches its threshold only with signatures of who was withdrawn.
    #[error(
        "role `{role}` has {good} of {wanted} signatures of people who were not withdrawn; others \
         of that role have to sign it again, or the root gives it other people"
    )]
    Withdrawn {
        /// Which.
        role: String,
        /// Signatures that count.
        good: usize,
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
            Self::Withdrawn { .. } => "withdrawn",
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

/// Whether a signature by this key counts: neither it nor its owner was withdrawn.
pub type Counts<'a> = &'a dyn Fn(&PublicKey) -> bool;

/// A key as policy's people list knows it: whose it is.
pub type PersonOf<'a> = &'a dyn Fn(&PublicKey) -> Option<AgentName>;

/// Why a catalogue could not be published. Nothing has changed for anybody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// There is a catalogue already.
    #[error("`{0}` holds a catalogue already")]
    Exists(PathBuf),
    /// There is none.
    #[error("`{0}` holds no catalogue")]
    NotThere(PathBuf),
    /// The folder could not be read or written.
    #[error("could not use the repository")]
    Store(#[from] StoreError),
    /// A file of the repository is missing or cannot be read.
    #[error("`{file}` of the repository is missing or damaged")]
    Damaged {
        /// Which.
        file: String,
    },
    /// There is no such role.
    #[error("the catalogue has no role `{role}`")]
    NoRole {
        /// Which.
        role: String,
    },
    /// Too few of a role's people signed.
    #[error("role `{role}` needs {wanted} signatures of its own people, has {good}")]
    Signatures {
        /// Which role.
        role: String,
        /// Good ones.
        good: usize,
        /// How many are needed.
        wanted: usize,
    },
    /// A signer did not sign.
    #[error("could not sign")]
    Sign(#[source] SignError),
    /// The draft lists what does not belong to its role.
    #[error("the draft for role `{role}` lists what does not belong there")]
    Misplaced {
        /// The role it names.
        role: String,
    },
    /// Something else was published in the meantime: make the draft again.
    #[error("the draft for role `{role}` is out of date")]
    OutOfDate {
        /// The role.
        role: String,
    },
    /// Not a draft.
    #[error("not a draft")]
    Draft(#[source] json::BadJson),
    /// A script's version is published with another content: count up.
    #[error("`{path}` is published with another content; a change is a new version")]
    Taken {
        /// Its target path.
        path: String,
    },
    /// No such script version is listed.
    #[error("`{path}` is not listed")]
    Unlisted {
        /// Its target path.
        path: String,
    },
    /// Too large for an endpoint.
    #[error("{what} of {bytes} bytes is larger than {max}")]
    TooLarge {
        /// What is.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A manifest could not be written as JSON.
    #[error("could not write the manifest")]
    Manifest(#[source] serde_json::Error),
    /// The signed part has no canonical form: a number that is not whole.
    #[error("could not write a role")]
    Canonical {
        /// What.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// Endpoints would refuse what was about to be published.
    #[error("endpoints would refuse this catalogue")]
    Refused(#[source] CatalogueError),
}
