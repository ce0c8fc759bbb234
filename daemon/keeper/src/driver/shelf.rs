//! What runs leave on disk beside the ledger: effects, output, plans, sealed secrets. Never decides
//! how long; never keeps a secret in clear.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use protocol::documents::{Sealed, SealedSecret};
use protocol::{Bytes, Digest, RunId, Time};
use serde::{Deserialize, Serialize};

use crate::core::Fetched;
use crate::state::{FileError, Layout, Reserve, failed, read_optional, remove, write};

/// A plan that was made here and is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPlan {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// The run that made it.
    pub run: RunId,
    /// JSON of `Plan`.
    pub bytes: Bytes,
}

/// One sealed secret as it lies on the disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Escrow {
    not_after: Time,
    sealed: Sealed,
}

/// The folders of one endpoint.
#[derive(Debug)]
pub struct Shelf {
    layout: Layout,
    reserve: Reserve,
}

impl Shelf {
    /// Opens the folders.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(layout: Layout) -> Result<Self, FileError> {
        crate::state::make(&layout)?;
        let reserve = Reserve::open(layout.reserve())?;
        Ok(Self { layout, reserve })
    }

    /// Room for a full disk.
    #[must_use]
    pub const fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    /// A fresh effects file; `much` takes the scratch that is held.
    pub(super) fn effects(&self, run: &RunId, much: bool) -> Result<std::fs::File, FileError> {
        self.reserve.take(&self.layout.effects(run, "effects"), much)
    }

    /// The effects file's bytes; none where there is none.
    pub(super) fn read_effects(&self, run: &RunId) -> Result<Vec<u8>, FileError> {
        Ok(read_optional(&self.layout.effects(run, "effects"))?.unwrap_or_default())
    }

    /// Keeps output beside the effects; durable after [`Shelf::sync_output`].
    pub(super) fn append_output(&self, run: &RunId, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.layout.effects(run, "output");
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        let mut rest = bytes;
        self.reserve.again(|| {
            let mut file = options.open(&path).map_err(failed("open", &path))?;
            // After a full disk in the middle, only what is missing is written again.
            while !rest.is_empty() {
                let len = file.write(rest).map_err(failed("write", &path))?;
                rest = rest.get(len..).unwrap_or_default();
            }
            Ok(())
        })
    }

    /// What was kept of a run's output.
    pub(super) fn read_output(&self, run: &RunId) -> Result<Vec<u8>, FileError> {
        Ok(read_optional(&self.layout.effects(run, "output"))?.unwrap_or_default())
    }

    /// Makes a run's output durable, where it has some.
    pub(super) fn sync_output(&self, run: &RunId) -> Result<(), FileError> {
        let path = self.layout.effects(run, "output");
        match std::fs::File::open(&path) {
            Ok(file) => file.sync_data().map_err(failed("sync", &path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("open", &path)(error)),
        }
    }

    /// Keeps a sealed secret; durable when it returns.
    pub(super) fn write_escrow(
        &self,
        run: &RunId,
        handle: u32,
        sealed: &Bytes,
        not_after: Time,
    ) -> Result<(), FileError> {
        let path = self.layout.escrow().join(format!("{run}-{handle}.json"));
        let wrong = |error: serde_json::Error| failed("write", &path)(error.into());
        let sealed: Sealed = serde_json::from_slice(&sealed.0).map_err(wrong)?;
        let json = serde_json::to_vec(&Escrow { not_after, sealed }).map_err(wrong)?;
        self.reserve.again(|| write(&path, &json))
    }

    /// What a run's record says of its secrets.
    pub(super) fn secrets(&self, run: &RunId) -> Result<Vec<SealedSecret>, FileError> {
        let named = |(handle, sealed, not_after): (u32, Bytes, Time)| SealedSecret {
            handle,
            sealed: Digest::of(&sealed.0),
            not_after,
        };
        Ok(self.escrow(run)?.into_iter().map(named).collect())
    }

    fn escrow(&self, run: &RunId) -> Result<Vec<(u32, Bytes, Time)>, FileError> {
        let prefix = format!("{run}-");
        let mut found = Vec::new();
        for path in names(&self.layout.escrow())? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let handle = name.strip_prefix(&prefix).and_then(|handle| handle.parse().ok());
            let Some(handle) = handle else { continue };
            let bytes = read_optional(&path)?.unwrap_or_default();
            let read = serde_json::from_slice::<Escrow>(&bytes)
                .and_then(|escrow| Ok((serde_json::to_vec(&escrow.sealed)?, escrow.not_after)));
            match read {
                Ok((sealed, not_after)) => found.push((handle, Bytes(sealed), not_after)),
                // It cannot be opened any more, and the run's record must go out all the same.
                Err(error) => tracing::error!(
                    "the sealed secret `{}` is damaged ({error}) and left out; the person needs \
                     a new reset",
                    path.display()
                ),
            }
        }
        Ok(found)
    }

    fn plan(&self, digest: &Digest, run: &RunId) -> PathBuf {
        self.layout.plans().join(format!("{digest}.{run}.plan"))
    }

    /// Keeps a plan; durable when it returns.
    pub(super) fn keep_plan(
        &self,
        digest: &Digest,
        run: &RunId,
        bytes: &Bytes,
    ) -> Result<(), FileError> {
        self.reserve.again(|| write(&self.plan(digest, run), &bytes.0))
    }

    /// Forgets a plan.
    pub(super) fn drop_plan(&self, digest: &Digest) -> Result<(), FileError> {
        for path in names(&self.layout.plans())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(&digest.to_string()) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Plans that are kept; one that is not what its name says is left out.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn plans(&self) -> Result<Vec<KeptPlan>, FileError> {
        self.plans_of(None)
    }

    fn plans_of(&self, only: Option<&RunId>) -> Result<Vec<KeptPlan>, FileError> {
        let mut found = Vec::new();
        for path in names(&self.layout.plans())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((digest, rest)) = name.split_once('.') else { continue };
            let Some(run) = rest.strip_suffix(".plan") else { continue };
            let Ok(run) = run.parse::<RunId>() else { continue };
            if only.is_some_and(|only| *only != run) {
                continue;
            }
            let bytes = read_optional(&path)?.unwrap_or_default();
            let made = Digest::of(&bytes);
            if made.to_string() == digest {
                found.push(KeptPlan { digest: made, run, bytes: Bytes(bytes) });
            }
        }
        Ok(found)
    }

    /// Keeps a renewed certificate; durable when it returns. Our CAs sign leafs directly: what else
    /// of a chain was kept goes.
    pub(super) fn keep_certificate(&self, leaf: &Bytes) -> Result<(), FileError> {
        self.reserve.again(|| write(&self.layout.certificate(0), &leaf.0))?;
        (1..)
            .map(|place| self.layout.certificate(place))
            .take_while(|path| path.exists())
            .try_for_each(|path| remove(&path))
    }

    /// Everything that a run left beside its record.
    pub(super) fn fetch(&self, run: &RunId, record: Option<Bytes>) -> Result<Fetched, FileError> {
        let plan = self.plans_of(Some(run))?.pop();
        Ok(Fetched {
            record,
            plan: plan.map(|plan| plan.bytes),
            effects: Bytes(self.read_effects(run)?),
            escrow: self.escrow(run)?.into_iter().map(|(_, sealed, end)| (sealed, end)).collect(),
        })
    }

    /// A run is over: gives back what its files did not use; an effects file without effects goes.
    pub(super) fn tidy(&self, run: &RunId) -> Result<(), FileError> {
        let path = self.layout.effects(run, "effects");
        self.reserve.trim(&path)?;
        if std::fs::metadata(&path).is_ok_and(|file| file.len() == 0) {
            remove(&path)?;
        }
        Ok(())
    }
}

/// Paths in a folder; what is being written is not among them.
fn names(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let list = std::fs::read_dir(folder).map_err(failed("list", folder))?;
    let mut paths: Vec<PathBuf> = list.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|p| !p.file_name().unwrap_or_default().to_string_lossy().starts_with('.'));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf(folder: &Path) -> Shelf {
        Shelf::open(Layout::new(folder)).unwrap()
    }

    #[test]
    fn what_a_run_left_is_fetched_whole() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        let run = RunId([7; 16]);
        let plan = Bytes(b"{}".to_vec());
        shelf.effects(&run, true).unwrap().write_all(b"{}\n").unwrap();
        shelf.keep_plan(&Digest::of(&plan.0), &run, &plan).unwrap();
        let sealed =
            Sealed { algorithm: "a".into(), enc: Bytes(vec![1]), ciphertext: Bytes(vec![2]) };
        let json = Bytes(serde_json::to_vec(&sealed).unwrap());
        shelf.write_escrow(&run, 3, &json, Time(99)).unwrap();
        shelf.write_escrow(&RunId([8; 16]), 3, &json, Time(1)).unwrap();
        shelf.tidy(&run).unwrap();
        let found = shelf.fetch(&run, Some(Bytes(b"record".to_vec()))).unwrap();
        assert_eq!(found.effects.0, b"{}\n");
        assert_eq!(found.plan, Some(plan.clone()));
        let digest = Digest::of(&json.0);
        assert_eq!(found.escrow, [(json, Time(99))]);
        let secrets = shelf.secrets(&run).unwrap();
        assert_eq!(secrets, [SealedSecret { handle: 3, sealed: digest, not_after: Time(99) }]);
        shelf.drop_plan(&Digest::of(&plan.0)).unwrap();
        assert!(shelf.plans().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_secret_is_left_out_and_the_rest_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        let run = RunId([7; 16]);
        let sealed =
            Sealed { algorithm: "a".into(), enc: Bytes(vec![1]), ciphertext: Bytes(vec![2]) };
        let json = Bytes(serde_json::to_vec(&sealed).unwrap());
        shelf.write_escrow(&run, 1, &json, Time(99)).unwrap();
        write(&shelf.layout.escrow().join(format!("{run}-2.json")), b"{\"not_after").unwrap();
        let found = shelf.fetch(&run, Some(Bytes(b"record".to_vec()))).unwrap();
        assert_eq!(found.record, Some(Bytes(b"record".to_vec())));
        assert_eq!(found.escrow, [(json, Time(99))]);
    }

    #[test]
    fn a_plan_that_was_altered_is_no_plan() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        let plan = Bytes(b"{}".to_vec());
        let digest = Digest::of(&plan.0);
        shelf.keep_plan(&digest, &RunId([7; 16]), &plan).unwrap();
        assert_eq!(shelf.plans().unwrap().len(), 1);
        write(&shelf.plan(&digest, &RunId([7; 16])), b"{ }").unwrap();
        assert!(shelf.plans().unwrap().is_empty());
    }

    #[test]
    fn output_grows_and_an_effects_file_without_effects_goes() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        let run = RunId([7; 16]);
        shelf.append_output(&run, b"one ").unwrap();
        shelf.append_output(&run, b"two").unwrap();
        let path = shelf.layout.effects(&run, "output");
        assert_eq!(std::fs::read(path).unwrap(), b"one two");
        drop(shelf.effects(&run, false).unwrap());
        shelf.tidy(&run).unwrap();
        assert!(!shelf.layout.effects(&run, "effects").exists());
    }
}
