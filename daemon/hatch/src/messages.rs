//! Messages between keeper, gate, interpreter, executor and prompter: CBOR in length-prefixed frames on pipes.
//!
//! The table is closed. What a process may say is all that it can make another one do.

mod prompter;

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
pub use prompter::{ANSWER_SOCKET, FromPrompter, Question, Session, ToPrompter, runtime};
pub use protocol::frames::EnrolFrame;
use protocol::frames::{Event, Phase, Stop};
use protocol::{Bytes, Digest, Mode, Risk, RunId, Time};
use surface::{Call, HostError, Value};

/// Descriptors that a child is born with; everything else is closed.
pub mod fds {
    /// Messages from the keeper.
    pub const FROM_KEEPER: i32 = 0;
    /// Messages to the keeper.
    pub const TO_KEEPER: i32 = 1;
    /// Log lines (stderr).
    pub const LOG: i32 = 2;
    /// Interpreter: answers from the executor. Executor: calls from the interpreter.
    pub const PEER_IN: i32 = 3;
    /// Interpreter: calls to the executor. Executor: answers to the interpreter.
    pub const PEER_OUT: i32 = 4;
    /// Executor: the effects file, opened for appending.
    pub const EFFECTS: i32 = 5;
}

/// Which defences may be missing; the shipped configuration names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Exceptions {
    /// Processes may keep the user's own uid (no other uids in this namespace).
    #[n(0)]
    pub uid: bool,
    /// There is no writable cgroup v2.
    #[n(1)]
    pub cgroup: bool,
}

/// Defences that are on, by name, as in `landlock` to `ABI 7, enforced`.
pub type Defences = BTreeMap<String, String>;

// ---- gate ----

/// How the gate runs; from its first argument: `serve`, `enrol`, `probe`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ToGate {
    /// First message of `serve`.
    #[n(0)]
    Serve {
        /// `ADDRESS:PORT` to listen on.
        #[n(0)]
        listen: String,
        /// PKCS#8 DER of the TLS key: the gate's only secret.
        #[n(1)]
        key: Bytes,
        /// Certificate chain (DER), leaf first.
        #[n(2)]
        certificates: Vec<Bytes>,
        /// CA of agents and desks (DER).
        #[n(3)]
        people_ca: Vec<Bytes>,
        /// Organisation's name in the URI SAN.
        #[n(4)]
        organisation: String,
        /// Withdrawn certificate serials (big endian, no leading zeros).
        #[n(5)]
        denied: Vec<Bytes>,
        /// The keeper's time floor: TLS validity uses the later of it and the clock.
        #[n(6)]
        floor: Time,
        /// Uid and gid to become; none under exception `uid`.
        #[n(7)]
        ids: Option<(u32, u32)>,
        /// `HOST:PORT` of the desks to hold a line to, best first; usually none.
        #[n(8)]
        desks: Vec<String>,
        /// Chance for the pauses between dials; nothing secret comes of it.
        #[n(9)]
        chance: u64,
        /// Pause after the first round of dials that reached no desk, at most, seconds: a gate that
        /// takes over from one that ended with [`FromGate::LookUp`] has waited already.
        #[n(10)]
        redial: u64,
        /// Without any desk for so long the gate ends with [`FromGate::LookUp`], where one of them
        /// is named and nobody is connected, seconds.
        #[n(11)]
        look_up: u64,
    },
    /// New CAs, denied serials and floor; live connections of denied serials close at once.
    #[n(1)]
    Trust {
        /// CA of agents and desks (DER).
        #[n(0)]
        people_ca: Vec<Bytes>,
        /// Withdrawn certificate serials.
        #[n(1)]
        denied: Vec<Bytes>,
        /// Time floor.
        #[n(2)]
        floor: Time,
    },
    /// A frame for a stream.
    #[n(2)]
    Frame {
        /// Session, as the gate counted.
        #[n(0)]
        session: u32,
        /// Stream, as the gate counted.
        #[n(1)]
        stream: u32,
        /// CBOR of one [`protocol::frames::Answer`].
        #[n(2)]
        bytes: Bytes,
    },
    /// Nothing more on this stream.
    #[n(3)]
    Finish {
        /// Session.
        #[n(0)]
        session: u32,
        /// Stream.
        #[n(1)]
        stream: u32,
    },
    /// Close a session.
    #[n(4)]
    Close {
        /// Session.
        #[n(0)]
        session: u32,
        /// Why; the only thing the peer is told.
        #[n(1)]
        stop: Stop,
    },
    /// Take no new connections, finish open streams, end.
    #[n(5)]
    Drain,
    /// First message of `enrol`.
    #[n(6)]
    Enrol {
        /// `HOST:PORT` of the desk.
        #[n(0)]
        desk: String,
        /// SHA-256 of the SubjectPublicKeyInfo of the desk's TLS key.
        #[n(1)]
        desk_key: Digest,
        /// The request's envelope.
        #[n(2)]
        request: Bytes,
        /// Uid and gid to become.
        #[n(3)]
        ids: Option<(u32, u32)>,
    },
    /// First message of `probe`: look up, route, UDP, certificate; for `salved doctor`.
    #[n(7)]
    Probe {
        /// `HOST:PORT`.
        #[n(0)]
        peer: String,
        /// SHA-256 of the peer's TLS key, where known.
        #[n(1)]
        peer_key: Option<Digest>,
        /// Uid and gid to become.
        #[n(2)]
        ids: Option<(u32, u32)>,
    },
    /// A renewed certificate: shown from the next handshake on, live connections go on.
    #[n(8)]
    Certificate {
        /// Certificate chain (DER), leaf first, for the key of `serve`.
        #[n(0)]
        certificates: Vec<Bytes>,
    },
}

/// Role in a peer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum PeerRole {
    /// A person's console.
    #[n(0)]
    Agent,
    /// The shared desk.
    #[n(1)]
    Desk,
}

/// What the gate may say.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FromGate {
    /// Locked and listening.
    #[n(0)]
    Ready {
        /// Where it listens.
        #[n(0)]
        address: String,
        /// Its own defences.
        #[n(1)]
        defences: Defences,
    },
    /// A peer was admitted. It decides nothing: signatures decide.
    #[n(1)]
    Opened {
        /// Session number, never reused while the gate lives.
        #[n(0)]
        session: u32,
        /// Role in its certificate.
        #[n(1)]
        role: PeerRole,
        /// Id in its certificate.
        #[n(2)]
        peer: String,
        /// Its address.
        #[n(3)]
        address: String,
    },
    /// A frame that came; length and nesting were bounded, nothing else was looked at.
    #[n(2)]
    Frame {
        /// Session.
        #[n(0)]
        session: u32,
        /// Stream, counted by the gate per session from 0.
        #[n(1)]
        stream: u32,
        /// CBOR of one [`protocol::frames::Ask`], not yet decoded.
        #[n(2)]
        bytes: Bytes,
    },
    /// The peer will send no more on this stream, or reset it.
    #[n(3)]
    Ended {
        /// Session.
        #[n(0)]
        session: u32,
        /// Stream.
        #[n(1)]
        stream: u32,
    },
    /// The session is gone.
    #[n(4)]
    Closed {
        /// Session.
        #[n(0)]
        session: u32,
    },
    /// `enrol`: one frame of the desk's answer, not yet decoded ([`EnrolFrame`] bytes).
    #[n(5)]
    Answer {
        /// The frame.
        #[n(0)]
        bytes: Bytes,
    },
    /// `enrol`, `probe`: done or not.
    #[n(6)]
    Result {
        /// Each thing that was tried, in order, and how it went.
        #[n(0)]
        steps: Vec<ProbeStep>,
    },
    /// How it stands with the line to a desk; for people, decides nothing.
    #[n(7)]
    Desk {
        /// `HOST:PORT` as configured; the last one that was tried where none was reached.
        #[n(0)]
        desk: String,
        /// Why there is no line; none while it is held.
        #[n(1)]
        fault: Option<String>,
        /// When it dials again, seconds from now, where there is no line.
        #[n(2)]
        again: u64,
    },
    /// No desk was reached for long, and one is known by name: this gate ends so that the next one
    /// looks the name up again.
    #[n(8)]
    LookUp,
}

/// One thing that `probe` or `enrol` tried.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ProbeStep {
    /// `name`, `route`, `udp`, `certificate`, `clock`, `answer`.
    #[n(0)]
    pub what: String,
    /// Whether it went well.
    #[n(1)]
    pub ok: bool,
    /// One sentence.
    #[n(2)]
    pub detail: String,
}

// ---- executor ----

/// What both children of a run can do before they know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Prepare {
    /// Which defences may be missing.
    #[n(0)]
    pub exceptions: Exceptions,
    /// Uid and gid of nobody: the interpreter's own, and the bus connection's of class look.
    #[n(1)]
    pub nobody: (u32, u32),
}

/// One permission with its nouns, parameters filled in; `{homes}` and `humans` are the executor's.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Grant {
    /// Host function.
    #[n(0)]
    pub function: String,
    /// Nouns.
    #[n(1)]
    pub nouns: Vec<String>,
}

/// What the keeper may say to an executor.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ToExecutor {
    /// The run.
    #[n(0)]
    Start(#[n(0)] Box<ExecutorStart>),
    /// Answers [`FromExecutor::OneTime`]: sealed and synced already.
    #[n(1)]
    Secret {
        /// The handle.
        #[n(0)]
        handle: u32,
        /// The clear bytes, or none where the keeper could not seal it.
        #[n(1)]
        clear: Option<Bytes>,
    },
    /// First message, also of one that waits for its run.
    #[n(2)]
    Prepare(#[n(0)] Prepare),
}

/// All that an executor is told.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ExecutorStart {
    /// The run.
    #[n(0)]
    pub run: RunId,
    /// The mode; `check` and `plan` are class look whatever the manifest says.
    #[n(1)]
    pub mode: Mode,
    /// The script's risk, for the plan's tolerance.
    #[n(2)]
    pub risk: Risk,
    /// Permissions.
    #[n(3)]
    pub grants: Vec<Grant>,
    /// Classes (words of [`surface::Class`]).
    #[n(4)]
    pub classes: Vec<String>,
    /// JSON of the `PlanLine`s that bind this fix.
    #[n(5)]
    pub plan: Option<Bytes>,
    /// Secrets of the order by name, already open. Their handles are 0, 1, ... in the order of
    /// their names; one-time secrets follow in the order they are made.
    #[n(6)]
    pub secrets: BTreeMap<String, Bytes>,
    /// The deadline, milliseconds from start.
    #[n(7)]
    pub limit_ms: u64,
    /// Which defences may be missing.
    #[n(8)]
    pub exceptions: Exceptions,
    /// Seconds since 1970 at the start, for ages; the executor reads no other clock for records.
    #[n(9)]
    pub now: Time,
}

/// What an executor may say to the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FromExecutor {
    /// Locked.
    #[n(0)]
    Ready {
        /// Its defences.
        #[n(0)]
        defences: Defences,
    },
    /// Live news.
    #[n(1)]
    Event(#[n(0)] Event),
    /// Wants a one-time secret sealed to the order's signer.
    #[n(2)]
    OneTime {
        /// The handle it will have.
        #[n(0)]
        handle: u32,
        /// Characters.
        #[n(1)]
        length: u32,
        /// Minutes until it should not be opened any more.
        #[n(2)]
        minutes: u32,
    },
    /// A sentence for the person.
    #[n(3)]
    Say {
        /// At most 300 characters.
        #[n(0)]
        text: String,
    },
    /// Output to be kept and hashed.
    #[n(4)]
    Output {
        /// What it is, as in `log before`; empty for `print`.
        #[n(0)]
        name: String,
        /// The text.
        #[n(1)]
        text: String,
    },
    /// All calls are answered and the effects file is synced.
    #[n(5)]
    Finished(#[n(0)] Box<ExecutorReport>),
}

/// What an executor did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct ExecutorReport {
    /// JSON of the `PlanLine`s it recorded (mode plan).
    #[n(0)]
    pub plan: Option<Bytes>,
    /// Where the plan ends because only the action could tell.
    #[n(1)]
    pub unknowable: Option<String>,
    /// What was left alone and why.
    #[n(2)]
    pub skipped: Vec<String>,
    /// Limits hit.
    #[n(3)]
    pub limits_hit: Vec<String>,
    /// Set where an action was stopped because it left the plan.
    #[n(4)]
    pub drift: Option<String>,
    /// SHA-256 of the whole effects file.
    #[n(5)]
    pub effects: Option<Digest>,
    /// Bytes that were beyond the effects file's limit.
    #[n(6)]
    pub effects_dropped: u64,
}

// ---- interpreter ----

/// What the keeper may say to an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ToInterpreter {
    /// First message, also to one that waits for its run: it locks itself.
    #[n(1)]
    Prepare(#[n(0)] Prepare),
    /// The run.
    #[n(0)]
    Start {
        /// The script's source: vetted bytes.
        #[n(0)]
        source: String,
        /// The mode.
        #[n(1)]
        mode: Mode,
        /// Parameters with presets filled in.
        #[n(2)]
        parameters: BTreeMap<String, Value>,
        /// The deadline, milliseconds from start.
        #[n(3)]
        limit_ms: u64,
    },
}

/// What an interpreter may say to the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FromInterpreter {
    /// Locked.
    #[n(0)]
    Ready {
        /// Its defences.
        #[n(0)]
        defences: Defences,
    },
    /// The last message.
    #[n(1)]
    Ended {
        /// Findings of the phases that ran, in order.
        #[n(0)]
        findings: Vec<Finding>,
        /// Why it did not go on.
        #[n(1)]
        fault: Option<ScriptFault>,
    },
}

/// What a phase found.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Finding {
    /// The phase; `remediate` has none.
    #[n(0)]
    pub phase: Phase,
    /// `needed` or `healthy`.
    #[n(1)]
    pub needed: bool,
    /// One sentence.
    #[n(2)]
    pub summary: String,
}

/// How a script went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ScriptFault {
    /// The phase.
    #[n(0)]
    pub phase: Phase,
    /// Stable code: `no_such_user`, `not_permitted`, `limit_operations`, `plan_drift`, `script`, ...
    #[n(1)]
    pub code: String,
    /// One sentence.
    #[n(2)]
    pub message: String,
    /// Line in the source, 0 where unknown.
    #[n(3)]
    pub line: u32,
}

/// What an interpreter may say to its executor.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ToHost {
    /// A phase begins. Actions are refused outside `remediate`.
    #[n(0)]
    Phase(#[n(0)] Phase),
    /// A call; the executor checks everything again.
    #[n(1)]
    Call(#[n(0)] Call),
    /// A phase's finding, for the live line.
    #[n(2)]
    Found(#[n(0)] Finding),
    /// The script printed.
    #[n(3)]
    Print(#[n(0)] String),
    /// No more calls.
    #[n(4)]
    Done,
}

/// What an executor may say to its interpreter. Only calls are answered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FromHost {
    /// It worked.
    #[n(0)]
    Value(#[n(0)] Value),
    /// It did not.
    #[n(1)]
    Error(#[n(0)] HostError),
}
