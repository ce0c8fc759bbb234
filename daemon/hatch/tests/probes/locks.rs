//! The child's side: lock as the named process does, then attempt.

use std::collections::BTreeSet;
use std::io::Write as _;

use hatch::lock::{self, ExecutorProfile};
use hatch::{Defences, Exceptions};
use surface::Class;

use crate::{Place, actions};

const NOBODY: (u32, u32) = (65534, 65534);

/// Locks this process as `name` says.
fn take(name: &str, newest: i32, place: &Place) -> Defences {
    let none = Exceptions::default();
    if name == "none" {
        return Defences::new();
    }
    lock::begin("probe", &[0, 1, 2]).unwrap();
    match name {
        "interpreter" => lock::interpreter_at(NOBODY, &none, newest).unwrap(),
        "gate" => lock::gate_at(Some(NOBODY), &none, newest).unwrap(),
        class => {
            let class = Class::from_word(class).unwrap();
            let inside = vec![place.inside.clone()];
            let look = class == Class::Look || class == Class::Services;
            let profile = ExecutorProfile {
                classes: BTreeSet::from([Class::Look, class]),
                read: inside.clone(),
                write: if look { Vec::new() } else { inside },
                exec: vec![place.inside.join("tool")],
            };
            lock::executor_at(&profile, &none, newest).unwrap()
        }
    }
}

/// Locks, says so, attempts, says what came of it.
pub(crate) fn locked(lock: &str, newest: i32, action: &str, place: &Place) {
    let action = actions::find(action);
    take(lock, newest, place);
    let mut out = std::io::stdout();
    let said = out.write_all(b"locked\n").and_then(|()| out.flush());
    said.unwrap();
    let line = match action(place) {
        Ok(()) => "done\n".to_owned(),
        Err(number) => format!("refused {number}\n"),
    };
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// Locks and prints the report.
pub(crate) fn report(lock: &str, newest: i32, place: &Place) {
    for (name, word) in take(lock, newest, place) {
        println!("{name}={word}");
    }
}

/// Prints what this process was born with: open descriptors and environment.
pub(crate) fn born() {
    let open = |fd: &usize| crate::sys::call(libc::SYS_fcntl, [*fd, 1, 0, 0, 0, 0]).is_ok();
    let open: Vec<String> = (0..4096).filter(open).map(|fd| fd.to_string()).collect();
    println!("{}", open.join(" "));
    std::env::vars().for_each(|(name, value)| println!("{name}={value}"));
}
