//! Ledger entries: what must outlive a crash. CBOR; field numbers are never reused.

use minicbor::{Decode, Encode};
use protocol::documents::{Asked, CatalogueVersions, IdentityCheck};
use protocol::{AgentName, Bytes, Digest, OrderId, RunId, Time};

/// An order that was accepted: all that its record needs if nobody comes back from the run.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Accepted {
    /// The run.
    #[n(0)]
    pub run: RunId,
    /// The order's digest: the replay key.
    #[n(1)]
    pub order: Digest,
    /// The order's id.
    #[n(2)]
    pub id: OrderId,
    /// The order's envelope.
    #[n(3)]
    pub envelope: Bytes,
    /// Why it was permitted.
    #[n(4)]
    pub reasons: Vec<String>,
    /// What is weak by configuration.
    #[n(5)]
    pub weaknesses: Vec<String>,
    /// Profile classes of the run.
    #[n(6)]
    pub classes: Vec<String>,
    /// The catalogue that decided.
    #[n(7)]
    pub catalogue: CatalogueVersions,
    /// When.
    #[n(8)]
    pub at: Time,
    /// Dispatches by the agent's own key; false: by a key made for this order.
    #[n(9)]
    pub own_key: bool,
    /// What the person at the machine had said to the plan that binds it.
    #[n(10)]
    pub asked: Option<Asked>,
    /// The desk's word that it checked who is calling, as the attestation said it.
    #[n(11)]
    pub identity_checked: Option<IdentityCheck>,
}

/// A record, whole: the ledger is where records live.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Recorded {
    /// The run.
    #[n(0)]
    pub run: RunId,
    /// The order's digest.
    #[n(1)]
    pub order: Digest,
    /// SHA-256 of the record's payload.
    #[n(2)]
    pub record: Digest,
    /// Its place in the chain of records, from 1.
    #[n(3)]
    pub counter: u64,
    /// Whether it is a refusal: the order did not run and this does not spend it.
    #[n(4)]
    pub refused: bool,
    /// The record's envelope.
    #[n(5)]
    pub envelope: Bytes,
    /// Whose order it was: who may say that the record arrived.
    #[n(6)]
    pub agent: AgentName,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Entry {
    /// First entry of every ledger: a new epoch began.
    #[n(0)]
    Opened {
        /// Random.
        #[n(0)]
        epoch: Digest,
        /// When.
        #[n(1)]
        at: Time,
        /// Version of the daemon.
        #[n(2)]
        version: String,
    },
    /// An order was accepted; from here on it is never accepted again.
    #[n(1)]
    Accepted(#[n(0)] Box<Accepted>),
    /// Its children are about to be started.
    #[n(2)]
    Started {
        /// The run.
        #[n(0)]
        run: RunId,
        /// When.
        #[n(1)]
        at: Time,
    },
    /// A run ended, or an order was refused.
    #[n(3)]
    Record(#[n(0)] Box<Recorded>),
    /// An order was taken back; if it did not start, it never will.
    #[n(4)]
    Recalled {
        /// The order.
        #[n(0)]
        order: Digest,
        /// By whom.
        #[n(1)]
        by: AgentName,
        /// When.
        #[n(2)]
        at: Time,
    },
    /// The desk has this record.
    #[n(5)]
    Filed {
        /// Digest of the record's payload.
        #[n(0)]
        record: Digest,
    },
}
