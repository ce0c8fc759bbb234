//! Makes the vectors of tests/vectors: every file from fixed keys and times, the same each time.

use std::collections::BTreeMap;

use protocol::documents::SealingKey;
use protocol::{Digest, Envelope, PayloadType, PublicKey};
use serde_json::{Value, json};
use trust::{Signer as _, key_id, seal, secret};

use crate::oddities;
use crate::sample::{self, Try, key, sealing};

/// File names beneath tests/vectors and their bytes.
pub(crate) type Vectors = BTreeMap<String, Vec<u8>>;

const SIGNERS: [&str; 8] =
    ["a.kaya", "m.ruiz", "enroller", "record", "ticket", "vetter a", "session", "safe-1"];

/// JSON as people read it, with a line feed at its end.
pub(crate) fn pretty(value: &Value) -> Try<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(&sorted(value))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The same value with its keys in order, whatever order the library keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, Value> =
                map.iter().map(|(key, value)| (key, sorted(value))).collect();
            json!(ordered)
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

struct Documents {
    files: Vectors,
    listed: Vec<Value>,
}

impl Documents {
    fn add<T: PayloadType>(&mut self, name: &str, doc: &T, signer: &str) -> Try<Envelope> {
        let envelope = seal::seal(doc, &[&key(signer)])?;
        let file = format!("documents/{name}.json");
        self.listed.push(json!({
            "name": name,
            "file": file,
            "payload_type": T::PAYLOAD_TYPE,
            "digest": envelope.digest(),
            "signer": signer,
        }));
        self.files.insert(file, envelope.write()?);
        Ok(envelope)
    }
}

fn documents() -> Try<Vectors> {
    let mut out = Documents { files: Vectors::new(), listed: Vec::new() };
    let card = out.add("card", &sample::card()?, "enroller")?;
    let hello = out.add("hello", &sample::hello(card.digest()), "record")?;
    out.add("head", &sample::seen_head(hello.digest())?, "m.ruiz")?;
    let order = out.add("order", &sample::order()?, "a.kaya")?;
    out.add("approval", &sample::approval(order.digest())?, "m.ruiz")?;
    out.add("dispatch", &sample::dispatch(order.digest())?, "a.kaya")?;
    out.add("recall", &sample::recall(order.digest())?, "a.kaya")?;
    out.add("ticket-attestation", &sample::attestation()?, "ticket")?;
    out.add("enrol-request", &sample::enrol_request()?, "record")?;
    out.add("join-request", &sample::join_request()?, "m.ruiz")?;
    let first = sample::record(order.digest(), card.digest(), 1, sample::head().hash)?;
    let first = out.add("record", &first, "record")?;
    let second = sample::refused(order.digest(), card.digest(), 2, first.digest())?;
    let second = out.add("record-refused", &second, "record")?;
    let paper = out.add("session-key", &sample::session_key()?, "a.kaya")?;
    out.add("session-order", &sample::session_order(paper)?, "session")?;
    let by_code = out.add("order-by-code", &sample::order_by_code()?, "a.kaya")?;
    out.add("ticket-attestation-checked", &sample::attestation_checked()?, "ticket")?;
    let third = sample::record_checked(by_code.digest(), card.digest(), 3, second.digest())?;
    out.add("record-checked", &third, "record")?;
    let broken = out.add("order-break-glass", &sample::order_breaking_glass()?, "a.kaya")?;
    out.add("break-glass", &sample::break_glass(broken.digest())?, "safe-1")?;
    out.files.insert("documents.json".to_owned(), pretty(&json!(out.listed))?);
    Ok(out.files)
}

fn keys() -> Value {
    let entry = |name: &&str| {
        let public: PublicKey = key(name).public_key();
        ((*name).to_owned(), json!({ "public": public, "keyid": key_id(&public) }))
    };
    SIGNERS.iter().map(entry).collect::<serde_json::Map<_, _>>().into()
}

fn sealed_secret() -> Try<Value> {
    let order = Digest::of(b"an order");
    let info = secret::info(&order, &"a.kaya".parse()?, &sample::ENDPOINT);
    let public: SealingKey = sealing("endpoint sealing").public()?;
    let sealed = secret::seal_to(&public, &info, sample::CLEAR, sample::RANDOMNESS)?;
    Ok(json!({
        "seed": "SHA-256 of `salve vectors: endpoint sealing`",
        "order": order,
        "agent": "a.kaya",
        "endpoint": sample::ENDPOINT,
        "info": String::from_utf8(info)?,
        "public": public,
        "randomness": "64 bytes of 0x5a",
        "clear": String::from_utf8(sample::CLEAR.to_vec())?,
        "sealed": sealed,
    }))
}

fn catalogue() -> Try<Vectors> {
    let folder = tempfile::tempdir()?;
    let repository = sample::repository(folder.path())?;
    let files = repository.files()?.0.into_iter();
    Ok(files.map(|(name, bytes)| (format!("catalogue/{name}"), bytes)).collect())
}

/// All of them.
pub(crate) fn made() -> Try<Vectors> {
    let mut all = documents()?;
    all.extend(catalogue()?);
    all.insert("keys.json".to_owned(), pretty(&keys())?);
    all.insert("secret.json".to_owned(), pretty(&sealed_secret()?)?);
    all.insert("dsse-table.json".to_owned(), pretty(&oddities::envelopes()?)?);
    all.insert("signature-table.json".to_owned(), pretty(&oddities::signatures()?)?);
    Ok(all)
}
