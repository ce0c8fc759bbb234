//! `fs.remove`: what was found and is still the same, written down first, gone afterwards.
//!
//! Removes regular files only, by name in an open folder; never a folder, never through a symlink.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};

use protocol::frames::Event;
use protocol::{EffectState, PlanLine};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use surface::Value;

use super::{Found, Identity, Places};
use crate::fail::Fail;
use crate::guard::Checked;
use crate::run::{Go, Run, unwritten};
use crate::{book, effects};

/// Files that go together under one plan key.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Host function.
    pub(crate) function: &'static str,
    /// Plan key.
    pub(crate) key: String,
    /// What people call it.
    pub(crate) label: String,
    /// The files.
    pub(crate) files: Vec<Found>,
}

/// How a batch went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Went {
    /// Files that are gone.
    pub(crate) count: u64,
    /// Bytes that they were worth.
    pub(crate) bytes: u64,
    /// Files left alone because they changed or went by themselves.
    pub(crate) skipped: u64,
    /// Files that would not go.
    pub(crate) failed: u64,
}

/// `fs.remove`.
pub(crate) fn remove(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let mut batches: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for value in call.list(0)? {
        let path = value.as_text().or_else(|| value.get("path").and_then(Value::as_text));
        let path = path.ok_or_else(|| Fail::argument("`files` is a list that `fs.find` gave"))?;
        let unknown = || Fail::argument(format!("`{path}` was not given by `fs.find`"));
        let found = run.places.recall(path).ok_or_else(unknown)?;
        if found.folder {
            return Err(Fail::argument(format!("`{path}` is a folder")));
        }
        let key = run.places.removal_key(found).ok_or_else(|| {
            let message = format!("`{path}` is not among the nouns of permission `fs.remove`");
            Fail::new("not_permitted", message)
        })?;
        batches.entry(key.to_owned()).or_default().push(found.clone());
    }
    let mut all = Went::default();
    for (key, mut files) in batches {
        files.sort_by(|a, b| (a.base, &a.names).cmp(&(b.base, &b.names)));
        files.dedup_by(|a, b| a.path == b.path);
        let label = key.clone();
        let went = batch(run, Batch { function: "fs.remove", key: key.clone(), label, files })?;
        if went.skipped > 0 {
            let text =
                format!("{} files beneath {key} changed since they were found", went.skipped);
            run.skipped(text)?;
        }
        all.count += went.count;
        all.bytes = book::sum(all.bytes, went.bytes);
        all.skipped += went.skipped;
        all.failed += went.failed;
    }
    if all.count == 0 && all.failed > 0 {
        return Err(Fail::failed(format!("none of {} files could be removed", all.failed)));
    }
    Ok(Value::map([
        ("count", Value::count(all.count)),
        ("bytes", Value::count(all.bytes)),
        ("skipped", Value::count(all.skipped + all.failed)),
    ]))
}

/// Removes the files of one key that are still what they were, or plans to.
pub(crate) fn batch(run: &mut Run, batch: Batch) -> Result<Went, Fail> {
    let mut went = Went::default();
    let mut hand = Hand::default();
    let mut files = Vec::new();
    for (count, file) in batch.files.into_iter().enumerate() {
        if count % 512 == 511 {
            run.clock.check()?;
        }
        let gone = run.overlay.is_removed(&file.path);
        if !gone && hand.reach(&run.places, &file, same).is_ok() {
            files.push(file);
        } else {
            went.skipped += 1;
        }
    }
    if files.is_empty() {
        return Ok(went);
    }
    let bytes = files.iter().fold(0u64, |sum, file| book::sum(sum, file.worth()));
    let count = files.len() as u64;
    let want = book::within(batch.function, &batch.key, &batch.label, count, bytes);
    match begin(run, &want)? {
        Go::Planned => {
            for file in &files {
                let device = file.identity.device;
                run.overlay.remove(&file.path, device, file.on_disk, file.links <= 1);
            }
            (went.count, went.bytes) = (count, bytes);
        }
        Go::Act(n) => act(run, n, &want, &files, &mut hand, &mut went)?,
    }
    Ok(went)
}

/// As [`Run::begin`], with `begin` for a batch.
fn begin(run: &mut Run, want: &PlanLine) -> Result<Go, Fail> {
    run.clock.check()?;
    run.book.take(want)?;
    if run.guard.plans() {
        return Ok(Go::Planned);
    }
    let n = run.effects.next();
    let line =
        effects::line(n, EffectState::Begin, &want.function, &want.key, &want.key, want.bytes);
    run.effects.write_synced(&line).map_err(unwritten)?;
    Ok(Go::Act(n))
}

fn act(
    run: &mut Run,
    n: u64,
    want: &PlanLine,
    files: &[Found],
    hand: &mut Hand,
    went: &mut Went,
) -> Result<(), Fail> {
    let mut over = Ok(());
    for file in files {
        over = run.clock.check();
        if over.is_err() {
            break;
        }
        let line =
            |state| effects::line(n, state, &want.function, &want.key, &file.path, file.worth());
        run.effects.write(&line(EffectState::About)).map_err(unwritten)?;
        let removed = hand.reach(&run.places, file, |folder, name, file| {
            same(folder, name, file)?;
            rustix::fs::unlinkat(folder, name, AtFlags::empty())
        });
        let state = match removed {
            Ok(()) => {
                went.count += 1;
                went.bytes = book::sum(went.bytes, file.worth());
                EffectState::Done
            }
            Err(_) => {
                went.failed += 1;
                EffectState::Failed
            }
        };
        run.effects.write(&line(state)).map_err(unwritten)?;
    }
    let end = effects::line(n, EffectState::End, &want.function, &want.key, &want.key, went.bytes);
    run.effects.write_synced(&end).map_err(unwritten)?;
    run.news(Event::Effect {
        function: want.function.clone(),
        key: want.key.clone(),
        count: went.count,
        bytes: went.bytes,
        ok: went.failed == 0 && over.is_ok(),
    })?;
    over
}

/// The folder that the last file lay in, kept open: files come sorted by folder.
#[derive(Debug, Default)]
struct Hand {
    at: Option<(usize, Vec<String>, OwnedFd)>,
}

impl Hand {
    /// Does something to a file by its name in its open folder, in the owner's name.
    fn reach(
        &mut self,
        places: &Places,
        file: &Found,
        act: impl FnOnce(&OwnedFd, &str, &Found) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let base = places.base(file.base).ok_or(Errno::NOENT)?;
        let (name, folder) = file.names.split_last().ok_or(Errno::NOENT)?;
        let _person = base.enter()?;
        let here = |(number, names, _): &(usize, Vec<String>, OwnedFd)| {
            *number == file.base && names == folder
        };
        let fd = match self.at.take() {
            Some(at) if here(&at) => at.2,
            _ => base.below(folder)?,
        };
        let done = act(&fd, name, file);
        self.at = Some((file.base, folder.to_vec(), fd));
        done
    }
}

/// Whether a name still is the regular file that was found.
fn same(folder: &OwnedFd, name: &str, file: &Found) -> Result<(), Errno> {
    let stat = rustix::fs::statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if regular && Identity::of(&stat) == file.identity { Ok(()) } else { Err(Errno::STALE) }
}
