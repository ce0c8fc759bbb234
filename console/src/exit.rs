//! How a command ends: exit codes, and failures with a sentence and a next step.

use std::error::Error;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use protocol::Outcome;
use protocol::error_chain::ErrorChain;

use crate::view::safe;

/// Exit codes; the numbers are promised to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Fixed, healthy, done.
    Fine = 0,
    /// Not repaired, check found something, not all done.
    NeedsPerson = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A signature or digest does not match.
    NotVerified = 3,
    /// Policy or a person said no.
    Refused = 4,
    /// Unreachable or busy; nothing was sent.
    Unreachable = 5,
    /// Our own fault, or the home is damaged.
    Broken = 6,
    /// Interrupted or unknown.
    Unknown = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The exit code of a run's outcome.
    #[must_use]
    pub const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded | Outcome::Unchanged => Self::Fine,
            Outcome::Failed | Outcome::Partial | Outcome::TimedOut | Outcome::Cancelled => {
                Self::NeedsPerson
            }
            Outcome::Refused => Self::Refused,
            Outcome::Interrupted => Self::Unknown,
        }
    }
}

/// Why a command did not do what it was asked: one sentence, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong, in words people use.
    pub sentence: String,
    /// What to do now; may have several lines.
    pub next_step: Option<String>,
    /// How the process ends.
    pub exit: Exit,
    /// What caused it.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure with an exit code.
    #[must_use]
    pub fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), next_step: None, exit, source: None }
    }
    /// The command line asks for something that cannot be.
    #[must_use]
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Usage, sentence)
    }
    /// A person must do something first.
    #[must_use]
    pub fn needs_person(sentence: impl Into<String>) -> Self {
        Self::new(Exit::NeedsPerson, sentence)
    }
    /// A signature or digest does not match.
    #[must_use]
    pub fn not_verified(sentence: impl Into<String>) -> Self {
        Self::new(Exit::NotVerified, sentence)
    }
    /// Policy or a person said no.
    #[must_use]
    pub fn refused(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Refused, sentence)
    }
    /// The other side is away or busy.
    #[must_use]
    pub fn unreachable(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, sentence)
    }
    /// Our own fault.
    #[must_use]
    pub fn broken(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Broken, sentence)
    }
    /// Says what to do now.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next_step = Some(step.into());
        self
    }
    /// Says what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The words for people, escaped; the last line ends without a break.
    #[must_use]
    pub fn for_people(&self) -> String {
        let mut out = safe(&self.sentence);
        if let Some(cause) = self.cause() {
            out.push_str(": ");
            out.push_str(&cause);
        }
        for line in self.step().lines() {
            out.push_str("\n  ");
            out.push_str(&safe(line));
        }
        out
    }

    /// What to do now; where nobody said it, what is right for this kind of failure.
    fn step(&self) -> &str {
        match (&self.next_step, self.exit) {
            (Some(step), _) => step,
            (None, Exit::Usage) => "salve --help   lists the commands",
            (None, Exit::Unreachable) => "run the command again in a minute",
            (None, Exit::Broken) => "set right what this names, then run the command again",
            (None, _) => "salve status   says what needs a person",
        }
    }

    fn cause(&self) -> Option<String> {
        self.source.as_ref().map(|source| safe(&ErrorChain(source.as_ref()).to_string()))
    }

    /// Prints it to stderr, as words or as one line of JSON.
    pub fn print(&self, json: bool) {
        let mut err = std::io::stderr().lock();
        let text = if json {
            serde_json::json!({
                "failure": {
                    "sentence": self.sentence,
                    "cause": self.source.as_ref().map(|s| ErrorChain(s.as_ref()).to_string()),
                    "next": self.step(),
                    "exit": self.exit as u8,
                }
            })
            .to_string()
        } else {
            self.for_people()
        };
        // Nobody is left to tell when stderr is closed.
        let _ = writeln!(err, "{text}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.for_people())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_next_once_and_escaped() {
        let failure = Failure::unreachable("lt-4411 did not answer")
            .because(std::io::Error::other("no \x1b[31mroute"))
            .next("look there:  salved doctor");
        assert_eq!(
            failure.for_people(),
            "lt-4411 did not answer: no \\u{1b}[31mroute\n  look there:  salved doctor"
        );
        assert_eq!(failure.exit as u8, 5);
    }

    #[test]
    fn outcomes_have_the_promised_codes() {
        let codes: Vec<u8> = Outcome::ALL.into_iter().map(|o| Exit::of(o) as u8).collect();
        assert_eq!(codes, [0, 0, 1, 1, 1, 1, 4, 7]);
    }
}
