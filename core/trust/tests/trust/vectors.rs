//! The vectors in tests/vectors: what is committed is what is made today, opens, and says the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::documents::{
    Approval, BreakGlass, Card, Dispatch, EnrolRequest, Hello, JoinRequest, Order, Recall, Record,
    Sealed, SealingKey, SeenHead, SessionKey, TicketAttestation,
};
use protocol::{AgentName, Digest, EndpointId, Envelope, PayloadType, PublicKey};
use serde::Deserialize;
use trust::catalogue::{Catalogue, Files};
use trust::seal::{BadSeal, open_one};
use trust::{Signer as _, Verified, chain, secret};

use crate::made::made;
use crate::sample::{self, NOW, key, sealing};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

fn read(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every file beneath a folder of the vectors.
fn committed(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { todo.push(path) } else { found.push(path) }
        }
    }
    found
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    file: String,
    payload_type: String,
    digest: Digest,
    signer: String,
}

/// Made and checked elsewhere: frames in `tests/fuzz`; operations on the desk's store, its copies and
/// its numbers in `desk`; facts in `protocol`; bundles in `evidence`.
/// Order files in `desk`. The last one is other people's: `tests/vectors/README.md`.
const OTHERS: [&str; 11] = [
    "frames.json",
    "books.json",
    "backup.txt",
    "metrics.txt",
    "facts.json",
    "evidence.bundle",
    "evidence-seen.bundle",
    "evidence-root.json",
    "order.salve",
    "order-back.salve",
    "wycheproof/ed25519_test.json",
];

#[test]
fn what_is_committed_is_what_is_made() {
    let made = made().unwrap();
    assert!(made.len() > 20, "{}", made.len());
    for (name, bytes) in &made {
        assert!(read(name) == *bytes, "{name} differs: a format has changed");
    }
    let mut found = 0;
    for path in committed(&folder()) {
        let name = path.strip_prefix(folder()).unwrap().display().to_string();
        if name != "README.md" && !OTHERS.contains(&name.as_str()) {
            assert!(made.contains_key(&name), "{name} is made by nobody");
            found += 1;
        }
    }
    assert_eq!(found, made.len());
}

fn opened<T: PayloadType>(listed: &Listed) -> Verified<T> {
    let envelope = Envelope::read(&read(&listed.file)).unwrap();
    assert_eq!(envelope.payload_type, listed.payload_type);
    let document: Verified<T> = open_one(&envelope, &key(&listed.signer).public_key()).unwrap();
    assert_eq!(document.digest(), listed.digest, "{}", listed.name);
    let again = protocol::json::write(document.get()).unwrap();
    assert_eq!(again, envelope.payload.0, "{} is written as it was read", listed.name);
    document
}

#[test]
fn every_document_opens_and_equals() {
    let list: Vec<Listed> = serde_json::from_slice(&read("documents.json")).unwrap();
    let list: BTreeMap<String, Listed> = list.into_iter().map(|l| (l.name.clone(), l)).collect();
    assert_eq!(list.len(), 19);
    let card: Verified<Card> = opened(&list["card"]);
    assert_eq!(*card, sample::card().unwrap());
    let hello = opened::<Hello>(&list["hello"]);
    assert_eq!(*hello, sample::hello(card.digest()));
    let head = opened::<SeenHead>(&list["head"]);
    assert_eq!(*head, sample::seen_head(hello.digest()).unwrap());
    let order: Verified<Order> = opened(&list["order"]);
    assert_eq!(*order, sample::order().unwrap());
    let digest = order.digest();
    assert_eq!(*opened::<Approval>(&list["approval"]), sample::approval(digest).unwrap());
    let broken: Verified<Order> = opened(&list["order-break-glass"]);
    assert_eq!(*broken, sample::order_breaking_glass().unwrap());
    let glass = opened::<BreakGlass>(&list["break-glass"]);
    assert_eq!(*glass, sample::break_glass(broken.digest()).unwrap());
    assert_eq!(*opened::<Dispatch>(&list["dispatch"]), sample::dispatch(digest).unwrap());
    assert_eq!(*opened::<Recall>(&list["recall"]), sample::recall(digest).unwrap());
    let attestation = opened::<TicketAttestation>(&list["ticket-attestation"]);
    assert_eq!(*attestation, sample::attestation().unwrap());
    let enrol = opened::<EnrolRequest>(&list["enrol-request"]);
    assert_eq!(*enrol, sample::enrol_request().unwrap());
    let join = opened::<JoinRequest>(&list["join-request"]);
    assert_eq!(*join, sample::join_request().unwrap());
    assert_eq!(*opened::<SessionKey>(&list["session-key"]), sample::session_key().unwrap());
    let paper = Envelope::read(&read("documents/session-key.json")).unwrap();
    let lent = opened::<Order>(&list["session-order"]);
    assert_eq!(*lent, sample::session_order(paper).unwrap());
    let attestation = opened::<TicketAttestation>(&list["ticket-attestation-checked"]);
    assert_eq!(*attestation, sample::attestation_checked().unwrap());
    assert_eq!(*opened::<Order>(&list["order-by-code"]), sample::order_by_code().unwrap());
    let records =
        ["record", "record-refused", "record-checked"].map(|name| opened::<Record>(&list[name]));
    let head = chain::follow_all(&chain::start(sample::head().epoch), &records).unwrap();
    assert_eq!((head.counter, head.hash), (3, records[2].digest()));
    assert_eq!(records[2].predicate.identity_checked, attestation.identity_checked);
}

#[test]
fn the_catalogue_reads() {
    // Nothing is made here: reading alone brings the cryptography that it needs.
    let catalogue = folder().join("catalogue");
    let names = committed(&catalogue);
    let names = names.iter().map(|path| path.strip_prefix(&catalogue).unwrap().to_str().unwrap());
    let files: Files =
        names.map(|name| (name.to_owned(), read(&format!("catalogue/{name}")))).collect();
    let root = files.get("1.root.json").unwrap().to_vec();
    let (catalogue, _) = Catalogue::update(&Files::new(), &root, &files, NOW.plus(200)).unwrap();
    assert_eq!(catalogue.scripts().count(), 2);
    assert_eq!(catalogue.policy_text(), sample::POLICY);
}

#[derive(Deserialize)]
struct SecretVector {
    order: Digest,
    agent: AgentName,
    endpoint: EndpointId,
    info: String,
    public: SealingKey,
    clear: String,
    sealed: Sealed,
}

#[test]
fn the_sealed_secret_opens() {
    let vector: SecretVector = serde_json::from_slice(&read("secret.json")).unwrap();
    let key = sealing("endpoint sealing");
    let info = secret::info(&vector.order, &vector.agent, &vector.endpoint);
    assert_eq!((info.as_slice(), key.public().unwrap()), (vector.info.as_bytes(), vector.public));
    assert_eq!(key.open(&vector.sealed, &info).unwrap().as_slice(), vector.clear.as_bytes());
    let list: Vec<Listed> = serde_json::from_slice(&read("documents.json")).unwrap();
    let dispatch = list.iter().find(|l| l.name == "dispatch").unwrap();
    let dispatch: Verified<Dispatch> = opened(dispatch);
    let info = secret::info(&dispatch.order, &vector.agent, &dispatch.endpoint);
    let clear = key.open(dispatch.secrets.as_ref().unwrap(), &info).unwrap();
    assert_eq!(clear.as_slice(), sample::CLEAR);
}

#[derive(Deserialize)]
struct OddEnvelope {
    name: String,
    envelope: String,
    salve: bool,
}

#[test]
fn odd_envelopes_are_taken_as_the_shared_table_says() {
    // E41; check_vectors.py asks Python's securesystemslib the same.
    let table: Vec<OddEnvelope> = serde_json::from_slice(&read("dsse-table.json")).unwrap();
    let her = key("a.kaya").public_key();
    for odd in &table {
        let opened = Envelope::read(odd.envelope.as_bytes()).map(|e| open_one::<Order>(&e, &her));
        let taken = matches!(&opened, Ok(Ok(order)) if **order == sample::order().unwrap());
        assert_eq!(taken, odd.salve, "{}: {opened:?}", odd.name);
    }
    let taken = table.iter().filter(|odd| odd.salve).count();
    assert!(table.len() >= 40 && taken >= 4, "{taken} of {}", table.len());
    // 10,000 signatures: refused by the envelope's own limit, before any is checked.
    let mut many = Envelope::read(table[0].envelope.as_bytes()).unwrap();
    many.signatures = vec![many.signatures[0].clone(); 10_000];
    assert!(Envelope::read(&many.write().unwrap()).is_err());
    assert!(matches!(open_one::<Order>(&many, &her), Err(BadSeal::Signatures { .. })));
}

#[derive(Deserialize)]
struct OddSignature {
    name: String,
    public: PublicKey,
    message: String,
    signature: String,
    salve: bool,
}

#[test]
fn odd_signatures_are_taken_as_the_shared_table_says() {
    // E42.
    let table: Vec<OddSignature> = serde_json::from_slice(&read("signature-table.json")).unwrap();
    assert!(table.len() >= 30);
    for odd in table {
        let good = trust::keys::verify(&odd.public, odd.message.as_bytes(), &bytes(&odd.signature));
        assert_eq!(good, odd.salve, "{} {}", odd.name, odd.public);
        if odd.name.starts_with("key of small order") {
            assert!(trust::is_weak(&odd.public), "{}", odd.public);
        }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

/// The set of C2SP's Wycheproof, as far as it is asked here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wycheproof {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    public_key: GroupKey,
    tests: Vec<Vector>,
}

#[derive(Deserialize)]
struct GroupKey {
    pk: PublicKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    tc_id: usize,
    comment: String,
    msg: String,
    sig: String,
    result: String,
}

#[test]
fn the_public_wycheproof_signatures_are_judged_as_they_say() {
    // E42: no vector of the set is of the kind that may be taken or not, so that none is excepted.
    let set: Wycheproof = serde_json::from_slice(&read("wycheproof/ed25519_test.json")).unwrap();
    let (mut good, mut bad) = (0, 0);
    for group in &set.test_groups {
        let key = &group.public_key.pk;
        assert!(!trust::is_weak(key), "{key}");
        for vector in &group.tests {
            let Vector { tc_id, comment, msg, sig, result } = vector;
            let taken = trust::keys::verify(key, &bytes(msg), &bytes(sig));
            match (result.as_str(), taken) {
                ("valid", true) => good += 1,
                ("invalid", false) => bad += 1,
                _ => panic!("{tc_id} ({comment}): {result}, and here it is taken: {taken}"),
            }
        }
    }
    assert_eq!((good, bad, good + bad), (88, 63, set.number_of_tests));
}
