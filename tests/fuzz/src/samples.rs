//! Seeds: every vector, every shipped script, one of each frame.

use protocol::documents::CatalogueVersions;
use protocol::frames::{
    Answer, Ask, DeskAnswer, DeskAsk, DeskPath, EnrolFrame, Event, FiledAs, FilingSummary,
    NoteStage, Phase, RecordPlace, Stop, encode, sorry,
};
use protocol::{Bytes, Digest, EndpointId, Mode, Outcome, RunId, Time, limits};
use trust::Signer as _;

use crate::places::{files, vectors};

const RUN: RunId = RunId([7; 16]);
const ENDPOINT: EndpointId = EndpointId([9; 16]);

pub(crate) fn versions() -> CatalogueVersions {
    CatalogueVersions {
        root: 1,
        timestamp: 9,
        snapshot: 8,
        targets: 1,
        policy: 3,
        risk_low: 4,
        risk_medium: 2,
        risk_high: 1,
    }
}

/// One of each frame from the desk's side.
#[must_use]
pub fn asks() -> Vec<Ask> {
    vec![
        Ask::Hello { min: 1, max: 1 },
        Ask::Challenge,
        Ask::CatalogueFile {
            name: "7.snapshot.json".into(),
            part: Bytes(b"{}".to_vec()),
            last: true,
        },
        Ask::CatalogueEnd,
        Ask::Submit {
            order: Bytes(b"order".to_vec()),
            dispatch: Bytes(b"dispatch".to_vec()),
            attestation: Some(Bytes(b"attestation".to_vec())),
            approvals: vec![Bytes(b"approval".to_vec())],
        },
        Ask::Recall { recall: Bytes(b"recall".to_vec()) },
        Ask::Follow { run: RUN },
        Ask::Fetch { run: RUN },
        Ask::Filed { record: Digest([5; 32]) },
        Ask::Certificate { leaf: Bytes(b"leaf".to_vec()) },
        Ask::Output { run: RUN },
        Ask::Records { after: 7 },
        Ask::Order { run: RUN },
    ]
}

/// One of each frame from the endpoint, one of each event, one of each stop.
#[must_use]
pub fn answers() -> Vec<Answer> {
    let events = [
        Event::Accepted { run: RUN, mode: Mode::Fix, ahead: 2 },
        Event::Phase { phase: Phase::Remediate },
        Event::Progress { text: "looking".into() },
        Event::Line { text: "a line".into() },
        Event::Effect {
            function: "fs.remove".into(),
            key: "/a/**".into(),
            count: 3,
            bytes: 4096,
            ok: true,
        },
        Event::Found { phase: Phase::Detect, needed: true, summary: "full".into() },
        Event::Skipped { text: "firefox is open".into() },
        Event::Ended { outcome: Outcome::Succeeded },
    ];
    let mut all = vec![
        Answer::Hello {
            hello: Bytes(b"hello".to_vec()),
            card: Bytes(b"card".to_vec()),
            unfiled: vec![RUN],
        },
        Answer::Challenge { hello: Bytes(b"hello".to_vec()) },
        Answer::CatalogueTaken { versions: versions() },
        Answer::CatalogueRefused { code: "rollback".into(), sentence: "an older snapshot".into() },
        Answer::Plan { plan: Bytes(b"{}".to_vec()) },
        Answer::Effects { part: Bytes(b"{}\n".to_vec()) },
        Answer::Record { record: Bytes(b"record".to_vec()) },
        Answer::Escrow { sealed: Bytes(b"{}".to_vec()), not_after: Time(1_795_000_000) },
        Answer::Recalled { was_running: true },
    ];
    all.extend(events.map(|event| Answer::Event { event }));
    all.extend(Stop::ALL.map(|code| Answer::Stop { code }));
    all.extend([
        Answer::CertificateTaken { not_after: Time(1_795_000_000) },
        Answer::CertificateRefused {
            code: "issuer".into(),
            sentence: "no CA for endpoints that policy lists signed it".into(),
        },
        Answer::Output { part: Bytes(b"{}".to_vec()), last: true },
        Answer::Records {
            epoch: Digest([3; 32]),
            places: vec![RecordPlace { counter: 8, run: RUN }],
        },
        Answer::Order { order: Bytes(b"order".to_vec()) },
    ]);
    all
}

/// One of each frame of an enrolment's answer.
#[must_use]
pub fn enrol_frames() -> Vec<EnrolFrame> {
    vec![
        EnrolFrame::CatalogueFile {
            name: "1.root.json".into(),
            part: Bytes(b"{}".to_vec()),
            last: true,
        },
        EnrolFrame::Answer { json: Bytes(b"{}".to_vec()) },
        EnrolFrame::Refused { stop: Stop::Token },
        EnrolFrame::Wait,
    ]
}

/// One of each question to the shared desk.
#[must_use]
pub fn desk_asks() -> Vec<DeskAsk> {
    let bytes = |word: &str| Bytes(word.as_bytes().to_vec());
    vec![
        DeskAsk::Hello { min: 1, max: 1 },
        DeskAsk::Book { ask: bytes("ask") },
        DeskAsk::Catalogue { have: versions() },
        DeskAsk::PublishFile { name: "4.policy.json".into(), part: bytes("{}"), last: true },
        DeskAsk::Publish { base: versions() },
        DeskAsk::Meet { endpoint: ENDPOINT },
        DeskAsk::Submit {
            endpoint: ENDPOINT,
            order: bytes("order"),
            dispatch: bytes("dispatch"),
            approvals: vec![bytes("approval")],
        },
        DeskAsk::Follow { run: RUN },
        DeskAsk::Recall { endpoint: ENDPOINT, recall: bytes("recall") },
        DeskAsk::Wait { endpoint: ENDPOINT, order: bytes("order"), seed: Bytes(vec![7; 32]) },
        DeskAsk::Carry { run: RUN },
        DeskAsk::Past { generations: vec![versions()] },
        DeskAsk::Bring { part: bytes("salve order 1 "), last: false },
        DeskAsk::Renew,
    ]
}

/// One of each answer of the shared desk.
///
/// # Panics
/// Where a label is none, which none here is.
#[must_use]
pub fn desk_answers() -> Vec<DeskAnswer> {
    let bytes = |word: &str| Bytes(word.as_bytes().to_vec());
    let filing = |filed, note| FilingSummary {
        run: RUN,
        filed,
        record: Digest([5; 32]),
        verified: true,
        fault: None,
        outcome: Some(Outcome::Succeeded),
        note,
    };
    vec![
        DeskAnswer::Hello {
            min: 1,
            max: 1,
            organisation: "demo-ltd".parse().expect("a label"),
            version: "0.1.0".into(),
            catalogue: versions(),
        },
        DeskAnswer::Book { answer: bytes("answer"), last: true },
        DeskAnswer::Sorry {
            code: sorry::NOT_FOUND.into(),
            sentence: "there is no ticket `7`".into(),
            next: Some("look at `salve tickets`".into()),
        },
        DeskAnswer::CatalogueFile { name: "1.root.json".into(), part: bytes("{}"), last: false },
        DeskAnswer::CatalogueEnd { versions: versions() },
        DeskAnswer::Published { versions: versions() },
        DeskAnswer::Met {
            hello: bytes("hello"),
            card: bytes("card"),
            number: 3,
            path: DeskPath::Kept,
            since: Time(1_795_000_000),
        },
        DeskAnswer::Away { last_seen: Some(Time(1_795_000_000)), left_in_order: Some(true) },
        DeskAnswer::Stored { run: RUN, order: Digest([6; 32]) },
        DeskAnswer::Endpoint { frame: bytes("frame") },
        DeskAnswer::Lost { sentence: "the line broke".into() },
        DeskAnswer::Done { filing: filing(FiledAs::New, Some(NoteStage::Posted)) },
        DeskAnswer::Recalled { was_running: true },
        DeskAnswer::Done { filing: filing(FiledAs::Again, Some(NoteStage::Due)) },
        DeskAnswer::Done { filing: filing(FiledAs::Replaced, Some(NoteStage::Waiting)) },
        DeskAnswer::Done {
            filing: FilingSummary {
                verified: false,
                fault: Some("record: its seal does not open".into()),
                outcome: None,
                ..filing(FiledAs::Differs, None)
            },
        },
        DeskAnswer::Watching { agents: vec!["m.ruiz".parse().expect("a name")] },
        DeskAnswer::Waits { run: RUN, until: Time(1_795_000_000) },
        DeskAnswer::Carried { order: bytes("order"), seed: Bytes(vec![7; 32]) },
        DeskAnswer::Renewed { leaf: Some(bytes("a certificate")) },
    ]
}

/// The operations on the desk's store, each its question and its answer.
fn book_vectors() -> Vec<(String, String, String)> {
    let file = vectors().join("books.json");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn from_hex(digits: &str) -> Vec<u8> {
    let nibble = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
    digits.as_bytes().chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// Every frame of the wire by name, as hex with its length in front: the vectors.
///
/// # Panics
/// Where a frame is too large, which none here is.
#[must_use]
pub fn frame_vectors() -> Vec<(String, String)> {
    fn hex<M: minicbor::Encode<()>>(message: &M) -> String {
        let bytes = encode(message, limits::FRAME_BYTES_MAX).expect("small");
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
    let name = |kind: &str, place: usize, debug: String| {
        let word: String = debug.chars().take_while(char::is_ascii_alphanumeric).collect();
        format!("{kind} {place:02} {word}")
    };
    let mut all = Vec::new();
    for (place, ask) in asks().iter().enumerate() {
        all.push((name("ask", place, format!("{ask:?}")), hex(ask)));
    }
    for (place, answer) in answers().iter().enumerate() {
        all.push((name("answer", place, format!("{answer:?}")), hex(answer)));
    }
    for (place, frame) in enrol_frames().iter().enumerate() {
        all.push((name("enrol", place, format!("{frame:?}")), hex(frame)));
    }
    for (place, ask) in desk_asks().iter().enumerate() {
        all.push((name("desk ask", place, format!("{ask:?}")), hex(ask)));
    }
    for (place, answer) in desk_answers().iter().enumerate() {
        all.push((name("desk answer", place, format!("{answer:?}")), hex(answer)));
    }
    all
}

/// An endpoint's certificate.
fn certificate() -> Vec<u8> {
    let (start, end) = (Time(1_795_000_000), Time(1_802_776_000));
    let key = |n: u8| trust::SigningKey::from_seed([n; 32]);
    let secret = key(1).pkcs8_der();
    let ca = certs::Ca::create(certs::Kind::Endpoints, "demo", &secret, [3; 16], start, end);
    let spki = certs::spki_of(&key(2).public_key());
    let id = protocol::EndpointId([4; 16]);
    let leaf = ca.and_then(|ca| ca.issue_endpoint(&spki, &id, [5; 16], start, end));
    leaf.expect("a certificate")
}

/// The manifests in a signed list of scripts.
fn manifests(bytes: &[u8]) -> Vec<Vec<u8>> {
    let list: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    let targets = list.pointer("/signed/targets").and_then(serde_json::Value::as_object);
    let all = targets.into_iter().flatten().filter_map(|(_, target)| target.get("custom"));
    all.filter_map(|manifest| serde_json::to_vec(manifest).ok()).collect()
}

/// The policies of the policy's own cases, each `"@name"` a key.
fn policies(folder: &std::path::Path) -> Vec<Vec<u8>> {
    let key = |name: &str| {
        trust::SigningKey::from_seed(Digest::of(name.as_bytes()).0).public_key().to_string()
    };
    let with_keys = |(_, bytes): (String, Vec<u8>)| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut parts = text.split("\"@");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for (name, rest) in parts.filter_map(|part| part.split_once('"')) {
            whole += &format!("\"{}\"{rest}", key(name));
        }
        whole.into_bytes()
    };
    files(folder).into_iter().map(with_keys).collect()
}

/// Seeds for every target: they share one pool, so that pieces wander between formats.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = vec![Vec::new(), vec![0; 64]];
    let frames: Vec<_> = frame_vectors().iter().map(|(_, hex)| from_hex(hex)).collect();
    // With its length in front a frame is for the cutter, and so are several of them.
    all.extend(frames.first().cloned());
    all.push(frames.concat());
    all.extend(frames.into_iter().map(|mut frame| frame.split_off(4)));
    for (_, ask, answer) in book_vectors() {
        all.extend([from_hex(&ask), from_hex(&answer)]);
    }
    for (_, bytes) in files(&vectors()) {
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes)
            && let Ok(envelope) = serde_json::from_value::<protocol::Envelope>(value)
        {
            all.push(envelope.payload.0);
        }
        all.extend(manifests(&bytes));
        all.push(bytes);
    }
    all.push(certificate());
    all.extend(crate::inside::seeds());
    // The first byte says whose place the rest takes.
    for (place, (_, bytes)) in crate::documents::catalogue_files().iter().enumerate() {
        all.push([&[u8::try_from(place).unwrap_or(u8::MAX)], bytes.as_slice()].concat());
    }
    let here = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    all.extend(policies(&here.join("../../core/policy/cases/policies")));
    all.extend(files(&here.join("../../scripts")).into_iter().map(|(_, bytes)| bytes));
    all.extend(files(&here.join("corpus")).into_iter().map(|(_, bytes)| bytes));
    all
}
