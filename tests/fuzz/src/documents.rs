//! Targets for sealed documents and what lies in the catalogue: refused, or parsed and written equal.

use std::sync::OnceLock;

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
fn again<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(document) = json::read::<T>(bytes) else { return false };
    let written = json::write(&document).expect("a document that was read is written");
    let second: T = json::read(&written).expect("what was written reads");
    assert_eq!(written, json::write(&second).expect("written"), "a second reading differs");
    true
}

/// Envelopes, and every opener over them with a key that signed nothing.
pub(crate) fn envelope(bytes: &[u8]) -> bool {
    fn open<T: PayloadType>(envelope: &Envelope) {
        assert!(trust::seal::open_one::<T>(envelope, &PublicKey([7; 32])).is_err());
        assert!(trust::seal::open::<T>(envelope, &[PublicKey([7; 32])], 0).is_err());
        let _ = trust::seal::peek::<T>(envelope);
    }
    let Ok(envelope) = Envelope::read(bytes) else { return false };
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
    true
}

/// The payloads that authorise and attest.
pub(crate) fn documents(bytes: &[u8]) -> bool {
    again::<Order>(bytes)
        | again::<Dispatch>(bytes)
        | again::<Card>(bytes)
        | again::<Hello>(bytes)
        | again::<Approval>(bytes)
        | again::<SeenHead>(bytes)
        | again::<BreakGlass>(bytes)
        | again::<Recall>(bytes)
        | again::<TicketAttestation>(bytes)
        | again::<EnrolRequest>(bytes)
        | again::<EnrolAnswer>(bytes)
        | again::<JoinRequest>(bytes)
        | again::<JoinAnswer>(bytes)
        | again::<SessionKey>(bytes)
}

/// Records.
pub(crate) fn record(bytes: &[u8]) -> bool {
    again::<Record>(bytes)
}

/// Plans.
pub(crate) fn plan(bytes: &[u8]) -> bool {
    again::<Plan>(bytes)
}

/// Facts about machines: what is read is printable and bounded, and is written as it was read.
pub(crate) fn facts(bytes: &[u8]) -> bool {
    let Ok(facts) = Facts::read(bytes) else { return false };
    assert!(bytes.len() <= protocol::facts::FACTS_BYTES_MAX);
    let written = json::write(&facts).expect("written");
    assert_eq!(Facts::read(&written).ok(), Some(facts));
    assert!(!String::from_utf8_lossy(&written).chars().any(char::is_control));
    true
}

/// Pasted tokens.
pub(crate) fn token(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let token = text.parse::<Token<NamePatterns>>();
    if let Ok(token) = &token {
        assert_eq!(token.to_string().parse().as_ref(), Ok(token));
    }
    token.is_ok() | text.parse::<Invitation>().is_ok()
}

/// Manifests.
pub(crate) fn manifest(bytes: &[u8]) -> bool {
    again::<Manifest>(bytes)
}

/// Policy files: a policy or faults that name a place.
pub(crate) fn policy(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let read = policy::PolicyFile::read(text);
    if let Err(faults) = &read {
        assert!(!faults.is_empty(), "refused without a fault");
    }
    read.is_ok()
}

/// ABOUT, the lint and the compiler over any text.
pub(crate) fn about(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let author = "s.okafor".parse().expect("a name");
    let read = script::about::read(text, Some(&author));
    if let Err(faults) = &read {
        assert!(!faults.is_empty(), "refused without a fault");
    }
    let _ = script::lint::lint(text);
    read.is_ok()
}

/// The vectors' catalogue, by name: read once, because a fuzzer asks thousands of times.
pub(crate) fn catalogue_files() -> &'static [(String, Vec<u8>)] {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| crate::places::files(&crate::vectors().join("catalogue")))
}

/// A catalogue from the wire: the vectors' files with the one that the first byte chooses replaced by
/// the other bytes; what is accepted is what was vetted.
pub(crate) fn catalogue(bytes: &[u8]) -> bool {
    trust::catalogue::install_provider();
    let all = catalogue_files();
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
        return false;
    };
    for entry in catalogue.scripts() {
        let source = catalogue.source(entry).unwrap_or_default();
        assert!(
            source.is_empty() || protocol::Digest::of(source) == entry.digest,
            "an altered script"
        );
    }
    true
}

/// What stands at the head of a backup.
pub(crate) fn backup(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let Ok(manifest) = desk::backup::read_manifest(&mut rest) else { return false };
    let plain = |path: &str| !path.starts_with('/') && path.split('/').all(|part| part != "..");
    assert!(manifest.files.iter().all(|part| plain(&part.path)), "a file outside the home");
    true
}

/// Evidence bundles: refused, or judged by a root that comes another way; only the file that was
/// written is valid.
pub(crate) fn evidence(bytes: &[u8]) -> bool {
    let Ok(opened) = evidence::Bundle::read(bytes) else { return false };
    let written = opened.bundle.write().expect("a bundle that was read is written");
    let again = evidence::Bundle::read(&written).expect("what was written reads");
    assert_eq!(again.bundle, opened.bundle);
    static ROOT: OnceLock<Vec<u8>> = OnceLock::new();
    let root = ROOT.get_or_init(|| {
        std::fs::read(crate::vectors().join("evidence-root.json")).expect("the root")
    });
    let judged = evidence::judge(bytes, root).expect("it was read");
    assert!(!judged.valid || opened.intact, "an altered bundle");
    judged.valid
}

/// An ssh-agent's list of keys: refused, or plain keys that are not weak.
pub(crate) fn ssh_agent(bytes: &[u8]) -> bool {
    let Ok(listed) = desk::home::read_listing(bytes) else { return false };
    assert!(listed.len() <= bytes.len());
    assert!(listed.iter().all(|one| !trust::is_weak(&one.key)));
    !listed.is_empty()
}

/// Heads that were seen, and what a console remembers of them: no key that signed nothing proves one.
pub(crate) fn heads(bytes: &[u8]) -> bool {
    let remembered = again::<desk::home::Remembered>(bytes);
    let envelope = Bytes(bytes.to_vec());
    let papers = evidence::HeadPapers { seen: envelope.clone(), hello: envelope };
    let key = PublicKey([7; 32]);
    assert!(papers.open(&EndpointId([1; 16]), &key, |_| Some(key)).is_err());
    assert!(papers.claimed().is_none(), "one envelope is no two documents");
    remembered
}

/// Order files: refused, or to the byte what is written of what was read.
pub(crate) fn order_file(bytes: &[u8]) -> bool {
    let Ok(file) = desk::order_file::OrderFile::read(bytes) else { return false };
    let written = file.write().expect("an order file that was read is written");
    let again = desk::order_file::OrderFile::read(&written).expect("what was written reads");
    assert_eq!(again, file);
    assert!(!format!("{file:?}").contains("key: Some(OrderKey(["), "a key in a log");
    true
}
