//! Between the keeper and the process that asks the person at the machine: one message each way.

use std::path::PathBuf;

use minicbor::{Decode, Encode};
use protocol::documents::Heard;
use protocol::{AgentName, ScriptName, TicketId};

use super::Exceptions;

/// Where a question is answered, in the runtime folder of whoever is asked.
pub const ANSWER_SOCKET: &str = "salve-ask";

/// A person's own folder, as logind makes it (pam_systemd(8)).
#[must_use]
pub fn runtime(uid: u32) -> PathBuf {
    PathBuf::from(format!("/run/user/{uid}"))
}

/// What the person at the machine is asked, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Question {
    /// The organisation.
    #[n(0)]
    pub from: String,
    /// The agent on whose plan it is.
    #[n(1)]
    pub agent: AgentName,
    /// The script.
    #[n(2)]
    pub script: ScriptName,
    /// The ticket.
    #[n(3)]
    pub ticket: Option<TicketId>,
    /// The script's own question.
    #[n(4)]
    pub question: String,
    /// What it would change, a line each.
    #[n(5)]
    pub lines: Vec<String>,
    /// Until there is no answer, seconds.
    #[n(6)]
    pub seconds: u64,
}

/// A session of a person, as logind tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Session {
    /// Login name.
    #[n(0)]
    pub person: String,
    /// Uid and gid.
    #[n(1)]
    pub ids: (u32, u32),
    /// Its terminal below `/dev`, where it has one.
    #[n(2)]
    pub terminal: Option<String>,
    /// Whether it has a desktop.
    #[n(3)]
    pub desktop: bool,
}

/// What the keeper says to a prompter, once.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ToPrompter {
    /// Whose session.
    #[n(0)]
    pub session: Session,
    /// What is asked.
    #[n(1)]
    pub question: Question,
    /// What the person types to answer, as in `/usr/sbin/salved answer`.
    #[n(2)]
    pub command: String,
    /// Which defences may be missing.
    #[n(3)]
    pub exceptions: Exceptions,
}

/// What a prompter says to the keeper, once.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FromPrompter {
    /// What came of it.
    #[n(0)]
    pub answer: Heard,
    /// Where it was shown, as in `terminal tty2`.
    #[n(1)]
    pub screen: Option<String>,
    /// Why it could not be shown.
    #[n(2)]
    pub because: Option<String>,
}

impl FromPrompter {
    /// Nobody saw it.
    #[must_use]
    pub const fn not_shown(because: String) -> Self {
        Self { answer: Heard::NotShown, screen: None, because: Some(because) }
    }
}
