//! How the desk does, in numbers, as OpenMetrics 1.0 text. No label names an endpoint or a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use link::{CertificateFault, Rejected};
use protocol::error_chain::ErrorChain;
use protocol::{Outcome, Time};
use store::{OutboxState, RunFilter};

use super::Server;

/// What is counted since the desk started.
#[derive(Debug, Default)]
pub(super) struct Tally {
    runs: Mutex<BTreeMap<&'static str, u64>>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

fn add(counts: &Mutex<BTreeMap<&'static str, u64>>, word: &'static str) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.entry(word).or_default();
    *count = count.saturating_add(1);
}

/// Every reason has a word of its own, so that a clock and a thief are told apart.
const fn reason(fault: Option<CertificateFault>) -> &'static str {
    match fault {
        Some(CertificateFault::Malformed) => "malformed",
        Some(CertificateFault::UnknownIssuer) => "unknown_issuer",
        Some(CertificateFault::Expired) => "expired",
        Some(CertificateFault::NotYetValid) => "not_yet_valid",
        Some(CertificateFault::Purpose) => "purpose",
        Some(CertificateFault::CaAsLeaf) => "ca_as_leaf",
        Some(CertificateFault::Withdrawn) => "withdrawn",
        Some(CertificateFault::Name) => "name",
        Some(CertificateFault::Role) => "role",
        Some(CertificateFault::Id) => "id",
        Some(CertificateFault::Key) => "key",
        None => "other",
    }
}

impl Tally {
    pub(super) fn filed(&self, outcome: Option<Outcome>) {
        add(&self.runs, outcome.map_or("unreadable", Outcome::word));
    }
    pub(super) fn refused(&self, rejected: &Rejected) {
        add(&self.refused, reason(rejected.fault));
    }
}

/// All numbers of one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Numbers {
    pub(super) endpoints: usize,
    pub(super) consoles: usize,
    pub(super) runs: BTreeMap<&'static str, u64>,
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// Runs that were sent, or are about to be, and have no record.
    pub(super) unanswered: usize,
    /// Orders that broke glass since the beginning, and those of them that nobody has reviewed.
    pub(super) glass: (u64, u64),
    pub(super) notes_waiting: usize,
    pub(super) notes_due: usize,
    /// Role, version, end.
    pub(super) catalogue: Vec<(&'static str, u64, Option<Time>)>,
    pub(super) store_bytes: u64,
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
}

/// OpenMetrics text of a family at a time.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, unit: Option<&str>, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if let Some(unit) = unit {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {help}");
    }
    fn sample(&mut self, name: &str, label: Option<(&str, &str)>, value: impl std::fmt::Display) {
        let _ = match label {
            // Labels are words of this file and of the catalogue: nothing to escape.
            Some((key, word)) => writeln!(self.0, "{name}{{{key}=\"{word}\"}} {value}"),
            None => writeln!(self.0, "{name} {value}"),
        };
    }
    fn gauge(&mut self, name: &str, help: &str, value: usize) {
        self.family(name, "gauge", None, help);
        self.sample(name, None, value);
    }
    fn counters(&mut self, name: &str, help: &str, label: &str, counts: &BTreeMap<&str, u64>) {
        self.family(name, "counter", None, help);
        for (word, count) in counts {
            self.sample(&format!("{name}_total"), Some((label, word)), count);
        }
    }
}

impl Numbers {
    /// The whole answer.
    pub(super) fn text(&self) -> String {
        let mut text = Text::default();
        text.gauge("salve_endpoints_held", "Endpoints that hold a line.", self.endpoints);
        text.gauge(
            "salve_consoles_connected",
            "Agents' consoles that are connected.",
            self.consoles,
        );
        text.counters("salve_runs", "Records filed since the start.", "outcome", &self.runs);
        text.gauge("salve_runs_waiting", "Runs that have no record yet.", self.unanswered);
        let name = "salve_glass_broken";
        text.family(name, "counter", None, "Orders that broke glass, since the beginning.");
        text.sample("salve_glass_broken_total", None, self.glass.0);
        let name = "salve_glass_unreviewed";
        text.family(name, "gauge", None, "Those of them that nobody has reviewed.");
        text.sample(name, None, self.glass.1);
        let name = "salve_notes_undelivered";
        text.family(name, "gauge", None, "What tickets were not told yet.");
        text.sample(name, Some(("state", "waiting")), self.notes_waiting);
        text.sample(name, Some(("state", "due")), self.notes_due);
        let name = "salve_catalogue_version";
        text.family(name, "gauge", None, "Version of each role.");
        for (role, version, _) in &self.catalogue {
            text.sample(name, Some(("role", role)), version);
        }
        let name = "salve_catalogue_expiry_timestamp_seconds";
        text.family(name, "gauge", Some("seconds"), "When each role ends, since 1970.");
        for (role, _, end) in &self.catalogue {
            if let Some(end) = end {
                text.sample(name, Some(("role", role)), end.0);
            }
        }
        let (name, help) = ("salve_handshakes_refused", "Handshakes refused since the start.");
        text.counters(name, help, "reason", &self.refused);
        let name = "salve_store_size_bytes";
        text.family(name, "gauge", Some("bytes"), "The store's file and its log.");
        text.sample(name, None, self.store_bytes);
        let name = "process_cpu_seconds";
        text.family(name, "counter", Some("seconds"), "Processor time of this process.");
        text.sample("process_cpu_seconds_total", None, format!("{:.3}", self.cpu_seconds));
        let name = "process_resident_memory_bytes";
        text.family(name, "gauge", Some("bytes"), "Memory of this process that is resident.");
        text.sample(name, None, self.resident_bytes);
        text.0.push_str("# EOF\n");
        text.0
    }
}

impl Server {
    /// Asks everybody now; reads the store.
    pub(super) fn numbers(self: &Arc<Self>) -> Numbers {
        let known = self.known();
        let held = |counts: &Mutex<BTreeMap<&'static str, u64>>| {
            counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let roles = known.catalogue.versions().named();
        let mut numbers = Numbers {
            endpoints: self.lines.here().len(),
            consoles: self.lines.consoles(),
            runs: held(&self.tally.runs),
            refused: held(&self.tally.refused),
            catalogue: roles
                .into_iter()
                .map(|(role, version)| (role, version, known.catalogue.end_of(role)))
                .collect(),
            store_bytes: self.store_bytes(),
            cpu_seconds: cpu_seconds(),
            resident_bytes: resident_bytes().unwrap_or_default(),
            ..Numbers::default()
        };
        if let Err(error) = self.count_waiting(&mut numbers) {
            self.line(&ErrorChain(&error).to_string());
        }
        numbers
    }

    fn count_waiting(&self, numbers: &mut Numbers) -> Result<(), crate::books::BookError> {
        let store = self.store()?;
        let unanswered = RunFilter { unanswered: true, ..RunFilter::default() };
        numbers.unanswered = store.runs(&unanswered)?.len();
        numbers.glass = store.count_glass()?;
        for row in store.outbox_todo()? {
            match row.state {
                OutboxState::Due => numbers.notes_due += 1,
                _ => numbers.notes_waiting += 1,
            }
        }
        Ok(())
    }

    fn store_bytes(&self) -> u64 {
        let file = self.desk.home.database();
        let mut log = file.clone().into_os_string();
        log.push("-wal");
        let length =
            |path: &std::path::Path| std::fs::metadata(path).map_or(0, |found| found.len());
        length(&file).saturating_add(length(log.as_ref()))
    }
}

/// Processor time of this process, seconds.
fn cpu_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::new(
        u64::try_from(spent.tv_sec).unwrap_or_default(),
        u32::try_from(spent.tv_nsec).unwrap_or_default(),
    )
    .as_secs_f64()
}

/// Resident memory of this process, bytes.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python's own parser reads this file too, strictly.
    const VECTOR: &str = include_str!("../../../../tests/vectors/metrics.txt");

    #[test]
    fn the_text_is_its_vector() {
        let tally = Tally::default();
        tally.filed(Some(Outcome::Succeeded));
        tally.filed(Some(Outcome::Succeeded));
        tally.filed(Some(Outcome::TimedOut));
        tally.filed(None);
        let address = "192.0.2.7:7".parse().unwrap();
        for fault in [Some(CertificateFault::Expired), Some(CertificateFault::Withdrawn), None] {
            tally.refused(&Rejected { address, fault, stop: None });
        }
        let numbers = Numbers {
            endpoints: 40_000,
            consoles: 1,
            runs: tally.runs.lock().unwrap().clone(),
            refused: tally.refused.lock().unwrap().clone(),
            unanswered: 3,
            glass: (2, 1),
            notes_waiting: 2,
            notes_due: 1,
            catalogue: vec![("root", 1, Some(Time(1_795_344_000))), ("risk-high", 0, None)],
            store_bytes: 1 << 40,
            cpu_seconds: 0.25,
            resident_bytes: 32 << 20,
        };
        assert_eq!(numbers.text(), VECTOR, "a new vector:\n{}", numbers.text());
    }

    #[test]
    fn a_process_knows_what_it_takes() {
        assert!(resident_bytes().unwrap() > 1024 * 1024);
        let before = cpu_seconds();
        while cpu_seconds() <= before {}
    }
}
