//! A proven answer on its way into the folder: one file first, then everything, the card last.
//! Whatever is cut, the same line finishes it.

use std::collections::BTreeMap;

use protocol::documents::Token;
use protocol::{Bytes, Digest, EndpointName, Envelope, NamePatterns, Time};
use serde::{Deserialize, Serialize};
use trust::catalogue::{Files, FolderStore, TrustedStore as _};
use trust::{SealingSecret, SigningKey};
use zeroize::Zeroizing;

use super::EnrolError;
use super::answer::Proven;
use crate::ledger::{FolderDisk, Ledger};
use crate::state::{self, FileError, KeyName, Layout};

/// The three keys of one endpoint.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) tls: SigningKey,
    pub(super) record: SigningKey,
    pub(super) sealing: SealingSecret,
}

/// The keys that a request named, kept before it is sent: where the answer is lost on the way, the same
/// line asks again as the same machine, and the desk answers again. Readable by root alone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    /// SHA-256 of the token's secret.
    token: Digest,
    tls: Zeroizing<String>,
    record: Zeroizing<String>,
    sealing: Zeroizing<String>,
}

impl Asking {
    fn keys(&self) -> Option<Keys> {
        Some(Keys {
            tls: SigningKey::from_pem(&self.tls, None).ok()?,
            record: SigningKey::from_pem(&self.record, None).ok()?,
            sealing: SealingSecret::from_pem(&self.sealing, None).ok()?,
        })
    }
}

impl Keys {
    /// Those that this line asked with before, or fresh ones; kept in either case.
    pub(super) fn for_token(
        layout: &Layout,
        token: &Token<NamePatterns>,
    ) -> Result<Self, EnrolError> {
        let token = Digest::of(&token.secret.0);
        let bytes = state::read_optional(&layout.asking())?.map(Zeroizing::new);
        // A damaged one counts as none.
        let asked: Option<Asking> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(keys) = asked.filter(|asked| asked.token == token).and_then(|a| a.keys()) {
            return Ok(keys);
        }
        let keys = super::fresh_keys()?;
        let asking = Asking {
            token,
            tls: keys.tls.to_pem(),
            record: keys.record.to_pem(),
            sealing: keys.sealing.to_pem(),
        };
        let json = serde_json::to_vec(&asking).map_err(|e| EnrolError::Request(e.to_string()))?;
        state::write(&layout.asking(), &Zeroizing::new(json))?;
        Ok(keys)
    }
}

/// What was accepted and is being written. Readable by root alone, and gone when it is done.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// SHA-256 of the token's secret.
    token: Digest,
    name: EndpointName,
    tls: Zeroizing<String>,
    record: Zeroizing<String>,
    sealing: Zeroizing<String>,
    root: Bytes,
    files: BTreeMap<String, Bytes>,
    card: Envelope,
    certificates: Vec<Bytes>,
    /// Whom to dial.
    #[serde(default)]
    desks: Vec<String>,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pending({})", self.name)
    }
}

impl Pending {
    pub(super) fn new(token: &Token<NamePatterns>, keys: &Keys, proven: Proven) -> Self {
        Self {
            token: Digest::of(&token.secret.0),
            name: proven.name,
            tls: keys.tls.to_pem(),
            record: keys.record.to_pem(),
            sealing: keys.sealing.to_pem(),
            root: Bytes(proven.root),
            files: proven.files.0.into_iter().map(|(name, b)| (name, Bytes(b))).collect(),
            card: proven.card,
            certificates: proven.certificates.into_iter().map(Bytes).collect(),
            desks: proven.desks,
        }
    }

    /// What an interrupted enrolment left.
    ///
    /// # Errors
    /// [`FileError`] where it cannot be read; a damaged one counts as none.
    pub fn read(layout: &Layout) -> Result<Option<Self>, FileError> {
        let bytes = state::read_optional(&layout.enrolling())?.map(Zeroizing::new);
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Whether it answers this token.
    #[must_use]
    pub fn is_for(&self, token: &Token<NamePatterns>) -> bool {
        self.token == Digest::of(&token.secret.0)
    }

    pub(super) fn write(&self, layout: &Layout) -> Result<(), EnrolError> {
        let json = serde_json::to_vec(self).map_err(|e| EnrolError::Request(e.to_string()))?;
        Ok(state::write(&layout.enrolling(), &Zeroizing::new(json))?)
    }

    /// Writes everything to its place, the card last.
    ///
    /// # Errors
    /// [`EnrolError`]; the same line goes on from here.
    pub fn finish(&self, layout: &Layout, now: Time) -> Result<EndpointName, EnrolError> {
        state::make(layout)?;
        let keys = [
            (KeyName::Tls, &self.tls),
            (KeyName::Record, &self.record),
            (KeyName::Sealing, &self.sealing),
        ];
        for (name, pem) in keys {
            state::write(&layout.key(name), pem.as_bytes())?;
        }
        state::clear_certificates(layout)?;
        for (place, der) in self.certificates.iter().enumerate() {
            state::write(&layout.certificate(place), &der.0)?;
        }
        match self.desks.is_empty() {
            true => state::remove(&layout.desks())?,
            false => state::write(&layout.desks(), self.desks.join("\n").as_bytes())?,
        }
        state::write(&layout.trusted_root(), &self.root.0)?;
        let files: Files = self.files.iter().map(|(n, b)| (n.clone(), b.0.clone())).collect();
        FolderStore::open(layout.catalogue())?.replace(&files)?;
        begin_ledger(layout, now)?;
        let card = self.card.write().map_err(|e| EnrolError::Request(e.to_string()))?;
        state::write(&layout.card(), &card)?;
        state::remove(&layout.asking())?;
        state::remove(&layout.enrolling())?;
        Ok(self.name.clone())
    }
}

/// A fresh epoch: an endpoint enrolled anew begins anew.
fn begin_ledger(layout: &Layout, now: Time) -> Result<(), EnrolError> {
    let mut epoch = [0u8; 32];
    let drawn = getrandom::fill(&mut epoch);
    drawn.map_err(|_| EnrolError::Request("the kernel gave no chance".into()))?;
    let folder = layout.ledger();
    let open = FolderDisk::open(&folder).map_err(state::failed("open", &folder))?;
    let mut opened = Ledger::open(open, Digest(epoch), now, env!("CARGO_PKG_VERSION"))?;
    if opened.ledger.reserve()? {
        Ok(())
    } else {
        Err(EnrolError::NoRoom(layout.root().display().to_string()))
    }
}
