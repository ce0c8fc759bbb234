//! Does one effect. What fails and has an event for it is told; anything else ends the daemon.

use std::fs::File;

use hatch::cgroup::Folder;
use hatch::{ToExecutor, ToInterpreter};
use protocol::error_chain::ErrorChain;
use protocol::{Bytes, Mode, RunId};
use trust::catalogue::{Files, StoreError, TrustedStore as _};

use super::spare::Spare;
use super::{DriverError, World, secrets};
use crate::core::{Effect, Event, Fetched, RunPlan};
use crate::ledger::{Entry, LedgerError};
use crate::record::EffectsSummary;
use crate::spawn;
use crate::state::is_full;

/// Why a run's children are not there: stable reason and words for the record.
pub(super) struct NotStarted {
    reason: &'static str,
    pub(super) why: String,
}

impl NotStarted {
    fn spawn(error: &dyn std::error::Error) -> Self {
        Self { reason: "spawn", why: ErrorChain(error).to_string() }
    }
}

impl World {
    /// Does it; gives what it is answered with.
    pub(super) fn perform(&mut self, effect: Effect) -> Result<Vec<Event>, DriverError> {
        match effect {
            Effect::AppendLedger(entry) => self.append(&[&entry])?,
            Effect::Spawn(plan) => return Ok(vec![self.spawn(&plan)]),
            Effect::ToExecutor { run, message } => self.tell_executor(run, message),
            Effect::End { run, child } => self.runs.end(&run, child),
            Effect::Kill { run } => self.runs.kill(&run),
            Effect::ReadEffects { run, durable } => {
                if durable {
                    self.shelf.sync_output(&run)?;
                }
                let bytes = self.shelf.read_effects(&run)?;
                let effects = EffectsSummary::of(&bytes);
                let secrets = self.shelf.secrets(&run)?;
                return Ok(vec![Event::EffectsRead { run, effects, secrets }]);
            }
            Effect::AppendOutput { run, bytes } => self.shelf.append_output(&run, &bytes.0)?,
            Effect::MakeSecret { run, handle, length, to, info } => {
                let secret = secrets::make(length, &to, &info.0);
                return Ok(vec![Event::SecretMade { run, handle, secret }]);
            }
            Effect::WriteEscrow { run, handle, sealed, not_after } => {
                self.shelf.write_escrow(&run, handle, &sealed, not_after)?;
            }
            Effect::KeepPlan { digest, run, bytes } => {
                self.shelf.keep_plan(&digest, &run, &bytes)?;
            }
            Effect::DropPlan { digest } => self.shelf.drop_plan(&digest)?,
            Effect::Fetch { line, run } => {
                let found = self.fetch(&run);
                return Ok(vec![Event::Fetched { line, run, found }]);
            }
            Effect::Ask { run, question } => return Ok(self.ask(run, *question)),
            Effect::EndAsk => self.end_asking(false),
            Effect::ReadOutput { line, run } => {
                let bytes = self.shelf.read_output(&run).map(Bytes).map_err(|error| {
                    tracing::error!("run {}: {}", run.short(), ErrorChain(&error));
                });
                return Ok(vec![Event::Output { line, bytes: bytes.ok() }]);
            }
            Effect::ReadOrder { line, run } => {
                let order = self.ledger.order(&run).map_err(|error| {
                    tracing::error!("run {}: {}", run.short(), ErrorChain(&error));
                });
                return Ok(vec![Event::Order { line, order: order.ok() }]);
            }
            Effect::ReplaceCatalogue(files) => return Ok(self.replace(files)),
            Effect::StoreCertificate(leaf) => return Ok(vec![self.store_certificate(leaf)]),
            Effect::ToGate(message) => self.gate.tell(message),
            Effect::RestartGate => self.gate.end(),
            Effect::MakeSpare => self.make_spare(),
            Effect::DropSpare => self.drop_spare(),
            Effect::Tidy { run } => return self.tidy(&run),
            Effect::Stop => {}
        }
        Ok(Vec::new())
    }

    /// Appends entries with one sync; where a frame does not take them together, one by one.
    pub(super) fn append(&mut self, entries: &[&Entry]) -> Result<(), DriverError> {
        match self.ledger.append_all(entries) {
            Err(LedgerError::TooLarge) if entries.len() > 1 => {
                entries.iter().try_for_each(|entry| self.ledger.append(entry))?;
            }
            done => done?,
        }
        entries.iter().for_each(|entry| told(entry));
        Ok(())
    }

    /// What a run left; none where the disk does not give it back. That is one question's answer:
    /// everything else goes on.
    fn fetch(&self, run: &RunId) -> Option<Box<Fetched>> {
        let record = self.ledger.record(run).map_err(DriverError::from);
        let found = record.and_then(|record| Ok(self.shelf.fetch(run, record)?));
        found
            .map_err(|error| tracing::error!("run {}: {}", run.short(), ErrorChain(&error)))
            .ok()
            .map(Box::new)
    }

    fn tell_executor(&mut self, run: RunId, mut message: ToExecutor) {
        if let Some(outbox) = self.runs.executor(&run)
            && let Err(error) = outbox.queue(&message)
        {
            tracing::warn!("run {}: {}", run.short(), ErrorChain(&error));
        }
        if let ToExecutor::Secret { clear: Some(clear), .. } = &mut message {
            secrets::wipe(clear);
        }
    }

    fn spawn(&mut self, plan: &RunPlan) -> Event {
        let run = plan.run();
        match self.try_spawn(plan) {
            Ok(cgroup) => Event::Spawned { run, cgroup },
            Err(NotStarted { reason, why }) => {
                tracing::error!("run {}: {why}", run.short());
                self.runs.kill(&run);
                self.runs.forget(&run);
                Event::SpawnFailed { run, why, reason: reason.to_owned() }
            }
        }
    }

    /// True where the run has a cgroup of its own.
    fn try_spawn(&mut self, plan: &RunPlan) -> Result<bool, NotStarted> {
        let run = plan.run();
        let mut start = plan.executor().clone();
        if let Some(sealed) = plan.secrets() {
            start.secrets = secrets::open(&self.sealing, sealed)
                .map_err(|why| NotStarted { reason: "secrets", why })?;
        }
        let spare = if start.mode.mutates() { None } else { self.take_spare() };
        let Spare { mut children, folder } = match spare {
            Some(spare) => spare,
            None => {
                let effects = self.effects(&run, start.mode)?;
                self.make(&run.to_string(), &effects)?
            }
        };
        let mut message = ToExecutor::Start(Box::new(start));
        let told = children.executor.outbox.queue(&message);
        if let ToExecutor::Start(start) = &mut message {
            start.secrets.values_mut().for_each(secrets::wipe);
        }
        let source: &ToInterpreter = plan.interpreter();
        let told = told.and_then(|()| children.interpreter.outbox.queue(source));
        let held = folder.is_some();
        self.runs.add(run, children, folder);
        told.map_err(|error| NotStarted::spawn(&error))?;
        Ok(held)
    }

    /// A look acts on nothing: what it is given takes every write and keeps none.
    fn effects(&self, run: &RunId, mode: Mode) -> Result<File, NotStarted> {
        if mode.mutates() {
            self.shelf.effects(run, true).map_err(|error| NotStarted::spawn(&error))
        } else {
            nowhere()
        }
    }

    /// Both processes in a fresh folder of this name, told what they can do before they know a run.
    fn make(&self, name: &str, effects: &File) -> Result<Spare, NotStarted> {
        let folder = self.folder(name)?;
        let made = spawn::run(&self.programs, folder.as_ref(), effects, &self.prepare);
        match made {
            Ok(children) => Ok(Spare { children, folder }),
            Err(error) => {
                if let Some(folder) = &folder {
                    let _ = folder.kill().and_then(|()| folder.remove());
                }
                Err(NotStarted::spawn(&error))
            }
        }
    }

    /// Best effort: without one the next look makes its own.
    fn make_spare(&mut self) {
        self.drop_spare();
        // The folder of one that was taken is its run's now.
        self.spares = self.spares.wrapping_add(1);
        let name = format!("spare-{}", self.spares);
        match nowhere().and_then(|effects| self.make(&name, &effects)) {
            Ok(spare) => self.spare = Some(spare),
            Err(NotStarted { why, .. }) => tracing::warn!("no processes wait for a look: {why}"),
        }
    }

    pub(super) fn folder(&self, name: &str) -> Result<Option<Folder>, NotStarted> {
        match &self.cgroups {
            Some(home) => {
                let made = home.make(&format!("{}{name}", self.prefix));
                made.map(Some).map_err(|error| NotStarted::spawn(&error))
            }
            None if self.prepare.exceptions.cgroup => Ok(None),
            None => {
                let why = "there is no cgroup v2 for the run".to_owned();
                Err(NotStarted { reason: "defence-missing", why })
            }
        }
    }

    fn replace(&mut self, files: std::collections::BTreeMap<String, Vec<u8>>) -> Vec<Event> {
        let files = Files(files);
        let full = |error: &StoreError| is_full(&error.source);
        let mut stored = self.store.replace(&files);
        if stored.as_ref().is_err_and(full) {
            self.shelf.reserve().release();
            stored = self.store.replace(&files);
        }
        let whole = self.refill();
        if let Err(error) = &stored {
            tracing::error!("{}", ErrorChain(error));
        }
        vec![Event::CatalogueStored { ok: stored.is_ok() }, Event::Reserve(whole)]
    }

    /// Keeps the leaf, for this gate and every later one.
    fn store_certificate(&mut self, leaf: Bytes) -> Event {
        let stored = self.shelf.keep_certificate(&leaf);
        match &stored {
            Ok(()) => {
                tracing::info!("the endpoint's certificate was renewed");
                self.door.certificates = vec![leaf];
            }
            Err(error) => tracing::error!("{}", ErrorChain(error)),
        }
        Event::CertificateStored { ok: stored.is_ok() }
    }

    fn tidy(&mut self, run: &RunId) -> Result<Vec<Event>, DriverError> {
        self.runs.forget(run);
        self.shelf.sync_output(run)?;
        self.shelf.tidy(run)?;
        if !self.ledger.reserve()? {
            self.shelf.reserve().release();
            if !self.ledger.reserve()? {
                tracing::warn!("the disk is too full for the ledger's next segment");
            }
        }
        Ok(vec![Event::Reserve(self.refill())])
    }
}

fn nowhere() -> Result<File, NotStarted> {
    let null = File::options().read(true).write(true).open("/dev/null");
    null.map_err(|error| NotStarted::spawn(&error))
}

/// One line of the journal for what is durable now. Nothing of an order's contents, but where glass
/// was broken.
fn told(entry: &Entry) {
    match entry {
        Entry::Accepted(accepted) => {
            tracing::info!("run {}: accepted", accepted.run.short());
            // Loud on the machine itself too; the agent's words are made one line.
            for reason in accepted.reasons.iter().filter(|r| r.starts_with(policy::BREAK_GLASS)) {
                tracing::warn!("run {}: {}", accepted.run.short(), reason.escape_debug());
            }
        }
        Entry::Record(record) if record.refused => {
            tracing::info!("run {}: refused, record {}", record.run.short(), record.counter);
        }
        Entry::Record(record) => {
            tracing::info!("run {}: ended, record {}", record.run.short(), record.counter);
        }
        _ => {}
    }
}
