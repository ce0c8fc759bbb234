//! Frames between an agent's console and the shared desk: one stream a question.
//!
//! The console opens a stream, sends one [`DeskAsk`] (several for a publication) and finishes; the
//! desk answers with [`DeskAnswer`]s, the last of which says that it is the last. Who asks is the
//! name in the console's certificate, never a word of a frame. Field numbers are never reused,
//! fields that a side does not know are passed over, a question that it does not know is answered
//! with [`DeskAnswer::Sorry`].

use minicbor::{Decode, Encode};

use crate::documents::CatalogueVersions;
use crate::{AgentName, Bytes, Digest, EndpointId, Label, Outcome, RunId, Time};

/// From an agent's console to the desk.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum DeskAsk {
    /// First question of a connection.
    #[n(0)]
    Hello {
        /// Oldest version of these frames taken.
        #[n(0)]
        min: u32,
        /// Newest version of these frames taken.
        #[n(1)]
        max: u32,
    },
    /// One operation on the shared store.
    #[n(1)]
    Book {
        /// CBOR of the operation with its arguments, at most
        /// [`crate::limits::DESK_PART_BYTES_MAX`] bytes.
        #[n(0)]
        ask: Bytes,
    },
    /// The files of the catalogue that the console lacks.
    #[n(2)]
    Catalogue {
        /// What it has; all zero for everything.
        #[n(0)]
        have: CatalogueVersions,
    },
    /// One part of one file of a publication; all parts of one file follow each other.
    #[n(3)]
    PublishFile {
        /// Name in the repository, as in `4.policy.json`.
        #[n(0)]
        name: String,
        /// At most 128 KiB.
        #[n(1)]
        part: Bytes,
        /// Whether the file ends here.
        #[n(2)]
        last: bool,
    },
    /// The publication is complete: verify it whole and make it current.
    #[n(4)]
    Publish {
        /// What it was made from. Where the desk has other versions by now, somebody else
        /// published in between, and it is refused.
        #[n(0)]
        base: CatalogueVersions,
    },
    /// How an endpoint is reached, with the challenge that a dispatch to it answers.
    #[n(5)]
    Meet {
        /// Which.
        #[n(0)]
        endpoint: EndpointId,
    },
    /// An order for one endpoint, each document an envelope's bytes. The desk stores it with the
    /// promise of its note before anything leaves, adds the ticket's attestation, forwards, files.
    #[n(6)]
    Submit {
        /// Where.
        #[n(0)]
        endpoint: EndpointId,
        /// The order.
        #[n(1)]
        order: Bytes,
        /// The dispatch, with challenge and number of [`DeskAnswer::Met`].
        #[n(2)]
        dispatch: Bytes,
        /// Approvals.
        #[n(3)]
        approvals: Vec<Bytes>,
    },
    /// Live events of a run from now on, then its record.
    #[n(7)]
    Follow {
        /// The run.
        #[n(0)]
        run: RunId,
    },
    /// A recall's envelope for one endpoint of its order.
    #[n(8)]
    Recall {
        /// Where.
        #[n(0)]
        endpoint: EndpointId,
        /// The recall.
        #[n(1)]
        recall: Bytes,
    },
    /// An order for one endpoint that is away: the desk keeps it with the key of its dispatch, and
    /// sends it once when the endpoint comes, within the order's life.
    #[n(31)]
    Wait {
        /// Where.
        #[n(0)]
        endpoint: EndpointId,
        /// The order, an envelope's bytes; its `dispatch_key` was made for it alone.
        #[n(1)]
        order: Bytes,
        /// That key's seed, 32 bytes. Secret: never shown or logged; given out again to
        /// [`DeskAsk::Carry`] alone.
        #[n(2)]
        seed: Bytes,
    },
    /// A copy of an order that waits, with its key, to be carried to its endpoint as a file. For
    /// whoever may recall it. It waits on: the endpoint takes whichever comes first.
    #[n(32)]
    Carry {
        /// Its run.
        #[n(0)]
        run: RunId,
    },
    /// What judging by these generations of the catalogue takes, lists and policies among it that nobody
    /// is handed any more; answered as [`DeskAsk::Catalogue`] is.
    #[n(34)]
    Past {
        /// At most [`crate::limits::PAST_GENERATIONS_MAX`].
        #[n(0)]
        generations: Vec<CatalogueVersions>,
    },
    /// One part of an order file that came back with its record: the desk verifies and files that.
    #[n(33)]
    Bring {
        /// At most [`crate::limits::DESK_PART_BYTES_MAX`] bytes.
        #[n(0)]
        part: Bytes,
        /// Whether the file ends here.
        #[n(1)]
        last: bool,
    },
    /// Another certificate for the name and key of the one that this line was opened with, where that
    /// is close to its end.
    #[n(110)]
    Renew,
}

/// From the desk to an agent's console.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum DeskAnswer {
    /// Answers [`DeskAsk::Hello`].
    #[n(0)]
    Hello {
        /// Oldest version of these frames taken.
        #[n(0)]
        min: u32,
        /// Newest version of these frames taken.
        #[n(1)]
        max: u32,
        /// The organisation, as certificates name it.
        #[n(2)]
        organisation: Label,
        /// Version of the desk's program.
        #[n(3)]
        version: String,
        /// The catalogue that the desk has.
        #[n(4)]
        catalogue: CatalogueVersions,
    },
    /// A part of the answer to [`DeskAsk::Book`]: the parts in order are its CBOR, at most
    /// [`crate::limits::DESK_ANSWER_BYTES_MAX`] bytes together.
    #[n(1)]
    Book {
        /// At most [`crate::limits::DESK_PART_BYTES_MAX`] bytes.
        #[n(0)]
        answer: Bytes,
        /// Whether the answer ends here.
        #[n(1)]
        last: bool,
    },
    /// No, to any question. Nothing was changed, except that after [`DeskAnswer::Stored`] the order
    /// stays stored and the code says what became of it.
    #[n(2)]
    Sorry {
        /// Stable code, as in `not-found`.
        #[n(0)]
        code: String,
        /// One sentence of at most 300 characters. The desk's words: escape them.
        #[n(1)]
        sentence: String,
        /// What to do next, one sentence; none where the console knows better.
        #[n(2)]
        next: Option<String>,
    },
    /// Answers [`DeskAsk::Catalogue`]: one part of one file; all parts of one file follow each
    /// other.
    #[n(3)]
    CatalogueFile {
        /// Name in the repository.
        #[n(0)]
        name: String,
        /// At most 128 KiB.
        #[n(1)]
        part: Bytes,
        /// Whether the file ends here.
        #[n(2)]
        last: bool,
    },
    /// All files were sent: last.
    #[n(4)]
    CatalogueEnd {
        /// What the desk has.
        #[n(0)]
        versions: CatalogueVersions,
    },
    /// Answers [`DeskAsk::Publish`]: verified and current; last.
    #[n(5)]
    Published {
        /// What is current now.
        #[n(0)]
        versions: CatalogueVersions,
    },
    /// Answers [`DeskAsk::Meet`]: there is a line; last.
    #[n(6)]
    Met {
        /// The endpoint's newest hello, an envelope's bytes: its challenge is in force.
        #[n(0)]
        hello: Bytes,
        /// Its card, an envelope's bytes.
        #[n(1)]
        card: Bytes,
        /// The number for one dispatch to this challenge. The desk gives each out once, so that
        /// consoles that share a line do not take each other's.
        #[n(2)]
        number: u64,
        /// Who dialled.
        #[n(3)]
        path: DeskPath,
        /// Since when the line is up.
        #[n(4)]
        since: Time,
    },
    /// Answers [`DeskAsk::Meet`]: there is no line; last.
    #[n(7)]
    Away {
        /// When it was last seen, if ever.
        #[n(0)]
        last_seen: Option<Time>,
        /// Whether its last line ended in order (switched off, restarted) or broke; none where the
        /// desk saw no line since it started.
        #[n(1)]
        left_in_order: Option<bool>,
    },
    /// First answer to [`DeskAsk::Submit`]: the order is stored and its note promised; only now
    /// does it leave. A console that loses its line after this says unknown, never "did not run".
    #[n(8)]
    Stored {
        /// The run.
        #[n(0)]
        run: RunId,
        /// Digest of its order.
        #[n(1)]
        order: Digest,
    },
    /// A frame of the endpoint's ([`super::Answer`]), as it came.
    #[n(9)]
    Endpoint {
        /// Its CBOR without a length.
        #[n(0)]
        frame: Bytes,
    },
    /// The line to the endpoint was lost; the desk asks for the run again.
    #[n(10)]
    Lost {
        /// What happened to it, one sentence.
        #[n(0)]
        sentence: String,
    },
    /// The record is filed: last answer to [`DeskAsk::Submit`], [`DeskAsk::Follow`] and
    /// [`DeskAsk::Bring`].
    #[n(11)]
    Done {
        /// What filing came to.
        #[n(0)]
        filing: FilingSummary,
    },
    /// Answers [`DeskAsk::Recall`]: the endpoint took it; last.
    #[n(12)]
    Recalled {
        /// Whether a run was running or waiting.
        #[n(0)]
        was_running: bool,
    },
    /// Beside [`DeskAsk::Submit`] and [`DeskAsk::Follow`]: who else watches this run, whenever that
    /// changes.
    #[n(13)]
    Watching {
        /// The others, by name.
        #[n(0)]
        agents: Vec<AgentName>,
    },
    /// Answers [`DeskAsk::Wait`]: the order is stored, its note promised; last.
    #[n(31)]
    Waits {
        /// The run.
        #[n(0)]
        run: RunId,
        /// Until when it waits.
        #[n(1)]
        until: Time,
    },
    /// Answers [`DeskAsk::Carry`]; last.
    #[n(32)]
    Carried {
        /// The order's envelope.
        #[n(0)]
        order: Bytes,
        /// Its key's seed, 32 bytes. Secret.
        #[n(1)]
        seed: Bytes,
    },
    /// Answers [`DeskAsk::Renew`]; last. None: it is not due.
    #[n(110)]
    Renewed {
        /// The leaf (DER), at most 4 KiB.
        #[n(0)]
        leaf: Option<Bytes>,
    },
}

/// Who dialled the line between desk and endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum DeskPath {
    /// The endpoint, and it keeps the line.
    #[n(0)]
    Kept,
    /// The desk, for this question.
    #[n(1)]
    Dialled,
}

/// What the desk's store did with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum FiledAs {
    /// The first record of this run.
    #[n(0)]
    New,
    /// The same record was here.
    #[n(1)]
    Again,
    /// It verified and took the place of one that did not.
    #[n(2)]
    Replaced,
    /// Another record was here; this one was kept beside it.
    #[n(3)]
    Differs,
}

/// How far the one note for the order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum NoteStage {
    /// Other endpoints of the order have not answered yet.
    #[n(0)]
    Waiting,
    /// The ticket system has not taken it yet; the desk tries again.
    #[n(1)]
    Due,
    /// On the ticket.
    #[n(2)]
    Posted,
}

/// What filing a record came to. The desk's word, for what to show: the console verifies the record
/// itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FilingSummary {
    /// The run it was filed under: another than was asked for where an order was refused again.
    #[n(0)]
    pub run: RunId,
    /// What the store did.
    #[n(1)]
    pub filed: FiledAs,
    /// SHA-256 of the record's payload.
    #[n(2)]
    pub record: Digest,
    /// Whether it verified there.
    #[n(3)]
    pub verified: bool,
    /// Why it did not.
    #[n(4)]
    pub fault: Option<String>,
    /// How the run ended; none where the record could not be read.
    #[n(5)]
    pub outcome: Option<Outcome>,
    /// The ticket's note; none where the order asks for none.
    #[n(6)]
    pub note: Option<NoteStage>,
}

/// The stable codes of [`DeskAnswer::Sorry`] that consoles act on. Others may come: a console shows
/// their sentence.
pub mod sorry {
    /// Not CBOR of a question that this desk knows.
    pub const UNKNOWN: &str = "unknown-question";
    /// A known question at the wrong time, or no common version.
    pub const STATE: &str = "wrong-state";
    /// The peer may not do this.
    pub const FORBIDDEN: &str = "forbidden";
    /// It is not there.
    pub const NOT_FOUND: &str = "not-found";
    /// Something of that name is there already.
    pub const DUPLICATE: &str = "duplicate";
    /// A token that is unknown, used or expired.
    pub const TOKEN: &str = "token";
    /// A secret that was opened before.
    pub const OPENED: &str = "opened";
    /// The ticket cannot go to that state from where it is.
    pub const TICKET_STATE: &str = "ticket-state";
    /// An argument beyond a limit.
    pub const LIMIT: &str = "limit";
    /// The desk's store is held by somebody else; ask again.
    pub const BUSY: &str = "busy";
    /// The desk's store could not do it; its journal says why.
    pub const STORE: &str = "store";
    /// Somebody else published in between.
    pub const MOVED: &str = "catalogue-moved";
    /// The publication does not verify.
    pub const CATALOGUE: &str = "catalogue-refused";
    /// The order certainly did not leave.
    pub const NOT_SENT: &str = "not-sent";
    /// The endpoint did not take the order; no record will come.
    pub const NOT_TAKEN: &str = "not-taken";
    /// Whether the order ran is not known yet; the desk files its record when it comes.
    pub const RUN_UNKNOWN: &str = "run-unknown";
}
