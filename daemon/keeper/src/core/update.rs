//! Catalogue updates: staged, verified whole on a copy, durable before current. One at a time.

use std::collections::BTreeMap;

use hatch::messages::ToGate;
use policy::{Fault, Policy, PolicyFile};
use protocol::documents::Order;
use protocol::error_chain::ErrorChain;
use protocol::frames::{Answer, Stop};
use protocol::{Bytes, Time, limits};
use trust::catalogue::{Catalogue, CatalogueError, Files, is_plain};

use crate::authorize::vetters;

use super::effect::Effect;
use super::event::{Line, Stamp};
use super::{Core, session};

/// Why a catalogue is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// It does not verify.
    #[error("it does not verify")]
    Catalogue(#[source] CatalogueError),
    /// Its policy has faults.
    #[error("its policy has {} fault(s), the first: {first}", .count)]
    Policy {
        /// How many.
        count: usize,
        /// The first.
        first: Box<Fault>,
    },
    /// Its policy is no text.
    #[error("its policy is empty")]
    NoPolicy,
}

impl Distrust {
    fn code(&self) -> &'static str {
        match self {
            Self::Catalogue(error) => error.code(),
            Self::Policy { .. } | Self::NoPolicy => "policy",
        }
    }
}

/// A catalogue that verified, with its policy and its people.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) catalogue: Catalogue,
    pub(super) policy: Policy,
    pub(super) weaknesses: Vec<String>,
}

impl Trusted {
    pub(super) fn open(files: &Files, root: &[u8], now: Time) -> Result<Self, Distrust> {
        Self::of(Catalogue::open(files, root, now).map_err(Distrust::Catalogue)?)
    }
    /// Thresholds are counted over people here, and nowhere later.
    pub(super) fn of(catalogue: Catalogue) -> Result<Self, Distrust> {
        let policy = PolicyFile::read(catalogue.policy_text()).map_err(|faults| {
            let count = faults.len();
            faults.into_iter().next().map_or(Distrust::NoPolicy, |first| Distrust::Policy {
                count,
                first: Box::new(first),
            })
        })?;
        let person = |key: &protocol::PublicKey| policy.person_of(key).map(|p| p.name.clone());
        catalogue.check_people(&person).map_err(Distrust::Catalogue)?;
        let weaknesses = [catalogue.weaknesses(), policy.weaknesses()].concat();
        Ok(Self { catalogue, policy, weaknesses })
    }
}

/// An update that is arriving on one stream.
#[derive(Debug)]
pub(super) struct Staging {
    line: Line,
    began_ms: u64,
    files: BTreeMap<String, Vec<u8>>,
    /// The file whose parts are arriving.
    open: Option<(String, Vec<u8>)>,
    bytes: usize,
}

/// A stalled update gives way to another session's after, milliseconds.
const STALL_MS: u64 = 30_000;

impl Staging {
    const fn new(line: Line, mono_ms: u64) -> Self {
        Self { line, began_ms: mono_ms, files: BTreeMap::new(), open: None, bytes: 0 }
    }
    /// Adds a part; false where the update is not taken any further.
    fn push(&mut self, name: String, part: &[u8], last: bool) -> bool {
        self.bytes = self.bytes.saturating_add(part.len());
        let room = self.bytes <= limits::CATALOGUE_BYTES_MAX
            && self.files.len() < limits::CATALOGUE_FILES_MAX
            && part.len() <= limits::CHUNK_BYTES_MAX;
        if !room || !is_plain(&name) || self.files.contains_key(&name) {
            return false;
        }
        let (open, mut bytes) = self.open.take().unwrap_or_else(|| (name.clone(), Vec::new()));
        if open != name {
            return false;
        }
        bytes.extend_from_slice(part);
        if last {
            self.files.insert(name, bytes);
        } else {
            self.open = Some((name, bytes));
        }
        true
    }
}

impl Core {
    pub(super) fn catalogue_file(
        &mut self,
        line: Line,
        (name, part, last): (String, Bytes, bool),
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        let ours = self.staging.as_ref().is_some_and(|staging| staging.line == line);
        if !ours {
            let stalled = |s: &Staging| now.mono_ms.saturating_sub(s.began_ms) > STALL_MS;
            let free = self.staging.as_ref().is_none_or(stalled) && self.storing.is_none();
            let pause = limits::CATALOGUE_PAUSE_SECONDS * 1000;
            let last = self.sessions.get(&line.session).and_then(|s| s.updated_ms);
            let early = last.is_some_and(|then| now.mono_ms.saturating_sub(then) < pause);
            if !free || early {
                return session::stop(line, Stop::Rate, out);
            }
            self.staging = Some(Staging::new(line, now.mono_ms));
            if let Some(session) = self.sessions.get_mut(&line.session) {
                session.updated_ms = Some(now.mono_ms);
            }
        }
        let taken = self.staging.as_mut().is_some_and(|s| s.push(name, &part.0, last));
        if !taken {
            self.staging = None;
            refuse(line, "too-large", "the update is larger than is taken, or not laid out", out);
        }
    }

    pub(super) fn catalogue_end(&mut self, line: Line, now: Stamp, out: &mut Vec<Effect>) {
        let Some(staging) = self.staging.take_if(|staging| staging.line == line) else {
            return session::stop(line, Stop::State, out);
        };
        if staging.open.is_some() {
            return refuse(line, "incomplete", "the last file has no end", out);
        }
        let new = Files(staging.files);
        match self.updated(&new, now) {
            Err(why) => {
                let sentence = ErrorChain(&why).to_string();
                refuse(line, why.code(), &sentence, out);
            }
            Ok((trusted, files)) => {
                out.push(Effect::ReplaceCatalogue(files.0.clone()));
                self.storing = Some((line, files, trusted));
            }
        }
    }

    /// Verified over what is trusted. The floor of the trusted catalogue is asked there, not here,
    /// because a root that replaces a stolen online key replaces its time.
    fn updated(&self, new: &Files, now: Stamp) -> Result<(Trusted, Files), Distrust> {
        let time = self.own_time(now);
        let (catalogue, files) =
            Catalogue::update(&self.files, &self.root, new, time).map_err(Distrust::Catalogue)?;
        let next = Trusted::of(catalogue)?;
        // Whoever one of the two policies withdrew signs neither policy nor roles: the new policy
        // takes nobody's word back alone, and nobody whom it withdraws signs it.
        let time = time.max(next.catalogue.floor());
        let held = self.trusted.as_ref();
        let counts = |key: &protocol::PublicKey| {
            next.policy.counts(key, time) && held.is_none_or(|held| held.policy.counts(key, time))
        };
        next.catalogue.check_administrators(&counts).map_err(Distrust::Catalogue)?;
        Ok((next, files))
    }

    pub(super) fn catalogue_stored(&mut self, ok: bool, now: Stamp, out: &mut Vec<Effect>) {
        let Some((line, files, trusted)) = self.storing.take() else { return };
        if !ok {
            return refuse(line, "store", "the endpoint could not keep the catalogue", out);
        }
        (self.files, self.trusted, self.distrust) = (files, Some(trusted), None);
        self.withdraw(now, out);
        if let Some(trust) = self.gate_trust(now) {
            let GateTrust { people_ca, denied, floor, .. } = trust;
            out.push(Effect::ToGate(ToGate::Trust { people_ca, denied, floor }));
        }
        let versions = self.trusted.as_ref().map(|t| t.catalogue.versions()).unwrap_or_default();
        session::answer(line, &Answer::CatalogueTaken { versions }, out);
        session::finish(line, out);
    }
}

impl Core {
    /// What the new policy takes back does not go on and does not start: runs of people who are
    /// withdrawn, of scripts that are denied, and of scripts that too few others vetted.
    fn withdraw(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let Some(trusted) = &self.trusted else { return };
        let (policy, time) = (&trusted.policy, self.trusted_time(now));
        let why = |order: &Order| {
            let person = policy.person(&order.agent);
            let known = person.is_some_and(|person| !policy.is_withdrawn(person, time));
            if !known || policy.is_denied_key(&order.dispatch_key) {
                return Some(format!("{} was withdrawn by policy", order.agent));
            }
            let entry = trusted.catalogue.script(&order.script.name, order.script.version);
            let unvetted = |entry| vetters(entry, &trusted.catalogue, policy, time).is_err();
            let denied = policy.is_denied_script(&order.script.digest);
            (denied || entry.is_some_and(unvetted))
                .then(|| format!("{} was withdrawn by policy", order.script.name))
        };
        let gone = self.runs.iter().filter_map(|(run, found)| Some((*run, why(&found.order)?)));
        for (run, why) in gone.collect::<Vec<_>>() {
            self.cancel(run, why, now, out);
        }
    }
}

use super::setup::GateTrust;

fn refuse(line: Line, code: &str, sentence: &str, out: &mut Vec<Effect>) {
    let (code, sentence) = (code.to_owned(), sentence.to_owned());
    session::answer(line, &Answer::CatalogueRefused { code, sentence }, out);
    session::finish(line, out);
}

impl Staging {
    pub(super) const fn is_of(&self, session: u32) -> bool {
        self.line.session == session
    }
}
