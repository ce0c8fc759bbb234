//! The one table of operations: number on the wire, name, arguments, result, who may, what it does.
//!
//! Numbers are never reused. Arguments and results are CBOR with field numbers: what an older side
//! does not know is passed over. An operation's time is the desk's own.

use minicbor::{Decode, Encode};
use protocol::documents::TicketState;
use protocol::{
    AgentName, Bytes, Digest, EndpointId, EndpointName, Erased, NamePatterns, Retention, RunId,
    ScriptName, TicketId, Time,
};
use store::{
    AgentRow, AgentSeen, AgentState, Chains, DoubtRow, EndpointPlace, EndpointRow, EndpointState,
    Enrolment, Erasure, EscrowRow, FactsRow, FileRow, GlassRow, HeadRow, HeldRow, ListFilter,
    Listed, NewEndpoint, NewTicketRow, NoteRow, OrderRow, OutboxRow, RequestPapers, RequestRow,
    RetentionRow, RunFilter, RunRow, Standing, Store, Stray, TicketFilter, TicketRow, TokenKind,
    TokenRow, WaitingRow,
};

use super::error::BookError;
use super::peer::People;
use super::{Books, heads, requests, rules};
use crate::identity::{self, Checks, CodeAsked, CodeSaid, Contact, Contacts, SpokenCode};
use crate::inventory::find::{self, Typed};

/// Who may ask for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Any agent of the policy.
    Agent,
    /// Whoever has an administrator's key in the policy.
    Administrator,
    /// The agent in whose name it is said.
    Oneself,
    /// The agent whose order the secret belongs to: nobody else could open it, only spoil it.
    Receiver,
}

/// The papers of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Paper {
    /// The record's envelope.
    #[n(0)]
    Record,
    /// The effects file.
    #[n(1)]
    Effects,
    /// The plan's bytes.
    #[n(2)]
    Plan,
    /// The dispatch's envelope.
    #[n(3)]
    Dispatch,
    /// The card's envelope that came with the record.
    #[n(4)]
    Card,
}

impl Paper {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Record, Self::Effects, Self::Plan, Self::Dispatch, Self::Card];

    fn read(self, store: &Store, run: &RunId) -> Result<Option<Bytes>, store::StoreError> {
        let bytes = match self {
            Self::Record => store.run_record(run),
            Self::Effects => store.run_effects(run),
            Self::Plan => store.run_plan(run),
            Self::Dispatch => store.run_dispatch(run),
            Self::Card => store.run_card(run),
        };
        Ok(bytes?.map(Bytes))
    }
}

macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $n:literal $op:ident $who:ident
        fn $name:ident($($an:literal $arg:ident: $ty:ty),* $(,)?)
            $(at $now:ident)? $(with $checks:ident)? $(of $people:ident)? -> $ret:ty
        = |$store:ident| $body:expr;
    )+) => {
        /// One operation on the desk's store, as a console asks for it.
        #[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
        pub enum BookAsk {
            $(
                $(#[$doc])*
                #[n($n)]
                $op { $( #[doc = concat!("Argument `", stringify!($arg), "`.")] #[n($an)] $arg: $ty ),* }
            ),+
        }

        impl BookAsk {
            /// How many operations there are.
            pub const COUNT: usize = [$($n),+].len();

            /// The operation's name, as a journal writes it.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $( Self::$op { .. } => stringify!($name) ),+ }
            }

            /// Who may ask for it.
            #[must_use]
            pub const fn who(&self) -> Who {
                match self { $( Self::$op { .. } => Who::$who ),+ }
            }

            /// Does it and gives the CBOR of its result.
            pub(super) fn run(
                self,
                store: &Store,
                now: Time,
                checks: &dyn Checks,
                people: &dyn People,
            ) -> Result<Vec<u8>, BookError> {
                match self {
                    $( Self::$op { $($arg),* } => {
                        let $store = store;
                        $( let $now = now; )?
                        $( let $checks = checks; )?
                        $( let $people = people; )?
                        let value: $ret = $body?;
                        minicbor::to_vec(&value).map_err(|_| BookError::NoAnswer)
                    } ),+
                }
            }
        }

        impl Books {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`BookError`].
                pub fn $name(
                    &self,
                    $( $arg: $ty, )*
                    $( $now: Time, )?
                    $( $checks: &dyn Checks, )?
                    $( $people: &dyn People, )?
                ) -> Result<$ret, BookError> {
                    match self {
                        Self::Here($store) => Ok($body?),
                        Self::There(line) => {
                            // The desk has a clock of its own.
                            $( let _ = $now; )?
                            // And a sender and a key of its own.
                            $( let _ = $checks; )?
                            // And its own policy.
                            $( let _ = $people; )?
                            line.book(&BookAsk::$op { $($arg),* })
                        }
                    }
                }
            )+
        }
    };
}

operations! {
    /// One run.
    0 Run Agent fn run(0 id: RunId) -> Option<RunRow> = |store| store.run(&id);
    /// A page of runs, newest first.
    1 Runs Agent fn runs_page(0 filter: RunFilter) -> Vec<RunRow> = |store| store.runs(&filter);
    /// Runs whose id begins with this, newest first, at most ten.
    2 RunsStarting Agent fn runs_starting(0 prefix: String) -> Vec<RunRow>
        = |store| store.runs_starting(&prefix);
    /// One paper of a run, byte for byte.
    3 Paper Agent fn paper(0 run: RunId, 1 which: Paper) -> Option<Bytes>
        = |store| which.read(store, &run);
    /// A page of the records that differ from the one filed first.
    4 Strays Agent fn strays_page(0 run: RunId, 1 after: Option<Digest>, 2 limit: usize) -> Vec<Stray>
        = |store| store.strays_page(&run, after.as_ref(), limit);
    /// The runs before and after a place in one endpoint's chain of records.
    5 Neighbours Agent
        fn neighbours(0 endpoint: EndpointId, 1 epoch: Digest, 2 counter: u64)
            -> (Option<RunRow>, Option<RunRow>)
        = |store| store.neighbours(&endpoint, &epoch, counter);
    /// One order.
    6 Order Agent fn order(0 digest: Digest) -> Option<OrderRow> = |store| store.order(&digest);
    /// A run's sealed secret, without opening it.
    7 Escrow Agent fn escrow(0 run: RunId) -> Option<EscrowRow> = |store| store.escrow(&run);
    /// A page of the secrets that nobody opened, soonest end first.
    8 UnopenedEscrows Agent
        fn unopened_escrows_page(0 after: Option<RunId>, 1 limit: usize) -> Vec<EscrowRow>
        = |store| store.unopened_escrows_page(after.as_ref(), limit);
    /// Marks a secret as opened, durably, before anybody sees it.
    9 OpenEscrow Receiver fn open_escrow(0 run: RunId) at now -> EscrowRow
        = |store| store.open_escrow(&run, now);
    /// One endpoint, whatever its state.
    10 Endpoint Agent fn endpoint(0 id: EndpointId) -> Option<EndpointRow>
        = |store| store.endpoint(&id);
    /// The active endpoint of this name.
    11 EndpointNamed Agent fn endpoint_named(0 name: EndpointName) -> Option<EndpointRow>
        = |store| store.endpoint_named(&name);
    /// A page of the endpoints by name, the active ones first.
    12 Endpoints Agent
        fn endpoints_page(0 after: Option<EndpointPlace>, 1 limit: usize) -> Vec<EndpointRow>
        = |store| store.endpoints_page(after.as_ref(), limit);
    /// Where an endpoint can be dialled.
    13 SetAddress Agent fn set_address(0 id: EndpointId, 1 address: String) -> ()
        = |store| store.set_address(&id, &address);
    /// Whose machine it is.
    14 SetPerson Agent fn set_person(0 id: EndpointId, 1 person: String) -> ()
        = |store| store.set_person(&id, &person);
    /// Adds an endpoint with its card.
    15 AddEndpoint Administrator fn add_endpoint(0 new: NewEndpoint) at now -> ()
        = |store| store.add_endpoint(&new, now);
    /// Withdraws or replaces an endpoint; its row and its runs stay.
    16 SetEndpointState Administrator
        fn set_endpoint_state(0 id: EndpointId, 1 state: EndpointState) -> ()
        = |store| store.set_endpoint_state(&id, state);
    /// The serial of the next card.
    17 NextCard Administrator fn next_card() -> u64 = |store| store.next_number("card");
    /// A page of the agents by name.
    18 Agents Administrator
        fn agents_page(0 after: Option<AgentName>, 1 limit: usize) -> Vec<AgentRow>
        = |store| store.agents_page(after.as_ref(), limit);
    /// Writes an agent; a field that is not given keeps what is there.
    19 PutAgent Administrator
        fn put_agent(
            0 name: AgentName,
            1 state: AgentState,
            2 document: Option<Bytes>,
            3 certificate: Option<Bytes>,
        ) at now -> ()
        = |store| {
            let (document, certificate) = (bytes(&document), bytes(&certificate));
            store.put_agent(&name, state, document, certificate, now)
        };
    /// Keeps a token's digest.
    20 AddToken Administrator
        fn add_token(0 secret: Digest, 1 kind: TokenKind, 2 name: String, 3 expires: Time) at now -> ()
        = |store| store.add_token(&secret, kind, &name, now, expires);
    /// Takes a token: of all who try with it, one gets it.
    21 TakeToken Administrator fn take_token(0 secret: Digest, 1 kind: TokenKind) at now -> TokenRow
        = |store| store.take_token(&secret, kind, now);
    /// A token as it is, without taking it.
    22 Token Administrator fn token(0 secret: Digest) -> Option<TokenRow>
        = |store| store.token(&secret);
    /// A page of the tokens, newest first: digests of their secrets, which let nobody in.
    23 Tokens Agent fn tokens_page(0 after: Option<Digest>, 1 limit: usize) -> Vec<TokenRow>
        = |store| store.tokens_page(after.as_ref(), limit);
    /// One ticket.
    24 Ticket Agent fn ticket(0 id: u64) -> TicketRow = |store| store.ticket(id);
    /// The newest ticket's number.
    25 LastTicket Agent fn last_ticket() -> Option<u64> = |store| store.last_ticket();
    /// A page of tickets, newest first.
    26 Tickets Agent fn tickets_page(0 filter: TicketFilter) -> Vec<TicketRow>
        = |store| store.tickets(&filter);
    /// Opens a ticket; the same key again is the same ticket.
    27 AddTicket Agent fn add_ticket(0 new: NewTicketRow) at now -> u64
        = |store| rules::add_ticket(store, &new, now);
    /// Moves a ticket, by the built-in system's rules.
    28 SetTicketState Agent fn set_ticket_state(0 id: u64, 1 to: TicketState) at now -> TicketRow
        = |store| rules::set_ticket_state(store, id, to, now);
    /// A page of a ticket's notes, oldest first.
    29 Notes Agent fn notes_page(0 ticket: u64, 1 after: u64, 2 limit: usize) -> Vec<NoteRow>
        = |store| store.notes_page(ticket, after, limit);
    /// A page of a ticket's files, oldest first, without their bytes.
    30 Files Agent fn files_page(0 ticket: u64, 1 after: u64, 2 limit: usize) -> Vec<FileRow>
        = |store| store.files_page(ticket, after, limit);
    /// A file's bytes.
    31 FileBytes Agent fn file_bytes(0 key: String) -> Option<Bytes>
        = |store| store.file_bytes(&key).map(|found| found.map(Bytes));
    /// A page of what tickets still have to be told.
    32 OutboxTodo Agent
        fn outbox_todo_page(0 after: Option<String>, 1 limit: usize) -> Vec<OutboxRow>
        = |store| store.outbox_todo_page(after.as_deref(), limit);
    /// Keeps the digest of a token that the desk admits machines with.
    40 AddEnrolment Administrator
        fn add_enrolment(
            0 secret: Digest,
            1 names: NamePatterns,
            2 enrolment: Enrolment,
            3 expires: Time,
        ) at now -> ()
        = |store| rules::add_enrolment(store, &secret, (&names, &enrolment), expires, now);
    /// Makes a token void; says whether it was good.
    41 VoidToken Administrator fn void_token(0 secret: Digest) at now -> bool
        = |store| store.void_token(&secret, now);
    /// Machines that came under a name that is taken.
    42 Held Agent fn held() -> Vec<HeldRow> = |store| store.held();
    /// All that ever had this name, the newest first.
    44 EndpointsNamed Agent fn endpoints_named(0 name: EndpointName) -> Vec<EndpointRow>
        = |store| store.endpoints_named(&name);
    /// Gives a ticket to somebody else; `by` is whoever asks.
    45 AssignTicket Oneself fn assign_ticket(0 id: u64, 1 to: AgentName, 2 by: AgentName) at now -> TicketRow
        = |store| store.assign_ticket(id, &to, &by, now);
    /// A person has decided about one of them; says whether it was held.
    43 ForgetHeld Administrator fn forget_held(0 name: EndpointName) -> bool
        = |store| store.forget_held(&name);
    /// A page of the active endpoints by name as lists show them, who is here at this moment.
    50 Listed Agent fn listed_page(0 filter: ListFilter) at now -> Vec<Listed>
        = |store| store.listed(&filter, now);
    /// The endpoint of a name that was typed, or of its beginning.
    51 EndpointTyped Agent fn endpoint_typed(0 typed: String) -> Typed
        = |store| find::typed(store, &typed);
    /// Endpoints of a person, or by a part of their name, host or label, the likeliest first.
    52 Search Agent fn search_endpoints(0 words: String, 1 limit: usize) at now -> Vec<Listed>
        = |store| find::search(store, &words, limit, now);
    /// A page of the agents whose consoles the desk had, by name.
    53 AgentsSeen Agent
        fn agents_seen_page(0 after: Option<AgentName>, 1 limit: usize) at now -> Vec<AgentSeen>
        = |store| store.agents_seen(after.as_ref(), limit, now);
    /// A page of the orders that wait for their endpoints, by run; never their keys.
    70 Waiting Agent fn waiting_page(0 after: Option<RunId>, 1 limit: usize) -> Vec<WaitingRow>
        = |store| store.waiting_page(None, after.as_ref(), limit);
    /// A page of how the active endpoints stand, by id.
    61 Standings Agent
        fn standings_page(0 after: Option<EndpointId>, 1 limit: usize) -> Vec<Standing>
        = |store| store.standings_page(after.as_ref(), limit);
    /// What a machine last said of itself, with the run that proves it.
    60 Facts Agent fn facts(0 id: EndpointId) -> Option<FactsRow> = |store| store.facts(&id);
    /// Keeps an order of one's own that asks other people, with the plan that it is bound to.
    100 AddRequest Oneself
        fn add_request(0 order: Bytes, 1 plan: Bytes, 2 plan_run: RunId, 3 wanted: u32, 4 by: AgentName)
            at now -> Digest
        = |store| requests::add(store, (&order.0, &plan.0, plan_run), wanted, &by, now);
    /// A page of the orders that ask, by order, with what was answered.
    101 Requests Agent
        fn requests_page(0 after: Option<Digest>, 1 limit: usize) at now -> Vec<RequestRow>
        = |store| store.requests_page(after.as_ref(), limit, now);
    /// One order that asks.
    102 Request Agent fn request(0 order: Digest) -> Option<RequestRow>
        = |store| store.request(&order);
    /// The papers of an order that asks: for whoever verifies them.
    103 RequestPapers Agent fn request_papers(0 order: Digest) -> Option<RequestPapers>
        = |store| store.request_papers(&order);
    /// One's own answer to an order that asks, sealed; false where it asks no more.
    104 AddApproval Oneself fn add_approval(0 answer: Bytes, 1 by: AgentName) at now -> bool
        = |store| requests::answer(store, &answer.0, &by, now);
    /// An order of one's own asks no more: it was sent, or is not to be.
    105 EndRequest Oneself fn end_request(0 order: Digest, 1 by: AgentName) -> bool
        = |store| store.end_request(&order, &by);
    /// A page of the runs that were stored between two times, oldest first.
    81 RunsBetween Agent
        fn runs_between_page(0 from: Time, 1 to: Time, 2 after: Option<RunId>, 3 limit: usize)
            -> Vec<RunRow>
        = |store| store.runs_between((from, to), after.as_ref(), limit);
    /// A page of every endpoint's chains of records, by id.
    82 Chains Agent fn chains_page(0 after: Option<EndpointId>, 1 limit: usize) -> Vec<Chains>
        = |store| store.chains_page(after.as_ref(), limit);
    /// The sealed answers of other people that an order was sent with.
    80 Approvals Agent fn approvals(0 order: Digest) -> Vec<Bytes>
        = |store| store.approvals(&order);
    /// The heads of an endpoint's records that were seen: those that do not fit, then the newest; at
    /// most 32.
    120 Heads Agent fn heads(0 endpoint: EndpointId) -> Vec<HeadRow>
        = |store| store.heads(&endpoint);
    /// Keeps a head that one saw and countersigned, with the hello that shows it: both seals are
    /// opened first.
    121 AddHead Oneself
        fn add_head(0 endpoint: EndpointId, 1 seen: Bytes, 2 hello: Bytes, 3 by: AgentName)
            at now of people -> ()
        = |store| heads::add(store, &endpoint, (seen, hello), &by, now, people);
    /// The next head of a chain, at a place or behind it, that a person countersigned.
    123 HeadAfter Agent
        fn head_after(0 endpoint: EndpointId, 1 epoch: Digest, 2 counter: u64) -> Option<HeadRow>
        = |store| store.head_after(&endpoint, &epoch, counter);
    /// A page of the endpoints in use of which heads do not fit, by id.
    122 Doubts Agent fn doubts_page(0 after: Option<EndpointId>, 1 limit: usize) -> Vec<DoubtRow>
        = |store| store.doubts_page(after.as_ref(), limit);
    /// How long bodies are kept, by whom, and what was erased.
    124 Retention Agent fn retention() at now -> RetentionRow = |store| store.retention(now);
    /// Sets how long bodies are kept, in an administrator's own name.
    125 SetRetention Administrator fn set_retention(0 rule: Retention, 1 by: AgentName) at now -> ()
        = |store| rules::set_retention(store, rule, &by, now);
    /// Erases the bodies of one ticket at once, as a person asks for it; in an administrator's own name.
    126 EraseTicket Administrator
        fn erase_ticket(0 ticket: TicketId, 1 by: AgentName) at now -> Erasure
        = |store| store.erase_ticket(&ticket, &by, now);
    /// When and why the bodies of a run were erased.
    127 ErasedOf Agent fn erased(0 run: RunId) -> Option<Erased> = |store| store.erased(&run);
    /// A page of the orders that broke glass, by order: all, or those that nobody has reviewed.
    140 BrokenGlass Agent
        fn broken_glass_page(0 open: bool, 1 after: Option<Digest>, 2 limit: usize) -> Vec<GlassRow>
        = |store| store.broken_glass_page(open, after.as_ref(), limit);
    /// One has looked at an order of somebody else that broke glass; false where there is nothing to
    /// review.
    141 ReviewGlass Oneself fn review_glass(0 order: Digest, 1 by: AgentName) at now -> bool
        = |store| store.review_glass(&order, &by, now);
    /// One order that waits, by its run.
    71 WaitingRun Agent fn waiting_run(0 run: RunId) -> Option<WaitingRow>
        = |store| store.waiting(&run);
    /// A page of the contacts on file by person, masked.
    130 Contacts Agent fn contacts_page(0 after: Option<String>, 1 limit: usize) -> Vec<Contacts>
        = |store| identity::page(store, after.as_deref(), limit);
    /// Sets a person's contact, in an administrator's own name.
    131 SetContact Administrator
        fn set_contact(0 person: String, 1 contact: Contact, 2 by: AgentName) at now -> ()
        = |store| identity::set(store, &person, &contact, &by, now);
    /// Removes a person's contact; says whether there was one.
    132 RemoveContact Administrator fn remove_contact(0 person: String) -> bool
        = |store| identity::remove(store, &person);
    /// Sends a code to whoever a ticket is for: one's own, for one script, and for one machine where one is
    /// named.
    133 AskCode Oneself
        fn ask_code(
            0 ticket: u64,
            1 script: ScriptName,
            2 by: AgentName,
            3 endpoint: Option<EndpointId>,
        ) at now with checks -> CodeAsked
        = |store| identity::ask(store, (ticket, &script, endpoint), &by, now, checks);
    /// Hands in what the caller said.
    134 SayCode Oneself
        fn say_code(0 ticket: u64, 1 script: ScriptName, 2 said: SpokenCode, 3 by: AgentName)
            at now with checks -> CodeSaid
        = |store| identity::say(store, (ticket, &script), &said, &by, now, checks);
}

fn bytes(given: &Option<Bytes>) -> Option<&[u8]> {
    given.as_ref().map(|bytes| bytes.0.as_slice())
}
