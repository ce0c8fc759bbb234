//! What a run's two processes say and how they end. Their words are data: nothing they say starts
//! anything, and nothing but both of them ending well is a success.

use hatch::messages::{FromExecutor, FromInterpreter};
use protocol::frames::Event as Live;
use protocol::{Bytes, RunId, limits};

use super::Core;
use super::effect::Effect;
use super::event::{Child, ChildEnd, Stamp};
use super::run::Stage;
use crate::record::End;

/// Longest word or sentence of an executor's live event, characters.
const TEXT_CHARS_MAX: usize = 4096;

fn cut(text: String) -> String {
    if text.len() <= TEXT_CHARS_MAX { text } else { text.chars().take(TEXT_CHARS_MAX).collect() }
}

/// An executor's event, cut to size; none where it is not an executor's to send.
fn allowed(event: Live) -> Option<Live> {
    Some(match event {
        Live::Accepted { .. } | Live::Asking { .. } | Live::Ended { .. } => return None,
        Live::Phase { phase } => Live::Phase { phase },
        Live::Progress { text } => Live::Progress { text: cut(text) },
        Live::Line { text } => Live::Line { text: cut(text) },
        Live::Skipped { text } => Live::Skipped { text: cut(text) },
        Live::Effect { function, key, count, bytes, ok } => {
            Live::Effect { function: cut(function), key: cut(key), count, bytes, ok }
        }
        Live::Found { phase, needed, summary } => {
            Live::Found { phase, needed, summary: cut(summary) }
        }
    })
}

impl Core {
    pub(super) fn executor_said(
        &mut self,
        run: RunId,
        message: FromExecutor,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        let Some(found) = self.runs.get_mut(&run).filter(|run| run.stage == Stage::Running) else {
            return;
        };
        match message {
            FromExecutor::Ready { defences } => {
                add(&mut found.defences, Child::Executor.word(), defences);
            }
            FromExecutor::Event(event) => {
                if let Some(event) = allowed(event) {
                    self.tell(run, event, out);
                }
            }
            FromExecutor::OneTime { handle, length, minutes } => {
                self.one_time(run, handle, (length, minutes), now, out);
            }
            FromExecutor::Say { text } => {
                found.say = Some(text.chars().take(limits::SAY_CHARS_MAX).collect());
            }
            FromExecutor::Output { text, .. } => {
                let bytes = text.as_bytes();
                found.output.add(bytes, bytes.len() as u64);
                let room = (limits::OUTPUT_BYTES_MAX as u64).saturating_sub(found.kept);
                let keep = usize::try_from(room).unwrap_or(0).min(bytes.len());
                if keep > 0 {
                    found.kept += keep as u64;
                    let bytes = Bytes(bytes.iter().take(keep).copied().collect());
                    out.push(Effect::AppendOutput { run, bytes });
                }
            }
            FromExecutor::Finished(report) => {
                if found.report.is_none() {
                    found.report = Some(*report);
                }
                // Its interpreter may still be about to say what it found.
                self.give_grace(run, now);
            }
        }
    }

    pub(super) fn interpreter_said(&mut self, run: RunId, message: FromInterpreter) {
        let Some(found) = self.runs.get_mut(&run).filter(|run| run.stage == Stage::Running) else {
            return;
        };
        match message {
            FromInterpreter::Ready { defences } => {
                add(&mut found.defences, Child::Interpreter.word(), defences);
            }
            FromInterpreter::Ended { findings, fault } => {
                if found.findings.is_none() {
                    found.findings = Some(findings);
                    found.fault = fault;
                }
                // Its executor still has to say what it did: the deadline stands, no grace yet.
            }
        }
    }

    pub(super) fn garbled(&mut self, run: RunId, child: Child, now: Stamp, out: &mut Vec<Effect>) {
        let Some(found) = self.runs.get_mut(&run).filter(|run| run.stage == Stage::Running) else {
            return;
        };
        if found.end == End::Own {
            let why = format!("the {} sent bytes that are no message", child.word());
            found.end = End::Broken("garbled".to_owned(), why);
        }
        if child == Child::Executor {
            out.push(Effect::End { run, child });
        }
        self.wind_down(run, now, out);
    }

    /// Both are there, in the folder that ends them: the record says so.
    pub(super) fn spawned(&mut self, run: RunId, cgroup: bool) {
        let Some(found) = self.runs.get_mut(&run) else { return };
        let how = if cgroup { "own folder, cgroup.kill" } else { "off by exception" };
        for child in [Child::Executor, Child::Interpreter] {
            let said = hatch::messages::Defences::from([("cgroup".to_owned(), how.to_owned())]);
            add(&mut found.defences, child.word(), said);
        }
    }

    pub(super) fn spawn_failed(
        &mut self,
        run: RunId,
        why: String,
        reason: String,
        out: &mut Vec<Effect>,
    ) {
        let Some(found) = self.runs.get_mut(&run).filter(|run| run.stage == Stage::Running) else {
            return;
        };
        if found.end == End::Own {
            found.end = End::Broken(reason, why);
        }
        found.stage = Stage::Reading;
        out.push(found.read_effects());
    }

    pub(super) fn child_ended(
        &mut self,
        run: RunId,
        child: Child,
        end: ChildEnd,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        let Some(found) = self.runs.get_mut(&run).filter(|run| run.stage == Stage::Running) else {
            return;
        };
        let silent = match child {
            Child::Interpreter => {
                found.interpreter_ended = true;
                found.findings.is_none()
            }
            Child::Executor => {
                found.executor_ended = true;
                found.report.is_none()
            }
        };
        if silent && found.end == End::Own {
            let how = match end {
                ChildEnd::Exited(status) => format!("ended with status {status}"),
                ChildEnd::Signalled(signal) => format!("was ended by signal {signal}"),
            };
            let why = format!("the {} {how} before it had said what it did", child.word());
            found.end = End::Broken(format!("{}-died", child.word()), why);
        }
        if found.interpreter_ended && found.executor_ended {
            found.stage = Stage::Reading;
            // Nothing of the run survives its two processes.
            let read = found.read_effects();
            out.extend([Effect::Kill { run }, read]);
        } else {
            self.give_grace(run, now);
        }
    }
}

/// Most defences that all processes together report.
const DEFENCES_MAX: usize = 64;
/// Longest name or state of one, characters.
const DEFENCE_CHARS_MAX: usize = 120;

/// Adds what a process says of its defences: a record has room for words, not for a flood of them.
pub(super) fn add(all: &mut hatch::messages::Defences, who: &str, said: hatch::messages::Defences) {
    let short = |text: String| text.chars().take(DEFENCE_CHARS_MAX).collect::<String>();
    for (name, how) in said {
        if all.len() >= DEFENCES_MAX {
            return;
        }
        all.insert(format!("{who} {}", short(name)), short(how));
    }
}
