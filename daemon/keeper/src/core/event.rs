//! What happens to the core. Time and chance come with the event; the core never asks for them.

use hatch::messages::{FromExecutor, FromGate, FromInterpreter};
use protocol::documents::{Asked, Sealed, SealedSecret};
use protocol::{Bytes, RunId, Time};

use crate::record::EffectsSummary;

/// When an event happened, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// The wall clock; never trusted alone.
    pub wall: Time,
    /// `CLOCK_BOOTTIME` in milliseconds: goes on while the machine sleeps, is never set.
    pub mono_ms: u64,
}

/// Where an answer goes: one stream of one session, as the gate counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Session.
    pub session: u32,
    /// Stream.
    pub stream: u32,
}

/// One of a run's two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Child {
    /// Reads the script.
    Interpreter,
    /// Touches the machine.
    Executor,
}

impl Child {
    /// The word in reasons.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Interpreter => "interpreter",
            Self::Executor => "executor",
        }
    }
}

/// How a child process ended, as its pidfd says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildEnd {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
}

/// What a run left on disk, as [`super::Effect::Fetch`] found it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// The record's envelope, from the ledger.
    pub record: Option<Bytes>,
    /// The plan's bytes, where the run made one that is still kept.
    pub plan: Option<Bytes>,
    /// The effects file as far as it was kept.
    pub effects: Bytes,
    /// Sealed secrets (JSON of [`Sealed`]) and until when they should be opened.
    pub escrow: Vec<(Bytes, Time)>,
}

/// A fresh one-time secret. Its clear bytes are wiped when this is dropped.
#[derive(Clone)]
pub struct FreshSecret {
    /// For the order's signer.
    pub sealed: Sealed,
    /// For the executor; wiped when dropped.
    pub clear: zeroize::Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for FreshSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FreshSecret({} B)", self.clear.len())
    }
}

/// Everything that can happen.
#[derive(Debug, Clone)]
pub enum Event {
    /// First event after a start; interrupted runs get their records now.
    Begin,
    /// The gate said something.
    Gate {
        /// Its message.
        message: FromGate,
        /// Fresh random bytes; become a challenge where one is made, else forgotten.
        chance: [u8; 32],
    },
    /// The gate's process ended; every session is gone. The driver starts a new gate.
    GateGone,
    /// The pipe to the gate is more than half full, or has room again: decides whether live
    /// progress is sent or only counted.
    GateSlow(bool),
    /// Whether the reserve on disk is whole: room to write down what a run does.
    Reserve(bool),
    /// A child said something.
    Executor {
        /// Its run.
        run: RunId,
        /// Its message.
        message: FromExecutor,
    },
    /// A child said something.
    Interpreter {
        /// Its run.
        run: RunId,
        /// Its message.
        message: FromInterpreter,
    },
    /// A child sent bytes that are no message. Its pipe is closed.
    Garbled {
        /// Its run.
        run: RunId,
        /// Which child.
        child: Child,
    },
    /// Answers [`super::Effect::Spawn`]: both children exist.
    Spawned {
        /// The run.
        run: RunId,
        /// Whether both are in a cgroup of their own; not so under its exception only.
        cgroup: bool,
    },
    /// Answers [`super::Effect::Spawn`]: nothing of this run is left alive.
    SpawnFailed {
        /// The run.
        run: RunId,
        /// What failed, for the record; never a secret.
        why: String,
        /// Stable reason: `spawn`, `defence-missing`, `secrets`.
        reason: String,
    },
    /// A child ended and its pipe was read to the end.
    ChildEnded {
        /// Its run.
        run: RunId,
        /// Which child.
        child: Child,
        /// How.
        end: ChildEnd,
    },
    /// Answers [`super::Effect::MakeSecret`].
    SecretMade {
        /// The run.
        run: RunId,
        /// The executor's handle.
        handle: u32,
        /// The secret; none where it could not be sealed.
        secret: Option<FreshSecret>,
    },
    /// Answers [`super::Effect::ReadEffects`].
    EffectsRead {
        /// The run.
        run: RunId,
        /// What the effects file says.
        effects: EffectsSummary,
        /// The one-time secrets that are in escrow.
        secrets: Vec<SealedSecret>,
    },
    /// Answers [`super::Effect::Ask`]: what came of it.
    Heard {
        /// The run whose plan asks.
        run: RunId,
        /// What came of it; its time is the core's to say.
        asked: Box<Asked>,
    },
    /// Answers [`super::Effect::ReadOutput`].
    Output {
        /// Who asked.
        line: Line,
        /// What was kept; none where the disk does not give it back.
        bytes: Option<Bytes>,
    },
    /// Answers [`super::Effect::ReadOrder`].
    Order {
        /// Who asked.
        line: Line,
        /// The envelope; the inner none where the run has none, the outer where the disk does not
        /// give it back.
        order: Option<Option<Bytes>>,
    },
    /// Answers [`super::Effect::Fetch`].
    Fetched {
        /// Who asked.
        line: Line,
        /// The run.
        run: RunId,
        /// What there is; none where the disk did not give it back.
        found: Option<Box<Fetched>>,
    },
    /// Answers [`super::Effect::ReplaceCatalogue`].
    CatalogueStored {
        /// Whether it is durable; false leaves what was trusted before.
        ok: bool,
    },
    /// Answers [`super::Effect::StoreCertificate`].
    CertificateStored {
        /// Whether it is durable; false leaves the one that was there before.
        ok: bool,
    },
    /// The time that [`super::Core::wake_at`] named has come.
    Tick,
    /// The daemon should end: no new orders, running ones are given their time, then cancelled.
    Drain,
}
