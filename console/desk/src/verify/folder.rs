//! One run as a folder that other people's tools can check: plain DSSE envelopes beside plain files.

use std::io;
use std::path::{Path, PathBuf};

use protocol::Time;

use crate::home::{self, FileError};

use evidence::{Anchors, Papers, peek_record};

/// Most bytes read of one file of a folder: an effects file and a little.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A folder that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is there already.
    #[error("`{0}` is there already; name a folder that is not")]
    Exists(PathBuf),
    /// It could not be made.
    #[error("could not make the folder `{path}`")]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("could not export the run")]
    Write(#[from] FileError),
    /// A file could not be read.
    #[error("could not read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

const README: &str = "\
One run of salve, for checking without salve.

record.json    DSSE envelope around an in-toto Statement v1, signed by the endpoint's record key
order.json     DSSE envelope, signed by the agent
dispatch.json  DSSE envelope, signed by the order's dispatch_key
card.json      DSSE envelope, signed by an enroller; its payload holds the endpoint's record_key
effects.jsonl  what was done; its sha256 is the record's subject `effects`
plan.json      what was planned; its sha256 is in the record
before.json, after.json   the endpoint's neighbouring records
keys.json      public keys as the exporting organisation states them (securesystemslib's form)
repository/    the organisation's catalogue (TUF), as published

keys.json proves nothing while it comes from the same hand as the rest: compare it with keys that
you got another way. The sha256 of order.json's payload is the record's subject `order`.
With salve:    salve verify FOLDER --keys KEYS.json
With Python:   securesystemslib.dsse.Envelope.from_dict(json).verify([key], 1)
";

/// Writes a run as a new folder, with the keys as they stand `now`; `repository` is copied into it as
/// it is.
///
/// # Errors
/// [`FolderError::Exists`]; what was written stays where a write failed.
pub fn export(
    folder: &Path,
    papers: &Papers,
    (anchors, now): (&Anchors, Time),
    repository: &trust::catalogue::Files,
) -> Result<(), FolderError> {
    let make = |path: &Path| {
        std::fs::create_dir(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => FolderError::Exists(path.to_owned()),
            _ => FolderError::Make { path: path.to_owned(), source },
        })
    };
    make(folder)?;
    let used = peek_record(&papers.record).map(|(record, _)| record.predicate.catalogue);
    let anchors = used.map_or_else(|| anchors.clone(), |used| anchors.for_record(&used));
    let files: [(&str, Option<&[u8]>); 10] = [
        ("README.txt", Some(README.as_bytes())),
        ("record.json", Some(&papers.record)),
        ("order.json", papers.order.as_deref()),
        ("dispatch.json", papers.dispatch.as_deref()),
        ("card.json", papers.card.as_deref()),
        ("effects.jsonl", papers.effects.as_deref()),
        ("plan.json", papers.plan.as_deref()),
        ("before.json", papers.before.as_deref()),
        ("after.json", papers.after.as_deref()),
        ("keys.json", Some(&anchors.to_json(now))),
    ];
    for (name, bytes) in files {
        if let Some(bytes) = bytes {
            home::write_public(&folder.join(name), bytes)?;
        }
    }
    for (name, bytes) in repository.iter() {
        home::write_public(&folder.join("repository").join(name), bytes)?;
    }
    Ok(())
}

/// Reads the papers of an exported run, or of a single record's file.
///
/// # Errors
/// A record that is not there; any other paper may be missing.
pub fn read_folder(path: &Path) -> Result<Papers, FolderError> {
    if path.is_file() {
        return Ok(Papers { record: read(path)?, ..Papers::default() });
    }
    let optional = |name: &str| -> Result<Option<Vec<u8>>, FolderError> {
        match read(&path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(FolderError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    };
    Ok(Papers {
        record: read(&path.join("record.json"))?,
        order: optional("order.json")?,
        dispatch: optional("dispatch.json")?,
        effects: optional("effects.jsonl")?,
        plan: optional("plan.json")?,
        escrow: None,
        card: optional("card.json")?,
        before: optional("before.json")?,
        after: optional("after.json")?,
        head: None,
        links: Vec::new(),
        erased: None,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, FolderError> {
    use std::io::Read as _;
    let fail = |source| FolderError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use evidence::fixture::{Fixture, NOW, papers};
    use evidence::verify_record;

    use super::*;

    #[test]
    fn an_exported_run_reads_back_and_its_keys_too() {
        let f = Fixture::default();
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("run");
        let mut files = trust::catalogue::Files::default();
        files.insert("1.root.json", b"{}".to_vec());
        files.insert("policy/abc.policy.toml", b"x = 1".to_vec());
        export(&folder, &papers(&f), (&f.anchors(), NOW), &files).unwrap();
        assert_eq!(read_folder(&folder).unwrap(), papers(&f));
        assert!(folder.join("repository/policy/abc.policy.toml").is_file());
        let keys = std::fs::read(folder.join("keys.json")).unwrap();
        let anchors = Anchors::from_json(&keys, "keys.json of the auditor").unwrap();
        assert!(verify_record(&read_folder(&folder).unwrap(), &anchors).verified);
        let again = export(&folder, &papers(&f), (&f.anchors(), NOW), &files);
        assert!(matches!(again, Err(FolderError::Exists(_))));
        // One record's file alone has no card beside it: it is not verified by itself.
        let alone = read_folder(&folder.join("record.json")).unwrap();
        assert!(!verify_record(&alone, &anchors).verified);
    }
}
