//! The endpoint's folder: keys, card, certificates, the pinned root. Written whole at enrolment.
//!
//! The card is written last and makes the enrolment: without it there is none. Never readable by
//! anybody but root.

mod files;
mod reserve;

use std::path::{Path, PathBuf};

use protocol::documents::Card;
use protocol::{Envelope, PublicKey};
use trust::{SealingSecret, Signer as _, SigningKey};
use zeroize::Zeroizing;

pub use files::{FileError, read, read_optional, write};
pub(crate) use files::{failed, is_full, make_folder, remove, sync_folder};
pub use reserve::{Filled, Reserve};

/// Where everything lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Beneath this folder.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// A private key.
    #[must_use]
    pub fn key(&self, name: KeyName) -> PathBuf {
        self.root.join("keys").join(name.file())
    }
    /// The desks to dial that the enrolment named, one a line, where it named some.
    #[must_use]
    pub fn desks(&self) -> PathBuf {
        self.root.join("desks")
    }
    /// The token with which a copy of an image joins at its first start.
    #[must_use]
    pub fn first_start(&self) -> PathBuf {
        self.root.join("first-start")
    }
    /// The card's envelope; its presence is the enrolment.
    #[must_use]
    pub fn card(&self) -> PathBuf {
        self.root.join("card.json")
    }
    /// One certificate of the chain, leaf 0.
    #[must_use]
    pub fn certificate(&self, place: usize) -> PathBuf {
        self.root.join("certificates").join(format!("{place}.der"))
    }
    /// The pinned first root.
    #[must_use]
    pub fn trusted_root(&self) -> PathBuf {
        self.root.join("root.json")
    }
    /// The trusted catalogue.
    #[must_use]
    pub fn catalogue(&self) -> PathBuf {
        self.root.join("catalogue")
    }
    /// The ledger's segments.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }
    /// One run's effects file, or what it printed.
    #[must_use]
    pub fn effects(&self, run: &protocol::RunId, ending: &str) -> PathBuf {
        self.root.join("effects").join(format!("{run}.{ending}"))
    }
    /// Sealed one-time secrets.
    #[must_use]
    pub fn escrow(&self) -> PathBuf {
        self.root.join("escrow")
    }
    /// Plans that were made here.
    #[must_use]
    pub fn plans(&self) -> PathBuf {
        self.root.join("plans")
    }
    /// Room that is held for a full disk.
    #[must_use]
    pub fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }
    /// How it stands with the line to a desk, in words.
    #[must_use]
    pub fn line(&self) -> PathBuf {
        self.root.join("line")
    }
    /// An accepted enrolment that is being written.
    #[must_use]
    pub fn enrolling(&self) -> PathBuf {
        self.root.join("enrolling.json")
    }
    /// The keys that a request to enrol named, until it is answered.
    #[must_use]
    pub fn asking(&self) -> PathBuf {
        self.root.join("asking.json")
    }
    /// Whether this machine is enrolled.
    #[must_use]
    pub fn is_enrolled(&self) -> bool {
        self.card().exists()
    }
    /// All folders that hold anything.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        ["keys", "certificates", "ledger", "records", "effects", "escrow", "plans", "reserve"]
            .map(|name| self.root.join(name))
            .into()
    }
}

/// The endpoint's three keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyName {
    /// The gate's only secret.
    Tls,
    /// Signs hellos and records.
    Record,
    /// Opens secrets.
    Sealing,
}

impl KeyName {
    const fn file(self) -> &'static str {
        match self {
            Self::Tls => "tls.pem",
            Self::Record => "record.pem",
            Self::Sealing => "sealing.pem",
        }
    }
}

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is none.
    #[error("this machine is not enrolled: no card in `{}`; run \
         `salved enroll TOKEN`", .0.display())]
    NotEnrolled(PathBuf),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key.
    #[error("could not read the key in `{}`", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: trust::KeyError,
    },
    /// Something in the folder does not belong to the rest.
    #[error("`{}` does not fit the rest of the folder: {why}; restore it, or \
         enrol anew", path.display())]
    Odd {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Everything that the keeper has in memory of its own identity.
#[derive(Debug)]
pub struct Identity {
    /// PKCS#8 DER of the TLS key.
    pub tls: Zeroizing<Vec<u8>>,
    /// Its public half.
    pub tls_public: PublicKey,
    /// Signs hellos and records.
    pub record: SigningKey,
    /// Opens secrets.
    pub sealing: SealingSecret,
    /// The card.
    pub card: Card,
    /// The card as it travels.
    pub card_envelope: Envelope,
    /// Certificate chain, leaf first.
    pub certificates: Vec<Vec<u8>>,
    /// The pinned first root.
    pub root: Vec<u8>,
}

/// DER of the SubjectPublicKeyInfo of an ed25519 key (RFC 8410).
#[must_use]
pub fn spki(key: &PublicKey) -> Vec<u8> {
    let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    der.extend_from_slice(&key.0);
    der
}

fn signing_key(layout: &Layout, name: KeyName) -> Result<SigningKey, StateError> {
    let path = layout.key(name);
    let pem = Zeroizing::new(read(&path)?);
    let text = Zeroizing::new(String::from_utf8_lossy(&pem).into_owned());
    SigningKey::from_pem(&text, None).map_err(|source| StateError::Key { path, source })
}

impl Identity {
    /// Reads the folder of an enrolled endpoint and checks that its parts belong together.
    ///
    /// # Errors
    /// [`StateError`] names the file.
    pub fn load(layout: &Layout) -> Result<Self, StateError> {
        if !layout.is_enrolled() {
            return Err(StateError::NotEnrolled(layout.root().to_owned()));
        }
        let odd = |path: PathBuf, why: &str| StateError::Odd { path, why: why.to_owned() };
        let tls = signing_key(layout, KeyName::Tls)?;
        let record = signing_key(layout, KeyName::Record)?;
        let path = layout.key(KeyName::Sealing);
        let pem = Zeroizing::new(read(&path)?);
        let text = Zeroizing::new(String::from_utf8_lossy(&pem).into_owned());
        let sealing = SealingSecret::from_pem(&text, None)
            .map_err(|source| StateError::Key { path: path.clone(), source })?;
        let card_path = layout.card();
        let bytes = read(&card_path)?;
        let card_envelope =
            Envelope::read(&bytes).map_err(|_| odd(card_path.clone(), "it is no sealed card"))?;
        // Who sealed it was checked at enrolment; the folder is root's alone, as are the keys.
        let card: Card = trust::seal::peek(&card_envelope)
            .map_err(|_| odd(card_path.clone(), "it is no sealed card"))?;
        let mut certificates = Vec::new();
        while let Some(der) = read_optional(&layout.certificate(certificates.len()))? {
            certificates.push(der);
        }
        let root = read(&layout.trusted_root())?;
        let identity = Self {
            tls: tls.pkcs8_der(),
            tls_public: tls.public_key(),
            record,
            sealing,
            card,
            card_envelope,
            certificates,
            root,
        };
        let fault = identity.mismatch();
        fault.map_or(Ok(identity), |why| Err(odd(card_path, why)))
    }

    /// What of the folder is not this card's.
    fn mismatch(&self) -> Option<&'static str> {
        if protocol::Digest::of(&spki(&self.tls_public)) != self.card.tls_key {
            return Some("the card names another TLS key");
        }
        if self.record.public_key() != self.card.record_key {
            return Some("the card names another record key");
        }
        if self.sealing.public().ok().as_ref() != Some(&self.card.sealing_key) {
            return Some("the card names another sealing key");
        }
        self.certificates.is_empty().then_some("there is no certificate")
    }
}

/// Makes the folder and everything that holds anything in it; root's alone.
///
/// # Errors
/// [`FileError`].
pub fn make(layout: &Layout) -> Result<(), FileError> {
    layout.folders().iter().try_for_each(|folder| make_folder(folder))?;
    sync_folder(layout.root())
}

/// Removes certificates of an earlier enrolment.
///
/// # Errors
/// [`FileError`].
pub(crate) fn clear_certificates(layout: &Layout) -> Result<(), FileError> {
    let mut place = 0;
    while layout.certificate(place).exists() {
        remove(&layout.certificate(place))?;
        place += 1;
    }
    Ok(())
}
