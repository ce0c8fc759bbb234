//! The public reply: the script's own sentence for the person, nothing about machines or scripts.

use protocol::{Outcome, limits};
use tickets::Key;

use super::{Told, inert};

/// The reply, where there is one: the record verified, the outcome is good and the script said
/// something for people.
#[must_use]
pub fn reply(key: &Key, told: &Told) -> Option<String> {
    if told.unverified.is_some() {
        return None;
    }
    let (record, _) = told.record.as_ref()?;
    let good = matches!(record.predicate.outcome, Outcome::Succeeded | Outcome::Unchanged);
    let say = record.predicate.say.as_ref().filter(|say| good && !say.trim().is_empty())?;
    let say = inert(say, limits::SAY_CHARS_MAX);
    let help = "If it does not help, answer here or call the help desk.";
    Some(format!("{say}\n{help}\n{}", key.marker()))
}
