//! What the core wants done. The driver does effects strictly in order, one batch after another.
//!
//! An effect that is durable (ledger, escrow, plan) is synced before the next one of its batch is
//! begun. An effect that fails and has no event for its failure ends the daemon: what follows it in
//! the batch must not happen. Never decides anything: all ifs are in `step`.

use std::collections::BTreeMap;

use hatch::messages::{ExecutorStart, Question, ToExecutor, ToGate, ToInterpreter};
use policy::Permit;
use protocol::documents::{Sealed, SealingKey};
use protocol::{Bytes, Digest, RunId, Time};

use super::event::{Child, Line};
use crate::ledger::Entry;

/// A repository's files by name, as `trust::catalogue::Files` holds them.
pub type CatalogueFiles = BTreeMap<String, Vec<u8>>;

/// Secrets of an order, still sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecrets {
    /// From the dispatch: one JSON object of texts.
    pub sealed: Sealed,
    /// HPKE info: order digest, agent, endpoint.
    pub info: Bytes,
}

/// All that is needed to start one run. Only the core makes one, with a permit in hand.
#[derive(Debug)]
pub struct RunPlan {
    pub(crate) run: RunId,
    pub(crate) permit: Permit,
    pub(crate) executor: ExecutorStart,
    pub(crate) interpreter: ToInterpreter,
    pub(crate) secrets: Option<SealedSecrets>,
}

impl RunPlan {
    /// The run.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }
    /// Policy's yes.
    #[must_use]
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }
    /// The executor's first message; the driver opens the secrets and adds them.
    #[must_use]
    pub const fn executor(&self) -> &ExecutorStart {
        &self.executor
    }
    /// The interpreter's only message.
    #[must_use]
    pub const fn interpreter(&self) -> &ToInterpreter {
        &self.interpreter
    }
    /// The order's secrets, sealed to this endpoint.
    #[must_use]
    pub const fn secrets(&self) -> Option<&SealedSecrets> {
        self.secrets.as_ref()
    }
}

macro_rules! effects {
    ($(
        $(#[$doc:meta])*
        $variant:ident
        $( ( $($tty:ty),+ ) )?
        $( { $($(#[$fdoc:meta])* $field:ident : $ty:ty),+ $(,)? } )?
    ),+ $(,)?) => {
        /// Everything the core may want done.
        #[derive(Debug)]
        pub enum Effect {
            $( $(#[$doc])* $variant $( ( $($tty),+ ) )? $( { $($(#[$fdoc])* $field: $ty),+ } )? ),+
        }
        impl Effect {
            /// Names of all variants: the simulation must have a crash after each of them.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),+];
            /// This variant's name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $( Self::$variant { .. } => stringify!($variant) ),+ }
            }
        }
    };
}

effects! {
    /// Append and sync. INVARIANT (accept-before-spawn): `Spawn` follows a durable `Accepted`.
    AppendLedger(Entry),
    /// Start both children in a fresh cgroup; answered by `Spawned` or `SpawnFailed`.
    Spawn(Box<RunPlan>),
    /// A message to a run's executor; lost without harm where it is dead.
    ToExecutor {
        /// The run.
        run: RunId,
        /// The message.
        message: ToExecutor,
    },
    /// End one child: without its interpreter an executor ends what it is doing, syncs, reports.
    End {
        /// The run.
        run: RunId,
        /// Which child.
        child: Child,
    },
    /// `cgroup.kill`: nothing of this run survives. Both children's ends follow as events.
    Kill {
        /// The run.
        run: RunId,
    },
    /// Read and hash the run's effects file and what is in escrow; answered by `EffectsRead` (empty
    /// where nothing is).
    ReadEffects {
        /// The run.
        run: RunId,
        /// Make its output durable first. What a look printed may wait until its record is sent.
        durable: bool,
    },
    /// Keep output of a run beside its effects file; already cut to the limit.
    AppendOutput {
        /// The run.
        run: RunId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Make a random secret and seal it; answered by `SecretMade`. Nothing is written yet.
    MakeSecret {
        /// The run.
        run: RunId,
        /// The executor's handle.
        handle: u32,
        /// Characters.
        length: u32,
        /// The order's signer.
        to: SealingKey,
        /// HPKE info: order digest, agent, endpoint.
        info: Bytes,
    },
    /// Write and sync one sealed secret, before anybody gets its clear bytes.
    WriteEscrow {
        /// The run.
        run: RunId,
        /// The executor's handle.
        handle: u32,
        /// JSON of `Sealed`.
        sealed: Bytes,
        /// Until when it should be opened.
        not_after: Time,
    },
    /// Keep a plan by its digest, synced.
    KeepPlan {
        /// SHA-256 of the bytes.
        digest: Digest,
        /// The run that made it.
        run: RunId,
        /// JSON of `Plan`.
        bytes: Bytes,
    },
    /// Forget a kept plan.
    DropPlan {
        /// Its digest.
        digest: Digest,
    },
    /// Put a question to the person at the machine, one at a time; answered by `Heard`.
    Ask {
        /// The run whose plan asks.
        run: RunId,
        /// What is asked.
        question: Box<Question>,
    },
    /// Take the question off the screen; it is not answered any more.
    EndAsk,
    /// Look up what a run put out; answered by `Output`.
    ReadOutput {
        /// Who asked.
        line: Line,
        /// Which.
        run: RunId,
    },
    /// Look up the order of a run; answered by `Order`.
    ReadOrder {
        /// Who asked.
        line: Line,
        /// Which.
        run: RunId,
    },
    /// Look up a run's record, plan, effects and escrow; answered by `Fetched`.
    Fetch {
        /// Who asked.
        line: Line,
        /// The run.
        run: RunId,
    },
    /// Make these files the trusted catalogue, whole, by one rename; answered by `CatalogueStored`.
    ReplaceCatalogue(CatalogueFiles),
    /// Keep this leaf (DER) as the endpoint's certificate, by one rename; answered by `CertificateStored`.
    StoreCertificate(Bytes),
    /// A message to the gate, after all earlier ones.
    ToGate(ToGate),
    /// The gate broke its word: end its process and start another one; `GateGone` follows.
    RestartGate,
    /// Have both processes of a look ready before its order comes; best effort, not answered.
    MakeSpare,
    /// End the processes that wait for a look, where there are any.
    DropSpare,
    /// A run is over and recorded: make its output durable, remove its scratch and cgroup, refill
    /// the reserve.
    Tidy {
        /// The run.
        run: RunId,
    },
    /// Everything is said; the daemon may end.
    Stop,
}
