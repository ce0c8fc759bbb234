//! Live news of a run.

use minicbor::{Decode, Encode};

use crate::{Mode, Outcome, RunId};

/// Phases of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Phase {
    /// Looks.
    #[n(0)]
    Detect,
    /// Acts, or plans to.
    #[n(1)]
    Remediate,
    /// Looks again.
    #[n(2)]
    Verify,
}

/// Live news of a run. Untrusted text: shown escaped.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    /// Accepted and durable; it runs or waits.
    #[n(0)]
    Accepted {
        /// The run.
        #[n(0)]
        run: RunId,
        /// The mode.
        #[n(1)]
        mode: Mode,
        /// Orders before it in the queue.
        #[n(2)]
        ahead: u32,
    },
    /// A phase began.
    #[n(1)]
    Phase {
        /// Which.
        #[n(0)]
        phase: Phase,
    },
    /// How far it is.
    #[n(2)]
    Progress {
        /// Words.
        #[n(0)]
        text: String,
    },
    /// A line of output.
    #[n(3)]
    Line {
        /// The line.
        #[n(0)]
        text: String,
    },
    /// An action ended.
    #[n(4)]
    Effect {
        /// Host function.
        #[n(0)]
        function: String,
        /// The plan key or noun it falls under.
        #[n(1)]
        key: String,
        /// Things touched.
        #[n(2)]
        count: u64,
        /// Bytes touched.
        #[n(3)]
        bytes: u64,
        /// Whether it was done.
        #[n(4)]
        ok: bool,
    },
    /// A phase's finding.
    #[n(5)]
    Found {
        /// The phase.
        #[n(0)]
        phase: Phase,
        /// Whether work is needed.
        #[n(1)]
        needed: bool,
        /// The sentence.
        #[n(2)]
        summary: String,
    },
    /// Left alone, and why.
    #[n(6)]
    Skipped {
        /// Words.
        #[n(0)]
        text: String,
    },
    /// The run ended; the record follows.
    #[n(7)]
    Ended {
        /// How.
        #[n(0)]
        outcome: Outcome,
    },
    /// The person at the machine is being asked.
    #[n(8)]
    Asking {
        /// The question.
        #[n(0)]
        question: String,
        /// Until there is no answer, seconds.
        #[n(1)]
        seconds: u64,
    },
}
