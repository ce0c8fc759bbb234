//! Session frames (CBOR, RFC 8949; field numbers are never reused) and their framing.
//!
//! A frame on a stream is a length of 4 bytes, big endian, then that many bytes of CBOR. Sealed
//! documents travel as the bytes of their envelopes; nothing outside a seal steers a run.

mod codec;
mod desk;
mod event;
mod stop;

use minicbor::{Decode, Encode};

use crate::documents::CatalogueVersions;
use crate::{Bytes, Digest, RunId};

pub use codec::{Deframer, FrameError, decode, encode};
pub use desk::{DeskAnswer, DeskAsk, DeskPath, FiledAs, FilingSummary, NoteStage, sorry};
pub use event::{Event, Phase};
pub use stop::Stop;

/// From the desk's side to the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Ask {
    /// First frame of a session, on its first stream.
    #[n(0)]
    Hello {
        /// Oldest session version taken.
        #[n(0)]
        min: u32,
        /// Newest session version taken.
        #[n(1)]
        max: u32,
    },
    /// Asks for another challenge ahead of time. On the stream of the hello, which stays open, or on
    /// one of its own, which ends with the answer.
    #[n(1)]
    Challenge,
    /// One part of one file of a catalogue update; all parts of one file follow each other.
    #[n(2)]
    CatalogueFile {
        /// Name in the repository, as in `7.snapshot.json`.
        #[n(0)]
        name: String,
        /// At most 128 KiB.
        #[n(1)]
        part: Bytes,
        /// Whether the file ends here.
        #[n(2)]
        last: bool,
    },
    /// The update is complete: verify it whole and make it current.
    #[n(3)]
    CatalogueEnd,
    /// An order with its dispatch and what supports it, each an envelope's bytes.
    #[n(4)]
    Submit {
        /// The order.
        #[n(0)]
        order: Bytes,
        /// The dispatch.
        #[n(1)]
        dispatch: Bytes,
        /// The ticket attestation.
        #[n(2)]
        attestation: Option<Bytes>,
        /// Approvals.
        #[n(3)]
        approvals: Vec<Bytes>,
    },
    /// A recall's envelope.
    #[n(5)]
    Recall {
        /// The recall.
        #[n(0)]
        recall: Bytes,
    },
    /// Live events of a run from now on, then its record.
    #[n(6)]
    Follow {
        /// The run.
        #[n(0)]
        run: RunId,
    },
    /// A run's record again, with effects file and escrow.
    #[n(7)]
    Fetch {
        /// The run.
        #[n(0)]
        run: RunId,
    },
    /// Advice: this record is filed at the desk.
    #[n(8)]
    Filed {
        /// Digest of the record's payload.
        #[n(0)]
        record: Digest,
    },
    /// A renewed certificate for the endpoint's own TLS key.
    #[n(9)]
    Certificate {
        /// The leaf (DER), at most 4 KiB.
        #[n(0)]
        leaf: Bytes,
    },
    /// What a run that has its record put out, as far as it was kept.
    #[n(10)]
    Output {
        /// The run.
        #[n(0)]
        run: RunId,
    },
    /// Which runs have the records behind a place of the chain in force: for a desk that was put back
    /// from a copy and lost some that it had acknowledged.
    #[n(11)]
    Records {
        /// The place, as in a head's counter; 0 for all.
        #[n(0)]
        after: u64,
    },
    /// The order of a run that was accepted, as it came.
    #[n(12)]
    Order {
        /// The run.
        #[n(0)]
        run: RunId,
    },
}

/// The place of a run's record in an endpoint's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct RecordPlace {
    /// As in a head's counter.
    #[n(0)]
    pub counter: u64,
    /// The run.
    #[n(1)]
    pub run: RunId,
}

/// From the endpoint to the desk's side.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// Answers [`Ask::Hello`].
    #[n(0)]
    Hello {
        /// The hello's envelope.
        #[n(0)]
        hello: Bytes,
        /// The card's envelope.
        #[n(1)]
        card: Bytes,
        /// Runs that ended without being filed, newest last, at most 64.
        #[n(2)]
        unfiled: Vec<RunId>,
    },
    /// Answers [`Ask::Challenge`]: a hello's envelope with a new challenge.
    #[n(1)]
    Challenge {
        /// The hello.
        #[n(0)]
        hello: Bytes,
    },
    /// Answers [`Ask::CatalogueEnd`].
    #[n(2)]
    CatalogueTaken {
        /// What is trusted now.
        #[n(0)]
        versions: CatalogueVersions,
    },
    /// The update was refused; what was trusted before is trusted still.
    #[n(3)]
    CatalogueRefused {
        /// Stable code, as in `rollback`.
        #[n(0)]
        code: String,
        /// One sentence.
        #[n(1)]
        sentence: String,
    },
    /// Something happened in a run; live, until the record confirms its digest.
    #[n(4)]
    Event {
        /// The event.
        #[n(0)]
        event: Event,
    },
    /// The plan that a plan run made (its bytes; the record has their digest).
    #[n(5)]
    Plan {
        /// JSON of [`crate::Plan`].
        #[n(0)]
        plan: Bytes,
    },
    /// A part of the effects file (JSON lines).
    #[n(6)]
    Effects {
        /// At most 128 KiB.
        #[n(0)]
        part: Bytes,
    },
    /// The record's envelope; only [`Answer::Escrow`] follows it.
    #[n(7)]
    Record {
        /// The record.
        #[n(0)]
        record: Bytes,
    },
    /// A one-time secret sealed to the order's signer.
    #[n(8)]
    Escrow {
        /// JSON of [`crate::documents::Sealed`].
        #[n(0)]
        sealed: Bytes,
        /// When it should no longer be opened.
        #[n(1)]
        not_after: crate::Time,
    },
    /// Not a run's answer: the frame was wrong, its seals did not open, or there is no such run.
    #[n(9)]
    Stop {
        /// Why.
        #[n(0)]
        code: Stop,
    },
    /// A recall was taken.
    #[n(10)]
    Recalled {
        /// Whether a run was running or waiting.
        #[n(0)]
        was_running: bool,
    },
    /// Answers [`Ask::Certificate`]: it is kept, and shown from the next handshake on.
    #[n(11)]
    CertificateTaken {
        /// When it ends.
        #[n(0)]
        not_after: crate::Time,
    },
    /// The certificate was refused; the one that is had is shown still.
    #[n(12)]
    CertificateRefused {
        /// Stable code, as in `issuer`.
        #[n(0)]
        code: String,
        /// One sentence.
        #[n(1)]
        sentence: String,
    },
    /// A part of a run's output; the record has the digest of the whole.
    #[n(13)]
    Output {
        /// At most 128 KiB.
        #[n(0)]
        part: Bytes,
        /// Whether it ends here.
        #[n(1)]
        last: bool,
    },
    /// Answers [`Ask::Records`].
    #[n(14)]
    Records {
        /// The epoch of the chain.
        #[n(0)]
        epoch: Digest,
        /// Oldest first, at most [`crate::limits::RECORD_PLACES_MAX`]; fewer where there are no more.
        #[n(1)]
        places: Vec<RecordPlace>,
    },
    /// Answers [`Ask::Order`].
    #[n(15)]
    Order {
        /// The order's envelope.
        #[n(0)]
        order: Bytes,
    },
}

/// The desk's answer to an enrolment or a join, in frames on the one stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum EnrolFrame {
    /// A part of a catalogue file; root chain first.
    #[n(0)]
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
    /// The answer itself (JSON of `EnrolAnswer` or `JoinAnswer`), last.
    #[n(1)]
    Answer {
        /// JSON.
        #[n(0)]
        json: Bytes,
    },
    /// No.
    #[n(2)]
    Refused {
        /// Why.
        #[n(0)]
        stop: Stop,
    },
    /// Wait: the administrator is signing.
    #[n(3)]
    Wait,
}
