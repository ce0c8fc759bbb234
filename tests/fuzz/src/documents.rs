//! Targets for sealed documents and what lies in the catalogue: refused, or parsed and written equal.

use protocol::documents::{
    Approval, BreakGlass, Card, Dispatch, EnrolAnswer, EnrolRequest, Hello, Invitation, JoinAnswer,
    JoinRequest, Order, Recall, Record, SeenHead, SessionKey, TicketAttestation, Token,
};
use protocol::facts::Facts;
use protocol::{
    Bytes, EndpointId, Envelope, Manifest, NamePatterns, PayloadType, Plan, PublicKey, Time, json,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use trust::catalogue::{Catalogue, Files};

/// What reads as a document reads the same when it is written again.
fn again<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(document) = json::read::<T>(bytes) else { return };
    let written = json::write(&document).expect("a document that was read is written");
    let second: T = json::read(&written).expect("what was written reads");
    assert_eq!(written, json::write(&second).expect("written"), "a second reading differs");
}

/// Envelopes, and every opener over them with a key that signed nothing.
pub(crate) fn envelope(bytes: &[u8]) {
    fn open<T: PayloadType>(envelope: &Envelope) {
        assert!(trust::seal::open_one::<T>(envelope, &PublicKey([7; 32])).is_err());
        assert!(trust::seal::open::<T>(envelope, &[PublicKey([7; 32])], 0).is_err());
        let _ = trust::seal::peek::<T>(envelope);
    }
    let Ok(envelope) = Envelope::read(bytes) else { return };
    open::<Order>(&envelope);
    open::<Dispatch>(&envelope);
    open::<Card>(&envelope);
    open::<Record>(&envelope);
    open::<Hello>(&envelope);
    open::<SessionKey>(&envelope);
    assert!(trust::open_by_person::<Order>(&envelope, &PublicKey([7; 32])).is_err());
    assert!(trust::open_by_person::<Recall>(&envelope, &PublicKey([7; 32])).is_err());
    open::<SeenHead>(&envelope);
    let written = envelope.write().expect("written");
    assert_eq!(Envelope::read(&written).expect("reads"), envelope);
}

/// The payloads that authorise and attest.
pub(crate) fn documents(bytes: &[u8]) {
    again::<Order>(bytes);
    again::<Dispatch>(bytes);
    again::<Card>(bytes);
    again::<Hello>(bytes);
    again::<Approval>(bytes);
    again::<SeenHead>(bytes);
    again::<BreakGlass>(bytes);
    again::<Recall>(bytes);
    again::<TicketAttestation>(bytes);
    again::<EnrolRequest>(bytes);
    again::<EnrolAnswer>(bytes);
    again::<JoinRequest>(bytes);
    again::<JoinAnswer>(bytes);
    again::<SessionKey>(bytes);
}

/// Records.
pub(crate) fn record(bytes: &[u8]) {
    again::<Record>(bytes);
}

/// Plans.
pub(crate) fn plan(bytes: &[u8]) {
    again::<Plan>(bytes);
}

/// Facts about machines: what is read is printable and bounded, and is written as it was read.
pub(crate) fn facts(bytes: &[u8]) {
    let Ok(facts) = Facts::read(bytes) else { return };
    assert!(bytes.len() <= protocol::facts::FACTS_BYTES_MAX);
    let written = json::write(&facts).expect("written");
    assert_eq!(Facts::read(&written).ok(), Some(facts));
    assert!(!String::from_utf8_lossy(&written).chars().any(char::is_control));
}

/// Pasted tokens.
pub(crate) fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = text.parse::<Token<NamePatterns>>() {
        assert_eq!(token.to_string().parse(), Ok(token));
    }
    let _ = text.parse::<Invitation>();
}

/// Manifests.
pub(crate) fn manifest(bytes: &[u8]) {
    again::<Manifest>(bytes);
}

/// Policy files: a policy or faults that name a place.
pub(crate) fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(faults) = policy::PolicyFile::read(text) {
        assert!(!faults.is_empty(), "refused without a fault");
    }
}

/// ABOUT, the lint and the compiler over any text.
pub(crate) fn about(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(faults) = script::about::read(text, None) {
        assert!(!faults.is_empty(), "refused without a fault");
    }
    let _ = script::lint::lint(text);
}

/// A catalogue from the wire: the vectors' files with the first of them replaced by these bytes; what
/// is accepted is what was vetted.
pub(crate) fn catalogue(bytes: &[u8]) {
    trust::catalogue::install_provider();
    let all = crate::places::files(&crate::vectors().join("catalogue"));
    let root = all.iter().find(|(name, _)| name == "1.root.json").map(|(_, b)| b.clone());
    let root = root.expect("the vectors have a root");
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let victim = usize::from(*first) % all.len();
    let mut files = Files::default();
    for (place, (name, good)) in all.iter().enumerate() {
        files.insert(name.clone(), if place == victim { rest.to_vec() } else { good.clone() });
    }
    let now: Time = "2026-11-22T12:00:00Z".parse().expect("a time");
    let Ok((catalogue, _)) = Catalogue::update(&Files::default(), &root, &files, now) else {
        return;
    };
    for entry in catalogue.scripts() {
        let source = catalogue.source(entry).unwrap_or_default();
        assert!(
            source.is_empty() || protocol::Digest::of(source) == entry.digest,
            "an altered script"
        );
    }
}

/// What stands at the head of a backup.
pub(crate) fn backup(bytes: &[u8]) {
    let mut rest = bytes;
    let Ok(manifest) = desk::backup::read_manifest(&mut rest) else { return };
    let plain = |path: &str| !path.starts_with('/') && path.split('/').all(|part| part != "..");
    assert!(manifest.files.iter().all(|part| plain(&part.path)), "a file outside the home");
}

/// Evidence bundles: refused, or judged by a root that comes another way; only the file that was
/// written is valid.
pub(crate) fn evidence(bytes: &[u8]) {
    let Ok(opened) = evidence::Bundle::read(bytes) else { return };
    let written = opened.bundle.write().expect("a bundle that was read is written");
    let again = evidence::Bundle::read(&written).expect("what was written reads");
    assert_eq!(again.bundle, opened.bundle);
    let root = std::fs::read(crate::vectors().join("evidence-root.json")).expect("the root");
    let judged = evidence::judge(bytes, &root).expect("it was read");
    assert!(!judged.valid || opened.intact, "an altered bundle");
}

/// An ssh-agent's list of keys: refused, or plain keys that are not weak.
pub(crate) fn ssh_agent(bytes: &[u8]) {
    let Ok(listed) = desk::home::read_listing(bytes) else { return };
    assert!(listed.len() <= bytes.len());
    assert!(listed.iter().all(|one| !trust::is_weak(&one.key)));
}

/// Heads that were seen, and what a console remembers of them: no key that signed nothing proves one.
pub(crate) fn heads(bytes: &[u8]) {
    again::<desk::home::Remembered>(bytes);
    let envelope = Bytes(bytes.to_vec());
    let papers = evidence::HeadPapers { seen: envelope.clone(), hello: envelope };
    let key = PublicKey([7; 32]);
    assert!(papers.open(&EndpointId([1; 16]), &key, |_| Some(key)).is_err());
    assert!(papers.claimed().is_none(), "one envelope is no two documents");
}

/// Order files: refused, or to the byte what is written of what was read.
pub(crate) fn order_file(bytes: &[u8]) {
    let Ok(file) = desk::order_file::OrderFile::read(bytes) else { return };
    let written = file.write().expect("an order file that was read is written");
    let again = desk::order_file::OrderFile::read(&written).expect("what was written reads");
    assert_eq!(again, file);
    assert!(!format!("{file:?}").contains("key: Some(OrderKey(["), "a key in a log");
}
