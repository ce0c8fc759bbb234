//! `service.*`: systemd units over the bus, their log from the journal's files.
//!
//! In a look the bus knows us as nobody, so that systemd itself refuses changes. A job that was
//! started is read again: done, not done, or unknown.

mod journal;
mod units;

use std::time::Duration;

use bus::{Bus, BusError};
use protocol::frames::Event;
use protocol::{EffectState, Time};
use surface::Value;

use crate::book;
use crate::fail::Fail;
use crate::guard::Checked;
use crate::run::{Go, Run};
use units::Unit;

/// Longest wait for one answer of the bus.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How often a watched unit is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A unit's name that systemd itself would take.
fn unit<'a>(call: &Checked<'a>) -> Result<&'a str, Fail> {
    let name = call.text(0)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@\\".contains(c);
    let kinds = [
        "service",
        "socket",
        "timer",
        "target",
        "mount",
        "automount",
        "path",
        "slice",
        "scope",
        "swap",
        "device",
    ];
    let typed =
        name.rsplit_once('.').is_some_and(|(stem, kind)| !stem.is_empty() && kinds.contains(&kind));
    if typed && name.len() <= 255 && name.chars().all(plain) && !name.starts_with('-') {
        return Ok(name);
    }
    Err(Fail::argument(format!("`{name}` is no unit's name, as in `cups.service`")))
}

fn no_bus() -> Fail {
    Fail::new("no_bus", "this machine's system bus or its systemd does not answer")
}

/// Takes the bus for one question. One that failed is not asked again in this run.
fn ask<T>(
    run: &mut Run,
    question: impl FnOnce(&mut Bus, &Run) -> Result<T, BusError>,
) -> Result<T, BusError> {
    let Some(mut bus) = run.bus.take() else { return Err(BusError::Closed) };
    let answer = question(&mut bus, run);
    // One whose time was over is whole still: what comes late is told apart by its number.
    let whole = matches!(answer, Ok(_) | Err(BusError::Refused { .. } | BusError::Late));
    if whole && bus.greeted() {
        run.bus = Some(bus);
    }
    answer
}

fn look(run: &mut Run, name: &str) -> Result<Unit, Fail> {
    let answer = ask(run, |bus, run| units::get(bus, name, run.clock.within(ANSWER_MAX)));
    run.clock.check()?;
    match answer {
        Ok(unit) => Ok(unit),
        Err(BusError::Refused { name, text }) => Err(Fail::failed(format!("{name}: {text}"))),
        Err(_) => Err(no_bus()),
    }
}

fn since(unit: &Unit) -> Value {
    match unit.since {
        0 => Value::Unit,
        micros => Value::text(Time(micros / 1_000_000).to_string()),
    }
}

/// `service.status`.
pub(crate) fn status(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let name = unit(call)?;
    let mut found = look(run, name)?;
    if run.overlay.units.contains(name) {
        // What a restart is for; whether it stays so only the restart can tell.
        found.state = "active".to_owned();
        found.sub = "running".to_owned();
        found.result = "success".to_owned();
        found.since = run.clock.now().0.saturating_mul(1_000_000);
    }
    Ok(Value::map([
        ("unit", Value::text(name)),
        ("state", Value::text(&found.state)),
        ("sub", Value::text(&found.sub)),
        ("result", Value::text(&found.result)),
        ("since", since(&found)),
        ("restarts", Value::count(found.restarts)),
    ]))
}

/// `service.failed`.
pub(crate) fn failed(run: &mut Run) -> Result<Value, Fail> {
    let answer = ask(run, |bus, run| units::failed(bus, run.clock.within(ANSWER_MAX)));
    run.clock.check()?;
    let mut names = answer.map_err(|_| no_bus())?;
    names.retain(|name| !run.overlay.units.contains(name));
    names.sort_unstable();
    Ok(Value::List(names.into_iter().map(Value::Text).collect()))
}

/// `service.stays`.
pub(crate) fn stays(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let name = unit(call)?;
    let wanted = call.text(1)?;
    let seconds = call.int(2, 1, 120)?;
    if run.overlay.units.contains(name) {
        return Err(run.unknowable(&format!("whether {name} keeps running after its restart")));
    }
    let begun = run.clock.passed();
    let end = begun + Duration::from_secs(seconds.unsigned_abs());
    let first = look(run, name)?;
    let mut now = first.clone();
    let mut progress = 0;
    loop {
        let after = (run.clock.passed() - begun).as_secs();
        let held = now.state == wanted && now.restarts == first.restarts;
        if !held || run.clock.passed() >= end {
            return Ok(Value::map([
                ("held", Value::Bool(held)),
                ("state", Value::text(&now.state)),
                ("after", Value::count(after)),
                ("restarts", Value::count(now.restarts.saturating_sub(first.restarts))),
            ]));
        }
        if after >= progress + 5 {
            progress = after;
            let text = format!("{name} has been {wanted} for {after} of {seconds} s");
            run.news(Event::Progress { text })?;
        }
        let pause = ask(run, |bus, run| {
            bus.pause(run.clock.within(LOOK_EVERY.min(end.saturating_sub(run.clock.passed()))))
        });
        pause.map_err(|_| no_bus())?;
        run.clock.check()?;
        now = look(run, name)?;
    }
}

/// `service.log`.
pub(crate) fn log(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let name = unit(call)?;
    let lines = usize::try_from(call.int(1, 1, 200)?).unwrap_or(1);
    if run.overlay.units.contains(name) {
        return Err(run.unknowable(&format!("what {name} logs after its restart")));
    }
    journal::last(&run.root, name, lines, &run.clock).map(Value::Text)
}

/// `service.restart`.
pub(crate) fn restart(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let name = unit(call)?;
    let clear = call.bool_option("clear_failed");
    let wait = call.int_option("wait", 1, 120)?.unwrap_or(30);
    let before = look(run, name)?;
    match before.state.as_str() {
        "masked" => {
            return Err(Fail::new("masked", format!("{name} was switched off on purpose")));
        }
        "missing" => return Err(Fail::new("missing", format!("there is no {name} here"))),
        _ => {}
    }
    let want = book::exact(call.row.name, name, name);
    let n = match run.begin(&want, name)? {
        Go::Planned => {
            run.overlay.units.insert(name.to_owned());
            return Ok(Value::map([
                ("state", Value::text("active")),
                ("result", Value::text("success")),
            ]));
        }
        Go::Act(n) => n,
    };
    let wait = Duration::from_secs(wait.unsigned_abs());
    let job = ask(run, |bus, run| units::restart(bus, name, clear, run.clock.within(wait)));
    // Read again whatever the job said; a bus that is gone leaves it unknown.
    let now = look(run, name).ok();
    let (state, why) = judge(&job, now.as_ref());
    run.ended(n, &want, name, state)?;
    let now = now.map(|unit| (unit.state, unit.result)).unwrap_or_default();
    if state == EffectState::Done {
        let (state, result) = now;
        return Ok(Value::map([("state", Value::text(state)), ("result", Value::text(result))]));
    }
    run.clock.check()?;
    Err(Fail::failed(format!("{name}: {why}")))
}

fn judge(job: &Result<String, BusError>, now: Option<&Unit>) -> (EffectState, String) {
    let is = now.map_or("unknown", |unit| unit.state.as_str());
    match job {
        Ok(result) if result == "done" => (EffectState::Done, String::new()),
        Ok(result) => (EffectState::Failed, format!("the job ended {result}, the unit is {is}")),
        Err(BusError::Refused { name, text }) => (EffectState::Failed, format!("{name}: {text}")),
        Err(BusError::Late) => {
            (EffectState::Unknown, format!("the job has not ended in time, the unit is {is}"))
        }
        Err(error) => (EffectState::Unknown, format!("{error}, the unit is {is}")),
    }
}

#[cfg(test)]
mod tests;
