//! The catalogue of a home that works with a shared desk: brought from there, published to there.
//!
//! Never believes the desk: what comes is verified over what the home holds, and no version goes
//! back. Never publishes here what the desk did not take.

use std::ffi::OsString;
use std::io::ErrorKind;

use protocol::documents::CatalogueVersions;
use protocol::frames::{DeskAnswer, DeskAsk};
use protocol::{Time, limits};
use trust::catalogue::{Catalogue, Files, delta};

use super::{CatalogueTrouble, adopt, files, open};
use crate::books::{BookError, Line, in_parts};
use crate::home::{self, FileError, Home};
use crate::org::Desk;

/// How a home's catalogue stands to the shared desk's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// They are the same, or there is no shared desk.
    Same,
    /// The desk had something newer; the home has it now.
    Brought,
    /// The desk had gone back, as one restored from a copy, and has taken the newer lists again.
    GivenBack,
    /// The desk has older lists than this home and did not take ours.
    NotTaken {
        /// The first role that is older there.
        role: &'static str,
        /// Its version at the desk.
        there: u64,
        /// Its version here.
        here: u64,
    },
}

/// Brings what the shared desk has and this home lacks. A desk that lacks lists which this home has
/// was put back from a copy: it gets them again.
///
/// # Errors
/// [`CatalogueTrouble`]; the home's catalogue is what it was.
pub fn refresh(desk: &Desk, now: Time) -> Result<Refreshed, CatalogueTrouble> {
    let Some(line) = desk.store.line() else { return Ok(Refreshed::Same) };
    let have = open(&desk.home, now)?.versions();
    let (mut new, theirs) = fetch(line, have).map_err(Box::new)?;
    let mut refreshed = Refreshed::Brought;
    if let Some((role, there, here)) = theirs.lists().behind(&have.lists()) {
        // Snapshot and timestamp of any version: the desk's own may have gone on since.
        let all = delta(theirs.lists(), &files(&desk.home)?);
        match publish(line, &all, theirs) {
            Ok(()) => {}
            Err(BookError::Desk(_)) => return Ok(Refreshed::NotTaken { role, there, here }),
            Err(error) => return Err(Box::new(error).into()),
        }
        (new, _) = fetch(line, have).map_err(Box::new)?;
        refreshed = Refreshed::GivenBack;
    }
    if new.is_empty() {
        return Ok(if refreshed == Refreshed::Brought { Refreshed::Same } else { refreshed });
    }
    let adopted = adopt(&desk.home, &new, None, now);
    adopted.map_err(|error| CatalogueTrouble::Brought(Box::new(error)))?;
    Ok(refreshed)
}

/// Brings lists and policies of generations that this home lacks from the shared desk, which keeps all
/// of them. Each is verified by the chain of roots from `first` on and is added to `all`; one that the
/// desk does not have, or that does not verify, is not.
///
/// # Errors
/// [`BookError`].
pub fn bring_past(
    line: &Line,
    wanted: &[CatalogueVersions],
    first: &[u8],
    all: &mut Files,
) -> Result<(), BookError> {
    for some in wanted.chunks(limits::PAST_GENERATIONS_MAX) {
        let (brought, _) = files_of(line, DeskAsk::Past { generations: some.to_vec() })?;
        // What is here already stays what it is.
        let mut both = brought;
        both.0.extend(all.clone().0);
        for generation in some {
            if Catalogue::then(&both, first, generation).is_some() {
                let kept = Catalogue::evidence(&both, &[*generation]);
                all.0.extend(kept.0);
            }
        }
    }
    Ok(())
}

/// The files that the desk has beyond these versions, and what it has.
fn fetch(line: &Line, have: CatalogueVersions) -> Result<(Files, CatalogueVersions), BookError> {
    files_of(line, DeskAsk::Catalogue { have })
}

fn files_of(line: &Line, ask: DeskAsk) -> Result<(Files, CatalogueVersions), BookError> {
    let mut new = Files::new();
    let mut open: Option<(String, Vec<u8>)> = None;
    let mut ended = None;
    for answer in line.ask(vec![ask])? {
        match answer {
            DeskAnswer::CatalogueFile { name, part, last } if ended.is_none() => {
                let (held, mut bytes) = open.take().unwrap_or_else(|| (name.clone(), Vec::new()));
                let all = new.bytes().saturating_add(bytes.len()).saturating_add(part.0.len());
                if held != name || all > limits::CATALOGUE_BYTES_MAX {
                    return Err(line.unexpected());
                }
                bytes.extend_from_slice(&part.0);
                if last {
                    new.insert(held, bytes);
                } else {
                    open = Some((held, bytes));
                }
            }
            DeskAnswer::CatalogueEnd { versions } if open.is_none() && ended.is_none() => {
                ended = Some(versions);
            }
            _ => return Err(line.unexpected()),
        }
    }
    ended.map(|versions| (new, versions)).ok_or_else(|| line.unexpected())
}

/// Changes the organisation's catalogue: `work` publishes in the home that it is given. With a
/// shared desk that is a copy, and only what the desk took becomes the home's own.
///
/// # Errors
/// [`CatalogueTrouble`] of `work`; [`CatalogueTrouble::Desk`] where the desk does not take it, as
/// when somebody else published in between. Nothing has changed then.
pub fn change<T>(
    desk: &Desk,
    now: Time,
    work: impl FnOnce(&Home) -> Result<T, CatalogueTrouble>,
) -> Result<T, CatalogueTrouble> {
    let Some(line) = desk.store.line() else { return work(&desk.home) };
    let _lock = desk.home.lock_staged()?;
    refresh(desk, now)?;
    let base = open(&desk.home, now)?.versions();
    let copy = desk.home.staged();
    stage(&desk.home, &copy)?;
    let value = work(&copy)?;
    let new = delta(base, &files(&copy)?);
    if !new.is_empty() {
        publish(line, &new, base).map_err(Box::new)?;
        adopt(&desk.home, &new, None, now)?;
    }
    // Drafts that were published wait no more.
    for draft in drafts(&desk.home)? {
        if !home::is_there(&copy.pending().join(&draft)) {
            home::remove(&desk.home.pending().join(&draft))?;
        }
    }
    home::remove_folder(&copy.public())?;
    Ok(value)
}

/// The names of the drafts that wait.
fn drafts(home: &Home) -> Result<Vec<OsString>, FileError> {
    let path = home.pending();
    let fail = |source| FileError::Read { path: path.clone(), source };
    match std::fs::read_dir(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(fail(e)),
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(fail)?.file_name())).collect(),
    }
}

/// A copy of the home's catalogue that may be changed; what an interrupted change left is removed.
fn stage(from: &Home, to: &Home) -> Result<(), CatalogueTrouble> {
    let (source, target) = (from.repository(), to.repository());
    home::remove_folder(&to.public())?;
    for draft in drafts(from)? {
        let bytes = home::read(&from.pending().join(&draft))?;
        home::write_public(&to.pending().join(&draft), &bytes)?;
    }
    let settings = "repository.json";
    home::write_public(&target.join(settings), &home::read(&source.join(settings))?)?;
    for (name, bytes) in files(from)?.iter() {
        home::write_public(&target.join(name), bytes)?;
    }
    Ok(())
}

fn publish(line: &Line, new: &Files, base: CatalogueVersions) -> Result<(), BookError> {
    let file = |(name, part, last)| DeskAsk::PublishFile { name, part, last };
    let end = DeskAsk::Publish { base };
    match line.ask(in_parts(new).map(file).chain([end]).collect())?.as_slice() {
        [DeskAnswer::Published { .. }] => Ok(()),
        _ => Err(line.unexpected()),
    }
}
