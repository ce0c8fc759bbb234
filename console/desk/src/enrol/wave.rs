//! A token that the shared desk admits machines with: one to paste on many. Made by whoever may,
//! kept by digest at the desk, which signs cards for it with its enroller's key.
//!
//! Never decides who may give a label: the signed policy does, and every machine checks it again.

use std::collections::BTreeMap;

use policy::Policy;
use protocol::{Digest, Label, NamePatterns, Time};
use store::Enrolment;

use super::error::EnrolError;
use super::token;
use crate::books::{Books, LineFault};
use crate::org::Desk;

/// What a token should let in.
#[derive(Debug, Clone)]
pub struct NewWave {
    /// Machines of these names.
    pub names: NamePatterns,
    /// Labels on their cards.
    pub labels: BTreeMap<Label, Label>,
    /// Whose they are.
    pub person: Option<String>,
    /// How many, at most [`protocol::limits::ENROL_BATCH_MAX`].
    pub count: u64,
    /// How long it counts, seconds, at most [`protocol::limits::ENROL_BATCH_DAYS_MAX`] days.
    pub seconds: u64,
    /// `HOST:PORT` where machines find the shared desk; none where that is where this home finds it.
    pub desk: Option<String>,
}

/// A token that was made.
#[derive(Debug, Clone)]
pub struct WaveToken {
    /// The text to paste.
    pub text: String,
    /// SHA-256 of its secret: how the desk knows it.
    pub secret: Digest,
    /// Where machines bring it.
    pub desk: String,
    /// Until when it counts.
    pub expires: Time,
}

/// Whether some enroller of the policy may give these labels.
fn check_labels(policy: &Policy, labels: &BTreeMap<Label, Label>) -> Result<(), EnrolError> {
    let enrollers = || policy.file().enrollers.iter().filter_map(|e| policy.enroller(&e.key));
    for (label, value) in labels {
        if !enrollers().any(|enroller| enroller.may_give(label, value)) {
            let (label, value) = (label.clone(), value.clone());
            return Err(EnrolError::LabelNotAllowed { label, value });
        }
    }
    Ok(())
}

/// Where machines find the shared desk, and the key that they pin.
fn place(desk: &Desk, given: Option<&str>) -> Result<(String, Digest), EnrolError> {
    match &desk.store {
        Books::Here(_) => {
            let address = given.ok_or(EnrolError::NoDesk)?.to_owned();
            Ok((address, token::own_key(&desk.home)?))
        }
        Books::There(line) => {
            let address = given.unwrap_or(line.desk()).to_owned();
            let fault = || LineFault::Unexpected { desk: line.desk().to_owned() };
            let connection = line.connection().map_err(|fault| EnrolError::Store(fault.into()))?;
            let key = connection.peer().map(|peer| peer.key);
            Ok((address, key.ok_or_else(|| EnrolError::Store(fault().into()))?))
        }
    }
}

impl NewWave {
    /// Makes the token; the desk keeps the digest of its secret.
    ///
    /// # Errors
    /// [`EnrolError`]: a name that is taken, a label that nobody may give, no desk to name, more
    /// machines or time than a token may have.
    pub fn make(&self, desk: &Desk, now: Time) -> Result<WaveToken, EnrolError> {
        if let Some(name) = self.names.exact()
            && desk.store.endpoint_named(name.clone())?.is_some()
        {
            return Err(EnrolError::NameTaken { name });
        }
        check_labels(&crate::catalogue::policy(&desk.home, now)?, &self.labels)?;
        let (address, desk_key) = place(desk, self.desk.as_deref())?;
        let token = token::fresh_token(&desk.home, &self.names, address, desk_key)?;
        let enrolment = Enrolment {
            labels: self.labels.clone(),
            person: self.person.clone(),
            places: self.count,
            taken: 0,
        };
        let (secret, expires) = (Digest::of(&token.secret.0), now.plus(self.seconds));
        desk.store.add_enrolment(secret, self.names.clone(), enrolment, expires, now)?;
        Ok(WaveToken { text: token.to_string(), secret, desk: token.desk, expires })
    }
}
