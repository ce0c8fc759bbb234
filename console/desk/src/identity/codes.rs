//! A code's life: made, marked, sent, said or not. It is in clear in the message and in what the caller says,
//! nowhere else; the store has a mark of it under the desk's ticket key. Whoever could find the code from
//! the mark has that key, and could sign the check without it.

use minicbor::{Decode, Encode};
use protocol::documents::TicketState;
use protocol::{AgentName, Digest, EndpointId, ScriptName, TicketId, Time, limits};
use sha2::{Digest as _, Sha256};
use store::{CodeFor, NewCode, Store};
use subtle::ConstantTimeEq as _;
use trust::{Signer as _, SigningKey};
use zeroize::{Zeroize as _, Zeroizing};

use super::contacts::Masked;
use super::{Checks, CodeError, Message};
use crate::books::BookError;
use crate::chance::NoChance;

/// Codes there are: ten to the power of their digits.
const CODES: u32 = 10_u32.pow(limits::CODE_DIGITS);
/// A check that still counts for so long is not asked for again, seconds: time to read a plan.
const STANDS: u64 = 900;

/// What the caller said, as it was typed; never shown.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SpokenCode(#[n(0)] String);

impl SpokenCode {
    /// What was typed; spaces and dashes are how people read digits aloud.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        // Room for all of it: a text that grew would leave its old bytes behind.
        let mut digits = String::with_capacity(typed.len());
        digits.extend(typed.chars().filter(|c| !c.is_whitespace() && *c != '-'));
        Self(digits)
    }

    /// Whether it could be a code at all: whoever typed a word has not used up a try.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.0.len() == limits::CODE_DIGITS as usize && self.0.bytes().all(|c| c.is_ascii_digit())
    }
}

impl Drop for SpokenCode {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for SpokenCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpokenCode(hidden)")
    }
}

/// What came of asking for a code.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum CodeAsked {
    /// One went out.
    #[n(0)]
    Sent {
        /// To this contact.
        #[n(0)]
        contact: Masked,
        /// It is taken until then.
        #[n(1)]
        until: Time,
    },
    /// The caller said one for this agent, ticket and script not long ago: none was sent.
    #[n(1)]
    Stands {
        /// When.
        #[n(0)]
        at: Time,
        /// The contact that it went to, masked.
        #[n(1)]
        masked: String,
    },
}

/// What came of a code that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum CodeSaid {
    /// It was right.
    #[n(0)]
    Right,
    /// It was wrong.
    #[n(1)]
    Wrong {
        /// Tries that are left.
        #[n(0)]
        left: u32,
    },
    /// No code is out for this: its time or its tries are over, or another one was asked for.
    #[n(2)]
    Over,
}

/// Digits of a new code, each as likely as every other.
pub(super) fn digits(
    chance: impl Fn() -> Result<[u8; 4], NoChance>,
) -> Result<Zeroizing<String>, NoChance> {
    // Numbers beyond the last whole round of codes would favour the small ones.
    const ROUND: u32 = u32::MAX - u32::MAX % CODES;
    loop {
        let number = u32::from_le_bytes(chance()?);
        if number < ROUND {
            let width = limits::CODE_DIGITS as usize;
            return Ok(Zeroizing::new(format!("{:0width$}", number % CODES)));
        }
    }
}

/// A code's mark. The signature is the same for the same bytes (RFC 8032), and no other document begins so.
fn mark(
    key: &SigningKey,
    of: CodeFor<'_>,
    nonce: &[u8; 16],
    code: &str,
) -> Result<Digest, CodeError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(512));
    bytes.extend_from_slice(b"salve identity code 1\0");
    bytes.extend_from_slice(nonce);
    for part in [of.ticket.as_str(), of.agent.as_str(), of.script.as_str(), code] {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    let signature = Zeroizing::new(key.sign(&bytes).map_err(CodeError::Mark)?);
    Ok(Digest(Sha256::digest(signature.as_slice()).into()))
}

fn ticket_id(ticket: u64) -> Result<TicketId, BookError> {
    let invalid = tickets::TicketError::Invalid { field: "ticket" };
    ticket.to_string().parse().map_err(|_| invalid.into())
}

/// Sends a code to whoever the ticket is for.
pub(crate) fn ask(
    store: &Store,
    (ticket, script, endpoint): (u64, &ScriptName, Option<EndpointId>),
    by: &AgentName,
    now: Time,
    checks: &dyn Checks,
) -> Result<CodeAsked, BookError> {
    let (id, row) = (ticket_id(ticket)?, store.ticket(ticket)?);
    if row.state == TicketState::Closed {
        return Err(CodeError::Closed { ticket }.into());
    }
    if let Some(assignee) = row.assignee.filter(|assignee| assignee != by) {
        return Err(CodeError::NotYours { ticket, assignee }.into());
    }
    let of = CodeFor { ticket: &id, agent: by, script };
    let later = now.plus(STANDS);
    let stands = store.identity_check(of, endpoint, now)?;
    if let Some(check) = stands.filter(|check| check.supports(later)) {
        return Ok(CodeAsked::Stands { at: check.at, masked: check.masked });
    }
    let person = row.requester.filter(|person| !person.is_empty());
    let person = person.ok_or(CodeError::NoPerson { ticket })?;
    let contact = store.contact(&person)?;
    let contact = contact.ok_or_else(|| CodeError::NoContact { person: person.clone() })?;
    let (key, post) = (checks.key()?, checks.post()?);
    let (code, nonce) = checks.code()?;
    let seen = Masked::of(&contact);
    let new = NewCode {
        of,
        endpoint,
        person: &person,
        kind: seen.kind,
        masked: &seen.masked,
        on_file: seen.set_at,
        nonce,
        mark: mark(&key, of, &nonce, &code)?,
    };
    let many = |many: store::TooManyCodes| CodeError::TooMany {
        person: person.clone(),
        again: many.again,
    };
    let number = store.add_code(&new, now)?.map_err(many)?;
    let until = now.plus(limits::CODE_SECONDS);
    let message = Message { to: &contact.address, agent: by, ticket: &id, code: &code, until, now };
    if let Err(error) = post.send(&message) {
        store.code_unsent(number)?;
        return Err(CodeError::Sender(error).into());
    }
    Ok(CodeAsked::Sent { contact: seen, until })
}

/// Compares what the caller said with the code that is out.
pub(crate) fn say(
    store: &Store,
    (ticket, script): (u64, &ScriptName),
    said: &SpokenCode,
    by: &AgentName,
    now: Time,
    checks: &dyn Checks,
) -> Result<CodeSaid, BookError> {
    let (id, key) = (ticket_id(ticket)?, checks.key()?);
    let of = CodeFor { ticket: &id, agent: by, script };
    // Counted before it is compared: a crash in between costs a try and gives none.
    let Some(tried) = store.try_code(of, now)? else { return Ok(CodeSaid::Over) };
    let mark = mark(&key, of, &tried.nonce, &said.0)?;
    if bool::from(mark.0.ct_eq(&tried.mark.0)) {
        store.code_right(tried.id, now)?;
        return Ok(CodeSaid::Right);
    }
    Ok(CodeSaid::Wrong { left: tried.left })
}
