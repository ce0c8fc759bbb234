//! `salved status`: who this machine is, what it trusts, which defences it has, what ran last.
//! Only reads, also beside a running daemon.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use protocol::documents::Record;
use protocol::{Digest, Envelope, Mode, Outcome, RunId, Time};
use trust::catalogue::{Catalogue, FolderStore, TrustedStore as _};

use crate::config::Config;
use crate::ledger::{Disk, Ledger};
use crate::state::{Identity, Layout};

/// Runs that are shown.
const RUNS_SHOWN: usize = 5;

/// A ledger's folder that is only read: another process may be writing.
#[derive(Debug)]
pub struct ReadOnly(pub PathBuf);

impl ReadOnly {
    fn path(&self, segment: u64) -> PathBuf {
        self.0.join(format!("{segment:08}.ledger"))
    }
}

fn no() -> io::Error {
    io::Error::from(io::ErrorKind::ReadOnlyFilesystem)
}

impl Disk for ReadOnly {
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut out = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".ledger"));
            out.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        out.sort_unstable();
        Ok(out)
    }
    fn read(&self, segment: u64) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(segment))
    }
    fn read_at(&self, segment: u64, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;
        let mut out = vec![0; len];
        std::fs::File::open(self.path(segment))?.read_exact_at(&mut out, offset)?;
        Ok(out)
    }
    fn create(&mut self, _: u64, _: u64) -> io::Result<()> {
        Err(no())
    }
    fn write(&mut self, _: u64, _: u64, _: &[u8]) -> io::Result<()> {
        Err(no())
    }
    fn sync(&mut self, _: u64) -> io::Result<()> {
        Err(no())
    }
}

/// Everything, as lines for people.
#[must_use]
pub fn status(config: &Config, now: Time) -> String {
    let mut out = String::new();
    let layout = Layout::new(&config.state);
    line(&mut out, "version", env!("CARGO_PKG_VERSION"));
    line(&mut out, "listens", &config.listen.to_string());
    match std::fs::read_dir(layout.root()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            line(&mut out, "state", "only root may read it: sudo salved status");
        }
        _ => {
            enrolled(&mut out, &layout, now);
            desk(&mut out, config, &layout);
        }
    }
    for (name, word) in hatch::lock::available() {
        line(&mut out, &name, &word);
    }
    let excepted = [(config.exceptions.uid, "uid"), (config.exceptions.cgroup, "cgroup")];
    let excepted: Vec<&str> = excepted.iter().filter(|(is, _)| *is).map(|(_, n)| *n).collect();
    if !excepted.is_empty() {
        line(&mut out, "exceptions", &excepted.join(", "));
    }
    out
}

fn line(out: &mut String, name: &str, word: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{name:<11} {word}");
}

/// How it stands with the line to a desk, as the daemon wrote it down last.
fn desk(out: &mut String, config: &Config, layout: &Layout) {
    if config.desks.is_empty() {
        return;
    }
    let words = std::fs::read_to_string(layout.line());
    let silent = format!("{}; salved has said nothing of it yet", config.desks.join(", "));
    line(out, "desk", words.as_deref().unwrap_or(&silent));
}

fn enrolled(out: &mut String, layout: &Layout, now: Time) {
    let identity = match Identity::load(layout) {
        Ok(identity) => identity,
        Err(error) => return line(out, "enrolled", &error.to_string()),
    };
    let card = &identity.card;
    line(out, "endpoint", &format!("{} ({})", card.name, card.endpoint.short()));
    let ends = if card.not_after <= now { "ended" } else { "until" };
    line(out, "card", &format!("serial {}, {ends} {}", card.serial, card.not_after));
    catalogue(out, layout, &identity.root, now);
    match last_runs(&layout.ledger(), now) {
        Ok((counter, runs)) => {
            line(out, "records", &counter.to_string());
            for run in runs {
                line(out, "run", &run);
            }
        }
        Err(why) => line(out, "records", &why),
    }
}

fn catalogue(out: &mut String, layout: &Layout, root: &[u8], now: Time) {
    trust::catalogue::install_provider();
    let files = FolderStore::open(layout.catalogue()).and_then(|store| store.load());
    let read = files
        .map_err(|error| error.to_string())
        .and_then(|files| Catalogue::open(&files, root, now).map_err(|error| error.to_string()));
    match read {
        Err(why) => line(out, "catalogue", &why),
        Ok(catalogue) => {
            let versions = catalogue.versions().named();
            let words: Vec<String> = versions.iter().map(|(r, v)| format!("{r} {v}")).collect();
            line(out, "catalogue", &words.join(", "));
            let scripts = catalogue.scripts().count();
            line(out, "scripts", &format!("{scripts}, issued {}", catalogue.issued()));
            if let Some((role, since)) = catalogue.expired(now) {
                line(out, "expired", &format!("{role} since {since}; the next session renews it"));
            }
        }
    }
}

/// How many records there are, and the last runs in words.
fn last_runs(folder: &Path, now: Time) -> Result<(u64, Vec<String>), String> {
    let disk = ReadOnly(folder.to_owned());
    let opened = Ledger::open(disk, Digest([0; 32]), now, "");
    let opened = opened
        .map_err(|error| format!("{error}; if salved is writing at this moment, look again"))?;
    let counter = opened.index.head().counter;
    let mut runs = opened.index.last_records(RUNS_SHOWN);
    runs.reverse();
    let words = runs.iter().filter_map(|run| words(&opened.ledger, run)).collect();
    Ok((counter, words))
}

fn words(ledger: &Ledger<ReadOnly>, run: &RunId) -> Option<String> {
    let bytes = ledger.record(run).ok()??;
    let envelope = Envelope::read(&bytes.0).ok()?;
    let record: Record = trust::seal::peek(&envelope).ok()?;
    let told = &record.predicate;
    let ticket = told.ticket.as_ref().map_or(String::new(), |t| format!(", ticket {t}"));
    Some(format!(
        "{} {} {} {} for {}{ticket}: {}",
        run.short(),
        told.accepted,
        told.mode.word(),
        told.script.name,
        told.agent,
        ended(told.mode, told.outcome),
    ))
}

/// A look repairs nothing: where it went well it found work to do, or made a plan.
fn ended(mode: Mode, outcome: Outcome) -> &'static str {
    match (mode, outcome) {
        (Mode::Check, Outcome::Succeeded) => "found something",
        (Mode::Plan, Outcome::Succeeded) => "made a plan",
        _ => outcome.for_people(),
    }
}
