//! The whole ledger of a stopped endpoint, entry by entry, and its chain of records verified against
//! the endpoint's own card. Reads, never opens: nothing is repaired here.

use std::fs;
use std::path::Path;

use keeper::ledger::Entry;
use keeper::state::Layout;
use protocol::documents::{Card, Record};
use protocol::{Envelope, PublicKey};
use serde_json::{Value, json};

/// Before the first entry of a segment, before an entry's body, behind it.
const HEADER: usize = 80;
const BEFORE: usize = 8;
const BEHIND: usize = 33;

/// Prints it.
pub(crate) fn print(config: &Path) {
    let config = keeper::config::load(Some(config)).expect("a configuration");
    let layout = Layout::new(&config.state);
    let card = fs::read(layout.card()).expect("a card");
    let card: Card =
        trust::seal::peek(&Envelope::read(&card).expect("an envelope")).expect("a card");
    let mut epoch = None;
    let mut records = Vec::new();
    for entry in entries(&layout.ledger()) {
        println!("{}", words(&entry, &card.record_key));
        match entry {
            Entry::Opened { epoch: e, .. } => epoch = Some(e),
            Entry::Record(recorded) => {
                let sealed = Envelope::read(&recorded.envelope.0).expect("an envelope");
                let record = trust::seal::open_one::<Record>(&sealed, &card.record_key);
                records.push(record.expect("the endpoint signed it"));
            }
            _ => {}
        }
    }
    let start = trust::chain::start(epoch.expect("a ledger begins with its epoch"));
    let head = trust::chain::follow_all(&start, &records).expect("the records are a chain");
    println!("{}", json!({ "kind": "head", "counter": head.counter }));
}

fn entries(folder: &Path) -> Vec<Entry> {
    let list = fs::read_dir(folder).expect("a ledger");
    let mut segments: Vec<_> = list.map(|entry| entry.expect("listed").path()).collect();
    segments.retain(|path| path.extension().is_some_and(|end| end == "ledger"));
    segments.sort();
    let mut found = Vec::new();
    for segment in segments {
        let bytes = fs::read(segment).expect("a segment");
        let mut at = HEADER;
        while let Some(len) = bytes.get(at..at + 4).filter(|len| *len != [0; 4]) {
            let len = u32::from_be_bytes(len.try_into().expect("four")) as usize;
            let body = &bytes[at + BEFORE..at + BEFORE + len];
            found.push(minicbor::decode(body).expect("an entry"));
            at += BEFORE + len + BEHIND;
        }
    }
    found
}

fn words(entry: &Entry, key: &PublicKey) -> Value {
    match entry {
        Entry::Opened { .. } => json!({ "kind": "opened" }),
        Entry::Accepted(a) => json!({ "kind": "accepted", "run": a.run, "order": a.order }),
        Entry::Started { run, .. } => json!({ "kind": "started", "run": run }),
        Entry::Recalled { order, .. } => json!({ "kind": "recalled", "order": order }),
        Entry::Filed { record } => json!({ "kind": "filed", "record": record }),
        Entry::Record(r) => {
            let sealed = Envelope::read(&r.envelope.0).expect("an envelope");
            let record = trust::seal::open_one::<Record>(&sealed, key).expect("signed here");
            let p = &record.predicate;
            json!({
                "kind": "record", "run": r.run, "order": r.order, "refused": r.refused,
                "outcome": p.outcome, "summary": p.summary, "in_flight": p.in_flight, "counter": p.counter,
                "done": p.effects.by_function.get("service.restart").map_or(0, |f| f.done),
            })
        }
    }
}
