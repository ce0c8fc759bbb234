//! Names of everything the keeper does, says and hears. A new variant does not compile until it is
//! named here; a name that no crash reached fails the test.

use hatch::messages::{FromExecutor, FromGate, FromInterpreter, ToExecutor, ToGate};
use keeper::core::{Effect, Event};
use keeper::ledger::Entry;

macro_rules! names {
    ($function:ident, $list:ident, $kind:ident, $word:literal: $($variant:ident),+) => {
        /// The point of this one.
        pub(crate) const fn $function(message: &$kind) -> &'static str {
            match message { $( $kind::$variant { .. } => concat!($word, ":", stringify!($variant)) ),+ }
        }
        const $list: &[&str] = &[$( concat!($word, ":", stringify!($variant)) ),+];
    };
}

names!(to_gate, TO_GATE, ToGate, "to-gate": Serve, Trust, Frame, Finish, Close, Drain, Enrol, Probe,
    Certificate);
names!(from_gate, FROM_GATE, FromGate, "from-gate": Ready, Opened, Frame, Ended, Closed, Answer, Result,
    Desk, LookUp);
names!(to_executor, TO_EXECUTOR, ToExecutor, "to-executor": Start, Secret, Prepare);
names!(from_executor, FROM_EXECUTOR, FromExecutor, "from-executor":
    Ready, Event, OneTime, Say, Output, Finished);
names!(from_interpreter, FROM_INTERPRETER, FromInterpreter, "from-interpreter": Ready, Ended);
names!(entry, ENTRY, Entry, "ledger": Opened, Accepted, Started, Record, Recalled, Filed);

/// What the keeper tells an interpreter.
const TO_INTERPRETER: &[&str] = &["to-interpreter:Prepare", "to-interpreter:Start"];
const _: () = {
    const fn closed(message: &hatch::messages::ToInterpreter) {
        match message {
            hatch::messages::ToInterpreter::Prepare(_)
            | hatch::messages::ToInterpreter::Start { .. } => {}
        }
    }
    _ = closed;
};

/// Every point.
pub(crate) fn all() -> Vec<String> {
    let effects = Effect::NAMES.iter().map(|name| format!("effect:{name}"));
    let lists =
        [TO_GATE, FROM_GATE, TO_EXECUTOR, FROM_EXECUTOR, TO_INTERPRETER, FROM_INTERPRETER, ENTRY];
    let messages = lists.concat().into_iter().map(str::to_owned);
    effects.chain(messages).collect()
}

/// The point of an event that brings a message.
pub(crate) const fn heard(event: &Event) -> Option<&'static str> {
    match event {
        Event::Gate { message, .. } => Some(from_gate(message)),
        Event::Executor { message, .. } => Some(from_executor(message)),
        Event::Interpreter { message, .. } => Some(from_interpreter(message)),
        _ => None,
    }
}

/// The points that lie behind an effect.
pub(crate) fn done(effect: &Effect) -> Vec<String> {
    let more: &[&str] = match effect {
        Effect::AppendLedger(e) => &[entry(e)],
        // Both first messages are written while the children are made.
        Effect::MakeSpare => &["to-executor:Prepare", "to-interpreter:Prepare"],
        Effect::Spawn(_) => &["to-executor:Start", "to-interpreter:Start"],
        Effect::ToExecutor { message, .. } => &[to_executor(message)],
        Effect::ToGate(message) => &[to_gate(message)],
        _ => &[],
    };
    let more = more.iter().map(|name| (*name).to_owned());
    std::iter::once(format!("effect:{}", effect.name())).chain(more).collect()
}
