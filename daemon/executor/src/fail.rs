//! Why a host function does not answer: a stable code and one sentence, never a secret.

use surface::HostError;

/// A failure before it knows its function's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fail {
    /// Stable code.
    pub(crate) code: &'static str,
    /// One sentence, lower-case, no full stop.
    pub(crate) message: String,
    /// Whether the run ends here whatever the script does.
    pub(crate) fatal: bool,
}

impl Fail {
    /// One that the script may catch.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fatal: false }
    }
    /// One that ends the run.
    pub(crate) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fatal: true }
    }
    /// `failed`: it was tried and did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new("failed", message)
    }
    /// `bad_argument`.
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new("bad_argument", message)
    }
    /// As the interpreter receives it.
    pub(crate) fn of(self, function: &str) -> HostError {
        HostError {
            function: function.to_owned(),
            code: self.code.to_owned(),
            message: self.message,
            fatal: self.fatal,
        }
    }
}
