//! One run: what it may do, what it did, and the table from names to host functions.
//!
//! Every call comes through [`Host::call`]; there is no other way to a host function.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::time::Duration;

use hatch::messages::{ExecutorReport, ExecutorStart, FromExecutor};
use protocol::frames::{Event, Phase};
use protocol::{Bytes, EffectState, Mode, PlanLine, limits};
use surface::{Call, Class, Host, HostError, Value};

use crate::book::Book;
use crate::clock::Clock;
use crate::effects::{self, Effects};
use crate::fail::Fail;
use crate::files::Places;
use crate::guard::{Checked, Guard};
use crate::link::{Keeper, Lost};
use crate::overlay::Overlay;
use crate::people::People;
use crate::root::Root;
use crate::secrets::Vault;
use crate::{
    boots, certificates, files, host, pkg, proc, report, secrets, service, sessions, user,
};
use bus::Bus;

/// Most sentences of one kind that a run may say; more are counted as a limit.
const SENTENCES_MAX: usize = 100;

/// Most bytes of what was skipped: a plan and a record hold all of it beside their other words.
const SKIPPED_BYTES_MAX: usize = 16 * 1024;

/// What a run is made of beside its start message.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The machine's files.
    pub(crate) root: Root,
    /// The effects file.
    pub(crate) effects: File,
    /// The line to the keeper.
    pub(crate) keeper: Box<dyn Keeper>,
    /// The connected bus, where the run needs one and there is one.
    pub(crate) bus: Option<Bus>,
}

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unready {
    /// The keeper named something unknown.
    #[error("the start message does not fit this program: {0}")]
    Start(String),
    /// The machine's accounts cannot be read.
    #[error("could not read the machine's accounts")]
    Accounts(#[source] std::io::Error),
}

/// One run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) guard: Guard,
    pub(crate) classes: BTreeSet<Class>,
    pub(crate) root: Root,
    pub(crate) clock: Clock,
    pub(crate) people: People,
    pub(crate) places: Places,
    pub(crate) certificates: Vec<String>,
    pub(crate) book: Book,
    pub(crate) overlay: Overlay,
    pub(crate) vault: Vault,
    pub(crate) effects: Effects,
    pub(crate) keeper: Box<dyn Keeper>,
    pub(crate) bus: Option<Bus>,
    pub(crate) sentences: BTreeMap<&'static str, usize>,
    skipped_bytes: usize,
    pub(crate) report: ExecutorReport,
}

/// Whether an action is to be done, and under which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    /// Mode plan: it was written down.
    Planned,
    /// Act; the effects file has it.
    Act(u64),
}

/// The classes a run has: a look only, where nothing is changed.
pub(crate) fn classes(start: &ExecutorStart) -> Result<BTreeSet<Class>, Unready> {
    let mut classes = BTreeSet::from([Class::Look]);
    for word in &start.classes {
        let unknown = || Unready::Start(format!("class `{word}`"));
        classes.insert(Class::from_word(word).ok_or_else(unknown)?);
    }
    if start.mode.mutates() { Ok(classes) } else { Ok(BTreeSet::from([Class::Look])) }
}

impl Run {
    /// Reads the start message and opens the folders that the permissions name.
    pub(crate) fn open(mut start: ExecutorStart, parts: Parts) -> Result<Self, Unready> {
        let limit = Duration::from_millis(start.limit_ms);
        let clock = Clock::start(start.now, limit);
        let classes = classes(&start)?;
        let plan = match start.plan.take() {
            Some(json) if start.mode == Mode::Fix => {
                let lines: Vec<PlanLine> = protocol::json::read(&json.0)
                    .map_err(|_| Unready::Start("the plan's lines".to_owned()))?;
                Some(lines)
            }
            _ => None,
        };
        let people = People::read(&parts.root).map_err(Unready::Accounts)?;
        let mut grants: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for grant in start.grants {
            if surface::find(&grant.function).is_none() {
                return Err(Unready::Start(format!("permission `{}`", grant.function)));
            }
            grants.entry(grant.function).or_default().extend(grant.nouns);
        }
        let as_person = classes.contains(&Class::Files) && !start.exceptions.uid;
        let places = Places::open(&parts.root, &people, &grants, as_person)
            .map_err(|bad| Unready::Start(bad.to_string()))?;
        let certificates = certificates::paths(&parts.root);
        Ok(Self {
            guard: Guard::new(start.mode, classes.clone(), grants),
            classes,
            root: parts.root,
            clock,
            people,
            places,
            certificates,
            book: Book::new(start.risk, plan),
            overlay: Overlay::default(),
            vault: Vault::new(std::mem::take(&mut start.secrets)),
            effects: Effects::new(parts.effects),
            keeper: parts.keeper,
            bus: parts.bus,
            sentences: BTreeMap::new(),
            skipped_bytes: 0,
            report: ExecutorReport::default(),
        })
    }

    /// Goes to a phase. One out of order changes nothing, so that actions stay refused.
    pub(crate) fn phase(&mut self, phase: Phase) -> Result<(), Lost> {
        if self.guard.enter(phase) { self.event(Event::Phase { phase }) } else { Ok(()) }
    }

    /// Live news.
    pub(crate) fn event(&mut self, event: Event) -> Result<(), Lost> {
        self.keeper.tell(&FromExecutor::Event(event))
    }

    /// Live news from within a call, which may take its time: told at once.
    pub(crate) fn news(&mut self, event: Event) -> Result<(), Fail> {
        self.event(event).and_then(|()| self.keeper.flush()).map_err(lost)
    }

    /// Counts a sentence of one kind; false once there were too many.
    pub(crate) fn may_say(&mut self, kind: &'static str) -> bool {
        let said = self.sentences.entry(kind).or_default();
        *said += 1;
        if *said <= SENTENCES_MAX {
            return true;
        }
        self.limit(kind);
        false
    }

    /// Writes a limit down that was hit.
    pub(crate) fn limit(&mut self, name: &str) {
        if !self.report.limits_hit.iter().any(|hit| hit == name) {
            self.report.limits_hit.push(name.to_owned());
        }
    }

    /// Left alone, and why.
    pub(crate) fn skipped(&mut self, text: String) -> Result<(), Fail> {
        let bytes = serde_json::to_vec(&text).map_or(usize::MAX, |json| json.len() + 1);
        let sum = self.skipped_bytes.saturating_add(bytes);
        if sum > SKIPPED_BYTES_MAX {
            self.limit("skipped");
        } else if self.may_say("skipped") {
            self.skipped_bytes = sum;
            self.report.skipped.push(text.clone());
            self.news(Event::Skipped { text })?;
        }
        Ok(())
    }

    /// Asks the book and, outside of plans, writes `about` to the disk. Nothing was done before it
    /// answers, and nothing may be done when it fails.
    pub(crate) fn begin(&mut self, want: &PlanLine, noun: &str) -> Result<Go, Fail> {
        self.clock.check()?;
        self.book.take(want)?;
        if self.guard.plans() {
            return Ok(Go::Planned);
        }
        let n = self.effects.next();
        let about = EffectState::About;
        let line = effects::line(n, about, &want.function, &want.key, noun, want.bytes);
        self.effects.write_synced(&line).map_err(unwritten)?;
        Ok(Go::Act(n))
    }

    /// Writes how an action went, waits for the disk, and tells who watches.
    pub(crate) fn ended(
        &mut self,
        n: u64,
        want: &PlanLine,
        noun: &str,
        how: EffectState,
    ) -> Result<(), Fail> {
        let line = effects::line(n, how, &want.function, &want.key, noun, want.bytes);
        self.effects.write_synced(&line).map_err(unwritten)?;
        self.news(Event::Effect {
            function: want.function.clone(),
            key: want.key.clone(),
            count: want.count,
            bytes: want.bytes,
            ok: how == EffectState::Done,
        })
    }

    /// A query that only a planned action could answer: the plan ends here, honestly.
    pub(crate) fn unknowable(&mut self, sentence: &str) -> Fail {
        self.report.unknowable.get_or_insert_with(|| sentence.to_owned());
        Fail::fatal("unknowable", sentence)
    }

    /// The last message: everything is on the disk.
    pub(crate) fn finish(&mut self) -> Result<(), Lost> {
        let synced = self.effects.sync();
        if synced.is_err() {
            self.limit("effects_not_synced");
        }
        if self.effects.dropped() > 0 {
            self.limit("effects");
        }
        let mut report = std::mem::take(&mut self.report);
        if self.guard.plans() {
            report.plan = serde_json::to_vec(self.book.lines()).ok().map(Bytes);
        }
        report.drift = self.book.drift().map(str::to_owned);
        report.effects = Some(self.effects.digest());
        report.effects_dropped = self.effects.dropped();
        self.keeper.tell(&FromExecutor::Finished(Box::new(report)))?;
        self.keeper.flush()
    }

    fn dispatch(&mut self, call: &Checked<'_>) -> Result<Value, Fail> {
        match call.row.name {
            "fs.find" => files::find(self, call),
            "fs.space" => files::space(self, call),
            "fs.remove" => files::remove(self, call),
            "pkg.cache_size" => pkg::cache_size(self),
            "pkg.installed" => pkg::installed(self),
            "pkg.updates" => pkg::updates(self),
            "pkg.clean_cache" => pkg::clean_cache(self),
            "proc.list" => proc::list(self, call),
            "service.status" => service::status(self, call),
            "service.failed" => service::failed(self),
            "service.stays" => service::stays(self, call),
            "service.log" => service::log(self, call),
            "service.restart" => service::restart(self, call),
            "user.get" => user::get(self, call),
            "user.set_password" => user::set_password(self, call),
            "user.require_change" => user::require_change(self, call),
            "user.clear_failures" => user::clear_failures(self, call),
            "user.sessions" => sessions::sessions(self),
            "secret.one_time" => secrets::one_time(self, call),
            "host.info" => host::info(self),
            "host.memory" => host::memory(self),
            "host.pressure" => host::pressure(self),
            "host.disks" => host::disks(self),
            "host.reboot_needed" => host::reboot_needed(self),
            "host.boots" => boots::boots(self),
            "host.clock" => host::clock(self),
            "host.certificates" => certificates::certificates(self),
            "backup.last" => host::backup(self),
            "report.note" => report::note(self, call),
            "report.progress" => report::progress(self, call),
            "report.skipped" => report::skipped(self, call),
            "report.say" => report::say(self, call),
            "report.facts" => report::facts(self, call),
            "report.attach" => report::attach(self, call),
            _ => Err(Fail::fatal("not_permitted", "this program does not know the function")),
        }
    }
}

impl Host for Run {
    fn call(&mut self, call: &Call) -> Result<Value, HostError> {
        let answer = self.clock.check().and_then(|()| {
            let checked = self.guard.check(call)?;
            self.dispatch(&checked)
        });
        answer.map_err(|fail| {
            if fail.code == "limit_time" {
                self.limit("time");
            }
            fail.of(&name(call))
        })
    }
}

/// A function's name as errors repeat it: never longer than any real one.
fn name(call: &Call) -> String {
    call.function.chars().take(64).collect()
}

/// The keeper is gone: no action may follow.
pub(crate) fn lost(lost: Lost) -> Fail {
    Fail::fatal("interrupted", lost.to_string())
}

/// The effects file cannot be written: nothing more may be done.
pub(crate) fn unwritten(error: std::io::Error) -> Fail {
    Fail::fatal("effects", format!("the effects file could not be written: {error}"))
}

const _: () = assert!(SKIPPED_BYTES_MAX < limits::PLAN_BYTES_MAX / 3);

#[cfg(test)]
mod tests;
