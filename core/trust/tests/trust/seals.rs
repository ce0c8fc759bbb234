//! Seals: what opens, what is refused and for which reason, byte by byte.

use protocol::documents::{Approval, Card, Head, Order, Recall, Record};
use protocol::{Bytes, Digest, Envelope, PayloadType, PublicKey, Signature, limits};
use trust::chain::{self, BrokenChain};
use trust::seal::{BadSeal, SealError, open, open_one, peek, seal};
use trust::{Signer, SigningKey, Verified, open_by_person};

use crate::sample::{self, key};

fn public(name: &str) -> PublicKey {
    key(name).public_key()
}

fn sealed_order() -> Envelope {
    seal(&sample::order().unwrap(), &[&key("a.kaya")]).unwrap()
}

#[test]
fn a_sealed_order_opens_for_its_signer_only() {
    let envelope = sealed_order();
    let order: Verified<Order> = open_one(&envelope, &public("a.kaya")).unwrap();
    assert_eq!(order.get(), &sample::order().unwrap());
    assert_eq!(order.digest(), Digest::of(&envelope.payload.0));
    assert_eq!((order.signer(), order.signers()), (public("a.kaya"), &[public("a.kaya")][..]));
    assert_eq!(peek::<Order>(&envelope).unwrap(), *order);
    let other = open_one::<Order>(&envelope, &public("m.ruiz"));
    assert!(matches!(other, Err(BadSeal::Threshold { good: 0, wanted: 1 })));
}

#[test]
fn a_document_of_another_kind_is_refused_before_it_is_parsed() {
    // E18: a good signature over one kind is worth nothing for another.
    let mut envelope = sealed_order();
    let kind = |e: &Envelope| open_one::<Recall>(e, &public("a.kaya")).map(|_| ());
    assert!(matches!(kind(&envelope), Err(BadSeal::PayloadType { .. })));
    assert!(matches!(peek::<Recall>(&envelope), Err(BadSeal::PayloadType { .. })));
    // Relabelled: the kind is under the signature.
    Recall::PAYLOAD_TYPE.clone_into(&mut envelope.payload_type);
    assert!(matches!(kind(&envelope), Err(BadSeal::Threshold { good: 0, .. })));
    // Bytes that are no JSON at all are refused for their kind, not for their shape.
    envelope.payload = Bytes(b"\xff\xfe not json".to_vec());
    "application/x-other".clone_into(&mut envelope.payload_type);
    assert!(matches!(kind(&envelope), Err(BadSeal::PayloadType { .. })));
}

#[test]
fn one_key_never_counts_twice() {
    // E8: the same signature twice, the same key under two ids, a key listed twice.
    let (a, b) = (key("a.kaya"), key("m.ruiz"));
    let mut envelope = seal(&sample::order().unwrap(), &[&a]).unwrap();
    let mut twin = envelope.signatures[0].clone();
    envelope.signatures.push(twin.clone());
    twin.keyid = "another name".to_owned();
    envelope.signatures.push(twin);
    let keys = [a.public_key(), a.public_key(), b.public_key()];
    let twice = open::<Order>(&envelope, &keys, 2);
    assert!(matches!(twice, Err(BadSeal::Threshold { good: 1, wanted: 2 })));
    assert_eq!(open::<Order>(&envelope, &keys, 1).unwrap().signers(), &[a.public_key()]);

    let both = seal(&sample::order().unwrap(), &[&a, &b]).unwrap();
    let signers = [a.public_key(), b.public_key()];
    assert_eq!(open::<Order>(&both, &keys, 2).unwrap().signers(), &signers);
    assert!(open::<Order>(&both, &keys, 3).is_err());
    assert!(open::<Order>(&both, &keys, 0).is_err(), "a threshold of nobody opens nothing");
    assert!(open::<Order>(&both, &[], 1).is_err());
}

#[test]
fn a_second_signature_on_an_order_is_refused_good_or_not() {
    let (a, b) = (key("a.kaya"), key("m.ruiz"));
    let both = seal(&sample::order().unwrap(), &[&a, &b]).unwrap();
    let one = open_one::<Order>(&both, &a.public_key());
    assert!(matches!(one, Err(BadSeal::Signatures { found: 2, .. })));
    let mut none = sealed_order();
    none.signatures.clear();
    assert!(matches!(
        open_one::<Order>(&none, &a.public_key()),
        Err(BadSeal::Signatures { found: 0, .. })
    ));
    assert!(matches!(open::<Order>(&none, &[a.public_key()], 1), Err(BadSeal::Signatures { .. })));
}

#[test]
fn sizes_are_checked_before_signatures_and_parsing() {
    let mut envelope = sealed_order();
    envelope.payload = Bytes(vec![b' '; limits::ORDER_BYTES_MAX + 1]);
    let large = open_one::<Order>(&envelope, &public("a.kaya"));
    assert!(matches!(large, Err(BadSeal::TooLarge { .. })));
    let mut many = sealed_order();
    many.signatures = vec![many.signatures[0].clone(); limits::SIGNATURES_MAX + 1];
    assert!(matches!(
        open::<Order>(&many, &[public("a.kaya")], 1),
        Err(BadSeal::Signatures { .. })
    ));

    let mut order = sample::order().unwrap();
    order.reason = "x".repeat(limits::ORDER_BYTES_MAX);
    assert!(matches!(seal(&order, &[&key("a.kaya")]), Err(SealError::TooLarge { .. })));
}

/// A document whose payload is as long as its text and two quotation marks.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Text(String);

impl PayloadType for Text {
    const PAYLOAD_TYPE: &'static str = "application/vnd.salve.text.v1+json";
    const PAYLOAD_BYTES_MAX: usize = 12;
}

#[test]
fn the_largest_document_and_the_most_signatures_are_taken() {
    let key = key("a.kaya");
    let text = |len: usize| Text("x".repeat(len));
    let largest = seal(&text(10), &[&key]).unwrap();
    assert_eq!(open_one::<Text>(&largest, &key.public_key()).unwrap().get(), &text(10));
    let above = seal(&text(11), &[&key]);
    assert!(matches!(above, Err(SealError::TooLarge { bytes: 13, max: 12 })));

    let keys: Vec<SigningKey> = (0..17).map(|n| SigningKey::from_seed([n; 32])).collect();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    let most = seal(&text(1), &signers[..limits::SIGNATURES_MAX]).unwrap();
    let public: Vec<PublicKey> = keys.iter().map(Signer::public_key).collect();
    assert_eq!(open::<Text>(&most, &public, 16).unwrap().signers(), &public[..16]);
    assert!(matches!(seal(&text(1), &signers), Err(SealError::Signers(17))));
}

#[test]
fn what_a_reader_would_refuse_is_never_sealed() {
    let mut order = sample::order().unwrap();
    order.parameters.insert("n".into(), protocol::ParamValue::Int(1 << 60));
    assert!(matches!(seal(&order, &[&key("a.kaya")]), Err(SealError::ReadBack(_))));
    let order = sample::order().unwrap();
    assert!(matches!(seal(&order, &[]), Err(SealError::Signers(0))));
    let twice: [&dyn Signer; 2] = [&key("a.kaya"), &key("a.kaya")];
    assert!(matches!(seal(&order, &twice), Err(SealError::Key(_))));
}

#[test]
fn signed_bytes_that_are_no_such_document_are_refused() {
    let key = key("a.kaya");
    let good = String::from_utf8(sealed_order().payload.0).unwrap();
    for payload in [
        good.replacen("{", "{\"extra\":1,", 1),
        good.replacen("{", "{\"reason\":\"x\",", 1),
        good.clone() + " {}",
        "\u{feff}".to_owned() + &good,
        good.replace("\"fix\"", "\"destroy\""),
        // Half a character in a parameter.
        good.replace("Zw", r"\ud800"),
        "{}".to_owned(),
        "[".repeat(10_000),
    ] {
        assert_ne!(payload, good);
        let signed = Envelope::pae(Order::PAYLOAD_TYPE, payload.as_bytes());
        let sig = Bytes(key.sign(&signed).unwrap().to_vec());
        let envelope = Envelope {
            payload: Bytes(payload.clone().into_bytes()),
            payload_type: Order::PAYLOAD_TYPE.to_owned(),
            signatures: vec![Signature { keyid: String::new(), sig }],
        };
        let opened = open_one::<Order>(&envelope, &key.public_key());
        assert!(matches!(opened, Err(BadSeal::Payload(_))), "{payload:.80}");
    }
}

/// Every single bit of an envelope, flipped: refused, or it reads as before. Gives both counts.
fn flip_every_bit<T: PayloadType + PartialEq>(bytes: &[u8], key: &PublicKey) -> (usize, usize) {
    let good: Verified<T> = open_one(&Envelope::read(bytes).unwrap(), key).unwrap();
    let (mut refused, mut equal) = (0, 0);
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1 << bit;
            let opened = Envelope::read(&changed).ok().and_then(|e| open_one::<T>(&e, key).ok());
            match opened {
                None => refused += 1,
                Some(same) => {
                    assert!(same.digest() == good.digest() && *same == *good, "byte {place}");
                    equal += 1;
                }
            }
        }
    }
    (refused, equal)
}

#[test]
fn every_changed_byte_is_refused_or_changes_nothing() {
    let card = seal(&sample::card().unwrap(), &[&key("enroller")]).unwrap();
    let order = sealed_order();
    let record = sample::record(order.digest(), card.digest(), 1, sample::head().hash).unwrap();
    let record = seal(&record, &[&key("record")]).unwrap();
    for (name, bytes, (refused, equal)) in [
        (
            "card",
            card.write().unwrap(),
            flip_every_bit::<Card>(&card.write().unwrap(), &public("enroller")),
        ),
        (
            "order",
            order.write().unwrap(),
            flip_every_bit::<Order>(&order.write().unwrap(), &public("a.kaya")),
        ),
        (
            "record",
            record.write().unwrap(),
            flip_every_bit::<Record>(&record.write().unwrap(), &public("record")),
        ),
    ] {
        println!("{name}: {refused} changes refused, {equal} changed nothing");
        assert_eq!(refused + equal, bytes.len() * 8);
        // Only the hint `keyid` may change: 64 hex digits, of whose bits some leave JSON whole.
        assert!(equal > 0 && equal <= 64 * 8, "{name}: {equal}");
    }
}

#[test]
fn weak_keys_prove_nothing() {
    // E42: under the identity, R = identity and S = 0 satisfy the lax equation for any message.
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = PublicKey(identity);
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(trust::is_weak(&weak));
    assert!(!trust::keys::verify(&weak, b"anything", &signature));
    let mut envelope = sealed_order();
    envelope.signatures =
        vec![Signature { keyid: trust::key_id(&weak), sig: Bytes(signature.to_vec()) }];
    assert!(open_one::<Order>(&envelope, &weak).is_err());
    assert!(!trust::is_weak(&public("a.kaya")));
}

fn records(count: u64) -> Vec<Verified<Record>> {
    let signer: SigningKey = key("record");
    let mut head = sample::head();
    let mut made = Vec::new();
    for counter in 1..=count {
        let order = Digest::of(&counter.to_be_bytes());
        let record = sample::record(order, Digest::of(b"card"), counter, head.hash).unwrap();
        let envelope = seal(&record, &[&signer]).unwrap();
        let record = open_one(&envelope, &signer.public_key()).unwrap();
        head = chain::follow(&head, &record).unwrap();
        made.push(record);
    }
    made
}

#[test]
fn records_follow_each_other_without_a_gap() {
    // E32: a missing, swapped or foreign record is named.
    let records = records(4);
    let start = chain::start(sample::head().epoch);
    let head = chain::follow_all(&start, &records).unwrap();
    assert_eq!((head.counter, head.hash), (4, records[3].digest()));

    let gap = chain::follow_all(&start, [&records[0], &records[2]]);
    assert!(matches!(gap, Err(BrokenChain::Counter { found: 3, wanted: 2, .. })));
    let swapped = chain::follow_all(&start, [&records[1], &records[0]]);
    assert!(matches!(swapped, Err(BrokenChain::Counter { found: 2, wanted: 1, .. })));
    let other = Head { epoch: Digest::of(b"new ledger"), ..start };
    assert!(matches!(chain::follow(&other, &records[0]), Err(BrokenChain::Epoch { .. })));
    let forked = Head { hash: Digest::of(b"another record"), counter: 1, ..start };
    assert!(matches!(chain::follow(&forked, &records[1]), Err(BrokenChain::Previous { .. })));
}

#[test]
fn an_approval_is_counted_over_distinct_people() {
    let order = sealed_order().digest();
    let approval = sample::approval(order).unwrap();
    let envelope = seal(&approval, &[&key("m.ruiz")]).unwrap();
    let opened: Verified<Approval> = open_one(&envelope, &public("m.ruiz")).unwrap();
    assert!(opened.yes);
    assert!(open_one::<Approval>(&envelope, &public("a.kaya")).is_err());
}

#[test]
fn an_order_under_a_session_key_opens_by_its_paper_and_by_nothing_else() {
    let paper = seal(&sample::session_key().unwrap(), &[&key("a.kaya")]).unwrap();
    let order = sample::session_order(paper).unwrap();
    let good =
        open_by_person::<Order>(&seal(&order, &[&key("session")]).unwrap(), &public("a.kaya"))
            .unwrap();
    assert_eq!((good.document.get(), good.document.signer()), (&order, public("session")));
    assert_eq!(good.session.unwrap().get(), &sample::session_key().unwrap());
    // The person's own key does not stand in for it: one order, one key that may have signed.
    let own = open_by_person::<Order>(&seal(&order, &[&key("a.kaya")]).unwrap(), &public("a.kaya"));
    assert!(matches!(own, Err(BadSeal::Threshold { good: 0, wanted: 1 })));
    let both = seal(&order, &[&key("session"), &key("a.kaya")]).unwrap();
    assert!(matches!(
        open_by_person::<Order>(&both, &public("a.kaya")),
        Err(BadSeal::Signatures { .. })
    ));
    // The paper by somebody else, for somebody else, of another kind.
    let with = |paper: Envelope, person: &str| {
        let order = Order { session_key: Some(paper), ..order.clone() };
        open_by_person::<Order>(&seal(&order, &[&key("session")]).unwrap(), &public(person))
            .map(|_| ())
    };
    let theirs = seal(&sample::session_key().unwrap(), &[&key("m.ruiz")]).unwrap();
    assert!(matches!(with(theirs.clone(), "a.kaya"), Err(BadSeal::SessionKey(_))));
    let named = protocol::documents::SessionKey {
        person: "m.ruiz".parse().unwrap(),
        ..sample::session_key().unwrap()
    };
    let named = seal(&named, &[&key("a.kaya")]).unwrap();
    assert!(matches!(with(named, "a.kaya"), Err(BadSeal::SessionPerson)));
    let Err(BadSeal::SessionKey(kind)) = with(sealed_order(), "a.kaya") else { panic!("opened") };
    assert!(matches!(*kind, BadSeal::PayloadType { .. }));
    // An order without a paper is the person's own, as before.
    assert!(open_by_person::<Order>(&sealed_order(), &public("a.kaya")).unwrap().session.is_none());
    assert!(open_by_person::<Order>(&sealed_order(), &public("session")).is_err());
}
