//! Who could do what on a day: the policies that were in force then, as far as they are kept here.

use policy::{Policy, PolicyFile};
use protocol::Time;
use trust::catalogue::Catalogue;

use super::ListError;
use crate::catalogue::{self, CatalogueTrouble};
use crate::org::{Desk, lifetimes};

const DAY: u64 = 86_400;

/// A policy and when it was in force, as its own end and its lists' life say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Its version.
    pub version: u64,
    /// Since when.
    pub from: Time,
    /// Until when: the next one came, or it ended; none where it is in force still.
    pub until: Option<Time>,
    /// What it said.
    pub policy: Policy,
}

/// The policies that were in force on a day (its first second is `on`), oldest first; empty where none
/// is kept here from then. Each is held to the administrators of its own time.
///
/// # Errors
/// [`ListError::Catalogue`].
pub fn access(desk: &Desk, on: Time, now: Time) -> Result<Vec<Access>, ListError> {
    let files = catalogue::files_with_past(&desk.home)?;
    let root = files.get("1.root.json").unwrap_or_default();
    let mut all = Vec::new();
    for then in Catalogue::policies(&files, root) {
        let policy = PolicyFile::read(&then.text).map_err(CatalogueTrouble::Policy)?;
        let life = lifetimes(policy.file().profile).policy;
        all.push((then.version, then.ends.minus(life), then.ends, policy));
    }
    let next: Vec<Option<Time>> = all.iter().skip(1).map(|next| Some(next.1)).collect();
    let there = all.into_iter().zip(next.into_iter().chain([None]));
    let whole = there.map(|((version, from, ends, policy), next)| {
        let until = next.unwrap_or(ends).min(ends);
        Access { version, from, until: (until <= now).then_some(until), policy }
    });
    let that_day =
        |one: &Access| one.from < on.plus(DAY) && one.until.is_none_or(|until| until > on);
    Ok(whole.filter(that_day).collect())
}
