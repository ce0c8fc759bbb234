//! Every number that both sides agree on, with its reason. Relations are asserted at compile time.

/// Largest frame on a stream, bytes: a record with its plan fits, a gate's buffers stay small.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a file carried in one frame: leaves room for the frame's own words.
pub const CHUNK_BYTES_MAX: usize = 128 * 1024;
/// Largest envelope, bytes: base64 of the largest payload plus signatures.
pub const ENVELOPE_BYTES_MAX: usize = 200 * 1024;
/// Most signatures read in one envelope: more people than any threshold names.
pub const SIGNATURES_MAX: usize = 16;
/// Largest order payload, bytes.
pub const ORDER_BYTES_MAX: usize = 64 * 1024;
/// Largest payload of the other documents an endpoint reads, bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Largest record payload, bytes: a record is summaries and digests.
pub const RECORD_BYTES_MAX: usize = 128 * 1024;
/// Largest script, bytes: rhai parses 64 KiB in about 5 ms.
pub const SCRIPT_BYTES_MAX: usize = 64 * 1024;
/// Largest manifest in the catalogue, bytes.
pub const MANIFEST_BYTES_MAX: usize = 32 * 1024;
/// Largest catalogue update, bytes: thousands of script versions.
pub const CATALOGUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most files in one catalogue update: a root chain of 64, the roles, the scripts.
pub const CATALOGUE_FILES_MAX: usize = 4096;
/// Most root versions an endpoint catches up in one update.
pub const ROOT_CHAIN_MAX: usize = 64;
/// Shortest time between catalogue updates of one session, seconds.
pub const CATALOGUE_PAUSE_SECONDS: u64 = 10;
/// Most endpoints one live order names.
pub const TARGETS_MAX: usize = 64;
/// Most parameters of one script.
pub const PARAMS_MAX: usize = 100;
/// Longest text parameter, bytes.
pub const PARAM_TEXT_BYTES_MAX: usize = 4096;
/// Largest evidence bundle, bytes: a ticket with a few large effects files, or hundreds of small runs.
pub const EVIDENCE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most runs in one evidence bundle: more than any ticket has.
pub const EVIDENCE_RUNS_MAX: usize = 1000;
/// Most generations of the catalogue in one question to the desk: their lists fit in one catalogue.
pub const PAST_GENERATIONS_MAX: usize = 16;
/// Most records of a chain that an evidence bundle carries from a run to a head that was seen: a
/// quarter of a MiB, and as few of other tickets as may be.
pub const EVIDENCE_LINKS_MAX: usize = 64;
/// Largest plan, bytes.
pub const PLAN_BYTES_MAX: usize = 64 * 1024;
/// Plans an endpoint keeps for a bound fix.
pub const PLANS_KEPT: usize = 16;
/// How long a kept plan may be named by a fix, seconds.
pub const PLAN_KEPT_SECONDS: u64 = 3600;
/// How long the person at a machine has to answer, seconds: longer nobody waits on the phone.
pub const ASK_SECONDS: u64 = 30;
/// Questions on one machine in [`ASK_SPAN_SECONDS`]: who is asked without end says yes to have quiet.
pub const ASKS_MAX: u32 = 6;
/// See [`ASKS_MAX`].
pub const ASK_SPAN_SECONDS: u64 = 600;
/// Output kept word for word, bytes; the rest is counted and hashed.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// Effects file, bytes; beyond it effects are counted and hashed.
pub const EFFECTS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// One sentence to people (`Say`), characters.
pub const SAY_CHARS_MAX: usize = 300;
/// Reason an agent gives, characters.
pub const REASON_CHARS_MAX: usize = 500;
/// A run's deadline where the manifest says none, seconds: nearly all end within a minute.
pub const RUN_SECONDS_DEFAULT: u64 = 60;
/// Longest deadline a manifest may ask for, seconds: scans and backups of one night.
pub const RUN_SECONDS_MAX: u64 = 12 * 3600;
/// From the order to stop until the cgroup is killed, seconds.
pub const CANCEL_GRACE_SECONDS: u64 = 2;
/// Streams open at once on one connection.
pub const STREAMS_MAX: u32 = 8;
/// From an accepted connection to its first frame, seconds.
pub const HELLO_SECONDS_MAX: u64 = 5;
/// From dialling to an answer, seconds.
pub const CONNECT_SECONDS_MAX: u64 = 3;
/// A connection without traffic is closed after, seconds.
pub const IDLE_SECONDS_MAX: u64 = 20;
/// The desk pings a held line after, seconds: NAT forgets UDP after 30 s where it is hasty. The
/// endpoint only acknowledges, which refreshes its mapping and costs one wake-up.
pub const LINE_PING_SECONDS: u64 = 25;
/// A held line without traffic is given up after, seconds: two pings may be lost.
pub const LINE_IDLE_SECONDS_MAX: u64 = 75;
/// Streams open at once on a desk's connection: it speaks for many consoles.
pub const DESK_STREAMS_MAX: u32 = 64;
/// First pause before an endpoint dials its desk again, seconds; doubles, always drawn by chance
/// from nothing to the pause.
pub const REDIAL_SECONDS_MIN: u64 = 1;
/// Longest such pause, seconds: a desk that comes back has its endpoints within minutes.
pub const REDIAL_SECONDS_MAX: u64 = 300;
/// After a line that had lived the first pause is drawn from this, seconds: a desk's restart must
/// not bring all its endpoints in one second.
pub const REDIAL_SPREAD_SECONDS: u64 = 10;
/// Without any desk for so long, a gate that knows a desk by name ends, seconds: the next one
/// looks the name up again.
pub const RESOLVE_AGAIN_SECONDS: u64 = 300;
/// The same where not even a name was found, seconds: at a machine's start the network comes late.
pub const RESOLVE_SOON_SECONDS: u64 = 60;
/// Looking up the names of desks ends after, seconds: the door must open.
pub const RESOLVE_SECONDS_MAX: u64 = 10;
/// Desks that an endpoint may name: a main one and a few in reserve.
pub const DESKS_MAX: usize = 4;
/// An endpoint whose certificate expired at most so long ago is let in by a desk, days, to be
/// given a new one and nothing else: a laptop that lay in a drawer for half a year.
pub const EXPIRED_ENDPOINT_DAYS: u64 = 180;
/// Differences between honest clocks, seconds.
pub const CLOCK_SKEW_SECONDS: u64 = 120;
/// Life of a challenge that nobody used, seconds (monotonic).
pub const CHALLENGE_SECONDS: u64 = 60;
/// Challenges of one console's session that live at once: the one in use and those asked for ahead.
pub const CHALLENGES_MAX: usize = 4;
/// The same for a desk's session, which has as many consoles behind it.
pub const DESK_CHALLENGES_MAX: usize = 256;
/// Seals of a desk's session that may not open in a minute; more are not looked at. Its own look at
/// them should leave none, and one bad console must not cut all the others.
pub const DESK_BAD_SEALS_A_MINUTE: u32 = 64;
/// Dispatch numbers of one challenge that may overtake each other.
pub const DISPATCH_WINDOW: u64 = 64;
/// Longest life of a dispatch, seconds.
pub const DISPATCH_SECONDS_MAX: u64 = 300;
/// Longest life of a live order, seconds: waiting orders hold for a working day.
pub const ORDER_SECONDS_MAX: u64 = 24 * 3600;
/// Longest life of a session key, seconds: one working day with overtime, never overnight into the next.
pub const SESSION_KEY_SECONDS_MAX: u64 = 12 * 3600;
/// Largest session key payload, bytes: names, a key and two times.
pub const SESSION_KEY_BYTES_MAX: usize = 1024;
/// Life of a ticket attestation, seconds.
pub const ATTESTATION_SECONDS: u64 = 600;
/// From a code that was right to the beginning of the last order that may rest on it, seconds: time to read a
/// plan and to find somebody who approves.
pub const IDENTITY_CHECK_SECONDS: u64 = 3600;
/// Digits of an identity code: short enough to be read aloud.
pub const CODE_DIGITS: u32 = 6;
/// Life of an identity code, seconds: mail takes a minute or two.
pub const CODE_SECONDS: u64 = 600;
/// Tries of one code: a digit misheard twice.
pub const CODE_TRIES: u32 = 3;
/// Codes that one person gets in an hour; with [`CODE_TRIES`] a guess is right once in 66,000 hours.
pub const CODES_AN_HOUR: u32 = 5;
/// A contact younger than this is said loudly, seconds: a week.
pub const CONTACT_YOUNG_SECONDS: u64 = 7 * 86_400;
/// Longest name of a person as tickets have it, characters.
pub const PERSON_CHARS_MAX: usize = 200;
/// Longest masked contact, characters: a character, the mark and a domain of 253.
pub const MASKED_CHARS_MAX: usize = 260;
/// Orders waiting behind a mutating run.
pub const QUEUE_MAX: usize = 8;
/// Runs in modes check and plan at once.
pub const LOOKS_MAX: usize = 4;
/// Places of records that one answer lists.
pub const RECORD_PLACES_MAX: usize = 256;
/// Recorded refusals of one agent in a minute; more are counted only.
pub const REFUSALS_A_MINUTE: u32 = 10;
/// Interpreter's memory, bytes.
pub const INTERPRETER_MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// Interpreter's stack, bytes.
pub const INTERPRETER_STACK_BYTES: usize = 16 * 1024 * 1024;
/// An executor's memory, bytes: a list of [`FILES_MAX`] files that comes, is looked at and goes back
/// takes some 60 MiB, an account database of a large machine 8.
pub const EXECUTOR_MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// The same with the account programs, which inherit it, bytes: a password's hash at the highest cost
/// that libxcrypt knows takes 1 GiB.
pub const ACCOUNTS_MEMORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// A ledger segment, bytes, preallocated.
pub const LEDGER_SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
/// One run's scratch on disk, bytes, preallocated.
pub const SCRATCH_BYTES: u64 = 32 * 1024 * 1024;
/// Enrolment request, bytes.
pub const ENROL_REQUEST_BYTES_MAX: usize = 8 * 1024;
/// A leaf certificate, bytes (DER): ours have some 500.
pub const CERTIFICATE_BYTES_MAX: usize = 4 * 1024;
/// Life of an enrolment token, seconds.
pub const ENROL_TOKEN_SECONDS: u64 = 15 * 60;
/// Longest life of a token for many machines, days: a wave of new laptops.
pub const ENROL_BATCH_DAYS_MAX: u64 = 30;
/// Most machines of one token.
pub const ENROL_BATCH_MAX: u64 = 10_000;
/// Machines under a name that is taken which the desk remembers for a person.
pub const HELD_MAX: usize = 1_000;
/// Largest message between the daemon's processes, bytes: one frame and its address.
pub const HATCH_BYTES_MAX: usize = FRAME_BYTES_MAX + 1024;
/// Most files that one `fs.find` gives: a browser's cache has about a tenth of it.
pub const FILES_MAX: usize = 20_000;
/// Largest message between interpreter and executor, bytes: a list of [`FILES_MAX`] files with
/// paths of 200 bytes. The executor bounds its parser by it; the interpreter has memory for it.
pub const PEER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// UDP port of `salved`.
pub const PORT_DEFAULT: u16 = 7433;
/// UDP port of the shared desk; the one between is where `enroll` listens.
pub const DESK_PORT_DEFAULT: u16 = 7435;
/// Connections at once on one endpoint, before the hello.
pub const INCOMING_MAX: usize = 256;
/// ALPN of sessions.
pub const ALPN: &[u8] = b"salve/1";
/// ALPN of a console's line to a desk.
pub const ALPN_DESK: &[u8] = b"salve-desk/1";
/// ALPN of enrolment.
pub const ALPN_ENROL: &[u8] = b"salve-enrol/1";
/// Version of the frames between console and desk.
pub const DESK_VERSION: u32 = 1;
/// Bytes that one frame between console and desk carries of something longer, or of an endpoint's
/// frame: leaves room for the frame's own words.
pub const DESK_PART_BYTES_MAX: usize = FRAME_BYTES_MAX - 1024;
/// Largest answer from the desk's store, bytes: one attachment of 20 MiB and its words.
pub const DESK_ANSWER_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Largest address book that a colleague gets when joining, bytes: some 18,000 machines. Who has more
/// has a shared desk, which is asked.
pub const ADDRESS_BOOK_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest order file, bytes: a record with an effects file of 16 MiB, in base64.
pub const ORDER_FILE_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Most rows that one answer of the desk's store lists: a page is written in milliseconds.
pub const BOOK_ROWS_MAX: usize = 500;
/// Longest text of people in a question to the desk's store (a ticket's body, a note), bytes.
pub const BOOK_TEXT_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(CHUNK_BYTES_MAX + 1024 < FRAME_BYTES_MAX);
const _: () = assert!(ENVELOPE_BYTES_MAX + 1024 < FRAME_BYTES_MAX);
const _: () = assert!(ENVELOPE_BYTES_MAX + 1024 < DESK_PART_BYTES_MAX);
const _: () = assert!(CHUNK_BYTES_MAX + 1024 < DESK_PART_BYTES_MAX);
const _: () = assert!(BOOK_TEXT_BYTES_MAX * 3 < DESK_PART_BYTES_MAX);
const _: () = assert!(EFFECTS_BYTES_MAX < DESK_ANSWER_BYTES_MAX);
const _: () = assert!(EFFECTS_BYTES_MAX / 3 * 4 + 4 * ENVELOPE_BYTES_MAX < ORDER_FILE_BYTES_MAX);
const _: () = assert!(RECORD_BYTES_MAX / 3 * 4 + 4096 < ENVELOPE_BYTES_MAX);
const _: () = assert!(ORDER_BYTES_MAX < RECORD_BYTES_MAX);
const _: () = assert!(SCRIPT_BYTES_MAX < CHUNK_BYTES_MAX);
const _: () = assert!(SCRIPT_BYTES_MAX < HATCH_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX < HATCH_BYTES_MAX);
const _: () = assert!(PLAN_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(RUN_SECONDS_DEFAULT < RUN_SECONDS_MAX);
const _: () = assert!(HELLO_SECONDS_MAX < IDLE_SECONDS_MAX);
const _: () = assert!(LINE_PING_SECONDS * 3 <= LINE_IDLE_SECONDS_MAX);
const _: () = assert!(IDLE_SECONDS_MAX < LINE_IDLE_SECONDS_MAX);
const _: () = assert!(STREAMS_MAX < DESK_STREAMS_MAX);
const _: () = assert!(CHALLENGES_MAX < DESK_CHALLENGES_MAX);
const _: () = assert!(REDIAL_SECONDS_MIN < REDIAL_SPREAD_SECONDS);
const _: () = assert!(REDIAL_SPREAD_SECONDS < REDIAL_SECONDS_MAX);
const _: () = assert!(DISPATCH_SECONDS_MAX < ORDER_SECONDS_MAX);
const _: () = assert!(DISPATCH_SECONDS_MAX < SESSION_KEY_SECONDS_MAX);
const _: () = assert!(SESSION_KEY_BYTES_MAX * 8 < ORDER_BYTES_MAX);
const _: () = assert!(CODE_SECONDS < IDENTITY_CHECK_SECONDS);
const _: () = assert!(IDENTITY_CHECK_SECONDS < CONTACT_YOUNG_SECONDS);
const _: () = assert!(EFFECTS_BYTES_MAX as u64 <= SCRATCH_BYTES);
const _: () = assert!(FILES_MAX * 300 < PEER_BYTES_MAX);
const _: () = assert!((PEER_BYTES_MAX as u64) * 8 < INTERPRETER_MEMORY_BYTES);
const _: () = assert!((PEER_BYTES_MAX as u64) * 8 < EXECUTOR_MEMORY_BYTES);
const _: () = assert!(EXECUTOR_MEMORY_BYTES < ACCOUNTS_MEMORY_BYTES);
