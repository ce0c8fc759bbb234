//! Facts about machines: what a check of `host.facts` put out, taken where its record verified and has
//! the digest of exactly these bytes. Whatever else a machine says of itself is no fact.

use protocol::documents::{OutputDigest, RecordPredicate};
use protocol::facts::{BadFacts, FACTS_BYTES_MAX, Facts};
use protocol::{Bytes, Digest, EndpointId, Mode, Outcome, RunId, Time};
use store::{FactsRow, Health, Level, Store, StoreError};

use crate::books::{BookError, Books};
use crate::verify::{Anchors, papers_of, peek_record, verify_run};

/// The script whose output they are.
pub const SCRIPT: &str = "host.facts";

/// Why what came are no facts.
#[derive(Debug, thiserror::Error)]
pub enum NoFacts {
    /// Other bytes than the record names.
    #[error("they are not what the machine signed")]
    Digest,
    /// The record that proves them does not verify.
    #[error("the record that proves them does not verify: {why}")]
    Record {
        /// Why.
        why: String,
    },
    /// Not facts.
    #[error(transparent)]
    Bad(#[from] BadFacts),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The books.
    #[error(transparent)]
    Book(#[from] BookError),
}

/// Whether the output of this record's run is to be asked for.
#[must_use]
pub fn wanted(record: &RecordPredicate) -> bool {
    let OutputDigest { bytes, kept, .. } = record.output;
    record.script.name.as_str() == SCRIPT
        && record.mode == Mode::Check
        && record.outcome == Outcome::Unchanged
        && bytes > 0
        && bytes == kept
        && usize::try_from(bytes).is_ok_and(|bytes| bytes <= FACTS_BYTES_MAX)
}

fn read(record: &RecordPredicate, bytes: &[u8]) -> Result<Facts, NoFacts> {
    if Digest::of(bytes) != record.output.digest {
        return Err(NoFacts::Digest);
    }
    Ok(Facts::read(bytes)?)
}

/// A disk that is full says so where people look for a machine.
fn full(facts: &Facts, looked: Time) -> Option<Health> {
    let full = facts.disks.iter().find(|disk| !disk.read_only && disk.free < disk.total / 100)?;
    let words = format!("{} full: {} free", full.mount, crate::notes::size(full.free));
    Some(Health { looked, level: Level::Bad, words: words.chars().take(60).collect() })
}

/// Keeps the output of a run whose record verified. False where newer facts are there.
///
/// # Errors
/// [`NoFacts`]; nothing was changed then.
pub fn keep(store: &Store, record: &RecordPredicate, output: Vec<u8>) -> Result<bool, NoFacts> {
    let facts = read(record, &output)?;
    let (run, looked) = (record.run, record.ended);
    let row = FactsRow { run, looked, bytes: Bytes(output) };
    let people = facts.signed_in.as_deref().unwrap_or_default();
    let id: EndpointId = record.endpoint.id;
    let kept = store.set_facts(&id, &row, people)?;
    if kept && let Some(health) = full(&facts, looked) {
        store.set_health(&id, &health)?;
    }
    Ok(kept)
}

/// Facts with what proves them.
#[derive(Debug, Clone)]
pub struct Proved {
    /// What the machine said.
    pub facts: Facts,
    /// When.
    pub looked: Time,
    /// The run whose record has their digest.
    pub run: RunId,
}

/// The facts of a machine, judged here by the record that proves them.
///
/// # Errors
/// [`NoFacts`]: what does not verify is not shown.
pub fn of(books: &Books, id: EndpointId, anchors: &Anchors) -> Result<Option<Proved>, NoFacts> {
    let Some(row) = books.facts(id)? else { return Ok(None) };
    let unproved = |why: &str| NoFacts::Record { why: why.to_owned() };
    let papers = papers_of(books, &row.run)?.ok_or_else(|| unproved("it is not there"))?;
    let report = verify_run(&row.run, &papers, anchors);
    if let Some(fault) = report.fault {
        return Err(unproved(&fault));
    }
    let (record, _) = peek_record(&papers.record).ok_or_else(|| unproved("it is none"))?;
    if record.predicate.endpoint.id != id || record.predicate.script.name.as_str() != SCRIPT {
        return Err(unproved("it is that of another machine or script"));
    }
    let facts = read(&record.predicate, &row.bytes.0)?;
    Ok(Some(Proved { facts, looked: record.predicate.ended, run: row.run }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::samples::{self, ENDPOINT, NOW};
    use crate::verify::fixture;

    const LEAST: &str = concat!(
        r#"{"host":"pc","system":"Debian 12","kernel":"6.1","uptime":5,"#,
        r#""disks":[{"mount":"/","total":1000,"free":0,"read_only":false}],"#,
        r#""signed_in":["jo.meyer"]}"#
    );

    /// The record of a look at [`ENDPOINT`] that put this out.
    fn record(output: &str, ended: Time) -> RecordPredicate {
        let house = fixture::Fixture::default();
        let mut record = house.record(&house.order()).predicate;
        record.script.name = SCRIPT.parse().unwrap();
        (record.mode, record.outcome) = (Mode::Check, Outcome::Unchanged);
        record.endpoint.id = ENDPOINT;
        record.ended = ended;
        let bytes = output.len() as u64;
        record.output = OutputDigest { digest: Digest::of(output.as_bytes()), bytes, kept: bytes };
        record
    }

    fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&folder.path().join("desk.db")).unwrap();
        store.add_endpoint(&samples::machine(ENDPOINT, "lt-4411"), NOW).unwrap();
        (store, folder)
    }

    fn listed(store: &Store) -> store::Listed {
        store.listed(&store::ListFilter::default(), NOW).unwrap().pop().unwrap()
    }

    #[test]
    fn newer_facts_replace_older_ones_and_a_full_disk_shows() {
        let (store, _folder) = store();
        let old = LEAST.replace("jo.meyer", "r.vogel");
        assert!(keep(&store, &record(LEAST, NOW), LEAST.into()).unwrap());
        assert!(!keep(&store, &record(&old, NOW.minus(1)), old.clone().into()).unwrap());
        let row = listed(&store);
        assert_eq!(row.signed_in.unwrap().people, ["jo.meyer"]);
        assert_eq!(row.health.unwrap().words, "/ full: 0 B free");
        assert!(keep(&store, &record(&old, NOW.plus(1)), old.into()).unwrap());
        assert_eq!(listed(&store).signed_in.unwrap().people, ["r.vogel"]);
        let nobody = LEAST.replace(r#","signed_in":["jo.meyer"]"#, "");
        assert!(keep(&store, &record(&nobody, NOW.plus(2)), nobody.into()).unwrap());
        assert_eq!(listed(&store).signed_in, None, "policy took the question back");
    }

    #[test]
    fn a_machine_that_lies_about_itself_changes_nothing() {
        let (store, _folder) = store();
        let other = keep(&store, &record(LEAST, NOW), LEAST.replace("pc", "px").into());
        assert!(matches!(other, Err(NoFacts::Digest)), "{other:?}");
        for bad in [
            LEAST.replace("pc", "\\u001b[2J"),
            LEAST.replace("\"uptime\":5", "\"uptime\":5,\"uptime\":6"),
            LEAST.replace("\"uptime\":5", "\"uptime\":5,\"rights\":\"all\""),
            "[".repeat(200),
            String::new(),
        ] {
            let kept = keep(&store, &record(&bad, NOW), bad.clone().into());
            assert!(matches!(kept, Err(NoFacts::Bad(_))), "{bad}: {kept:?}");
        }
        assert_eq!(store.facts(&ENDPOINT).unwrap(), None);
        assert_eq!(listed(&store).signed_in, None);
        let mut stranger = record(LEAST, NOW);
        stranger.endpoint.id = EndpointId([1; 16]);
        assert!(!keep(&store, &stranger, LEAST.into()).unwrap(), "nobody knows it");
    }

    #[test]
    fn only_a_good_check_of_the_one_script_with_all_of_its_output_is_asked_for() {
        type Change = fn(&mut RecordPredicate);
        assert!(wanted(&record(LEAST, NOW)));
        let changes: [Change; 5] = [
            |record| record.script.name = "host.other".parse().unwrap(),
            |record| record.mode = Mode::Fix,
            |record| record.outcome = Outcome::Failed,
            |record| record.output.kept -= 1,
            |record| {
                record.output.bytes = FACTS_BYTES_MAX as u64 + 1;
                record.output.kept = record.output.bytes;
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut record = record(LEAST, NOW);
            change(&mut record);
            assert!(!wanted(&record), "{number}");
        }
    }
}
