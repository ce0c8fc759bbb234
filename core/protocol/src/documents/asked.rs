//! What came of asking the person at the machine: the endpoint's word, not an agent's.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{AgentName, TicketId, Time};

/// The answer, or why there is none. Only [`Heard::Yes`] lets anything through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Heard {
    /// Yes.
    #[n(0)]
    Yes,
    /// No: a fix that is bound to this plan is refused, whatever an agent states.
    #[n(1)]
    No,
    /// Nobody is signed in.
    #[n(2)]
    NobodyThere,
    /// The question was shown and not answered in time.
    #[n(3)]
    NoAnswer,
    /// It could not be shown.
    #[n(4)]
    NotShown,
}

/// One question to the person at the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What came of it.
    #[n(0)]
    pub answer: Heard,
    /// Login of whoever was asked.
    #[n(1)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Where, as in `terminal tty2`.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<String>,
    /// Why it could not be shown.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// When it was answered or given up, by the endpoint's trusted time.
    #[n(4)]
    pub at: Time,
    /// In whose name it was asked: a yes is for that agent.
    #[n(5)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AgentName>,
    /// For which ticket: a yes is for that one.
    #[n(6)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
}

impl Asked {
    /// Whether it counts for an order of this agent for this ticket: a no does for everybody's.
    #[must_use]
    pub fn counts_for(&self, agent: &AgentName, ticket: Option<&TicketId>) -> bool {
        let theirs = self.by.as_ref() == Some(agent) && self.ticket.as_ref() == ticket;
        self.answer != Heard::Yes || theirs
    }
    /// An outcome of asking nobody in particular.
    #[must_use]
    pub const fn nobody(answer: Heard, because: Option<String>, at: Time) -> Self {
        Self { answer, person: None, screen: None, because, at, by: None, ticket: None }
    }
}

/// One sentence without its full stop. Logins are foreign text: made harmless by whoever shows it.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.person.as_deref().unwrap_or("the person at the machine");
        match (self.answer, &self.screen) {
            (Heard::Yes, Some(screen)) => write!(f, "{who} said yes at the machine ({screen})"),
            (Heard::Yes, None) => write!(f, "{who} said yes at the machine"),
            (Heard::No, Some(screen)) => write!(f, "{who} said no at the machine ({screen})"),
            (Heard::No, None) => write!(f, "{who} said no at the machine"),
            (Heard::NobodyThere, _) => f.write_str("nobody is signed in at the machine"),
            (Heard::NoAnswer, _) => write!(f, "{who} did not answer at the machine"),
            (Heard::NotShown, _) => {
                f.write_str("the question could not be shown at the machine")?;
                self.because.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_sentence_of_its_own() {
        let at = Time(0);
        let said = |answer| {
            let (person, screen) = (Some("jo".to_owned()), Some("terminal tty2".to_owned()));
            let because = Some("no screen".to_owned());
            Asked { person, screen, ..Asked::nobody(answer, because, at) }.to_string()
        };
        let all = [Heard::Yes, Heard::No, Heard::NobodyThere, Heard::NoAnswer, Heard::NotShown];
        let mut words: Vec<String> = all.into_iter().map(said).collect();
        assert_eq!(words.first().unwrap(), "jo said yes at the machine (terminal tty2)");
        assert_eq!(
            words.last().unwrap(),
            "the question could not be shown at the machine: no screen"
        );
        words.sort();
        words.dedup();
        assert_eq!(words.len(), all.len());
        let nobody = Asked::nobody(Heard::NoAnswer, None, at).to_string();
        assert_eq!(nobody, "the person at the machine did not answer at the machine");
    }
}
