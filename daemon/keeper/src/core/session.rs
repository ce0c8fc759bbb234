//! Sessions: the gate's messages, the hello, challenges, and where each question goes.
//!
//! INVARIANT (gate-decides-nothing): whatever bytes the gate sends, `Spawn` comes from `start` alone.

use std::collections::VecDeque;

use hatch::messages::{FromGate, PeerRole, ToGate};
use protocol::documents::Hello;
use protocol::frames::{Answer, Ask, Stop, decode};
use protocol::{Bytes, Digest, limits};
use trust::seal;

use super::effect::Effect;
use super::event::{Line, Stamp};
use super::{Core, children, recent};
use crate::authorize::Challenges;

/// Session protocol that this daemon speaks.
const PROTOCOL: u32 = 1;
/// Newest document version that this daemon takes.
const DOCUMENTS: u32 = 1;
/// Unfiled runs named in a hello.
const UNFILED_MAX: usize = 64;
/// Bad seals after which a console's session is closed.
const BAD_SEALS_MAX: usize = 8;
/// The stream of the hello.
const FIRST_STREAM: u32 = 0;
/// Sessions at once; the gate admits fewer.
const SESSIONS_MAX: usize = limits::INCOMING_MAX;

/// One admitted peer.
#[derive(Debug)]
pub(super) struct Session {
    role: PeerRole,
    /// Its name, as the gate read it in its certificate.
    peer: String,
    greeted: bool,
    pub(super) challenges: Challenges,
    /// When seals that did not open came.
    bad_seals: VecDeque<u64>,
    pub(super) updated_ms: Option<u64>,
    /// Looks that it ordered.
    pub(super) looks: u32,
}

impl Session {
    const fn new(role: PeerRole, peer: String) -> Self {
        let most = match role {
            PeerRole::Agent => limits::CHALLENGES_MAX,
            PeerRole::Desk => limits::DESK_CHALLENGES_MAX,
        };
        let challenges = Challenges::at_most(most);
        let bad_seals = VecDeque::new();
        Self { role, peer, greeted: false, challenges, bad_seals, updated_ms: None, looks: 0 }
    }
}

/// An answer on a line.
pub(super) fn answer(line: Line, message: &Answer, out: &mut Vec<Effect>) {
    let Ok(bytes) = minicbor::to_vec(message) else { return };
    let Line { session, stream } = line;
    out.push(Effect::ToGate(ToGate::Frame { session, stream, bytes: Bytes(bytes) }));
}

/// Nothing more on this line.
pub(super) fn finish(line: Line, out: &mut Vec<Effect>) {
    let Line { session, stream } = line;
    out.push(Effect::ToGate(ToGate::Finish { session, stream }));
}

/// No record, only a reason, and the end of the line.
pub(super) fn stop(line: Line, code: Stop, out: &mut Vec<Effect>) {
    answer(line, &Answer::Stop { code }, out);
    finish(line, out);
}

impl Core {
    pub(super) fn gate(
        &mut self,
        message: FromGate,
        chance: [u8; 32],
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        match message {
            FromGate::Ready { defences, .. } if !self.gate_ready => {
                self.gate_ready = true;
                self.gate_defences = hatch::messages::Defences::new();
                children::add(&mut self.gate_defences, "gate", defences);
            }
            FromGate::Opened { session, role, peer, .. }
                if !self.sessions.contains_key(&session) =>
            {
                if self.draining || self.sessions.len() >= SESSIONS_MAX {
                    let stop = if self.draining { Stop::Drain } else { Stop::Rate };
                    out.push(Effect::ToGate(ToGate::Close { session, stop }));
                } else {
                    self.sessions.insert(session, Session::new(role, peer));
                }
            }
            // Frames of a session that was just closed are on their way: nobody asks any more.
            FromGate::Frame { session, .. } if !self.sessions.contains_key(&session) => {}
            FromGate::Frame { session, stream, bytes } => {
                let line = Line { session, stream };
                match decode::<Ask>(&bytes.0) {
                    Ok(ask) => self.ask(line, ask, chance, now, out),
                    Err(_) => self.close(session, Stop::Frame, out),
                }
            }
            // Words for people, and its end, which the driver hears of.
            FromGate::Ended { .. } | FromGate::Desk { .. } | FromGate::LookUp => {}
            FromGate::Closed { session } => self.forget(session),
            // Said twice, or not while it serves: this gate is not to be trusted with a socket.
            FromGate::Ready { .. }
            | FromGate::Opened { .. }
            | FromGate::Answer { .. }
            | FromGate::Result { .. } => {
                self.gate_gone();
                out.push(Effect::RestartGate);
            }
        }
    }

    pub(super) fn gate_gone(&mut self) {
        self.gate_ready = false;
        self.gate_slow = false;
        self.sessions.clear();
        self.staging = None;
        for run in self.runs.values_mut() {
            run.followers.clear();
        }
    }

    pub(super) fn close(&mut self, session: u32, stop: Stop, out: &mut Vec<Effect>) {
        self.forget(session);
        out.push(Effect::ToGate(ToGate::Close { session, stop }));
    }

    /// Challenges die with their session; runs go on.
    fn forget(&mut self, session: u32) {
        self.sessions.remove(&session);
        self.staging.take_if(|staging| staging.is_of(session));
        for run in self.runs.values_mut() {
            run.followers.retain(|line| line.session != session);
        }
    }

    fn ask(&mut self, line: Line, ask: Ask, chance: [u8; 32], now: Stamp, out: &mut Vec<Effect>) {
        let greeted = self.sessions.get(&line.session).is_some_and(|session| session.greeted);
        match ask {
            Ask::Hello { min, max } if !greeted => self.greet(line, (min, max), chance, now, out),
            _ if !greeted => self.close(line.session, Stop::State, out),
            Ask::Hello { .. } => self.close(line.session, Stop::State, out),
            Ask::Challenge => {
                if let Some(hello) = self.hello(line.session, chance, now) {
                    answer(line, &Answer::Challenge { hello }, out);
                    if line.stream != FIRST_STREAM {
                        finish(line, out);
                    }
                    self.want_spare(now, out);
                }
            }
            Ask::CatalogueFile { name, part, last } => {
                self.catalogue_file(line, (name, part, last), now, out);
            }
            Ask::CatalogueEnd => self.catalogue_end(line, now, out),
            Ask::Submit { order, dispatch, attestation, approvals } => {
                self.submit(line, (&order, &dispatch, attestation.as_ref(), &approvals), now, out);
            }
            Ask::Recall { recall } => self.take_recall(line, &recall, now, out),
            Ask::Follow { run } => self.follow(line, run, out),
            Ask::Fetch { run } => self.fetch(line, run, out),
            Ask::Output { run } => self.output(line, run, out),
            Ask::Records { after } => self.records(line, after, out),
            Ask::Order { run } => self.order(line, run, out),
            Ask::Filed { record } => {
                if self.may_file(&line, &record, now) {
                    self.append(crate::ledger::Entry::Filed { record }, out);
                }
            }
            Ask::Certificate { leaf } => self.certificate(line, leaf, now, out),
        }
    }

    fn greet(
        &mut self,
        line: Line,
        (min, max): (u32, u32),
        chance: [u8; 32],
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        if !(min..=max).contains(&PROTOCOL) {
            return self.close(line.session, Stop::Version, out);
        }
        let Some(hello) = self.hello(line.session, chance, now) else {
            return self.close(line.session, Stop::Fault, out);
        };
        if let Some(session) = self.sessions.get_mut(&line.session) {
            session.greeted = true;
        }
        let (card, unfiled) = (self.id.card_envelope.clone(), self.index.unfiled(UNFILED_MAX));
        answer(line, &Answer::Hello { hello, card, unfiled }, out);
        self.want_spare(now, out);
    }

    /// Whether this peer's word that a record arrived counts: a desk's, or the order's own agent's.
    /// What a gate that lies can do with it is no more than that the record is not offered again: it
    /// stays, and whoever asks gets it.
    fn may_file(&self, line: &Line, record: &Digest, now: Stamp) -> bool {
        let Some(agent) = self.index.unfiled_of(record) else { return false };
        let Some(session) = self.sessions.get(&line.session) else { return false };
        let Some(trusted) = &self.trusted else { return false };
        let time = self.trusted_time(now);
        let person = || trusted.policy.person(agent);
        match session.role {
            PeerRole::Desk => true,
            PeerRole::Agent => {
                session.peer == agent.as_str()
                    && person().is_some_and(|person| !trusted.policy.is_withdrawn(person, time))
            }
        }
    }

    /// A sealed hello with a new challenge for this session.
    fn hello(&mut self, session: u32, chance: [u8; 32], now: Stamp) -> Option<Bytes> {
        let challenge = self.sessions.get_mut(&session)?.challenges.make(chance, now.mono_ms);
        let trusted = self.trusted.as_ref();
        let hello = Hello {
            card: self.id.card_digest,
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            documents_max: DOCUMENTS,
            catalogue: trusted.map(|t| t.catalogue.versions()).unwrap_or_default(),
            head: self.index.head(),
            clock: now.wall,
            challenge,
            version: self.id.version.clone(),
        };
        let envelope = seal::seal(&hello, &[&*self.id.signer]).ok()?;
        envelope.write().ok().map(Bytes)
    }

    /// Seals that do not open are counted. A console that keeps sending them is closed; a desk
    /// speaks for many, and is only slowed ([`Self::is_too_bad`]).
    pub(super) fn no_seal(&mut self, line: Line, now: Stamp, out: &mut Vec<Effect>) {
        self.unsealed = self.unsealed.saturating_add(1);
        let Some(session) = self.sessions.get_mut(&line.session) else { return };
        session.bad_seals.push_back(now.mono_ms);
        if session.role == PeerRole::Agent && session.bad_seals.len() >= BAD_SEALS_MAX {
            return self.close(line.session, Stop::Rate, out);
        }
        stop(line, Stop::Seal, out);
    }

    /// Whether a desk brought more bad seals in the last minute than are looked at.
    pub(super) fn is_too_bad(&mut self, line: Line, now: Stamp) -> bool {
        self.sessions.get_mut(&line.session).is_some_and(|session| {
            session.role == PeerRole::Desk
                && recent(&mut session.bad_seals, now.mono_ms) >= limits::DESK_BAD_SEALS_A_MINUTE
        })
    }
}
